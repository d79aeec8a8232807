"""Settings survive a round trip and refuse what cannot be."""

import json

import numpy as np
import pytest

from fundenv.config import ConfigError, EnvConfig


def test_round_trip_through_json_keeps_every_setting():
    config = EnvConfig(
        dials=("carry",), leverage=4.0, cash_rate=0.02, episode=None, actions="discrete"
    )
    again = EnvConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert again.hash == config.hash != EnvConfig().hash


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cash_rate", 4.5),
        ("initial_equity", 0),
        ("keeper_up", 0.5),
        ("ruin_fraction", 1.0),
        ("start_invested", -0.1),
    ],
)
def test_out_of_range_names_setting_value_and_range(name, value):
    with pytest.raises(ConfigError, match=rf"{name} = .* is outside .* \.\. "):
        EnvConfig(**{name: value})


def test_a_frozen_leverage_above_the_maximum_is_refused():
    with pytest.raises(ConfigError, match=r"leverage = 5 is outside 1 \.\. max_leverage = 3"):
        EnvConfig(leverage=5, max_leverage=3, leverage_grid=(1.0,))


def test_dials_keep_their_order():
    with pytest.raises(ConfigError, match="in this order"):
        EnvConfig(dials=("leverage", "carry"))


def test_a_text_for_a_number_names_the_range():
    with pytest.raises(ConfigError, match=r"perp_fee = '5bp': expected number in -0.01 \.\. 0.05"):
        EnvConfig(perp_fee="5bp")


@pytest.mark.parametrize("make", [EnvConfig, lambda **values: EnvConfig.from_dict(values)])
def test_an_unknown_keyword_is_a_type_error_that_names_the_nearest(make):
    with pytest.raises(ConfigError, match=r"unknown setting 'leverag'; did you mean leverage") as e:
        make(leverag=3)
    assert isinstance(e.value, TypeError)
    assert "got an unexpected keyword argument 'leverag'" in str(e.value)
    assert "\n" not in str(e.value)


def test_numbers_of_numpy_are_stored_as_those_of_python():
    config = EnvConfig(leverage=np.float32(2), leverage_grid=np.array([1.0, 2.0]))
    assert type(config.leverage) is float
    assert config.hash == EnvConfig(leverage=2.0, leverage_grid=(1.0, 2.0)).hash


@pytest.mark.parametrize(
    "values",
    [
        {"leverage": np.ones((3, 3))},
        {"actions": np.ones(2)},
        {"episode": np.ones(2)},
        {"dials": 5},
        {"venue": 5},
        {"randomize": 5},
        {"venue_date": 5},
        {"carry_grid": np.ones((2, 2))},
        {"random_start": "yes"},
    ],
)
def test_what_has_the_wrong_kind_is_refused_in_one_line(values):
    (name,) = values
    with pytest.raises(ConfigError, match=name) as e:
        EnvConfig(**values)
    assert "\n" not in str(e.value)


def test_the_hash_of_settings_is_that_of_earlier_versions():
    """Computed before the settings got their base. A setting that is new goes into
    `EnvConfig.added`, with the value at which the env does what it did before.
    """
    before = {"base_supply": EnvConfig.added["base_supply"]}
    assert EnvConfig(**before).hash == "30f9489383d8"
    assert (
        EnvConfig(leverage=4, carry_grid=[0, 1], randomize={"cash_rate": (0, 0.1)}, **before).hash
        == "0536687e34de"
    )
    for name in ("base_supply", "liquidation_gap", "deficit_share"):
        assert EnvConfig(**(before | {name: 1.0})).hash != EnvConfig(**before).hash
    assert EnvConfig(capital="shared").hash != EnvConfig().hash
    assert EnvConfig(crash_sigma=0.0).hash != EnvConfig().hash  # differs on several venues
