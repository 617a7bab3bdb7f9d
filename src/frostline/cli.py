"""The command line: each command parses, calls one function of the library, and prints."""

import errno
import io
import os
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.filesize import decimal
from rich.table import Column, Table

from frostline import __version__
from frostline.cli_deploy import export, serve
from frostline.cli_options import COLUMNS, FILE, PATH, ConfigCommand, config_options, new_file
from frostline.cli_output import print_audit, print_folds, print_json, print_run, print_table
from frostline.cli_predict import evaluate, explain, predict
from frostline.cli_runs import compare, report, runs, threshold
from frostline.cli_sweep import sweep
from frostline.config import TrainConfig
from frostline.errors import ConfigError, FrostlineError, ModelError
from frostline.recipes import RECIPES

EXIT_INTERRUPTED = 130
SERVING = {"starlette", "uvicorn", "httptools", "python_multipart", "prometheus_client"}
"""Packages of the extra `serve`; all others that can be missing are in `train`."""
RANK = os.environ.get("RANK")
"""Number of this process among those of one training, as torchrun gives it; None where it is the only one."""
LATER = 2.0
"""Seconds after which the other ranks say what is wrong: by then they are stopped, where the first rank has said it."""
CHECKED = (
    *("data_dir", *COLUMNS, "actions", "resize_mode", "backbone", "weights", "size", "seed", "device"),
    *("cache", "cache_limit", "runs_dir"),
)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    invoke_without_command=True,
    epilog="""\b
    frostline train photos/                  one folder in photos/ for each class
    frostline predict runs/photos-... new/   classify the pictures in new/
    """,
)
@click.version_option(__version__, prog_name="frostline")
@click.pass_context
def commands(context: click.Context) -> None:
    """Train image classifiers by transfer learning, and use them."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(2)


@commands.command(cls=ConfigCommand)
@click.argument("source", required=False)
@click.option("--recipe", metavar="|".join(RECIPES), help="A named set of option values, which flags can change.")
@click.option("--config", "file", type=PATH, help="A YAML file of options, such as a run's config.yaml.")
@click.option("--resume", "resumed", type=PATH, metavar="RUN", help="Go on with a run that was stopped.")
@click.option("--continue", "go_on", is_flag=True, help="Go on with the last run of these options, if it was stopped.")
@click.option(
    "--devices", type=click.IntRange(1), help="Train in so many processes on this machine, each with a GPU of its own."
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@config_options()
def train(
    source: str | None,
    recipe: str | None,
    file: Path | None,
    resumed: Path | None,
    go_on: bool,
    devices: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a classifier on labelled pictures.

    SOURCE is a folder, a zip or tar archive, a table of paths and labels, or a named dataset (see `frostline
    datasets`). A folder holds one folder of pictures for each class, or `train`, `val` and `test` folders that do. A
    table is a CSV, TSV or parquet file with the columns path and label, and split, group and time if there are any.
    """
    if devices is not None and devices > 1 and RANK is None:
        from frostline.training.launch import launch

        sys.exit(launch(devices, sys.argv[1:]))
    given = {name: value for name, value in options.items() if value is not None}
    if source is not None:
        given["source"] = source
    if resumed is not None:
        if given or recipe or file or go_on:
            raise ConfigError("--resume goes on with a run's own options: give no other options or source with it")
        from frostline.training.run import resume

        run = resume(resumed)
    else:
        config = TrainConfig.make(recipe=recipe, file=file, **given)
        if config.source is None:
            raise ConfigError(
                "no SOURCE: name a folder of pictures, an archive or a dataset, such as: frostline train digits"
            )
        from frostline.data.sources import load_configured_dataset

        dataset = load_configured_dataset(config)
        if config.folds is not None:
            from frostline.training.folds import cross_validate

            print_folds(cross_validate(dataset, config), as_json=as_json)
            return
        from frostline.training.run import train as train_run

        run = train_run(dataset, config, go_on=go_on)
    if RANK in (None, "0"):
        print_run(run, as_json=as_json)
    if run.interrupted:
        raise KeyboardInterrupt


@commands.command()
@click.argument("source")
@click.option("--fix", type=FILE, callback=new_file, help="Write what could be done about it, for train --actions.")
@click.option("--json", "as_json", is_flag=True, help="Print all that was found as JSON.")
@config_options(*CHECKED)
def check(source: str, fix: Path | None, as_json: bool, **options: Any) -> None:
    """Look for what is wrong with labelled pictures.

    SOURCE is as in `frostline train`. Files that cannot be read or are odd, classes, duplicates and near duplicates,
    those across splits or with different labels, labels that are probably wrong, and pictures that are like no other:
    as a table here, and in a folder of its own as check.json and as check.html, a page with the pictures. Nothing of
    yours is changed.
    """
    given = {name: value for name, value in options.items() if value is not None}
    config = TrainConfig.make(source=source, **given)
    from frostline.data.actions import save_actions
    from frostline.data.audit.proposals import propose_actions
    from frostline.data.sources import load_configured_dataset
    from frostline.training.doctor import check as examine
    from frostline.training.doctor import save_audit

    audit = examine(load_configured_dataset(config), config)
    folder = save_audit(audit, config.runs_dir)
    if fix is not None:
        save_actions(propose_actions(audit), fix)
    if as_json:
        print_json({"folder": str(folder), **audit.to_dict()})
    else:
        print_audit(audit, folder, fix)


