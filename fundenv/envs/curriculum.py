"""Curricula: ranges of domain randomisation that move with the progress of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fundenv.config import ConfigError, EnvConfig


def ranges_at(
    stages: Mapping[float, Mapping[str, Sequence[Any]]], progress: float
) -> dict[str, tuple[str, float, float]]:
    """Ranges for `Batch.randomize` at a progress from 0 to 1: both edges of each range move in a
    straight line between two stages (a logarithmic range on a logarithmic scale), and stay where
    they are before the first stage and after the last.

    stages: progress -> ranges, e.g. {0: {"fee_scale": (0, 0.2)}, 0.5: {"fee_scale": (0.5, 2)}};
    every stage names the same fields with the same kind of range. Raises `ConfigError` where they
    do not.
    """
    if not stages:
        raise ConfigError(
            "a curriculum has no stage; give at least one, such as {0: {'fee_scale': (0, 0.2)}}"
        )
    times = sorted(stages)
    read = [EnvConfig(randomize=stages[time]).randomize for time in times]
    kinds = [[(name, kind) for name, kind, *_ in ranges] for ranges in read]
    for time, kind in zip(times, kinds, strict=True):
        if kind != kinds[0]:
            raise ConfigError(
                f"the stage at {time:g} draws {kind}, the first one {kinds[0]}; name the same"
                " fields with the same kind"
            )
    after = next((k for k, time in enumerate(times) if time > progress), len(times))
    a, b = max(after - 1, 0), min(after, len(times) - 1)
    share = (progress - times[a]) / (times[b] - times[a]) if times[b] > times[a] else 0.0
    pairs = zip(read[a], read[b], strict=True)
    return {
        name: (kind, _mixed(kind, low, lower, share), _mixed(kind, high, higher, share))
        for (name, kind, low, high), (*_, lower, higher) in pairs
    }


def _mixed(kind: str, before: float, after: float, share: float) -> float:
    return (
        float(before ** (1.0 - share) * after**share)
        if kind == "log"
        else before + share * (after - before)
    )
