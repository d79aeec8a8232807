"""A check of whether the tables of a symbol fit together.

It compares each table with the others, with the schedule of its venue and with its own neighbouring
bars. It changes nothing: a finding that would change profits stops the market unless its kind is
accepted, a smaller one becomes a note. `build_market` and `python -m experiments.data verify` run
it; for a live feed call `findings` with the tables of the last weeks.
`fundenv.market.plausibility.limits` has the thresholds.
"""

from __future__ import annotations

from fundenv.market.files.align import align, native_bar_ns
from fundenv.market.files.bar_matrix import Aligned
from fundenv.market.files.frames import GENERATED, SymbolFrames
from fundenv.market.plausibility import bars, funding, prices, schedule, volumes
from fundenv.market.plausibility.across import across
from fundenv.market.plausibility.finding import KINDS, Finding, check_accept, judge
from fundenv.market.plausibility.subject import Subject
from fundenv.venues import Venue

__all__ = ["CHECKS", "KINDS", "Finding", "across", "check_accept", "findings", "judge"]

# In this order: a finding may be the cause of later ones.
CHECKS = (
    bars.lengths,
    bars.optional,
    bars.coins,
    prices.factors,
    prices.lags,
    prices.spikes,
    schedule.hours,
    schedule.repeated,
    funding.rates,
    funding.lag,
    funding.prices,
    schedule.lag,
    volumes.volumes,
)
_NEEDS_PRICES = (funding.rates, funding.lag)  # not run where the prices do not fit together
_NEEDS_VENUE = (schedule.hours, funding.lag)  # a generator settles at hours of its own


def findings(
    frames: SymbolFrames, venue: Venue, *, aligned: Aligned | None = None
) -> tuple[Finding, ...]:
    """The findings in the tables of one symbol: places that do not look like real data.

    aligned: `align(frames)` if it exists; otherwise, and where `aligned` has merged bars, the
    tables are aligned at their own step. Raises `DataError` where they do not align.
    """
    native = native_bar_ns(frames)
    if aligned is None or aligned.bar_ns != native:
        aligned = align(frames, venue=venue.name, bar_ns=native, volume_required=False)
    subject = Subject(frames, aligned, venue)
    found: list[Finding] = []
    skipped = _NEEDS_VENUE if frames.symbol.startswith(GENERATED) else ()
    for check in CHECKS:
        broken = {f.kind for f in found if f.refused} & {"factor", "lag", "bar_length"}
        if check not in skipped and not (broken and check in _NEEDS_PRICES):
            found.extend(check(subject))
    return tuple(found)
