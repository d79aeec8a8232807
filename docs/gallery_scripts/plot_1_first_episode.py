"""
A first episode
===============

The env draws its own episode. Here a rule holds the carry while mean funding is above
0.45 bp per 8 h.
"""

import gymnasium
import matplotlib.pyplot as plt

env = gymnasium.make("fundenv:fundenv/FundingHedge-v0", actions="target", render_mode="rgb_array")
names = [column.name for column in env.unwrapped.observation_table]
funding = names.index("funding_ewma_9")  # scale 3 bp per 8 h

observation, info = env.reset(seed=5)
done = False
while not done:
    carry = float(observation[funding] > 0.15)
    observation, reward, terminated, truncated, info = env.step([0, carry, 1.0, 3.0])
    done = terminated or truncated

picture = env.render()
height, width, _ = picture.shape
figure, ax = plt.subplots(figsize=(7, 7 * height / width))
ax.imshow(picture)
ax.axis("off")
