"""What the command line prints on standard output: figures, JSON and tables."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.filesize import decimal
from rich.table import Column, Table

if TYPE_CHECKING:
    from frostline.data.audit.audit import Audit
    from frostline.deploy.export import Exported
    from frostline.results.comparison.comparison import Comparison
    from frostline.results.figures import RunFigures
    from frostline.results.listing import ListedRun
    from frostline.results.metrics import Metrics
    from frostline.training.execution import Run
    from frostline.training.folds import CrossValidation

_EXAMPLES = 3
"""Pictures that a line of the table of findings names."""


def print_run(run: "Run", *, as_json: bool) -> None:
    """Print what a training came to: its figures, and where its pictures and its classifier are."""
    if as_json:
        print_json({"folder": str(run.folder), **json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))})
        return
    print_metrics(run.metrics, _figures_of(run))
    if run.figures.test is not None:
        print(f"{'val accuracy':<18}{run.figures.val.accuracy:.4f}  ({run.figures.val.pictures:,} pictures)")
    if run.figures.flip_tta is not None:
        flips = run.figures.flip_tta[run.figures.figures_of]
        print(f"{'with flips':<18}{flips.accuracy:.4f}  (averaged with mirror images: predict --tta flip)")
    for name, value in _trust(run.figures):
        print(f"{name:<18}{value}")
    print(f"{'report':<18}{run.folder / 'report.html'}")
    print(f"{'classifier':<18}{run.folder / 'classifier'}")


def print_threshold(figures: "RunFigures") -> None:
    """Print what a threshold for `unsure` comes to on each split."""
    if figures.trust.unsure_below is None:
        print("everything is answered")
        return
    print(f"{'unsure below':<18}{figures.trust.unsure_below:.4f}")
    for split, trust in figures.trust.splits.items():
        assert trust.answered is not None
        print(f"{split:<18}{trust.answered.describe('pictures')}")


def _trust(figures: "RunFigures") -> Iterator[tuple[str, str]]:
    """Whether the probabilities can be believed, and what is left unsure."""
    trust = figures.trust.splits[figures.figures_of]
    yield "calibration error", f"{trust.after.error:.4f}  ({trust.before.error:.4f} before calibration)"
    if trust.answered is not None:
        yield "answered", f"{trust.answered.describe(f'{figures.figures_of} pictures')}; the rest is unsure"


def _figures_of(run: "Run") -> str:
    pictures = counted(run.metrics)
    if run.figures.test is None and run.figures.val_folds is not None:
        return f"{pictures}, each judged by a head that has not seen it: there is no test split"
    if run.figures.test is None:
        return f"{pictures}, on which the epoch was chosen: there is no test split"
    kept = (
        f"epoch {run.figures.best_epoch} of {run.history[-1].epoch}" if run.figures.best_epoch else "the linear probe"
    )
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
    if as_json:
        summary = json.loads((result.folder / "summary.json").read_text(encoding="utf-8"))
        print_json({"folder": str(result.folder), **summary})
        return
    for name, spread in result.spread.items():
        print(f"{name.replace('_', ' '):<18}{spread.mean:.4f} ± {spread.deviation:.4f}  ({len(result.runs)} folds)")
    print(f"{'predictions':<18}{result.folder / 'predictions.csv'}")
    print(f"{'runs':<18}{result.folder}")


def print_audit(audit: "Audit", folder: Path, fix: Path | None) -> None:
    """Print a line for each kind of finding, with some of the pictures, and where all of it is."""
    table = Table("found", Column("pictures", justify="right"), "such as")
    for name, indices in audit.kinds().items():
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


def print_comparison(comparison: "Comparison", page: Path) -> None:
    """Print a table of figures and settings with a column for each run, what came out, and where the page is."""
    from frostline.results.comparison.text import figure_rows, setting_rows, verdicts

    table = Table("", *(Column(run.name, justify="right") for run in comparison.runs))
    for row in (*figure_rows(comparison), *setting_rows(comparison)):
        table.add_row(row.name, *row.cells)
    print_table(table)
    print()
    for sentence in (*verdicts(comparison), *comparison.caveats):
        print(sentence)
    print(f"{'page':<18}{page}")


def print_runs(runs: "Sequence[ListedRun]", folder: Path) -> None:
    """Print a line for each run, in the order given."""
    if not runs:
        print(f"no runs in {folder}")
        return
    right = ("size", "val accuracy", "test accuracy", "epochs", "minutes")
    table = Table("run", "dataset", "backbone", *(Column(name, justify="right") for name in right), "date", "")
    for run in runs:
        table.add_row(
            run.name,
            run.dataset,
            run.backbone,
            _cell(run.size, "{} px"),
            _cell(run.val_accuracy, "{:.4f}"),
            _cell(run.test_accuracy, "{:.4f}"),
            _cell(run.epochs, "{}"),
            _cell(run.seconds and run.seconds / 60, "{:.1f}"),
            _cell(run.started and run.started[:16].replace("T", " "), "{}"),
            run.problem,
        )
    print_table(table)


def print_export(exported: "Exported") -> None:
    """Print what the parity gate saw, and where the artefact is."""
    parity = exported.parity
    print(f"compared on {parity.pictures:,} {parity.compared}")
    right = ("classifier", parity.runtime)
    table = Table("", *(Column(name, justify="right") for name in right))
    sides = (parity.classifier, parity.exported)
    table.add_row("accuracy", *(f"{side.accuracy:.4f}" for side in sides))
    table.add_row("pictures/s", *(f"{side.pictures_per_second:,.0f}" for side in sides))
    table.add_row("size", *(decimal(side.bytes) for side in sides))
    table.add_row("same answer", "", f"{parity.fitted.top1:.2%}")
    table.add_row("same answer, pictures given as they are", "", f"{parity.whole.top1:.2%}")
    largest = max(parity.fitted.largest_difference, parity.whole.largest_difference)
    table.add_row("largest difference of a probability", "", f"{largest:.2g}")
    print_table(table)
    for failure in parity.failures():
        print(f"kept all the same: {failure}")
    print(f"{'artefact':<18}{exported.folder}")


def _cell(value: float | str | None, form: str) -> str:
    """A value in a table; empty where there is none."""
    return "" if value is None else form.format(value)


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
