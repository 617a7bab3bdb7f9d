"""Begin a search over the options of a training, or go on with one."""

import re
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path

import yaml

from frostline.config import TrainConfig, read_yaml
from frostline.data.dataset import Dataset
from frostline.data.sources import load_configured_dataset
from frostline.data.splits import Splits, load_splits, make_splits, save_splits
from frostline.errors import ConfigError
from frostline.files import atomic_write
from frostline.model.layers import trace_layers
from frostline.results.run_folder import create_run_folder
from frostline.space import TAIL_SPACE, Choices, Space, make_space, plain_space
from frostline.training.doctor import keep_duplicates_together
from frostline.training.search import Search, Sweep, run_search
from frostline.training.setup import load_configured_backbone
from frostline.training.study import sqlite_url

TRIALS = 40
"""Trials of a sweep by default."""

PICTURES = 5_000
"""Training pictures of a trial by default, at most."""

_STUDY = "study.db"
_OWN_NAME = "sweep"
"""Name of the study in a folder of its own."""

_ABOUT = "sweep.yaml"


def sweep(
    dataset: Dataset,
    config: TrainConfig,
    *,
    trials: int = TRIALS,
    pictures: int = PICTURES,
    space: Space = TAIL_SPACE,
    fixed: Collection[str] = (),
    time_limit: timedelta | None = None,
    storage: str | None = None,
    name: str | None = None,
) -> Sweep:
    """Search the options that train best on a dataset, then train with them.

    Each of the `trials` trains with options from the `space` instead of those of `config`, but for the `fixed` ones, on
    at most so many training `pictures`, and is measured on the validation pictures; no trial has the test pictures.
    Trials are counted over all workers. After the `time_limit` no trial begins. The study is kept in a new folder, or
    in a `storage` for many machines, under a `name`: who gives the same again works on the same study. Ctrl-C raises
    `KeyboardInterrupt`, and loses no trial. Raises what `train` raises, and `ConfigError` where the search itself makes
    no sense or the study is another's.
    """
    if config.folds is not None or config.time_limit is not None:
        raise ConfigError("a trial has neither folds nor a time limit of its own: leave them out of the options")
    if (storage is None) != (name is None):
        raise ConfigError("--storage and --name go together: a storage can hold many studies, and workers join by name")
    if config.group_duplicates:
        dataset = keep_duplicates_together(dataset, config)
    splits = _choose_splits(dataset, config)
    searched = _searched(dataset, config, space, fixed)
    if storage is None or name is None:
        folder = create_run_folder(config.runs_dir, "sweep", dataset.name).path
        save_splits(splits, dataset, folder / "splits.csv")
        _save_about(folder, config, searched, trials, pictures)
        storage, name = _own_storage(folder), _OWN_NAME
        go_on = f"frostline sweep --resume {folder}"
    else:
        folder = config.runs_dir / re.sub(r"[^\w.-]+", "_", f"sweep-{name}")
        folder.mkdir(parents=True, exist_ok=True)
        go_on = "the same command"
    search = Search(folder, dataset, splits, config, searched, pictures, storage, name)
    return run_search(search, trials, time_limit, go_on)


def resume_sweep(folder: Path, *, trials: int | None = None, time_limit: timedelta | None = None) -> Sweep:
    """Go on with a sweep that was stopped, or work on it beside others, with its own options.

    `trials` says how many there are to be in all, by default what was said first. Raises `ConfigError` where there is
    no such sweep, and `DataError` where its pictures have changed.
    """
    if not (folder / _ABOUT).is_file():
        raise ConfigError(f"{folder} is not the folder of a sweep with a study in it: name one that has {_ABOUT}")
    about = read_yaml(folder / _ABOUT)
    try:
        options, space, pictures = dict(about["options"]), dict(about["space"]), int(about["pictures"])
        wanted = int(about["trials"]) if trials is None else trials
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{folder / _ABOUT} is damaged ({error!r}): start a new sweep") from error
    config = TrainConfig.make(**{**options, "runs_dir": folder.resolve().parent})
    dataset = load_configured_dataset(config)
    splits = load_splits(folder / "splits.csv", dataset)
    searched = make_space(space, str(folder / _ABOUT))
    search = Search(folder, dataset, splits, config, searched, pictures, _own_storage(folder), _OWN_NAME)
    return run_search(search, wanted, time_limit, f"frostline sweep --resume {folder}")


def _choose_splits(dataset: Dataset, config: TrainConfig) -> Splits:
    if config.splits is not None:
        return load_splits(config.splits, dataset)
    return make_splits(dataset, val_fraction=config.val_fraction, test_fraction=config.test_fraction, seed=config.seed)


def _searched(dataset: Dataset, config: TrainConfig, space: Space, fixed: Collection[str]) -> Space:
    """The space without what is fixed, and without more trainable layers than the backbone has."""
    searched = {name: dimension for name, dimension in space.items() if name not in fixed}
    layers = searched.get("trainable_layers")
    if isinstance(layers, Choices) and "backbone" not in searched:
        backbone, _ = load_configured_backbone(dataset, config)
        count = len(trace_layers(backbone.module, backbone.size).layers)
        fitting = tuple(value for value in layers.values if not isinstance(value, int) or value <= count)
        searched["trainable_layers"] = Choices(fitting)
    if not searched:
        raise ConfigError("nothing is left to search: every option of the space is given")
    return searched


def _own_storage(folder: Path) -> str:
    return sqlite_url(str((folder / _STUDY).resolve()))


def _save_about(folder: Path, config: TrainConfig, space: Space, trials: int, pictures: int) -> None:
    """Write what `resume_sweep` needs, such that it means the same in any working folder."""
    paths = {name: getattr(config, name) for name in ("data_dir", "actions")}
    lasting = config.model_copy(
        update={"splits": None, **{name: path and path.expanduser().resolve() for name, path in paths.items()}}
    )
    options = lasting.model_dump(include=lasting.model_fields_set)
    about = {"options": options, "space": plain_space(space), "trials": trials, "pictures": pictures}
    with atomic_write(folder / _ABOUT) as file:
        yaml.safe_dump(about, file, sort_keys=False, allow_unicode=True)
