"""Real processes that are killed or interrupted, and runs that go on as if they had not been."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

import frostline
from frostline.config import TrainConfig
from frostline.results.run_folder import RunFolder

TIMEOUT = 300.0
"""Seconds that a process may take to come to a point, on a machine that is busy with other things."""

OPTIONS: dict[str, object] = {"trainable_layers": 20, "optimizer": "adam", "schedule": "cosine", "dropout": 0.3}

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")

Start = Callable[..., "subprocess.Popen[str]"]
WaitUntil = Callable[["subprocess.Popen[str]", Callable[[], bool]], None]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts `frostline` in a process of its own, with as many threads as this one; none survives the test."""
    processes: list[subprocess.Popen[str]] = []

    def begin(*arguments: object) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "frostline", *map(str, arguments)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # which a job in the background ignores
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate(timeout=TIMEOUT)
    assert process.returncode == -signal.SIGKILL, "it was killed at work"


def as_flags(config: TrainConfig) -> list[str]:
    """The options that are not the default, for the command line."""
    changed = {name: value for name, value in config if value != TrainConfig.model_fields[name].default}
    return [f"--{name.replace('_', '-')}={value}" for name, value in changed.items()]


def changed_since(path: Path, before: int) -> bool:
    return path.stat().st_mtime_ns != before


def test_a_run_killed_again_and_again_ends_as_if_it_had_not_been(
    photos: Path, tiny_config: Callable[..., TrainConfig], tmp_path: Path, start: Start, wait_until: WaitUntil
) -> None:
    config = tiny_config(epochs=5, **OPTIONS)
    expected = frostline.train(
        frostline.load_dataset(photos), config.model_copy(update={"runs_dir": tmp_path / "expected"})
    )
    folder = RunFolder(tmp_path / "runs" / expected.folder.name)
    last = folder.checkpoint / "last.safetensors"

    process = start("train", photos, *as_flags(config.model_copy(update={"runs_dir": tmp_path / "runs"})))
    wait_until(process, lambda: folder.log.exists() and "run folder" in folder.log.read_text())
    kill(process)
    assert not last.exists(), "this kill is meant for the first epoch"

    process = start("train", "--resume", folder.path)
    wait_until(process, last.exists)
    kill(process)

    saved = last.stat().st_mtime_ns
    process = start("train", "--resume", folder.path)
    wait_until(process, lambda: changed_since(last, saved))
    time.sleep(expected.history[-1].seconds / 2)
    kill(process)
    assert not folder.metrics.exists()

    process = start("train", "--resume", folder.path)
    answer, errors = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0, errors
    assert f"{expected.metrics.accuracy:.4f}" in answer
    for name in ("classifier/model.safetensors", "predictions/val.csv", "predictions/test.csv", "splits.csv"):
        assert (folder.path / name).read_bytes() == (expected.folder / name).read_bytes(), name
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [folder.path.name]


def test_ctrl_c_exits_130_with_a_finished_folder(
    photos: Path, tiny_config: Callable[..., TrainConfig], tmp_path: Path, start: Start, wait_until: WaitUntil
) -> None:
    config = tiny_config(epochs=1000, runs_dir=tmp_path / "runs")
    process = start("train", photos, *as_flags(config))
    folder = RunFolder(tmp_path / "runs" / "photos-test_efficientnet-1")
    wait_until(process, (folder.checkpoint / "last.safetensors").exists)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130, errors
    assert errors.splitlines()[-1] == "frostline: stopped by Ctrl-C"
    assert "Traceback" not in errors
    metrics = folder.read_json(folder.metrics)
    assert metrics["interrupted"] is True
    assert metrics["epochs"] < 1000
    (prediction,) = frostline.ImageClassifier.load(folder.path).predict([photos / "leaf" / "000.jpg"])
    assert prediction.label in ("apple", "leaf", "sky")
    assert all(folder.picture(name).is_file() for name in ("curves", "confusion_matrix", "misclassified"))
