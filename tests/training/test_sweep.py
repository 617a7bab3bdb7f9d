"""Whole searches by real processes: killed, interrupted, several at once, on SQLite and on PostgreSQL."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from frostline.config import TrainConfig
from frostline.data.sources import load_dataset
from frostline.data.splits import load_splits, make_splits
from frostline.errors import ConfigError
from frostline.results.listing import list_runs
from frostline.results.sweep import SweepFigures
from frostline.space import make_space
from frostline.training.study import open_storage, sqlite_url
from frostline.training.sweep import resume_sweep, sweep
from frostline.training.trials import take_sample

TIMEOUT = 600.0
SPACE = {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}, "dropout": [0.0, 0.2, 0.4]}
COMMAND = """
from frostline.training import study
study.HEARTBEAT_SECONDS, study.GRACE_SECONDS = 1, 6
from frostline.cli import main
main()
"""
"""The command line, with workers whose death is noticed soon."""

MakeConfig = Callable[..., TrainConfig]
Cli = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.Popen[str]"]
WaitUntil = Callable[["subprocess.Popen[str]", Callable[[], bool]], None]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `frostline sweep` in a process of its own; none survives the test."""
    processes: list[subprocess.Popen[str]] = []

    def begin(*arguments: object) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, "sweep", *map(str, arguments)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def tiny(photos: Path, tmp_path: Path) -> list[object]:
    """A source, and flags of trials that take a moment."""
    (tmp_path / "space.yaml").write_text(json.dumps(SPACE), encoding="utf-8")
    flags = {"backbone": "test_efficientnet", "weights": "none", "size": 32, "epochs": 3, "trainable-layers": 6}
    flags |= {"batch-size": 8, "device": "cpu", "space": tmp_path / "space.yaml", "runs-dir": tmp_path / "runs"}
    return [photos, *(f"--{name}={value}" for name, value in flags.items())]


def trials_of(storage: str, name: str) -> list[FrozenTrial]:
    """The trials that are in a study by now; none where there is no such study yet."""
    try:
        with open_storage(storage) as opened:
            return optuna.load_study(storage=opened, study_name=name).get_trials()
    except (KeyError, ConfigError):
        return []


def finished(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    return [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]


def end_of(processes: "list[subprocess.Popen[str]]") -> list[dict[str, Any]]:
    """The JSON that each process printed."""
    found = []
    for process in processes:
        out, err = process.communicate(timeout=TIMEOUT)
        assert process.returncode == 0, err
        found.append(json.loads(out))
    return found


def require_whole(runs: Path, trials: list[FrozenTrial], wanted: int, answers: list[dict[str, Any]]) -> None:
    """All trials are there once, one run is, and the one who trained it says so."""
    assert len(finished(trials)) == wanted
    assert not [trial for trial in trials if trial.state in (TrialState.RUNNING, TrialState.WAITING)]
    with_run = [answer for answer in answers if answer["retrained"]]
    assert with_run
    for answer in with_run:
        figures = SweepFigures.from_dict({name: value for name, value in answer.items() if name != "folder"})
        assert len(figures.trials) == wanted
        assert figures.retrained is not None
        assert figures.retrained.test_pictures == 12
    assert len([run for run in list_runs(runs) if run.problem is None]) == 1
    (page,) = runs.glob("*/sweep.html")
    assert "How much the validation pictures were used" in page.read_text(encoding="utf-8")
    assert not list(runs.glob("*/trials/*"))


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
def test_a_killed_worker_loses_no_trial_and_two_share_what_is_left(
    tiny: list[object], tmp_path: Path, start: Start, wait_until: WaitUntil
) -> None:
    folder = tmp_path / "runs" / "sweep-photos-1"
    storage = sqlite_url(str(folder / "study.db"))
    first = start(*tiny, "--trials", 7)
    wait_until(first, lambda: folder.is_dir() and len(finished(trials_of(storage, "sweep"))) >= 2)
    wait_until(first, lambda: [trial for trial in trials_of(storage, "sweep") if len(trial.params) == len(SPACE)] != [])
    first.kill()
    first.communicate()
    before = trials_of(storage, "sweep")
    both = [start("--resume", folder, "--json"), start("--resume", folder, "--json")]
    answers = end_of(both)
    after = trials_of(storage, "sweep")
    require_whole(tmp_path / "runs", after, 7, answers)
    assert finished(before) == finished(after)[: len(finished(before))]
    for trial in before:
        if trial.state == TrialState.RUNNING and trial.params:
            assert after[trial.number].state == TrialState.FAIL
            assert any(trial.params.items() <= other.params.items() for other in finished(after))
    assert len({trial.user_attrs["worker"] for trial in finished(after)}) > 1


@pytest.mark.full
def test_two_workers_share_a_study_on_postgresql(
    tiny: list[object], tmp_path: Path, start: Start, cli: Cli, postgres: str
) -> None:
    shared = [*tiny, "--trials", 6, "--storage", postgres, "--name", "two workers", "--json"]
    answers = end_of([start(*shared), start(*shared)])
    trials = trials_of(postgres, "two workers")
    require_whole(tmp_path / "runs", trials, 6, answers)
    assert len({trial.user_attrs["worker"] for trial in finished(trials)}) == 2
    late = cli("sweep", *shared)
    assert json.loads(late.stdout)["retrained"], "who comes when it is over is told what came of it"


@pytest.fixture
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server of the test's own; skips where Debian's package is not installed."""
    places = os.pathsep.join(sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True))
    initdb, control = (
        shutil.which(name, path=f"{places}{os.pathsep}{os.environ['PATH']}") for name in ("initdb", "pg_ctl")
    )
    if initdb is None or control is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    as_user: dict[str, Any] = {}
    place = Path(tempfile.mkdtemp(prefix="postgres-"))  # not tmp_path, which only its owner may enter
    if os.geteuid() == 0:  # as which PostgreSQL refuses to run
        as_user = {"user": "postgres", "group": "postgres", "extra_groups": []}
        shutil.chown(place, "postgres", "postgres")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def run(*command: object) -> None:
        subprocess.run([str(word) for word in command], check=True, cwd=place, stdout=subprocess.DEVNULL, **as_user)

    data = place / "data"
    run(initdb, "-D", data, "-U", "frostline", "-A", "trust", "--no-sync")
    try:
        options = f"-p {port} -k '' -c listen_addresses=127.0.0.1 -c fsync=off"
        run(control, "-D", data, "-w", "-l", place / "log", "-o", options, "start")
        yield f"postgresql://frostline@127.0.0.1:{port}/postgres"
    finally:
        run(control, "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(place)


@pytest.fixture
def _heeding_ctrl_c() -> Iterator[None]:
    """A process that a shell has put into the background ignores it otherwise."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_heeding_ctrl_c")
