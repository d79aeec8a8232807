"""How much of a training's time goes into one of its methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Stopwatch:
    """Seconds of `clock` inside some methods."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock, self.seconds = clock, 0.0

    def measure(self, owner: Any, name: str) -> None:
        """Count the time of every later call of `owner.name`."""
        method = getattr(owner, name)

        def timed(*args: Any, **more: Any) -> Any:
            begun = self.clock()
            answer = method(*args, **more)
            self.seconds += self.clock() - begun
            return answer

        setattr(owner, name, timed)


def stepping_of(training_env: Any) -> tuple[Any, str]:
    """(object, name of its method) that steps the environments behind what a learner of
    stable-baselines3 sees: adapter and compiled loop, without the shaping of rewards and the
    translation of actions, which belong to the learner.
    """
    inner = training_env.unwrapped if hasattr(training_env, "unwrapped") else training_env
    return (inner.env, "step") if hasattr(inner, "env") else (inner, "step_wait")
