"""Workers that share a study: exactly as many trials as are wanted, and what is interrupted is tried again."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
from optuna.study import Study
from optuna.trial import Trial, TrialState

from frostline.errors import ConfigError
from frostline.training import study as module
from frostline.training.study import answering, finished_trials, open_storage, open_study, sqlite_url, work


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.05)
    with answering():
        yield


@contextmanager
def joined(path: Path, **settings: object) -> Iterator[Study]:
    with open_storage(sqlite_url(str(path))) as storage:
        yield open_study(storage, "s", 0, settings)[0]


def draw(trial: Trial) -> float:
    return trial.suggest_float("x", 0, 1)


def test_two_workers_end_with_exactly_what_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "a {folder}?.db"  # as sqlite_url must be able to hold it
    both = threading.Barrier(2)
    ended_with = []

    def worker() -> None:
        with joined(path) as study:
            both.wait()
            work(study, 5, draw)
            ended_with.append(len(finished_trials(study)))

    with joined(path) as study:
        threads = [threading.Thread(target=worker) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ended_with == [5, 5]
        assert len({trial.params["x"] for trial in finished_trials(study)}) == 5, "no two workers draw the same"


def test_a_waiting_trial_is_taken_once(tmp_path: Path) -> None:
    path, waiting, workers = tmp_path / "study.db", 30, 3
    together = threading.Barrier(workers)
    taken: list[int] = []

    def take(trial: Trial) -> float:
        taken.append(trial.number)
        return 0.0

    def worker() -> None:
        with joined(path) as study:
            together.wait()
            study.optimize(take, n_trials=waiting // workers)

    with joined(path) as study:
        for number in range(waiting):
            study.enqueue_trial({"x": number})
        threads = [threading.Thread(target=worker) for _ in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(taken) == list(range(waiting))


def test_what_is_drawn_follows_from_seed_and_trials(tmp_path: Path) -> None:
    drawn = []
    for name, stops in (("once", [12]), ("resumed", [3, 11, 12])):
        for wanted in stops:
            with joined(tmp_path / f"{name}.db") as study:
                work(study, wanted, draw)
                trials = finished_trials(study)
        drawn.append([trial.params["x"] for trial in trials])
    assert drawn[0] == drawn[1]


def test_an_interrupted_trial_is_tried_again(tmp_path: Path) -> None:
    seen: list[float] = []

    def objective(trial: Trial) -> float:
        seen.append(draw(trial))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return seen[-1]

    with joined(tmp_path / "study.db") as study:
        with pytest.raises(KeyboardInterrupt):
            work(study, 3, objective)
        work(study, 3, objective)
        assert seen[2] == seen[1]
        assert sorted(trial.params["x"] for trial in finished_trials(study)) == sorted({*seen})


def test_pruned_trials_count_and_the_deadline_holds(tmp_path: Path) -> None:
    def objective(trial: Trial) -> float:
        raise optuna.TrialPruned

    with joined(tmp_path / "study.db") as study:
        work(study, 2, objective)
        assert [trial.state for trial in study.trials] == [TrialState.PRUNED] * 2
        work(study, 5, objective, deadline=0.0)
        assert len(study.trials) == 2


def test_another_search_under_the_same_name_is_refused(tmp_path: Path) -> None:
    with joined(tmp_path / "study.db", backbone="a", seed=0):
        pass
    with (
        pytest.raises(ConfigError, match="begun with another backbone: 'a', now 'b'"),
        joined(tmp_path / "study.db", backbone="b", seed=0),
    ):
        pass


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("nonsense", "no URL of a database"),
        ("sqlite:////no/such/folder/study.db", "unable to open database file"),
        ("postgresql://u:secret@127.0.0.1:9/x", "cannot be used: connection failed"),
        ("oracle://u@h/x", "needs a driver"),
    ],
)
def test_a_storage_that_cannot_be_used_is_named_without_its_password(
    url: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=problem) as caught, open_storage(url):
        pass
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
