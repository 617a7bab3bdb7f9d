"""Real clusters on this machine: equal to the plain path, quiet, and continued after Ctrl-C and after a kill."""

import csv
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pyarrow.parquet
import pytest

from frostline.cli_predict import TABLE_BATCH
from frostline.deploy.batch.ray_engine import part_size
from frostline.deploy.batch.worker import BATCH
from frostline.results.answers import Answer, csv_row

Cli = Callable[..., subprocess.CompletedProcess[str]]
RUN = Path("runs/photos-test_efficientnet-1")
PLAIN = """
import sys
from frostline.cli import main
try:
    main()
finally:
    assert not {"ray", "fsspec"} & set(sys.modules)
"""


def make_folder(finished: Path, folder: Path, count: int) -> Path:
    photos = sorted((finished / "photos").rglob("*.jpg"))
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.jpg").hardlink_to(photos[number * 7 % len(photos)])
    (folder / "30 torn.jpg").write_bytes(photos[0].read_bytes()[:500])
    return folder


def rows_of(folder: Path) -> list[list[str]]:
    """What is in the parts, as the cells of a CSV file."""
    rows = pyarrow.parquet.read_table(folder).to_pylist()
    top = [((row["class"], row["probability"]),) if row["error"] is None else () for row in rows]
    return [
        csv_row(Answer(row["path"], row["answer"] or "", classes, bool(row["far"]), row["error"]), 1)
        for row, classes in zip(rows, top, strict=True)
    ]


def predict_plainly(run: Path, folder: Path, table: Path) -> list[list[str]]:
    """The rows of `frostline predict --csv`, by a process that may not import Ray."""
    command = [sys.executable, "-c", PLAIN, "predict", str(run), str(folder), "--csv", str(table)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))[1:]


@pytest.fixture
def reports() -> Iterator[tuple[str, list[str]]]:
    """The address of a server for statistics of usage, and the requests that it had."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", asked
        server.shutdown()
        thread.join()


@pytest.mark.full
def test_a_cluster_of_one_machine_answers_as_the_plain_path_and_reports_to_nobody(
    cli: Cli, finished: Path, tmp_path: Path, reports: tuple[str, list[str]]
) -> None:
    folder = make_folder(finished, tmp_path / "new", 1_300)
    address, asked = reports
    usage = {"RAY_USAGE_STATS_ENABLED": "1", "RAY_USAGE_STATS_REPORT_URL": address}
    frequent = {"RAY_USAGE_STATS_REPORT_INTERVAL_S": "1"}
    output = tmp_path / "answers"
    command = ["predict", str(finished / RUN), str(folder), "--engine", "ray", "--output", str(output)]
    done = subprocess.run(
        [sys.executable, "-m", "frostline", *command],
        capture_output=True,
        text=True,
        env={**os.environ, **usage, **frequent},
        cwd=tmp_path,
    )
    failure = "frostline: 1 picture could not be read; each is a row with its error\n"
    assert (done.returncode, done.stdout) == (3, "")
    assert [line for line in done.stderr.splitlines(keepends=True) if not line.startswith("predict: ")] == [failure]
    assert not asked
    assert sorted(path.name for path in output.iterdir()) == ["part-00000.parquet", "part-00001.parquet"]
    assert rows_of(output) == predict_plainly(finished / RUN, folder, tmp_path / "plain.csv")

    again = cli(*command)
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr.startswith(f"frostline: {output} has the parts of an earlier run: add --continue")
    assert (cli(*command, "--continue").returncode, cli(*command, "--continue").stderr) == (3, failure)
    changed = cli(*command, "--continue", "--top-k", 2)
    assert (changed.returncode, "is of another --top-k: " in changed.stderr) == (2, True)


def test_ray_is_told_to_report_its_use_to_nobody() -> None:
    code = """
from frostline.deploy.batch.ray_engine import import_ray
import_ray()
from ray._common.usage.usage_lib import usage_stats_enabled
assert not usage_stats_enabled()
"""
    told = {**os.environ, "RAY_USAGE_STATS_ENABLED": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=told, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.full
def test_a_stopped_and_a_killed_prediction_go_on_to_the_same_rows(finished: Path, tmp_path: Path) -> None:
    folder = make_folder(finished, tmp_path / "new", 9_000)
    output = tmp_path / "answers"
    command = [sys.executable, "-m", "frostline", "predict", str(finished / RUN), str(folder), "--engine", "ray"]
    kept: dict[Path, float] = {}
    for sent, code in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL), (None, 3)):
        with subprocess.Popen(
            [*command, "--output", str(output), "--continue"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            if sent is not None:
                _wait_for_another(output, len(kept), process)
                os.kill(process.pid, sent) if sent == signal.SIGKILL else os.killpg(process.pid, sent)
            out, said = process.communicate(timeout=600)
        assert (process.returncode, out) == (code, ""), said
        if sent == signal.SIGINT:
            assert f" rows are in {output}: the same command with --continue goes on\n" in said
            assert said.endswith("frostline: stopped by Ctrl-C\n")
            assert "Traceback" not in said
        parts = {path: path.stat().st_mtime for path in output.glob("*.parquet")}
        assert kept.items() <= parts.items(), "a part that was done is written again"
        kept = parts
    assert len(kept) == 9
    assert rows_of(output) == predict_plainly(finished / RUN, folder, tmp_path / "plain.csv")


def _wait_for_another(output: Path, before: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 600
    while len(list(output.glob("*.parquet"))) == before:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_parts_are_whole_batches_of_the_plain_path() -> None:
    assert BATCH == TABLE_BATCH
    sizes = {count: part_size(count) for count in (1, 50_000, 1_000_000, 3_000_000, 10_000_000, 10**9)}
    assert all(size % BATCH == 0 for size in sizes.values())
    assert sizes == {1: 1024, 50_000: 1024, 1_000_000: 1024, 3_000_000: 3072, 10_000_000: 10_112, 10**9: 10_240}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--engine", "ray"], "--engine ray writes parquet files: give --output FOLDER, without --csv and --json"),
        (["--engine", "ray", "--output", "o", "--json"], "--engine ray writes parquet files: give --output FOLDER,"),
        (["--output", "o"], "--output is for --engine ray: give that too, or leave it out"),
        (["--ray-address", "auto"], "--ray-address is for --engine ray: give that too, or leave it out"),
        (["--path-column", "file"], "--path-column is for --engine ray: give that too, or leave it out"),
    ],
)
def test_options_that_do_not_go_together(cli: Cli, options: list[str], message: str) -> None:
    done = cli("predict", "classifier", "new", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"frostline: {message}")
    assert done.stderr.count("\n") == 1
