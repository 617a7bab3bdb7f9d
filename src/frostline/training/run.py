"""A whole run: from a dataset to a folder with a classifier and its figures."""

import csv
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from frostline.config import TrainConfig
from frostline.data.audit.short import short_check
from frostline.data.dataset import Dataset
from frostline.data.machine import available_memory
from frostline.data.pixels import Pixels, Unreadable, read_pixels, require_readable
from frostline.data.sources import load_configured_dataset
from frostline.data.splits import Splits, load_splits, make_splits, require_trainable, save_splits
from frostline.errors import ConfigError, ModelError
from frostline.files import atomic_write
from frostline.model.backbone import Backbone
from frostline.model.layer_table import layer_rows
from frostline.progress import Stopwatch, log_to, quiet, say
from frostline.results.figures import RunFigures
from frostline.results.history import EpochRecord, save_history
from frostline.results.metrics import Metrics
from frostline.results.predictions import save_predictions
from frostline.results.record import save_layers, save_notes
from frostline.results.run_folder import RunFolder
from frostline.training.baseline import predict_baseline
from frostline.training.batches import ActivationBatches
from frostline.training.calibrate import require_one_threshold
from frostline.training.checkpoints import Checkpoints
from frostline.training.cross_fit import FOLDS, choose_cross_fit
from frostline.training.defaults import epochs_of, learning_rate_of, settle_few
from frostline.training.distributed import Ranks, joined, require_alone, was_restarted
from frostline.training.doctor import keep_duplicates_together, last_check
from frostline.training.environment import describe_environment
from frostline.training.fit import Stage, fit
from frostline.training.growing import full_size_epochs, growing, require_growth
from frostline.training.int8 import run_trunk_in_int8
from frostline.training.loggers import final_figures, open_loggers, require_loggers
from frostline.training.outcome import Trained, finish, headline_of
from frostline.training.plan import Plan, make_plan
from frostline.training.setup import (
    Model,
    build_model,
    compile_tail,
    describe_balance,
    keep_activations,
    load_configured_backbone,
    make_batches,
    make_stage,
)
from frostline.training.start import require_start, start_head
from frostline.training.working_folder import find_stopped, new_folder, resumed_folder

OnEpoch = Callable[[EpochRecord], None]


