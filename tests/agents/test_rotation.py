"""The rotation rule on observations written by hand, and in the environment."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import agents
from agents import Reason
from fundenv.batch.cpu import Batch
from fundenv.market import synthetic_market
from tests.agents.one_capital import look


def answer(funding: tuple[float, float], carry: tuple[float, float]) -> list[str]:
    """Per coin "hold", or the carry asked; mean funding [bp per 8 h] is the signal itself."""
    agent: Any = agents.make("rotation")
    market = synthetic_market(("btc", "eth"), years=0.1, seed=1)
    batch = Batch(1, market=market, cash_rate=0.0, **agent.env_settings())
    agent.bind(batch)
    batch.reset(0)
    coins = [{"mean": mean, "carry": held} for mean, held in zip(funding, carry, strict=True)]
    action = agent.act(look(batch, *coins)).reshape(2, 4)
    return ["hold" if flag > 0.5 else f"{wanted:g}" for flag, wanted, *_ in action]


@pytest.mark.parametrize(
    ("funding", "carry", "expected"),
    [
        ((0.1, 0.15), (0, 0), ["hold", "hold"]),  # nothing above 0.2
        ((0.3, 0.4), (0, 0), ["hold", "1"]),  # the best coin
        ((0.3, 1.0), (1, 0), ["hold", "hold"]),  # better by less than 0.8
        ((0.3, 1.2), (1, 0), ["0", "1"]),  # swapped
        ((-0.1, 0.3), (1, 0), ["hold", "hold"]),  # above the exit
        ((-0.3, 0.1), (1, 0), ["0", "hold"]),  # left, and nothing to enter
        ((-0.3, 0.3), (1, 0), ["0", "1"]),
        ((0.5, 0.6), (0.5, 0.5), ["0", "hold"]),  # of two the better stays
    ],
)
def test_at_most_one_coin_is_held(
    funding: tuple[float, float], carry: tuple[float, float], expected: list[str]
) -> None:
    assert answer(funding, carry) == expected


@pytest.mark.parametrize("margin_mode", ["isolated", "portfolio"])
def test_it_walks_one_capital_and_never_uses_more(margin_mode: str) -> None:
    market = synthetic_market(("btc", "eth"), years=0.5, seed=1)
    agent = agents.make("rotation", leverage=1)
    settings: dict[str, Any] = {"market": market, "margin_mode": margin_mode, "episode": None}
    batch = Batch(4, **settings, **agent.env_settings(), cash_rate=0.0)
    agent.bind(batch)
    batch.reset(0)
    entered = 0
    for _ in range(300):
        batch.step(agent.act(batch.obs))
        entered += int((agent.reasons == Reason.ENTER).sum())  # type: ignore[attr-defined]
        carry = agent.carry.of(batch.obs)  # type: ignore[attr-defined]
        assert ((carry > 0.02).sum(axis=1) <= 1).all()
    assert entered > 0


def test_portfolio_margin_pays_interest_only_on_what_it_borrows() -> None:
    """At leverage 1 and a collateral rate of 0.6 notional is 1 / 1.4 of the equity: no loan.
    At 3 it is 3 / 2.2 = 1.36 of it: cash pays for 0.733 of each quote of notional.
    """
    market = synthetic_market("btc", years=0.2, seed=1)
    for leverage, borrowed in ((1.0, 0.0), (3.0, 1.0 - 2.2 / 3.0)):
        agent: Any = agents.make("rotation", leverage=leverage)
        agent.bind(Batch(1, market=market, margin_mode="portfolio", **agent.env_settings()))
        assert agent.capital.collateral == pytest.approx(0.6)
        wanted = 0.04 * (1 - borrowed) + agent.capital.loans.quote_rate * borrowed
        assert agent.hurdle(np.array([[0.04]], np.float32)) == pytest.approx(wanted)
