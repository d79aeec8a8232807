"""PPO learns a known optimum, and its critic the known value of it, although every episode is cut
off after two decisions.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from experiments.solvable import Judge
from experiments.studies.solvable_tasks import Task, make_agent

GAMMA, SCALE = 0.95, 0.1
# Without a cost the sign of the signal decides, and a state is worth E|x| / (1 - gamma) on average.
# Who takes a cut-off for an end learns a tenth of that.
TASK = Task(
    problem="linear",
    agent="ppo",
    steps=80_000,
    env={"reward_scale": SCALE, "episode": "4h"},
    params={
        "n_envs": 128,
        "n_steps": 16,
        "batch_size": 512,
        "epochs": 6,
        "gamma": GAMMA,
        "hold_bias": 0.0,
        "learning_rate": 2e-3,
        "imitate": 0,
        "observations": "all",
    },
    numbers={"cost": 0.0},
)


@pytest.mark.learn
def test_ppo_learns_the_optimum_and_its_value_across_cut_offs() -> None:
    import torch

    agent, env = make_agent(TASK, seed=0)
    agent.model.learn(TASK.steps)
    assert Judge(TASK, agent).share() > 90.0
    env.seed(1)
    with torch.no_grad():
        values = agent.model.policy.predict_values(torch.as_tensor(env.reset())).numpy() / SCALE
    assert np.mean(values) == pytest.approx(math.sqrt(2 / math.pi) / (1 - GAMMA), rel=0.25)
