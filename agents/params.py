"""Parameters of an agent: settings (`fundenv.settings`) that may also differ between the
environments of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fundenv import settings
from fundenv.settings import Range, Settings, SettingsError, nearest
from fundenv.settings.base import check, fields_of

__all__ = ["AgentError", "Params", "Range", "UnknownParameter", "nearest", "read_pairs"]

# Former name -> name of a parameter. Saved agents, presets and commands with former names are read.
FORMER = {
    "rehearse": "counterfactual_rounds",
    "rehearse_rate": "counterfactual_rate",
    "rehearse_entropy": "counterfactual_entropy",
    "rehearse_liquidation": "counterfactual_liquidation",
}


class AgentError(SettingsError):
    """An agent or a parameter that cannot be used; the message is one line and names the remedy."""


class UnknownParameter(AgentError, TypeError):
    """A keyword that no parameter has: a `TypeError` too, as of any call with a wrong keyword."""


@dataclass(frozen=True, kw_only=True)
class Params(Settings):
    """Base of every parameter class.

    Each field is a number, a tuple of numbers, a flag, a text or a `Literal`; a value that does not
    fit its annotation raises `AgentError` with field, value and range.
    """

    error: ClassVar[type[ValueError]] = AgentError
    below: ClassVar[
        tuple[tuple[str, str], ...]
    ] = ()  # (lower, upper): the first field must lie below the second

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_order(type(self), vars(self))

    @classmethod
    def unknown(cls, name: str) -> ValueError:
        """The error for a keyword that is no parameter, in the words of Python's own too."""
        return UnknownParameter(
            f"{cls.__name__} has no parameter {name!r}; {nearest(name, fields_of(cls))}"
            f" (got an unexpected keyword argument {name!r})"
        )

    @classmethod
    def from_dict(cls, values: dict[str, Any], *, owner: str) -> Self:
        """Parameters from keyword values, former names too; an unknown name raises `AgentError`
        with the nearest known ones.
        """
        values = cls.renamed(values)
        for name in values:
            _require(cls, name, owner)
        try:
            return cls(**values)
        except AgentError as error:
            raise AgentError(f"agent {owner}: {error}") from None

    @classmethod
    def renamed(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """`values` with each former name of a parameter replaced by its name; raises `AgentError`
        where both are given.
        """
        known = fields_of(cls)
        found: dict[str, Any] = {}
        for given, value in values.items():
            name = FORMER.get(given, given)
            if name != given and name in values:
                raise AgentError(f"{given} and {name} are one parameter; give {name} alone")
            found[name if name in known else given] = value
        return found

    def vary(self, values: Mapping[str, Any], *, owner: str) -> dict[str, NDArray[Any]]:
        """One value per environment for some number or flag fields, as arrays (n,), checked like
        single values.

        Raises `AgentError` with field, value and range; fields not named keep the value of `self`.
        """
        arrays = {name: np.asarray(value) for name, value in values.items()}
        sizes = {array.shape for array in arrays.values()}
        if len(sizes) > 1 or any(len(size) != 1 for size in sizes):
            raise AgentError(
                f"agent {owner}: values of {', '.join(arrays)} have shapes {sorted(sizes)}; give"
                " one value per environment each"
            )
        try:
            for name, array in arrays.items():
                field = _require(type(self), name, owner)
                for value in np.unique(array).tolist():
                    whole = field.kind is int and isinstance(value, float) and value.is_integer()
                    check(field, int(value) if whole else value, AgentError)
            _check_order(type(self), vars(self) | arrays)
        except UnknownParameter:
            raise
        except AgentError as error:
            raise AgentError(f"agent {owner}: {error}") from None
        return arrays


def read_pairs(items: Sequence[str]) -> dict[str, Any]:
    """NAME=VALUE texts, as `fundenv.settings.read_pairs`; raises `AgentError`."""
    return settings.read_pairs(items, AgentError)


def _require(kind: type[Params], name: str, owner: str) -> Any:
    """The field of that name; raises `UnknownParameter` where there is none."""
    known = fields_of(kind)
    if name not in known:
        raise UnknownParameter(f"agent {owner} has no parameter {name!r}; {nearest(name, known)}")
    return known[name]


def _check_order(kind: type[Params], values: Mapping[str, Any]) -> None:
    """Raise `AgentError` where a field does not lie below the one that it must lie below; values
    are numbers or arrays (n,).
    """
    for lower, upper in kind.below:
        low, high = np.broadcast_arrays(values[lower], values[upper])
        wrong = np.flatnonzero(np.atleast_1d(low >= high))
        if len(wrong):
            allowed = fields_of(kind)[lower].range
            least = allowed.low if allowed else -np.inf
            bad, limit = np.atleast_1d(low)[wrong[0]].item(), np.atleast_1d(high)[wrong[0]].item()
            raise AgentError(
                f"{lower} = {bad!r} is outside {least:g} .. {upper} = {limit!r} (excluded); lower"
                f" {lower} or raise {upper}"
            )
