"""What runs exported classifiers: ONNX Runtime, OpenVINO and torch, each behind the same small interface."""

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from frostline.errors import ModelError

METADATA_KEY = "frostline"
"""Under which an artefact's metadata hold its description."""

BATCH = 16
"""Pictures in one request: more make no runtime faster, and all take as much more memory."""

Outputs = tuple[NDArray[np.float32], NDArray[np.float32] | None]


class Runtime(Protocol):
    """Runs one artefact. It is not for several threads at a time."""

    name: ClassVar[str]
    version: str
    metadata: str | None
    """The artefact's description as JSON; None where it has none."""

    def __init__(self, file: Path) -> None:
        """Raises `ModelError` where the file is damaged or the runtime is not installed."""
        ...

    def __call__(self, pictures: NDArray[np.uint8]) -> Outputs:
        """From RGB pictures of one size, (N, height, width, 3), to probabilities, (N, classes), and distances, (N,).

        There are no distances where the classifier does not measure them.
        """
        ...


class OnnxRuntime:
    """Runs an ONNX artefact in ONNX Runtime."""

    name: ClassVar[str] = "onnxruntime"

    def __init__(self, file: Path) -> None:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else it reports each model that it loads to Microsoft
        onnxruntime = _import("onnxruntime", "runtime")
        self.version = str(onnxruntime.__version__)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors have no base of their own
            raise _damaged(file, error) from error
        self.metadata: str | None = self._session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)

    def __call__(self, pictures: NDArray[np.uint8]) -> Outputs:
        """See `Runtime`."""
        batches = [self._session.run(None, {"pictures": batch}) for batch in _batches(pictures)]
        return _joined(batches)


class OpenVinoRuntime:
    """Runs an OpenVINO artefact: many pictures in requests of `BATCH` at the same time, few in one of all cores."""

    name: ClassVar[str] = "openvino"

    def __init__(self, file: Path) -> None:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # it reports the import to Intel
        openvino = _import("openvino", "openvino")
        try:
            self._load(openvino, openvino.Core().read_model(file))
        except RuntimeError as error:
            raise _damaged(file, error) from error

    @classmethod
    def of(cls, model: Any) -> "OpenVinoRuntime":
        """Run an `openvino.Model` that is in no file."""
        runtime = cls.__new__(cls)
        runtime._load(_import("openvino", "openvino"), model)
        return runtime

    def _load(self, openvino: Any, model: Any) -> None:
        self.version = str(openvino.__version__).partition("-")[0]
        known = model.has_rt_info([METADATA_KEY])
        self.metadata: str | None = model.get_rt_info([METADATA_KEY]).astype(str) if known else None
        self._openvino, self._model = openvino, model
        self._single = self._compile(model, "LATENCY")

    @cached_property
    def _queue(self) -> Any:
        """Requests of `BATCH` pictures, as many as are fastest at the same time."""
        model = self._model.clone()
        model.reshape({0: self._openvino.PartialShape([BATCH, -1, -1, 3])})
        queue = self._openvino.AsyncInferQueue(self._compile(model, "THROUGHPUT"))
        queue.set_callback(_keep_outputs)
        return queue

    def _compile(self, model: Any, hint: str) -> Any:
        settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": hint}
        return self._openvino.Core().compile_model(model, "CPU", settings)

    def __call__(self, pictures: NDArray[np.uint8]) -> Outputs:
        """See `Runtime`."""
        whole = len(pictures) // BATCH
        if whole < 2 or whole < len(self._queue):
            whole = 0  # one request by itself keeps one core busy, where `_single` keeps them all
        found: list[list[NDArray[np.float32]]] = [[] for _ in range(whole)]
        for place, kept in enumerate(found):
            batch = np.ascontiguousarray(pictures[place * BATCH : (place + 1) * BATCH])
            self._queue.start_async({0: batch}, userdata=kept)
        if whole:
            self._queue.wait_all()
        if len(pictures) > whole * BATCH:
            rest = np.ascontiguousarray(pictures[whole * BATCH :])
            found.append([output.copy() for output in self._single(rest).values()])
        return _joined(found)


class TorchScriptRuntime:
    """Runs a TorchScript artefact in torch."""

    name: ClassVar[str] = "torch"

    def __init__(self, file: Path) -> None:
        self._torch = _import("torch", "train")
        self.version = str(self._torch.__version__)
        extra = {METADATA_KEY: ""}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                self._module = self._torch.jit.load(file, map_location="cpu", _extra_files=extra)
        except (RuntimeError, ValueError) as error:
            raise _damaged(file, error) from error
        text: str | bytes = extra[METADATA_KEY]
        self.metadata = (text.decode() if isinstance(text, bytes) else text) or None

    def __call__(self, pictures: NDArray[np.uint8]) -> Outputs:
        """See `Runtime`."""
        with self._torch.no_grad():
            batches = [self._module(self._torch.from_numpy(batch)) for batch in _batches(pictures)]
        return _joined([[output.numpy() for output in outputs] for outputs in batches])


def _import(package: str, extra: str) -> Any:
    try:
        return import_module(package)
    except ImportError as error:
        raise ModelError(
            f"{package} is not installed, which runs this file: pip install 'frostline[{extra}]'"
        ) from error


def _damaged(file: Path, error: Exception) -> ModelError:
    reason = " ".join(str(error).split())[:200]
    return ModelError(f"{file} cannot be used: {reason}; export the classifier anew")


def _keep_outputs(request: Any, kept: list[NDArray[np.float32]]) -> None:
    kept.extend(request.get_output_tensor(place).data.copy() for place in range(len(request.model_outputs)))


def _batches(pictures: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, len(pictures), BATCH):
        yield np.ascontiguousarray(pictures[start : start + BATCH])


def _joined(batches: Sequence[Sequence[NDArray[np.float32]]]) -> Outputs:
    """The outputs of batches, which follow each other."""
    probabilities, *distances = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return probabilities, distances[0] if distances else None
