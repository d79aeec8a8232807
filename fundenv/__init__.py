"""fundenv: learn hedging and leverage policies for crypto perpetual swaps.

`import fundenv` registers with Gymnasium: `fundenv/FundingHedge-v0`, its form with a `Discrete`
action space (`fundenv/FundingHedge-Discrete-v0`), one capital over several coins
(`fundenv/FundingPortfolio-v0`), and four problems with a known optimum. It imports no large
library. The id `fundenv:fundenv/FundingHedge-v0` names the module too, so that Gymnasium imports
it.
"""

from gymnasium.envs.registration import register, registry

from fundenv.bundled_path import add_bundled_to_path as add_bundled_to_path

__version__ = "0.1.0"

for _id, _settings in (
    ("fundenv/FundingHedge-v0", {}),
    ("fundenv/FundingHedge-Discrete-v0", {"actions": "indexed", "dials": ("carry",)}),
):
    if _id not in registry:
        register(
            id=_id,
            entry_point="fundenv.envs.single:FundingHedgeEnv",
            vector_entry_point="fundenv.envs.vector:FundingHedgeVectorEnv",
            kwargs=_settings,
            # The environment checks its own use; the pass-through wrappers would cost more than a
            # step.
            disable_env_checker=True,
            order_enforce=False,
        )

if "fundenv/FundingPortfolio-v0" not in registry:
    register(
        id="fundenv/FundingPortfolio-v0",
        entry_point="fundenv.envs.portfolio:FundingPortfolioEnv",
        vector_entry_point="fundenv.envs.portfolio:FundingPortfolioVectorEnv",
        disable_env_checker=True,
        order_enforce=False,
    )

for _id, _problem in (
    ("fundenv/SolvableCarry-v0", "linear"),
    ("fundenv/SolvableCarry-Quadratic-v0", "quadratic"),
    ("fundenv/SolvableCarry-Leverage-v0", "leverage"),
    ("fundenv/SolvableCarry-Impact-v0", "impact"),
):
    if _id not in registry:
        register(
            id=_id,
            entry_point="fundenv.envs.solvable:SolvableEnv",
            vector_entry_point="fundenv.envs.solvable:SolvableVectorEnv",
            kwargs={"problem": _problem},
            disable_env_checker=True,
            order_enforce=False,
        )
