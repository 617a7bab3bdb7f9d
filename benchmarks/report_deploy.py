"""The sections of docs/benchmarks.md on exports and on installation, from the figures of export.py and install.py."""

from collections.abc import Sequence
from typing import Any

from figures import Entry, grouped
from tables import spread, table

_EXPORTS = """## Exports

`python benchmarks/export.py`

Linear probes of `frostline train --recipe quick`, each exported by `frostline export`, whose parity gate runs the
artefact in its own runtime on the run's validation pictures, from their files, next to the classifier:
{pictures}.

The same answer, and the largest difference of any probability: for pictures that were fitted before, as
`frostline predict` does, and for whole ones of any size, which the artefact fits. The gate asks for 99.9% (98.5% in 8
bits, which may cost half a point of accuracy). Accuracy, pictures/s and size are those of the classifier and of the
artefact. Pictures/s are from the file to the answer, in batches; the classifier itself is run by OpenVINO. Export is
the wall time of the whole command, with the gate. The weights of backbones with a star are random, so that their
accuracy says little: what counts are the same answers.
"""

_INSTALLATION = """## Installation

`python benchmarks/install.py`

`pip install 'frostline[EXTRA]'` into a new virtual environment with the versions of `constraints.txt`: seconds with an
empty cache of pip, where downloads go at the speed of the machine's connection, and again with what the first time left
there; size of all packages but pip. Then the wall time of whole processes of `frostline predict` with one photograph,
for an export in the extra's runtime and for the run that it was made from (mobilenetv2_100 at 224 px).
"""


def exports(content: dict[str, Any]) -> str:
    """The gate's figures by classifier and format."""
    entries: Sequence[Entry] = content["entries"]
    columns = (
        "classifier",
        "export",
        "gate",
        "same answer: fitted, whole",
        "largest difference: fitted, whole",
        "accuracy",
        "pictures/s",
        "MB",
        "export, s",
    )
    pictures = ", ".join(
        f"{count:,} of {dataset} at {size} px"
        for dataset, size, count in grouped(entries, "dataset", "size", "pictures")
    )
    ordered = [entry for group in grouped(entries, "dataset", "backbone").values() for entry in group]
    return "\n".join([_EXPORTS.format(pictures=pictures), table(columns, map(_export_row, ordered))])


def _export_row(entry: Entry) -> Sequence[str]:
    both = entry["classifier"], entry["exported"]
    ways = entry["fitted"], entry["whole"]
    return (
        f"{entry['backbone']}{'' if entry['pretrained'] else ' *'}, {entry['dataset']}",
        entry["format"],
        "passed" if entry["passed"] else "**failed**",
        ", ".join(f"{way['top1']:.2%}" for way in ways),
        ", ".join(f"{way['largest_difference']:.1g}" for way in ways),
        " → ".join(f"{one['accuracy']:.4f}" for one in both),
        " → ".join(f"{one['pictures_per_second']:,.0f}" for one in both),
        " → ".join(f"{one['bytes'] / 1e6:.1f}" for one in both),
        f"{entry['seconds']:.0f}",
    )


def installation(content: dict[str, Any]) -> str:
    """Install time, size and time to an answer, by extra."""
    columns = (
        "extra",
        "packages",
        "MB",
        "install, empty cache, s",
        "install, full cache, s",
        "predict with an export, s",
        "predict with the run, s",
    )
    return "\n".join([_INSTALLATION, table(columns, map(_install_row, content["entries"]))])


def _install_row(entry: Entry) -> Sequence[str]:
    torch = f" (torch {entry['torch']})" if entry["torch"] else ""
    answers = {name: spread(times, ".2f") for name, times in entry["predict_seconds"].items()}
    form = next(name for name in answers if name != "run")
    return (
        f"`{entry['extra']}`{torch}",
        str(entry["packages"]),
        f"{entry['bytes'] / 1e6:,.0f}",
        f"{entry['seconds']['empty cache']:.0f}",
        f"{entry['seconds']['full cache']:.0f}",
        f"{form}: {answers[form]}",
        answers.get("run", ""),
    )
