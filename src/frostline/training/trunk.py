"""Engines that run a frozen trunk: pixels in, activations out, no gradients."""

import logging
import warnings
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from frostline.model.frost_line import channels_last

OPENVINO_BATCH = 16
"""Pictures in one request to OpenVINO, which is fastest with small batches."""


class TrunkEngine(Protocol):
    """Runs the trunk on a batch of normalised pictures."""

    name: str

    def __call__(self, pixels: Tensor) -> Tensor:
        """From pixels, float32 (N, 3, size, size), to activations, float32 (N, ...), on the same device."""
        ...


def make_engine(trunk: nn.Module, size: int, device: torch.device) -> TrunkEngine:
    """The engine for a trunk: OpenVINO on a CPU, torch on other devices and for what OpenVINO cannot convert."""
    if device.type != "cpu" or not any(True for _ in trunk.parameters()):
        return TorchEngine(trunk)
    try:
        return OpenVinoEngine(trunk, size)
    except RuntimeError as error:
        logging.getLogger(__name__).warning("OpenVINO cannot run this trunk, torch does: %s", error)
        return TorchEngine(trunk)


class TorchEngine:
    """Runs the trunk in torch, in evaluation mode."""

    name = "torch"

    def __init__(self, trunk: nn.Module) -> None:
        self._trunk = trunk

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> Tensor:
        """See `TrunkEngine`."""
        self._trunk.eval()
        activations: Tensor = self._trunk(channels_last(pixels))
        return activations


class OpenVinoEngine:
    """Runs the trunk in OpenVINO, in float32, converted straight from the torch module."""

    name = "openvino"

    def __init__(self, trunk: nn.Module, size: int) -> None:
        import openvino

        example = torch.zeros(2, 3, size, size)
        with torch.no_grad():
            shape = trunk.eval()(example).shape[1:]
        model = _convert(trunk, example)
        model.reshape({0: openvino.PartialShape([-1, 3, size, size])})
        settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "THROUGHPUT"}
        compiled = openvino.Core().compile_model(model, "CPU", settings)
        self._shape = tuple(shape)
        self._queue = openvino.AsyncInferQueue(compiled)
        self._queue.set_callback(_keep_output)

    def __call__(self, pixels: Tensor) -> Tensor:
        """See `TrunkEngine`."""
        source = np.ascontiguousarray(pixels.numpy())
        activations = np.empty((len(source), *self._shape), dtype=np.float32)
        for start in range(0, len(source), OPENVINO_BATCH):
            chunk = slice(start, start + OPENVINO_BATCH)
            self._queue.start_async({0: source[chunk]}, userdata=activations[chunk], share_inputs=True)
        self._queue.wait_all()
        return torch.from_numpy(activations)


def _convert(trunk: nn.Module, example: Tensor) -> Any:
    """A torch module as an OpenVINO model; `openvino.convert_model` makes the same, but reports its use to Intel."""
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's on tracing: that it is old, and that sizes become constants
        decoder = TorchScriptPythonDecoder(trunk, example_input=(example,))
        frontend = FrontEndManager().load_by_framework("pytorch")
        return frontend.convert(frontend.load(decoder))


def _keep_output(request: Any, rows: np.ndarray[Any, np.dtype[np.float32]]) -> None:
    rows[:] = request.get_output_tensor(0).data
