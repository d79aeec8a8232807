"""The folder of a saved forecaster: a JSON record, with the hash of its data, and arrays."""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fundenv.forecast.errors import ForecastError

RECORD, ARRAYS = "forecaster.json", "arrays.npz"
_KEYS = (
    "forecaster", "class", "params", "inputs", "seed", "data", "fitted_until", "arrays",
)  # fmt: skip


def write(forecaster: Any, folder: Path) -> None:
    """Write `arrays.npz`, then the record that holds its hash; each by an atomic rename."""
    if not forecaster.width.known:
        raise ForecastError(f"forecaster {forecaster.name} is not fitted; call fit before save")
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **forecaster.state(), **forecaster.width.state())
    kind = type(forecaster)
    record = {
        "forecaster": forecaster.name,
        "class": f"{kind.__module__}:{kind.__qualname__}",
        "params": forecaster.params.to_dict(),
        "inputs": list(forecaster.inputs),
        "seed": forecaster.seed,
        "data": forecaster.data_hash,
        "fitted_until": forecaster.fitted_until,
        "arrays": hashlib.sha256(buffer.getvalue()).hexdigest(),
    }
    for name, content in (
        (ARRAYS, buffer.getvalue()),
        (RECORD, (json.dumps(record, indent=1) + "\n").encode()),
    ):
        partial = folder / f".{name}.partial"
        partial.write_bytes(content)
        os.replace(partial, folder / name)


def read(folder: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The record and the arrays that `write` wrote. Raises `ForecastError` where a file is missing,
    damaged or not the one that was saved.
    """
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        content = (folder / ARRAYS).read_bytes()
        missing = sorted({*_KEYS} - set(record))
        if missing:
            raise ForecastError(f"{folder / RECORD} lacks {', '.join(missing)}; fit anew")
    except FileNotFoundError as error:
        raise ForecastError(
            f"no forecaster in {folder}: {Path(error.filename).name} is missing; give the folder"
            " that save wrote"
        ) from None
    except (TypeError, json.JSONDecodeError) as error:
        raise ForecastError(f"{folder / RECORD} is damaged ({error}); fit anew") from None
    if hashlib.sha256(content).hexdigest() != record["arrays"]:
        raise ForecastError(
            f"{folder / ARRAYS} is not the file that was saved; take the folder from its source"
            " again, or fit anew"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return record, dict(arrays)
