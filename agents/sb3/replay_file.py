"""The replay buffer of a training that is not finished, beside the agent's model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agents.sb3.base import SB3Agent

REPLAY = "replay.pkl"


class KeepsReplay(SB3Agent):
    """A learner with a replay buffer; to be named before other bases."""

    def write(self, folder: Path) -> None:
        """The model, and the replay buffer as long as the training is not finished."""
        super().write(folder)
        if self.model is not None and self.snapshot is not None:
            self.model.save_replay_buffer(folder / REPLAY)

    def read(self, folder: Path, record: dict[str, Any]) -> None:
        """The model, and the replay buffer where there is one."""
        super().read(folder, record)
        if (folder / REPLAY).is_file():
            from agents.sb3 import archive

            self.model.replay_buffer = archive.read_pickle(folder / REPLAY, archive.trusting(self))
            self.model.replay_buffer.device = self.model.device
