"""Integrated gradients of the networks, by captum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from fundenv.forecast.attribution import AGES, Key, age_names
from fundenv.forecast.history import HORIZONS, Array

_STEPS = 32  # nodes of the Gauss-Legendre quadrature
_BATCH = 8192  # rows whose gradients are computed at a time


def integrated(
    members: Sequence[nn.Module], window: torch.Tensor, inputs: torch.Tensor, keys: Sequence[Key]
) -> tuple[Array, dict[Key, Array]]:
    """Scaled base (1, H) and parts, each (n, H), averaged over the members. The parts are the rates
    of the window by age, newest first, and the inputs (F,) named by `keys`.
    """
    from captum.attr import IntegratedGradients

    start = torch.zeros_like(window[:1]), torch.zeros_like(inputs[:1])
    bases, windows, columns = [], [], []
    for net in members:
        gradients = IntegratedGradients(net)
        each: list[tuple[Any, Any]] = []
        for j in range(len(HORIZONS)):
            each.append(
                gradients.attribute(
                    (window, inputs), start, target=j, n_steps=_STEPS, internal_batch_size=_BATCH
                )
            )
        with torch.no_grad():
            bases.append(net(*start).cpu().numpy())
        windows.append(np.stack([w.detach().cpu().numpy() for w, _ in each], axis=2))  # (n, W, H)
        columns.append(np.stack([x.detach().cpu().numpy() for _, x in each], axis=2))  # (n, F, H)
    rates = np.mean(windows, axis=0)[:, ::-1].astype(np.float64)
    found: dict[Key, Array] = {}
    first = 0
    for key, edge in zip(age_names(), AGES, strict=True):
        found[key] = rates[:, first:edge].sum(axis=1)
        first = edge
    others = np.mean(columns, axis=0).astype(np.float64)
    found |= {key: others[:, f] for f, key in enumerate(keys)}
    return np.mean(bases, axis=0).astype(np.float64), found
