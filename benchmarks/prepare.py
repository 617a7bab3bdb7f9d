"""Write the pictures that every tool of the comparison trains and tests on: `python benchmarks/prepare.py FOLDER`."""

import argparse
from pathlib import Path

import numpy as np
from subsets import take

from frostline.data.dataset import SPLIT_NAMES
from frostline.data.sources import load_dataset
from frostline.data.splits import make_splits, save_splits


def main() -> None:
    """Write CIFAR-10 in frostline's own split, as arrays and as the `splits.csv` that frostline reads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--source", default="cifar10")
    parser.add_argument("--seed", type=int, default=0, help="of the split into training and validation pictures")
    parser.add_argument("--pictures", type=int, help="training and validation pictures; all by default")
    options = parser.parse_args()
    dataset = load_dataset(options.source)
    splits = take(dataset, make_splits(dataset, seed=options.seed), options.pictures)
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in SPLIT_NAMES:
        indices = getattr(splits, name)
        np.save(options.folder / f"{name}.npy", np.stack([dataset.picture(int(index)) for index in indices]))
        np.save(options.folder / f"{name}_targets.npy", dataset.targets[indices])
    save_splits(splits, dataset, options.folder / "splits.csv")


if __name__ == "__main__":
    main()
