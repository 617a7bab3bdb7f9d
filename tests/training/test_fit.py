"""The training loop: what it keeps, when it stops, and that a stop changes nothing."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from frostline.errors import FrostlineError
from frostline.model.frost_line import Tail
from frostline.model.head import make_head
from frostline.results.history import EpochRecord
from frostline.training.batches import Batch
from frostline.training.checkpoints import Checkpoints
from frostline.training.distributed import ALONE, Ranks
from frostline.training.fit import Fitted, Stage, fit
from frostline.training.optimisers import OptimiserName, Schedule

STAGE = Stage(
    epochs=4,
    optimizer="adam",
    learning_rate=0.02,
    head_lr_multiplier=1.0,
    layer_decay=1.0,
    weight_decay=0.01,
    momentum=0.9,
    schedule="constant",
    warmup_epochs=1.0,
    label_smoothing=0.0,
    clip_norm=0.0,
    ema_decay=0.0,
    class_weights=None,
    patience=None,
    seed=0,
    precision=torch.float32,
)


@dataclass
class Blobs:
    """Three clusters of points; `before` is called with epoch and step before each training batch."""

    flip_validation: bool = False
    """Give the validation points the wrong classes, so that learning makes the loss there worse."""
    before: Callable[[int, int], None] = lambda epoch, step: None
    spoil: Mapping[tuple[int, int], float] = field(default_factory=dict)
    """Values to put into the batch of an epoch and step."""
    train_pictures: int = 48
    val_pictures: int = 24
    steps_per_epoch: int = 6
    ranks: Ranks = ALONE

    def _batch(self, key: int, count: int) -> Batch:
        generator = torch.Generator().manual_seed(key)
        targets = torch.randint(3, (count,), generator=generator)
        points = 2 * torch.eye(3, 4)[targets] + 0.3 * torch.randn(count, 4, generator=generator)
        return Batch(points, targets, targets)

    def train(self, epoch: int) -> Iterator[Batch]:
        for step in range(self.steps_per_epoch):
            self.before(epoch, step)
            batch = self._batch(1000 * epoch + step, self.train_pictures // self.steps_per_epoch)
            if (epoch, step) in self.spoil:
                batch.activations[0, 0] = self.spoil[epoch, step]
            yield batch

    def val(self) -> Iterator[Batch]:
        batch = self._batch(-1, self.val_pictures)
        yield replace(batch, targets=(batch.targets + 1) % 3) if self.flip_validation else batch


def make_tail(seed: int = 0) -> Tail:
    torch.manual_seed(seed)
    return Tail(nn.Sequential(nn.Linear(4, 8), nn.ReLU()), make_head(8, 3, width=6, dropout=0.3), ())


def state(tail: Tail) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in tail.state_dict().items()}


def equal(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


def timeless(history: tuple[EpochRecord, ...]) -> list[EpochRecord]:
    """Records without their times, which no two trainings share."""
    return [replace(record, seconds=0.0, pictures_per_second=0.0) for record in history]


def ignore(record: EpochRecord) -> None:
    """Observe nothing."""


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoint")


class Observer:
    """Keeps the tail's weights after every epoch, and raises `stop` at the end of epoch `at`."""

    def __init__(self, tail: Tail, at: int = 0, stop: type[BaseException] = KeyboardInterrupt) -> None:
        self.tail, self.at, self.stop = tail, at, stop
        self.states: list[dict[str, Tensor]] = []

    def __call__(self, record: EpochRecord) -> None:
        self.states.append(state(self.tail))
        if record.epoch == self.at:
            raise self.stop


def interrupt_at(epoch: int, step: int) -> Callable[[int, int], None]:
    def before(*now: int) -> None:
        if now == (epoch, step):
            raise KeyboardInterrupt

    return before


def test_it_learns(checkpoints: Checkpoints) -> None:
    fitted = fit(make_tail(), Blobs(), STAGE, checkpoints, ignore)
    first, last = fitted.history[0], fitted.history[-1]
    assert [record.epoch for record in fitted.history] == [1, 2, 3, 4]
    assert last.train_loss < first.train_loss
    assert last.val_loss < first.val_loss
    assert last.val_accuracy > 0.9
    assert not fitted.interrupted


