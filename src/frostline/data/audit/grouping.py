"""Duplicates as groups that no split divides."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from frostline.data.audit.duplicates import DuplicateGroup
from frostline.data.dataset import Dataset
from frostline.data.draws import group_codes


def group_duplicates(dataset: Dataset, duplicates: Iterable[DuplicateGroup]) -> Dataset:
    """The dataset with duplicates in one group; groups that they connect, such as two patients, become one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    codes = group_codes(dataset)
    pairs = np.array(
        [(codes[group.indices[0]], codes[index]) for group in duplicates for index in group.indices[1:]], dtype=np.int64
    ).reshape(-1, 2)
    count = int(codes.max()) + 1
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, joined = connected_components(graph, directed=False)
    together = joined[codes]
    sizes = np.bincount(together)
    first: dict[int, str] = {}
    samples = []
    for sample, code in zip(dataset.samples, together.tolist(), strict=True):
        if sizes[code] == 1:
            samples.append(sample)
            continue
        name = first.setdefault(code, sample.group or f"duplicates of {sample.path}")
        samples.append(replace(sample, group=name))
    return replace(dataset, samples=tuple(samples))
