"""
Three margin modes in a rally
=============================

A hedged short loses on the perpetual what its spot leg gains. In isolated and cross margin the spot
leg is no collateral. In portfolio margin it is, less a haircut, so the account lasts longer, and
loses more when it is liquidated. Here the account decides once and then holds, without a margin
keeper.
"""

import gymnasium
import matplotlib.pyplot as plt
import numpy as np

from fundenv.market import synthetic_market

market = synthetic_market("alt", years=1.0, paths=1, seed=12)

figure, ax = plt.subplots()
for mode in ("isolated", "cross", "portfolio"):
    env = gymnasium.make(
        "fundenv:fundenv/FundingHedge-v0",
        market=market,
        margin_mode=mode,
        actions="target",
        episode=None,
        random_start=False,
        keeper_interval=None,
    )
    observation, info = env.reset(seed=0)
    done, equity, liquidations = False, [info["equity"]], 0
    while not done:
        # decide once, then hold: no top-up, no keeper
        hold = float(len(equity) > 1)
        observation, reward, terminated, truncated, info = env.step([hold, 1.0, 1.0, 4.0])
        equity.append(info["equity"])
        liquidations += int(np.sum(info["liquidated"]))
        done = terminated or truncated
    days = np.arange(len(equity)) / 3
    ax.plot(days, np.array(equity) / 1000, label=f"{mode}: {liquidations} liquidations")

ax.set_xlabel("days")
ax.set_ylabel("equity, thousands")
ax.set_ylim(bottom=93)
ax.legend(loc="lower right")
