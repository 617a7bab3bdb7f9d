"""The list of runs: the highest validation accuracy first, and what is no whole run last, with the reason."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from frostline.errors import ConfigError
from frostline.results.listing import list_runs
from frostline.results.predictions import Predictions


@pytest.fixture
def folder(tmp_path: Path, draw_predictions: Callable[..., Predictions], write_run: Callable[..., Path]) -> Path:
    """Three whole runs, `x`, `yy` and, in a folder of folds, `zzz`: each with validation pictures of its own."""
    runs = tmp_path / "runs"
    for name in ("x", "yy", "photos-folds-1/zzz"):
        write_run(runs / name, draw_predictions(("apple", "leaf")), size=64)
    (runs / "photos-folds-1" / "summary.json").write_text("{}", encoding="utf-8")
    (runs / "photos-check-1").mkdir()
    (runs / "photos-check-1" / "check.json").write_text("{}", encoding="utf-8")
    (runs / "compare-1.html").write_text("", encoding="utf-8")
    return runs


def test_the_best_on_validation_comes_first(folder: Path) -> None:
    found = list_runs(folder)
    assert {run.name for run in found} == {"x", "yy", "photos-folds-1/zzz"}
    accuracies = [json.loads((folder / run.name / "metrics.json").read_text())["val"]["accuracy"] for run in found]
    assert [run.val_accuracy for run in found] == accuracies == sorted(accuracies, reverse=True)
    (first, *_) = found
    assert (first.dataset, first.backbone, first.size) == ("photos", "tf_efficientnet_lite0", 64)
    assert (first.epochs, first.seconds, first.started) == (3, 61.75, "2026-11-23T10:20:30+00:00")
    assert first.test_accuracy is not None
    assert first.problem is None


def test_predictions_are_not_read(folder: Path) -> None:
    before = list_runs(folder)
    for run in before:
        shutil.rmtree(folder / run.name / "predictions")
        (folder / run.name / "history.csv").write_text("nonsense", encoding="utf-8")
    assert list_runs(folder) == before


def test_unfinished_and_damaged_runs_come_last_with_the_reason(folder: Path) -> None:
    for name in ("unfinished", "damaged", "a-stranger"):
        shutil.copytree(folder / "x", folder / name)
    (folder / "unfinished" / "metrics.json").unlink()
    (folder / "damaged" / "metrics.json").write_text("{", encoding="utf-8")
    (folder / "a-stranger" / "config.yaml").write_text("pace: 3\n", encoding="utf-8")
    last = list_runs(folder)[3:]
    assert [run.name for run in last] == ["a-stranger", "damaged", "unfinished"]
    assert [run.val_accuracy for run in last] == [None] * 3
    stranger, damaged, unfinished = (run.problem or "" for run in last)
    assert stranger.startswith("unknown option 'pace'")
    assert damaged.startswith(f"{folder}/damaged/metrics.json cannot be read: ")
    assert unfinished == f"not finished: frostline train --resume {folder}/unfinished"


def test_an_interrupted_run_keeps_its_place(folder: Path) -> None:
    best = list_runs(folder)[0]
    metrics = folder / best.name / "metrics.json"
    metrics.write_text(metrics.read_text().replace('"interrupted": false', '"interrupted": true'), encoding="utf-8")
    first = list_runs(folder)[0]
    assert (first.name, first.problem) == (best.name, "interrupted")


def test_a_folder_without_runs(tmp_path: Path) -> None:
    assert list_runs(tmp_path) == []
    with pytest.raises(ConfigError, match=r"there is no folder .*nowhere"):
        list_runs(tmp_path / "nowhere")
