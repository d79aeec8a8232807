"""Reads the files of a saved learner without running what stands in them.

SB3's archives and torch's files hold pickles, and a pickle can call any function. Here a pickle may
name only the classes and functions that a learner of this project needs; anything else is refused
in one line. So is an archive that would grow when it is unpacked: SB3 and torch store members as
they are. Imported only when SB3 or torch is needed.
"""

from __future__ import annotations

import base64
import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import torch

from agents.params import AgentError

_NAMES = {
    "builtins": "set frozenset complex slice bytes bytearray",
    "__builtin__": "set frozenset complex slice bytes bytearray",  # as torch names them
    "types": "SimpleNamespace",
    "collections": "OrderedDict deque defaultdict",
    "_codecs": "encode",
    "gymnasium.spaces.box": "Box",
    "gymnasium.spaces.discrete": "Discrete",
    "gymnasium.spaces.multi_discrete": "MultiDiscrete",
    "numpy": "dtype ndarray",
    "numpy._core.multiarray": "_reconstruct scalar",
    "numpy._core.numeric": "_frombuffer",
    "numpy.random._pickle": "__generator_ctor __bit_generator_ctor __randomstate_ctor",
    "numpy.random._pcg64": "PCG64",
    "numpy.random._mt19937": "MT19937",
    "numpy.random.bit_generator": "SeedSequence __pyx_unpickle_SeedSequence",
    "torch": "device Size dtype",
    "torch._utils": "_rebuild_tensor_v2 _rebuild_parameter",
    "torch.nn.modules.activation": "Tanh ReLU ELU SiLU",
    "torch.optim.adam": "Adam",
    "stable_baselines3.common.buffers": "ReplayBuffer RolloutBuffer",
    "stable_baselines3.common.policies": "ActorCriticPolicy",
    "stable_baselines3.common.type_aliases": "TrainFreq TrainFrequencyUnit",
    "stable_baselines3.common.utils": "LinearSchedule ConstantSchedule FloatSchedule",
    "stable_baselines3.dqn.policies": "DQNPolicy",
    "stable_baselines3.sac.policies": "SACPolicy",
}
ALLOWED = {(module, name) for module, names in _NAMES.items() for name in names.split()}
# Agents saved by version 0.1.0 before its modules moved; to be dropped with version 0.2.0.
MOVED = {
    "agents._sb3_bridge": "agents.sb3.wrappers",
    "agents._beside": "agents.sb3.extra_columns_policy",
    "agents._device_replay": "agents.sb3.device.replay",
    "agents._device_rollout": "agents.sb3.device.rollout",
} | {
    f"agents.{rule}": f"agents.rules.{rule}"
    for rule in (
        "buy_and_hold carry clairvoyant dynamic_leverage ewma flat har random reverse threshold"
        " zscore"
    ).split()
}
# Classes that were renamed after they had moved: (module, former name) -> name.
RENAMED = {
    ("agents.sb3.wrappers", "Chosen"): "SelectedColumns",
    ("agents.sb3.extra_columns_policy", "Padded"): "PaddedColumns",
    ("agents.sb3.extra_columns_policy", "BesidePolicy"): "ExtraColumnsPolicy",
}


def _tensors(data: bytes) -> Any:
    """A tensor's storage inside a plain pickle, read as numbers alone."""
    return torch.load(io.BytesIO(data), weights_only=True)


class Unpickler(pickle.Unpickler):
    """Looks up allowed names only, and classes (no functions) that are defined in `agents` or in
    `own`, the package of a user's agent, which runs anyway.
    """

    own: str | None = None

    def find_class(self, module: str, name: str) -> Any:
        """The class or function; raises `AgentError` for one that no learner needs."""
        module = MOVED.get(module, module)
        name = RENAMED.get((module, name), name)
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return _tensors
        root = module.split(".")[0]
        if (module, name) in ALLOWED:
            return super().find_class(module, name)
        if root in ("agents", self.own):
            found = super().find_class(module, name)
            if isinstance(found, type) and found.__module__.split(".")[0] == root:
                return found  # the state of a rule that a policy asks is made of several
        raise AgentError(
            f"it names {module}.{name}, which a saved learner does not need and which would run"
            " here; take the agent from its source again"
        )


def trusting(agent: Any) -> type[Unpickler]:
    """The unpickler for the files of `agent`."""
    root = type(agent).__module__.split(".")[0]
    return type("Unpickler", (Unpickler,), {"own": None if root == "agents" else root})


def check_stored(path: Path) -> None:
    """Raise `AgentError` where the archive, or one inside it, would grow when it is unpacked; a
    file that is no archive passes.
    """
    if zipfile.is_zipfile(path):
        with path.open("rb") as file:
            _check_members(path, file, path.stat().st_size)


def _check_members(path: Path, file: IO[bytes], size: int) -> None:
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        total = sum(max(member.file_size, member.compress_size) for member in members)
        packed = [m.filename for m in members if m.compress_type != zipfile.ZIP_STORED]
        if total > size:
            raise AgentError(
                f"{path}: {packed[0] if packed else 'its members'} would grow from {size:,} to"
                f" {total:,} bytes; a saved agent is stored as it is: take it from its source again"
            )
        for member in members:
            with archive.open(member) as inner:
                if zipfile.is_zipfile(inner):
                    _check_members(path, inner, member.file_size)


def read_model(path: Path, algorithm: Any, reader: type[Unpickler]) -> Any:
    """SB3's model from its archive, on the CPU."""

    def read() -> Any:
        check_stored(path)
        with zipfile.ZipFile(path) as archive:
            entries = json.loads(archive.read("data"))
        objects = {
            name: reader(io.BytesIO(base64.b64decode(entry[":serialized:"]))).load()
            for name, entry in entries.items()
            if isinstance(entry, dict) and ":serialized:" in entry
        }  # SB3 unpickles nothing that it is given, and reads tensors as numbers alone
        return algorithm.load(path, device="cpu", custom_objects=objects)

    return _one_line(path, read)


def read_pickle(path: Path, reader: type[Unpickler]) -> Any:
    """What a plain pickle holds."""

    def read() -> Any:
        with path.open("rb") as file:
            return reader(file).load()

    return _one_line(path, read)


def read_torch(path: Path, reader: type[Unpickler]) -> Any:
    """What `torch.save` wrote, arrays and numbers of Python included."""
    module: Any = SimpleNamespace(Unpickler=reader, load=pickle.load, __name__=__name__)

    def read() -> Any:
        check_stored(path)
        return torch.load(path, map_location="cpu", weights_only=False, pickle_module=module)

    return _one_line(path, read)


def _one_line(path: Path, read: Callable[[], Any]) -> Any:
    """What `read` returns; `AgentError` names the file where it is damaged or holds too much."""
    try:
        return read()
    except AgentError as error:
        text = str(error)
        raise AgentError(text if text.startswith(str(path)) else f"{path}: {text}") from None
    except (
        AttributeError,
        EOFError,
        ImportError,
        IndexError,
        KeyError,
        MemoryError,
        NotImplementedError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
        pickle.UnpicklingError,
        zipfile.BadZipFile,
    ) as error:
        raise AgentError(
            f"{path} cannot be read ({type(error).__name__}: {error}); take the agent from its"
            " source again, or train it anew"
        ) from None
