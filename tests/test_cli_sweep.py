"""The command that searches: what it refuses, and that what is given is fixed."""

import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from frostline.errors import FrostlineError
from frostline.training.search import Search

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "no SOURCE"),
        (["--resume", "runs/x", "--lr", "1"], "--resume goes on with a sweep's own options: leave out --learning-rate"),
        (["digits", "--resume", "runs/x"], "leave out SOURCE"),
        (["--resume", "nowhere"], "nowhere is not the folder of a sweep"),
        (["digits", "--storage", "sqlite:///s.db"], "--storage and --name go together"),
        (["digits", "--space", "nowhere.yaml"], "cannot read the configuration nowhere.yaml"),
        (["digits", "--time-limit", "soon"], "should be a time above 0"),
        (["digits", "--trials", "0"], "0 is not in the range"),
    ],
)
def test_wrong_use_is_one_line(
    cli: Cli, arguments: list[str], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = cli("sweep", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert problem in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_options_that_are_given_are_fixed(
    cli: Cli, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches: list[Search] = []

    def stop(search: Search, trials: int, time_limit: timedelta, go_on: str) -> None:
        searches.append(search)
        raise FrostlineError(f"{trials} trials in {time_limit}, then {go_on}")

    monkeypatch.setattr("frostline.training.sweep.run_search", stop)
    fixed = ["--schedule", "constant", "--batch-size", 8, "--trainable-layers", 6, "--layer-decay", 1]
    tiny = ["--recipe", "classic", "--backbone", "test_efficientnet", "--weights", "none", "--size", 32]
    folder = tmp_path / "runs" / "sweep-photos-1"
    done = cli("sweep", photos, *tiny, *fixed, "--trials", 2, "--time-limit", "1m", "--runs-dir", tmp_path / "runs")
    assert done.stderr == f"frostline: 2 trials in 0:01:00, then frostline sweep --resume {folder}\n"
    left = {"learning_rate", "head_lr_multiplier", "weight_decay", "label_smoothing", "dropout"}
    assert set(searches[0].space) == left, "what a recipe says is searched all the same"
    assert (searches[0].pictures, searches[0].config.optimizer) == (5000, "adam")
    assert cli("sweep", "--resume", folder).returncode == 1
    assert searches[1].config.model_dump(exclude={"source"}) == searches[0].config.model_dump(exclude={"source"})
    assert (searches[1].space, searches[1].pictures) == (searches[0].space, 5000)
