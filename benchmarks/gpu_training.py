"""Trainings on CIFAR-10 in one process, with everything that is made once apart from what is timed."""

import argparse
import copy
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from frostline.config import TrainConfig
from frostline.data.dataset import Dataset
from frostline.data.pixels import read_pixels
from frostline.data.sources import load_dataset
from frostline.data.splits import Splits, make_splits
from frostline.model.compiling import has_compiler
from frostline.model.device_engine import DeviceEngine
from frostline.training.batches import ActivationBatches, Batch
from frostline.training.checkpoints import Checkpoints
from frostline.training.devices import choose_device
from frostline.training.distributed import ALONE, Ranks
from frostline.training.fit import fit, measure
from frostline.training.setup import Model, build_model, load_configured_backbone, make_batches, make_stage

_FROZEN_SECONDS = 3.0
"""How long frozen layers run at least while their rate is measured."""

_RESIDENT_BATCHES = 16
"""Batches that stay on the device where its rate without any input is measured."""

_VAL_PICTURES = 1_000


@dataclass(frozen=True)
class Reached:
    """What one training came to."""

    seconds: float
    """From decoded pictures in the processor's memory to the test accuracy."""
    accuracy: float
    losses: tuple[float, ...]
    """Of each epoch, on training and on validation pictures."""


@dataclass(frozen=True)
class Training:
    """Everything that a training has before its first epoch."""

    config: TrainConfig
    model: Model
    batches: ActivationBatches
    test_indices: NDArray[np.int64]
    start: Mapping[str, torch.Tensor]
    """The tail's weights before any training."""
    compiled: bool

    @property
    def about(self) -> dict[str, Any]:
        """Its settings."""
        names = ("backbone", "size", "epochs", "batch_size", "learning_rate")
        return {**{name: getattr(self.config, name) for name in names}, "compiled": self.compiled}

    def run(self, seed: int) -> Reached:
        """Train from the start, with another seed for all that is random after it, and test."""
        self.model.tail.load_state_dict(self.start)
        wait(self.model.device)
        started = time.perf_counter()
        augmenter = replace(self.batches.activations.augmenter, seed=seed)
        activations = replace(self.batches.activations, augmenter=augmenter)
        batches = replace(self.batches, activations=activations, seed=seed).on_device()
        losses = self._fit(batches, seed)
        tested = replace(batches, val_indices=self.test_indices)
        _, accuracy = measure(self.model.tail, tested.val(), lambda *_: None, ALONE)
        return Reached(round(time.perf_counter() - started, 3), accuracy, losses)

    def rates(self) -> dict[str, float]:
        """Training pictures/s: of batches that lie on the device, and end to end with pictures there and not there."""
        settled = self.batches.on_device()
        kept = []
        for batch in settled.train(0):
            kept.append(batch)
            if len(kept) == _RESIDENT_BATCHES:
                break
        found = {}
        sources = {"on_device": _Repeated(tuple(kept), settled), "end_to_end": settled, "streamed": self.batches}
        for name, source in sources.items():
            self.model.tail.load_state_dict(self.start)
            found[f"train_{name}"] = self._last_rate(source)
        return found

    def frozen_rate(self) -> tuple[float, float]:
        """Seconds until the first batch is there, and pictures/s from then on."""
        model, device = self.model, self.model.device
        engine = DeviceEngine(model.frozen.trunk, device, model.precision, compiled=self.compiled)
        views = self.batches.activations.views(self.batches.train_indices[:256], 0)
        wait(device)
        started = time.perf_counter()
        engine(views)
        wait(device)
        cold = time.perf_counter() - started
        count, started = 0, time.perf_counter()
        while time.perf_counter() - started < _FROZEN_SECONDS:
            for _ in range(10):
                engine(views)
            wait(device)
            count += 10 * len(views)
        return round(cold, 3), round(count / (time.perf_counter() - started), 1)

    def _fit(self, batches: ActivationBatches, seed: int) -> tuple[float, ...]:
        stage = replace(make_stage(self.model, batches.targets[batches.train_indices], self.config), seed=seed)
        with tempfile.TemporaryDirectory() as folder:
            fitted = fit(self.model.tail, batches, stage, Checkpoints(Path(folder)), lambda _: None)
        return tuple(loss for record in fitted.history for loss in (record.train_loss, record.val_loss))

    def _last_rate(self, batches: "ActivationBatches | _Repeated") -> float:
        stage = make_stage(self.model, self.batches.targets[self.batches.train_indices], self.config)
        with tempfile.TemporaryDirectory() as folder:
            fitted = fit(self.model.tail, batches, stage, Checkpoints(Path(folder)), lambda _: None)
        return round(fitted.history[-1].pictures_per_second, 1)


