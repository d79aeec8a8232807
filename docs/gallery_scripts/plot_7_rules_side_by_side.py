"""
Two rules side by side
======================

Always-on carry against a rule that is invested only while funding is high, on eight synthetic
paths.
"""

import matplotlib.pyplot as plt
import numpy as np

import agents
from fundenv.batch.cpu import Batch
from fundenv.market import synthetic_market

market = synthetic_market("btc", years=1.0, paths=8, seed=21)
figure, ax = plt.subplots()
for name, colour in (("carry", "tab:orange"), ("ewma", "tab:blue")):
    agent = agents.make(name)
    batch = Batch(8, market=market, episode="300D", cash_rate=0.03, **agent.env_settings())
    agent.bind(batch)
    obs = batch.reset(seed=0, paths=np.arange(8), starts=np.zeros(8, dtype=int))
    agent.reset()
    equity = [batch.audit()["equity"]]
    for _ in range(899):
        batch.step(agent.act(obs))
        obs = batch.obs
        equity.append(batch.audit()["equity"])
    growth = np.log(np.array(equity) / equity[0]) * 100
    days = np.arange(len(growth)) / 3
    ax.plot(days, growth.mean(axis=1), color=colour, lw=2, label=name)
    ax.fill_between(days, growth.min(axis=1), growth.max(axis=1), color=colour, alpha=0.15)
ax.plot(days, 3.0 * days / 365, color="gray", ls="--", label="idle cash at 3 %")
ax.set_xlabel("days")
ax.set_ylabel("log growth, % (mean, lowest, highest)")
ax.legend()