@dataclass(frozen=True)
class Run:
    """A finished training and what it left."""

    folder: Path
    config: TrainConfig
    history: tuple[EpochRecord, ...]
    figures: RunFigures

    @property
    def metrics(self) -> Metrics:
        """The test figures; without a test split, those of validation, on which the epoch is chosen."""
        return self.figures.headline

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the training."""
        return self.figures.interrupted


def train(
    dataset: Dataset,
    config: TrainConfig,
    *,
    splits: Splits | None = None,
    on_epoch: OnEpoch | None = None,
    go_on: bool = False,
) -> Run:
    """Train a classifier on a dataset and leave a run folder.

    `splits` are used instead of those that the options say. `on_epoch` is told of every epoch; it changes nothing.
    With `go_on`, and where `torchrun` has restarted this process, the last run of the same options goes on, if it was
    stopped. Processes that were started together, as by `torchrun`, train together: each with a part of the pictures.
    Ctrl-C keeps the best epoch so far and finishes the folder; before the first epoch has ended it raises
    `KeyboardInterrupt`. Raises `ConfigError`, `DataError` or `ModelError`
    before training where options, pictures or backbone are wrong; no folder is left then.
    """
    require_start(config)
    require_one_threshold(config)
    require_loggers(config)
    if config.folds is not None:
        raise ConfigError("one training has no folds: leave out folds, or call cross_validate")
    if config.time_limit is not None:
        require_alone("--time-limit")
    if config.trunk_precision == "int8":
        require_alone("--trunk-precision int8")
    with joined() as ranks, _speaking(ranks):
        return _train(dataset, config, splits, on_epoch, ranks, go_on=go_on or was_restarted())


def _train(
    dataset: Dataset,
    config: TrainConfig,
    splits: Splits | None,
    on_epoch: OnEpoch | None,
    ranks: Ranks,
    *,
    go_on: bool,
) -> Run:
    deadline = None if config.time_limit is None else time.monotonic() + config.time_limit.total_seconds()
    config = _for_ranks(config, ranks)
    if splits is None:
        if config.group_duplicates:
            dataset = keep_duplicates_together(dataset, config)
        splits = _choose_splits(dataset, config)
    config = _settle_few(config, dataset, splits)
    plan = None
    if deadline is not None:
        plan = make_plan(dataset, splits, config, deadline)
        say(f"plan: {plan}")
        config = plan.config
    chosen = config
    backbone, config = load_configured_backbone(dataset, config)
    require_growth(config)
    config = _repeatable(config, dataset, splits)
    if go_on and (stopped := ranks.from_first(find_stopped(config, dataset.name) if ranks.is_first else None)):
        return _resume(stopped, on_epoch, ranks)
    with new_folder(config.runs_dir, dataset.name, config.backbone, ranks) as folder:
        folder.write_json(folder.environment, describe_environment(dataset, backbone, chosen))
        save_splits(splits, dataset, folder.splits)
        config.save(folder.config)  # last: a folder that has it has all that resuming needs
        with log_to(folder.log):
            return _run(folder, dataset, splits, backbone, config, on_epoch, ranks, plan)


def _speaking(ranks: Ranks) -> AbstractContextManager[None]:
    """While inside, only the first rank shows anything."""
    return nullcontext() if ranks.is_first else quiet()


def _for_ranks(config: TrainConfig, ranks: Ranks) -> TrainConfig:
    """The options of one rank: only the first tells loggers."""
    return config if ranks.is_first else config.model_copy(update={"tensorboard": False, "mlflow": False})


def _choose_splits(dataset: Dataset, config: TrainConfig) -> Splits:
    if config.splits is not None:
        return load_splits(config.splits, dataset)
    return make_splits(dataset, val_fraction=config.val_fraction, test_fraction=config.test_fraction, seed=config.seed)


def _settle_few(config: TrainConfig, dataset: Dataset, splits: Splits) -> TrainConfig:
    """The options for these pictures; says so where they are too few for layers to train."""
    pictures = len(splits.train) + len(splits.val)
    settled = settle_few(config, dataset, pictures)
    if settled is not config:
        seen = "all depths" if settled.features == "depths" else "the last layer"
        say(
            f"few pictures ({pictures:,}): no layer of the backbone trains, the head is the linear probe of the "
            f"features of {seen}; --epochs trains layers too"
        )
    return settled


def _repeatable(config: TrainConfig, dataset: Dataset, splits: Splits) -> TrainConfig:
    """The same options, such that they mean the same in any working folder and for any later version's defaults."""
    pictures = len(splits.train)
    lasting: dict[str, Any] = {
        "source": dataset.source,
        "epochs": epochs_of(config, pictures),
        "learning_rate": learning_rate_of(config, pictures),
    }
    for name in ("data_dir", "splits", "actions"):
        path = getattr(config, name)
        lasting[name] = path and path.expanduser().resolve()
    if config.weights not in (None, "auto", "none"):
        lasting["weights"] = str(Path(config.weights).expanduser().resolve())
    return config.model_copy(update=lasting)


def resume(path: str | Path, *, on_epoch: OnEpoch | None = None) -> Run:
    """Go on with a run that was stopped, in its own folder; the result is that of a run that was not.

    Raises `ConfigError` where there is no such run or it is finished, `DataError` where its pictures have changed,
    and `ModelError` where the pretrained weights have.
    """
    with joined() as ranks, _speaking(ranks):
        return _resume(path, on_epoch, ranks)


def _resume(path: str | Path, on_epoch: OnEpoch | None, ranks: Ranks) -> Run:
    with resumed_folder(path, ranks) as folder:
        if folder.metrics.exists() and not folder.read_json(folder.metrics)["interrupted"]:
            raise ConfigError(f"{path} is finished, nothing is left to resume; repeat it with --config {folder.config}")
        config = _for_ranks(TrainConfig.make(file=folder.config), ranks)
        require_loggers(config, folder)
        dataset = load_configured_dataset(config)
        splits = load_splits(folder.splits, dataset)
        backbone, config = load_configured_backbone(dataset, config)
        before = folder.read_json(folder.environment)["weights"]
        if before["sha256"] != backbone.weights.sha256:
            raise ModelError(
                f"{path} began with other pretrained weights ({before['description']}) than those found now "
                f"({backbone.weights.description}); put the first ones back, or start a new run"
            )
        with log_to(folder.log):
            say(f"resuming {folder.path}")
            return _run(folder, dataset, splits, backbone, config, on_epoch, ranks)


