"""Numbers of the generator, measured on Binance hourly bars and settlements; each stands here once."""

from __future__ import annotations

from typing import NamedTuple

Knots = tuple[tuple[float, float], ...]


class Preset(NamedTuple):
    """One kind of coin."""

    name: str
    quantiles: Knots  # probability -> settled rate, bp per 8 h
    weights: tuple[float, ...]  # variance shares of the latent AR(1) parts; the last one is the slowest
    half_lives: tuple[float, ...]  # of those parts, in settlements
    annual_vol: float  # of spot, jumps included
    noise_bp: float  # sd of the white part of the basis
    price: float  # first spot price, quote
    perp_volume: float  # median traded per hour, base units
    spot_volume: float


# Shares and half-lives give the rate itself, behind the quantile map, the measured autocorrelations at 1, 3, 9 and 90 settlements:
# BTC .77 .65 .55 .23 and ETH .79 .59 .42 .19 (2022-2025), alts .74 .63 .52 .25.
# The rate sits exactly on the interest rate (1 bp) between the probabilities .605 and .925.
_BTC: Knots = (
    (0.0, -11.9), (0.001, -2.28), (0.005, -1.26), (0.01, -0.94), (0.025, -0.65), (0.05, -0.35), (0.1, -0.10), (0.15, 0.04), (0.2, 0.14),
    (0.3, 0.32), (0.4, 0.49), (0.5, 0.70), (0.605, 1.0), (0.925, 1.0), (0.95, 1.47), (0.975, 2.72), (0.99, 4.35), (0.995, 5.38),
    (0.999, 7.31), (1.0, 8.81),
)  # fmt: skip
_ETH: Knots = (
    (0.0, -30.2), (0.001, -9.9), (0.005, -2.69), (0.01, -1.77), (0.025, -1.03), (0.05, -0.59), (0.1, -0.21), (0.15, -0.02), (0.2, 0.10),
    (0.3, 0.31), (0.4, 0.49), (0.5, 0.68), (0.605, 1.0), (0.925, 1.0), (0.95, 1.75), (0.975, 2.96), (0.99, 4.43), (0.995, 5.37),
    (0.999, 7.0), (1.0, 10.2),
)  # fmt: skip
_ALT: Knots = (
    (0.0, -70.0), (0.001, -22.0), (0.005, -9.0), (0.01, -5.5), (0.025, -2.5), (0.05, -1.2), (0.1, -0.35), (0.15, 0.0), (0.2, 0.14),
    (0.3, 0.36), (0.4, 0.56), (0.5, 0.80), (0.605, 1.0), (0.925, 1.0), (0.95, 2.1), (0.975, 3.8), (0.99, 6.2), (0.995, 8.5),
    (0.999, 15.0), (1.0, 28.0),
)  # fmt: skip

PRESETS: dict[str, Preset] = {
    "btc": Preset("btc", _BTC, (0.26, 0.74), (1.0, 71.0), 0.56, 1.1, 20_000.0, 10_000.0, 1_800.0),
    "eth": Preset("eth", _ETH, (0.38, 0.62), (2.3, 91.0), 0.70, 1.3, 1_500.0, 90_000.0, 18_000.0),
    "alt": Preset("alt", _ALT, (0.21, 0.79), (1.0, 124.0), 0.90, 2.0, 1.0, 4_000_000.0, 900_000.0),
}

INTEREST_BP = 1.0  # per 8 h, and half width of the clamp: the rate rule that the premium is inverted through
CLAMP_BP = 5.0
# Premium [bp] while the rate equals the interest, against the latent position in that range; measured, it stays near its lower end.
FLAT_PREMIUM: Knots = ((0.0, -4.0), (0.25, -3.6), (0.5, -2.5), (0.75, 0.4), (0.95, 5.3), (1.0, 6.0))

GARCH_NU = 6.0  # Student-t degrees of freedom of hourly returns
GARCH_ALPHA, GARCH_GAMMA, GARCH_BETA = 0.06, 0.02, 0.92
JUMPS_A_YEAR, JUMP_MEAN, JUMP_SD = 20.0, -0.002, 0.02

NOISE_NU = 3.0  # degrees of freedom of the white part of the basis
CRASH_RETURN = -0.03  # an hourly return below this
CRASH_SHARE = 0.1  # pushes the perpetual below spot in so many cases; measured on BTC: 10 % of such hours in 2020-21, fewer since
CRASH_BP = (20.0, 120.0)  # by so much, uniformly
CRASH_HALF_LIFE_HOURS = 1.5
FEEDBACK = 0.85  # correlation of the slow funding shocks with the standardised return of the same 8 h
MARK_NOISE, MARK_CRASH = 0.3, 0.15  # shares of the white part and of the crash that the mark price follows

VOLUME_VOL, VOLUME_MOVE = 0.9, 0.25  # log volume per log conditional volatility and per |standardised return|
VOLUME_SD, VOLUME_AR = 0.5, 0.8  # its own AR(1) part, per hour
