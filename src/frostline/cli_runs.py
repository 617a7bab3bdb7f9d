"""The commands about finished runs, each reading what a run folder holds."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from frostline.cli_options import FILE, PATH, config_options, new_file
from frostline.cli_output import print_comparison, print_json, print_runs, print_threshold
from frostline.config import TrainConfig


@click.command()
@click.argument("run", type=PATH)
@click.option("--out", type=FILE, callback=new_file, help="Write the page to this file, not into the run folder.")
def report(run: Path, out: Path | None) -> None:
    """Make the page of a run anew.

    RUN is the folder of a run. The page is made from its files alone, whether or not the training pictures are still
    there, and says which of them are missing.
    """
    from frostline.results.pages.report import write_report
    from frostline.results.record import read_run

    record = read_run(run)
    written = out or record.folder.report
    write_report(record, written)
    for line in record.missing:
        print(f"note: {line}", file=sys.stderr)
    print(written)


@click.command()
@click.argument("folders", metavar="RUN RUN...", nargs=-1, required=True, type=PATH)
@click.option("--out", type=FILE, callback=new_file, help="Write the page to this file.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def compare(folders: Sequence[Path], out: Path | None, as_json: bool) -> None:
    """Compare runs on the same pictures.

    Each RUN is measured against the first, on the pictures that all of them have: figures with intervals, McNemar's
    test, the settings that differ, curves, and the pictures on which the runs disagree. It is a table here, and a page,
    compare-NUMBER.html beside the first run, which replaces no other.
    """
    from frostline.results.comparison.comparison import compare_runs
    from frostline.results.comparison.page import new_page, write_comparison_page
    from frostline.results.record import read_run

    comparison = compare_runs([read_run(folder) for folder in folders])
    page = out or new_page(folders[0])
    write_comparison_page(comparison, page)
    if as_json:
        print_json({"page": str(page), **comparison.to_dict()})
    else:
        print_comparison(comparison, page)


@click.command()
@click.argument("folder", type=PATH, default=Path("runs"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def runs(folder: Path, as_json: bool) -> None:
    """List the runs in a folder, best first.

    FOLDER is where they are, by default runs. The best has the highest validation accuracy: to choose among runs by
    their test accuracy would spend the test pictures. Runs that are not finished, or damaged, come last.
    """
    from frostline.results.listing import list_runs

    found = list_runs(folder)
    if as_json:
        print_json({"folder": str(folder), "runs": [run.to_dict() for run in found]})
    else:
        print_runs(found, folder)


@click.command()
@click.argument("run", type=PATH)
@config_options("target_accuracy", "coverage")
def threshold(run: Path, **options: Any) -> None:
    """Set below which confidence a trained classifier is unsure.

    RUN is the folder of a run. The threshold is chosen on its validation pictures; its report has a table of some.
    Without an option, the classifier answers everything again.
    """
    config = TrainConfig.make(**{name: value for name, value in options.items() if value is not None})
    from frostline.training.outcome import change_threshold

    print_threshold(change_threshold(run, config))
