"""A warm start from both answers to every question: what the account would have earned on and what off, for the same path at once.

The market does not react, so two accounts on the same path, one always invested and one never, show at every decision what the policy would see
and what either gate would pay. With the chances to enter e_k and to stay s_k that the policy gives in these two states, the expected growth of a
whole episode is a formula,

    V_k(off) = e_k (G_k + V_(k+1)(on) - c) + (1 - e_k) V_(k+1)(off)
    V_k(on)  = D_k + s_k (G_k + V_(k+1)(on)) + (1 - s_k) (V_(k+1)(off) - c)

with G what a carry earns until the next decision, D the rate settled at this one, c the cost of a trade (`agents._potential`), and its gradient is
exact: no action is drawn, so the only noise left is that of the market. This is the policy gradient with all actions counted (Sutton and Barto,
Reinforcement Learning, 2nd ed., 13.3) on a market of two states. What it leaves out is learned in the environment afterwards: leverage,
liquidation, impact, the keeper's orders. Imported only when SB3 is needed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from agents._imitate import OFF, ON, gate_logits
from agents._potential import earned
from agents._sb3_terms import LEVERAGE, EnvTerms, priced
from agents._target import HELD, targets
from agents.base import Watcher, observed
from fundenv.config import EnvConfig, hours
from fundenv.envs.sb3 import FundingHedgeVecEnv
from fundenv.market import Market

Array = NDArray[np.float32]
FLAT, INVESTED = 0, 1
IDLE = 0.01  # thousandths of equity per decision that a gate costs which asks for what is held already


class Tape(NamedTuple):
    """One episode of every environment, T decisions of n environments with A assets each; money in thousandths of equity."""

    obs: Array  # (2, T, n, D): seen by the flat account, seen by the invested one
    gain: Array  # (T, n, A) of being on from the decision to the next one, net of the cost of the capital
    due: Array  # (T, n, A) rate settled at the decision on what was held before it
    cost: Array  # (n,) of entering or leaving
    free: NDArray[np.bool_]  # (T, n, A) whether orders of the decision are filled; False after the end of an episode too


class Merits(NamedTuple):
    """What a chance is worth: derivatives of the expected growth of the episode, (T, n, A)."""

    enter: Array
    stay: Array
    growth: float  # expected, per decision, mean over environments; sum over assets


def merits(enter: Array, stay: Array, tape: Tape, invested: NDArray[np.bool_]) -> Merits:
    """Exact gradient of the expected growth by the chances (T, n, A) to enter from flat and to stay when on; `invested` (n,) at the start."""
    steps = len(enter)
    cost = tape.cost[:, None]
    enter, stay = np.where(tape.free, enter, 0), np.where(tape.free, stay, 1)
    on, off = np.zeros((2, steps + 1, *enter.shape[1:]), np.float32)
    for k in range(steps - 1, -1, -1):
        held = tape.gain[k] + on[k + 1]
        on[k] = tape.due[k] + stay[k] * held + (1 - stay[k]) * (off[k + 1] - cost)
        off[k] = enter[k] * (held - cost) + (1 - enter[k]) * off[k + 1]
    inside = np.zeros_like(on)
    inside[0] = invested[:, None]
    for k in range(steps):
        inside[k + 1] = inside[k] * stay[k] + (1 - inside[k]) * enter[k]
    better = np.where(tape.free, tape.gain + on[1:] - off[1:], 0)
    growth = (inside[0] * on[0] + (1 - inside[0]) * off[0]).sum(axis=1).mean() / steps
    return Merits(
        (1 - inside[:-1]) * np.where(tape.free, better - cost, 0), inside[:-1] * np.where(tape.free, better + cost, 0), float(growth)
    )


class Rehearsal:
    """Two accounts in every environment of the training, one never invested and one always; they see the same paths."""

    def __init__(self, market: Market, settings: dict[str, Any], terms: EnvTerms) -> None:
        config = EnvConfig.from_dict(settings)
        step = hours(config.decision_interval, "decision_interval")
        self.envs = [
            FundingHedgeVecEnv(
                len(terms.cash_rate),
                market=market,
                **settings | {"actions": "target", "start_invested": share},
                per_env=terms._asdict(),
            )
            for share in (0.0, 1.0)
        ]
        batch = self.envs[FLAT].batch
        self.bars = round(step / market.bar_hours)
        self.gains = earned(market, self.bars)
        self.terms = priced(market, config, batch.venue, terms)
        self.length = int(min(self.gains.length.max(), hours(config.episode, "episode") / step if config.episode else np.inf))
        self.weight = np.float32(1e3 * LEVERAGE / (1 + LEVERAGE) / market.n_assets)
        self.carry = observed(batch.observation_table, "carry")

    def play(self, seed: int) -> Tape:
        """An episode drawn anew for every environment."""
        for env in self.envs:
            env.seed(seed)
        firsts: list[Any] = [env.reset() for env in self.envs]
        now = np.stack(firsts)
        open_ = np.ones(now.shape[1], bool)
        seen, parts = [], []
        for _ in range(self.length):
            path, row = self.envs[FLAT].batch.where
            seen.append(now)
            parts.append(self._parts(path, row, open_))
            inside = self.carry.of(now[INVESTED]) > HELD
            answers: list[Any] = [
                self.envs[FLAT].step(targets(np.ones_like(inside), np.zeros(inside.shape))),
                self.envs[INVESTED].step(targets(inside, np.ones(inside.shape), leverage=LEVERAGE)),
            ]
            now = np.stack([answer[0] for answer in answers])
            open_ = open_ & ~(answers[FLAT][2] | answers[INVESTED][2])
        gain, due, free = (np.stack(part) for part in zip(*parts, strict=True))
        return Tape(np.stack(seen, axis=1), gain, due, (self.weight * self.terms.cost).astype(np.float32), free)

    def _parts(self, path: NDArray[np.int64], row: NDArray[np.int64], open_: NDArray[np.bool_]) -> tuple[Array, Array, NDArray[np.bool_]]:
        """Gain, due and free of one decision, (n, A) each."""
        gains, terms = self.gains, self.terms
        at = np.minimum((row - gains.first[path]) // self.bars, gains.length[path] - 1), path
        scale, shift, hurdle, counts = (each[:, None] for each in (terms.scale, terms.shift, terms.hurdle, open_))
        held = gains.price[at] + scale * gains.after[at] + shift * gains.after_years[at] - hurdle
        due = scale * gains.due[at] + shift * gains.due_years[at]
        return (
            (self.weight * np.where(counts, held, 0)).astype(np.float32),
            (self.weight * np.where(counts, due, 0)).astype(np.float32),
            gains.tradable[at] & counts,
        )

    def close(self) -> None:
        """Stop the threads."""
        for env in self.envs:
            env.close()


def rehearse(
    model: Any,
    rehearsal: Rehearsal,
    *,
    episodes: int,
    seed: int,
    learning_rate: float,
    entropy: float,
    epochs: int = 4,
    watcher: Watcher | None = None,
) -> float:
    """Climb the exact gradient with the gates of a PPO model, `episodes` rounds of one episode in every environment.

    The learning rate and the entropy bonus fall linearly to 0. Returns the growth per decision expected in the last round, in thousandths, and shows that of
    every round to the watcher.
    """
    parts = [p for name, p in model.policy.named_parameters() if "value" not in name]
    optimiser = torch.optim.Adam(parts, lr=learning_rate)
    rng, growth = np.random.default_rng([seed, 0xCF]), 0.0
    for episode in range(episodes):
        tape = rehearsal.play(int(rng.integers(2**31)))
        left, n, grown = 1 - episode / episodes, tape.obs.shape[2], []
        optimiser.param_groups[0]["lr"] = learning_rate * left
        for _ in range(epochs):
            for index in np.array_split(rng.permutation(n), 4):
                part = Tape(tape.obs[:, :, index], tape.gain[:, index], tape.due[:, index], tape.cost[index], tape.free[:, index])
                grown.append(_climb(model, part, rng.random(len(index)) < 0.5, optimiser, parts, entropy * left))
        growth = float(np.mean(grown))
        if watcher is not None:
            watcher.update(0, {"rehearsal/expected_growth": growth})
    return growth


def _climb(model: Any, tape: Tape, invested: NDArray[np.bool_], optimiser: Any, parts: list[Any], entropy: float) -> float:
    """One step of the optimiser; returns the expected growth per decision before it."""
    shape = tape.obs.shape
    heads = gate_logits(model, torch.as_tensor(tape.obs.reshape(-1, shape[-1]), device=model.device))
    logs = torch.stack([torch.log_softmax(head, dim=1) for head in heads], dim=1).reshape(*shape[:3], len(heads), -1)
    chances = logs.exp()
    enter, stay = chances[FLAT, ..., ON], 1 - chances[INVESTED, ..., OFF]
    worth = merits(enter.detach().cpu().numpy(), stay.detach().cpu().numpy(), tape, invested)
    merit = [torch.as_tensor(each, device=model.device) for each in worth[:2]]
    idle = (chances[FLAT, ..., OFF] + chances[INVESTED, ..., ON]).mean()  # both do nothing new; holding says so, and trades no dust
    bonus = -(chances * logs).sum(dim=-1).mean()
    loss = -(enter * merit[0] + stay * merit[1]).sum(dim=2).mean() - entropy * bonus + IDLE * idle
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(parts, 0.1)
    optimiser.step()
    return worth.growth
