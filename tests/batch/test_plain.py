"""Plain Python steps the same bits as compiled code, in every mode: so nobody can tell when the
compiled form took over.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from numba.core import config as numba_config

from fundenv.batch.cpu import Batch
from fundenv.compiler.beside import Beside
from fundenv.compiler.plain import plain
from fundenv.dynamics import types as t
from fundenv.envs.single import FundingHedgeEnv
from fundenv.market import synthetic_market, synthetic_portfolio
from tests.laws.play import action, make_env
from tests.laws.test_reference import EVERYTHING
from tests.laws.wild import (
    MIXED,
    PLACED,
    SEEDS,
    SYMBOLS,
    away_settings,
    failing_settings,
    full_targets,
    inverse_settings,
    mixed_settings,
    poor_settings,
    remembering_settings,
    settings,
    tame_targets,
    targets,
)
from tests.markets import wild_market

EXAMPLES, STEPS = 12, 25
MODES: dict[str, tuple[Any, Any, Any, dict[str, bool]]] = {
    "linear": (settings(), SYMBOLS, targets, {"listings": True}),
    "inverse": (inverse_settings(), SYMBOLS, targets, {}),
    "memory": (remembering_settings(), SYMBOLS, targets, {}),
    "poor": (poor_settings(), SYMBOLS, full_targets, {}),
    "away": (away_settings(), PLACED, tame_targets, {}),
    "mixed": (mixed_settings(), MIXED, tame_targets, {"listings": True}),
    "failing": (failing_settings(), PLACED, tame_targets, {"failures": True}),
}
KEPT = [column for column in range(t.N_LEG) if column not in t.SCRATCH]
ONE = synthetic_market("btc", years=0.3, paths=2, seed=1)
COINS = synthetic_portfolio(3, years=0.3, seed=0, late=0.0, gone=0.0)
OBSERVED = (
    "available liquidation_distance spot_displacement perp_displacement unused_collateral"
    " borrow_cost keeper_up"
).split()
RANGES = {"fee_scale": ("log", 0.5, 2.0), "funding_scale": (0.5, 1.5), "cash_rate": (0.0, 0.05)}
OTHER: dict[str, dict[str, Any]] = {
    "continuous": {"market": ONE, "start_invested": 0.5, "randomize": RANGES},
    "discrete": {"market": ONE, "actions": "discrete", "observe": OBSERVED},
    "indexed": {"market": ONE, "actions": "indexed", "margin_mode": "cross"},
    "portfolio": {
        "market": COINS,
        "margin_mode": "portfolio",
        "capital": "shared",
        "keeper_watches": "equity",
        "observe": OBSERVED,
    },
}
compiled = pytest.mark.skipif(bool(numba_config.DISABLE_JIT), reason="nothing is compiled here")


class Addressed(np.ndarray):  # type: ignore[type-arg]
    """An array as compiled code addresses it: an index for every axis, none negative."""

    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(self.checked(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(self.checked(index), value)

    def checked(self, index: Any) -> Any:
        places = index if isinstance(index, tuple) else (index,)
        assert len(places) == self.ndim, index
        assert min(places) >= 0, index
        return index


def addressed(thing: Any) -> Any:
    """An array, or a NamedTuple with arrays, of which every index is checked."""
    if isinstance(thing, np.ndarray):
        return thing.view(Addressed)
    return type(thing)(*map(addressed, thing)) if isinstance(thing, tuple) else thing


@pytest.fixture(autouse=True)
def checked_indices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check every index of plain Python: compiled code would read or write elsewhere."""

    def plain_checked(rule: Any) -> Any:
        return lambda *given: plain(rule)(*map(addressed, given))

    monkeypatch.setattr("fundenv.batch.entry.plain", plain_checked)


def bits(batch: Batch) -> list[bytes]:
    """All that a step writes, but for what means nothing between steps."""
    store, out = batch.store, batch.out
    arrays = (store.params, store.account, store.legs[:, :, KEPT], store.episode, store.displaced)
    return [array.tobytes() for array in (*arrays, *out)]


def walk(envs: list[FundingHedgeEnv], moves: Any, seen: Counter[str], **start: Any) -> None:
    """Step two environments alike until the episode ends."""
    for env in envs:
        env.reset(**start)
    for step, move in enumerate(moves):
        first, second = (bits(env.batch) for env in envs)
        assert first == second, f"step {step}"
        ended = [any(env.step(move)[2:4]) for env in envs]
        seen["steps"] += 1
        seen["liquidations"] += int(envs[0].batch.store.legs[0, :, t.LIQUIDATED].sum())
        if any(ended):
            break
    first, second = (bits(env.batch) for env in envs)
    assert first == second


@compiled
@pytest.mark.parametrize("mode", MODES)
def test_plain_python_steps_the_same_bits(mode: str) -> None:
    drawn, symbols, draw, how = MODES[mode]
    seen: Counter[str] = Counter()

    @hypothesis_settings(max_examples=EXAMPLES, **EVERYTHING)
    @given(SEEDS, symbols, drawn)
    def check(seed: int, assets: tuple[str, ...], chosen: dict[str, Any]) -> None:
        listed = how if len(assets) > 1 else {}
        market, rng = wild_market(seed, assets, 2, **listed), np.random.default_rng(seed)
        envs = [make_env(market, **chosen) for _ in range(2)]
        envs[0].batch.use_compiled()
        envs[1].batch.use_python()
        for path in range(2):
            moves = (action(draw(rng, market.n_assets)) for _ in range(STEPS))
            start = {"path": path, "start": int(rng.integers(0, 20))}
            walk(envs, moves, seen, seed=seed, options=start)

    check()
    assert seen["steps"] > 200
    assert seen["liquidations"] > 5, seen


@compiled
@pytest.mark.parametrize("case", OTHER)
def test_of_every_kind_of_action_and_observation(case: str) -> None:
    envs = [FundingHedgeEnv(episode="20D", **OTHER[case]) for _ in range(2)]
    envs[0].batch.use_compiled()
    envs[1].batch.use_python()
    envs[0].action_space.seed(0)
    seen: Counter[str] = Counter()
    for seed in range(5):
        moves = [envs[0].action_space.sample() for _ in range(70)]
        walk(envs, moves, seen, seed=seed)
    assert seen["steps"] > 250


@compiled
def test_an_environment_waits_for_nobody_and_changes_over_unseen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Plain steps while another process compiles, then the compiled ones, in mid-episode."""
    expected = FundingHedgeEnv(market=ONE)
    expected.batch.use_compiled()
    answers = {"over": False}
    monkeypatch.setattr(Beside, "is_over", lambda self: answers["over"])
    env, waiting = FundingHedgeEnv(market=ONE), Batch(1, market=ONE)
    expected.action_space.seed(0)
    ran = Counter[str]()
    plain = type(env.batch.calls).use_compiled
    monkeypatch.setattr(
        type(env.batch.calls), "use_compiled", lambda self: ran.update(["over"]) or plain(self)
    )
    walk([expected, env], (expected.action_space.sample() for _ in range(20)), Counter(), seed=3)
    assert not ran
    answers["over"] = True
    for _ in range(20):
        move = expected.action_space.sample()
        assert str(env.step(move)) == str(expected.step(move))
        assert bits(env.batch) == bits(expected.batch)
    assert ran["over"] == 1
    waiting.reset(3)  # a batch has waited, and asks nobody
