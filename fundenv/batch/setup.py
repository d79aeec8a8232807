"""What a batch of environments is made of, before it has any arrays of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fundenv import choices
from fundenv.batch.decisions import decision_table
from fundenv.batch.gate import check_market
from fundenv.batch.observations import observation_table
from fundenv.batch.own_reward import own_reward
from fundenv.batch.randomize import range_table
from fundenv.batch.world import build_world, load_rules, resolve_market
from fundenv.config import ConfigError, EnvConfig
from fundenv.dynamics import types as t
from fundenv.market import Market

AUTORESET_MODES = choices.names(choices.Autoreset)
# settings that stand in `Store.params` under another name or are drawn from there anew
_IN_PARAMS = ("carry", "hedge", "leverage", "basis_half_life", "impact_half_life", "randomize")


class Setup:
    """What n environments are made of, on any device: `config`, `market`, the `venue` of the
    account and the `rulebook` of those of its assets, the `world` that the kernel reads, and the
    tables of their observations and of their numbered decisions.
    """

    def __init__(
        self,
        num_envs: int,
        market: Market | str | Path | None,
        symbols: Sequence[str] | None,
        autoreset: str,
        config: EnvConfig | None,
        settings: dict[str, Any],
    ) -> None:
        if autoreset not in AUTORESET_MODES:
            raise ConfigError(
                f"autoreset = {autoreset!r} is not one of {', '.join(AUTORESET_MODES)}"
            )
        self.config = EnvConfig.resolve(config, settings)
        self.own_reward = own_reward(self.config.reward)
        self.num_envs = num_envs
        self.market = resolve_market(market, symbols, self.config.venue, self.config.venues)
        check_market(self.market)
        self.rulebook = load_rules(self.config)
        self.venue = self.rulebook.account
        self.world = build_world(
            self.market, self.config, self.rulebook, AUTORESET_MODES.index(autoreset)
        )
        self.observation_table = observation_table(self.market, self.config.observe)
        self._told: tuple[EnvConfig, dict[str, Any]] | None = None
        self.decisions = decision_table(self.config, self.n_assets)

    @property
    def n_assets(self) -> int:
        """Assets A of every environment."""
        return self.market.n_assets

    def facts(self) -> dict[str, Any]:
        """What a state belongs to: the market by its hash, and every setting but those that stand
        in its `params` or are drawn anew.
        """
        codes = self.world.codes
        if self._told is None or self._told[0] is not self.config:  # a step of SAC asks every time
            settings = {
                name: value
                for name, value in self.config.to_dict().items()
                if name not in _IN_PARAMS and name not in t.Params._fields
            }
            self._told = self.config, settings
        return {"market": self.market.hash, "autoreset": int(codes[t.AUTORESET])} | {
            "first_path": int(codes[t.FIRST_PATH]),
            **self._told[1],
        }

    def randomize(self, ranges: Mapping[str, Sequence[Any]]) -> None:
        """Draw the numbers of the episodes that begin from now on from other ranges: the steps of a
        curriculum.

        ranges: as `EnvConfig.randomize`, for the same fields as before (low = high pins one).
        Raises `ConfigError`.
        """
        config = replace(self.config, randomize=ranges)
        now, then = ({name for name, *_ in c.randomize} for c in (config, self.config))
        if now != then:
            known = ", ".join(sorted(then)) or "none; build it with randomize={...}"
            raise ConfigError(
                f"randomize: {sorted(now ^ then)[0]!r} does not match the fields that this batch"
                f" draws ({known}); give exactly these"
            )
        self.world.ranges[:] = range_table(config)
        self.config = config

    def __getstate__(self) -> Any:
        """No copies and no pickles: the compiled calls of a copy would step the arrays of this
        batch. Raises `TypeError`.
        """
        raise TypeError(
            "an environment or batch cannot be copied or pickled; build another with the same"
            " settings, and hand on state() by restore()"
        )
