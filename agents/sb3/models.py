"""New models of stable-baselines3 from the parameters that every PPO, or every SAC, has; imported
only when a model is made.
"""

from __future__ import annotations

import warnings
from typing import Any

from stable_baselines3.common.utils import LinearSchedule


def ppo_model(agent: Any, policy: Any, env: Any, seed: int, **own: Any) -> Any:
    """A new model of an agent that learns by PPO; `own` are further arguments of its class."""
    p = agent.params
    with warnings.catch_warnings():
        # a batch size that does not divide the rollout: the last minibatch is smaller
        warnings.simplefilter("ignore")
        return agent.algorithm()(
            policy,
            env,
            learning_rate=LinearSchedule(p.learning_rate, 0.0, 1.0),
            n_steps=p.n_steps,
            batch_size=min(p.batch_size, p.n_envs * p.n_steps),
            n_epochs=p.epochs,
            gamma=p.gamma,
            gae_lambda=p.gae_lambda,
            max_grad_norm=p.max_grad_norm,
            clip_range=p.clip_range,
            seed=seed,
            device=agent.place(),
            **own,
        )


def replay_model(agent: Any, policy: Any, env: Any, seed: int, **own: Any) -> Any:
    """A new model of an agent that learns from a replay buffer; `own` as above."""
    p = agent.params
    return agent.algorithm()(
        policy,
        env,
        learning_rate=LinearSchedule(p.learning_rate, 0.0, 1.0),
        buffer_size=min(p.buffer_size, max(agent.steps_wanted, p.n_envs)),
        batch_size=p.batch_size,
        tau=p.tau,
        gamma=p.gamma,
        seed=seed,
        device=agent.place(),
        **own,
    )
