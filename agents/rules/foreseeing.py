"""What the clairvoyants share: a plan over the future of the batch that they are bound to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.base import Agent
from agents.params import AgentError


class Foreseeing(Agent):
    """An agent that reads the future from its batch, so it can act in that batch alone."""

    sees_future = True
    foresight: Any

    def foresee(self, plan: Callable[..., Any], *given: Any) -> None:
        """Keep `plan(*given)` as `foresight`; it is made at the first `act` of each episode."""
        try:
            self.foresight = plan(*given)
        except ValueError as error:
            raise AgentError(f"agent {self.name}: {error}") from None

    def look_ahead(self, obs: NDArray[np.float32]) -> None:
        """Bring the plan to the decision of these observations of its batch."""
        if len(obs) != self.foresight.batch.num_envs:
            raise AgentError(
                f"agent {self.name} knows the future of {self.foresight.batch.num_envs}"
                f" environments and got {len(obs)} observations"
            )
        self.foresight.update()
