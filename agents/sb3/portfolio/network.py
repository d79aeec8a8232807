"""Networks on the rows of any number of coins: what they say does not depend on the order of the
coins.

The same small network looks at every coin and at the account. Its answers are pooled over the coins
that trade (mean and maximum) and over those held (weighted by their notional), and the pools make a
context. A head says for each coin, from its own answer and the context, what every level is worth;
another says it for stay and for cash, from the context alone (deep sets: Zaheer et al., NeurIPS
2017). Imported only when SB3 is needed.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from agents.sb3.portfolio.params import OBSERVE
from fundenv.envs.portfolio import by_asset

CLOSED = -1e8  # logit of a coin that does not trade
FIRST = 0.01  # factor on the first weights of the last layers, so that a new policy is undecided


class Layout(NamedTuple):
    """Where the networks look: column numbers within a coin's row and within the account's."""

    width: int  # columns of a coin's row
    once: int  # columns of the account
    coin: list[int]  # those of a row that the networks see
    account: list[int]
    available: int
    weight: int  # of the perpetual
    pending: int

    def assets(self, columns: int) -> int:
        """Number of coins in observations of so many columns."""
        return (columns - self.once) // self.width


@cache
def _places(columns: int, assets: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Column numbers (A, F) of the rows and (S,) of the account."""
    coins, account = by_asset(np.arange(columns), assets, OBSERVE)
    return torch.as_tensor(coins), torch.as_tensor(account)


def _last(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    with torch.no_grad():
        layer.weight.mul_(FIRST)
        layer.bias.zero_()
    return layer


class CoinContext(nn.Module):
    """What the network says of each coin, pooled into one context of the account."""

    def __init__(self, layout: Layout, hidden: int) -> None:
        super().__init__()
        self.layout = layout
        seen, shared = len(layout.coin), len(layout.account) + 1
        pooled = seen + hidden
        self.coin = nn.Sequential(
            nn.Linear(seen + shared, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh()
        )
        self.context = nn.Sequential(
            nn.Linear(shared + 3 * pooled, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh()
        )

    def look(self, obs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(context (n, hidden), coins (n, A, pooled), whether each coin takes an order (n, A)) for
        observations (n, D).
        """
        layout = self.layout
        coins, account = _places(obs.shape[1], layout.assets(obs.shape[1]))
        rows, once = obs[:, coins], obs[:, account]
        held = rows[..., layout.weight].abs()
        total = held.sum(dim=1, keepdim=True)
        shared = torch.cat([once[:, layout.account], total], dim=1)
        seen = rows[..., layout.coin]
        beside = shared[:, None].expand(-1, seen.shape[1], -1)
        each = torch.cat([self.coin(torch.cat([seen, beside], dim=2)), seen], dim=2)
        trades = rows[..., layout.available] > 0
        mask = trades[..., None]
        some = trades.sum(dim=1, keepdim=True).clamp(min=1)
        mean = (each * mask).sum(dim=1) / some
        highest = each.masked_fill(~mask, CLOSED).amax(dim=1)
        highest = highest.masked_fill(~trades.any(dim=1, keepdim=True), 0.0)
        own = (each * (held / total.clamp(min=1e-6))[..., None]).sum(dim=1)
        context = self.context(torch.cat([shared, mean, highest, own], dim=1))
        return context, each, trades & (rows[..., layout.pending] == 0)


class CoinNetwork(CoinContext):
    """Values of all choices and of further outputs of the context."""

    def __init__(self, layout: Layout, hidden: int, levels: int, more: int) -> None:
        """levels: outputs of each coin (0: none). more: outputs of the context."""
        super().__init__(layout, hidden)
        self.whole = _last(hidden, more)
        self.choice = None
        if levels:
            first = nn.Linear(len(layout.coin) + 2 * hidden, hidden)
            self.choice = nn.Sequential(first, nn.Tanh(), _last(hidden, levels))

    def forward(self, obs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(outputs of the context (n, more), of the coins (n, A, levels), whether each coin takes
        an order (n, A)) for observations (n, D).
        """
        context, each, orders = self.look(obs)
        if self.choice is None:
            return self.whole(context), each[..., :0], orders
        around = context[:, None].expand(-1, each.shape[1], -1)
        return self.whole(context), self.choice(torch.cat([each, around], dim=2)), orders


def joined(first: torch.Tensor, coins: torch.Tensor, closed: Any, orders: Any) -> torch.Tensor:
    """One row for all choices (n, 2 + A L): `first` (n, 2) of stay and cash, then those of the
    coins, with `closed` where a coin takes no order.
    """
    open_ = torch.where(orders[..., None], coins, closed)
    return torch.cat([first, open_.flatten(1)], dim=1)


def layout_of(table: Any, assets: int, chosen: Any) -> Layout:
    """The layout of an env's observation table; `chosen`: names of a row -> those that are seen."""
    names = [column.name for column in table]
    coins, account = by_asset(np.arange(len(names)), assets, OBSERVE)
    row = [names[i].split(":")[-1] for i in coins[0]]
    once = [names[i] for i in account]
    told = [i for i, name in enumerate(once) if name not in ("wallet_share", "drawdown")]
    return Layout(
        len(row),
        len(once),
        chosen(row),
        told,
        row.index("available"),
        row.index("perp_weight"),
        row.index("pending"),
    )
