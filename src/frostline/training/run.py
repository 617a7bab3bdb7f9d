"""A whole run: from a dataset to a folder with a classifier and its figures."""

import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from frostline.config import TrainConfig
from frostline.data.dataset import Dataset
from frostline.data.sources import load_configured_dataset
from frostline.data.splits import Splits, load_splits, make_splits, save_splits
from frostline.errors import ConfigError, ModelError
from frostline.progress import log_to, quiet, say
from frostline.training.calibrate import require_one_threshold
from frostline.training.defaults import epochs_of, settle_few
from frostline.training.distributed import Ranks, joined, require_alone, was_restarted
from frostline.training.doctor import keep_duplicates_together
from frostline.training.environment import describe_environment
from frostline.training.execution import OnEpoch, Run, Task, execute
from frostline.training.growing import require_growth
from frostline.training.loggers import require_loggers
from frostline.training.plan import make_plan
from frostline.training.setup import load_configured_backbone
from frostline.training.start import require_start
from frostline.training.working_folder import find_stopped, new_folder, resumed_folder


def train(
    dataset: Dataset,
    config: TrainConfig,
    *,
    splits: Splits | None = None,
    on_epoch: OnEpoch | None = None,
    go_on: bool = False,
    report: bool = True,
) -> Run:
    """Train a classifier on a dataset and leave a run folder.

    `splits` are used instead of those that the options say. `on_epoch` is told of every epoch; it changes nothing.
    With `go_on`, and where `torchrun` has restarted this process, the last run of the same options goes on, if it was
    stopped. Processes that were started together, as by `torchrun`, train together: each with a part of the pictures.
    Without a `report`, the linear probe is not measured beside the network, and no pictures and pages are made.
    Ctrl-C keeps the best epoch so far and finishes the folder; before the first epoch has ended it raises
    `KeyboardInterrupt`. Raises `ConfigError`, `DataError` or `ModelError` before training where options, pictures or
    backbone are wrong; no folder is left then.
    """
    require_start(config)
    require_one_threshold(config)
    require_loggers(config)
    if config.folds is not None:
        raise ConfigError("one training has no folds: leave out folds, or call cross_validate")
    if config.time_limit is not None:
        require_alone("--time-limit")
    if config.trunk_precision == "int8":
        require_alone("--trunk-precision int8")
    with joined() as ranks, _speaking(ranks):
        return _train(dataset, config, splits, on_epoch, ranks, go_on=go_on or was_restarted(), report=report)


def _train(
    dataset: Dataset,
    config: TrainConfig,
    splits: Splits | None,
    on_epoch: OnEpoch | None,
    ranks: Ranks,
    *,
    go_on: bool,
    report: bool,
) -> Run:
    deadline = None if config.time_limit is None else time.monotonic() + config.time_limit.total_seconds()
    config = _for_ranks(config, ranks)
    if splits is None:
        if config.group_duplicates:
            dataset = keep_duplicates_together(dataset, config)
        splits = _choose_splits(dataset, config)
    given, config = config, settle_few(config, dataset, len(splits.train) + len(splits.val))
    are_few = config is not given
    plan = None
    if deadline is not None:
        plan = make_plan(dataset, splits, config, deadline)
        say(f"plan: {plan}")
        config = plan.config
    chosen = config
    backbone, config = load_configured_backbone(dataset, config)
    require_growth(config)
    if are_few:
        _say_few(config)
    config = _repeatable(config, dataset, splits)
    if go_on and (stopped := ranks.from_first(find_stopped(config, dataset.name) if ranks.is_first else None)):
        return _resume(stopped, on_epoch, ranks)
    with new_folder(config.runs_dir, dataset.name, config.backbone, ranks) as folder:
        folder.write_json(folder.environment, describe_environment(dataset, backbone, chosen))
        save_splits(splits, dataset, folder.splits)
        config.save(folder.config)  # last: a folder that has it has all that resuming needs
        with log_to(folder.log):
            return execute(Task(folder, dataset, splits, backbone, config, ranks, plan, report), on_epoch)


def _speaking(ranks: Ranks) -> AbstractContextManager[None]:
    """While inside, only the first rank shows anything."""
    return nullcontext() if ranks.is_first else quiet()


def _for_ranks(config: TrainConfig, ranks: Ranks) -> TrainConfig:
    """The options of one rank: only the first tells loggers."""
    return config if ranks.is_first else config.model_copy(update={"tensorboard": False, "mlflow": False})


def _choose_splits(dataset: Dataset, config: TrainConfig) -> Splits:
    if config.splits is not None:
        return load_splits(config.splits, dataset)
    return make_splits(dataset, val_fraction=config.val_fraction, test_fraction=config.test_fraction, seed=config.seed)


def _say_few(config: TrainConfig) -> None:
    seen = "all depths" if config.features == "depths" else "the last layer"
    say(
        f"few pictures: no layer of the backbone trains, the head is the linear probe of the features of {seen}; "
        "--epochs trains layers too"
    )


def _repeatable(config: TrainConfig, dataset: Dataset, splits: Splits) -> TrainConfig:
    """The same options, such that they mean the same in any working folder and for any later version's defaults."""
    lasting: dict[str, Any] = {"source": dataset.source, "epochs": epochs_of(config, len(splits.train))}
    for name in ("data_dir", "splits", "actions"):
        path = getattr(config, name)
        lasting[name] = path and path.expanduser().resolve()
    if config.weights not in (None, "auto", "none"):
        lasting["weights"] = str(Path(config.weights).expanduser().resolve())
    return config.model_copy(update=lasting)


def resume(path: str | Path, *, on_epoch: OnEpoch | None = None) -> Run:
    """Go on with a run that was stopped, in its own folder; the result is that of a run that was not.

    Raises `ConfigError` where there is no such run or it is finished, `DataError` where its pictures have changed,
    and `ModelError` where the pretrained weights have.
    """
    with joined() as ranks, _speaking(ranks):
        return _resume(path, on_epoch, ranks)


def _resume(path: str | Path, on_epoch: OnEpoch | None, ranks: Ranks) -> Run:
    with resumed_folder(path, ranks) as folder:
        if folder.metrics.exists() and not folder.read_json(folder.metrics)["interrupted"]:
            raise ConfigError(f"{path} is finished, nothing is left to resume; repeat it with --config {folder.config}")
        config = _for_ranks(TrainConfig.make(file=folder.config), ranks)
        require_loggers(config, folder)
        dataset = load_configured_dataset(config)
        splits = load_splits(folder.splits, dataset)
        backbone, config = load_configured_backbone(dataset, config)
        before = folder.read_json(folder.environment)["weights"]
        if before["sha256"] != backbone.weights.sha256:
            raise ModelError(
                f"{path} began with other pretrained weights ({before['description']}) than those found now "
                f"({backbone.weights.description}); put the first ones back, or start a new run"
            )
        with log_to(folder.log):
            say(f"resuming {folder.path}")
            return execute(Task(folder, dataset, splits, backbone, config, ranks), on_epoch)