def test_the_best_epoch_is_what_the_tail_holds_at_the_end(checkpoints: Checkpoints) -> None:
    tail = make_tail()
    observer = Observer(tail)
    fitted = fit(tail, Blobs(), replace(STAGE, epochs=6, learning_rate=0.3), checkpoints, observer)
    losses = [record.val_loss for record in fitted.history]
    assert fitted.best_epoch == losses.index(min(losses)) + 1
    assert fitted.best_epoch < 6, "the test needs a best epoch that is not the last"
    assert equal(state(tail), observer.states[fitted.best_epoch - 1])


def test_figures_of_an_epoch_are_those_of_its_pictures(checkpoints: Checkpoints) -> None:
    tail = make_tail()
    fitted = fit(tail, Blobs(), replace(STAGE, epochs=1), checkpoints, ignore)
    (record,) = fitted.history
    batch = next(Blobs().val())
    logits = tail.eval()(batch.activations)
    assert record.val_loss == pytest.approx(nn.functional.cross_entropy(logits, batch.targets).item())
    assert record.val_accuracy == pytest.approx((logits.argmax(1) == batch.targets).float().mean().item())
    assert record.seconds > 0
    assert record.pictures_per_second > 0


def test_what_was_random_before_does_not_matter(checkpoints: Checkpoints, tmp_path: Path) -> None:
    first, second = make_tail(), make_tail()
    fit(first, Blobs(), STAGE, checkpoints, ignore)
    torch.manual_seed(77)
    fit(second, Blobs(), STAGE, Checkpoints(tmp_path / "other"), ignore)
    assert equal(state(first), state(second))


def test_patience_stops_a_training_that_gets_worse(checkpoints: Checkpoints) -> None:
    tail = make_tail()
    observer = Observer(tail)
    stage = replace(STAGE, epochs=10, patience=2, learning_rate=0.1)
    fitted = fit(tail, Blobs(flip_validation=True), stage, checkpoints, observer)
    assert (fitted.best_epoch, len(fitted.history)) == (1, 3)
    assert equal(state(tail), observer.states[0])
    assert not fitted.interrupted


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_names_epoch_and_batch(value: float, checkpoints: Checkpoints) -> None:
    with pytest.raises(FrostlineError, match=r"loss is nan in epoch 2, batch 3 of 6: .*--lr") as caught:
        fit(make_tail(), Blobs(spoil={(1, 2): value}), STAGE, checkpoints, ignore)
    assert "\n" not in str(caught.value)
    assert [record.epoch for record in checkpoints.history()] == [1]


def test_a_validation_loss_that_is_not_finite_stops_too(checkpoints: Checkpoints) -> None:
    stage = replace(STAGE, optimizer="sgd", learning_rate=1e38, epochs=1)
    with pytest.raises(FrostlineError, match="in the validation after epoch 1"):
        fit(make_tail(), Blobs(steps_per_epoch=1), stage, checkpoints, ignore)
    assert checkpoints.history() == []


@pytest.mark.parametrize("where", ["on_epoch", "batch"])
def test_ctrl_c_keeps_the_best_epoch_so_far(where: str, checkpoints: Checkpoints) -> None:
    tail = make_tail()
    observer = Observer(tail, at=2 if where == "on_epoch" else 0)
    batches = Blobs() if where == "on_epoch" else Blobs(before=interrupt_at(2, 3))
    fitted = fit(tail, batches, STAGE, checkpoints, observer)
    assert fitted.interrupted
    assert len(fitted.history) == 2
    assert equal(state(tail), observer.states[fitted.best_epoch - 1])


def test_ctrl_c_in_the_first_epoch_is_passed_on(checkpoints: Checkpoints) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(make_tail(), Blobs(before=interrupt_at(0, 4)), STAGE, checkpoints, ignore)


