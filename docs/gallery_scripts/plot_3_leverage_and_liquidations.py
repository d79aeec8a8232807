"""
Leverage, growth and liquidations
=================================

The same carry at nine leverages on twelve synthetic paths of an alternative coin. It decides once a
day, and no margin keeper acts in between. All accounts are environments of one batch.
"""

import matplotlib.pyplot as plt
import numpy as np

from fundenv.batch.cpu import Batch
from fundenv.market import synthetic_market

market = synthetic_market("alt", years=0.7, paths=12, seed=5)
leverages = np.repeat([1.5, 2, 3, 4, 5, 6, 7, 8, 10], 12)
batch = Batch(
    len(leverages),
    market=market,
    actions="target",
    decision_interval="24h",
    episode="180D",
    keeper_interval=None,
    cash_rate=0.0,
)
batch.reset(seed=0, paths=np.tile(np.arange(12), 9), starts=np.zeros(len(leverages), dtype=int))
actions = np.array([[0, 1.0, 1.0, leverage] for leverage in leverages], dtype=np.float32)

start, liquidations = batch.audit()["equity"], np.zeros(len(leverages))
for _ in range(179):
    batch.step(actions)
    liquidations += batch.audit()["liquidated"][:, 0] > 0
growth = np.log(batch.audit()["equity"] / start) * 2 * 100  # half a year to a year

# %%
# Growth rises with leverage, because more of the equity earns funding. Above some leverage
# liquidations cost more than that.

figure, (upper, lower) = plt.subplots(2, sharex=True, figsize=(5.6, 4.6))
x = leverages[::12]
upper.plot(x, growth.reshape(9, 12).mean(axis=1), "o-", color="tab:blue")
upper.set_ylabel("growth, % a year")
lower.bar(x, liquidations.reshape(9, 12).mean(axis=1) * 2, width=0.4, color="tab:red")
lower.set_ylabel("liquidations a year")
lower.set_xlabel("leverage")
