"""A run, once all is ready for it: decode, fit, evaluate, draw."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from frostline.config import TrainConfig
from frostline.data.dataset import Dataset
from frostline.data.splits import Splits
from frostline.model.backbone import Backbone
from frostline.model.layer_table import layer_rows
from frostline.progress import Stopwatch, say
from frostline.results.figures import RunFigures
from frostline.results.history import EpochRecord, save_history
from frostline.results.metrics import Metrics
from frostline.results.predictions import save_predictions
from frostline.results.record import save_layers
from frostline.results.run_folder import RunFolder
from frostline.training.baseline import predict_baseline
from frostline.training.batches import ActivationBatches
from frostline.training.checkpoints import Checkpoints
from frostline.training.cross_fit import FOLDS, choose_cross_fit
from frostline.training.defaults import epochs_of
from frostline.training.distributed import Ranks
from frostline.training.fit import Stage, fit
from frostline.training.growing import full_size_epochs, growing
from frostline.training.int8 import Int8Cost, run_trunk_in_int8
from frostline.training.loggers import final_figures, open_loggers
from frostline.training.outcome import Trained, finish, headline_of
from frostline.training.plan import Plan
from frostline.training.reading import check_pictures, read_pictures
from frostline.training.setup import (
    Model,
    build_model,
    compile_tail,
    describe_balance,
    keep_activations,
    make_batches,
    make_stage,
)
from frostline.training.start import Start, start_head

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


@dataclass(frozen=True)
class Task:
    """All that a run needs to begin."""

    folder: RunFolder
    dataset: Dataset
    splits: Splits
    backbone: Backbone
    config: TrainConfig
    """Its input size is settled."""
    ranks: Ranks
    plan: Plan | None = None
    """Where the time is limited."""
    report: bool = True
    """Whether to make pictures and pages, and to measure the linear probe beside the network."""


@dataclass(frozen=True)
class _Ready:
    """What training begins with: pictures read, a model built and, where it is kept, the trunk's output."""

    config: TrainConfig
    splits: Splits
    """Those of the pictures that can be read; where the head is cross-fitted, it learns from all but the test."""
    model: Model
    batches: ActivationBatches
    stage: Stage
    start: Start | None
    int8_cost: Int8Cost | None


def execute(task: Task, on_epoch: OnEpoch | None) -> Run:
    """Do it, and leave the run folder whole."""
    clock = Stopwatch()
    torch.use_deterministic_algorithms(task.config.deterministic)
    ready = _get_ready(task, clock)
    with open_loggers(ready.config, task.folder) as loggers:
        listeners = [*(logger.epoch for logger in loggers), *([] if on_epoch is None else [on_epoch])]
        trained = _train(task, ready, listeners)
        clock.lap("train")
        planned = None if task.plan is None else task.plan.rounded_seconds
        figures = finish(trained, clock, planned, ready.int8_cost, task.report)
        for logger in loggers:
            logger.finish(final_figures(figures.best_epoch, figures.test))
    ranks = task.ranks
    return Run(ranks.from_first(task.folder.path), ready.config, trained.fitted.history, ranks.from_first(figures))


def _get_ready(task: Task, clock: Stopwatch) -> _Ready:
    """Read, build, run the trunk and start the head."""
    folder, dataset, config, ranks = task.folder, task.dataset, task.config, task.ranks
    model = build_model(dataset, task.backbone, config)
    for note in dataset.notes:
        say(f"note: {note}")
    pixels, splits = read_pictures(folder, dataset, task.splits, task.backbone.size, config, ranks)
    check_pictures(folder, dataset, splits, pixels, config, ranks)
    clock.lap("prepare")

    _describe(task, splits, model)
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
    if task.report and stage.epochs and not folder.checkpoint.exists():
        _keep_baseline(task, splits, model, batches)
        clock.lap("baseline")
    if task.plan is not None and stage.epochs and (epochs := task.plan.fitting_epochs()) != stage.epochs:
        config, stage = _change_epochs(folder, config, stage, epochs)
    return _Ready(config, splits, model, batches, stage, start, int8_cost)


def _train(task: Task, ready: _Ready, listeners: Sequence[OnEpoch]) -> Trained:
    """Train what is above the frost line, from the checkpoint if there is one."""
    folder, config, model, stage, start = task.folder, ready.config, ready.model, ready.stage, ready.start
    seen = growing(model, ready.batches, config, stage.epochs)
    compile_tail(model, ready.batches, stage.epochs)
    fitted = fit(
        model.tail,
        seen,
        stage,
        Checkpoints(folder.checkpoint),
        _observer(folder, stage, listeners),
        None if start is None else start.record,
        task.plan.end_of_training if task.plan else None,
    )
    save_history(fitted.history, folder.history)
    if fitted.interrupted:
        say(f"stopped: keeping epoch {fitted.best_epoch} and finishing the folder (Ctrl-C again to leave it)")
    judged = None if start is None else start.judged
    return Trained(folder, config, task.dataset, ready.splits, model, ready.batches, fitted, judged)


def _keep_baseline(task: Task, splits: Splits, model: Model, batches: ActivationBatches) -> None:
    """Predict what the figures will be of by the linear probe, before any training."""
    task.folder.predictions.mkdir(exist_ok=True)
    indices = getattr(splits, headline_of(splits))
    baseline = predict_baseline(model, batches, task.dataset, indices, task.config)
    save_predictions(baseline, task.folder.probe_predictions)


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


def _describe(task: Task, splits: Splits, model: Model) -> None:
    """Say in a few lines what is about to be trained."""
    dataset, backbone = task.dataset, task.backbone
    say(
        f"{dataset.name}: {len(splits.train):,} training, {len(splits.val):,} validation and {len(splits.test):,} test "
        f"pictures of {len(dataset.class_names)} classes"
    )
    if dataset.licence is not None:
        say(f"licence of {dataset.name}: {dataset.licence}")
    for line in describe_balance(dataset, splits, task.config):
        say(line)
    layers = len(model.frozen.layers)
    above = layers - model.frozen.first_trainable
    trained = f"the last {above} of {layers} layers train ({model.frozen.trainable_parameters:,} parameters)"
    say(
        f"{backbone.name} at {backbone.size} px, weights: {backbone.weights.description}; "
        f"{trained if above else f'none of its {layers} layers trains'}, trunk up to {model.frozen.cut} in "
        f"{model.engine.name}"
    )
    say(f"run folder: {task.folder.path}")
