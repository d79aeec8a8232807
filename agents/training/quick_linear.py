"""Linear layers on large batches by oneDNN, which comes with torch: `torch.nn.functional.linear`
calls MKL, and MKL takes two to three times as long for narrow layers on processors that are not
Intel's. Both add the products of a sum in the same order, so on the processors tried the numbers
are the same to the bit (docs/speed.md, "Learning").

Imported only when SB3 is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

LARGE = 4096  # rows from which on a call in Python costs less than it saves
WIDE = 16  # outputs from which on oneDNN adds in the order of MKL; for fewer it is no quicker


class QuickLinear(TorchFunctionMode):
    """A context in which linear layers of float32 take oneDNN where they see at least `LARGE` rows
    on the CPU; everything else is done as usual.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[Any],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is torch.nn.functional.linear and not kwargs and _fits(*args):
            return _Linear.apply(*args)  # type: ignore[no-untyped-call]
        return func(*args, **(kwargs or {}))


def _fits(inputs: Any, weight: Any, bias: Any = None) -> bool:
    return (
        bias is not None
        and inputs.dim() == 2
        and len(inputs) >= LARGE
        and inputs.device.type == "cpu"
        and weight.shape[1] >= WIDE  # outputs of the gradient
        and inputs.dtype == weight.dtype == torch.float32
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def _product(inputs: Any, weight: Any, bias: Any) -> Any:
    """inputs (n, K) times the transpose of weight (M, K), plus bias (M,) where there is one."""
    return torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")


class _Linear(torch.autograd.Function):
    """The layer and its gradients; MKL is as quick for those of the weights."""

    @staticmethod
    def forward(ctx: Any, inputs: Any, weight: Any, bias: Any) -> Any:
        ctx.save_for_backward(inputs, weight)
        if len(weight) < WIDE:
            return torch.nn.functional.linear(inputs, weight, bias)
        return _product(inputs, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (inputs, weight), grad = ctx.saved_tensors, grads[0].contiguous()
        return (
            _product(grad, weight.t().contiguous(), None) if ctx.needs_input_grad[0] else None,
            grad.t().mm(inputs),
            grad.sum(dim=0),
        )
