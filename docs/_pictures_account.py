"""Pictures of the account: wallets, bar, margin, keeper, dials, hedge ratio, capital."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from _picture_sheet import Theme, arrow, blank, box, sheet
from matplotlib.figure import Figure

from fundenv.config import EnvConfig
from fundenv.formulas.liquidation import binance_price
from fundenv.venues import load_venue


def account(c: Theme) -> Iterator[Figure]:
    with sheet(c, 3.3) as (figure, ax):
        blank(ax, 10, 6.6)
        box(ax, 0.3, 3.6, 3.0, 1.7, "cash\n(spot wallet)", c.gold, c.fill)
        box(ax, 0.3, 0.5, 3.0, 1.7, "spot leg\nlong coins", c.green, c.fill)
        box(ax, 6.3, 3.6, 3.4, 1.7, "margin\n(perp wallet)", c.gold, c.fill)
        box(ax, 6.3, 0.5, 3.4, 1.7, "perp leg\nshort contract", c.red, c.fill)
        arrow(ax, (3.4, 4.7), (6.2, 4.7), c.blue)
        arrow(ax, (6.2, 4.2), (3.4, 4.2), c.blue)
        ax.text(4.8, 5.0, "transfers", ha="center", color=c.blue)
        arrow(ax, (1.8, 3.5), (1.8, 2.3), c.ink)
        ax.text(2.0, 2.85, "buy, sell", va="center")
        arrow(ax, (8.0, 3.5), (8.0, 2.3), c.ink)
        ax.text(8.2, 2.85, "profit, fees", va="center")
        ax.text(4.8, 1.55, "price moves", ha="center", color=c.soft)
        ax.text(4.8, 1.05, "cancel out", ha="center", color=c.soft)
        ax.text(5, 6.15, "equity = cash + spot value + margin + unrealised profit", ha="center")
        yield figure


def bar(c: Theme) -> Iterator[Figure]:
    events = (
        ("settlement of funding", c.green),
        ("margin test at the open", c.red),
        ("orders and fills at the open", c.blue),
        ("transfers between wallets", c.gold),
        ("liquidation at the extreme of the mark", c.red),
        ("interest", c.gold),
        ("mark to close; ruin ends the episode", c.ink),
    )
    with sheet(c, 3.9) as (figure, ax):
        blank(ax, 10, 8.8)
        ax.plot([0.9, 0.9], [0.6, 8.2], color=c.soft, lw=2)
        ax.text(0.3, 8.5, "close of bar t = open of bar t+1: the agent observes and decides")
        for k, (text, colour) in enumerate(events):
            y = 7.5 - k * 1.05
            ax.plot(0.9, y, "o", color=colour, ms=8)
            ax.text(1.5, y, f"{k + 1}  {text}", va="center")
        ax.text(0.3, 0.1, "close of bar t+1: the next bar, or the next decision")
        yield figure


def margin(c: Theme) -> Iterator[Figure]:
    entry, price = 100.0, np.linspace(85, 150, 400)
    bracket = load_venue("binance").brackets("BTCUSDT")[0]
    with sheet(c, 3.5) as (figure, ax):
        for leverage, colour in ((2, c.green), (3, c.blue), (5, c.gold), (10, c.red)):
            wallet = entry / leverage
            balance = (wallet + entry - price) / price * 100
            ax.plot(price, balance, color=colour, label=f"leverage {leverage}")
            stop = binance_price(wallet, -1.0, entry, bracket.rate, bracket.amount)
            ax.plot(stop, bracket.rate * 100, "o", color=colour, ms=7)
        ax.axhline(bracket.rate * 100, color=c.soft, ls="--", lw=1.2)
        ax.text(86, 2.5, "dots: liquidation", color=c.soft)
        ax.set_ylim(-7, 60)
        ax.set_xlabel("mark price of a short opened at 100")
        ax.set_ylabel("margin balance, % of notional")
        ax.legend(loc="upper right")
        yield figure


def keeper(c: Theme) -> Iterator[Figure]:
    config = EnvConfig()
    target = config.leverage
    with sheet(c, 3.3) as (figure, ax):
        rng = np.random.default_rng(11)
        level, path, acted = target, [], []
        for hour in range(240):
            level *= float(np.exp(rng.normal(0, 0.085)))
            path.append(level)
            if not config.keeper_down * target <= level <= config.keeper_up * target:
                acted.append((hour, level))
                level = target
        ax.plot(path, color=c.blue, lw=1.4)
        for hour, before in acted:
            arrow(ax, (hour, before), (hour, target), c.red)
        marks = {target: f"target\n{target:g}"}
        for share, name in ((config.keeper_up, "keeper_up"), (config.keeper_down, "keeper_down")):
            ax.axhline(share * target, color=c.gold, ls="--", lw=1.2)
            marks[share * target] = f"{name}\n{share * target:.2g}"
        ax.axhline(target, color=c.soft, lw=1)
        ax.set_yticks(list(marks), list(marks.values()))
        ax.set_xlabel("hours")
        ax.set_ylabel("effective leverage")
        ax.set_ylim(0.6, 5.9)
        yield figure


def dials(c: Theme) -> Iterator[Figure]:
    x = np.linspace(-1, 1, 201)
    top = EnvConfig().max_leverage
    curves = (
        ("carry", x),
        ("hedge ratio", np.where(x < 0, 1 + x, 1 + 0.5 * x)),
        ("leverage", top ** ((1 + x) / 2)),
    )
    with sheet(c, 2.6, ncols=3) as (figure, axes):
        for ax, (name, values), colour in zip(axes, curves, (c.green, c.blue, c.red), strict=True):
            ax.plot(x, values, color=colour)
            ax.set_title(name, fontsize=10.5)
            ax.set_xticks([-1, 0, 1])
            ax.grid(alpha=0.25, color=c.soft)
        axes[1].set_xlabel("entry of a continuous action")
        yield figure


def hedge(c: Theme) -> Iterator[Figure]:
    move = np.linspace(-30, 30, 101)
    with sheet(c, 3.2) as (figure, ax):
        for ratio, colour in ((0.0, c.red), (0.5, c.gold), (1.0, c.green), (1.5, c.blue)):
            name = f"hedge ratio {ratio:g}"
            ax.plot(move, (ratio - 1) * move * 0.75, color=colour, label=name)
        ax.axhline(0, color=c.soft, lw=1)
        ax.set_xlabel("price change, %")
        ax.set_ylabel("profit, % of equity")
        ax.set_ylim(-25, 42)
        ax.legend(loc="upper center", ncols=2)
        yield figure


def portfolio(c: Theme) -> Iterator[Figure]:
    cases = ((1.0, 0.0, 0.0), (0.5, 0.3, 0.2), (1.0, 1.0, 1.0))
    with sheet(c, 3.6, nrows=2, sharex=True) as (figure, axes):
        for ax, capital in zip(axes, ("parts", "shared"), strict=True):
            for row, carries in enumerate(cases):
                scale = 1 / 3 if capital == "parts" else 1 / max(1.0, sum(carries))
                left = 0.0
                for carry, colour in zip(carries, (c.blue, c.green, c.gold), strict=True):
                    ax.barh(row, 100 * carry * scale, left=left, height=0.6, color=colour)
                    left += 100 * carry * scale
                ax.barh(row, 100 - left, left=left, height=0.6, color=c.fill, edgecolor=c.soft)
            ax.set_title(f'capital = "{capital}"', fontsize=10.5, loc="left")
            ax.set_yticks(range(3), [", ".join(f"{carry:g}" for carry in each) for each in cases])
            ax.invert_yaxis()
            ax.set_xlim(0, 100)
        axes[1].set_xlabel("equity in use, % (a colour for each coin)")
        figure.supylabel("carries asked for", fontsize=10.5)
        yield figure
