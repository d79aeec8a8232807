"""Numbers of the generator, measured on Binance hourly bars and settlements; each stands here
once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Knots = tuple[tuple[float, float], ...]
# name of a field of `Preset` -> its value for each simulated column
Lookup = Callable[[str], NDArray[np.float64]]


class Preset(NamedTuple):
    """One kind of coin."""

    name: str
    quantiles: Knots  # probability -> settled rate, bp per 8 h
    slow_share: float  # share of the slow part in the variance of the latent funding
    fast_half_life: float  # half-lives of both parts, in settlements
    slow_half_life: float
    annual_vol: float  # of spot, jumps included
    noise_bp: float  # sd of the white part of the basis
    price: float  # first spot price, quote
    perp_volume: float  # median traded per hour, base units
    spot_volume: float
    # loading of returns on the factor that the coins share: two coins correlate by the product of
    # theirs
    market: float
    # the same for the slow funding shocks, beyond what returns bring, and for the fast ones
    slow_market: float
    fast_market: float


# Shares and half-lives give the rate itself, behind the quantile map, the measured autocorrelations
# at 1, 3, 9 and 90 settlements: BTC .77 .65 .55 .23 and ETH .79 .59 .42 .19 (2022-2025), alts .74
# .63 .52 .25. The rate sits exactly on the interest rate (1 bp) between the probabilities .605 and
# .925.
_BTC: Knots = (
    (0.0, -11.9),
    (0.001, -2.28),
    (0.005, -1.26),
    (0.01, -0.94),
    (0.025, -0.65),
    (0.05, -0.35),
    (0.1, -0.10),
    (0.15, 0.04),
    (0.2, 0.14),
    (0.3, 0.32),
    (0.4, 0.49),
    (0.5, 0.70),
    (0.605, 1.0),
    (0.925, 1.0),
    (0.95, 1.47),
    (0.975, 2.72),
    (0.99, 4.35),
    (0.995, 5.38),
    (0.999, 7.31),
    (1.0, 8.81),
)
_ETH: Knots = (
    (0.0, -30.2),
    (0.001, -9.9),
    (0.005, -2.69),
    (0.01, -1.77),
    (0.025, -1.03),
    (0.05, -0.59),
    (0.1, -0.21),
    (0.15, -0.02),
    (0.2, 0.10),
    (0.3, 0.31),
    (0.4, 0.49),
    (0.5, 0.68),
    (0.605, 1.0),
    (0.925, 1.0),
    (0.95, 1.75),
    (0.975, 2.96),
    (0.99, 4.43),
    (0.995, 5.37),
    (0.999, 7.0),
    (1.0, 10.2),
)
_ALT: Knots = (
    (0.0, -70.0),
    (0.001, -22.0),
    (0.005, -9.0),
    (0.01, -5.5),
    (0.025, -2.5),
    (0.05, -1.2),
    (0.1, -0.35),
    (0.15, 0.0),
    (0.2, 0.14),
    (0.3, 0.36),
    (0.4, 0.56),
    (0.5, 0.80),
    (0.605, 1.0),
    (0.925, 1.0),
    (0.95, 2.1),
    (0.975, 3.8),
    (0.99, 6.2),
    (0.995, 8.5),
    (0.999, 15.0),
    (1.0, 28.0),
)

# Loadings: hourly returns of BTC and ETH correlate by .84, other coins with BTC by .61-.74 and with
# ETH by .73; normal scores of settled rates by .73-.75 (BTC, ETH) and .58-.70 (other coins with
# BTC). Measured on Binance, 2020-02 to 2025-06.
PRESETS: dict[str, Preset] = {
    "btc": Preset(
        "btc", _BTC, 0.74, 1.0, 71.0, 0.56, 0.9, 20_000.0, 10_000.0, 1_800.0, 0.91, 0.99, 0.8
    ),
    "eth": Preset(
        "eth", _ETH, 0.62, 2.3, 91.0, 0.70, 1.1, 1_500.0, 90_000.0, 18_000.0, 0.93, 0.99, 0.8
    ),
    "alt": Preset(
        "alt", _ALT, 0.79, 1.0, 124.0, 0.90, 2.0, 1.0, 4_000_000.0, 900_000.0, 0.77, 0.7, 0.5
    ),
}

INTEREST_BP = (
    1.0  # per 8 h, and half width of the clamp: the rate rule that the premium is inverted through
)
CLAMP_BP = 5.0
# Premium [bp] while the rate equals the interest, against the latent position in that range;
# measured, it stays near its lower end.
FLAT_PREMIUM: Knots = ((0.0, -4.0), (0.25, -3.6), (0.5, -2.5), (0.75, 0.4), (0.95, 5.3), (1.0, 6.0))
# share of the fast latent part that moves the premium there: no rate shows the rest, and the basis
# moves less than the latent level
CALM = 0.3

GARCH_NU = 6.0  # Student-t degrees of freedom of hourly returns
# Fitted with the slow part and the hours of the day to the autocorrelation of |r| at 1, 24 and 168
# hours (.28, .16, .13; BTC 2022-2025). A fit of the maximum likelihood alone (alpha .06, beta .92)
# has .22 at 1 hour, none at 168 and no fourth moment.
GARCH_ALPHA, GARCH_GAMMA, GARCH_BETA = 0.11, 0.02, 0.77
# log volatility moves slowly by so much, for all coins alike
SLOW_VOL_SD, SLOW_VOL_HALF_LIFE_HOURS = (0.36, 300.0)
HOURS_OF_DAY = (  # mean |r| of each hour from 0 UTC over the mean of all: BTC 2022-2025
    1.06,
    1.09,
    0.94,
    0.80,
    0.70,
    0.74,
    0.81,
    0.82,
    0.86,
    0.79,
    0.77,
    0.80,
    0.95,
    1.24,
    1.52,
    1.39,
    1.15,
    1.21,
    1.14,
    1.15,
    1.09,
    1.03,
    1.02,
    0.90,
)
# for a coin of this annual volatility, larger in proportion for others:
JUMPS_A_YEAR, JUMP_MEAN, JUMP_SD = (20.0, -0.002, 0.02)
JUMP_VOL = 0.56

NOISE_NU = 3.0  # degrees of freedom of the white part of the basis
CRASH_RETURN = -0.03  # an hourly return below this
# pushes the perpetual below spot in so many cases; measured on BTC: 10 % of such hours in 2020-21,
# fewer since
CRASH_SHARE = 0.05
CRASH_BP = (20.0, 120.0)  # by so much, uniformly
CRASH_HALF_LIFE_HOURS = 1.5
# correlation of the slow and the fast funding shocks with the standardised return of the same 8 h
FEEDBACK, FAST_FEEDBACK = (0.85, 0.2)
# shares of the white part and of the crash that the mark price follows
MARK_NOISE, MARK_CRASH = (0.3, 0.15)

# log volume per log conditional volatility and per |standardised return|
VOLUME_VOL, VOLUME_MOVE = (0.9, 0.25)
VOLUME_SD, VOLUME_AR = 0.5, 0.8  # its own AR(1) part, per hour
