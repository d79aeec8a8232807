"""The base of learners with a network, for every library."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from agents.base import Learner
from agents.params import AgentError
from agents.training.params import TrainingParams


class NetworkLearner(Learner):
    """A learner whose parameters are `TrainingParams` and whose network is stored in one file."""

    params: TrainingParams
    model_file: ClassVar[str]  # in the agent's folder

    def training_settings(self) -> dict[str, Any]:
        """Random episodes with the training reward."""
        return self.params.env_fields()

    def untrained(self) -> AgentError:
        """The error of an agent that acts before it has a network."""
        return AgentError(f"agent {self.name} has not learned yet; train it or load a checkpoint")

    def check_model(self, folder: Path) -> None:
        """Raise `AgentError` where the folder of the agent has no network."""
        if not (folder / self.model_file).is_file():
            raise AgentError(
                f"{folder} holds no {self.model_file}; the training stopped before its first"
                " checkpoint"
            )
