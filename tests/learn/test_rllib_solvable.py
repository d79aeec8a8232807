"""RLlib's PPO on a problem with a known optimum, through the same vectorised environment: what it
misses there, the binding misses.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fundenv.envs.solvable import SolvableVectorEnv

SETTINGS: dict[str, Any] = {
    "actions": "discrete",
    "dials": ("carry",),
    "carry_grid": (-1.0, 0.0, 1.0),
}
ENVS, STEPS, ALL = 128, 64, 500_000


def create(context: Any) -> SolvableVectorEnv:
    """Problem A, linear cost."""
    return SolvableVectorEnv(
        context.get("num_envs", 1),
        seed=0,
        autoreset_mode="next_step",
        episode="90D",
        random_start=True,
        **SETTINGS,
    )


def earned(module: Any) -> float:
    """Average reward of a decision of the greedy policy on a market that it has not seen."""
    import torch

    envs = SolvableVectorEnv(
        256, seed=1, paths=256, autoreset_mode="same_step", random_start=False, **SETTINGS
    )
    obs, _ = envs.reset(seed=5)
    rewards = []
    for _ in range(450):
        with torch.no_grad():
            logits = module.forward_inference({"obs": torch.as_tensor(obs)})["action_dist_inputs"]
        obs, reward, *_ = envs.step(logits.argmax(dim=1).numpy()[:, None])
        rewards.append(reward.mean())
    return float(np.mean(rewards[50:]))


@pytest.mark.slow
@pytest.mark.learn
def test_ppo_comes_within_ten_per_cent_of_the_optimum() -> None:
    ray = pytest.importorskip("ray", reason="RLlib is not installed (pip install 'fundenv[rllib]')")
    from ray.rllib.algorithms.ppo import PPOConfig
    from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
    from ray.tune.registry import register_env

    register_env("solvable", create)
    one = create({})
    ray.init(
        address="local",
        num_cpus=1,
        object_store_memory=100_000_000,
        include_dashboard=False,
        log_to_driver=False,
    )
    try:
        algorithm = (
            PPOConfig()
            .environment(
                "solvable",
                observation_space=one.single_observation_space,
                action_space=one.single_action_space,
            )
            .env_runners(
                num_env_runners=0,
                num_envs_per_env_runner=ENVS,
                gym_env_vectorize_mode="vector_entry_point",
            )
            .training(
                lr=[[0, 3e-3], [ALL, 1e-5]],
                gamma=0.99,
                lambda_=0.95,
                train_batch_size_per_learner=ENVS * STEPS,
                minibatch_size=2048,
                num_epochs=4,
                entropy_coeff=0.003,
                use_kl_loss=False,
                vf_clip_param=float("inf"),
                vf_loss_coeff=0.1,
                clip_param=0.2,
                grad_clip=0.5,
            )
            .rl_module(
                model_config=DefaultModelConfig(
                    fcnet_hiddens=[64, 64], fcnet_activation="tanh", vf_share_layers=False
                )
            )
            .learners(num_learners=0)
            .debugging(seed=0, log_level="ERROR")
            .build_algo()
        )
        done = 0
        while done < ALL:
            done = algorithm.train()["env_runners"]["num_env_steps_sampled_lifetime"]
        share = earned(algorithm.get_module()) / one.solvable.optimum
        algorithm.stop()
    finally:
        ray.shutdown()
    assert 0.9 <= share < 1.1  # seeds 0, 1 and 2: 93, 95 and more than 95 % (docs/speed.md)
