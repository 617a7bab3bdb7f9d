from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from frostline.data.audit.inspector import Inspector
from frostline.data.decode import UnreadablePictureError
from frostline.data.sources import load_dataset


def test_a_picture_is_inspected_once_and_its_pixels_stay_the_same(
    tmp_path: Path, write_pictures: Callable[..., Path]
) -> None:
    dataset = load_dataset(write_pictures(tmp_path / "p", {"apple": 2, "sky": 2}, side=300))
    inspector = Inspector(dataset.pictures)
    watched = inspector.watch(dataset)
    first = [watched.picture(index, min_side=32) for index in range(4)]
    facts, fingerprints = dict(inspector.facts), dict(inspector.fingerprints)
    assert len(facts) == len(fingerprints) == 4
    for index, picture in enumerate(first):
        path = dataset.samples[index].path
        np.testing.assert_array_equal(watched.picture(index, min_side=32), picture)
        assert inspector.facts[path] is facts[path]
        assert inspector.fingerprints[path] is fingerprints[path]


def test_many_threads_may_read_one_picture(photos: Path) -> None:
    dataset = load_dataset(photos)
    inspector = Inspector(dataset.pictures)
    with ThreadPoolExecutor(4) as pool:
        pictures = list(pool.map(inspector.watch(dataset).picture, [0] * 16))
    for picture in pictures:
        np.testing.assert_array_equal(picture, dataset.picture(0))
    assert set(inspector.facts) == set(inspector.fingerprints) == {dataset.samples[0].path}


def test_what_cannot_be_read_has_facts_and_no_fingerprint(photos: Path) -> None:
    dataset = load_dataset(photos)
    (photos / dataset.samples[0].path).write_text("this is no picture")
    inspector = Inspector(dataset.pictures)
    for _ in range(2):
        with pytest.raises(UnreadablePictureError):
            inspector.watch(dataset).picture(0)
    assert inspector.facts[dataset.samples[0].path].problem
    assert not inspector.fingerprints
