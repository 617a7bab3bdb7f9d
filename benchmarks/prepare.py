"""Write the pictures that every tool of the benchmark trains and tests on: `python benchmarks/prepare.py FOLDER`."""

import argparse
from pathlib import Path

import numpy as np

from frostline.data.sources import load_dataset
from frostline.data.splits import make_splits


def main() -> None:
    """Write CIFAR-10 in frostline's own split, as arrays."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--source", default="cifar10")
    parser.add_argument("--seed", type=int, default=0, help="of the split into training and validation pictures")
    options = parser.parse_args()
    dataset = load_dataset(options.source)
    splits = make_splits(dataset, seed=options.seed)
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, indices in (("train", splits.train), ("val", splits.val), ("test", splits.test)):
        np.save(options.folder / f"{name}.npy", np.stack([dataset.picture(int(index)) for index in indices]))
        np.save(options.folder / f"{name}_targets.npy", dataset.targets[indices])


if __name__ == "__main__":
    main()
