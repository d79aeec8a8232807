"""One minibatch of PPO as one function without arguments, fit for a CUDA graph. Imported only when
SB3 is needed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

STATISTICS = (
    "entropy_loss",
    "policy_gradient_loss",
    "value_loss",
    "approx_kl",
    "clip_fraction",
    "loss",
)
_BATCH = ("observations", "actions", "values", "log_probs", "advantages", "returns")


class Update:
    """The loss, the gradient and the step of SB3's `PPO.train` on the next `batch` samples of a
    rollout in random order.

    What changes in a training stands in tensors: learning rate, clip range, entropy bonus, order
    and place in it. Sums of `STATISTICS` stay on the device until `statistics` fetches them.

    Args:
        policy: an actor-critic policy of SB3; its optimiser, Adam, becomes capturable.
        held: the tensors (T, n, ...) of a `TensorRollouts`. batch: samples, a divisor of T x n.
    """

    def __init__(
        self,
        policy: Any,
        held: dict[str, Tensor],
        batch: int,
        *,
        vf_coef: float,
        max_grad_norm: float,
    ) -> None:
        self.policy, self.optimizer = policy, policy.optimizer
        self.vf_coef, self.max_grad_norm = vf_coef, max_grad_norm
        self.flat = {
            name: held[name].view(-1, *held[name].shape[2:]) for name in _BATCH if name != "values"
        }
        total, device = len(self.flat["returns"]), held["returns"].device
        if total % batch:
            raise ValueError(f"{total} samples are no whole number of minibatches of {batch}")
        self.batches, self.batch = total // batch, batch
        self.order = torch.zeros(total, dtype=torch.int64, device=device)
        self.reach = torch.arange(batch, device=device)
        self.place = torch.zeros((), dtype=torch.int64, device=device)
        self.rate, self.clip, self.entropy = (torch.zeros((), device=device) for _ in range(3))
        self.sums = torch.zeros(len(STATISTICS), device=device)
        self.added = 0
        capturable(self.optimizer, self.rate)

    def begin(self, rate: float, clip: float, entropy: float) -> None:
        """Set learning rate, clip range and entropy bonus of the next minibatches."""
        self.rate.fill_(rate)
        self.clip.fill_(clip)
        self.entropy.fill_(entropy)

    def shuffle(self) -> None:
        """Begin another pass in a new order."""
        total = len(self.order)
        self.order.copy_(torch.randperm(total, device=self.order.device))
        self.place.zero_()
        self.added += self.batches

    def minibatch(self) -> None:
        """Learn from the next `batch` samples."""
        index = self.order.index_select(0, self.place + self.reach)
        self.place.add_(self.batch)
        obs, actions, old, advantages, returns = (
            value.index_select(0, index) for value in self.flat.values()
        )
        values, log_probs, entropy = self.policy.evaluate_actions(obs, actions)
        if self.batch > 1:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        ratio = torch.exp(log_probs - old)
        clipped = torch.clamp(ratio, 1 - self.clip, 1 + self.clip)
        policy_loss = -torch.min(advantages * ratio, advantages * clipped).mean()
        value_loss = mse_loss(returns, values.flatten())
        entropy_loss = -torch.mean(entropy)
        loss = policy_loss + self.entropy * entropy_loss + self.vf_coef * value_loss
        self.optimizer.zero_grad(set_to_none=False)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
        self.optimizer.step()
        with torch.no_grad():
            moved = log_probs - old
            kl = torch.mean((torch.exp(moved) - 1) - moved)
            beyond = torch.mean((torch.abs(ratio - 1) > self.clip).float())
            seen = (entropy_loss, policy_loss, value_loss, kl, beyond, loss)
            self.sums.add_(torch.stack(seen))

    def statistics(self) -> dict[str, float]:
        """Means of `STATISTICS` over the minibatches since the last call; waits for the device."""
        means = (self.sums / max(1, self.added)).tolist()
        self.sums.zero_()
        self.added = 0
        return dict(zip(STATISTICS, means, strict=True))


def capturable(optimizer: Any, rate: Tensor) -> None:
    """Let Adam keep its count of steps on the device and read its learning rate from `rate` there:
    a number of Python would be the same in every replay of a graph.
    """
    for group in optimizer.param_groups:
        group.update(lr=rate, capturable=True, fused=True, foreach=False)
    for state in optimizer.state.values():
        state["step"] = torch.as_tensor(state["step"], dtype=torch.float32).to(rate.device)


def portable(state: dict[str, Any]) -> dict[str, Any]:
    """The state of such an optimiser as plain SB3 expects it: numbers, and counts on the host."""
    plain = {"capturable": False, "fused": None, "foreach": None}
    groups = [group | plain | {"lr": float(group["lr"])} for group in state["param_groups"]]
    states = {
        key: each | {"step": each["step"].detach().cpu().clone()}
        for key, each in state["state"].items()
    }
    return state | {"state": states, "param_groups": groups}
