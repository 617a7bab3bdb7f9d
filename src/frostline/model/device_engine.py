"""The engine for a GPU."""

import torch
from torch import Tensor, nn

from frostline.model.compiling import COMPILER_MODE
from frostline.model.folding import with_folded_norms
from frostline.model.transfer import channels_last, lay_channels_last

LEAST_BATCH, MOST_BATCH = 64, 256
"""Bounds of the inputs that are computed at once: fewer take a GPU as long, and more make it no faster."""


class DeviceEngine:
    """Runs a copy of a module in torch: batch norm folded into convolutions, channels last, in any precision.

    Every batch holds the same number of inputs, the last one filled up with zeros: so no shape is compiled a second
    time, and an input meets the same code whatever else is in its batch.
    """

    name = "torch"

    def __init__(
        self,
        module: nn.Module,
        device: torch.device,
        precision: torch.dtype = torch.float32,
        batch: int = MOST_BATCH,
        *,
        compiled: bool = False,
    ) -> None:
        """`batch` is how many inputs come at once, usually; `compiled` has `torch.compile` make the code."""
        self._module = with_folded_norms(module).requires_grad_(False)
        for layer in self._module.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                layer.to(precision)  # what autocast would do in every batch
        if device.type != "mps":
            lay_channels_last(self._module)
        self._precision = precision
        self._batch = min(max(batch, LEAST_BATCH), MOST_BATCH)
        self._run = torch.compile(self._forward, mode=COMPILER_MODE, dynamic=False) if compiled else self._forward
        made_of = (torch.__version__, _name_of(device), str(precision).removeprefix("torch."), f"by {self._batch}")
        self.version = " ".join([*made_of, *(["compiled"] if compiled else [])])

    @torch.no_grad()
    def __call__(self, inputs: Tensor) -> Tensor:
        """See `Engine`."""
        outputs: Tensor | None = None
        for start in range(0, max(len(inputs), 1), self._batch):
            chunk = inputs[start : start + self._batch]
            missing = inputs.new_zeros(self._batch - len(chunk), *inputs.shape[1:])
            rows = self._run(torch.cat([chunk, missing]) if len(missing) else chunk)[: len(chunk)]
            if outputs is None:
                outputs = torch.empty(len(inputs), *rows.shape[1:], device=inputs.device)
            outputs[start : start + len(chunk)] = rows  # a copy: the next batch is computed in the same memory
        assert outputs is not None
        return outputs

    def _forward(self, inputs: Tensor) -> Tensor:
        with torch.autocast(inputs.device.type, self._precision, enabled=self._precision != torch.float32):
            outputs: Tensor = self._module(channels_last(inputs))
        return outputs


def _name_of(device: torch.device) -> str:
    """The device's make, since others round in other ways."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
