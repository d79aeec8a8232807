"""
Funding and the growth of a carry
=================================

An always-on carry on one year of a synthetic market: where does its growth come from?
"""

import gymnasium
import matplotlib.pyplot as plt
import numpy as np

from fundenv.market import synthetic_market

market = synthetic_market("btc", years=1.2, seed=4)
env = gymnasium.make(
    "fundenv:fundenv/FundingHedge-v0",
    market=market,
    actions="target",
    episode="365D",
    random_start=False,
    cash_rate=0.0,
    info=True,  # everything about every step
)
observation, info = env.reset(seed=0)
start, done, parts, equity = info["equity"], False, [], [info["equity"]]
while not done:
    observation, reward, terminated, truncated, info = env.step([0, 1.0, 1.0, 3.0])
    parts.append(list(info["parts"].values()))
    equity.append(info["equity"])
    done = terminated or truncated

# %%
# The parts of every step add up to the change of equity.

names = list(info["parts"])
total = np.sum(parts, axis=0)
print(f"sum of the parts {total.sum():,.2f}, change of equity {equity[-1] - start:,.2f}")

# %%
# The account receives funding and pays fees once; the price profits of the two legs cancel out.

groups = {
    "funding": total[names.index("funding")],
    "both legs' price": total[names.index("spot_pnl")] + total[names.index("perp_pnl")],
    "fees": total[names.index("fees")],
    "spread, impact": total[names.index("spread")] + total[names.index("impact")],
    "interest": total[names.index("borrow_interest")] + total[names.index("cash_interest")],
    "liquidation": total[names.index("liquidation_loss")],
}
figure, ax = plt.subplots()
colours = ["tab:green" if value > 0 else "tab:red" for value in groups.values()]
ax.barh(list(groups), np.array(list(groups.values())) / start * 100, color=colours)
ax.set_xlabel("% of the initial equity, one year")
ax.invert_yaxis()

# %%
# Equity and funding over time.

figure, ax = plt.subplots()
days = np.arange(len(equity)) / 3
ax.plot(days, np.array(equity) / start * 100 - 100, label="equity")
ax.plot(
    days[1:],
    np.cumsum(np.array(parts)[:, names.index("funding")]) / start * 100,
    label="funding received",
)
ax.set_xlabel("days")
ax.set_ylabel("% of the initial equity")
ax.legend()
