"""A study of Optuna's that several workers share: each trial is run once, and none is lost where a worker dies.

A worker is a process. Workers know of each other by the storage alone: SQLite on one machine, PostgreSQL for many.
"""

import math
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning, StorageInternalError
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback, fail_stale_trials
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, SQLAlchemyError

from frostline.errors import ConfigError, FrostlineError
from frostline.progress import say

HEARTBEAT_SECONDS = 10
"""How often a worker says in the storage that it is alive, while it runs a trial."""

GRACE_SECONDS = 60
"""A trial whose worker has been silent for so long is failed, and its options are tried again."""

_POLL_SECONDS = 1.0
_SQLITE_WAIT_SECONDS = 60
"""How long one worker waits for another that writes."""

_MOST_RETRIES = 5
"""How often a trial whose worker died is tried again: it may be the trial that kills it."""

Objective = Callable[[Trial], float]


class _SurplusError(Exception):
    """Another worker has taken the last trial that was wanted."""


class SeededTPE(BaseSampler):
    """Optuna's tree-structured Parzen estimator (Bergstra et al. 2011), seeded for each trial by its number.

    So what is drawn follows from the seed and the trials before, whichever worker draws it, and no two workers draw
    the same. The first trials are drawn at random.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._of_trial = TPESampler(seed=seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Seed what draws this trial."""
        self._of_trial = TPESampler(seed=(self._seed * 1_000_003 + trial.number) % 2**32)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """See `BaseSampler`."""
        return self._of_trial.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """See `BaseSampler`."""
        return self._of_trial.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """See `BaseSampler`."""
        return self._of_trial.sample_independent(study, trial, param_name, param_distribution)


def sqlite_url(path: str) -> str:
    """The URL of a SQLite file."""
    url = str(URL.create("sqlite", database=path))
    return url.replace("{", "{{").replace("}", "}}")  # Optuna fills in templates


@contextmanager
def open_storage(url: str) -> Iterator[RDBStorage]:
    """Open a storage for the block, and make its tables where it has none. `postgresql://` takes the driver psycopg.

    Raises `ConfigError` where the URL is none, names a kind of database without its driver, or nothing answers there.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigError("--storage is no URL of a database, such as postgresql://user@host/database") from None
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    shown = parsed.render_as_string(hide_password=True)
    waits = {"connect_args": {"timeout": _SQLITE_WAIT_SECONDS}} if parsed.get_backend_name() == "sqlite" else {}
    with _storage_errors(shown):
        try:
            storage = _open(parsed.render_as_string(hide_password=False), waits)
        except DatabaseError:
            time.sleep(_POLL_SECONDS)  # another worker may have been making the tables
            storage = _open(parsed.render_as_string(hide_password=False), waits)
    if parsed.get_backend_name() == "sqlite":
        _one_at_a_time(storage)
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _open(url: str, engine_options: dict[str, Any]) -> RDBStorage:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return RDBStorage(
            url,
            engine_kwargs={"pool_pre_ping": True, **engine_options},
            heartbeat_interval=HEARTBEAT_SECONDS,
            grace_period=GRACE_SECONDS,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=_MOST_RETRIES),
        )


def _one_at_a_time(storage: RDBStorage) -> None:
    """Let each transaction on a SQLite file wait for the one before, as the rows that Optuna locks do elsewhere.

    SQLite has no locks of rows: two workers that read a waiting trial at the same moment would both run it. How this is
    done is from SQLAlchemy's documentation of the dialect.
    """

    def leave_transactions_to_us(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None

    def lock_at_once(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    storage.engine.dispose()  # connections that were opened before
    event.listen(storage.engine, "connect", leave_transactions_to_us)
    event.listen(storage.engine, "begin", lock_at_once)


@contextmanager
def _storage_errors(shown: str) -> Iterator[None]:
    """Turn what opening a storage may raise into one line."""
    try:
        yield
    except ImportError as error:
        raise ConfigError(f"the storage {shown} needs a driver that is not installed: {error.__cause__}") from error
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        raise ConfigError(f"the storage {shown} cannot be used: {reason}") from error


@contextmanager
def answering() -> Iterator[None]:
    """Say in one line that a storage stopped answering; Optuna's own log is silent within the block."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise FrostlineError(f"the storage of the study does not answer: {reason}; go on when it does") from error
    finally:
        optuna.logging.set_verbosity(before)


