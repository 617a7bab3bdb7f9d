"""What the command line prints on standard output: figures, JSON and tables."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Column, Table

if TYPE_CHECKING:
    from frostline.data.audit.audit import Audit
    from frostline.results.metrics import Metrics
    from frostline.training.folds import CrossValidation
    from frostline.training.run import Run

_EXAMPLES = 3
"""Pictures that a line of the table of findings names."""


def print_run(run: "Run", *, as_json: bool) -> None:
    """Print what a training came to: its figures, and where its pictures and its classifier are."""
    if as_json:
        print_json({"folder": str(run.folder), **json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))})
        return
    print_metrics(run.metrics, _figures_of(run))
    if run.test_metrics is not None:
        print(f"{'val accuracy':<18}{run.val_metrics.accuracy:.4f}  ({run.val_metrics.pictures:,} pictures)")
    for name in ("curves", "confusion_matrix", "misclassified"):
        print(f"{name.replace('_', ' '):<18}{run.folder / name}.png")
    print(f"{'classifier':<18}{run.folder / 'classifier'}")


def _figures_of(run: "Run") -> str:
    pictures = counted(run.metrics)
    if run.test_metrics is None:
        return f"{pictures}, on which the epoch was chosen: there is no test split"
    kept = f"epoch {run.best_epoch} of {run.history[-1].epoch}" if run.best_epoch else "the linear probe"
    return f"{pictures}, {kept}"


def counted(metrics: "Metrics") -> str:
    """`all 60 pictures`, `1,200 test pictures`."""
    count = f"{metrics.pictures:,}"
    return f"all {count} pictures" if metrics.split == "all" else f"{count} {metrics.split} pictures"


def print_metrics(metrics: "Metrics", pictures: str) -> None:
    """Print the figures of one set of `pictures`, which says what they are; those that suit its classes come first."""
    low, high = metrics.accuracy_low, metrics.accuracy_high
    split = "" if metrics.split == "all" else f"{metrics.split} "
    overall = {
        f"{split}accuracy": f"{metrics.accuracy:.4f}  (95% interval {low:.4f} to {high:.4f}; {pictures})",
        f"{split}loss": f"{metrics.loss:.4f}",
    }
    if metrics.top5_accuracy is not None:
        overall["top-5 accuracy"] = f"{metrics.top5_accuracy:.4f}"
    by_class = {"balanced accuracy": f"{metrics.balanced_accuracy:.4f}", "macro F1": f"{metrics.macro_f1:.4f}"}
    for name, value in ({**by_class, **overall} if metrics.imbalanced else {**overall, **by_class}).items():
        print(f"{name:<18}{value}")


def print_folds(result: "CrossValidation", *, as_json: bool) -> None:
    """Print what a cross-validation came to."""
    summary = json.loads((result.folder / "summary.json").read_text(encoding="utf-8"))
    if as_json:
        print_json({"folder": str(result.folder), **summary})
        return
    for name, spread in result.spread.items():
        print(f"{name.replace('_', ' '):<18}{spread.mean:.4f} ± {spread.deviation:.4f}  ({len(result.runs)} folds)")
    print(f"{'predictions':<18}{result.folder / 'predictions.csv'}")
    print(f"{'runs':<18}{result.folder}")


def print_audit(audit: "Audit", folder: Path, fix: Path | None) -> None:
    """Print a line for each kind of finding, with some of the pictures, and where all of it is."""
    table = Table("found", Column("pictures", justify="right"), "such as")
    for name, indices in _kinds(audit):
        paths = [audit.dataset.samples[index].path for index in indices[:_EXAMPLES]]
        table.add_row(name, f"{len(indices):,}", ", ".join(paths))
    for line in audit.classes.describe():
        table.add_row("classes", "", line)
    if table.row_count:
        print_table(table)
    else:
        print("nothing found")
    print(f"{'page':<18}{folder / 'check.html'}")
    print(f"{'everything':<18}{folder / 'check.json'}")
    if fix is not None:
        print(f"{'actions':<18}{fix}  (edit it, then: frostline train {audit.dataset.source} --actions {fix})")


def _kinds(audit: "Audit") -> Iterator[tuple[str, Sequence[int]]]:
    """What was found, with the pictures of each kind; kinds of which there are none are left out."""
    leaked = audit.leakage.affected
    for oddity in audit.oddities:
        yield oddity, [finding.index for finding in audit.findings if finding.oddity == oddity]
    kinds = {
        **{f"leakage into {split}": indices for split, indices in leaked.items()},
        "contradictions": [index for group in audit.contradictions for index in group.indices],
        "exact duplicates": [index for group in audit.duplicates if group.exact for index in group.indices[1:]],
        "near duplicates": [index for group in audit.duplicates if not group.exact for index in group.indices[1:]],
        "suspect labels": [suspect.index for suspect in audit.suspects],
        "outliers": [outlier.index for outlier in audit.outliers],
    }
    yield from ((name, indices) for name, indices in kinds.items() if indices)


def print_json(values: dict[str, Any]) -> None:
    """Print one object, in ASCII: it is whole in any encoding of the terminal."""
    json.dump(values, sys.stdout, indent=2)
    print()


def print_table(table: Table) -> None:
    """Print a table as wide as the terminal; one row a line where there is none."""
    table.box = None
    table.pad_edge = False
    table.header_style = "bold"
    for column in table.columns:
        column.overflow = "fold"
    width = None if sys.stdout.isatty() else 10_000
    Console(width=width, highlight=False, markup=False, emoji=False).print(table)
