"""The one training loop."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from frostline.errors import FrostlineError
from frostline.progress import Advance, phase
from frostline.results.history import EpochRecord, best_of
from frostline.training.averaging import WeightAverage
from frostline.training.batches import Batch, Batches
from frostline.training.checkpoints import Checkpoints
from frostline.training.distributed import Ranks
from frostline.training.optimisers import (
    OptimiserName,
    Schedule,
    learning_rate_factor,
    make_optimiser,
    parameter_groups,
)
from frostline.training.totals import Totals


@dataclass(frozen=True)
class Stage:
    """How a tail is trained: what one call of `fit` does."""

    epochs: int
    optimizer: OptimiserName
    learning_rate: float
    head_lr_multiplier: float
    layer_decay: float
    weight_decay: float
    momentum: float
    schedule: Schedule
    warmup_epochs: float
    label_smoothing: float
    clip_norm: float
    """Largest norm of the gradient; 0 for no limit."""
    ema_decay: float
    """Decay of the moving average of the weights, which is measured and kept; 0 for none."""
    class_weights: Tensor | None
    """Weight of each class's loss, float32 (classes,)."""
    patience: int | None
    seed: int
    precision: torch.dtype


@dataclass(frozen=True)
class Fitted:
    """What a training came to."""

    history: tuple[EpochRecord, ...]
    interrupted: bool

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights the tail holds."""
        return best_of(self.history).epoch


def fit(
    tail: nn.Module,
    batches: Batches,
    stage: Stage,
    checkpoints: Checkpoints,
    on_epoch: Callable[[EpochRecord], None],
    start: EpochRecord | None = None,
    deadline: float | None = None,
) -> Fitted:
    """Train a tail; it holds the weights of the best epoch (`history.best_of`) at the end.

    `start` is the record, with epoch 0, of the tail as it is given, where that is worth keeping too. `deadline`, on the
    clock of `time.monotonic`, is when training is to end: no epoch is begun that would end later if it took as long as
    the one before.

    Continues after the last whole epoch in `checkpoints`, with the result of a training that was never stopped:
    everything random follows from seed and epoch. Ctrl-C ends the training early and keeps the best epoch so far;
    before the first epoch has ended, and with several ranks, it raises `KeyboardInterrupt`. A loss that is not finite
    raises `FrostlineError`.

    Every rank of `batches` calls this with the same tail and the same checkpoints, and all end with the same ones.
    """
    optimizer = make_optimiser(
        stage.optimizer,
        parameter_groups(tail, stage.head_lr_multiplier, stage.layer_decay, stage.weight_decay),
        stage.learning_rate,
        stage.momentum,
    )
    average = WeightAverage(tail, stage.ema_decay) if stage.ema_decay else None
    history = checkpoints.restore(tail, optimizer, average)
    learner = _Learner(tail, batches.ranks.parallel(tail), optimizer, average)
    interrupted = False

    def keep(record: EpochRecord) -> None:
        history.append(record)
        checkpoints.save(tail, optimizer, history, average)
        on_epoch(record)

    try:
        if not history and start is not None:
            keep(start)
        while (
            _epochs_done(history) < stage.epochs
            and not _is_stale(history, stage.patience)
            and _is_in_time(history, deadline)
        ):
            keep(_run_epoch(learner, batches, stage, history))
    except KeyboardInterrupt:
        history = checkpoints.restore(tail, optimizer, average)
        if not history or batches.ranks.count > 1:
            raise
        interrupted = True
    checkpoints.restore_best(tail, history)
    return Fitted(tuple(history), interrupted)


@dataclass(frozen=True)
class _Learner:
    """What changes from step to step."""

    tail: nn.Module
    network: nn.Module
    """The tail, with its gradients summed over the ranks."""
    optimizer: Optimizer
    average: WeightAverage | None
    """Of the tail, where it is wanted."""

    @property
    def measured(self) -> nn.Module:
        """What is validated and kept."""
        return self.network if self.average is None else self.average


def _epochs_done(history: Sequence[EpochRecord]) -> int:
    return history[-1].epoch if history else 0


def _is_stale(history: Sequence[EpochRecord], patience: int | None) -> bool:
    return patience is not None and bool(history) and _epochs_done(history) - best_of(history).epoch >= patience


def _is_in_time(history: Sequence[EpochRecord], deadline: float | None) -> bool:
    if deadline is None or not _epochs_done(history):
        return True
    return time.monotonic() + history[-1].seconds <= deadline


def _run_epoch(learner: _Learner, batches: Batches, stage: Stage, history: Sequence[EpochRecord]) -> EpochRecord:
    """Train on every picture once, then measure on the validation pictures."""
    epoch = _epochs_done(history)
    started = time.monotonic()
    torch.manual_seed((stage.seed * 1_000_003 + epoch) * batches.ranks.count + batches.ranks.rank)
    with phase(f"epoch {epoch + 1}/{stage.epochs}", batches.train_pictures) as advance:
        train_loss, train_accuracy = _train(learner, batches, stage, history, advance)
    trained = time.monotonic()
    with phase("validation", batches.val_pictures) as advance:
        val_loss, val_accuracy = measure(learner.measured, batches.val(), advance, batches.ranks)
    _require_finite(val_loss, f"in the validation after epoch {epoch + 1}")
    return EpochRecord(
        epoch=epoch + 1,
        train_loss=train_loss,
        train_accuracy=train_accuracy,
        val_loss=val_loss,
        val_accuracy=val_accuracy,
        learning_rate=stage.learning_rate * _factor(stage, batches, history, batches.steps_per_epoch - 1),
        seconds=time.monotonic() - started,
        pictures_per_second=batches.train_pictures / (trained - started),
    )


def _train(
    learner: _Learner, batches: Batches, stage: Stage, history: Sequence[EpochRecord], advance: Advance
) -> tuple[float, float]:
    """One pass over the training batches; returns mean loss and accuracy."""
    network, optimizer = learner.network, learner.optimizer
    network.train()
    ranks = batches.ranks
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    base_rates = [group["initial_lr"] for group in optimizer.param_groups]
    scaler = torch.amp.GradScaler(enabled=stage.precision == torch.float16)
    totals = Totals(ranks)
    note = ""
    epoch = _epochs_done(history)
    for step, batch in enumerate(batches.train(epoch)):
        factor = _factor(stage, batches, history, step)
        for group, rate in zip(optimizer.param_groups, base_rates, strict=True):
            group["lr"] = rate * factor
        optimizer.zero_grad()  # first: a compiled step takes the memory of the last one's gradients
        with _autocast(batch.activations.device, stage.precision), ranks.synced_norms():
            logits = network(batch.activations)
            loss = _loss(logits, batch, stage)
        scaler.scale(loss * ranks.count).backward()  # type: ignore[no-untyped-call]
        scaler.unscale_(optimizer)
        if stage.clip_norm:
            nn.utils.clip_grad_norm_(parameters, stage.clip_norm)
        scaler.step(optimizer)
        scaler.update()
        if learner.average is not None:
            learner.average.update_parameters(learner.tail)
        count = len(batch.all_targets)
        totals.add(loss.detach() * count, logits, batch.targets)
        if totals.are_due:
            mean_loss, accuracy = totals.so_far()
            _require_finite(mean_loss, f"in epoch {epoch + 1}, batch {step + 1} of {batches.steps_per_epoch}")
            note = f"loss {mean_loss:.4f}  accuracy {accuracy:.4f}"
        advance(count, note)
    mean_loss, accuracy = totals.of_all()
    _require_finite(mean_loss, f"in epoch {epoch + 1}")
    return mean_loss, accuracy


@torch.no_grad()
def measure(network: nn.Module, batches: Iterable[Batch], advance: Advance, ranks: Ranks) -> tuple[float, float]:
    """Mean plain cross-entropy (nats) and accuracy over the batches of all ranks, in evaluation mode."""
    network.eval()
    totals = Totals(ranks)
    for batch in batches:
        logits = network(batch.activations)
        totals.add(functional.cross_entropy(logits, batch.targets, reduction="sum"), logits, batch.targets)
        advance(len(batch.all_targets))
    return totals.of_all()


def _factor(stage: Stage, batches: Batches, history: Sequence[EpochRecord], step: int) -> float:
    """What the schedule multiplies the learning rates by at one step of the epoch after `history`."""
    return learning_rate_factor(
        stage.schedule,
        step=_epochs_done(history) * batches.steps_per_epoch + step,
        total_steps=stage.epochs * batches.steps_per_epoch,
        warmup_steps=round(stage.warmup_epochs * batches.steps_per_epoch),
        val_losses=[record.val_loss for record in history if record.epoch > 0],
    )


def _loss(logits: Tensor, batch: Batch, stage: Stage) -> Tensor:
    """The mean loss of a whole batch: the rank's part of it."""
    wanted, weights = batch.soft_targets, stage.class_weights
    count: int | Tensor = len(batch.all_targets)
    if wanted is None:
        wanted = batch.targets
        count = count if weights is None else weights[batch.all_targets].sum()
    smoothing = stage.label_smoothing
    return functional.cross_entropy(logits, wanted, weights, reduction="sum", label_smoothing=smoothing) / count


def _require_finite(loss: float, where: str) -> None:
    if not math.isfinite(loss):
        raise FrostlineError(
            f"the loss is {loss} {where}: lower --lr or --clip-norm; the epochs before are kept in the run's checkpoint"
        )


def _autocast(device: torch.device, precision: torch.dtype) -> AbstractContextManager[object]:
    if precision == torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype=precision)
