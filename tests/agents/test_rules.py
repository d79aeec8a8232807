"""The rules, on observations written by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import agents
from agents import AgentError, Reason
from fundenv.dynamics.observation import ACCOUNT_COLUMNS
from tests.agents.by_hand import COLUMNS, bound, hold, observe


def test_flat_closes_what_it_finds_and_then_holds() -> None:
    actions = bound(agents.make("flat")).act(observe(carry=[0.0, 0.7]))
    assert hold(actions) == [True, False]
    assert actions[1, 1] == 0.0


def test_carry_enters_when_flat_holds_afterwards_and_waits_for_a_pending_order() -> None:
    actions = bound(agents.make("carry", leverage=4)).act(
        observe(carry=[0.0, 0.98, 0.005, 0.0], pending=[0, 0, 0, 1])
    )
    assert hold(actions) == [False, True, False, True]  # 0.005 is dust
    assert actions[0].tolist() == [0.0, 1.0, 1.0, 4.0]


@pytest.mark.parametrize(
    ("z", "funding", "carry", "expected"),
    [
        # flat: only z >= 2.5 with positive funding enters
        (2.49, 5.0, 0.0, "hold"),
        (2.51, 5.0, 0.0, +1),
        (2.51, -1.0, 0.0, "hold"),
        (-3.0, -5.0, 0.0, "hold"),  # positive side only
        # invested: leave below 0.5, or when funding flips
        (0.51, 1.0, 1.0, "hold"),
        (0.49, 1.0, 1.0, 0),
        (2.0, -0.1, 1.0, 0),
        (2.6, 5.0, 0.97, "hold"),  # already there: the margin keeper does the rest
    ],
)
def test_zscore_enters_above_entry_and_leaves_below_exit_or_on_a_flip(
    z: float, funding: float, carry: float, expected: Any
) -> None:
    action = bound(agents.make("zscore")).act(
        observe(funding_z=z, funding_last=funding, carry=carry)
    )
    assert hold(action) == [expected == "hold"]
    if expected != "hold":
        assert action[0, 1] == expected


@pytest.mark.parametrize(
    ("z", "funding", "carry", "expected"),
    [
        (-2.51, -5.0, 0.0, -1),
        (-2.51, 1.0, 0.0, "hold"),  # below its mean, but still paid by the longs
        (-0.51, -1.0, -1.0, "hold"),
        (-0.49, -1.0, -1.0, 0),
        (-2.0, 0.1, -1.0, 0),  # flipped against a long perpetual
        (-2.6, -5.0, 1.0, -1),  # straight to the other side
    ],
)
def test_two_sided_zscore_is_the_mirror_image(
    z: float, funding: float, carry: float, expected: Any
) -> None:
    action = bound(agents.make("zscore", two_sided=True)).act(
        observe(funding_z=z, funding_last=funding, carry=carry)
    )
    assert hold(action) == [expected == "hold"]
    if expected != "hold":
        assert action[0, 1] == expected


def test_zscore_without_invalidation_sits_through_a_flip() -> None:
    action = bound(agents.make("zscore", invalidation=False)).act(
        observe(funding_z=2.0, funding_last=-1.0, carry=1.0)
    )
    assert hold(action) == [True]


def test_each_asset_is_judged_on_its_own_column() -> None:
    agent = bound(agents.make("zscore"), assets=2)
    first = observe(funding_z=3.0, funding_last=2.0)
    second = observe(funding_z=0.1, funding_last=2.0, carry=1.0)
    width, once = len(COLUMNS), len(ACCOUNT_COLUMNS)
    assert first.shape[1] == width + once
    actions = agent.act(np.concatenate([first[:, :width], second], axis=1)).reshape(2, 4)
    assert actions[:, 0].tolist() == [0.0, 0.0]
    assert actions[:, 1].tolist() == [1.0, 0.0]


HURDLE = 0.045 / 3 / 365 * 1e4  # bp per 8 h of a cash rate of 4.5 %


@pytest.mark.parametrize(
    ("net", "carry", "expected", "reason"),
    [
        (0.61, 0.0, 1.0, Reason.ENTER),
        (0.59, 0.0, "hold", Reason.NEUTRAL),
        (-1.19, 1.0, "hold", Reason.HOLD),
        (-1.21, 1.0, 0.0, Reason.EXIT),
    ],
)
def test_ewma_has_hysteresis_around_the_hurdle(
    net: float, carry: float, expected: Any, reason: Reason
) -> None:
    agent = bound(agents.make("ewma", span=9, enter=0.6, exit=-1.2, leverage=4))
    action = agent.act(observe(funding_ewma_9=net + HURDLE * 5 / 4, cash_rate=0.045, carry=carry))
    assert agent.reasons.tolist() == [[reason]]
    assert hold(action) == [expected == "hold"]
    if expected != "hold":
        assert action.tolist() == [[0.0, expected, 1.0, 4.0]]


@pytest.mark.parametrize(
    ("net", "carry", "expected"),
    [(0.61, 0.0, -1.0), (0.59, 0.0, "hold"), (-1.19, -1.0, "hold"), (-1.21, -1.0, 0.0)],
)
def test_reverse_pays_the_borrow_rate_and_gives_up_the_cash_rate_on_its_margin_alone(
    net: float, carry: float, expected: Any
) -> None:
    agent = bound(agents.make("reverse", span=9, enter=0.6, exit=-1.2, leverage=4))
    hurdle = (0.045 / 4 + 0.0876) / 3 / 365 * 1e4
    action = agent.act(observe(funding_ewma_9=-net - hurdle, cash_rate=0.045, carry=carry))
    assert hold(action) == [expected == "hold"]
    if expected != "hold":
        assert action[0, 1] == expected


def test_carry_restores_its_leverage_when_asked_to() -> None:
    agent = bound(agents.make("carry", leverage=3, rebalance=0.2))
    actions = agent.act(observe(carry=1.0, leverage=[3.5, 3.7, 2.6, 2.4]))
    assert hold(actions) == [True, False, True, False]
    assert agent.reasons[:, 0].tolist() == [Reason.HOLD, Reason.LEVER, Reason.HOLD, Reason.LEVER]
    assert hold(bound(agents.make("carry")).act(observe(carry=1.0, leverage=30.0))) == [True]


def test_buy_and_hold_is_long_without_hedge() -> None:
    actions = bound(agents.make("buy_and_hold", leverage=2)).act(observe(perp_weight=[0.0, 0.6]))
    assert actions[0].tolist() == [0.0, -1.0, 0.0, 2.0]
    assert hold(actions) == [False, True]


def test_dynamic_leverage_falls_with_volatility_and_rises_with_stable_funding() -> None:
    calm, wild = {"volatility_7d": 0.4}, {"volatility_7d": 1.2}
    agent = bound(agents.make("dynamic_leverage", highest=20, gain=1000, liquidation=0.001))
    high = {"funding_ewma_9": 5.0, "funding_last": 5.0}
    levels = [
        agent.act(observe(**high, **state))[0, 3] for state in (calm, wild) if agent.reset() is None
    ]
    # t(4) quantile of 0.9995 in unit variance is 6.088; a day's deviation at 40 % a year is 0.0209;
    # m = 0.01: 1 / L = 0.01 + 1.01 x 0.1275
    assert levels == pytest.approx(
        [1 / (0.01 + 1.01 * 6.0884 * 0.4 / 365**0.5), 1 / (0.01 + 1.01 * 6.0884 * 1.2 / 365**0.5)],
        rel=1e-4,
    )
    agent = bound(agents.make("dynamic_leverage", highest=20, gain=1, liquidation=0.5))
    steady, jumpy = (
        {"funding_ewma_9": 5.0, "funding_last": 5.0, "funding_ewma_90": 5.0 - d} for d in (1.0, 2.5)
    )
    levels = [
        agent.act(observe(**state, **calm))[0, 3]
        for state in (steady, jumpy)
        if agent.reset() is None
    ]
    assert levels == pytest.approx([5.0, 2.0])


def test_dynamic_leverage_leaves_small_changes_alone() -> None:
    agent = bound(agents.make("dynamic_leverage", highest=20, gain=1, step=1.3, liquidation=0.5))
    state = {
        "funding_ewma_9": 5.0,
        "funding_last": 5.0,
        "funding_ewma_90": 4.0,
        "volatility_7d": 0.1,
        "carry": 1.0,
    }
    actions = agent.act(observe(**state, target_leverage=[4.0, 3.8]))
    assert hold(actions) == [True, False]
    assert agent.reasons[:, 0].tolist() == [Reason.HOLD, Reason.LEVER]
    assert actions[1, 3] == pytest.approx(5.0)


def test_a_new_rate_moves_the_mean_and_an_old_one_does_not() -> None:
    agent = bound(agents.make("ewma", span=4, enter=0.0, exit=-0.1))
    turn = 2 * np.pi / 8

    def signal(rate: float, hour: int) -> float:
        phase = {"settlement_sin": np.sin(turn * hour), "settlement_cos": np.cos(turn * hour)}
        return float(agent.signal(observe(funding_last=rate, funding_ewma_3=1.0, **phase))[0, 0])

    assert signal(1.0, 7) == pytest.approx(1.0)  # begins at the observed mean of the nearest span
    # the settlement of this very instant is not in the observation
    assert signal(1.0, 8) == pytest.approx(1.0)
    assert signal(2.0, 1) == pytest.approx(1.4)  # 1 + 2 / 5 x (2 - 1)
    assert signal(2.0, 2) == pytest.approx(1.4)
    agent.reset()
    assert signal(1.0, 8) == pytest.approx(1.0)
    assert signal(2.0, 8) == pytest.approx(1.4)  # a decision every 8 h: the phase is full at each
    assert signal(2.0, 8) == pytest.approx(1.64)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"entry": [2.0, 30.0]}, r"agent zscore: entry = 30.0 is outside 0 \.\. 20; set it within"),
        (
            {"entry": [2.0, 3.0], "exit": [1.0, 4.0]},
            r"agent zscore: exit = 4.0 is outside -20 \.\. entry = 3.0 \(excluded\)",
        ),
        # against the value that all share
        ({"exit": [1.0, 2.6]}, r"exit = 2.6 is outside -20 \.\. entry = 2.5"),
        ({"entrance": [2.0]}, r"agent zscore has no parameter 'entrance'; did you mean entry\?"),
        (
            {"entry": [2.0, 3.0], "exit": [1.0]},
            r"have shapes \[\(1,\), \(2,\)\]; give one value per environment each",
        ),
        ({"below": [2.0]}, r"agent zscore has no parameter 'below'"),
    ],
)
def test_wrong_values_per_environment_are_named(values: dict[str, Any], said: str) -> None:
    with pytest.raises(AgentError, match=said):
        agents.make("zscore").vary(values)  # type: ignore[attr-defined]


def test_a_varied_rule_is_not_saved_and_its_number_of_environments_is_checked(
    tmp_path: Any,
) -> None:
    agent = bound(agents.make("ewma"))
    agent.vary({"span": [3.0, 9.0]})
    with pytest.raises(AgentError, match=r"has parameters per environment \(span\)"):
        agent.save(tmp_path)
    agent.act(observe(funding_last=[1.0, 2.0]))
    with pytest.raises(
        AgentError, match=r"remembers 2 environments and got 3 observations; call reset\(\)"
    ):
        agent.act(observe(funding_last=[1.0, 2.0, 3.0]))
