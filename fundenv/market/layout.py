"""Where each number of a bar stands: the columns of `Market.bars`.

One row is one bar of one asset: sixteen float64, two cache lines, everything that a step reads of
the market apart from the features. Prices are quote per base. A row describes the bar that opens
when the row before it closes.
"""

SPOT_OPEN = 0
SPOT_CLOSE = 1
PERP_OPEN = 2  # last-traded price of the perpetual: what an order pays
PERP_CLOSE = 3
# mark price: what margin and equity are measured with (the perpetual's own price where no mark was
# given)
MARK_OPEN = 4
MARK_HIGH = 5
MARK_LOW = 6
MARK_CLOSE = 7
# funding rate settled at the instant this bar opens, fraction of notional; + : longs pay shorts
SETTLE_RATE = 8
SETTLE_PRICE = 9  # mark price of that settlement; 0 where none falls on the open of this bar
SPOT_VOLUME = 10  # traded during this bar, base units
PERP_VOLUME = 11
SPOT_DAY_VOLUME = 12  # traded during the 24 h before this bar opens, base units
PERP_DAY_VOLUME = 13
SIGMA_DAY = 14  # daily volatility of spot log returns known when this bar opens
# 1 where a leg has no genuine price in this bar: nothing fills, the last genuine price is carried
# for valuation. UNLISTED where a joint market has no such coin (yet, or any more): what is held of
# it is closed at the last price, which is carried
HALTED = 15
N_COLUMNS = 16

# values of HALTED, as the numbers of a bar are: places of columns are whole numbers
TRADED, NO_PRICE, UNLISTED = 0.0, 1.0, 2.0
# a venue that fails: FROZEN where it trades and lets no money go; then, once, FAILED where the
# money at the perpetual is lost, or FAILED_WHOLE where the coins lay there too; UNLISTED behind.
# FROZEN_SPOT and FAILED_SPOT where the coins alone lie there, and the perpetual elsewhere
FROZEN, FAILED, FAILED_WHOLE = -1.0, 3.0, 4.0
FROZEN_SPOT, FAILED_SPOT = -2.0, 5.0
