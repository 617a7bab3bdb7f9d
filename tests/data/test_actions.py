"""Actions on single pictures: what they leave of a dataset, and files that do not fit it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from frostline.data.actions import Action, apply_actions, save_actions
from frostline.data.dataset import Dataset
from frostline.data.sources import load_dataset
from frostline.errors import DataError


@pytest.fixture
def dataset(photos: Path) -> Dataset:
    return load_dataset(photos)


@pytest.fixture
def with_splits(tmp_path: Path, write_pictures: Callable[..., Path]) -> Dataset:
    for split in ("train", "test"):
        write_pictures(tmp_path / "split" / split, {"apple": 3, "sky": 3})
    return load_dataset(tmp_path / "split")


def test_actions_drop_relabel_and_keep(dataset: Dataset, photos: Path, tmp_path: Path) -> None:
    file = tmp_path / "actions.csv"
    actions = [
        Action("apple/000.jpg", "drop"),
        Action("leaf/000.jpg", "relabel", label="sky"),
        Action("sky/000.jpg", "keep", reason="a look, please"),
    ]
    save_actions(actions, file)
    changed = apply_actions(dataset, file)
    before, after = ({sample.path: sample.target for sample in each.samples} for each in (dataset, changed))
    assert set(before) - set(after) == {"apple/000.jpg"}
    differing = {path for path in after if after[path] != before[path]}
    assert differing == {"leaf/000.jpg"}
    assert dataset.class_names[after["leaf/000.jpg"]] == "sky"
    assert "1 dropped" in changed.notes[-1]
    assert "1 relabelled" in changed.notes[-1]
    assert len(list(photos.rglob("*.jpg"))) == len(dataset)


def test_a_picture_moves_between_splits(with_splits: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "actions.csv"
    save_actions([Action("test/sky/001.jpg", "move", split="train")], file)
    moved = {sample.path: sample.split for sample in apply_actions(with_splits, file).samples}
    assert moved["test/sky/001.jpg"] == "train"
    assert sum(split == "test" for split in moved.values()) == 5


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("nowhere.jpg,drop,,,", "line 2: the dataset has no picture nowhere.jpg"),
        ("sky/000.jpg,delete,,,", "line 2: 'delete' is no action: write keep, drop, relabel, move"),
        ("sky/000.jpg,relabel,cloud,,", "line 2: 'cloud' is no class"),
        ("sky/000.jpg,move,,holdout,", "line 2: 'holdout' is no split"),
        ("sky/000.jpg,move,,train,", "no splits to move pictures between"),
        ("sky/000.jpg,drop,,,\nsky/000.jpg,keep,,,", "line 3: sky/000.jpg is listed twice"),
        ("sky/000.jpg,drop,,,a,b", "line 2: more cells than columns"),
    ],
)
def test_actions_that_do_not_fit_are_refused(dataset: Dataset, tmp_path: Path, row: str, said: str) -> None:
    file = tmp_path / "actions.csv"
    file.write_text(f"path,action,label,split,reason\n{row}\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        apply_actions(dataset, file)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("content", "said"), [(b"path,what\n", "the column action is missing"), (b"\xff", "UTF-8")])
def test_a_file_that_is_no_table_of_actions_is_refused(
    dataset: Dataset, tmp_path: Path, content: bytes, said: str
) -> None:
    file = tmp_path / "actions.csv"
    file.write_bytes(content)
    with pytest.raises(DataError, match=said):
        apply_actions(dataset, file)
    with pytest.raises(DataError, match="cannot read the actions"):
        apply_actions(dataset, tmp_path / "none.csv")
