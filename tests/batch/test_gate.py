"""What is handed to compiled code passes the gate, by whichever face, or is refused in one line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import fundenv  # noqa: F401  (registers)
from fundenv.batch.cpu import Batch
from fundenv.config import ConfigError
from fundenv.dynamics import types as t
from fundenv.envs.single import FundingHedgeEnv
from tests.markets import PLAIN_VENUE, wild_market

ROOT = Path(__file__).parents[2]
MARKET = wild_market(5, paths=3, length=120)
COMMON: dict[str, Any] = {
    "market": MARKET,
    "venue": PLAIN_VENUE,
    "decision_interval": "4h",
    "episode": "2D",
}
N, W = 4, 3
GOOD = np.linspace(-1.0, 1.0, N * W).reshape(N, W).astype(np.float32)
Step = Callable[[Any], Any]


def batch_face() -> tuple[Batch, Step, Step]:
    batch = Batch(N, **COMMON)
    return batch, batch.reset, batch.step


def vector_face() -> tuple[Batch, Step, Step]:
    envs = gym.make_vec("fundenv/FundingHedge-v0", num_envs=N, **COMMON)
    return envs.unwrapped.batch, lambda seed: envs.reset(seed=seed), envs.step  # type: ignore[attr-defined]


def sb3_face() -> tuple[Batch, Step, Step]:
    pytest.importorskip("stable_baselines3", exc_type=ImportError)
    from fundenv.envs.sb3 import FundingHedgeVecEnv

    envs = FundingHedgeVecEnv(N, **COMMON)
    return envs.batch, lambda seed: (envs.seed(seed), envs.reset()), envs.step


def torch_face() -> tuple[Batch, Step, Step]:
    torch = pytest.importorskip("torch", exc_type=ImportError)
    from fundenv.envs.torch import FundingHedgeTorchEnv

    envs = FundingHedgeTorchEnv(N, **COMMON)
    return envs.batch, envs.reset, lambda x: envs.step(torch.as_tensor(x))


FACES = {"batch": batch_face, "vector": vector_face, "sb3": sb3_face, "torch": torch_face}
BAD: dict[str, tuple[Any, str]] = {
    "transposed": (GOOD.T.copy(), r"of shape \(3, 4\) .*expected numbers of shape \(4, 3\)"),
    "one row for all": (GOOD[0], r"expected numbers of shape \(4, 3\)"),
    "one number for all": (0.5, r"expected numbers of shape \(4, 3\)"),
    "one column": (GOOD[:, :1], r"expected numbers of shape \(4, 3\)"),
    "flat": (GOOD.ravel(), r"expected numbers of shape \(4, 3\)"),
    "too many": (np.zeros((N + 1, W)), r"expected numbers of shape \(4, 3\)"),
    "bools": (GOOD > 0, "bool.*expected numbers"),
    "complex": (GOOD.astype(complex), "complex.*expected numbers"),
    "NaN": (np.where(GOOD[2, 1] == GOOD, np.nan, GOOD), "of environment 2 is not a finite number"),
    "infinite": (np.where(GOOD == 1.0, np.inf, GOOD), "of environment 3 is not a finite number"),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("face", FACES)
def test_actions_that_do_not_fit_are_refused_and_nothing_is_stepped(face: str, what: str) -> None:
    batch, reset, step = FACES[face]()
    reset(0)
    before = batch.state()
    actions, message = BAD[what]
    with pytest.raises(ValueError, match=message) as caught:
        step(actions)
    assert "\n" not in str(caught.value)
    for name in ("params", "block", "episode", "obs"):
        assert np.array_equal(batch.state()[name], before[name]), name


@pytest.mark.parametrize("face", FACES)
def test_a_step_before_the_first_reset_is_refused(face: str) -> None:
    _, _, step = FACES[face]()
    with pytest.raises(gym.error.ResetNeeded, match=r"call reset\(\) before step\(\)"):
        step(GOOD)


@pytest.mark.parametrize("face", FACES)
def test_numbers_beyond_the_box_are_its_limits(face: str) -> None:
    given, clipped = (FACES[face]() for _ in range(2))
    for (batch, reset, step), actions in ((given, 3.0 * GOOD), (clipped, np.clip(3 * GOOD, -1, 1))):
        reset(0)
        step(actions)
        step(actions)
        assert np.abs(batch.ledger).sum() > 0
    assert np.array_equal(given[0].ledger, clipped[0].ledger)


def masked(values: Any) -> Any:
    return np.ma.array(values, mask=[True, *[False] * (len(values) - 1)])


def test_a_masked_array_is_refused() -> None:
    batch = Batch(N, **COMMON)
    batch.reset(0)
    with pytest.raises(ValueError, match=r"masked array .*\.filled\(value\)"):
        batch.step(np.ma.array(GOOD, mask=GOOD > 0))
    with pytest.raises(ConfigError, match="reset_mask: a masked array"):
        batch.reset(mask=masked([True] * N))
    with pytest.raises(ConfigError, match="seed: a masked array"):
        batch.reset(masked([1] * N))


SINGLE_BAD = [0.5, [0.5], np.float32(0.5), np.zeros((1, W)), np.zeros(4), None, "up", [True] * W]


@pytest.mark.parametrize("action", SINGLE_BAD, ids=repr)
def test_an_action_of_a_single_env_is_not_broadcast(action: Any) -> None:
    env = FundingHedgeEnv(**COMMON)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"expected numbers of shape \(3,\)"):
        env.step(action)
    env.step([0.5, 0, 0])


@pytest.mark.parametrize("row", [[6, 0, 0], [-1, 0, 0], [0.5, 0, 0], [0, 3, 0], [0, 0, 4]])
def test_an_index_that_no_grid_has_is_refused(row: list[float]) -> None:
    batch = Batch(2, **COMMON, actions="discrete")
    batch.reset(0)
    with pytest.raises(
        ValueError, match=r"environment 1 is outside .*0 \.\. 5, 0 \.\. 2, 0 \.\. 3"
    ):
        batch.step([[5, 2, 3], row])
    env = FundingHedgeEnv(**COMMON, actions="discrete")
    env.reset(seed=0)
    with pytest.raises(ValueError, match="environment 0 is outside the grids"):
        env.step(row)
    env.step(env.action_space.sample())


INDICES = [[0, 60], [-1, 0], [0.5, 0], [[0], [1]], [0], 3, [True, False], None]


@pytest.mark.parametrize("numbers", INDICES, ids=repr)
def test_a_number_that_is_no_decision_is_refused(numbers: Any) -> None:
    batch = Batch(2, **COMMON, actions="indexed")
    batch.reset(0)
    last = len(batch.decisions) - 1  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"expected 2 whole number\(s\) within 0 \.\. "):
        batch.step([0, last + 1] if numbers == [0, 60] else numbers)
    batch.step([0, last])


MASKS = {
    "too short": np.array([True, False]),
    "too long": np.ones(8, dtype=bool),
    "two axes": np.ones((N, 1), dtype=bool),
    "indices": [0, 2],
    "zeros and ones": np.array([1, 0, 0, 1]),
    "one for all": True,
    "text": "all",
}


@pytest.mark.parametrize("what", MASKS)
def test_a_reset_mask_is_one_bool_for_each_environment(what: str) -> None:
    envs = gym.make_vec("fundenv/FundingHedge-v0", num_envs=N, **COMMON, autoreset_mode="disabled")
    envs.reset(seed=0)
    envs.step(GOOD)
    before = envs.unwrapped.batch.state()  # type: ignore[attr-defined]
    with pytest.raises(
        ConfigError, match=r"reset_mask = .*expected 4 values True or False"
    ) as caught:
        envs.reset(options={"reset_mask": MASKS[what]})
    assert "\n" not in str(caught.value)
    assert np.array_equal(envs.unwrapped.batch.store.episode, before["episode"])  # type: ignore[attr-defined]


def test_a_mask_resets_its_environments_and_seeds_no_other() -> None:
    batch, other = Batch(N, **COMMON), Batch(N, **COMMON)
    for each in (batch, other):
        each.reset(0)
        each.step(GOOD)
    chosen = np.array([False, True, False, True])
    batch.reset(100, mask=chosen)
    assert np.array_equal(batch.store.episode[~chosen], other.store.episode[~chosen])
    assert batch.store.episode[:, t.SEED].tolist() == [0, 101, 2, 103]
    assert batch.store.episode[:, t.DECISION].tolist() == [1, 0, 1, 0]
    fresh = Batch(N, **COMMON)
    fresh.reset(100)
    assert np.array_equal(batch.store.episode[chosen], fresh.store.episode[chosen])


def test_the_first_reset_begins_all_environments() -> None:
    batch = Batch(N, **COMMON)
    with pytest.raises(ConfigError, match="leaves out environment 1, which has not begun"):
        batch.reset(0, mask=[True, False, True, True])
    batch.reset(0, mask=np.ones(N, dtype=bool))
    batch.step(GOOD)


SEEDS = [1.0, np.nan, True, "1", -1, 2**62 + 1, 2**80, [1, 2], [1, 2, 3, -4], [None] * N]


@pytest.mark.parametrize("seed", SEEDS, ids=repr)
def test_a_seed_that_is_none_is_refused_and_changes_nothing(seed: Any) -> None:
    batch = Batch(N, **COMMON)
    batch.reset(0)
    before = batch.state()
    with pytest.raises(ConfigError, match=r"^seed = ") as caught:
        batch.reset(seed)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="path 3 does not exist"):
        batch.reset(5, paths=3)
    assert np.array_equal(batch.store.episode, before["episode"])


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"paths": 0.7}, "path = 0.7: expected a whole number"),
        ({"paths": [0, 1]}, r"path = \[0, 1\]: expected a whole number, or 4"),
        ({"paths": np.nan}, "path = nan"),
        ({"starts": 1.5}, "start = 1.5"),
        ({"paths": np.uint64(2**63)}, r"path = .*, below 2\*\*63"),
        ({"starts": 2**63 - 1}, "start 9223372036854775807 of path 0 is outside"),
        ({"starts": np.array([[1], [2], [3], [4]])}, "start = an array of shape"),
    ],
)
def test_where_an_episode_begins_is_whole_numbers(where: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Batch(N, **COMMON).reset(0, **where)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"per_env": {"cash_rate": [0, 0, 0, 2]}}, r"is 2 for environment 3, outside -0\.5 \.\. 1"),
        ({"per_env": {"max_leverage": [0, 5, 5, 5]}}, "is 0 for environment 0, outside 3 .. 10"),
        ({"per_env": {"cash_rate": [0, 0]}}, "expected 4 finite numbers"),
        ({"per_env": {"cash_rate": 0.1}}, "expected 4 finite numbers"),
        ({"per_env": {"cash_rate": [0, 0, 0, np.nan]}}, "expected 4 finite numbers"),
        ({"per_env": {"cash_rate": [0, 0, 0, 1j]}}, "expected 4 finite numbers"),
        ({"per_env": {"cash_rate": masked([0.0] * N)}}, "masked array"),
        ({"per_env": {"bar_years": [1] * N}}, "no setting 'bar_years'"),
        ({"num_envs": 2.5}, "num_envs = 2.5: expected a whole number"),
        ({"num_envs": True}, "num_envs = True: expected a whole number"),
        ({"num_envs": 10**12}, "num_envs = 1000000000000 needs .* GiB, this machine has"),
        ({"threads": 0}, "threads = 0: must be at least 1"),
    ],
)
def test_numbers_of_a_batch_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Batch(**({"num_envs": N} | COMMON | settings))


# --- states and markets ---------------------------------------------------------------------------


def started(**settings: Any) -> Batch:
    batch = Batch(N, **(COMMON | settings))
    batch.reset(3)
    batch.step(GOOD)
    return batch


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"market": wild_market(6, paths=3, length=120)}, "of a batch with market = "),
        ({"market": wild_market(5, paths=1, length=40)}, "of a batch with market = "),
        ({"margin_mode": "cross"}, "with margin_mode = 'cross', this one has 'isolated'"),
        ({"decision_interval": "8h"}, "with decision_interval = '8h', this one has '4h'"),
        ({"autoreset": "same_step"}, "with autoreset = 2, this one has 0"),
    ],
)
def test_a_state_of_another_market_or_setting_is_refused(
    settings: dict[str, Any], message: str
) -> None:
    batch, before = started(), started().state()
    with pytest.raises(ConfigError, match=message) as caught:
        batch.restore(started(**settings).state())
    assert "\n" not in str(caught.value)
    assert np.array_equal(batch.store.episode, before["episode"])
    assert np.array_equal(batch.block, before["block"])


def test_a_state_of_a_refreshed_market_is_refused_by_the_market_alone() -> None:
    moved = started()
    moved.refresh(wild_market(6, paths=3, length=120))
    moved.reset(4)
    with pytest.raises(ConfigError, match="of a batch with market = "):
        started().restore(moved.state())


DAMAGE = {
    "a row behind the data": (t.ROW, 10**6),
    "a negative row": (t.ROW, -1),
    "another path's row": (t.ROW, 0),
    "a path that does not exist": (t.PATH, 3),
    "a longer path": (t.LAST_ROW, 10**6),
    "rules that do not exist": (t.BOOK, 99),
    "a negative decision": (t.DECISION, -1),
    "a flag of 2": (t.MUST_RESET, 2),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_state_is_refused(what: str) -> None:
    column, value = DAMAGE[what]
    batch = started()
    batch.reset(3, paths=1)
    state = batch.state()
    state["episode"][2, column] = value
    with pytest.raises(ConfigError, match=r"the state has environment 2 at row .* it is damaged"):
        batch.restore(state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block": np.zeros(3)}, r"block = an array of shape \(3,\) .*, this batch float64"),
        ({"obs": None}, "obs = None, this batch float32"),
        ({"params": np.full((1, t.N_PARAMS), np.nan)}, "params that are not finite"),
        ({"seeded": 1}, "seeded = 1; expected a bool"),
        ({"of": None}, "the state has no 'of'"),
    ],
)
def test_arrays_of_a_state_are_those_of_the_batch(change: dict[str, Any], message: str) -> None:
    batch = started()
    with pytest.raises(ConfigError, match=message):
        batch.restore(batch.state() | change)


def test_what_is_no_state_is_refused() -> None:
    for state in (None, 3, {}, [1, 2]):
        with pytest.raises(ConfigError, match=r"expected what Batch\.state\(\)"):
            started().restore(state)  # type: ignore[arg-type]


def test_a_state_saved_before_states_named_their_market_must_lie_on_this_one() -> None:
    state = started().state()
    del state["of"]
    batch = started()
    batch.restore(state)
    batch.step(GOOD)
    short = started(market=wild_market(5, paths=1, length=40))
    with pytest.raises(ConfigError, match="from where this market has no step"):
        short.restore(state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bars": MARKET.bars.astype(np.float32)}, "market.bars is .*float32; expected float64"),
        ({"features": MARKET.features.astype(float)}, "market.features is .*expected float32"),
        ({"bars": np.asfortranarray(MARKET.bars)}, "expected float64 in C order"),
        ({"paths": MARKET.paths + 1}, "leave the .* bars"),
        ({"paths": MARKET.paths[:, ::-1].copy()}, "first row < end row"),
        ({"paths": MARKET.paths - 5}, "leave the .* bars"),
        ({"close_ns": MARKET.close_ns[:-1].copy()}, "market.close_ns is .*does not fit"),
        (
            {
                "bars": np.where(
                    np.arange(len(MARKET.bars))[:, None, None] == 7, np.nan, MARKET.bars
                )
            },
            "market.bars of row 7 are not finite",
        ),
    ],
)
def test_a_market_with_other_arrays_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Batch(N, **(COMMON | {"market": replace(MARKET, **change)}))
    batch = started()
    with pytest.raises(ConfigError, match=message):
        batch.refresh(replace(MARKET, **change))
    batch.step(GOOD)


def test_rules_that_an_episode_began_with_stay_through_a_refresh(tmp_path: Path) -> None:
    """`BOOK` counts eras x paths, and a refresh doubles the paths: the second set of rules would be
    read as the first set of another path.
    """
    text = Path(PLAIN_VENUE).read_text()
    old = re.search(r"^fee = \{.*$", text, re.M)
    assert old is not None
    one = old[0].removeprefix("fee = ")
    days = [
        one.replace("{ ", f"{{ valid_from = {day}, ", 1) for day in ("2020-01-01", "2024-01-03")
    ]
    days[1] = re.sub("value = [0-9.]+", "value = 0.02", days[1])
    venue = tmp_path / "two_eras.toml"
    venue.write_text(text.replace(old[0], f"fee = [{', '.join(days)}]"))
    batch = Batch(N, **(COMMON | {"venue": str(venue)}))
    batch.reset(0, paths=[0, 1, 2, 1], starts=[10, 60, 100, 4])
    batch.step(GOOD)

    def rules() -> Any:
        at = batch.world.symbols[batch.store.episode[:, t.BOOK]][:, 0]
        return batch.world.rules[at, t.AssetRules._fields.index("liquidation_fee")].tolist()

    before = rules()
    assert before == [0.005, 0.02, 0.02, 0.02]
    batch.refresh(wild_market(6, paths=3, length=120))
    assert rules() == before


# --- processes ------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_threads_step_in_a_forked_process_too() -> None:
    script = (
        "import os, numpy as np; from tests.batch.test_gate import *\n"
        "batch = Batch(40, **COMMON, threads=2); batch.reset(0); go = np.ones((40, 3))\n"
        "batch.step(go); state = batch.state(); read, write = os.pipe(); child = os.fork()\n"
        "batch.step(go); mine = batch.reward.tobytes()\n"
        "if child == 0: os.write(write, mine); os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0; assert os.read(read, 400) == mine; batch.close()\n"
        "batch.step(go); print('both stepped')"
    )
    assert run(script).stdout == "both stepped\n"


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{done.returncode}: {done.stdout[-2000:]} {done.stderr[-4000:]}"
    return done


def test_no_array_ends_the_process() -> None:
    done = run("import runpy; runpy.run_module('tests.batch.gate_fuzz', run_name='__main__')")
    assert re.search(r"^alive$", done.stdout, re.M)
