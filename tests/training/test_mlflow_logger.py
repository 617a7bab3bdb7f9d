"""MLflow has what the history has, each epoch once, and neither a dead server nor a dying one holds a training up."""

import json
import logging
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from frostline.config import TrainConfig
from frostline.errors import ConfigError
from frostline.results.history import EpochRecord
from frostline.results.run_folder import RunFolder
from frostline.training import mlflow_logger
from frostline.training.loggers import require_loggers
from frostline.training.mlflow_logger import MlflowLogger

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")

CONFIG = TrainConfig(mlflow=True, source="photos/", epochs=5, learning_rate=1e-5)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database as MLflow makes it, which takes it seconds."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
        require_loggers(CONFIG)
    return path.read_bytes()


@pytest.fixture
def folder(tmp_path: Path, empty_database: bytes, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run folder, in a working folder with MLflow's database and no settings."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    place = tmp_path / "my work 100%"
    (place / "runs/photos-1").mkdir(parents=True)
    (place / "mlflow.db").write_bytes(empty_database)
    monkeypatch.chdir(place)
    return RunFolder(Path("runs/photos-1"))


@pytest.fixture
def serve() -> Iterator[Callable[[type[BaseHTTPRequestHandler]], str]]:
    """Starts an HTTP server on loopback; gives its address."""
    servers = []

    def start(handler: type[BaseHTTPRequestHandler]) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def record_of(epoch: int) -> EpochRecord:
    return EpochRecord(epoch, 1 / (epoch + 1), 0.5, 1 / (epoch + 2), 0.25 + epoch / 100, 0.001 * epoch, 3.0, 700.0)


def train(folder: RunFolder, before: int, epochs: range, **figures: float) -> None:
    """Log what a training would that goes on after `before` epochs."""
    with MlflowLogger(CONFIG, folder, [record_of(epoch) for epoch in range(1, before + 1)]) as logger:
        for epoch in epochs:
            logger.epoch(record_of(epoch))
        logger.finish(figures)


def client() -> Any:
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{Path.cwd() / 'mlflow.db'}")


def runs() -> list[Any]:
    experiments = [experiment.experiment_id for experiment in client().search_experiments()]
    return list(client().search_runs(experiments))


def points(name: str = "val_loss") -> list[tuple[int, float]]:
    """Steps and values of one figure of the only run."""
    (run,) = runs()
    return [(point.step, point.value) for point in client().get_metric_history(run.info.run_id, name)]


def expected(last: int) -> list[tuple[int, float]]:
    return [(epoch, record_of(epoch).val_loss) for epoch in range(1, last + 1)]


def test_a_run_holds_options_epochs_and_final_figures(folder: RunFolder) -> None:
    require_loggers(CONFIG)
    train(folder, 0, range(1, 4), test_accuracy=0.75)
    (run,) = runs()
    assert (run.info.run_name, run.info.status) == ("photos-1", "FINISHED")
    assert client().get_experiment(run.info.experiment_id).name == "frostline"
    assert run.data.tags["frostline.folder"] == str(folder.path.resolve())
    assert set(run.data.params) == set(TrainConfig.model_fields)
    assert [run.data.params[name] for name in ("source", "epochs", "learning_rate", "cache", "size")] == [
        *("photos/", "5", "1e-05", "true", "null")
    ]
    assert set(run.data.metrics) == {*asdict(record_of(1))} - {"epoch"} | {"test_accuracy"}
    assert points() == expected(3)
    assert points("test_accuracy") == [(3, 0.75)]


def test_mlflow_variables_choose_the_experiment(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "leaves")
    train(folder, 0, range(0))
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
    train(RunFolder(Path("runs")), 0, range(0))
    names = [client().get_experiment(run.info.experiment_id).name for run in runs()]
    assert sorted(names) == ["Default", "leaves"]


@pytest.mark.parametrize("known", [2, 3], ids=["one less", "all"])
def test_a_resumed_run_goes_on_in_its_place_with_each_epoch_once(
    known: int, folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(folder, 0, range(1, known + 1), test_accuracy=0.5)
    work = Path.cwd()
    folder = RunFolder(folder.path.resolve())
    monkeypatch.chdir(tmp_path)
    require_loggers(CONFIG, folder)
    train(folder, 3, range(4, 6), test_accuracy=0.75)
    assert not (tmp_path / "mlflow.db").exists()
    monkeypatch.chdir(work)
    assert sorted(points()) == expected(5)
    assert points("test_accuracy") == [(known, 0.5), (5, 0.75)]
    assert runs()[0].data.metrics["test_accuracy"] == 0.75


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, "KILLED"), (OSError, "FAILED")])
def test_a_run_that_breaks_off_has_that_status(error: type[BaseException], status: str, folder: RunFolder) -> None:
    with pytest.raises(error), MlflowLogger(CONFIG, folder, []):
        raise error
    assert [run.info.status for run in runs()] == [status]


