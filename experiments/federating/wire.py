"""Messages between the server and its clients: named arrays and JSON, no pickle."""

from __future__ import annotations

import io
import json
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HEAD = "_head"


def send(connection: Connection, kind: str, *, head: Any = None, **arrays: NDArray[Any]) -> None:
    """Send a message: its kind, JSON values, arrays."""
    buffer = io.BytesIO()
    text = json.dumps([kind, head]).encode()
    whole: dict[str, Any] = {_HEAD: np.frombuffer(text, dtype=np.uint8), **arrays}
    np.savez(buffer, **whole)
    connection.send_bytes(buffer.getvalue())


def receive(connection: Connection) -> tuple[str, Any, dict[str, NDArray[Any]]]:
    """(kind, JSON values, arrays) of the next message."""
    with np.load(io.BytesIO(connection.recv_bytes()), allow_pickle=False) as found:
        arrays = dict(found)
    kind, head = json.loads(arrays.pop(_HEAD).tobytes())
    return kind, head, arrays
