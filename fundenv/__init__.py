"""fundenv: learn hedging and leverage policies for crypto perpetual swaps.

`import fundenv` registers `fundenv/FundingHedge-v0` with Gymnasium and imports nothing heavy.
"""

from gymnasium.envs.registration import register, registry

__version__ = "0.1.0"

if "fundenv/FundingHedge-v0" not in registry:
    register(
        id="fundenv/FundingHedge-v0",
        entry_point="fundenv.envs.single:FundingHedgeEnv",
        vector_entry_point="fundenv.envs.vector:FundingHedgeVectorEnv",
        # The environment checks its own use; the pass-through wrappers would cost more than a step.
        disable_env_checker=True,
        order_enforce=False,
    )
