"""A warm start: accounts that give every answer walk the paths of the training, and a policy climbs
the exact gradient of its expected growth on them.

What an account that stays on earns is the growth that the environment pays it, the keeper's orders
and all, whatever the reward of the training is. What the formula leaves out
(`agents.training.counterfactual`) is learned in the environment afterwards: impact, how long an
account has drifted, and the pending hedge order that an account meets which re-enters right after a
liquidation.
Imported only when SB3 is needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from agents.base import TrainingCallback, goes_on, observed
from agents.rules.actions import HELD, targets
from agents.training.counterfactual import FLAT, Chances, Tape, filled, levels, merits, values
from agents.training.hindsight_potential import earned
from agents.training.imitation import HOLD, OFF, ON, policy_logits
from agents.training.randomisation import EnvTerms, priced
from fundenv.config import EnvConfig, hours
from fundenv.envs.sb3 import FundingHedgeVecEnv
from fundenv.market import Market

JUDGED = 0.25  # share of the rounds, the last ones, in which the critic learns
BATCH = 4096  # states that it sees at once


class CounterfactualTraining:
    """Accounts in every environment of the training, one never invested (its target the first
    leverage) and one always at each leverage, on the same paths.

    An account that was liquidated waits until what is left is sold, and comes back; `cut` leads who
    was with it to the flat state. With several assets all legs of an account are on or off alike.
    """

    def __init__(
        self,
        market: Market,
        settings: dict[str, Any],
        terms: EnvTerms,
        *,
        leverages: tuple[float, ...],
        liquidation: float,
    ) -> None:
        """`liquidation`: what one is charged, as a share of the notional: a price of risk, which
        may be above what it costs on average.
        """
        config = EnvConfig.from_dict(settings)
        step = hours(config.decision_interval, "decision_interval")
        self.leverages, self.liquidation = leverages, liquidation
        self.envs = [
            FundingHedgeVecEnv(
                len(terms.cash_rate),
                market=market,
                **settings
                | {
                    "actions": "target",
                    "reward": "log_growth",
                    "start_invested": share,
                    "leverage": leverage,
                },
                per_env=terms._asdict(),
            )
            for share, leverage in (
                (0.0, leverages[0]),
                *((1.0, leverage) for leverage in leverages),
            )
        ]
        batch = self.envs[FLAT].batch
        self.bars = round(step / market.bar_hours)
        self.gains = earned(market, self.bars)
        self.terms = priced(market, config, batch.venue, terms)
        # what idle cash would earn until the next decision
        self.capital = (terms.cash_rate * step / 8760 / market.n_assets)[:, None, None]
        self.length = int(
            min(
                self.gains.length.max(),
                hours(config.episode, "episode") / step if config.episode else np.inf,
            )
        )
        # notional over equity
        self.weight = np.array(
            [leverage / (1 + leverage) / market.n_assets for leverage in leverages]
        )
        names = ("carry", "target_leverage", "pending", "perp_weight", "liquidated")
        self.carry, self.leverage, self.pending, self.perp, self.liquidated = (
            observed(batch.observation_table, name) for name in names
        )

    def play(self, seed: int) -> Tape:
        """An episode drawn anew for every environment."""
        for env in self.envs:
            env.seed(seed)
        firsts: list[Any] = [env.reset() for env in self.envs]
        now = np.stack(firsts)
        open_ = np.ones(now.shape[1], bool)
        seen, stood, parts = [], [], []
        for _ in range(self.length):
            path, row = self.envs[FLAT].batch.where
            inside = [self._inside(*each) for each in zip(now[1:], self.leverages, strict=True)]
            seen.append(now)
            stood.append(open_ & [open_, *(each.all(axis=1) for each in inside)])
            waiting = [
                each | (self.pending.of(obs) != 0)
                for each, obs in zip(inside, now[1:], strict=True)
            ]
            asked = [targets(np.ones(inside[0].shape, bool), 0.0)]
            asked += [
                targets(hold, 1.0, leverage=leverage)
                for hold, leverage in zip(waiting, self.leverages, strict=True)
            ]
            answers: list[Any] = [
                env.step(action) for env, action in zip(self.envs, asked, strict=True)
            ]
            then, ended = (
                np.stack([answer[0] for answer in answers]),
                np.any([answer[2] for answer in answers], axis=0),
            )
            liquidated = (
                np.stack([self.liquidated.of(obs) > 0 for obs in then[1:]], axis=-1)
                & (open_ & ~ended)[:, None, None]
            )
            held = (
                np.stack([each.all(axis=1) for each in inside], axis=-1)
                & open_[:, None]
                & ~liquidated.any(axis=1)
            )
            part = self._parts(path, row, open_, self._short(now[1:], inside), liquidated)
            parts.append(self._paid(part, held, np.stack([answer[1] for answer in answers])))
            now, open_ = then, open_ & ~ended
        gain, due, cut, free = (np.stack(part) for part in zip(*parts, strict=True))
        cost = (1e3 * self.weight * self.terms.cost[:, None]).astype(np.float32)
        return Tape(np.stack(seen, axis=1), np.stack(stood, axis=1), gain, due, cut, free, cost)

    def _inside(self, obs: Any, leverage: float) -> NDArray[np.bool_]:
        """Which legs (n, A) hold the carry at `leverage`, and are not about to be sold after a
        liquidation.
        """
        held = (self.carry.of(obs) > HELD) & (np.abs(self.leverage.of(obs) - leverage) < 1e-3)
        return np.asarray(held & (self.pending.of(obs) == 0))

    def _short(self, invested: Any, inside: Any) -> NDArray[np.float64]:
        """Perpetual notional sold over equity (n, A, L): what the invested account holds (who
        enters now gets that too), or would if it entered now.
        """
        rows = zip(invested, inside, self.weight, strict=True)
        return np.stack(
            [np.where(held, -self.perp.of(obs), weight) for obs, held, weight in rows], axis=-1
        )

    def _parts(
        self,
        path: Any,
        row: Any,
        open_: NDArray[np.bool_],
        short: NDArray[np.float64],
        liquidated: NDArray[np.bool_],
    ) -> tuple[NDArray[Any], ...]:
        """Gain, due and cut (n, A, L) and free (n, A) of one decision; `liquidated`: by the venue
        before the next.
        """
        gains, terms, counts = self.gains, self.terms, open_[:, None, None]
        at = np.minimum((row - gains.first[path]) // self.bars, gains.length[path] - 1), path
        scale, shift = terms.scale[:, None], terms.shift[:, None]
        paid = gains.price[at] + scale * gains.after[at] + shift * gains.after_years[at]
        due = scale * gains.due[at] + shift * gains.due_years[at]
        gain = short * np.where(liquidated, -self.liquidation, paid[..., None]) - self.capital
        return (
            (1e3 * np.where(counts, gain, 0)).astype(np.float32),
            (1e3 * np.where(counts, short * due[..., None], 0)).astype(np.float32),
            liquidated,
            gains.tradable[at] & open_[:, None],
        )

    def _paid(
        self, part: tuple[NDArray[Any], ...], held: NDArray[np.bool_], rewards: Any
    ) -> tuple[NDArray[Any], ...]:
        """The parts, where an account `held` on (n, L) with the gain that it was paid (S, n) above
        the flat one: with costs of the keeper, interest, and the logarithm. What the formula does
        not know is shared among the assets alike.
        """
        gain, due, cut, free = part
        unknown = (rewards[1:] - rewards[FLAT]).T - (gain + due).sum(axis=1)
        return (
            gain + (np.where(held, unknown, 0) / gain.shape[1]).astype(np.float32)[:, None],
            due,
            cut,
            free,
        )

    def close(self) -> None:
        """Stop the threads."""
        for env in self.envs:
            env.close()


def train_policy(
    model: Any,
    training: CounterfactualTraining,
    *,
    episodes: int,
    seed: int,
    learning_rate: float,
    entropy: float,
    scale: float | None,
    shaped: bool,
    epochs: int = 4,
    callback: TrainingCallback | None = None,
) -> bool:
    """Climb the exact gradient with the gates and leverages of a PPO model, `episodes` rounds of
    one episode in every environment.

    The learning rate and the entropy bonus fall linearly to 0. In the last quarter of the rounds
    the critic begins with what the formula says, `scale` times thousandths, less the value of
    hindsight where the rewards of training are shaped. That is a start, not their return: the
    formula ends with the episode, is not discounted, and its hindsight knows leverages and
    liquidations, which the potential does not. None: the critic is left as it is. Shows the growth
    per decision expected in every round, in thousandths and with liquidations as charged, to the
    callback. Returns whether all rounds were done: it stops where the callback says so.
    """
    parts = [p for name, p in model.policy.named_parameters() if "value" not in name]
    critic = [p for name, p in model.policy.named_parameters() if "value" in name]
    optimiser, judging = (
        torch.optim.Adam(parts, lr=learning_rate),
        torch.optim.Adam(critic, lr=learning_rate),
    )
    rng = np.random.default_rng([seed, 0xCF])
    for episode in range(episodes):
        tape = training.play(int(rng.integers(2**31)))
        left, n, grown = 1 - episode / episodes, len(tape.cost), []
        optimiser.param_groups[0]["lr"] = learning_rate * left
        for _ in range(epochs):
            grown += [
                _climb(
                    model,
                    tape.part(index),
                    starts(tape, index, rng),
                    optimiser,
                    parts,
                    entropy * left,
                )
                for index in np.array_split(rng.permutation(n), 4)
            ]
        if left <= JUDGED and scale is not None:
            _judge(model, tape, judging, scale, shaped, rng)
        if callback is not None and not goes_on(
            callback,
            "update",
            callback.update(0, {"counterfactual/expected_growth": float(np.mean(grown))}),
        ):
            return False
    return True


def starts(tape: Tape, index: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Where the accounts of `index` begin (n, S): half of them flat, the others at one of the
    leverages.
    """
    begun = np.eye(len(tape.obs))
    return begun[
        np.where(rng.random(len(index)) < 0.5, FLAT, rng.integers(1, len(begun), len(index)))
    ]


