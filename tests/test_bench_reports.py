"""The pages made of the figures of benchmarks: they are those of the figures, and their sums are right."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


@pytest.mark.parametrize(("script", "page"), [("report.py", "benchmarks.md"), ("report_scale.py", "scale.md")])
def test_a_page_is_what_the_figures_give(script: str, page: str, tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "benchmarks" / script, "--docs", tmp_path]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made, kept = tmp_path / page, ROOT / "docs" / page
    assert made.read_text(encoding="utf-8") == kept.read_text(encoding="utf-8"), "run `make bench-report`"


def test_a_gain_is_the_mean_difference_to_the_same_seed() -> None:
    accuracies = {"fine-tuning alone": (0.80, 0.82), "MixUp": (0.81, 0.84), "one-cycle": (0.80,)}
    entries = [
        {
            "setting": name,
            "options": "",
            "pictures": 8000,
            "seed": seed,
            "backbone": "mobilenetv2_100",
            "size": 48,
            "epochs": 4,
            "val_accuracy": accuracy,
            "kept_accuracy": accuracy,
            "flip_accuracy": accuracy + 0.005,
            "train_seconds": 100 + seed,
        }
        for name, values in accuracies.items()
        for seed, accuracy in enumerate(values)
    ]
    page = import_module("report_gains").gains({"entries": entries})
    cells = {row.split(" | ")[0].strip("| "): row.strip("| ").split(" | ") for row in page.splitlines() if "|" in row}
    assert cells["fine-tuning alone"][3] == "81.0 ± 1.4"
    assert cells["MixUp"][1:5] == ["`--mixup 0.2`", "2", "82.5 ± 2.1", "+1.5 (+1.0 to +2.0)"]
    assert cells["one-cycle"][4] == "+0.0"
    assert cells["MixUp"][-1] == "+0.5 (+0.5 to +0.5)"
    assert "CutMix" not in cells, "what was not measured has no row"


def test_how_far_frostline_is_ahead_is_told_by_seed(tmp_path: Path) -> None:
    accuracies = {"frostline": (0.60, 0.64), "sklearn": (0.57, 0.63), "timm": (0.50, 0.50)}
    entries = [
        {
            "dataset": "cifar10",
            "shots": 5,
            "seed": seed,
            "backbone": "mobilenetv2_100",
            "size": 96,
            "tool": tool,
            "test_accuracy": accuracy,
            "seconds": 20.0 + seed,
            "trained_seconds": 15.0,
        }
        for tool, values in accuracies.items()
        for seed, accuracy in enumerate(values)
    ]
    page = import_module("report_fewshot").few_pictures({"entries": entries}, tmp_path)
    rows = [row.strip("| ").split(" | ") for row in page.splitlines() if row.startswith("| 5")]
    assert [row[1] for row in rows] == ["frostline", "scikit-learn probe", "timm, 300 epochs"]
    assert rows[0][3:5] == ["62.0 ± 2.8", ""]
    assert rows[1][4] == "2.0 (1.0 to 3.0)"
    assert rows[2][4] == "12.0 (10.0 to 14.0)"
    assert rows[0][5:] == ["20 (20 to 21)", "6 (5 to 6)"]
    assert (tmp_path / "benchmark-few.png").stat().st_size > 10_000
