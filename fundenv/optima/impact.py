"""Problem D: own trades move the premium for good, and funding follows it; after Lorig (2026, arXiv
2605.11263), "Optimal Control of the Ethena Yield-Bearing Stablecoin".

A hedged position x (long spot, short perpetual) earns the funding that the premium pays. A trade
costs a square (temporary impact) and displaces the prices of both legs in proportion (permanent
impact): spot up, perpetual down, so the premium is D = f - m x, f what it is without the account.

Reward of a step: x (f - r m x) - K dx^2 / 2 - m (x^2 - x_before^2) / 2. m: `permanent`, K:
`temporary`, r: `response`, the share of the displacement that the settled rate follows. The last
term is paid for the displacement and comes back when the position is left: over time it adds up to
nothing. What stays is problem B (`fundenv.optima.quadratic`) with the risk aversion 2 r m, so the
best trade is linear in signal and position, as in the paper.

Assumed, as there: both impacts linear, permanent impact without decay, legs traded in step.
Different: f is a stationary AR(1) here, time is discrete, and the average reward takes the place
of a discount rate or a last day.
"""

from __future__ import annotations

from dataclasses import dataclass

from fundenv.optima.quadratic import QuadraticProblem


@dataclass(frozen=True, kw_only=True)
class ImpactProblem:
    """Temporary impact K, permanent impact m and response r of the reward above, decay and
    stationary deviation of the signal, and the cap of the position.
    """

    temporary: float = 10.0
    permanent: float = 10.0
    response: float = 0.05
    decay: float = 0.1
    sd: float = 1.0
    # largest |x| that the environment offers: beyond four deviations of the optimum's position
    cap: float = 3.0

    @property
    def lasting(self) -> float:
        """`EnvConfig.impact_lasting`: of the square of an order, the share that stays."""
        return self.permanent / (self.permanent + self.temporary)

    @property
    def reduced(self) -> QuadraticProblem:
        """Problem B with the same optimum and the same average reward."""
        return QuadraticProblem(
            aversion=2.0 * self.response * self.permanent,
            cost=self.temporary,
            decay=self.decay,
            sd=self.sd,
            cap=self.cap,
        )
