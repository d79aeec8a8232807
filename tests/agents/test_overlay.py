"""A rule laid over an agent: it refuses entries, closes positions, and does nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import agents
from agents import AgentError
from agents.reasons import Reason
from experiments.rollout.make import roll_out
from fundenv.batch.cpu import Batch
from fundenv.market import synthetic_market

MARKET = synthetic_market("btc", years=0.4, paths=2, seed=3)
CASH = {"cash_rate": 0.02}


def bound(agent: Any, market: Any = MARKET) -> Batch:
    batch = Batch(
        market.n_paths, market=market, episode=None, random_start=False, **agent.env_settings()
    )
    agent.bind(batch)
    agent.reset()
    batch.reset(0)
    return batch


def test_a_rule_over_itself_changes_nothing() -> None:
    plain = roll_out(agents.make("ewma"), MARKET, CASH)
    over = agents.make("overlay", base="ewma", rule="ewma")
    laid = roll_out(over, MARKET, CASH)
    for one, two in zip(plain, laid, strict=True):
        np.testing.assert_array_equal(one.equity, two.equity)
    assert (over.refused, over.closed) == (0, 0)
    assert over.decisions == sum(len(one.time) for one in plain)


def test_a_rule_that_is_never_invested_refuses_every_entry() -> None:
    over = agents.make("overlay", base="buy_and_hold", rule="flat")
    for one in roll_out(over, MARKET, CASH):
        assert not one.invested.any()
        assert one.turnover.sum() == 0.0
    assert over.refused > 0
    assert over.closed == 0
    assert f"refused {over.refused:,} times" in over.counts()


def test_only_flat_closes_what_the_rule_would_leave() -> None:
    """ewma leaves at once where its exit lies above every rate; entered by the base alone."""
    market = MARKET
    for mode, closes in (("veto", False), ("flat", True)):
        over = agents.make("overlay", base="carry", rule="ewma enter=90 exit=80", mode=mode)
        batch = bound(over, market)
        batch.step(np.tile([0.0, 1.0, 1.0, 3.0], (market.n_paths, 1)))  # by hand: invested
        batch.step(over.act(batch.obs))
        held = np.abs(over.carry.of(batch.obs)) > 0.5
        assert held.all() != closes
        assert (over.reasons == Reason.FORCED).all() == closes


def test_entries_of_the_overlay_are_those_that_both_want() -> None:
    quick, slow = {"span": 3, "enter": -0.2, "exit": -0.3}, {"span": 21, "enter": 0.0, "exit": -3}
    base, rule = agents.make("ewma", **quick), agents.make("ewma", **slow)
    texts = (" ".join(["ewma", *(f"{k}={v}" for k, v in each.items())]) for each in (quick, slow))
    over = agents.make("overlay", base=next(texts), rule=next(texts), mode="veto")
    batch = bound(over)
    base.bind(batch)
    rule.bind(batch)
    entered = refused = 0
    for _ in range(400):
        obs = batch.obs
        one, two, both = (a.act(obs).reshape(-1, 4) for a in (base, rule, over))
        flat = np.abs(over.carry.of(obs)[:, 0]) <= 0.02
        wants = flat & (one[:, 0] < 0.5) & (one[:, 1] > 0.5)
        agrees = (two[:, 0] < 0.5) & (two[:, 1] > 0.5)
        enters = flat & (both[:, 0] < 0.5) & (both[:, 1] > 0.5)
        np.testing.assert_array_equal(enters, wants & agrees)
        np.testing.assert_array_equal(over.reasons[:, 0] == Reason.VETO, wants & ~agrees)
        entered, refused = entered + int(enters.sum()), refused + int((wants & ~agrees).sum())
        batch.step(both.reshape(len(obs), -1))
    assert entered > 0
    assert refused > 0


@pytest.mark.slow
def test_a_network_with_a_rule_that_agrees_acts_as_alone(tmp_path: Any) -> None:
    """Gates become target actions, bit for bit."""
    agent = agents.make("ppo", imitate=0, counterfactual_rounds=0, n_envs=4, n_steps=32)
    agent.learn(MARKET, CASH, steps=128, seed=0)
    agent.save(tmp_path / "ppo")
    alone = roll_out(agents.load(tmp_path / "ppo"), MARKET, CASH)
    over = agents.make("overlay", base=str(tmp_path / "ppo"), rule="buy_and_hold", mode="veto")
    laid = roll_out(over, MARKET, CASH)
    for one, two in zip(alone, laid, strict=True):
        np.testing.assert_array_equal(one.equity, two.equity)
    none = agents.make("overlay", base=str(tmp_path / "ppo"), rule="flat")
    assert not any(one.invested.any() for one in roll_out(none, MARKET, CASH))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"base": "ppo"}, "ppo has to be trained"),
        ({"base": "no/such/folder"}, "is no folder with checkpoint.json"),
        ({"rule": "overlay"}, "cannot lie over itself"),
        ({"rule": ""}, "is no folder with"),
        ({"mode": "both"}, "mode"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(given: dict[str, Any], said: str) -> None:
    with pytest.raises(AgentError, match=said) as caught:
        agents.make("overlay", **given)
    assert "\n" not in str(caught.value)