def fit_in_two(stage: Stage, stop_after: int, folder: Path) -> tuple[Tail, Fitted]:
    """Train, stop short at the end of an epoch, and go on with a tail that begins elsewhere."""
    checkpoints = Checkpoints(folder)
    tail = make_tail()
    with pytest.raises(ConnectionError):
        fit(tail, Blobs(), stage, checkpoints, Observer(tail, at=stop_after, stop=ConnectionError))
    again = make_tail(seed=5)
    return again, fit(again, Blobs(), stage, checkpoints, ignore)


@pytest.mark.parametrize("stop_after", [1, 3])
@pytest.mark.parametrize(
    ("optimizer", "schedule", "ema_decay"),
    [
        ("adam", "constant", 0.0),
        ("adamw", "cosine", 0.9),
        ("sgd", "one-cycle", 0.0),
        ("sgd", "plateau", 0.9),
        ("adam", "plateau", 0.0),
    ],
)
def test_a_resumed_training_equals_one_that_never_stopped(
    optimizer: OptimiserName, schedule: Schedule, ema_decay: float, stop_after: int, tmp_path: Path
) -> None:
    stage = replace(STAGE, optimizer=optimizer, schedule=schedule, ema_decay=ema_decay, epochs=7, learning_rate=0.3)
    whole = make_tail()
    expected = fit(whole, Blobs(), stage, Checkpoints(tmp_path / "whole"), ignore)
    tail, fitted = fit_in_two(stage, stop_after, tmp_path / "parts")
    assert equal(state(tail), state(whole))
    assert timeless(fitted.history) == timeless(expected.history)
    assert fitted.best_epoch == expected.best_epoch


def test_plateau_was_put_to_the_test(checkpoints: Checkpoints) -> None:
    stage = replace(STAGE, schedule="plateau", epochs=7, learning_rate=0.3)
    rates = {record.learning_rate for record in fit(make_tail(), Blobs(), stage, checkpoints, ignore).history}
    assert len(rates) > 1, "the tests of resuming need a schedule that has lowered its rate"


def test_an_interrupted_training_can_go_on(checkpoints: Checkpoints, tmp_path: Path) -> None:
    whole, tail = make_tail(), make_tail()
    fit(whole, Blobs(), STAGE, Checkpoints(tmp_path / "whole"), ignore)
    fit(tail, Blobs(before=interrupt_at(2, 1)), STAGE, checkpoints, ignore)
    fitted = fit(tail, Blobs(), STAGE, checkpoints, ignore)
    assert not fitted.interrupted
    assert equal(state(tail), state(whole))


def test_a_training_that_is_over_only_gives_back_its_best(checkpoints: Checkpoints) -> None:
    tail, again = make_tail(), make_tail(seed=3)
    first = fit(tail, Blobs(), STAGE, checkpoints, ignore)
    observer = Observer(again)
    assert fit(again, Blobs(), STAGE, checkpoints, observer) == first
    assert observer.states == []
    assert equal(state(again), state(tail))


def test_clipping_bounds_the_step(checkpoints: Checkpoints) -> None:
    stage = replace(STAGE, optimizer="sgd", momentum=0.0, weight_decay=0.0, clip_norm=1e-3, learning_rate=1.0, epochs=1)
    tail = make_tail()
    before = [parameter.detach().clone() for parameter in tail.parameters()]
    fit(tail, Blobs(steps_per_epoch=1), stage, checkpoints, ignore)
    moved = torch.cat([(new - old).flatten() for new, old in zip(tail.parameters(), before, strict=True)])
    assert 0 < moved.norm().item() <= 1e-3 * 1.001


def test_the_average_of_all_steps_is_measured_and_kept(checkpoints: Checkpoints, tmp_path: Path) -> None:
    tail, plain, steps = make_tail(), make_tail(), 6
    stage = replace(STAGE, epochs=1)
    after_step: list[dict[str, Tensor]] = []
    watched = Blobs(before=lambda _, step: after_step.append(state(plain)) if step else None)
    without = fit(plain, watched, stage, Checkpoints(tmp_path / "plain"), ignore)
    fitted = fit(tail, Blobs(), replace(stage, ema_decay=0.3), checkpoints, ignore)
    after_step.append(state(plain))
    expected = after_step[0]
    for count, weights in enumerate(after_step[1:], start=1):
        decay = min(0.3, (1 + count) / (10 + count))
        expected = {name: decay * expected[name] + (1 - decay) * weights[name] for name in weights}
    assert len(after_step) == steps
    for name, value in tail.named_parameters():
        torch.testing.assert_close(value, expected[name])
    assert all(torch.equal(value, after_step[-1][name]) for name, value in tail.named_buffers())
    assert fitted.history[0].train_loss == without.history[0].train_loss, "averaging changes no step"
    assert fitted.history[0].val_loss != without.history[0].val_loss


