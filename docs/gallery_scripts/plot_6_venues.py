"""
Liquidation prices of the venues
================================

Where would a short at leverage 5 be liquidated? The same position, the first bracket of every venue
with linear contracts.
"""

import matplotlib.pyplot as plt

from fundenv.formulas.liquidation import binance_price
from fundenv.venues import load_venue, venue_names

entry, leverage = 100.0, 5.0
prices = {}
for name in venue_names():
    venue = load_venue(name)
    if venue.contract == "linear":
        bracket = venue.brackets("BTCUSDT")[0]
        prices[name] = binance_price(entry / leverage, -1.0, entry, bracket.rate)

figure, ax = plt.subplots()
order = sorted(prices, key=prices.get)
ax.barh(order, [float(prices[name]) - entry for name in order], color="tab:blue")
ax.set_xlabel("rise of the mark price until liquidation, %")
