"""
Does funding predict the price?
===============================

Means of funding against the return of the next seven days, on a synthetic coin: how a signal
without predictive power can look predictive.
"""

import matplotlib.pyplot as plt
import numpy as np

from experiments.funding_returns import daily, forests, regressions
from fundenv.forecast import Panel, panel_of
from fundenv.market import synthetic_market

market = synthetic_market("btc", years=3, seed=0)
(table,) = daily.daily(panel_of(market)).values()
rows = daily.complete(table)

# %%
# The price, each day coloured and sized by FR3, the mean funding of the last three days.

figure, ax = plt.subplots()
bound = float(np.percentile(np.abs(rows["fr3"]), 98))
size = 2 + 30 * np.minimum(np.abs(rows["fr3"]) / bound, 1)
dots = ax.scatter(
    rows.index, rows["price"], c=rows["fr3"], s=size, cmap="RdYlBu", vmin=-bound, vmax=bound
)
ax.set_yscale("log")
ax.set_ylabel("spot, log scale")
ax.tick_params(axis="x", rotation=30)
figure.colorbar(dots, label="FR3, % a year")

# %%
# Least squares. The returns of two consecutive days share six of their seven days. The plain t
# value treats every day as independent and is far too large; the HAC t value allows for the
# overlap.

print("model         slope    t plain   t HAC     R2    R2 ahead")
for name, columns in regressions.MODELS.items():
    found = regressions.regress(rows, columns)
    for slope, plain, robust in zip(found["slopes"], found["t_plain"], found["t"], strict=True):
        print(
            f"{name:<12} {slope:+7.3f} {plain:+9.2f} {robust:+8.2f}"
            f" {found['r2']:8.4f} {found['r2_ahead']:+8.3f}"
        )

# %%
# Return against funding.

figure, axes = plt.subplots(1, 2, sharey=True)
for ax, column in zip(axes, ("fr3", "fr14"), strict=True):
    ax.scatter(rows[column], rows["forward"], s=4, alpha=0.4)
    slope, constant = np.polyfit(rows[column], rows["forward"], 1)
    ends = np.array([rows[column].min(), rows[column].max()])
    ax.plot(ends, constant + slope * ends, color="tab:red")
    ax.set_xlabel(f"{column.upper()}, % a year")
axes[0].set_ylabel("7-day return, %")

# %%
# The divergence FR3 - FR14, with a filter of 2 % a year.

for found in regressions.divergence(rows, limit=2.0):
    print(f"{found['side']:<8} {found['n']:5d} days, mean return {found['mean']:+.2f} %")

# %%
# A t value beyond 3 looks like proof. But it is one path, and one of four regressions on it. On
# other paths of the same market the sign changes:

others = panel_of(synthetic_market(("btc", "eth"), years=3, paths=6, seed=5))
t_values = []
for history in others:
    (own,) = daily.daily(Panel((history,))).values()
    t_values.append(regressions.regress(own, ["divergence"])["t"][0])
print("t, HAC:", " ".join(f"{t:+.1f}" for t in t_values), f"  mean {np.mean(t_values):+.2f}")

# %%
# A random forest, judged in four ways. On shuffled folds every judged day has neighbours among the
# training days, and their returns overlap with its own. So the date alone "predicts" four fifths of
# the variance. A slow mean of funding determines the date, so it also scores, and the slower the
# better. Without the overlap the forest has no skill: the mean of the past is the better forecast.

scores = forests.scores(rows, trees=20)
figure, ax = plt.subplots()
place = np.arange(len(scores))
ways = {
    "in_sample": "in sample",
    "shuffled": "shuffled folds",
    "walk_forward": "walk-forward, purged",
}
for i, (way, name) in enumerate(ways.items()):
    ax.bar(place + 0.27 * (i - 1), [row[way] for row in scores], 0.25, label=name)
ax.axhline(0, color="gray", lw=0.8)
ax.set_xticks(place, ["FR3, FR14", "and FR30", "noise", "the date\nalone"])
ax.set_ylabel("R2")
ax.legend(loc="lower left", fontsize=9)
