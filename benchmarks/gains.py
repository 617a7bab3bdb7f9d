"""Measure what single settings gain on CIFAR-10's validation pictures: `python benchmarks/gains.py`.

Each is added alone to the same fine-tuning of all layers. Every run trains on the same class-balanced part of the
training pictures, and its last epoch is measured on all 5,000 validation pictures; test pictures are not looked at.
Options of `frostline train` can follow two dashes and hold for every run.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from measure import RESULTS, FailedError, Results, run_frostline
from subsets import take

from frostline.data.sources import load_dataset
from frostline.data.splits import Splits, make_splits, save_splits

ALONE = (
    *("--trainable-layers", "all", "--epochs", 4, "--size", 48, "--views", "fresh", "--augment", "light"),
    *("--no-trivial-augment", "--mixup", 0, "--cutmix", 0, "--random-erasing", 0, "--ema-decay", 0),
    *("--layer-decay", 1, "--schedule", "cosine", "--label-smoothing", 0.1, "--tta", "flip"),
)
"""Fine-tuning after a linear probe, without any of the settings."""

SETTINGS: dict[str, tuple[object, ...]] = {
    "fine-tuning alone": (),
    "head from random weights": ("--head-start", "random"),
    "batch norm that adapts": ("--batch-norm", "adapt"),
    "no label smoothing": ("--label-smoothing", 0),
    "layer decay 0.97": ("--layer-decay", 0.97),
    "one-cycle": ("--schedule", "one-cycle"),
    "augmentation medium": ("--augment", "medium"),
    "TrivialAugment": ("--trivial-augment",),
    "random erasing": ("--random-erasing", 0.25),
    "MixUp": ("--mixup", 0.2),
    "CutMix": ("--cutmix", 1),
    "averaged weights": ("--ema-decay", 0.998),
    "progressive resizing": ("--start-size", 32),
}
"""Options that make each variant of it."""

_TEST_PICTURES = 100
"""A run wants some; they are not looked at."""


def measure(results: Results, name: str, seed: int, pictures: int, options: list[str]) -> None:
    """Run one variant."""
    dataset = load_dataset("cifar10")
    whole = make_splits(dataset, seed=0)
    part = take(dataset, whole, round(pictures / 0.9))
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        save_splits(Splits(part.train, whole.val, whole.test[:_TEST_PICTURES]), dataset, Path(file.name))
        given = ("--splits", file.name, "--seed", seed, "--no-check", "--no-cache")
        run = run_frostline("cifar10", *given, *ALONE, *SETTINGS[name], *options)
    figures = {
        "setting": name,
        "options": " ".join(options),
        "pictures": len(part.train),
        "seed": seed,
        "backbone": run.config["backbone"],
        "size": run.config["size"],
        "epochs": run.metrics["epochs"],
        "probe_accuracy": run.history[0]["val_accuracy"] if run.history[0]["epoch"] == 0 else None,
        "val_accuracy": run.history[-1]["val_accuracy"],
        "val_loss": run.history[-1]["val_loss"],
        "kept_accuracy": run.metrics["val"]["accuracy"],
        "flip_accuracy": run.metrics["flip_tta"]["val"]["accuracy"],
        "train_seconds": run.metrics["seconds"]["train"],
    }
    results.add(figures)
    print(f"{name}, seed {seed}: {figures['val_accuracy']:.4f}, {figures['train_seconds']:.0f} s", file=sys.stderr)


def main() -> None:
    """Run the variants asked for, and add their figures to the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("options", nargs="*", help="of `frostline train`, after --")
    parser.add_argument("--settings", nargs="*", default=[*SETTINGS], choices=[*SETTINGS])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--pictures", type=int, default=8_000, help="to train on")
    parser.add_argument("--results", type=Path, default=RESULTS / "gains.json")
    options = parser.parse_args()
    results = Results(options.results, ("setting", "options", "pictures", "seed"))
    failures = []
    for seed in options.seeds:
        for name in options.settings:
            try:
                measure(results, name, seed, options.pictures, options.options)
            except FailedError as error:
                failures.append(f"{name}, seed {seed}: {error}")
    if failures:
        raise SystemExit("\n".join(["these failed:", *failures]))


if __name__ == "__main__":
    main()
