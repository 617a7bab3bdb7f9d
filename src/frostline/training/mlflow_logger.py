"""A run in MLflow: its options as parameters, and its figures with the epoch as their step."""

import json
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from textwrap import shorten
from typing import Any, Self
from urllib.parse import unquote

from frostline import __version__
from frostline.config import TrainConfig
from frostline.errors import ConfigError
from frostline.progress import say
from frostline.results.history import EpochRecord
from frostline.results.run_folder import RunFolder

RETRY_AFTER = 60.0
"""Seconds after which an MLflow that failed is tried again."""

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""What MLflow is given unless the user says otherwise; by itself it tries a dead server for minutes."""

_Point = tuple[str, float, int, int]
"""A figure's name and value, its time in milliseconds, and its step."""


class MlflowLogger:
    """A `Logger` that keeps a run in MLflow, in the experiment that MLflow's own variables name, else `frostline`.

    Where MLflow fails on the way, that is said once, and the training goes on. What MLflow missed is sent when it
    answers again, or when the run is resumed. `mlflow.json` in the run folder says which run of MLflow's it is.
    """

    def __init__(self, config: TrainConfig, folder: RunFolder, history: Sequence[EpochRecord]) -> None:
        self._config = config
        self._folder = folder
        self._history = history
        self._step = history[-1].epoch if history else 0
        self._uri, self._run_id = _place(folder)
        self._client: Any = None
        self._parameters: list[Any] = []
        self._points: list[_Point] = []
        self._wait_until = 0.0
        self._failed = False

    def __enter__(self) -> Self:
        self._send()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._wait_until = 0.0
        self._send("FINISHED" if kind is None else "KILLED" if kind is KeyboardInterrupt else "FAILED")

    def epoch(self, record: EpochRecord) -> None:
        """See `Logger`."""
        self._step = record.epoch
        self._points += _epoch_points(record)
        self._send()

    def finish(self, figures: Mapping[str, float]) -> None:
        """See `Logger`."""
        self._points += _points(figures, self._step)
        self._send()

    def _send(self, status: str | None = None) -> None:
        """Send what is pending, and the run's last status; soon after a failure, leave it for later."""
        if time.monotonic() < self._wait_until:
            return
        try:
            with _quiet_mlflow():
                self._send_now(status)
        except _errors() as error:
            self._wait_until = time.monotonic() + RETRY_AFTER
            if not self._failed:
                self._failed = True
                place = _without_password(self._uri)
                say(f"note: MLflow at {place} failed ({_reason(error)}); {self._folder.history} has what it misses")

    def _send_now(self, status: str | None) -> None:
        from mlflow.entities import Metric

        if self._client is None:
            self._client = self._begin()
        points = [Metric(*point) for point in self._points]
        self._client.log_batch(self._run_id, metrics=points, params=self._parameters)
        self._points.clear()
        self._parameters.clear()
        if status is not None:
            self._client.set_terminated(self._run_id, status)

    def _begin(self) -> Any:
        """A client, behind it a new run or the one that is gone on with, and what that lacks pending."""
        from mlflow import MlflowClient
        from mlflow.entities import Param

        client = MlflowClient(self._uri)
        if self._run_id is None:
            tags = {"frostline.version": __version__, "frostline.folder": str(self._folder.path.resolve())}
            run = client.create_run(_experiment(client), run_name=self._folder.path.name, tags=tags)
            self._run_id = run.info.run_id
            place = {"tracking_uri": _without_password(self._uri), "run_id": self._run_id}
            self._folder.write_json(_place_file(self._folder), place)
        else:
            client.update_run(self._run_id, status="RUNNING")
        if not client.get_run(self._run_id).data.params:
            self._parameters = [Param(name, _as_text(value)) for name, value in self._config.model_dump().items()]
        kept = {point.step for point in client.get_metric_history(self._run_id, "val_loss")}
        missing = [record for record in self._history if record.epoch not in kept]
        self._points[:0] = [point for record in missing for point in _epoch_points(record)]
        return client


def require_mlflow(folder: RunFolder | None) -> None:
    """Raise `ConfigError` where MLflow does not answer, or does not know the run of a folder that is resumed."""
    uri, run_id = _place(folder)
    try:
        with _quiet_mlflow():
            from mlflow import MlflowClient

            _require_database(uri)
            client = MlflowClient(uri)
            if run_id is None:
                client.search_experiments(max_results=1)
            else:
                client.get_run(run_id)
    except _errors() as error:
        config = f" in {folder.config}" if folder else ""
        raise ConfigError(
            f"MLflow at {_without_password(uri)} cannot be used ({_reason(error)}): start it, set MLFLOW_TRACKING_URI "
            f"to where it is, or turn mlflow off{config}"
        ) from error


def _require_database(uri: str) -> None:
    """Open a database once where MLflow keeps its runs in one: MLflow itself would try to for minutes."""
    from mlflow.store.db.db_types import DATABASE_ENGINES
    from sqlalchemy import create_engine, make_url

    if re.split(r"[:+]", uri)[0] not in DATABASE_ENGINES:
        return
    url = make_url(uri)
    if url.get_backend_name() == "sqlite" and url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url)
    engine.connect().close()
    engine.dispose()


def _place(folder: RunFolder | None) -> tuple[str, str | None]:
    """Where MLflow is, and the run there with which a folder began; the user's own setting goes first."""
    with _quiet_mlflow():
        from mlflow import get_tracking_uri, is_tracking_uri_set

        chosen = is_tracking_uri_set()
        uri = get_tracking_uri()
    if folder is not None and _place_file(folder).exists():
        place = folder.read_json(_place_file(folder))
        return uri if chosen else place["tracking_uri"], place["run_id"]
    if not chosen and uri.startswith("sqlite:"):
        uri = unquote(uri)  # the path of the default is quoted, and would be taken literally
    return uri, None


def _place_file(folder: RunFolder) -> Path:
    return folder.path / "mlflow.json"


def _experiment(client: Any) -> str:
    if chosen := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return chosen
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "frostline"
    found = client.get_experiment_by_name(name)
    return str(client.create_experiment(name) if found is None else found.experiment_id)


def _epoch_points(record: EpochRecord) -> list[_Point]:
    figures = asdict(record)
    return _points(figures, figures.pop("epoch"))


def _points(figures: Mapping[str, float], step: int) -> list[_Point]:
    now = int(time.time() * 1000)
    return [(name, value, now, step) for name, value in figures.items()]


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@contextmanager
def _quiet_mlflow() -> Iterator[None]:
    """Within the block MLflow prints nothing, reports nothing to its makers, and gives up after seconds."""
    added = {name: value for name, value in _ENVIRONMENT.items() if name not in os.environ}
    levels = {logger: logger.level for logger in map(logging.getLogger, ("mlflow", "alembic", "urllib3"))}
    os.environ.update(added)
    for logger in levels:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
        for logger, level in levels.items():
            logger.setLevel(level)


def _errors() -> tuple[type[Exception], ...]:
    """What is raised where MLflow's place does not work, be it a server, a database or a folder."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, SQLAlchemyError, OSError, ImportError, ValueError


def _reason(error: BaseException) -> str:
    """One line on what lies at the bottom of an error."""
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    return shorten(str(error), 200, placeholder=" ...") or type(error).__name__


def _without_password(uri: str) -> str:
    return re.sub(r"(?<=://)[^/]*@", "", uri)