def open_study(storage: RDBStorage, name: str, seed: int, settings: dict[str, Any]) -> tuple[Study, bool]:
    """Join the study of this name, or make it; the second value says whether it is new.

    Trials are pruned by Optuna's median rule: from the second epoch on, where five trials are complete and the best
    epoch so far is below the median of the others by then. Raises `ConfigError` where the study was made with other
    `settings`, which are plain values by name.
    """
    sampler, pruner = SeededTPE(seed), optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2)
    try:
        study = optuna.create_study(
            storage=storage, study_name=name, direction="maximize", sampler=sampler, pruner=pruner
        )
    except DuplicatedStudyError:
        study = optuna.load_study(storage=storage, study_name=name, sampler=sampler, pruner=pruner)
        _require_same(study, settings)
        return study, False
    study.set_user_attr("settings", settings)
    return study, True


def _require_same(study: Study, settings: dict[str, Any]) -> None:
    kept = study.user_attrs.get("settings")
    if kept is None:
        time.sleep(_POLL_SECONDS)  # it may be a moment old
        kept = study.user_attrs.get("settings")
    if not isinstance(kept, dict):
        raise ConfigError(f"the study {study.study_name} is not one of frostline's: choose another --name")
    for name in [*settings, *kept]:
        if settings.get(name) != kept.get(name):
            raise ConfigError(
                f"the study {study.study_name} was begun with another {name}: {kept.get(name)!r}, now "
                f"{settings.get(name)!r}; give the same options, or another --name"
            )


def work(study: Study, wanted: int, objective: Objective, deadline: float = math.inf, *, wait: bool = True) -> None:
    """Run trials until the study has so many that are complete or pruned, over all workers, or the deadline is over.

    `deadline` is on the clock of `time.monotonic`; a trial that runs by then is finished. A trial holds a place from
    its beginning, and gives it back where it fails: so workers end with exactly the number that is wanted. Where all
    places are taken, this waits for the others (not with `wait` off), since one of them may die. What interrupts a
    trial is raised, and its options are put back first.
    """
    told = False
    while time.monotonic() < deadline:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            fail_stale_trials(study)
        places = _places(study, wanted)
        if len(places) < wanted or any(trial.state == TrialState.WAITING for trial in places):
            _run_one(study, wanted, objective)
        elif not wait or all(trial.state.is_finished() for trial in places):
            return
        else:
            if not told:
                say("waiting for the last trials of other workers")
            told = True
            time.sleep(_POLL_SECONDS)


def finished_trials(study: Study) -> list[FrozenTrial]:
    """The trials that are complete or pruned, by number."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def running_trials(study: Study) -> list[FrozenTrial]:
    """The trials that some worker runs, by number."""
    return study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))


def _places(study: Study, wanted: int) -> Sequence[FrozenTrial]:
    """The first trials by number that have not failed, as many as are wanted."""
    trials = study.get_trials(deepcopy=False)
    return [trial for trial in trials if trial.state != TrialState.FAIL][:wanted]


def _run_one(study: Study, wanted: int, objective: Objective) -> None:
    """Take one trial, and run it if there is still a place for it."""
    taken: list[int] = []

    def run(trial: Trial) -> float:
        if trial.number not in {each.number for each in _places(study, wanted)}:
            raise _SurplusError
        taken.append(trial.number)
        return objective(trial)

    try:
        study.optimize(run, n_trials=1, catch=(_SurplusError,))
    except (KeyboardInterrupt, OSError, FrostlineError):
        if taken:
            _put_back(study, taken[0])
        raise
    except ValueError:
        if not taken or study.get_trials(deepcopy=False)[taken[0]].state != TrialState.FAIL:
            raise
        say(f"note: this worker was silent for {GRACE_SECONDS} s, so trial {taken[0]} was left to others")


def _put_back(study: Study, number: int) -> None:
    """Let a failed trial's options be tried again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        RetryHeartbeatStaleTrialCallback()(study, study.get_trials()[number])