def _answers(model: Any, tape: Tape) -> tuple[Chances, Any]:
    """(chances of the policy on the tape, mean entropy of a gate and of a leverage), both
    tensors.
    """
    shape = tape.obs.shape
    heads = policy_logits(
        model, torch.as_tensor(tape.obs.reshape(-1, shape[-1]), device=model.device)
    )
    log_gates, log_leverages = (
        torch.stack([torch.log_softmax(head, dim=1) for head in each], dim=1).reshape(
            *shape[:3], len(each), -1
        )
        for each in (heads[::2], heads[1::2])
    )
    gates, leverages = log_gates.exp(), log_leverages.exp()  # (S, T, n, A, 3), (S, T, n, A, L)
    inside, then = gates[1:].permute(1, 2, 3, 0, 4), leverages[1:].permute(1, 2, 3, 0, 4)
    entropy = (
        -(gates * log_gates).sum(dim=-1).mean() - (leverages * log_leverages).sum(dim=-1).mean()
    )
    return (
        Chances(
            gates[FLAT, ..., ON],
            leverages[FLAT],
            inside[..., HOLD],
            inside[..., OFF],
            inside[..., ON],
            then,
        ),
        entropy,
    )


def _climb(
    model: Any,
    tape: Tape,
    start: NDArray[np.float64],
    optimiser: Any,
    parts: list[Any],
    entropy: float,
) -> float:
    """One step of the optimiser; returns the expected growth per decision before it."""
    chances, bonus = _answers(model, tape)
    worth, growth = merits(Chances(*(each.detach().cpu().numpy() for each in chances)), tape, start)
    gained: Any = sum(
        (chance * torch.as_tensor(merit, device=model.device).float()).sum()
        for chance, merit in zip(chances, worth, strict=True)
    )
    loss = -gained / tape.free[..., 0].size - entropy * bonus
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parts, 0.1)
    optimiser.step()
    return growth


def _judge(
    model: Any,
    tape: Tape,
    optimiser: Any,
    scale: float,
    shaped: bool,
    rng: np.random.Generator,
    epochs: int = 2,
) -> None:
    """Fit the critic to the values of all states in which the accounts stand."""
    with torch.no_grad():
        chances = Chances(*(each.cpu().numpy() for each in _answers(model, tape)[0]))
    worth = values(filled(chances, tape), tape)
    counted = np.flatnonzero(tape.inside)
    seen, told = (
        tape.obs.reshape(-1, tape.obs.shape[-1])[counted],
        (scale * levels(tape, worth, shaped)).reshape(-1)[counted],
    )
    inputs, targets_ = (
        torch.as_tensor(np.asarray(part, np.float32), device=model.device) for part in (seen, told)
    )
    for _ in range(epochs):
        for index in torch.split(
            torch.as_tensor(rng.permutation(len(counted)), device=model.device), BATCH
        ):
            loss = torch.nn.functional.mse_loss(
                model.policy.predict_values(inputs[index]).flatten(), targets_[index]
            )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
