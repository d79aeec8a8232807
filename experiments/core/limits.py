"""Checks of every command before it begins: numbers in range, lists that are not empty."""

from __future__ import annotations

from typing import Any

from experiments.core.run_folder import RunError

MOST = 2**32 - 1  # the largest seed that numpy and torch both take
LIMITS: dict[str, tuple[int, int | None]] = {
    "steps": (1, None),
    "seed": (0, MOST),
    "seeds": (1, None),
    "folds": (0, None),
    "workers": (1, None),
    "jobs": (1, None),
    "rounds": (1, None),
    "trials": (1, None),
    "made_paths": (1, None),
}
FILLED = ("agents", "cash_rates", "symbols")  # lists that mean nothing when given empty


def check_arguments(args: Any) -> None:
    """Raise `RunError` for the first argument of a command that lies outside its range."""
    fields = type(args).__dataclass_fields__
    for name, value in vars(args).items():
        flag = f"--{name.replace('_', '-')}"
        low, high = LIMITS.get(name, (None, None))
        if low is None or not isinstance(value, int):
            pass
        elif value < low or (high is not None and value > high):
            limit = f"at least {low}" if high is None else f"a whole number from {low} to {high}"
            raise RunError(f"{flag} {value}: give {limit}")
        if name in FILLED and value == () and fields[name].default != ():
            raise RunError(f"{flag} is empty; name at least one")
