"""Play targets through the environment, and through the reference account beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.config import EnvConfig
from fundenv.envs.single import FundingHedgeEnv
from fundenv.market.market import Market
from tests.markets import PLAIN_VENUE, bar, tape
from tests.oracle.linear import PARTS

Target = tuple[float, float, float]
HOLD = None
FLAT: Target = (0.0, 1.0, 1.0)

# nothing costs anything and nobody interferes, so that a test switches on only what it is about
FRICTIONLESS: dict[str, Any] = {
    "venue": PLAIN_VENUE,
    "actions": "target",
    "initial_equity": 30_000.0,
    "max_leverage": 10.0,
    "decision_interval": "1h",
    "episode": None,
    "random_start": False,
    "start_invested": 0.0,
    "cash_rate": 0.0,
    "quote_borrow_rate": 0.0,
    "base_borrow_rate": 0.0,
    "perp_fee": 0.0,
    "spot_fee": 0.0,
    "keeper_interval": None,
    "rebalance_band": 0.0,
    "max_participation": 0.0,
    "base_supply": 0.0,
}


def rally(last: float = 150.0) -> Market:
    """Five bars of COSTLY, which rises from 100 to 150 in the third, is then at 150 and at `last`
    from the end of the fourth. Volatility is 0, so that orders have no impact.
    """
    still = {"sigma_day": 0.0}
    return tape(
        bar(100, **still),
        bar(100, **still),
        bar(100, 150, **still),
        bar(150, last, **still),
        bar(last, **still),
        symbols=("COSTLY",),
    )


def frictionless(**settings: Any) -> EnvConfig:
    return EnvConfig.from_dict(FRICTIONLESS | settings)


def make_env(market: Market, **settings: Any) -> FundingHedgeEnv:
    """An environment with target actions, without costs and keeper unless `settings` says
    otherwise.
    """
    return FundingHedgeEnv(market=market, info=True, **(FRICTIONLESS | settings))


def action(targets: Sequence[Target | None]) -> NDArray[np.float32]:
    """The float32 action of one target per asset: hold flag, carry, hedge, leverage, asset after
    asset.
    """
    return np.array(
        [(1.0, 0.0, 0.0, 1.0) if t is None else (0.0, *t) for t in targets], np.float32
    ).ravel()


def as_float32(target: Target | None) -> Target | None:
    """What the environment reads of a target."""
    return None if target is None else tuple(float(np.float32(v)) for v in target)  # type: ignore[return-value]


def play(
    env: FundingHedgeEnv,
    moves: Iterable[Target | Sequence[Target | None] | None],
    start: int = 0,
    path: int = 0,
) -> list[dict[str, Any]]:
    """Reset to a row of a path and take the moves until one ends the episode; the infos with
    reward, flags and observation beside them.
    """
    env.reset(options={"path": path, "start": start})
    infos = []
    for move in moves:
        targets = move if isinstance(move, list) else [move]
        obs, reward, terminated, truncated, info = env.step(action(targets))
        infos.append(
            dict(info)
            | {
                "obs": obs.copy(),
                "reward": reward,
                "terminated": terminated,
                "truncated": truncated,
            }
        )
        if terminated or truncated:
            break
    return infos


def equity_of(info: dict[str, Any], inverse: Any = False) -> float:
    """Equity counted up from account and prices; inverse: whether an asset is, or each of them."""
    account, prices = info["account"], info["prices"]
    held = np.where(account["perp"] != 0, account["entry"], np.inf)
    coins = account["spot"] + account["margin"] + account["perp"] * (1 / held - 1 / prices["mark"])
    legs = (
        account["spot"] * prices["spot"]
        + account["margin"]
        + np.abs(account["sent"])
        + account["perp"] * (prices["mark"] - account["entry"])
    )
    return float(account["cash"] + np.where(inverse, coins * prices["spot"], legs).sum())


def difference(
    got: dict[str, Any],
    expected: dict[str, Any],
    scale: float,
    tolerance: float = 1e-9,
    inverse: Any = False,
) -> str:
    """The first field in which an environment's info departs from the reference's, or "".

    `scale` is the size of money against which an error is measured; a price at which less than
    `tolerance` of it was traded or is held may be anything.
    """
    spot, mark = expected["prices"]["spot"], expected["prices"]["mark"]
    coins = np.broadcast_to(inverse, len(spot))
    pairs = [
        ("equity", got["equity"], expected["equity"], scale),
        ("reward", got["reward"], expected["reward"], 1e3),
    ]
    pairs += [(name, got["parts"][name], expected["parts"][name], scale) for name in PARTS]
    pairs += [("cash", got["account"]["cash"], expected["account"]["cash"], scale)]
    for a in range(len(spot)):
        at = [
            (g, n, got[g][n][a], expected[g][n][a])
            for g in ("account", "prices", "trade")
            for n in expected[g]
            if n not in ("cash", "reason")
        ]
        values = {f"{g}.{n}[{a}]": (x, y) for g, n, x, y in at}
        units = dict.fromkeys(values, 0.0) | {
            f"account.margin[{a}]": scale / spot[a] if coins[a] else scale,
            f"account.sent[{a}]": scale,
        }
        for n in ("account.spot", "trade.requested_spot", "trade.filled_spot"):
            units[f"{n}[{a}]"] = scale / spot[a]
        for n in ("account.perp", "trade.requested_perp", "trade.filled_perp"):
            units[f"{n}[{a}]"] = scale if coins[a] else scale / mark[a]
        for price, quantity in (
            ("account.entry", "account.perp"),
            ("prices.fill_spot", "trade.filled_spot"),
            ("prices.fill_perp", "trade.filled_perp"),
        ):
            held = values[f"{quantity}[{a}]"]
            if max(map(abs, held)) <= tolerance * units[f"{quantity}[{a}]"]:
                del values[f"{price}[{a}]"]
        pairs += [(name, x, y, units[name]) for name, (x, y) in values.items()]
    for name, x, y, unit in pairs:
        if not abs(x - y) <= tolerance * max(abs(x), abs(y), unit):
            return f"{name}: environment {x!r}, reference {y!r}"
    if pd.Timestamp(got["time"]) != expected["time"]:
        return f"time: environment {got['time']!r}, reference {expected['time']!r}"
    for name in ("liquidated", "row", "terminated", "truncated"):
        if not np.array_equal(got[name], expected[name]):
            return f"{name}: environment {got[name]!r}, reference {expected[name]!r}"
    if list(got["trade"]["reason"]) != list(expected["trade"]["reason"]):
        return (
            f"reason: environment {got['trade']['reason']!r}, reference"
            f" {expected['trade']['reason']!r}"
        )
    return ""
