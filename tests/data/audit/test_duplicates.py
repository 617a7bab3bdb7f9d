import io
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from frostline.data.audit.alignment import compare
from frostline.data.audit.duplicates import DuplicateGroup, NearPair, _stars, find_duplicates
from frostline.data.audit.leakage import find_leakage, seen_before, with_other_labels
from frostline.data.audit.neighbours import NEIGHBOURS, find_neighbours
from frostline.data.audit.thumbnails import fingerprint
from frostline.data.dataset import Picture, SplitName

COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "jpeg": lambda image: recompressed(image),
    "resized": lambda image: image.resize((58, 38), Image.Resampling.BICUBIC),
    "cropped": lambda image: image.crop((0, 6, 86, 64)),
    "flipped": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "brighter": lambda image: image.point(lambda level: min(255, round(1.2 * level))),
}


def recompressed(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=40)
    return Image.open(io.BytesIO(file.getvalue())).convert("RGB")


def scenes(count: int, seed: int = 0) -> list[Picture]:
    """Smooth random pictures of 96 x 64 pixels, with edges as photographs have."""
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        waves = rng.normal(0, 1, (6, 9, 3)).astype(np.float32)
        channels = [Image.fromarray(waves[..., c]).resize((96, 64), Image.Resampling.BICUBIC) for c in range(3)]
        values = np.stack([np.asarray(channel) for channel in channels], axis=2)
        values += 0.7 * np.sign(values[..., :1])
        pictures.append(np.clip(120 + 40 * values, 0, 255).astype(np.uint8))
    return pictures


def groups_of(pictures: list[Picture], features: NDArray[np.float32] | None = None) -> tuple[DuplicateGroup, ...]:
    """Duplicates by features that say nothing, so that the coarse views must do."""
    if features is None:
        features = np.random.default_rng(1).normal(0, 1, (len(pictures), 16)).astype(np.float32)
    return find_duplicates([fingerprint(picture) for picture in pictures], features)


@pytest.mark.parametrize("kind", COPIES)
def test_each_kind_of_copy_is_found_and_nothing_else(kind: str) -> None:
    pictures = scenes(40)
    pictures.append(np.array(COPIES[kind](Image.fromarray(pictures[3]))))
    (group,) = groups_of(pictures)
    assert group.indices == (3, 40)
    assert not group.exact
    assert group.mirrored == (kind == "flipped")
    assert group.similarity > 0.85


def test_exact_copies_are_those_of_the_same_pixels() -> None:
    pictures = scenes(20)
    pictures += [pictures[2].copy(), pictures[5].copy(), pictures[2].copy()]
    groups = groups_of(pictures)
    assert [group.indices for group in groups] == [(2, 20, 22), (5, 21)]
    assert all(group.exact and group.similarity == 1 for group in groups)


def test_exact_and_near_copies_of_one_picture_are_one_group() -> None:
    pictures = scenes(20)
    pictures += [pictures[2].copy(), np.array(recompressed(Image.fromarray(pictures[2])))]
    (group,) = groups_of(pictures)
    assert group.indices == (2, 20, 21)
    assert not group.exact


def test_pictures_of_one_colour_are_no_duplicates() -> None:
    black = np.zeros((64, 96, 3), np.uint8)
    assert groups_of([*scenes(12), black, black.copy(), np.full_like(black, 90), black + 1]) == ()


def test_unrelated_noise_is_no_duplicate() -> None:
    rng = np.random.default_rng(0)
    assert groups_of([rng.integers(0, 256, (40, 40, 3), dtype=np.uint8) for _ in range(60)]) == ()


def test_scanned_digits_are_alike_and_no_duplicates() -> None:
    from sklearn.datasets import load_digits

    scans = load_digits().images[:250]
    pictures = [np.repeat((scan * 15.9375).astype(np.uint8)[..., None], 3, axis=2) for scan in scans]
    features = scans.reshape(len(scans), -1).astype(np.float32)
    assert groups_of(pictures, features) == ()
    (group,) = groups_of([*pictures, pictures[7].copy()], np.concatenate([features, features[7:8]]))
    assert group.indices == (7, 250)


@pytest.mark.parametrize("copied", [0, 12])
def test_known_neighbours_change_nothing(copied: int) -> None:
    pictures = scenes(40)
    pictures += [np.array(recompressed(Image.fromarray(pictures[3]))), *[pictures[5].copy() for _ in range(copied)]]
    features = np.stack([picture[::8, ::8].ravel() for picture in pictures]).astype(np.float32)
    fingerprints = [fingerprint(picture) for picture in pictures]
    found = find_duplicates(fingerprints, features, find_neighbours(features, NEIGHBOURS))
    assert found == find_duplicates(fingerprints, features)
    assert (3, 40) in [group.indices for group in found]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_pictures(count: int) -> None:
    assert groups_of(scenes(count)) == ()


def test_a_picture_is_as_alike_to_its_crop_as_the_crop_to_it() -> None:
    (picture,) = scenes(1)
    crop = np.ascontiguousarray(picture[6:, :86])
    thumbnails = np.stack([fingerprint(picture).thumbnail, fingerprint(crop).thumbnail])
    similarity = compare(thumbnails, np.array([[0, 1], [1, 0]])).similarity
    assert similarity.min() > 0.97
    assert similarity[0] == pytest.approx(similarity[1], abs=1e-5)


def test_brightness_and_contrast_do_not_count() -> None:
    (picture,) = scenes(1)
    dim = (picture * 0.4 + 60).astype(np.uint8)
    thumbnails = np.stack([fingerprint(picture).thumbnail, fingerprint(dim).thumbnail])
    assert compare(thumbnails, np.array([[0, 1]])).similarity[0] > 0.99


def test_a_chain_of_alike_pictures_falls_apart_at_its_ends() -> None:
    chain = [NearPair(index, index + 1, 0.9, mirrored=False) for index in range(4)]
    assert [star.members for star in _stars(chain)] == [(1, 0, 2), (3, 4)]


def group_of(*indices: int) -> DuplicateGroup:
    return DuplicateGroup.of_copies(indices)


def test_leakage_counts_the_pictures_of_the_later_split() -> None:
    splits: list[SplitName | None] = ["train", "test", "train", "train", "val", "test", "val", "test", "test", None]
    groups = [group_of(0, 1), group_of(2, 3), group_of(4, 5), group_of(7, 8, 9)]
    leakage = find_leakage(groups, splits)
    assert leakage.groups == (groups[0], groups[2])
    assert leakage.affected == {"val": (), "test": (1, 5)}
    assert find_leakage([group_of(0, 6)], splits).affected == {"val": (6,), "test": ()}
    assert seen_before(groups, splits, "test", {"train"}) == (1,)


def test_groups_with_other_labels() -> None:
    groups = [group_of(0, 1), group_of(2, 3)]
    assert with_other_labels(groups, [4, 4, 4, 5]) == (groups[1],)
