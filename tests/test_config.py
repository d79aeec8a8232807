"""Settings survive a round trip and refuse what cannot be."""

import json

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
        ("perp_fee", "5bp"),
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
