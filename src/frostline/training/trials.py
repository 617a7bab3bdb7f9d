"""One trial of a search: a training on a part of the pictures that ends with its last epoch, and leaves no folder."""

import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from optuna import TrialPruned
from optuna.trial import FrozenTrial, Trial, TrialState

from frostline.config import TrainConfig
from frostline.data.dataset import Dataset
from frostline.data.splits import Splits
from frostline.errors import FrostlineError
from frostline.progress import quiet
from frostline.results.history import EpochRecord, best_of
from frostline.results.sweep import SweepTrial
from frostline.space import Choices, Range, Space
from frostline.training.run import train

WORKER = f"{socket.gethostname()}, process {os.getpid()}"
"""What this process is called in the study."""


class _LastEpochError(Exception):
    """The last epoch is over: what a run does after it is not for a trial."""


class _StoppedError(BaseException):
    """Ctrl-C; unlike `KeyboardInterrupt`, a training does not finish its folder for it."""


@dataclass(frozen=True)
class Sample:
    """The pictures of the trials: some of the training pictures, the validation pictures, and no others."""

    dataset: Dataset
    splits: Splits


def take_sample(dataset: Dataset, splits: Splits, pictures: int, seed: int) -> Sample:
    """At most so many of the training pictures, each class by its share and with one at least, always the same ones."""
    train = splits.train
    if len(train) > pictures:
        generator = np.random.default_rng(seed)
        targets = dataset.targets[train]
        chosen = []
        for target in np.unique(targets):
            members = generator.permutation(train[targets == target])
            chosen.append(members[: max(1, round(len(members) * pictures / len(train)))])
        train = np.sort(np.concatenate(chosen))
    kept = np.concatenate([train, splits.val])
    train_rows, val_rows = np.arange(len(train)), np.arange(len(train), len(kept))
    return Sample(dataset.subset(kept), Splits(train_rows, val_rows, np.empty(0, dtype=np.int64)))


def draw_options(trial: Trial, space: Space) -> dict[str, Any]:
    """Let a trial choose a value for each option of the space."""
    return {name: _draw(trial, name, dimension) for name, dimension in space.items()}


def _draw(trial: Trial, name: str, dimension: Range | Choices) -> Any:
    if isinstance(dimension, Choices):
        return trial.suggest_categorical(name, dimension.values)
    if isinstance(dimension.low, int) and isinstance(dimension.high, int):
        step = 1 if dimension.step is None else int(dimension.step)
        return trial.suggest_int(name, dimension.low, dimension.high, step=step, log=dimension.log)
    return trial.suggest_float(name, dimension.low, dimension.high, step=dimension.step, log=dimension.log)


def config_with(config: TrainConfig, options: Mapping[str, Any]) -> TrainConfig:
    """The same options with some of them changed, and checked."""
    given = {name: getattr(config, name) for name in config.model_fields_set}
    return TrainConfig(**{**given, **options})


@dataclass
class _Observer:
    """Tells the study of each epoch, and ends the training where no more of it is wanted."""

    trial: Trial
    epochs: int
    history: list[EpochRecord] = field(default_factory=list)

    def __call__(self, record: EpochRecord) -> None:
        self.history.append(record)
        if record.epoch:
            self.trial.report(record.val_accuracy, record.epoch)
        if record.epoch >= self.epochs:
            raise _LastEpochError
        if record.epoch and self.trial.should_prune():
            raise TrialPruned

    def keep(self, seconds: float, problem: str | None = None) -> None:
        """Keep with the trial what it came to."""
        figures: dict[str, Any] = {"worker": WORKER, "seconds": round(seconds, 3), "problem": problem}
        figures["epochs"] = sum(1 for record in self.history if record.epoch)
        if self.history:
            best = best_of(self.history)
            figures |= {"val_accuracy": best.val_accuracy, "val_loss": best.val_loss, "best_epoch": best.epoch}
        for name, value in figures.items():
            self.trial.set_user_attr(name, value)


def run_trial(trial: Trial, sample: Sample, config: TrainConfig, space: Space, folder: Path) -> float:
    """Train with drawn options; returns the validation accuracy of the best epoch, by which runs keep their epoch too.

    `config` says what is not drawn, and how many epochs. `folder` is used meanwhile, and removed. A training that
    breaks down, such as by a loss that is not finite, counts as pruned. Raises `TrialPruned`, what `train` raises where
    options or pictures are wrong, and `KeyboardInterrupt` at once.
    """
    own = {"runs_dir": folder, "check": False, "tensorboard": False, "mlflow": False, "splits": None}
    chosen = config_with(config, {**own, **draw_options(trial, space)})
    assert chosen.epochs is not None
    observer = _Observer(trial, chosen.epochs)
    started = time.monotonic()
    try:
        folder.mkdir(parents=True)
        with quiet(), _stopped_at_once():
            train(sample.dataset, chosen, splits=sample.splits, on_epoch=observer, report=False)
    except _LastEpochError:
        pass
    except TrialPruned:
        observer.keep(time.monotonic() - started)
        raise
    except FrostlineError as error:
        if type(error) is not FrostlineError:  # its kinds are of options, pictures and weights: no trial could work
            raise
        observer.keep(time.monotonic() - started, str(error))
        raise TrialPruned(str(error)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    observer.keep(time.monotonic() - started)
    return best_of(observer.history).val_accuracy


@contextmanager
def _stopped_at_once() -> Iterator[None]:
    """Let Ctrl-C end a training within the block without the rest of its run."""
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not usual or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise _StoppedError

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    except _StoppedError:
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def recorded(trial: FrozenTrial) -> SweepTrial:
    """What the study holds of a trial that is over."""
    kept = trial.user_attrs
    return SweepTrial(
        number=trial.number,
        options=dict(trial.params),
        given=bool(kept.get("given")),
        pruned=trial.state == TrialState.PRUNED,
        problem=kept.get("problem"),
        val_accuracy=kept.get("val_accuracy"),
        val_loss=kept.get("val_loss"),
        best_epoch=kept.get("best_epoch"),
        epochs=int(kept.get("epochs", 0)),
        seconds=float(kept.get("seconds", 0.0)),
        worker=str(kept.get("worker", "")),
    )