def test_ctrl_c_says_how_to_go_on_and_going_on_ends_it(
    tiny: list[object],
    tmp_path: Path,
    cli: Callable[..., "subprocess.CompletedProcess[str]"],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []
    observe = "frostline.training.trials._Observer.__call__"
    from frostline.training.trials import _Observer

    plain = _Observer.__call__

    def interrupt(observer: _Observer, record: Any) -> None:
        seen.append(record.epoch)
        if len(seen) == 6:
            signal.raise_signal(signal.SIGINT)
        plain(observer, record)

    monkeypatch.setattr(observe, interrupt)
    stopped = cli("sweep", *tiny, "--trials", 3)
    folder = tmp_path / "runs" / "sweep-photos-1"
    assert stopped.returncode == 130
    assert f"frostline sweep --resume {folder}" in stopped.stderr
    assert [path.name for path in folder.iterdir() if path.is_dir()] == []
    done = cli("sweep", "--resume", folder)
    assert done.returncode == 0, done.stderr
    assert len(finished(trials_of(sqlite_url(str(folder / "study.db")), "sweep"))) == 3
    for line in ("3/3  trial ", "training with the options of trial"):
        assert line in done.stderr
    assert str(folder / "sweep.html") in done.stdout
    again = cli("sweep", "--resume", folder)
    assert again.stdout == done.stdout, "a search that is over is told again"
    assert len(list_runs(tmp_path / "runs")) == 1


def test_trials_have_a_share_of_each_class_and_no_test_picture(photos: Path) -> None:
    dataset = load_dataset(photos)
    splits = make_splits(dataset)
    sample = take_sample(dataset, splits, 15, seed=0)
    paths = np.array([each.path for each in sample.dataset.samples])
    of = {name: {dataset.samples[index].path for index in getattr(splits, name)} for name in ("train", "val", "test")}
    assert set(paths[sample.splits.train]) < of["train"]
    assert set(paths[sample.splits.val]) == of["val"]
    assert not set(paths) & of["test"]
    assert not len(sample.splits.test)
    assert np.bincount(sample.dataset.targets[sample.splits.train]).tolist() == [5, 5, 5]
    whole = take_sample(dataset, splits, 1000, seed=0)
    assert len(whole.splits.train) == len(splits.train)


def test_a_trial_that_breaks_down_counts_and_the_best_is_retrained_on_the_same_split(
    photos: Path, tiny_config: MakeConfig, tmp_path: Path
) -> None:
    space = make_space({"learning_rate": [1e-3, 1e30], "epochs": [1]})
    config = tiny_config(size=32, clip_norm=0, head_width=0, optimizer="sgd", runs_dir=tmp_path)
    dataset = load_dataset(photos)
    found = sweep(dataset, config, trials=4, space=space)
    broken = [trial for trial in found.figures.trials if trial.problem]
    assert {trial.options["learning_rate"] for trial in broken} == {1e30}
    assert "the loss is" in str(broken[0].problem)
    assert found.figures.best_trial.options["learning_rate"] == 1e-3
    assert found.figures.retrained is not None
    run = Path(found.figures.retrained.folder)
    kept = load_splits(run / "splits.csv", dataset)
    assert np.array_equal(kept.val, load_splits(found.folder / "splits.csv", dataset).val)
    assert TrainConfig.make(file=run / "config.yaml").learning_rate == 1e-3


def test_what_makes_no_sense_is_refused(photos: Path, tiny_config: MakeConfig, tmp_path: Path) -> None:
    dataset = load_dataset(photos)
    config = tiny_config(runs_dir=tmp_path / "runs")
    space = make_space({"dropout": [0.1]})
    with pytest.raises(ConfigError, match="neither folds nor a time limit"):
        sweep(dataset, tiny_config(folds=3))
    with pytest.raises(ConfigError, match="go together"):
        sweep(dataset, config, name="alone")
    with pytest.raises(ConfigError, match="nothing is left to search"):
        sweep(dataset, config, space=space, fixed={"dropout"})
    with pytest.raises(ConfigError, match="not the folder of a sweep"):
        resume_sweep(tmp_path)
    (tmp_path / "sweep.yaml").write_text("options: 3\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="is damaged"):
        resume_sweep(tmp_path)
    assert not (tmp_path / "runs").exists()
    with pytest.raises(ConfigError, match=r"trainable_layers is (499|500)"):
        sweep(dataset, config, space=make_space({"trainable_layers": {"low": 499, "high": 500}}), pictures=10)
    assert not list((tmp_path / "runs").iterdir()), "nothing is left where no trial could work"
