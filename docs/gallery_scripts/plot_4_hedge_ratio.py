"""
The hedge ratio and risk
========================

Thirteen accounts with hedge ratios from 0 to 1.5 on the same paths: how much does their equity vary
with the price?
"""

import matplotlib.pyplot as plt
import numpy as np

from fundenv.batch.cpu import Batch
from fundenv.market import synthetic_market

market = synthetic_market("btc", years=0.5, paths=8, seed=7)
ratios = np.linspace(0, 1.5, 13)
deviations = []
for path in range(8):
    batch = Batch(len(ratios), market=market, actions="target", episode="90D", cash_rate=0.0)
    batch.reset(seed=0, paths=np.full(len(ratios), path), starts=np.zeros(len(ratios), dtype=int))
    actions = np.array([[0, 1.0, ratio, 2.0] for ratio in ratios], dtype=np.float32)
    equity = [batch.audit()["equity"]]
    for _ in range(269):
        batch.step(actions)
        equity.append(batch.audit()["equity"])
    daily = np.diff(np.log(np.maximum(np.array(equity)[::3], 1.0)), axis=0)
    deviations.append(daily.std(axis=0) * np.sqrt(365) * 100)

figure, ax = plt.subplots()
ax.plot(ratios, np.mean(deviations, axis=0), "o-")
ax.set_xlabel("hedge ratio (spot over perpetual)")
ax.set_ylabel("volatility of equity, % a year")
ax.axvline(1.0, color="tab:green", ls="--")
ax.text(1.02, ax.get_ylim()[1] * 0.9, "delta-neutral", color="tab:green")
