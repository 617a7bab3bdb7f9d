"""The commands about a finished run: its report and its threshold."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

NAME = "photos-test_efficientnet-1"
Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    return Path(shutil.copytree(finished / "runs" / NAME, tmp_path / NAME))


def test_the_report_is_made_anew(cli: Cli, run: Path, tmp_path: Path) -> None:
    before = (run / "report.html").read_bytes()
    (run / "report.html").unlink()
    done = cli("report", run)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{run / 'report.html'}\n", "")
    assert (run / "report.html").read_bytes() == before
    done = cli("report", run, "--out", tmp_path / "page.html")
    assert done.stdout == f"{tmp_path / 'page.html'}\n"
    assert (tmp_path / "page.html").read_bytes() == before


def test_what_the_report_lacks_is_said_on_stderr(cli: Cli, run: Path) -> None:
    (run / "layers.csv").unlink()
    done = cli("report", run)
    assert (done.returncode, done.stderr) == (0, "note: layers.csv is missing\n")


@pytest.mark.parametrize("command", ["report", "threshold"])
def test_what_is_no_run_is_refused_in_one_line(cli: Cli, tmp_path: Path, command: str) -> None:
    done = cli(command, tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"frostline: {tmp_path} is not the folder of a run")
    assert done.stderr.count("\n") == 1


def test_a_threshold_makes_predict_unsure(cli: Cli, run: Path, finished: Path) -> None:
    pictures = finished / "photos"
    before = json.loads(cli("predict", run, pictures, "--json").stdout)
    assert all(row["answer"] == row["top"][0]["class"] for row in before)
    done = cli("threshold", run, "--coverage", 0.5)
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].startswith("unsure below ")
    threshold = json.loads((run / "metrics.json").read_text(encoding="utf-8"))["trust"]["unsure_below"]
    after = json.loads(cli("predict", run, pictures, "--json").stdout)
    for row in after:
        unsure = row["top"][0]["probability"] < threshold
        assert row["answer"] == ("unsure" if unsure else row["top"][0]["class"])
    assert {row["answer"] for row in after} > {"unsure"}
    assert "\tunsure: " in cli("predict", run, pictures).stdout
    assert cli("threshold", run).stdout == "everything is answered\n"
    assert json.loads(cli("predict", run, pictures, "--json").stdout) == before
