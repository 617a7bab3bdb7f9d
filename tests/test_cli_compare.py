"""The commands that look at several runs."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Cli = Callable[..., subprocess.CompletedProcess[str]]
RUN = "photos-test_efficientnet-1"


@pytest.fixture
def runs(finished: Path, tmp_path: Path) -> Path:
    """A folder with a real run and a copy of it."""
    for name in (RUN, "copy"):
        shutil.copytree(finished / "runs" / RUN, tmp_path / "runs" / name)
    return tmp_path / "runs"


def test_compare_prints_a_table_and_writes_a_page_beside_the_first_run(cli: Cli, runs: Path) -> None:
    done = cli("compare", runs / RUN, runs / "copy")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].split() == [RUN, "copy"]
    assert lines[1].split()[0] == "accuracy"
    assert f"copy and {RUN} cannot be told apart on 12 test pictures" in done.stdout
    assert lines[-1].split() == ["page", str(runs / "compare-1.html")]
    assert (runs / "compare-1.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    again = json.loads(cli("compare", runs / RUN, runs / "copy", "--json").stdout)
    assert again["page"] == str(runs / "compare-2.html")
    assert again["runs"][1]["against_first"]["p_value"] == 1


def test_compare_replaces_only_the_file_that_was_named(cli: Cli, runs: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("old", encoding="utf-8")
    assert cli("compare", runs / RUN, runs / "copy", "--out", page).returncode == 0
    assert page.read_text(encoding="utf-8") != "old"
    assert not list(runs.glob("*.html"))


@pytest.mark.parametrize(
    ("second", "code", "message"),
    [
        (None, 2, "at least two runs"),
        (RUN, 2, "is given twice"),
        ("nowhere", 2, "no such run"),
        ("bare", 3, "--resume"),
    ],
)
def test_compare_says_what_is_wrong_in_one_line(
    cli: Cli, runs: Path, second: str | None, code: int, message: str
) -> None:
    (runs / "bare").mkdir()
    shutil.copy(runs / RUN / "config.yaml", runs / "bare")
    done = cli("compare", runs / RUN, *([] if second is None else [runs / second]))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (code, "", 1)
    assert message in done.stderr
    assert not list(runs.glob("*.html"))


def test_runs_are_listed_with_the_best_first(cli: Cli, runs: Path) -> None:
    (runs / "copy" / "metrics.json").unlink()
    done = cli("runs", runs)
    assert (done.returncode, done.stderr) == (0, "")
    header, first, second = done.stdout.splitlines()
    assert header.split()[:3] == ["run", "dataset", "backbone"]
    assert first.split()[:5] == [RUN, "photos", "test_efficientnet", "64", "px"]
    assert second.split()[0] == "copy"
    assert f"not finished: frostline train --resume {runs / 'copy'}" in second
    listed = json.loads(cli("runs", runs, "--json").stdout)
    assert [run["name"] for run in listed["runs"]] == [RUN, "copy"]


def test_runs_of_no_folder(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = cli("runs")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "frostline: there is no folder runs: name the one that holds the runs\n"
    (tmp_path / "runs").mkdir()
    assert cli("runs").stdout == "no runs in runs\n"
