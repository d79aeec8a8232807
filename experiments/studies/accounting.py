"""Checks the accounting law in every mode of one capital, and on two venues with three coins each:
the parts of a step add up to the change of equity, and equity to balances and prices, to 1e-9 of
the money that moved.

Accounts take random and often extreme targets on coins that are listed and delisted, and keep most
targets for a while. The table gives the largest error of each mode, and how often the rare rules
were applied: the check covers only rules that occur in its sample. A mode that breaks the law ends
the command with an error that names account and decision.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.core.cli import run
from experiments.core.run_folder import RunError
from fundenv.batch.cpu import Batch
from fundenv.checks import TOLERANCE, random_actions, step_errors
from fundenv.dynamics import types as t
from fundenv.envs.portfolio import PORTFOLIO
from fundenv.market import Market, fail_venue, synthetic_market, synthetic_portfolio
from fundenv.settings import Range

ONE = {**PORTFOLIO, "max_leverage": 50.0, "episode": "60D"}
DIALS = {"dials": ("carry", "leverage")}
POOLS = {"quote_supply": 4e5, "base_supply": 3e5, "borrow_used": 0.5, "margin_level": 1.1}
MEMORY = {"initial_equity": 2e7, "impact_lasting": 0.8, "funding_response": 2.0}
HARSH = {"liquidation_gap": 0.5, "deficit_share": 0.5, "adl_sigma": 0.3, "crash_sigma": 2.0}
VENUES = {"margin_mode": "isolated", "max_leverage": 10.0}
CROSS = {"margin_mode": "cross"}
TRAVEL = {"transfer_delay": "8h", "transfer_cost": 5.0}
# title -> settings beside those of the portfolio env
MODES: dict[str, dict[str, Any]] = {
    "isolated": {"margin_mode": "isolated"},
    "cross": {"margin_mode": "cross"},
    "portfolio": {},
    "portfolio, capital in parts": {"capital": "parts"},
    "portfolio, decisions every 1 h": {"decision_interval": "1h"},
    "portfolio, decisions every 4 h": {"decision_interval": "4h"},
    "discrete": {"actions": "discrete", "carry_grid": (-1.0, 0.0, 0.5, 1.0)} | DIALS,
    "target": {"actions": "target"},
    "indexed": {"actions": "indexed", "carry_grid": (0.0, 0.5, 1.0), "dials": ("carry",)},
    "keeper off": {"keeper_interval": None},
    "keeper as a dial, isolated": {
        "margin_mode": "isolated",
        "dials": ("carry", "leverage", "keeper"),
    },
    "keeper as a dial, portfolio": {"dials": ("carry", "leverage", "keeper")},
    "scarce loans": POOLS,
    "gaps and deleveraging, isolated": HARSH | {"margin_mode": "isolated"},
    "gaps and deleveraging, portfolio": HARSH,
    "impact that fades": MEMORY | {"impact_half_life": "12h"},
    "impact for good": MEMORY | {"impact_half_life": None, "impact_exponent": 1.0},
    "everything at once": POOLS | HARSH | MEMORY | {"decision_interval": "1h"},
    "inverse, isolated": {"venue": "bybit_inverse", "margin_mode": "isolated"},
    "inverse, portfolio": {"venue": "bybit_inverse"},
    "two venues": VENUES,
    "two venues, money travels": VENUES | TRAVEL,
    "two venues, one fails": VENUES | TRAVEL | HARSH,
    "two venues, cross": VENUES | CROSS,
    "two venues, inverse beside linear, isolated": VENUES,
    "two venues, inverse beside linear, cross": VENUES | CROSS | HARSH,
    "two venues, cross, money travels": VENUES | CROSS | TRAVEL,
    "two venues, cross, one fails": VENUES | CROSS | TRAVEL | HARSH,
    "two venues, cross, that of coins and cash fails": VENUES | CROSS | TRAVEL | HARSH,
}


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the check."""

    steps: Annotated[int, Range(1, 10**9, "decisions")] = 1_000_000
    """Decisions of each mode, all accounts together."""
    accounts: Annotated[int, Range(1, 100_000, "accounts")] = 500
    """Number of accounts."""
    coins: Annotated[int, Range(2, 32, "coins")] = 4
    """Coins of each account."""
    modes: tuple[str, ...] = ()
    """Parts of the names of the modes to check; none: all."""
    seed: int = 0
    """Seed of the market, the starts and the actions."""


