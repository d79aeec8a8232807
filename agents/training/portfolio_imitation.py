"""A warm start on one capital: a new policy imitates a rule on the rule's own rollouts in the
training envs, each with its own terms and subset of coins.

Imported only when SB3 is needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from agents.sb3.portfolio.choices import STAY
from agents.sb3.portfolio.teacher import Teacher

# share of random choices in the rollouts of the rule, so that these contain entries and exits
_EXPLORE = 0.1


def imitate(
    model: Any,
    teacher: Teacher,
    *,
    samples: int,
    seed: int,
    epochs: int = 20,
    batch_size: int = 256,
) -> tuple[float, float]:
    """Fit the choices of a new policy to those of the rule on `samples` observations of its own
    env. Returns the share of the decisions to stay, and of the orders, in which both then agree.

    Orders are rare, so the samples with an order together have the same weight as the others.
    """
    env, rng = model.get_env(), np.random.default_rng([seed, 0xBC])
    choices, bands = teacher.choices, len(teacher.choices.bands)
    env.teacher = teacher  # the env resets the teacher's memory where episodes end
    seen, asked, obs = [], [], env.reset()
    for _ in range(-(-samples // env.num_envs)):
        wanted = teacher.choose(obs)
        seen.append(obs)
        asked.append(wanted)
        free = rng.random(len(obs)) < _EXPLORE
        played = np.where(free, rng.integers(0, choices.count, len(obs)), wanted)
        drawn = rng.integers(0, bands, len(obs))
        obs, _, _, _ = env.step(np.stack([played, drawn], axis=1))
    env.teacher = None
    inputs: Any
    labels: Any
    inputs, labels = (
        torch.as_tensor(np.concatenate(each), device=model.device) for each in (seen, asked)
    )
    orders = (labels != STAY).float()
    share = orders.mean().clamp(0.01, 0.99)
    weights = torch.where(labels == STAY, 1 / (1 - share), 1 / share) / 2
    parts = [p for name, p in model.policy.named_parameters() if ".critic." not in name]
    optimiser = torch.optim.Adam(parts, lr=3e-3)
    order = torch.Generator().manual_seed(seed)
    for epoch in range(epochs):
        optimiser.param_groups[0]["lr"] = 3e-3 * (1 - epoch / epochs)
        mixed: Any = torch.randperm(len(inputs), generator=order).to(inputs.device)
        for index in mixed.split(batch_size):
            loss = torch.nn.functional.cross_entropy(
                choice_logits(model, inputs[index], bands), labels[index], reduction="none"
            )
            loss = (loss * weights[index]).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    with torch.no_grad():
        agree = torch.cat(
            [
                (choice_logits(model, part, bands).argmax(dim=1) == told).float()
                for part, told in zip(inputs.split(8192), labels.split(8192), strict=True)
            ]
        )
    return float(agree[labels == STAY].mean()), float(agree[labels != STAY].mean())


def choice_logits(model: Any, obs: Any, bands: int) -> Any:
    """Logits (n, 2 + A L) of the choices."""
    logits = model.policy.mlp_extractor.forward_actor(obs)
    return logits[:, : logits.shape[1] - bands]
