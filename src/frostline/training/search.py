"""A search: trials on a study until there are enough, then a training with the best options by one of the workers."""

import hashlib
import math
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from optuna import delete_study
from optuna.storages import RDBStorage
from optuna.study import Study
from optuna.trial import Trial

from frostline.config import TrainConfig
from frostline.data.dataset import Dataset
from frostline.data.splits import Splits
from frostline.errors import ConfigError, DataError, FrostlineError, ModelError
from frostline.progress import say
from frostline.results.pages.sweep import write_sweep_page
from frostline.results.sweep import Retrained, SweepFigures, SweepTrial, best_trial, expected_optimism, option_text
from frostline.space import SEARCHABLE, TAIL_SPACE, Choices, Space, plain_space
from frostline.training.defaults import epochs_of
from frostline.training.distributed import require_alone
from frostline.training.execution import Run
from frostline.training.run import train
from frostline.training.study import answering, finished_trials, open_storage, open_study, running_trials, work
from frostline.training.trials import Sample, config_with, recorded, run_trial, take_sample


@dataclass(frozen=True)
class Sweep:
    """What this worker leaves a search with."""

    folder: Path
    """Holds `sweep.html` and `sweep.json`, on the machine of the worker that retrained the best."""
    figures: SweepFigures
    """Of all trials; without a retrained run where that is left to another worker."""


@dataclass(frozen=True)
class Search:
    """What is searched, on which pictures, and where the study is."""

    folder: Path
    dataset: Dataset
    splits: Splits
    config: TrainConfig
    space: Space
    pictures: int
    storage: str
    name: str

    @cached_property
    def sample(self) -> Sample:
        """The pictures of the trials."""
        return take_sample(self.dataset, self.splits, self.pictures, self.config.seed)

    @cached_property
    def base(self) -> TrainConfig:
        """The options of a trial but for what is drawn; what follows from the pictures follows from all of them."""
        return self.config.model_copy(update={"epochs": epochs_of(self.config, len(self.splits.train))})

    @property
    def settings(self) -> dict[str, Any]:
        """What has to be the same for all workers, as plain values."""
        shared = {
            name: value
            for name, value in self.base.model_dump().items()
            if _group(name) in SEARCHABLE or name in ("resize_mode", "seed")
        }
        sample = self.sample
        lines = [f"{each.path}\t{each.target}\n" for each in sample.dataset.samples]
        content = "".join([*lines, f"{len(sample.splits.val)}"]).encode("utf-8", "surrogateescape")
        return {**shared, "space": plain_space(self.space), "set of pictures": hashlib.sha256(content).hexdigest()[:16]}

    def figures(self, study: Study) -> SweepFigures:
        """The figures of all trials that are over. Raises `FrostlineError` where none of them has any."""
        trials = tuple(recorded(trial) for trial in finished_trials(study))
        best = best_trial(trials)
        if best is None or best.val_accuracy is None:
            problem = next((trial.problem for trial in trials if trial.problem), "none was finished")
            raise FrostlineError(f"no trial of {len(trials)} came to its end: {problem}")
        pictures = len(self.splits.val)
        compared = sum(trial.epochs for trial in trials)
        return SweepFigures(
            dataset=self.dataset.name,
            space=plain_space(self.space),
            train_pictures=len(self.sample.splits.train),
            all_train_pictures=len(self.splits.train),
            val_pictures=pictures,
            trials=trials,
            best=best.number,
            optimism=expected_optimism(max(compared, 1), best.val_accuracy, pictures),
            retrained=None,
        )


def _group(name: str) -> object:
    extra = TrainConfig.model_fields[name].json_schema_extra
    return extra["group"] if isinstance(extra, dict) else None


def run_search(search: Search, trials: int, time_limit: timedelta | None, go_on: str) -> Sweep:
    """Work on the study until it has its trials, and retrain the best if no other worker does.

    `go_on` is what a user who stopped it is told to give.
    """
    require_alone("a sweep")
    deadline = math.inf if time_limit is None else time.monotonic() + time_limit.total_seconds()
    workplace = search.folder / "trials"
    try:
        with answering(), open_storage(search.storage) as storage:
            study, is_new = open_study(storage, search.name, search.config.seed, search.settings)
            if is_new:
                _try_given(study, search)
            _describe(search, study, trials)
            _clear(workplace, study)
            try:
                work(study, trials, partial(_objective, search, study, trials, workplace), deadline)
            except (ConfigError, DataError, ModelError):
                if is_new and not finished_trials(study):  # with these options no trial works: nothing is left of it
                    delete_study(study_name=search.name, storage=storage)
                    shutil.rmtree(search.folder, ignore_errors=True)
                raise
            figures = search.figures(study)
            if running := running_trials(study):
                say(f"the time is over; other workers run {len(running)} trials, and the last trains with the best")
            else:
                figures = _retrain_best(search, storage, study, figures)
            _clear(workplace, study)
    except KeyboardInterrupt:
        say(f"stopped, and no trial is lost; to go on: {go_on}")
        raise
    finally:
        for empty in (workplace, search.folder):
            with suppress(OSError):
                empty.rmdir()
    return Sweep(search.folder, figures)


