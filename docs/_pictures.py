"""Draws the pictures of the concept pages, each once for a light and once for a dark page.

Numbers come from the same formulas that the env uses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from fundenv.config import EnvConfig
from fundenv.formulas.liquidation import binance_price
from fundenv.venues import load_venue


class Theme(NamedTuple):
    """Colours of one theme; legible on furo's background."""

    ink: str
    soft: str
    fill: str
    blue: str
    green: str
    red: str
    gold: str


THEMES = {
    "light": Theme("#24292f", "#8a929b", "#eef1f4", "#1f6feb", "#1a7f37", "#cf222e", "#9a6700"),
    "dark": Theme("#dfe3e8", "#8b949e", "#22272e", "#6cb6ff", "#57ab5a", "#f47067", "#d4a72c"),
}
WIDTH = 5.2  # inches; a phone shows it at two thirds


@contextmanager
def sheet(theme: Theme, height: float, **grid: Any) -> Iterator[tuple[Figure, Any]]:
    """A figure in the colours of a theme, without a background."""
    colours = {
        "text.color": theme.ink,
        "axes.edgecolor": theme.soft,
        "axes.labelcolor": theme.ink,
        "xtick.color": theme.ink,
        "ytick.color": theme.ink,
        "axes.facecolor": "none",
        "font.size": 10.5,
        "font.family": "DejaVu Sans",
        "svg.fonttype": "path",
        "svg.hashsalt": "fundenv",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "figure.constrained_layout.use": True,
    }
    with plt.rc_context():
        plt.rcdefaults()  # the gallery has its own
        plt.rcParams.update(colours)
        figure, axes = plt.subplots(figsize=(WIDTH, height), **grid)
        yield figure, axes
        plt.close(figure)


def box(ax: Axes, x: float, y: float, w: float, h: float, text: str, edge: str, fill: str) -> None:
    """A rounded box with a text in its middle, in data units."""
    shape = FancyBboxPatch(
        (x, y), w, h, boxstyle="round,pad=0.02,rounding_size=0.12", ec=edge, fc=fill, lw=1.4
    )
    ax.add_patch(shape)
    ax.text(x + w / 2, y + h / 2, text, ha="center", va="center", linespacing=1.35)


def arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    """An arrow between two points."""
    style = {"arrowstyle": "-|>", "color": colour, "lw": 1.5, "shrinkA": 2, "shrinkB": 2}
    ax.annotate("", xy=end, xytext=start, arrowprops=style)


def blank(ax: Axes, width: float, height: float) -> None:
    """No axes: a drawing in units of its own."""
    ax.set_xlim(0, width)
    ax.set_ylim(0, height)
    ax.axis("off")


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


def funding(c: Theme) -> Iterator[Figure]:
    with sheet(c, 3.2) as (figure, ax):
        hours = np.arange(0, 73, 8)
        rates = np.array([1.0, 2.4, 3.1, 1.2, 0.4, -0.8, -1.6, -0.3, 0.9, 1.0])
        colours = [c.green if rate > 0 else c.red for rate in rates]
        ax.bar(hours, rates, width=4, color=colours)
        ax.axhline(0, color=c.soft, lw=1)
        ax.set_xticks(hours[::3], [f"{h} h" for h in hours[::3]])
        ax.set_ylabel("funding rate, bp per 8 h")
        ax.set_ylim(-2.6, 4.4)
        ax.text(8, 3.6, "rate > 0: longs pay shorts", color=c.green)
        ax.text(34, -2.3, "rate < 0: shorts pay longs", color=c.red)
        yield figure


def carry(c: Theme) -> Iterator[Figure]:
    with sheet(c, 3.4) as (figure, ax):
        rng = np.random.default_rng(4)
        days = np.arange(0, 91)
        price = 100 * np.exp(np.r_[0, rng.normal(0, 0.03, 90)].cumsum())
        spot, perp = price - 100, 100 - price
        earned = np.r_[0, np.maximum(rng.normal(0.03, 0.012, 90), 0)].cumsum()
        ax.plot(days, spot, color=c.green, label="spot leg")
        ax.plot(days, perp, color=c.red, label="perp leg")
        ax.plot(days, spot + perp + earned, color=c.blue, lw=2.4, label="both, with funding")
        ax.axhline(0, color=c.soft, lw=1)
        ax.set_xlabel("days")
        ax.set_ylabel("profit, % of the notional")
        ax.set_ylim(-22, 38)
        ax.legend(loc="upper left")
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


def costs(c: Theme) -> Iterator[Figure]:
    venue = load_venue("binance")
    sizes = np.logspace(-5, -1, 200)  # order over the volume of a day
    fee = venue.value("fees", "perp_taker") * 1e4
    spread = venue.value("execution", "half_spread_perp_bp", "BTCUSDT")
    impact = venue.value("execution", "impact_coefficient", "BTCUSDT") * 0.03 * np.sqrt(sizes) * 1e4
    with sheet(c, 3.3) as (figure, ax):
        ax.plot(sizes * 100, np.full_like(sizes, fee), color=c.blue, label="taker fee")
        ax.plot(sizes * 100, np.full_like(sizes, spread), color=c.gold, label="half-spread")
        ax.plot(sizes * 100, impact, color=c.red, label="impact at 3 % daily volatility")
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_ylim(0.03, 200)
        ax.set_xticks([0.001, 0.01, 0.1, 1, 10], ["0.001", "0.01", "0.1", "1", "10"])
        ax.set_yticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
        ax.set_xlabel("order size, % of a day's volume")
        ax.set_ylabel("cost, bp of notional")
        ax.legend(loc="upper left")
        yield figure


def rewards(c: Theme) -> Iterator[Figure]:
    change = np.linspace(-0.06, 0.06, 201)
    growth = 1000 * np.log1p(change)
    gamma = EnvConfig().risk_aversion
    with sheet(c, 3.2) as (figure, ax):
        ax.plot(change * 100, growth, color=c.blue, label="log_growth")
        penalised = growth - 1000 * gamma / 2 * change**2
        ax.plot(change * 100, penalised, color=c.red, label="mean_variance")
        ax.plot(change * 100, np.zeros_like(change), color=c.green, label="expected")
        ax.axhline(0, color=c.soft, lw=0.8)
        ax.set_xlabel("price profit of one step from the basis, % of equity")
        ax.set_ylabel("reward, thousandths")
        ax.legend(loc="upper left")
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


PICTURES: dict[str, Callable[[Theme], Iterator[Figure]]] = {
    draw.__name__: draw
    for draw in (
        *(account, bar, funding, carry, margin, keeper),
        *(dials, hedge, costs, rewards, portfolio),
    )
}


def draw_all(out: Path) -> None:
    """Write every picture as NAME-light.svg and NAME-dark.svg; unchanged files stay untouched."""
    out.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        for theme, colours in THEMES.items():
            path, partial = out / f"{name}-{theme}.svg", out / f".{name}-{theme}.svg"
            for figure in draw(colours):
                figure.savefig(partial, transparent=True, metadata={"Date": None})
            if path.is_file() and path.read_bytes() == partial.read_bytes():
                partial.unlink()
            else:
                partial.replace(path)
