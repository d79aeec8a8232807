"""A rule uses the numbers of the venue that are in force on the account's day, none of later."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import agents
from fundenv.batch.cpu import Batch
from fundenv.market import Market, synthetic_market
from fundenv.venues import VenueError
from tests.markets import PLAIN_VENUE

KEPT = ("interval_hours", "first_hour", "scaled", "lag_intervals")  # of the funding of the market
OTHER = {"flat", "random", "forecast", "forecast_leverage", "clairvoyant", "portfolio_clairvoyant"}
OTHER |= {"venue_clairvoyant", "venue_pair"}  # the future, and two perpetuals of a coin
RULES = [n for n in agents.names() if not agents.agent_class(n).learns and n not in OTHER]


@pytest.fixture(scope="module")
def coin() -> Market:
    return synthetic_market("btc", years=0.3, seed=1)


@pytest.fixture(scope="module")
def coins() -> Market:
    return synthetic_market(("btc", "eth"), years=0.3, seed=1)


def venue(folder: Path, *later: str, brackets: tuple[tuple[str, float], ...] = ()) -> str:
    """The plain venue, whose numbers halve on each of the days `later`, and whose brackets follow
    `brackets`: (day, maintenance rate).
    """

    def dated(found: re.Match[str]) -> str:
        name, number, rest = found.groups()
        if name in KEPT or float(number) == 0.0:
            return found[0]
        tables = [
            f"{{ valid_from = {day}, value = {float(number) * 0.5**k}, {rest} }},"
            for k, day in enumerate(("2019-01-01", *later))
        ]
        return f"{name} = [{' '.join(tables)}]"

    text = Path(PLAIN_VENUE).read_text(encoding="utf-8")
    if later:
        text = re.sub(r"^(\w+) = \{ value = ([\d.]+), (.*) \}$", dated, text, flags=re.M)
    made = "".join(
        f'[[tiers.default]]\nvalid_from = {day}\nsource = "made up"\n'
        f"brackets = [[0, 125, {rate}]]\n"
        for day, rate in brackets
    )
    plain = re.compile(r"\[\[tiers\.default\]\]\n.*\n.*\nbrackets = .*\n")
    assert plain.search(text)
    file = folder / f"dated-{len(later)}-{len(brackets)}.toml"
    file.write_text(plain.sub(made, text) if brackets else text, encoding="utf-8")
    return str(file)


def walk(name: str, market: Market, file: str, steps: int) -> np.ndarray:
    agent: Any = agents.make(name)
    settings = {"margin_mode": "portfolio", "venue": file} | agent.env_settings()
    batch = Batch(1, market=market, random_start=False, episode=None, **settings)
    agent.bind(batch)
    batch.reset(0)
    actions = []
    for _ in range(steps):
        actions.append(np.array(agent.act(batch.obs)))
        batch.step(actions[-1])
    return np.array(actions)


@pytest.mark.parametrize("name", RULES)
def test_no_rule_uses_later_numbers_of_the_venue(
    tmp_path: Path, coin: Market, coins: Market, name: str
) -> None:
    rates = (("2019-01-01", 0.02),)
    now = venue(tmp_path, brackets=rates)
    later = venue(tmp_path, "2030-01-01", brackets=(*rates, ("2030-01-01", 0.001)))
    for market in (coin, coins):
        assert np.array_equal(walk(name, market, now, 90), walk(name, market, later, 90))


@pytest.mark.parametrize("name", ["margin_carry", "dynamic_leverage"])
def test_a_rule_knows_the_brackets_of_its_account(tmp_path: Path, coins: Market, name: str) -> None:
    """The maintenance rate is 5 % until 2020-02-01, then 1 %."""
    file = venue(tmp_path, brackets=(("2019-01-01", 0.05), ("2020-02-01", 0.01)))
    agent: Any = agents.make(name)
    settings = agent.env_settings() | {"margin_mode": "portfolio", "venue": file}
    batch = Batch(2, market=coins, max_participation=0.0, **settings)
    agent.bind(batch)
    day = np.datetime64("2020-02-10").astype("M8[ns]").astype(np.int64)
    late = int(np.searchsorted(coins.close_ns, day))

    def rates() -> Any:
        agent.act(batch.obs)
        return agent.capital.maintenance if name == "margin_carry" else agent.maintenance.of(2)

    batch.reset(0, paths=[0, 0], starts=[0, late])
    assert rates()[:, 0].tolist() == [0.05, 0.01]
    batch.reset(0, paths=[0, 0], starts=[late, late])
    assert set(np.ravel(rates())) == {0.01}


def test_interest_on_quote_that_changes_within_the_market_is_refused(
    tmp_path: Path, coin: Market
) -> None:
    file = venue(tmp_path, "2020-02-01")
    with pytest.raises(VenueError, match=r"borrow\.quote_annual changes on 2020-02-01"):
        Batch(1, market=coin, venue=file)
    Batch(1, market=coin, venue=file, venue_date="2020-01-15")
    batch = Batch(1, market=coin, venue=file, quote_borrow_rate=0.05)
    assert batch.config.quote_borrow_rate == 0.05
