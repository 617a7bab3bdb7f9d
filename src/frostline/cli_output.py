"""What the command line prints on standard output: figures, JSON and tables."""

import json
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from frostline.results.metrics import Metrics
    from frostline.training.run import Run


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
    """Print the figures of one set of `pictures`, which says what they are."""
    low, high = metrics.accuracy_low, metrics.accuracy_high
    split = "" if metrics.split == "all" else f"{metrics.split} "
    print(f"{split + 'accuracy':<18}{metrics.accuracy:.4f}  (95% interval {low:.4f} to {high:.4f}; {pictures})")
    print(f"{split + 'loss':<18}{metrics.loss:.4f}")
    if metrics.top5_accuracy is not None:
        print(f"{'top-5 accuracy':<18}{metrics.top5_accuracy:.4f}")
    print(f"{'macro F1':<18}{metrics.macro_f1:.4f}")


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
