"""Engines that run a frozen network, or a part of one: no gradients, statistics unchanged."""

import logging
import sys
import warnings
from collections.abc import Iterable
from functools import partial
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from frostline.errors import ConfigError
from frostline.model.compiling import compiling_pays
from frostline.model.device_engine import MOST_BATCH, DeviceEngine
from frostline.model.quantise import digest, quantise
from frostline.model.transfer import channels_last

OPENVINO_BATCH = 16
"""Inputs in one request to OpenVINO, which is fastest with small batches."""

ENGINE_PAYS_FROM = 256
"""Inputs from which on it is worth the seconds that an engine takes to be made."""


class Engine(Protocol):
    """Runs a module on batches of its input."""

    name: str
    version: str
    """Of what computes: two engines of one name and version, for one module, give the same output on one machine."""

    def __call__(self, inputs: Tensor) -> Tensor:
        """From inputs, float32 (N, ...), to outputs, float32 (N, ...), on the same device."""
        ...


def make_engine(
    module: nn.Module,
    shape: tuple[int, ...],
    device: torch.device,
    precision: torch.dtype = torch.float32,
    batch: int = MOST_BATCH,
    expected: int = 0,
) -> Engine:
    """The engine for a module and inputs of `shape`, without the batch: OpenVINO on a CPU, torch on other devices.

    torch runs what OpenVINO cannot convert, too, and a module without parameters. The rest is for other devices:
    `precision` to compute in, `batch` as inputs usually come, and how many inputs are `expected` in all.
    """
    if not any(True for _ in module.parameters()):
        return TorchEngine(module)
    if device.type != "cpu":
        return DeviceEngine(module, device, precision, batch, compiled=compiling_pays(device, expected // batch))
    try:
        return OpenVinoEngine(module, shape)
    except RuntimeError as error:
        logging.getLogger(__name__).warning("OpenVINO cannot run this network, torch does: %s", error)
        return TorchEngine(module)


def make_quantisable_engine(module: nn.Module, shape: tuple[int, ...], device: torch.device) -> "OpenVinoEngine":
    """The engine of `make_engine`, for a module that `OpenVinoEngine` can run in 8 bits too.

    Raises `ConfigError`, in the words of `--trunk-precision`, where it cannot.
    """
    if device.type != "cpu":
        raise ConfigError(f"trunk_precision int8 is for the CPU, not for {device.type}: give --device cpu with it")
    if not any(True for _ in module.parameters()):
        raise ConfigError("trunk_precision int8 has no trunk to run: all layers train; give fewer --trainable-layers")
    if find_spec("nncf") is None:
        raise ConfigError("trunk_precision int8 comes with the package nncf: pip install 'frostline[int8]'")
    try:
        return OpenVinoEngine(module, shape)
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(
            f"trunk_precision int8 is for what OpenVINO can run, not for this network: {reason}; leave it out"
        ) from error


class TorchEngine:
    """Runs a module in torch, in evaluation mode."""

    name = "torch"
    version = str(torch.__version__)

    def __init__(self, module: nn.Module) -> None:
        self._module = module

    @torch.no_grad()
    def __call__(self, inputs: Tensor) -> Tensor:
        """See `Engine`."""
        self._module.eval()
        outputs: Tensor = self._module(channels_last(inputs))
        return outputs


class PatientEngine:
    """Runs a module in torch, and by the engine of `make_engine` once that pays: from `ENGINE_PAYS_FROM` inputs on."""

    def __init__(self, module: nn.Module, shape: tuple[int, ...], device: torch.device, expected: int = 0) -> None:
        """`expected` is how many inputs are known to come."""
        self._make = partial(make_engine, module, shape, device, expected=expected)
        self._engine: Engine = TorchEngine(module)
        self._waiting = True
        self._expected = expected
        self._seen = 0

    def __call__(self, inputs: Tensor) -> Tensor:
        """See `Engine`."""
        if self._waiting and max(self._seen, self._expected) >= ENGINE_PAYS_FROM:
            self._engine, self._waiting = self._make(), False
        self._seen += len(inputs)
        return self._engine(inputs)


class OpenVinoEngine:
    """Runs a module in OpenVINO, converted straight from torch, in float32 or in 8 bits.

    Every request holds `OPENVINO_BATCH` inputs, the last one of a batch filled up with zeros, so that an input has the
    same output, bit for bit, whatever else is in its batch.
    """

    def __init__(self, module: nn.Module, shape: tuple[int, ...], calibration: Iterable[Tensor] | None = None) -> None:
        """`calibration` is for 8 bits: inputs, float32 (1, *shape), that each operation's range is measured on."""
        openvino = import_openvino()
        example = torch.zeros(2, *shape)
        with torch.no_grad():
            self._shape = tuple(module.eval()(example).shape[1:])
        model = convert_module(module, example)
        self.name = "openvino"
        self.version: str = openvino.get_version()
        if calibration is not None:
            model.reshape({0: openvino.PartialShape([1, *shape])})
            model = quantise(model, calibration)
            self.name = "openvino-int8"
            self.version += f" {digest(model)}"
        model.reshape({0: openvino.PartialShape([OPENVINO_BATCH, *shape])})
        settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "THROUGHPUT"}
        compiled = openvino.Core().compile_model(model, "CPU", settings)
        self._queue = openvino.AsyncInferQueue(compiled)
        self._queue.set_callback(_keep_output)

    def __call__(self, inputs: Tensor) -> Tensor:
        """See `Engine`."""
        source = np.ascontiguousarray(inputs.numpy())
        outputs = np.empty((len(source), *self._shape), dtype=np.float32)
        for start in range(0, len(source), OPENVINO_BATCH):
            chunk = source[start : start + OPENVINO_BATCH]
            if len(chunk) < OPENVINO_BATCH:
                missing = np.zeros((OPENVINO_BATCH - len(chunk), *chunk.shape[1:]), dtype=np.float32)
                chunk = np.concatenate([chunk, missing])
            rows = outputs[start : start + OPENVINO_BATCH]
            self._queue.start_async({0: chunk}, userdata=rows, share_inputs=True)
        self._queue.wait_all()
        return torch.from_numpy(outputs)


def import_openvino() -> Any:
    """OpenVINO, kept from its package for usage statistics, which reports the mere import to Intel."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def convert_module(module: nn.Module, *examples: Tensor) -> Any:
    """A torch module as an OpenVINO model, given an example of each input.

    `openvino.convert_model` makes the same, but reports its use to Intel.
    """
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch's on tracing: that it is old, and that sizes become constants
        decoder = TorchScriptPythonDecoder(module, example_input=examples)
        frontend = FrontEndManager().load_by_framework("pytorch")
        return frontend.convert(frontend.load(decoder))


def _keep_output(request: Any, rows: np.ndarray[Any, np.dtype[np.float32]]) -> None:
    rows[:] = request.get_output_tensor(0).data[: len(rows)]
