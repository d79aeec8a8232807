"""A CUDA graph played on the CPU, in the tests: the operations of a function are recorded once and
then repeated on the same memory, without its Python.

What a capture refuses, this refuses: reading a number on the host, shapes that depend on data.
What a replay of a real graph does wrong, this does wrong: a number of Python stays what it was, and
a tensor that was replaced in Python is read where it was at the recording.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

REFUSED = (  # what waits for the host, or makes a shape from data
    "aten::_local_scalar_dense",
    "aten::nonzero",
    "aten::masked_select",
    "aten::multinomial",
    "aten::equal",
    "aten::is_nonzero",
    "aten::unique_dim",
    "aten::_unique2",
    "aten::repeat_interleave",
)
Node = Callable[[], None]


class Refused(RuntimeError):
    """What a capture would say."""


def refuse(func: Any, args: Any, kwargs: Any) -> None:
    """Raise `Refused` for an operation that a capture does not take."""
    name = func.name().split(".")[0]
    if name in REFUSED:
        raise Refused(f"{name} waits for the device")
    tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
    if name in ("aten::index", "aten::index_put", "aten::index_put_") and any(
        each.dtype in (torch.bool, torch.uint8) for each in tree_leaves(args[1]) if each is not None
    ):
        raise Refused(f"{name} with a mask waits for the device")
    copies = name in ("aten::copy_", "aten::_to_copy")  # a number may be an argument of a kernel
    places = {each.device.type for each in tensors if each.dim() or copies}
    target = (kwargs or {}).get("device")
    if len(places) > 1 or (target is not None and places - {torch.device(target).type}):
        raise Refused(f"{name} moves data between host and device")


class Refusing(TorchDispatchMode):
    """Does every operation that a capture takes."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        refuse(func, args, kwargs)
        self.count += 1
        return func(*args, **(kwargs or {}))


class Recording(TorchDispatchMode):
    """Does every operation, and notes it."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes: list[Node] = []
        self.paused = False  # within a node that is noted as a whole

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.paused:
            return func(*args, **(kwargs or {}))
        refuse(func, args, kwargs)
        out = func(*args, **(kwargs or {}))
        if func.name().split(".")[0].endswith("_") or "out" in (kwargs or {}):
            self.nodes.append(lambda: func(*args, **(kwargs or {})))
            return out
        made = [each for each in tree_leaves(out) if isinstance(each, torch.Tensor)]
        given = {
            each.untyped_storage().data_ptr()
            for each in tree_leaves((args, kwargs))
            if isinstance(each, torch.Tensor)
        }
        if all(each.untyped_storage().data_ptr() in given for each in made):
            return out  # views only: the memory is that of what they show

        def again() -> None:
            fresh = tree_leaves(func(*args, **(kwargs or {})))
            found = [each for each in fresh if isinstance(each, torch.Tensor)]
            for old, new in zip(made, found, strict=True):
                old.detach().copy_(new)

        self.nodes.append(again)
        return out

    def opaque(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """`call`, noted as one node that is called again with the same arguments."""

        def noted(*args: Any) -> Any:
            self.paused = True
            out = call(*args)
            self.paused = False
            self.nodes.append(lambda: call(*args))
            return out

        return noted


class Emulated:
    """A recorder for `Section` whose records are repeated on the CPU. `kernels` are pairs of an
    object and the name of a method of it that queues a kernel of its own.
    """

    def __init__(self, *kernels: tuple[Any, str]) -> None:
        self.kernels, self.records, self.replays = kernels, 0, 0

    def __call__(self, function: Callable[[], None]) -> Callable[[], None]:
        """Records `function`, which is done by that: the first replay does nothing."""
        recording, first = Recording(), True
        with self._noted(recording), recording:
            function()
        self.records += 1

        @torch.no_grad()
        def replay() -> None:
            nonlocal first
            if not first:
                for node in recording.nodes:
                    node()
            first = False
            self.replays += 1

        return replay

    @contextmanager
    def _noted(self, recording: Recording) -> Iterator[None]:
        for owner, name in self.kernels:
            setattr(owner, name, recording.opaque(getattr(owner, name)))
        try:
            yield
        finally:
            for owner, name in self.kernels:
                delattr(owner, name)  # the class has it