def test_what_mlflow_missed_is_sent_when_it_works_again(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mlflow_logger, "RETRY_AFTER", 0.0)
    with (
        closing(sqlite3.connect("mlflow.db", isolation_level=None)) as database,
        MlflowLogger(CONFIG, folder, []) as logger,
    ):
        logger.epoch(record_of(1))
        database.execute("ALTER TABLE metrics RENAME TO hidden")
        logger.epoch(record_of(2))
        logger.epoch(record_of(3))
        database.execute("ALTER TABLE hidden RENAME TO metrics")
        logger.epoch(record_of(4))
        assert sorted(points()) == expected(4)
    assert sorted(points()) == expected(4)
    (note,) = capsys.readouterr().err.splitlines()
    assert note.startswith("note: MLflow at sqlite:///")
    assert note.endswith(f"failed (no such table: metrics); {folder.history} has what it misses")


def test_a_place_that_dies_at_the_start_is_tried_again(folder: RunFolder) -> None:
    require_loggers(CONFIG)
    with closing(sqlite3.connect("mlflow.db", isolation_level=None)) as database:
        database.execute("ALTER TABLE params RENAME TO hidden")
        with MlflowLogger(CONFIG, folder, [record_of(1)]) as logger:
            logger.epoch(record_of(2))
            database.execute("ALTER TABLE hidden RENAME TO params")
    assert sorted(points()) == expected(2)
    assert runs()[0].data.params["source"] == "photos/"


def test_after_a_failure_mlflow_is_left_alone_for_a_while(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", closed_port())
    tries = []
    original = MlflowLogger._send_now

    def send(self: MlflowLogger, status: str | None) -> None:
        tries.append(status)
        original(self, status)

    monkeypatch.setattr(MlflowLogger, "_send_now", send)
    train(folder, 0, range(1, 20))
    assert tries == [None, "FINISHED"]


def closed_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://someone:secret@127.0.0.1:{free.getsockname()[1]}"


def test_a_server_that_is_not_there_is_one_line_within_seconds(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", closed_port())
    began = time.monotonic()
    with pytest.raises(ConfigError, match=r"Connection refused.*set MLFLOW_TRACKING_URI") as caught:
        require_loggers(CONFIG)
    assert time.monotonic() - began < 20
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


class Silent(BaseHTTPRequestHandler):
    """Never answers."""

    def do_POST(self) -> None:
        time.sleep(3)


class Page(BaseHTTPRequestHandler):
    """Answers with a web page, as some other server might."""

    def do_POST(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>\nWelcome\n</html>")

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(("handler", "reason"), [(Silent, "timed out"), (Page, "MLflow at http")])
def test_a_server_that_is_no_mlflow_is_one_line(
    handler: type[BaseHTTPRequestHandler],
    reason: str,
    serve: Callable[[type[BaseHTTPRequestHandler]], str],
    folder: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", serve(handler))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ConfigError, match=reason) as caught:
        require_loggers(CONFIG)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "uri", ["sqlite:///.", "sqlite:///mlflow.db/in/a/file.db", "postgresql://a:secret@127.0.0.1:9/x", "127.0.0.1:5000"]
)
def test_a_place_that_cannot_be_is_one_line_at_once(
    uri: str, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    began = time.monotonic()
    with pytest.raises(ConfigError, match="turn mlflow off") as caught:
        require_loggers(CONFIG)
    assert time.monotonic() - began < 20
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_run_that_mlflow_has_lost_is_said_before_a_resume(folder: RunFolder) -> None:
    train(folder, 0, range(1, 2))
    place = json.loads((folder.path / "mlflow.json").read_text(encoding="utf-8"))
    place["run_id"] = "0" * 32
    folder.write_json(folder.path / "mlflow.json", place)
    with pytest.raises(ConfigError, match=f"'?{'0' * 32}.*turn mlflow off in {folder.config}"):
        require_loggers(CONFIG, folder)


def test_passwords_stay_out_of_the_run_folder(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert mlflow_logger._without_password("https://me:se@cret@host:5000/x") == "https://host:5000/x"
    train(folder, 0, range(0))
    place = json.loads((folder.path / "mlflow.json").read_text(encoding="utf-8"))
    assert place["tracking_uri"] == f"sqlite:///{Path.cwd() / 'mlflow.db'}"
    assert mlflow_logger._without_password(place["tracking_uri"]) == place["tracking_uri"]


def test_environment_and_logging_are_left_as_they_were(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    before, level = dict(os.environ), logging.getLogger("mlflow").level
    with mlflow_logger._quiet_mlflow():
        assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"
    train(folder, 0, range(1, 2))
    assert (dict(os.environ), logging.getLogger("mlflow").level) == (before, level)


def test_nothing_is_said_and_nothing_is_reported(tmp_path: Path) -> None:
    code = """
import os, sys
for name in ("CI", "GITHUB_ACTIONS", "PYTEST_CURRENT_TEST", "DO_NOT_TRACK"):
    os.environ.pop(name, None)
from pathlib import Path
from frostline.config import TrainConfig
from frostline.results.run_folder import RunFolder
from frostline.training.loggers import open_loggers, require_loggers
config = TrainConfig(mlflow=True)
require_loggers(config)
with open_loggers(config, RunFolder(Path("."))) as (logger,):
    logger.finish({"test_accuracy": 0.5})
from mlflow.telemetry import get_telemetry_client
assert get_telemetry_client() is None
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {path.name for path in tmp_path.iterdir()} == {"mlflow.db", "mlflow.json"}
