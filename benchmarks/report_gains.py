"""The section of docs/benchmarks.md on what single settings gain, from gains.py."""

from collections.abc import Sequence
from typing import Any

from figures import Entry, grouped
from gains import ALONE, SETTINGS
from tables import mean_and_deviation, mean_and_range, table

from frostline.recipes import RECIPES

_GAINS = """## What settings gain

`python benchmarks/gains.py`

Each setting is added alone to the same fine-tuning of all layers: fresh views with a light augmentation, a start from
the linear probe, frozen batch norm, a learning rate that falls along a cosine, labels smoothed by 0.1. It trains on
some of CIFAR-10's training pictures, as many of each class, and is measured on the 5,000 validation pictures after its
last epoch; the test pictures were not looked at. ± is the standard deviation over the seeds, "gain" the mean of the
differences to the same seed without the setting, with the lowest and the highest. The last column averages each answer
with that of the mirror image (`--tta flip`) and tells what that adds to the row. What gains is in the recipe `best`.
"""

_COLUMNS = (
    "setting",
    "options",
    "runs",
    "validation accuracy, %",
    "gain, points",
    "in `best`",
    "flips add, points",
)


def gains(content: dict[str, Any]) -> str:
    """A table for each amount of pictures and further options, with a row for each setting."""
    sections = [_GAINS]
    trainings = grouped(content["entries"], "backbone", "size", "epochs", "pictures", "options")
    for (backbone, size, epochs, pictures, options), entries in trainings.items():
        given = f", with `{options}`" if options else ""
        sections.append(f"{pictures:,} pictures, {epochs} epochs, {backbone} at {size} px{given}:\n")
        sections.append(table(_COLUMNS, _rows(entries)))
    return "\n".join(sections)


def _rows(entries: Sequence[Entry]) -> list[Sequence[object]]:
    by_setting = grouped(entries, "setting")
    alone = {entry["seed"]: entry["val_accuracy"] for entry in by_setting[next(iter(SETTINGS)),]}
    rows: list[Sequence[object]] = []
    for name, options in SETTINGS.items():
        runs = by_setting.get((name,), [])
        if not runs:
            continue
        gained = [100 * (run["val_accuracy"] - alone[run["seed"]]) for run in runs if options and run["seed"] in alone]
        rows.append(
            (
                name,
                f"`{' '.join(map(str, options))}`" if options else "",
                len(runs),
                mean_and_deviation([100 * run["val_accuracy"] for run in runs]),
                mean_and_range(gained, "+.1f") if gained else "",
                "yes" if options and in_recipe(options, "best") else "",
                mean_and_range([100 * (run["flip_accuracy"] - run["kept_accuracy"]) for run in runs], "+.1f"),
            )
        )
    return rows


def in_recipe(options: Sequence[object], recipe: str) -> bool:
    """Whether a recipe has an option of the command line, at any value but that of `ALONE`."""
    flag = str(options[0])
    name = flag.removeprefix("--").replace("-", "_")
    values = RECIPES[recipe]
    if name not in values:
        return False
    alone = ALONE[ALONE.index(flag) + 1] if flag in ALONE else None
    return bool(values[name] != alone)