@dataclass(frozen=True)
class _Repeated:
    """As many steps as other batches have, of few batches that are there already."""

    batches: tuple[Batch, ...]
    like: ActivationBatches
    ranks: Ranks = ALONE

    @cached_property
    def _epoch(self) -> tuple[Batch, ...]:
        whole = [batch for batch in self.batches if len(batch.targets) == self.like.batch_size] or self.batches
        return tuple(whole[step % len(whole)] for step in range(self.like.steps_per_epoch))

    @property
    def train_pictures(self) -> int:
        return sum(len(batch.targets) for batch in self._epoch)

    @property
    def val_pictures(self) -> int:
        return len(self.batches[0].targets)

    @property
    def steps_per_epoch(self) -> int:
        return self.like.steps_per_epoch

    def train(self, epoch: int) -> Iterator[Batch]:
        return iter(self._epoch)

    def val(self) -> Iterator[Batch]:
        return iter(self.batches[:1])


def prepare(options: argparse.Namespace, backbone: str, settings: Mapping[str, Any]) -> Training:
    """Read pictures and weights, and build the network, for these settings with those of the command line."""
    given = {name: getattr(options, name) for name in ("size", "epochs") if getattr(options, name) is not None}
    config = TrainConfig(
        **{
            "backbone": backbone,
            "weights": "none" if options.weights is None else None,
            "device": options.device,
            "trainable_layers": "all",
            "batch_norm": "adapt",
            "head_start": "random",
            "schedule": "one-cycle",
            "views": "fresh",
            "cache": False,
            "batch_size": options.batch_size,
            "learning_rate": options.lr,
            **settings,
            **given,
        }
    )
    dataset = _cifar10(options.data)
    splits = make_splits(dataset, val_fraction=_VAL_PICTURES / 50_000)
    if options.pictures is not None:
        splits = Splits(*(each[: options.pictures] for each in (splits.train, splits.val, splits.test)))
    loaded, config = load_configured_backbone(dataset, config)
    model = build_model(dataset, loaded, config)
    pixels, _ = read_pixels(dataset, size=loaded.size, resize_mode=config.resize_mode)
    batches = make_batches(model, dataset, pixels, splits, config)
    compiled = model.device.type == "cuda" and has_compiler()
    if compiled:
        model.tail.compile_steps(config.batch_size)
    return Training(config, model, batches, splits.test, copy.deepcopy(model.tail.state_dict()), compiled)


@cache
def _cifar10(folder: Path) -> Dataset:
    return load_dataset("cifar10", data_dir=folder)


def wait(device: torch.device) -> None:
    """Until the device has computed all that it was given."""
    waiting: dict[str, Callable[[], None]] = {"cuda": torch.cuda.synchronize, "mps": torch.mps.synchronize}
    waiting.get(device.type, lambda: None)()


def machine(name: str) -> dict[str, Any]:
    """What figures are measured on."""
    device = choose_device(name)
    on_cuda = device.type == "cuda"
    return {
        "device": device.type,
        "card": torch.cuda.get_device_name(device) if on_cuda else platform.processor() or platform.machine(),
        "driver": _driver() if on_cuda else None,
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in ("torch", "torchvision", "timm", "triton", "numpy")},
    }


def _driver() -> str | None:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.split()[0]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