def main(args: Args) -> None:
    """Check mode after mode, then show the table."""
    market = synthetic_portfolio(args.coins, years=2.0, paths=2, seed=args.seed, late=1.0, gone=1.0)
    table = Table(
        "mode", "decisions", "largest error", "liquidations", "delisted or failed", "ruined"
    )
    console = Console(width=110)
    for name in chosen(args.modes):
        held = market
        if "venues" in name:
            held = on_venues(args.seed, failing(name), inverse="inverse" in name)
        found = checked(held, args, MODES[name])
        table.add_row(name, f"{found[0]:,}", f"{found[1]:.1e}", *(f"{n:,}" for n in found[2:]))
        console.print(f"{name}: {found[1]:.1e}", highlight=False)
    console.print(table)


def failing(mode: str) -> str:
    """The venue that fails in a mode, "" for none."""
    if "fails" not in mode:
        return ""
    return "binance" if "coins" in mode else "hyperliquid"


def on_venues(seed: int, fails: str, inverse: bool) -> Market:
    """Three coins on each of two venues: on Binance, and on Hyperliquid beside spot on Binance or,
    with `inverse`, as Bybit's inverse contracts. The venue `fails`, if any, fails half-way.
    """
    market = synthetic_market(("btc", "eth", "alt") * 2, years=2.0, paths=2, seed=seed)
    names = [name.removeprefix("SYNTH-").rsplit("-", 1)[0] for name in market.symbols[0]]
    placed = tuple(
        f"binance:{name}"
        if k < 3
        else f"bybit_inverse:{name}"
        if inverse
        else f"hyperliquid:{name}@binance:{name}"
        for k, name in enumerate(names)
    )
    market = replace(market, symbols=(placed,) * market.n_paths)
    return fail_venue(market, fails, "2020-12-15") if fails else market


def chosen(parts: tuple[str, ...]) -> Iterator[str]:
    """Names of the modes that have one of `parts` in them. Raises `RunError` for a part of none."""
    for part in parts:
        if not any(part in name for name in MODES):
            raise RunError(f"--modes {part!r}: expected a part of {', '.join(MODES)}")
    yield from (name for name in MODES if not parts or any(part in name for part in parts))


def checked(
    market: Market, args: Args, settings: dict[str, Any]
) -> tuple[int, float, int, int, int]:
    """(decisions, largest relative error, liquidations, coins held when they were delisted or their
    venue failed, ruined accounts) of one mode. Raises `RunError` where the law does not hold.
    """
    batch = Batch(args.accounts, market=market, **ONE | settings)
    rng = np.random.default_rng(args.seed)
    batch.reset(args.seed)
    actions = random_actions(batch, rng)
    worst, closed, gone, ruined, done = 0.0, 0, 0, 0, 0
    while done < args.steps:
        errors = step_errors(batch, actions := bold(batch, rng, actions))
        worst = max(worst, float(errors.max()))
        if worst > TOLERANCE:
            raise RunError(
                f"--seed {args.seed}: the parts or the balances of account"
                f" {int(errors.max(axis=0).argmax())} miss its equity by {worst:.1e} after"
                f" {done:,} decisions; it may be {TOLERANCE:g} of the money that moved"
            )
        done += args.accounts
        closed += int(batch.store.legs[:, :, t.LIQUIDATED].sum())
        reasons = batch.store.legs[:, :, t.REASON]
        gone += int(np.isin(reasons, (t.REASON_DELISTED, t.REASON_FAILED)).sum())
        ruined += int(batch.terminated.sum())
        batch.reset(mask=batch.terminated | batch.truncated)
    return done, worst, closed, gone, ruined


def bold(batch: Batch, rng: np.random.Generator, before: Any) -> Any:
    """Actions: nine tenths stay; of the others half of the dials are at an end of their range."""
    drawn = random_actions(batch, rng)
    if batch.config.actions == "continuous":
        drawn = np.where(rng.random(drawn.shape) < 0.5, np.sign(drawn), drawn)
    stays = rng.random(batch.num_envs) < 0.9
    return np.where(stays.reshape(-1, *[1] * (drawn.ndim - 1)), before, drawn)


if __name__ == "__main__":
    run(Args, main, __doc__)
