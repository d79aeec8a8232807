"""The networks compute what they are said to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from fundenv.forecast import Panel, explain, load, make
from fundenv.forecast.networks.base import WINDOW
from fundenv.forecast.networks.tcn import Convolutions


def test_the_convolutions_are_the_dilated_ones() -> None:
    """With the same weights, five causal convolutions dilated by 1, 2, 4, 8 and 16 over the whole
    window give the same number at its end.
    """
    torch.manual_seed(0)
    net = Convolutions(inputs=3, units=8)
    torch.nn.init.normal_(net.head.mixed[-1].weight)
    window, inputs = torch.randn(20, WINDOW), torch.randn(20, 3)
    x = window[:, None, :]
    for layer, dilation in zip(net.layers, (1, 2, 4, 8, 16), strict=True):
        before = x
        padded = functional.pad(x, (2 * dilation, 0))
        x = functional.gelu(functional.conv1d(padded, layer.weight, layer.bias, dilation=dilation))
        x = x + before if before.shape[1] == x.shape[1] else x
    torch.testing.assert_close(net(window, inputs), net.head(x[:, :, -1], inputs))


def test_an_embedding_tells_the_coins_apart(panel: Panel, tmp_path: Path) -> None:
    """The history of A under the name of B gets another forecast, under a name that was not learned
    a third one; without an embedding the name says nothing.
    """
    end = int(panel.histories[0].ns[900])
    first = panel.histories[0]
    named = [Panel((replace(first, symbol=name),)) for name in ("AUSDT", "BUSDT", "CUSDT")]
    for size in (0, 2):
        made = make(f"tcn embedding={size}", inputs=["funding"], epochs=1, units=8)
        made.fit(panel, (None, end))
        own, other, unknown = (made.predict(each)[0].mean for each in named)
        assert np.isfinite(unknown).all()
        assert np.array_equal(own, other) == np.array_equal(own, unknown) == (size == 0)
    made.save(tmp_path)
    np.testing.assert_array_equal(load(tmp_path).predict(named[1])[0].mean, other)
    found = explain(made, panel)[0]
    assert ("coin", "AUSDT") in found.parts.values
    assert np.abs(found.groups()["coin"]).max() > 0
    np.testing.assert_allclose(found.parts.total, found.mean, atol=0.005)


def test_a_residual_network_adds_to_clipped_har(panel: Panel, tmp_path: Path) -> None:
    """Hardly trained, nlinear adds a small constant to the forecast of clipped HAR."""
    end = int(panel.histories[0].ns[900])
    har = make("clipped_har").fit(panel, (None, end)).predict(panel)
    for rate, same in ((1e-6, True), (0.05, False)):
        made = make("nlinear residual=true", learning_rate=rate, epochs=5, decay=0.0)
        found = made.fit(panel, (None, end)).predict(panel)
        assert np.allclose(found[0].mean, har[0].mean, atol=0.1) == same
    made.save(tmp_path)
    np.testing.assert_allclose(load(tmp_path).predict(panel)[1].mean, found[1].mean, atol=1e-6)
    parts = explain(made, panel)[0]
    np.testing.assert_allclose(parts.parts.total, parts.mean, atol=0.005)
    assert ("funding", "mean of 21") in parts.parts.values
