"""A search over options as one HTML page that needs nothing beside it."""

from pathlib import Path
from typing import TYPE_CHECKING

from frostline import __version__
from frostline.files import atomic_write
from frostline.results.drawing.study_charts import study_charts
from frostline.results.pages.render import render
from frostline.results.sweep import SweepFigures, option_text

if TYPE_CHECKING:
    from optuna.study import Study


def write_sweep_page(figures: SweepFigures, study: "Study", path: Path) -> None:
    """Write the page. Raises `OSError` where it cannot be written."""
    page = render(
        "sweep.html",
        figures=figures,
        names=list(figures.space),
        ranges={name: _range_text(dimension) for name, dimension in figures.space.items()},
        given=next((trial for trial in figures.trials if trial.given), None),
        notes=validation_notes(figures),
        charts=study_charts(study, figures.best),
        option_text=option_text,
        version=__version__,
    )
    with atomic_write(path) as file:
        file.write(page)


def validation_notes(figures: SweepFigures) -> list[str]:
    """How much the validation pictures were used, and what that does to their figures, a sentence each."""
    best = figures.best_trial
    assert best.val_accuracy is not None
    notes = [
        f"{len(figures.trials):,} trials with {figures.compared:,} epochs were compared on the same "
        f"{figures.val_pictures:,} validation pictures; the best accuracy there is {best.val_accuracy:.4f}.",
        f"The highest of so many is too good by chance: by up to {100 * figures.optimism:.2f} points are expected, the "
        "expected maximum of as many independent normal deviates (David & Nagaraja 2003) times the standard error of "
        "that accuracy. Accuracies on the same pictures go together, so the true figure is lower.",
    ]
    run = figures.retrained
    if run is not None and run.test_accuracy is not None:
        notes.append(
            f"Retrained with these options, validation accuracy is {run.val_accuracy:.4f} and test accuracy "
            f"{run.test_accuracy:.4f} (95% interval {run.test_low:.4f} to {run.test_high:.4f}, {run.test_pictures:,} "
            f"pictures that no trial has seen): a gap of {100 * (run.val_accuracy - run.test_accuracy):+.2f} points. "
            "The test accuracy is the figure to report."
        )
    elif run is not None:
        notes.append(
            f"Retrained with these options, validation accuracy is {run.val_accuracy:.4f}. There are no test pictures: "
            "nothing says how good the classifier is on pictures that it was not chosen by."
        )
    if figures.train_pictures < figures.all_train_pictures:
        notes.append(
            f"Each trial had {figures.train_pictures:,} of the {figures.all_train_pictures:,} training pictures, the "
            "retrained run has all: what is best for few need not be best for many."
        )
    return notes


def _range_text(dimension: object) -> str:
    if isinstance(dimension, dict):
        scale = ", logarithmic" if dimension.get("log") else ""
        steps = f" in steps of {dimension['step']:g}" if dimension.get("step") else ""
        return f"{dimension['low']:g} to {dimension['high']:g}{steps}{scale}"
    assert isinstance(dimension, list)
    return ", ".join(option_text(value) for value in dimension)