def test_class_weights_weigh_the_loss(checkpoints: Checkpoints, tmp_path: Path) -> None:
    even, one_sided = make_tail(), make_tail()
    fit(even, Blobs(), STAGE, checkpoints, ignore)
    weights = torch.tensor([1.0, 0.0, 0.0])
    weighted = replace(STAGE, class_weights=weights, epochs=1, warmup_epochs=0.0, learning_rate=0.1)
    fit(one_sided, Blobs(), weighted, Checkpoints(tmp_path / "weighted"), ignore)
    batch = next(Blobs().val())
    assert (one_sided.eval()(batch.activations).argmax(1) == 0).float().mean() > 0.9
    assert (even.eval()(batch.activations).argmax(1) == batch.targets).float().mean() > 0.9


def test_the_start_is_an_epoch_of_its_own_and_kept_where_nothing_is_better(checkpoints: Checkpoints) -> None:
    start = EpochRecord(0, 0.5, 0.9, 0.0, 1.0, 0.0, 1.0, 100.0)
    tail = make_tail()
    before = state(tail)
    fitted = fit(tail, Blobs(), STAGE, checkpoints, ignore, start)
    assert [record.epoch for record in fitted.history] == [0, 1, 2, 3, 4]
    assert fitted.history[0] == start
    assert fitted.best_epoch == 0
    assert equal(state(tail), before)


def test_a_start_changes_nothing_in_the_epochs_after_it(tmp_path: Path) -> None:
    start = EpochRecord(0, 0.5, 0.9, 9.0, 0.1, 0.0, 1.0, 100.0)
    schedules: tuple[Schedule, ...] = ("cosine", "plateau")
    for schedule in schedules:
        stage = replace(STAGE, schedule=schedule)
        folders = [Checkpoints(tmp_path / f"{schedule}-{name}") for name in ("with", "without")]
        tails = [make_tail(), make_tail()]
        first = fit(tails[0], Blobs(), stage, folders[0], ignore, start)
        second = fit(tails[1], Blobs(), stage, folders[1], ignore)
        assert timeless(first.history)[1:] == timeless(second.history)
        assert equal(state(tails[0]), state(tails[1]))


def test_no_epochs_keep_the_start(checkpoints: Checkpoints) -> None:
    start = EpochRecord(0, 0.5, 0.9, 0.3, 1.0, 0.0, 1.0, 100.0)
    tail = make_tail()
    before = state(tail)
    fitted = fit(tail, Blobs(), replace(STAGE, epochs=0), checkpoints, ignore, start)
    assert fitted.history == (start,)
    assert equal(state(tail), before)


def test_patience_counts_from_the_start(checkpoints: Checkpoints) -> None:
    start = EpochRecord(0, 0.5, 0.9, 0.0, 1.0, 0.0, 1.0, 100.0)
    fitted = fit(make_tail(), Blobs(), replace(STAGE, patience=2), checkpoints, ignore, start)
    assert (fitted.best_epoch, len(fitted.history)) == (0, 3)


def test_no_epoch_is_begun_that_would_end_after_the_deadline(tmp_path: Path) -> None:
    def fit_until(deadline: float | None, folder: str) -> Fitted:
        return fit(make_tail(), Blobs(), STAGE, Checkpoints(tmp_path / folder), lambda record: None, None, deadline)

    assert len(fit_until(time.monotonic() - 1, "late").history) == 1, "one epoch there is in any case"
    assert len(fit_until(time.monotonic() + 3600, "early").history) == STAGE.epochs
    assert len(fit_until(None, "none").history) == STAGE.epochs
