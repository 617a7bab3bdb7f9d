"""Measure exports beside the classifiers that they are made from: `python benchmarks/export.py`.

Each classifier is a linear probe of `frostline train --recipe quick`, and each export is one `frostline export`, whose
own figures of the parity gate are kept, whether it passes or not. With `--runs FOLDER` the classifiers stay there, and
those of an earlier time are not trained again.
"""

import argparse
import json
import os
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from measure import RESULTS, Results, watch

DATASETS = {
    "hymenoptera": ("--skip-unreadable", "--size", "224"),
    "cifar10": ("--size", "96"),
}
"""What is trained on, with options of `frostline train`: photographs of many sizes, and many pictures of one size."""

FORMATS = {
    "onnx": (),
    "openvino": (),
    "torchscript": (),
    "openvino int8": ("--int8",),
}
"""Options of `frostline export` besides `--format`, which is the name's first word."""


@dataclass(frozen=True)
class Case:
    """One classifier."""

    dataset: str
    backbone: str
    pretrained: bool = True
    """Else the backbone's weights are random, and 8 bits are not measured."""
    options: tuple[str, ...] = ()
    """Further ones of `frostline train`."""

    @property
    def formats(self) -> list[str]:
        """What it is exported to."""
        return [name for name in FORMATS if self.pretrained or "--int8" not in FORMATS[name]]


CASES = (
    Case("hymenoptera", "tf_efficientnet_lite0"),
    Case("hymenoptera", "mobilenetv2_100"),
    Case("hymenoptera", "resnet50", pretrained=False),
    Case("hymenoptera", "convnext_tiny", pretrained=False),
    Case("hymenoptera", "vit_small_patch16_224", pretrained=False, options=("--features", "last")),
    Case("cifar10", "mobilenetv2_100"),
)


def train(case: Case, runs: Path) -> Path:
    """The run of a classifier, in a folder of its own in `runs`; one that is there already is used."""
    place = runs / f"{case.dataset}-{case.backbone}"
    if not any(place.glob("*/classifier/classifier.json")):
        source = Path(os.environ["FROSTLINE_DATA"], "hymenoptera.zip") if case.dataset == "hymenoptera" else "cifar10"
        weights = () if case.pretrained else ("--weights", "none")
        network = ("--backbone", case.backbone, *weights, *DATASETS[case.dataset], *case.options)
        command = [sys.executable, "-m", "frostline", "train", str(source), "--recipe", "quick", *network]
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as cache:
            watch([*command, "--runs-dir", str(place)], place, FROSTLINE_CACHE=cache)
    return next(place.glob("*/classifier/classifier.json")).parent.parent


def export(run: Path, form: str, folder: Path) -> dict[str, object]:
    """Export to a new folder, also where the gate is not passed. Gives the figures of the gate, and the wall time."""
    command = [sys.executable, "-m", "frostline", "export", str(run), "--format", form.split()[0], *FORMATS[form]]
    finished = watch([*command, "--output", str(folder), "--allow-disagreement", "--json"], run)
    gate = json.loads(finished.output)
    del gate["folder"], gate["format"], gate["compared"]
    return {"seconds": round(finished.seconds, 2), "peak_bytes": finished.peak_bytes, **gate}


def measure(results: Results, case: Case, form: str, run: Path) -> None:
    """Export once and add its figures."""
    with tempfile.TemporaryDirectory() as folder:
        figures = export(run, form, Path(folder, "export"))
    size = int(DATASETS[case.dataset][-1])
    about = {"dataset": case.dataset, "backbone": case.backbone, "pretrained": case.pretrained, "size": size}
    entry = {**about, "format": form, **figures}
    print(entry, file=sys.stderr)
    results.add(entry)


def main() -> None:
    """Measure the cases asked for, and add their figures to the file."""
    backbones = list(dict.fromkeys(case.backbone for case in CASES))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", nargs="*", choices=DATASETS, default=list(DATASETS))
    parser.add_argument("--backbones", nargs="*", choices=backbones, default=backbones)
    parser.add_argument("--formats", nargs="*", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--runs", type=Path, help="folder that keeps the classifiers; else they are removed")
    parser.add_argument("--results", type=Path, default=RESULTS / "export.json")
    options = parser.parse_args()
    results = Results(options.results, ("dataset", "backbone", "format"))
    with nullcontext(options.runs) if options.runs else tempfile.TemporaryDirectory() as runs:
        for case in CASES:
            if case.dataset in options.datasets and case.backbone in options.backbones:
                run = train(case, Path(runs).resolve())
                for form in case.formats:
                    if form in options.formats:
                        measure(results, case, form, run)


if __name__ == "__main__":
    main()
