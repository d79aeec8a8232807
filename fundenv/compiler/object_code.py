"""Machine code as it is kept on disk: the object file of an entry point, and how a process gets at
it without numba's own way, which loads all that numba compiles for (measured: a third of the time
of a start).
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import llvmlite.binding as ll

_ENGINES: list[Any] = []  # what is loaded stays, for its addresses are handed out


class ObjectCode(NamedTuple):
    """An object file, the name of its entry point, and what it calls outside."""

    symbol: str
    needs: list[str]
    code: bytes

    def to_bytes(self) -> bytes:
        """A line of JSON and the object file."""
        head = json.dumps({"symbol": self.symbol, "needs": self.needs})
        return head.encode() + b"\n" + self.code

    @classmethod
    def from_bytes(cls, kept: bytes) -> ObjectCode:
        """What `to_bytes` gave."""
        head, _, code = kept.partition(b"\n")
        return cls(**json.loads(head), code=code)


def object_code(library: Any, symbol: str) -> ObjectCode:
    """The object code of one of numba's libraries, which has been finalised."""
    module = library._final_module
    outside = [
        thing.name
        for thing in (*module.functions, *module.global_variables)
        if thing.is_declaration and not thing.name.startswith("llvm.")
    ]
    return ObjectCode(symbol, outside, library._get_compiled_object())


def load(kept: ObjectCode) -> int | None:
    """The address of the entry point in this process; None where something that it calls is not
    here, as after an update of Python or numba.
    """
    if any(ll.address_of_symbol(name) is None for name in kept.needs):
        return None
    ll.initialize_native_target()
    ll.initialize_native_asmprinter()
    target = ll.Target.from_triple(ll.get_process_triple())
    machine = target.create_target_machine(codemodel="jitdefault", jit=True)
    engine = ll.create_mcjit_compiler(ll.parse_assembly(""), machine)
    file = ll.ObjectFileRef.from_data(kept.code)
    engine.add_object_file(file)
    engine.finalize_object()
    _ENGINES.append((engine, file))
    return int(engine.get_function_address(kept.symbol)) or None