@commands.command()
@click.argument("backbone")
@config_options("trainable_layers", "size")
def layers(backbone: str, **options: Any) -> None:
    """Show a backbone's layers, and which would train."""
    given = {name: value for name, value in options.items() if value is not None}
    config = TrainConfig.make(backbone=backbone, **given)
    from frostline.model.layer_table import layer_table

    print_table(layer_table(config.backbone, config.trainable_layers, config.size))


@commands.command()
@click.argument("search", default="")
def backbones(search: str) -> None:
    """List the backbones there are.

    SEARCH is a part of their name. The list shows parameters, input size, and where pretrained weights can be had now.
    """
    from frostline.model.backbone import list_backbones

    found = list_backbones(search)
    if not found:
        raise ModelError(f"no backbone's name contains {search!r}; `frostline backbones` lists all")
    table = Table("backbone", Column("parameters", justify="right"), Column("input", justify="right"), "weights")
    for info in found:
        count = "" if info.parameters is None else f"{info.parameters:,}"
        table.add_row(info.name, count, f"{info.size} px", info.weights)
    print_table(table)


@commands.command()
@config_options("data_dir")
def datasets(data_dir: Path | None) -> None:
    """List the named datasets, and which are here."""
    from frostline.data.named.registry import list_named

    table = Table(
        "dataset", Column("pictures", justify="right"), Column("classes", justify="right"), "here", "licence", "note"
    )
    for row in list_named(data_dir):
        table.add_row(
            row.name, f"{row.pictures:,}", str(row.classes), "yes" if row.here else "no", row.licence, row.note
        )
    print_table(table)


@commands.group(invoke_without_command=True)
@click.pass_context
def cache(context: click.Context) -> None:
    """Show or clear what is kept of earlier trainings.

    The trunk's output for each picture is kept in the folder FROSTLINE_CACHE, else in the user's cache, so that no
    later epoch or run computes it again. Clearing it loses nothing but time.
    """
    if context.invoked_subcommand is None:
        context.invoke(list_cache)


@cache.command("list")
def list_cache() -> None:
    """List what is kept, the last used first."""
    from frostline.training.cache import ActivationCache

    kept = ActivationCache.of_user()
    table = Table("activations", Column("size", justify="right"), "whole", "last used")
    for entry in kept.entries():
        used = entry.last_used.astimezone().strftime("%Y-%m-%d %H:%M")
        table.add_row(entry.about, decimal(entry.bytes), "yes" if entry.whole else "no", used)
    if table.row_count:
        print_table(table)
    total = sum(entry.bytes for entry in kept.entries())
    print(f"{table.row_count:,} in {kept.folder}, {decimal(total)} in all")


@cache.command("clear")
def clear_cache() -> None:
    """Remove all that no training is filling."""
    from frostline.training.cache import ActivationCache

    kept = ActivationCache.of_user()
    removed, size = kept.clear()
    left = len(kept.entries())
    still = f"; {left:,} stay, which a training is filling" if left else ""
    print(f"removed {removed:,} from {kept.folder}, {decimal(size)}{still}")


for command in (evaluate, predict, explain, export, serve, report, compare, runs, threshold, sweep):
    commands.add_command(command)


def main() -> None:
    """Run the command line, and exit with the code that fits."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = commands.main(prog_name="frostline", standalone_mode=False)
    except click.UsageError as error:
        hint = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
        _fail(_lower_first(error.format_message().rstrip(".")) + hint, error.exit_code)
    except FrostlineError as error:
        _fail(str(error), error.exit_code)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "frostline":
            raise
        extra = "serve" if error.name.partition(".")[0] in SERVING else "train"
        _fail(f"this needs the package {error.name}, which is not installed: pip install 'frostline[{extra}]'", 1)
    except (KeyboardInterrupt, click.Abort):
        _fail("stopped by Ctrl-C", EXIT_INTERRUPTED)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        advice = "; make room on the disk, or write to another one" if error.errno == errno.ENOSPC else ""
        _fail(f"{_lower_first(error.strerror or str(error))}{where}{advice}", 1)
    if code:
        sys.exit(code)


def _fail(message: str, code: int) -> NoReturn:
    of_rank = ""
    if RANK not in (None, "0"):
        time.sleep(LATER)
        of_rank = f"rank {RANK}: "
    print(f"frostline: {of_rank}{message}", file=sys.stderr)
    sys.exit(code)


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
