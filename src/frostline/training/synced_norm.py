"""Batch norm over the pictures of all processes of a training."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, distributed
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class SyncedBatchNorm(TorchFunctionMode):
    """While active, every `batch_norm` of a batch's own statistics takes them over the batches of all ranks.

    It does what torch's `SyncBatchNorm` does, on a CPU too, and for modules that fuse the norm with something else,
    since it replaces the function and no module. A rank may have any number of pictures, or none.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """See `TorchFunctionMode`."""
        if func is functional.batch_norm:
            return _batch_norm(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """The arguments of `torch.nn.functional.batch_norm`."""
    if not training:
        return functional.batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    others = [axis for axis in range(input.ndim) if axis != 1]
    column = [-1 if axis == 1 else 1 for axis in range(input.ndim)]
    count = _sum_of_ranks(input.new_tensor(input.numel() / input.shape[1]))
    mean = _sum_of_ranks(input.sum(others)) / count
    centred = input - mean.reshape(column)
    variance = _sum_of_ranks(centred.square().sum(others)) / count
    if running_mean is not None and running_var is not None:
        running_mean.lerp_(mean.detach(), momentum)
        running_var.lerp_(variance.detach() * count / (count - 1), momentum)
    output = centred * torch.rsqrt(variance + eps).reshape(column)
    if weight is not None:
        output = output * weight.reshape(column)
    return output if bias is None else output + bias.reshape(column)


def _sum_of_ranks(values: Tensor) -> Tensor:
    total: Tensor = _SumOfRanks.apply(values)  # type: ignore[no-untyped-call]
    return total


class _SumOfRanks(torch.autograd.Function):
    """Sums over the ranks; so does its gradient, since each rank's loss depends on every rank's values."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        distributed.all_reduce(total)
        return total
