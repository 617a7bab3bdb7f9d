"""Loggers: they are told of every epoch, beside `history.csv`, and can neither change nor end a training."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, Self

from frostline.config import TrainConfig
from frostline.errors import ConfigError
from frostline.results.history import EpochRecord
from frostline.results.metrics import Metrics
from frostline.results.run_folder import RunFolder
from frostline.training.checkpoints import Checkpoints
from frostline.training.mlflow_logger import MlflowLogger, require_mlflow

_PACKAGES = {
    "tensorboard": ("the package tensorboard", ("tensorboard",)),
    "mlflow": ("the packages mlflow-skinny, sqlalchemy and alembic", ("mlflow", "sqlalchemy", "alembic")),
}
"""By option, what it comes with, and the modules of that."""


class Logger(Protocol):
    """Keeps the figures of a run somewhere else than in its folder."""

    def epoch(self, record: EpochRecord) -> None:
        """Keep the figures of one epoch."""
        ...

    def finish(self, figures: Mapping[str, float]) -> None:
        """Keep the figures of the finished classifier, at the step of the last epoch."""
        ...


def require_loggers(config: TrainConfig, folder: RunFolder | None = None) -> None:
    """Raise `ConfigError` where a logger that the options want cannot be used; `folder` is that of a resumed run."""
    for option, (packages, modules) in _PACKAGES.items():
        if getattr(config, option) and any(find_spec(module) is None for module in modules):
            raise ConfigError(f"{option} comes with {packages}: pip install 'frostline[{option}]'")
    if config.mlflow:
        require_mlflow(folder)


@contextmanager
def open_loggers(config: TrainConfig, folder: RunFolder) -> Iterator[Sequence[Logger]]:
    """The loggers that the options want, for one training; those of a resumed run go on after its last whole epoch."""
    history = Checkpoints(folder.checkpoint).history()
    with ExitStack() as stack:
        loggers: list[Logger] = []
        if config.tensorboard:
            loggers.append(stack.enter_context(TensorBoardLogger(folder.path / "tensorboard", history)))
        if config.mlflow:
            loggers.append(stack.enter_context(MlflowLogger(config, folder, history)))
        yield loggers


def final_figures(best_epoch: int, test: Metrics | None) -> dict[str, float]:
    """The figures of a finished run that loggers keep; without a test split, the kept epoch alone."""
    figures: dict[str, float] = {"best_epoch": best_epoch}
    if test is not None:
        for name in ("loss", "accuracy", "top5_accuracy", "macro_f1", "balanced_accuracy"):
            value = getattr(test, name)
            if value is not None:
                figures[f"test_{name}"] = value
    return figures


class TensorBoardLogger:
    """Writes event files: a chart for each kind of figure, with `train`, `val` and `test` beside each other.

    A resumed run purges its last epoch and what was written after it, and writes that epoch again. So each is there
    once, even where the run was killed between checkpoint and event.
    """

    def __init__(self, folder: Path, history: Sequence[EpochRecord]) -> None:
        self._folder = folder
        self._last = history[-1] if history else None
        self._step = 0

    def __enter__(self) -> Self:
        from torch.utils.tensorboard import SummaryWriter

        purge_step = None if self._last is None else self._last.epoch
        self._writer: Any = SummaryWriter(str(self._folder), purge_step=purge_step)
        if self._last is not None:
            self.epoch(self._last)
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def epoch(self, record: EpochRecord) -> None:
        """See `Logger`."""
        figures = asdict(record)
        self._step = figures.pop("epoch")
        self._write(figures)

    def finish(self, figures: Mapping[str, float]) -> None:
        """See `Logger`."""
        self._write(figures)

    def _write(self, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(_tag(name), value, self._step)
        self._writer.flush()


def _tag(name: str) -> str:
    """`loss/val` for `val_loss`, so that one kind of figure is in one section."""
    split, _, figure = name.partition("_")
    return f"{figure}/{split}" if split in {"train", "val", "test"} else name
