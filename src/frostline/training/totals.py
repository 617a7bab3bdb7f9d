"""Loss and accuracy over a pass of the network, summed where it computes."""

import time

import torch
from torch import Tensor

from frostline.training.distributed import Ranks

_SECONDS = 0.5
"""Between two looks at the sums on a device that computes beside the processor, and would have to be waited for."""


class Totals:
    """Sums the loss and the right answers of a pass; reading them waits for the device."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._sums = torch.zeros(3, dtype=torch.float64)
        self._looked = time.monotonic()

    def add(self, loss_sum: Tensor, logits: Tensor, targets: Tensor) -> None:
        """Add a batch: its summed loss, its logits (N, classes) and its targets (N,)."""
        precision = torch.float32 if logits.device.type == "mps" else torch.float64
        correct = (logits.detach().argmax(1) == targets).sum(dtype=precision)
        count = torch.full_like(correct, len(targets))
        values = torch.stack([loss_sum.to(precision), correct, count])
        self._sums = self._sums.to(values) + values

    @property
    def are_due(self) -> bool:
        """Whether to look at them now: always on a CPU, which has computed them already."""
        return self._sums.device.type == "cpu" or time.monotonic() - self._looked > _SECONDS

    def so_far(self) -> tuple[float, float]:
        """Mean loss and accuracy over this process's pictures so far."""
        self._looked = time.monotonic()
        return _means(self._sums)

    def of_all(self) -> tuple[float, float]:
        """Mean loss and accuracy over the pictures of all ranks."""
        return _means(self._ranks.sum(self._sums))


def _means(sums: Tensor) -> tuple[float, float]:
    loss_sum, correct, count = sums.tolist()
    return loss_sum / max(count, 1), correct / max(count, 1)
