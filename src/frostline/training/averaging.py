"""The moving average of a tail's weights over the steps of a training."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

_WARMUP = 10
"""After n steps the decay is at most (1 + n) / (10 + n): a short training averages over its last tenth of steps."""


class WeightAverage(AveragedModel):
    """An exponential moving average (EMA) of a tail, to be told of every step by `update_parameters(tail)`.

    A step counts `decay` times as much as the one after it, and less among the first ones, so that where the training
    began is soon forgotten. Parameters that train are averaged; buffers, such as the statistics of batch norm, are
    those of the last step. The average is the better network of late steps with a high learning rate (Polyak and
    Juditsky 1992; Morales-Brotons et al. 2024, arXiv:2411.18704).
    """

    def __init__(self, tail: nn.Module, decay: float) -> None:
        super().__init__(tail)
        self._decay = decay

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Take the weights after one more step.

        torch's own method copies its count of steps to the device each time, and waits for that.
        """
        steps = int(self.n_averaged)
        decay = min(self._decay, (1 + steps) / (_WARMUP + steps)) if steps else 0.0
        torch._foreach_lerp_(_trained(self.module), _trained(model), 1 - decay)
        for own, latest in zip(self.module.buffers(), model.buffers(), strict=True):
            own.copy_(latest)
        self.n_averaged += 1


def _trained(model: nn.Module) -> list[Tensor]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]
