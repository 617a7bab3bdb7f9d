"""The command that searches for options."""

from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Column, Table

from frostline.cli_options import FILE, PATH, ConfigCommand, checked, config_options
from frostline.cli_output import print_json, print_table
from frostline.config import TrainConfig
from frostline.errors import ConfigError
from frostline.recipes import RECIPES

if TYPE_CHECKING:
    from frostline.training.search import Sweep

_SHOWN = 5
"""Trials that the table on standard output has; the page has all."""

_NOT_OF_A_TRIAL = ("source", "recipe", "folds", "time_limit")


@click.command(cls=ConfigCommand)
@click.argument("source", required=False)
@click.option("--trials", type=click.IntRange(min=1), help="Trials in all, over all workers. [default: 40]")
@click.option(
    *("--time-limit", "time_limit"),
    metavar="TIME",
    callback=checked,
    help="After this time, such as 1h, this worker begins no trial, and the best options are trained with.",
)
@click.option("--space", "space_file", type=FILE, help="A YAML file of what to search; else settings of the tail.")
@click.option(
    *("--pictures", "pictures"),
    type=click.IntRange(min=1),
    help="Training pictures of a trial, at most; the best options are trained with on all. [default: 5000]",
)
@click.option("--storage", metavar="URL", help="Keep the study in this database, for workers on many machines.")
@click.option("--name", help="Name of the study in the database; workers that give the same share it.")
@click.option(
    *("--resume", "folder"),
    type=PATH,
    metavar="SWEEP",
    help="Go on with a sweep that was stopped, or help one that runs on this machine.",
)
@click.option("--recipe", metavar="|".join(RECIPES), help="A named set of option values to begin with.")
@click.option("--config", "file", type=PATH, help="A YAML file of options to begin with.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@config_options(*(name for name in TrainConfig.model_fields if name not in _NOT_OF_A_TRIAL))
def sweep(
    source: str | None,
    trials: int | None,
    time_limit: timedelta | None,
    space_file: Path | None,
    pictures: int | None,
    storage: str | None,
    name: str | None,
    folder: Path | None,
    recipe: str | None,
    file: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Search for the best settings, then train with them.

    SOURCE is as in `frostline train`. Each trial is a training with other settings, measured on the validation
    pictures; test pictures are for the run with the best settings alone. Options that are given are fixed; recipe and
    file say where the others begin. A trial that falls behind is stopped early.

    A sweep that was stopped goes on with --resume SWEEP alone; several processes may do so at once. With --storage
    and --name, the same command joins the same study, on any machine.
    """
    if find_spec("optuna") is None:
        raise ConfigError("a sweep comes with Optuna: pip install 'frostline[sweep]'")
    given = {option: value for option, value in options.items() if value is not None}
    if folder is not None:
        others = {"SOURCE": source, "--space": space_file, "--pictures": pictures, "--storage": storage, "--name": name}
        others |= {"--recipe": recipe, "--config": file, **{f"--{key.replace('_', '-')}": given[key] for key in given}}
        if extra := next((key for key, value in others.items() if value is not None), None):
            raise ConfigError(f"--resume goes on with a sweep's own options: leave out {extra}")
        from frostline.training.sweep import resume_sweep

        _print(resume_sweep(folder, trials=trials, time_limit=time_limit), as_json=as_json)
        return
    config = TrainConfig.make(recipe=recipe, file=file, **given, **({} if source is None else {"source": source}))
    if config.source is None:
        raise ConfigError(
            "no SOURCE: name a folder of pictures, an archive or a dataset, such as: frostline sweep digits"
        )
    from frostline.data.sources import load_configured_dataset
    from frostline.space import TAIL_SPACE, read_space
    from frostline.training.sweep import PICTURES, TRIALS
    from frostline.training.sweep import sweep as search

    space = TAIL_SPACE if space_file is None else read_space(space_file)
    found = search(
        load_configured_dataset(config),
        config,
        trials=trials or TRIALS,
        pictures=pictures or PICTURES,
        space=space,
        fixed=set(given),
        time_limit=time_limit,
        storage=storage,
        name=name,
    )
    _print(found, as_json=as_json)


def _print(found: "Sweep", *, as_json: bool) -> None:
    """Print the best trials, the run with the best settings, and where all of it is."""
    from frostline.results.pages.sweep import validation_notes
    from frostline.results.sweep import option_text

    figures = found.figures
    if as_json:
        print_json({"folder": str(found.folder), **figures.to_dict()})
        return
    names = list(figures.space)
    right = ("trial", "val accuracy", "val loss", "epochs", *(name.replace("_", " ") for name in names))
    table = Table(*(Column(name, justify="right") for name in right))
    for trial in figures.ranked()[:_SHOWN]:
        if trial.val_accuracy is None:
            continue
        drawn = [option_text(trial.options[name]) for name in names]
        table.add_row(
            str(trial.number), f"{trial.val_accuracy:.4f}", f"{trial.val_loss:.4f}", str(trial.epochs), *drawn
        )
    print_table(table)
    print()
    for note in validation_notes(figures):
        print(note)
    if figures.retrained is not None:
        print(f"{'page':<18}{found.folder / 'sweep.html'}")
        print(f"{'run':<18}{figures.retrained.folder}")
