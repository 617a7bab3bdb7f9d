"""The state of a training on disk: it comes back bit for bit, and is whole or refused."""

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from frostline.errors import DataError
from frostline.model.frost_line import Tail
from frostline.model.head import make_head
from frostline.results.history import EpochRecord
from frostline.training.checkpoints import Checkpoints
from frostline.training.optimisers import OptimiserName, make_optimiser, parameter_groups

RECORD = EpochRecord(1, 0.7, 0.5, 0.1 + 0.2, 0.6, 1e-3, 1.5, 40.0)


def make(optimiser: OptimiserName = "adam", seed: int = 0, width: int = 6) -> tuple[Tail, Optimizer]:
    torch.manual_seed(seed)
    tail = Tail(nn.Sequential(nn.Linear(4, 5), nn.ReLU()), make_head(5, 3, width=width), ())
    return tail, make_optimiser(optimiser, parameter_groups(tail, 2.0, 0.9, 0.01), 0.1)


def step(tail: Tail, optimizer: Optimizer, seed: int) -> None:
    torch.manual_seed(seed)
    optimizer.zero_grad()
    tail(torch.randn(8, 4)).square().sum().backward()
    optimizer.step()


def state(tail: Tail) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in tail.state_dict().items()}


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.fixture
def saved(tmp_path: Path) -> Checkpoints:
    checkpoints = Checkpoints(tmp_path / "checkpoint")
    tail, optimizer = make()
    step(tail, optimizer, 1)
    checkpoints.save(tail, optimizer, [RECORD])
    return checkpoints


@pytest.mark.parametrize("optimiser", ["adam", "adamw", "sgd"])
def test_tail_and_optimiser_go_on_as_if_they_had_never_stopped(optimiser: OptimiserName, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoint")
    tail, optimizer = make(optimiser)
    for seed in (1, 2):
        step(tail, optimizer, seed)
    history = [RECORD, replace(RECORD, epoch=2)]
    checkpoints.save(tail, optimizer, history)
    again, optimizer_again = make(optimiser, seed=9)
    assert checkpoints.restore(again, optimizer_again) == history
    assert equal(state(again), state(tail))
    for seed in (3, 4):
        step(tail, optimizer, seed)
        step(again, optimizer_again, seed)
    assert equal(state(again), state(tail))


def test_without_a_checkpoint_nothing_is_restored(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "absent")
    tail, optimizer = make()
    before = state(tail)
    assert checkpoints.restore(tail, optimizer) == []
    assert checkpoints.history() == []
    assert equal(state(tail), before)


def test_history_is_read_without_a_network(saved: Checkpoints) -> None:
    assert saved.history() == [RECORD]


def test_only_the_best_epoch_so_far_is_kept(saved: Checkpoints) -> None:
    tail, optimizer = make(seed=1)
    history = [RECORD, replace(RECORD, epoch=2, val_loss=9.0)]
    saved.save(tail, optimizer, history)
    assert sorted(path.name for path in saved.folder.iterdir()) == ["best-1.safetensors", "last.safetensors"]
    best = state(tail)
    history = [*history, replace(RECORD, epoch=3, val_loss=0.0)]
    saved.save(tail, optimizer, history)
    assert sorted(path.name for path in saved.folder.iterdir()) == ["best-3.safetensors", "last.safetensors"]
    other, _ = make(seed=5)
    saved.restore_best(other, history)
    assert equal(state(other), best)


def test_a_full_disk_leaves_the_checkpoint_before(saved: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in saved.folder.iterdir()}

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    tail, optimizer = make(seed=1)
    with pytest.raises(OSError, match="No space"):
        saved.save(tail, optimizer, [RECORD, replace(RECORD, epoch=2, val_loss=0.0)])
    assert {path.name: path.read_bytes() for path in saved.folder.iterdir()} == before


def test_a_kill_between_the_two_files_leaves_the_checkpoint_before(
    saved: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, optimizer = make()
    saved.restore(expected, optimizer)
    replaced: list[str] = []

    def replace_once(self: Path, target: Path) -> Path:
        if replaced:
            raise KeyboardInterrupt
        replaced.append(target.name)
        return rename(self, target)

    rename = Path.replace
    monkeypatch.setattr(Path, "replace", replace_once)
    with pytest.raises(KeyboardInterrupt):
        saved.save(*make(seed=3), [RECORD, replace(RECORD, epoch=2, val_loss=0.0)])
    assert replaced == ["best-2.safetensors"]
    tail, optimizer = make(seed=4)
    assert saved.restore(tail, optimizer) == [RECORD]
    saved.restore_best(tail, [RECORD])
    assert equal(state(tail), state(expected))


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "foreign", "history"])
def test_a_damaged_checkpoint_is_named_in_one_line(damage: str, saved: Checkpoints) -> None:
    path = saved.folder / "last.safetensors"
    content = path.read_bytes()
    if damage == "foreign":
        save_file({"weight": torch.zeros(2)}, path)
    elif damage == "history":
        save_file({"weight": torch.zeros(2)}, path, {"history": '[{"epoch": 1}]'})
    else:
        path.write_bytes({"truncated": content[:-100], "empty": b"", "text": b"not a checkpoint"}[damage])
    reads: tuple[Callable[[], object], ...] = (lambda: saved.restore(*make()), saved.history)
    for read in reads:
        with pytest.raises(DataError, match="start the training anew") as caught:
            read()
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_network_is_refused(saved: Checkpoints) -> None:
    tail, optimizer = make(width=7)
    for read in (lambda: saved.restore(tail, optimizer), lambda: saved.restore_best(tail, [RECORD])):
        with pytest.raises(DataError, match="belongs to another network") as caught:
            read()
        assert "\n" not in str(caught.value)


def test_a_missing_best_epoch_is_named(saved: Checkpoints) -> None:
    (saved.folder / "best-1.safetensors").unlink()
    with pytest.raises(DataError, match=r"best-1\.safetensors"):
        saved.restore_best(make()[0], [RECORD])
