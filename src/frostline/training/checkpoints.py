"""The state of a training on disk, whole after every epoch, so that it can go on from there."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn
from torch.optim import Optimizer

from frostline.errors import DataError
from frostline.files import atomic_write
from frostline.results.history import EpochRecord, best_of
from frostline.training.averaging import WeightAverage

_LAST = "last.safetensors"


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoint folder of a run.

    `last.safetensors` holds the tail, the optimiser, the average of the weights and the history after the last whole
    epoch; `best-<epoch>.safetensors` the tail, or its average, after the best one. Learning rate, shuffling, views and
    dropout follow from seed, epoch and history, so no random state needs to be kept.
    """

    folder: Path

    def save(
        self,
        tail: nn.Module,
        optimizer: Optimizer,
        history: Sequence[EpochRecord],
        average: WeightAverage | None = None,
    ) -> None:
        """Keep the state after an epoch; the best tail too, or its average, when that epoch is the best one."""
        self.folder.mkdir(exist_ok=True)
        weights = _on_cpu(tail.state_dict())
        best = self._best(history)
        if history[-1] == best_of(history):
            self._write(best, weights if average is None else _on_cpu(average.module.state_dict()), {})
        tensors = {f"tail.{name}": value for name, value in weights.items()}
        if average is not None:
            tensors |= {f"average.{name}": value for name, value in _on_cpu(average.state_dict()).items()}
        state = optimizer.state_dict()["state"]
        for index, values in state.items():
            tensors.update({f"optimizer.{index}.{name}": value for name, value in _on_cpu(values).items()})
        meta = {"history": json.dumps([asdict(record) for record in history])}
        self._write(self.folder / _LAST, tensors, meta)
        for path in self.folder.glob("best-*.safetensors"):
            if path != best:
                path.unlink()

    def restore(self, tail: nn.Module, optimizer: Optimizer, average: WeightAverage | None = None) -> list[EpochRecord]:
        """Load the last state into tail, optimiser and average; returns the history, empty where none is kept."""
        path = self.folder / _LAST
        if not path.exists():
            return []
        tensors, meta = _read(path)
        history = _history(path, meta)
        _load(tail, _part(tensors, "tail."), path)
        if average is not None:
            _load(average, _part(tensors, "average."), path)
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _part(tensors, "optimizer.").items():
            index, key = name.split(".", 1)
            state.setdefault(int(index), {})[key] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        return history

    def history(self) -> list[EpochRecord]:
        """The epochs that are kept, without loading any weights."""
        path = self.folder / _LAST
        return _history(path, _read_meta(path)) if path.exists() else []

    def restore_best(self, tail: nn.Module, history: Sequence[EpochRecord]) -> None:
        """Load the tail as it was after the best epoch."""
        path = self._best(history)
        _load(tail, _read(path)[0], path)

    def _best(self, history: Sequence[EpochRecord]) -> Path:
        return self.folder / f"best-{best_of(history).epoch}.safetensors"

    def _write(self, path: Path, tensors: dict[str, Tensor], meta: dict[str, str]) -> None:
        with atomic_write(path, "wb") as file:
            file.write(to_bytes(tensors, meta))


def _on_cpu(tensors: dict[str, Any]) -> dict[str, Tensor]:
    """Contiguous copies that share no memory, as safetensors wants them."""
    return {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items() if value is not None}


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _load(module: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise _unusable(path, "it belongs to another network") from error


def _history(path: Path, meta: Mapping[str, str]) -> list[EpochRecord]:
    try:
        return [EpochRecord(**record) for record in json.loads(meta["history"])]
    except (KeyError, TypeError, ValueError) as error:
        raise _unusable(path, "it holds no history of a training") from error


def _unusable(path: Path, reason: object) -> DataError:
    return DataError(f"the checkpoint {path} cannot be read: {reason}; start the training anew")


def _read_meta(path: Path) -> dict[str, str]:
    with _open(path) as file:
        return dict(file.metadata() or {})


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with _open(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (OSError, SafetensorError) as error:
        raise _unusable(path, error) from error