def _run(
    folder: RunFolder,
    dataset: Dataset,
    splits: Splits,
    backbone: Backbone,
    config: TrainConfig,
    on_epoch: OnEpoch | None,
    ranks: Ranks,
    plan: Plan | None = None,
) -> Run:
    """Decode, fit, evaluate, draw."""
    clock = Stopwatch()
    torch.use_deterministic_algorithms(config.deterministic)
    model = build_model(dataset, backbone, config)
    for note in dataset.notes:
        say(f"note: {note}")
    pixels, splits = _read_pictures(folder, dataset, splits, backbone, config, ranks)
    _check(folder, dataset, splits, pixels, config, ranks)
    clock.lap("prepare")

    _describe(folder, dataset, splits, backbone, model, config)
    cross_fit = choose_cross_fit(dataset, splits, config)
    if cross_fit is not None:
        splits = cross_fit.splits(splits)
        say(
            "the head learns from the validation pictures too; the validation figures are out of fold: each picture "
            f"is judged by a probe of the other folds, of {FOLDS}"
        )
    save_layers(layer_rows(model.frozen), folder.layers)
    batches = make_batches(model, dataset, pixels, splits, config, ranks)
    int8_cost = None
    if config.trunk_precision == "int8":
        batches, int8_cost = run_trunk_in_int8(model, batches)
    full_size = full_size_epochs(config, epochs_of(config, len(splits.train)))
    batches = keep_activations(model, batches, config, full_size, probe=config.starts_with_probe)
    clock.lap("trunk")
    stage = make_stage(model, dataset.targets[splits.train], config)
    start = None
    if config.starts_with_probe and (cross_fit is not None or not folder.checkpoint.exists()):
        start = start_head(model, batches, stage.class_weights, cross_fit)
        clock.lap("probe")
    if stage.epochs and not folder.checkpoint.exists():
        _keep_baseline(folder, model, batches, dataset, splits, config)
        clock.lap("baseline")
    if plan is not None and stage.epochs and (epochs := plan.fitting_epochs()) != stage.epochs:
        config, stage = _change_epochs(folder, config, stage, epochs)
    with open_loggers(config, folder) as loggers:
        observe = _observer(
            folder, stage, [*(logger.epoch for logger in loggers), *([] if on_epoch is None else [on_epoch])]
        )
        deadline = plan.end_of_training if plan else None
        record = None if start is None else start.record
        seen = growing(model, batches, config, stage.epochs)
        compile_tail(model, batches, stage.epochs)
        fitted = fit(model.tail, seen, stage, Checkpoints(folder.checkpoint), observe, record, deadline)
        save_history(fitted.history, folder.history)
        clock.lap("train")
        if fitted.interrupted:
            say(f"stopped: keeping epoch {fitted.best_epoch} and finishing the folder (Ctrl-C again to leave it)")
        trained = Trained(
            folder, config, dataset, splits, model, batches, fitted, None if start is None else start.judged
        )
        figures = finish(trained, clock, None if plan is None else plan.rounded_seconds, int8_cost)
        for logger in loggers:
            logger.finish(final_figures(figures.best_epoch, figures.test))
    return Run(ranks.from_first(folder.path), config, fitted.history, ranks.from_first(figures))


def _keep_baseline(
    folder: RunFolder,
    model: Model,
    batches: ActivationBatches,
    dataset: Dataset,
    splits: Splits,
    config: TrainConfig,
) -> None:
    """Predict what the figures will be of by the linear probe, before any training."""
    folder.predictions.mkdir(exist_ok=True)
    indices = getattr(splits, headline_of(splits))
    save_predictions(predict_baseline(model, batches, dataset, indices, config), folder.probe_predictions)


