"""The section of docs/benchmarks.md on the data doctor, from the figures of duplicates.py and labels.py."""

from collections.abc import Sequence
from typing import Any

from figures import Entry
from tables import table

_DUPLICATES = """## Duplicates

`python benchmarks/duplicates.py SOURCE ... --seed {seed}`

Copies are made of pictures that are drawn, half of them across splits: what `frostline check` finds of them, and which
of the pairs that it names are none. The threshold was chosen on another draw (docs/log.md). Pairs of two
originals, which are twins in the dataset itself, are counted apart.
"""

_LABELS = """## Suspect labels

`python benchmarks/labels.py`

Labels of CIFAR-10's training pictures, some of them flipped: at random to any other class, or between cat and dog and
between truck and automobile, where the part is of these classes. Ranked by how doubtful a label is; suspects are those
that `frostline check` names.
"""


def duplicates(content: dict[str, Any]) -> str:
    """Recall by kind of copy, and precision."""
    entries: Sequence[Entry] = content["entries"]
    kinds = list(entries[0]["recall_by_kind"])
    rows = [[kind, *(f"{entry['recall_by_kind'].get(kind, 0):.3f}" for entry in entries)] for kind in kinds]
    rows += [
        ["all: recall", *(f"{entry['recall']:.3f}" for entry in entries)],
        ["all: precision", *(f"{entry['precision']:.3f}" for entry in entries)],
        ["pairs of two originals", *(str(len(entry["pairs_of_originals"])) for entry in entries)],
        ["search, s", *(f"{entry['seconds']['search']:.1f}" for entry in entries)],
    ]
    columns = ["copies", *(f"{e['dataset']}: {e['copies']} of {e['pictures']:,} pictures" for e in entries)]
    return "\n".join([_DUPLICATES.format(seed=entries[0]["seed"]), table(columns, rows)])


def labels(content: dict[str, Any]) -> str:
    """Average precision and precision at the number flipped, by case."""
    columns = (
        "flipped",
        "labels",
        "average precision",
        "precision at the number flipped",
        "suspects",
        "of them flipped",
    )
    rows = [
        (
            f"{entry['case']}, {entry['part']:.0%}",
            f"{entry['flipped']:,} of {entry['pictures']:,}",
            f"{entry['average_precision']:.3f}",
            f"{entry['precision_at_flipped']:.3f}",
            f"{entry['suspects']:,}",
            f"{entry['suspects_precision']:.1%}",
        )
        for entry in content["entries"]
    ]
    return "\n".join([_LABELS, table(columns, rows)])
