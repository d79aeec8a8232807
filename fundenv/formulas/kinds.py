"""The kinds of argument that public formulas take: what each accepts, and how it is read."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[np.float64]
_REAL = (numbers.Real, Decimal, np.ndarray, np.generic, list, tuple, pd.Series, pd.Index)


def refusal(call: str, name: str, value: Any, expected: str) -> ValueError:
    """The one line of every refused argument."""
    plain = value.item() if isinstance(value, np.generic) else value
    shown = " ".join(repr(plain).split())
    return ValueError(f"{call}: {name} = {shown[:77]}: expected {expected}")


@dataclass(frozen=True)
class Limits:
    """A kind of number. `text` is what an error says was expected."""

    text: str = "a finite number or NaN"
    low: float = -np.inf
    high: float = np.inf
    above: float | None = None  # the value must be larger than this
    signs: bool = False  # +1 or -1 alone
    nonzero: bool = False
    infinite: bool = False
    missing: bool = True  # NaN is a value
    series: bool = False  # a sequence of its own: one dimension or more, at least one entry
    row: bool = False  # of exactly one dimension
    one: bool = False  # one number, no array

    def wrong(self, values: Any) -> Any:
        """Where `values` are not of this kind."""
        bad = (values < self.low) | (values > self.high)
        if self.above is not None:
            bad = bad | (values <= self.above)
        if self.signs:
            bad = bad | (abs(values) != 1.0) & ~np.isnan(values)
        if self.nonzero:
            bad = bad | (values == 0.0)
        if not self.infinite:
            bad = bad | np.isinf(values)
        return bad if self.missing else bad | np.isnan(values)

    def read(self, call: str, name: str, value: Any) -> Any:
        """`value` as numpy float64, scalar or array; raises ValueError."""
        plain = type(value) is float
        values: Any = np.float64(value) if plain else self._floats(call, name, value)
        if self.series and (values.ndim == 0 or values.size == 0):
            raise refusal(call, name, value, f"a list or array with at least one of: {self.text}")
        if (self.row and values.ndim != 1) or (self.one and values.ndim != 0):
            shape = "one row of numbers" if self.row else "one number"
            raise refusal(call, name, value, shape)
        bad = self.wrong(values)
        if np.any(bad):
            place = np.argwhere(bad)[0] if values.ndim else ()
            index = f"[{', '.join(str(k) for k in place)}]" if values.ndim else ""
            raise refusal(call, name + index, float(values[tuple(place)]), self.text)
        return values[()]

    def _floats(self, call: str, name: str, value: Any) -> Numbers:
        if isinstance(value, bool | str | bytes) or not (
            isinstance(value, _REAL) or hasattr(value, "__array__")
        ):
            raise refusal(call, name, value, self.text)
        if isinstance(value, pd.Series) and pd.api.types.is_extension_array_dtype(value.dtype):
            value = value.to_numpy(dtype=object, na_value=np.nan)  # missing: NaN
        try:
            array = np.ma.asanyarray(value)
            if array.dtype.kind == "O":
                _only_numbers(np.ma.getdata(array))
            elif array.dtype.kind not in "iuf":
                raise TypeError
            return np.ma.filled(array.astype(np.float64), np.nan)
        except (TypeError, ValueError, OverflowError):
            raise refusal(call, name, value, self.text) from None


def _only_numbers(array: Any) -> None:
    for entry in array.flat:
        if isinstance(entry, bool) or not isinstance(entry, numbers.Real | Decimal):
            raise TypeError


@dataclass(frozen=True)
class Whole(Limits):
    """Whole numbers, exact at any size: Python integers, in an array of objects where many."""

    text: str = "a whole number"

    def read(self, call: str, name: str, value: Any) -> Any:
        """`value` as Python int, or an object array of them."""
        try:
            array = np.asarray(value, dtype=object)
            kinds = (
                isinstance(x, numbers.Integral) and not isinstance(x, bool) for x in array.flat
            )
            if not all(kinds) or (self.one and array.ndim):
                raise TypeError
        except (TypeError, ValueError):
            raise refusal(call, name, value, self.text) from None
        exact = np.empty(array.shape, dtype=object)
        exact.flat[:] = [int(x) for x in array.flat]
        bad = [x for x in exact.flat if not self.low <= x <= self.high]
        if bad:
            raise refusal(call, name, bad[0], self.text)
        return exact[()]


@dataclass(frozen=True)
class Flag:
    """True or False, or an array of them."""

    series: bool = False

    def read(self, call: str, name: str, value: Any) -> Any:
        """`value` as numpy bool, scalar or array."""
        try:
            array = np.asarray(value)
            if not np.all((array == 0) | (array == 1)):
                raise TypeError
        except (TypeError, ValueError):
            raise refusal(call, name, value, "True or False") from None
        return array.astype(bool)[()]


@dataclass(frozen=True)
class Moment:
    """An instant, or many: datetime, pandas Timestamp, numpy datetime64 or text such as
    2024-01-31T08:00+02:00. Offsets count; without one it is UTC.
    """

    series: bool = False  # a row of instants; else one, or an array of them
    one: bool = False

    def read(self, call: str, name: str, value: Any) -> Any:
        """`value` as datetime64[ns] in UTC, scalar or array."""
        try:
            entries = np.asarray(value, dtype=object).flat
            if any(isinstance(x, numbers.Number) for x in entries):
                raise TypeError
            many = isinstance(value, list | tuple | pd.Series | pd.Index) or np.ndim(value) > 0
            times = pd.to_datetime(value if many else [value], utc=True, format="ISO8601")
            instants = np.asarray(pd.DatetimeIndex(times).tz_localize(None), dtype="datetime64[ns]")
            wrong = instants.size == 0 or (many and self.one) or (self.series and not many)
            if wrong or np.isnat(instants).any():
                raise ValueError
        except (TypeError, ValueError, OverflowError):
            raise refusal(call, name, value, "an instant such as 2024-01-31T08:00 (UTC)") from None
        return instants if many else instants[0]


_FRACTION = "a fraction (0.0005 = 0.05 %)"
Number: TypeAlias = Annotated[Any, Limits()]
Side: TypeAlias = Annotated[Any, Limits("+1 (long) or -1 (short)", signs=True)]
Price: TypeAlias = Annotated[Any, Limits("a price above 0", above=0.0)]
FlatPrice: TypeAlias = Annotated[Any, Limits("a price, 0 where nothing is held", low=0.0)]
Size: TypeAlias = Annotated[Any, Limits("a finite size, + long, - short")]
OpenSize: TypeAlias = Annotated[
    Any, Limits("a size, + long, - short, not 0 (NaN where nothing is held)", nonzero=True)
]
Quantity: TypeAlias = Annotated[Any, Limits("a quantity of at least 0, without sign", low=0.0)]
OpenQuantity: TypeAlias = Annotated[Any, Limits("a quantity above 0, without sign", above=0.0)]
Amount: TypeAlias = Annotated[Any, Limits("an amount of at least 0", low=0.0)]
Positive: TypeAlias = Annotated[Any, Limits("a number above 0", above=0.0)]
Leverage: TypeAlias = Annotated[Any, Limits("a leverage above 0", above=0.0)]
Share: TypeAlias = Annotated[Any, Limits(f"{_FRACTION} from 0 to 1", low=0.0, high=1.0)]
FeeRate: TypeAlias = Annotated[
    Any, Limits(f"{_FRACTION} above -1, up to 1, negative for a rebate", above=-1.0, high=1.0)
]
Growth: TypeAlias = Annotated[Any, Limits(f"{_FRACTION} of at least -1", low=-1.0)]
Cap: TypeAlias = Annotated[Any, Limits("a fraction of at least 0, or inf", low=0.0, infinite=True)]
Limit: TypeAlias = Annotated[Any, Limits("a number, or -inf", infinite=True)]
Ratio: TypeAlias = Annotated[Any, Limits("a number, or inf", infinite=True, missing=False)]
Exact: TypeAlias = Annotated[Any, Limits("a finite number", missing=False)]
Series: TypeAlias = Annotated[Any, Limits(series=True)]
Row: TypeAlias = Annotated[Any, Limits("a finite number or NaN", series=True, row=True)]
Prices: TypeAlias = Annotated[Any, Limits("a price above 0", above=0.0, series=True)]
Quantities: TypeAlias = Annotated[
    Any, Limits("a quantity above 0, without sign", above=0.0, series=True)
]
Shares: TypeAlias = Annotated[
    Any, Limits(f"{_FRACTION} from 0 to 1", low=0.0, high=1.0, missing=False, series=True)
]
Leverages: TypeAlias = Annotated[
    Any, Limits("a leverage above 0", above=0.0, missing=False, series=True)
]
Floors: TypeAlias = Annotated[
    Any, Limits("an amount of at least 0", low=0.0, missing=False, series=True)
]
Truth: TypeAlias = Annotated[Any, Flag()]
Instant: TypeAlias = Annotated[Any, Moment()]
OneInstant: TypeAlias = Annotated[Any, Moment(one=True)]
Instants: TypeAlias = Annotated[Any, Moment(series=True)]
Integer: TypeAlias = Annotated[Any, Whole()]
Rungs: TypeAlias = Annotated[Any, Whole("1 or 2", low=1, high=2, one=True)]
ExactSize: TypeAlias = Annotated[
    Any, Limits("one finite size, + long, - short", missing=False, one=True)
]
OneAmount: TypeAlias = Annotated[
    Any, Limits("one number above 0", above=0.0, missing=False, one=True)
]
Tiers: TypeAlias = Annotated[
    Any, Limits("a quantity above 0", above=0.0, missing=False, series=True)
]
Threshold: TypeAlias = Annotated[Any, Limits("an amount of at least 0", low=0.0, missing=False)]
OneThreshold: TypeAlias = Annotated[
    Any, Limits("one number of at least 0", low=0.0, missing=False, one=True)
]
ExactShare: TypeAlias = Annotated[
    Any, Limits(f"{_FRACTION} from 0 to 1", low=0.0, high=1.0, missing=False)
]
Seconds: TypeAlias = Annotated[Any, Whole("a whole number of seconds of at least 0", low=0)]
Exponent: TypeAlias = Annotated[Any, Whole("a whole number from -100 to 100", low=-100, high=100)]