def _read_pictures(
    folder: RunFolder, dataset: Dataset, splits: Splits, backbone: Backbone, config: TrainConfig, ranks: Ranks
) -> tuple[Pixels, Splits]:
    """Decode the pictures, each rank its own, and leave out what cannot be read if that is wanted."""
    pixels, own_unreadable = read_pixels(
        dataset,
        size=backbone.size,
        resize_mode=config.resize_mode,
        skip_unreadable=True,
        memory_limit=available_memory() // 4 // ranks.on_machine,
        indices=ranks.share(np.arange(len(dataset))),
    )
    unreadable = sorted(chain(*ranks.gather(own_unreadable)), key=lambda item: item.index)
    if not config.skip_unreadable:
        require_readable(unreadable, dataset)
    if unreadable:
        _record_unreadable(unreadable, folder)
        splits = splits.without(item.index for item in unreadable)
        save_splits(splits, dataset, folder.splits)
        require_trainable(splits, dataset, f"leaving out what cannot be read of {dataset.source}")
    return pixels, splits


def _check(
    folder: RunFolder, dataset: Dataset, splits: Splits, pixels: Pixels, config: TrainConfig, ranks: Ranks
) -> None:
    """Say what the short check finds, and keep it for the report."""
    if config.check:
        everything = np.arange(len(dataset))
        digests = np.array(pixels.digests(ranks.share(everything)), dtype="S32")
        notes = short_check(dataset, splits, ranks.join_rows(everything, digests).tolist())
        for line in notes:
            say(f"note: {line}")
        found = last_check(dataset, config.runs_dir)
        save_notes([*notes, *([found] if found else [])], folder.check)


def _change_epochs(folder: RunFolder, config: TrainConfig, stage: Stage, epochs: int) -> tuple[TrainConfig, Stage]:
    """Options and stage with as many epochs as there is time for, and the run folder says so."""
    took = "longer" if epochs < stage.epochs else "less time"
    say(f"note: getting ready took {took} than planned; there is time for {epochs} epochs")
    config = config.model_copy(update={"epochs": epochs})
    config.save(folder.config)
    return config, replace(stage, epochs=epochs)


def _observer(folder: RunFolder, stage: Stage, others: Sequence[OnEpoch]) -> OnEpoch:
    """What is told of every epoch: it keeps the history, says how it went, and tells the others."""
    history = Checkpoints(folder.checkpoint).history()

    def observe(record: EpochRecord) -> None:
        history.append(record)
        save_history(history, folder.history)
        name = f"epoch {record.epoch}/{stage.epochs}" if record.epoch else "linear probe"
        say(
            f"{name}  "
            f"loss {record.train_loss:.4f}  accuracy {record.train_accuracy:.4f}  "
            f"val loss {record.val_loss:.4f}  val accuracy {record.val_accuracy:.4f}  "
            f"{record.pictures_per_second:,.0f} pictures/s  {record.seconds:.1f} s"
        )
        for other in others:
            other(record)

    return observe


def _describe(
    folder: RunFolder, dataset: Dataset, splits: Splits, backbone: Backbone, model: Model, config: TrainConfig
) -> None:
    """Say in a few lines what is about to be trained."""
    say(
        f"{dataset.name}: {len(splits.train):,} training, {len(splits.val):,} validation and {len(splits.test):,} test "
        f"pictures of {len(dataset.class_names)} classes"
    )
    if dataset.licence is not None:
        say(f"licence of {dataset.name}: {dataset.licence}")
    for line in describe_balance(dataset, splits, config):
        say(line)
    layers = len(model.frozen.layers)
    say(
        f"{backbone.name} at {backbone.size} px, weights: {backbone.weights.description}; "
        f"the last {layers - model.frozen.first_trainable} of {layers} layers train "
        f"({model.frozen.trainable_parameters:,} parameters), trunk up to {model.frozen.cut} in "
        f"{model.engine.name}"
    )
    say(f"run folder: {folder.path}")


def _record_unreadable(unreadable: Sequence[Unreadable], folder: RunFolder) -> None:
    say(f"{len(unreadable):,} pictures cannot be read and are left out: see {folder.unreadable}")
    with atomic_write(folder.unreadable) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "reason"])
        writer.writerows([item.path, item.reason] for item in unreadable)
