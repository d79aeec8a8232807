"""Every threshold of the plausibility check, with what real history reaches.

"Seen" is the worst of seven Binance symbols, 2019-09 to 2025-06 (BTC, ETH, XRP, LTC, ADA at 1 h,
DOT and TRX at 4 h; `python -m experiments.data verify` prints it): the crashes of March 2020 and
May 2021, the failures of 2022 and the outages are in it. Logarithms are natural: 0.05 is 5 %.
"""

from __future__ import annotations

from math import log

# factor: median of |log(one price / the other)| over so many days. Seen .010, .003 and .002. A coin
# that collapses with its exchange stands 10 to 30 % off for a day; a wrong unit stays for good.
FACTOR_DAYS: tuple[tuple[int, float], ...] = ((1, 0.50), (7, 0.10), (30, 0.03))

# lag: correlation of the returns of two prices at the same bar, windows of LAG_WINDOW bars. Seen
# 0.9 and more. Below LAG_SUSPECT other lags are tried; one that reaches LAG_REFUSED and is better
# by LAG_MARGIN is the lag.
LAG_WINDOW = 240
LAG_LEAST = 72  # bars, below which nothing is said
LAG_SUSPECT = 0.6
LAG_REFUSED = 0.5
LAG_MARGIN = 0.2
LAG_HOURS = 26  # two days of time zones: UTC-12 to UTC+14

# bar_length: spacings in a row that are the same multiple of the file's step. Seen none.
BAR_LENGTH_RUN = 8

# other_coin: log(open / close before it), with the level of the days around confirming it, between
# neighbouring bars, where trading is continuous (seen .16), and across a gap.
JUMP_NEIGHBOUR = log(2.0)
JUMP_GAP = log(3.0)
JUMP_DAYS = 1.0  # on each side
JUMP_BARS = 3  # bars at the new level, at the end of a table without a gap

# spike: log distance of a high or low beyond its own open and close, the neighbouring bars and the
# other prices of the same bar. Seen .02 in mark prices; .84 (a factor of 2.3, ETH 2020-03-13) in
# last-traded prices, which is genuine: what was traded is noted up to SPIKE_LAST_REFUSED.
SPIKE_NOTED = 0.10
SPIKE_MARK_REFUSED = 0.10
SPIKE_LAST_REFUSED = log(2.5)
# The same for a close: distance of log(perp / spot) from its median of the day. Seen .09.
SPIKE_CLOSE_NOTED = 0.05
SPIKE_CLOSE_REFUSED = 0.40

# settlement_hours: share of settlements that fall on an hour which the venue does not have. Seen 0.
HOURS_REFUSED = 0.02
HOURS_FEW = 3  # so many are noted in any case

# rate_scale: median |settled rate| over the median |rate that the basis implies by the venue's
# rule|, windows of RATE_DAYS. Seen 0.0 to 2.4. The floor keeps a flat basis from counting.
RATE_DAYS = 30
RATE_LEAST = 20  # settlements in a window
RATE_RATIO_REFUSED = 5.0
RATE_RATIO_SMALL = 0.02  # of the whole file; noted
RATE_FLOOR_BP = 1.0  # per 8 h
# The same for single settlements, with a floor of their own. Seen 8.6. A few are noted.
RATE_ONE_RATIO = 20.0
RATE_ONE_FLOOR_BP = 3.0  # per 8 h
RATE_ONE_FEW = 3  # settlements from which it stops the market

# The same for half a year, where it is narrower: a wrong factor of 3. Seen .00 to 1.07. The rates
# must go with the basis (RATE_LONG_FIT), so that the factor is all that is wrong.
RATE_LONG_DAYS = 180
RATE_LONG_LEAST = 300  # settlements
RATE_LONG_RATIO = 2.0
RATE_LONG_FIT = 0.5

# rate_sign: correlation of the settled rates with those that the basis implies, the whole file and
# windows of RATE_DAYS. Seen .63 and more in a file; in a window .01 and more on bars of 1 h, but
# -.49 where one bar of 8 h is all that a settlement has: windows need several bars.
SIGN_LEAST = 80  # settlements
SIGN_REFUSED = -0.3
SIGN_BARS = 4  # bars between two settlements

# funding_lag: hours by which the settled rates fit the basis better than where they stand. Seen 0
# and 1 h, in every year; shifting the rates by 8 h moves the best fit to 7 .. 9 h. It must lie
# FUNDING_LAG_HOURS off and beat every fit within FUNDING_LAG_NEAR by FUNDING_LAG_GAIN.
FUNDING_LAG_LEAST = 300  # settlements
FUNDING_LAG_NEAR = 2.0
FUNDING_LAG_HOURS = 5.0
FUNDING_LAG_GAIN = 0.01
FUNDING_LAG_FIT = 0.5

# rates_repeated: changes of the rate that fall on one phase of a longer interval, of at least so
# many changes.
REPEATED_SHARE = 0.95
REPEATED_LEAST = 10

# settlement_price: log distance of the mark price published with a settlement from the range of the
# bars on both sides of it.
SETTLE_PRICE_NOTED = 0.02
SETTLE_PRICE_REFUSED = 0.10

# lag, of settlements: median log distance of the mark prices published with them from the open of
# the bar so many hours off. No history at hand has these prices; within an hour a coin moves by
# some .003, and the price of the same instant lies within .0005.
SETTLE_LAG_LEAST = 60  # settlements with a price
SETTLE_LAG_OFF = 0.001  # where they stand
SETTLE_LAG_SHARE = 0.25  # of that at another hour

# volume_unit: perpetual over spot volume, medians of VOLUME_DAYS. Seen .35 to 11.8. And what is
# traded a day in quote: seen 2e10; a volume in quote, times the price, is far above it where a coin
# costs much.
VOLUME_DAYS = 30
VOLUME_RATIO = (0.02, 200.0)
VOLUME_WORTH = 1e12
