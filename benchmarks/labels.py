"""Measure how many flipped labels frostline finds in CIFAR-10's training split: `python benchmarks/labels.py`."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from features import compute_features
from measure import RESULTS, Results
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from frostline.data.audit.labels import doubt, find_suspects
from frostline.data.dataset import Dataset
from frostline.data.sources import load_dataset
from frostline.training.out_of_fold import out_of_fold_probabilities

SIZE = 96
"""Input of the backbone, in pixels."""

SWAPPED = {"cat": "dog", "dog": "cat", "truck": "automobile", "automobile": "truck"}
"""The label that a flipped picture of these classes has in the asymmetric case."""

CASES = (("random", 0.05), ("random", 0.10), ("asymmetric", 0.05), ("asymmetric", 0.10))
"""How labels are flipped, and which part of them: of all, or of those of the classes that are swapped."""

Targets = NDArray[np.int64]


def flip(dataset: Dataset, case: str, part: float, seed: int) -> Targets:
    """The targets with a part of them wrong."""
    rng = np.random.default_rng(seed)
    names, targets = dataset.class_names, dataset.targets
    partner = {names.index(one): names.index(other) for one, other in SWAPPED.items()} if case == "asymmetric" else {}
    free = np.flatnonzero(np.isin(targets, list(partner))) if partner else np.arange(len(targets))
    chosen = rng.permutation(free)[: round(part * len(free))]
    if partner:
        wrong = np.array([partner[int(target)] for target in targets[chosen]], dtype=np.int64)
    else:
        wrong = (targets[chosen] + rng.integers(1, len(names), len(chosen))) % len(names)
    flipped = targets.copy()
    flipped[chosen] = wrong
    return flipped


def judge(targets: Targets, flipped: Targets, probabilities: NDArray[np.float32]) -> dict[str, Any]:
    """How well the flipped labels stand out, and what is said of the pictures that are called suspect."""
    is_wrong = flipped != targets
    scores = doubt(probabilities, flipped)
    number = int(is_wrong.sum())
    suspects = find_suspects(probabilities, flipped)
    hits = [suspect for suspect in suspects if is_wrong[suspect.index]]
    return {
        "flipped": number,
        "average_precision": round(float(average_precision_score(is_wrong, scores)), 4),
        "precision_at_flipped": round(float(is_wrong[np.argsort(-scores)[:number]].mean()), 4),
        "suspects": len(suspects),
        "suspects_precision": round(len(hits) / max(1, len(suspects)), 4),
        "suspects_recall": round(len(hits) / max(1, number), 4),
        "true_label_expected": round(sum(s.expected == int(targets[s.index]) for s in hits) / max(1, len(hits)), 4),
    }


def main() -> None:
    """Flip labels in every way, look for them, and add the figures to the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS / "labels.json")
    options = parser.parse_args()
    results = Results(options.results, ("case", "part", "pictures", "seed"))
    dataset = load_dataset("cifar10")
    train = [index for index, sample in enumerate(dataset.samples) if sample.split == "train"]
    chosen = np.sort(np.random.default_rng(options.seed).permutation(train)[: options.pictures])
    dataset = dataset.subset(chosen)
    features = compute_features(dataset, SIZE)
    for case, part in CASES:
        flipped = flip(dataset, case, part, options.seed)
        started = time.perf_counter()
        probabilities = out_of_fold_probabilities(features, flipped)
        seconds = round(time.perf_counter() - started, 2)
        about = {"case": case, "part": part, "pictures": len(dataset), "seed": options.seed}
        entry = {**about, "probe_seconds": seconds, **judge(dataset.targets, flipped, probabilities)}
        print(entry, file=sys.stderr)
        results.add(entry)


if __name__ == "__main__":
    main()
