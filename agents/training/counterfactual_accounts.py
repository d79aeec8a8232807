"""Accounts that together take every action on the paths of a training: in every environment one
account is never invested, and one account per leverage is always invested.

The gain of an account that stays invested is the growth that the env pays it, with the orders of
the margin keeper, whatever the reward of the training is. The formula
(`agents.training.counterfactual`) leaves out impact, how long an account has drifted, and the
pending hedge order met by an account that re-enters right after a liquidation; PPO learns those in
the env afterwards.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.base import observed
from agents.rules.actions import HELD, targets
from agents.training.counterfactual import FLAT, Counterfactuals
from agents.training.hindsight_potential import earned
from agents.training.randomisation import EnvTerms, priced
from fundenv.config import EnvConfig, hours
from fundenv.envs.sb3 import FundingHedgeVecEnv
from fundenv.market import Market


class CounterfactualAccounts:
    """Accounts in every environment of the training, on the same paths: one is never invested (its
    target is the first leverage), and one is always invested at each leverage.

    A liquidated account waits until the env has sold what is left, then enters again; for the
    formula an account that was invested beside it is flat from then on. With several assets, all
    legs of an account are on or off together.
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
        """`liquidation`: charge for a liquidation, as a share of the notional: a price of risk,
        which may be above the mean cost.
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
        self.terms = priced(market, config, batch.rulebook, terms)
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

    def play(self, seed: int) -> Counterfactuals:
        """Run a newly drawn episode in every environment."""
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
        gain, due, liquidated, tradable = (np.stack(part) for part in zip(*parts, strict=True))
        cost = (1e3 * self.weight * self.terms.cost[:, None]).astype(np.float32)
        return Counterfactuals(
            np.stack(seen, axis=1), np.stack(stood, axis=1), gain, due, liquidated, tradable, cost
        )

    def _inside(self, obs: Any, leverage: float) -> NDArray[np.bool_]:
        """(n, A) whether a leg holds the carry at `leverage` and no sale after a liquidation is
        pending.
        """
        held = (self.carry.of(obs) > HELD) & (np.abs(self.leverage.of(obs) - leverage) < 1e-3)
        return np.asarray(held & (self.pending.of(obs) == 0))

    def _short(self, invested: Any, inside: Any) -> NDArray[np.float64]:
        """Perpetual notional sold over equity (n, A, L): of the invested account, also for an
        account that enters now; of an account that is not invested, what it would have.
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
        """Gain, due and liquidated (n, A, L), and tradable (n, A), of one decision. `liquidated`
        (n, A, L): whether the venue liquidates the leg before the next decision.
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
        """The parts. The gain of an account that is `held` invested (n, L) becomes the growth that
        the env paid it (S, n) above the flat account, which includes costs of the keeper, interest
        and the logarithm. The difference to the formula is spread evenly over the assets.
        """
        gain, due, liquidated, tradable = part
        unknown = (rewards[1:] - rewards[FLAT]).T - (gain + due).sum(axis=1)
        return (
            gain + (np.where(held, unknown, 0) / gain.shape[1]).astype(np.float32)[:, None],
            due,
            liquidated,
            tradable,
        )

    def close(self) -> None:
        """Stop the threads."""
        for env in self.envs:
            env.close()