def _try_given(study: Study, search: Search) -> None:
    """Let the options that were given be the first trial, where the space has them: the best is held against them."""
    given = {name: getattr(search.base, name) for name in search.space}
    if all(value in search.space[name] for name, value in given.items()):
        study.enqueue_trial(given, user_attrs={"given": True})


def _describe(search: Search, study: Study, trials: int) -> None:
    sample = search.sample.splits
    layers = search.space.get("trainable_layers")
    cuts = len(layers.values) if isinstance(layers, Choices) else 1
    say(
        f"{trials} trials on {len(sample.train):,} of {len(search.splits.train):,} training pictures, compared on "
        f"{len(sample.val):,} validation pictures; {len(finished_trials(study))} are there already"
    )
    say(f"searched: {', '.join(search.space)}")
    if set(search.space) <= set(TAIL_SPACE):
        say(f"the trunk runs for {cuts} frost lines at most; all other trials train the tail alone, from the cache")
    say(f"folder of the sweep: {search.folder}")


def _objective(search: Search, study: Study, wanted: int, workplace: Path, trial: Trial) -> float:
    """Run one trial, and say in a line what came of it."""
    value = None
    try:
        value = run_trial(trial, search.sample, search.base, search.space, workplace / str(trial.number))
        return value
    finally:
        done = recorded(study.get_trials(deepcopy=False)[trial.number])
        if done.epochs or done.problem or value is not None:
            say(_line(done, len(finished_trials(study)) + 1, wanted, complete=value is not None))


def _line(trial: SweepTrial, place: int, wanted: int, *, complete: bool) -> str:
    options = ", ".join(f"{name} {option_text(value)}" for name, value in trial.options.items())
    if trial.problem:
        came = f"broke down: {trial.problem}"
    else:
        came = f"val accuracy {trial.val_accuracy:.4f}" + ("" if complete else f", pruned after epoch {trial.epochs}")
    return f"{place}/{wanted}  trial {trial.number}  {came}  {trial.seconds:.1f} s  {options}"


def _retrain_best(search: Search, storage: RDBStorage, study: Study, figures: SweepFigures) -> SweepFigures:
    """Train with the best options on all training pictures, unless another worker does or has done so.

    The retraining is a study with one trial: so one worker has it, and another can take it over where that one dies.
    """
    settings = {"best trial": figures.best}
    final, _ = open_study(storage, f"{search.name}: best of {len(figures.trials)}", search.config.seed, settings)

    def retrain(trial: Trial) -> float:
        best = figures.best_trial
        say(f"training with the options of trial {best.number} on all training pictures")
        run = train(
            search.dataset,
            config_with(search.config, {"epochs": search.base.epochs, **best.options}),
            splits=search.splits,
        )
        if run.interrupted:
            raise KeyboardInterrupt
        whole = replace(figures, retrained=_retrained(run))
        search.folder.mkdir(exist_ok=True)  # a worker that left may have removed it as empty
        whole.save(search.folder / "sweep.json")
        write_sweep_page(whole, study, search.folder / "sweep.html")
        trial.set_user_attr("figures", whole.to_dict())
        return run.figures.val.accuracy

    work(final, 1, retrain, wait=False)
    done = finished_trials(final)
    if not done:
        say("another worker is training with the best options; its page will have all figures")
        return figures
    return SweepFigures.from_dict(done[0].user_attrs["figures"])


def _retrained(run: Run) -> Retrained:
    test = run.figures.test
    return Retrained(
        folder=str(run.folder),
        val_accuracy=run.figures.val.accuracy,
        test_accuracy=None if test is None else test.accuracy,
        test_low=None if test is None else test.accuracy_low,
        test_high=None if test is None else test.accuracy_high,
        test_pictures=0 if test is None else test.pictures,
    )


def _clear(workplace: Path, study: Study) -> None:
    """Remove what trials that are no longer running left behind where their worker was killed."""
    found = list(workplace.glob("*"))  # before it is asked who runs: a trial that begins meanwhile has its folder later
    running = {str(trial.number) for trial in running_trials(study)}
    for leftover in found:
        if leftover.name not in running:
            shutil.rmtree(leftover, ignore_errors=True)
