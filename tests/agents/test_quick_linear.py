"""The quick layers of the counterfactual training are those of torch, gradients included."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch

from agents.training.quick_linear import LARGE, QuickLinear


def answers(rows: int, quick: bool) -> list[torch.Tensor]:
    """Outputs of a network of three layers, and the gradients of its weights and inputs."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(27, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64), torch.nn.Linear(64, 6)
    )
    inputs = torch.randn(rows, 27, requires_grad=True)
    with QuickLinear() if quick else contextlib.nullcontext():
        found = network(inputs)
    found.square().sum().backward()
    grads = [inputs.grad, *(each.grad for each in network.parameters())]
    return [found, *(grad for grad in grads if grad is not None)]


@pytest.mark.parametrize("rows", [LARGE - 1, LARGE + 3])
def test_a_quick_layer_answers_and_learns_as_torch_does(rows: int) -> None:
    for quick, usual in zip(answers(rows, True), answers(rows, False), strict=True):
        torch.testing.assert_close(quick, usual, rtol=1e-5, atol=1e-4)


def test_only_large_batches_on_wide_layers_leave_the_usual_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[int] = []
    layer, narrow = torch.nn.Linear(27, 64), torch.nn.Linear(8, 64)

    def product(inputs: Any, *rest: Any) -> Any:
        taken.append(len(inputs))
        return torch.zeros(len(inputs), 64)

    monkeypatch.setattr("agents.training.quick_linear._product", product)
    with QuickLinear():
        layer(torch.zeros(LARGE - 1, 27))
        narrow(torch.zeros(LARGE, 8))
        torch.nn.functional.linear(torch.zeros(LARGE, 27), torch.zeros(64, 27))
        assert taken == []
        layer(torch.zeros(LARGE, 27))
    assert taken == [LARGE]
