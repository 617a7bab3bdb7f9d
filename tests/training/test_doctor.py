"""The doctor on real files: what it finds, what it leaves alone, and what a training makes of it."""

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copyfile
from subprocess import CompletedProcess

import numpy as np
import pytest
from PIL import Image

from frostline.config import TrainConfig
from frostline.data.actions import apply_actions, save_actions
from frostline.data.audit.proposals import propose_actions
from frostline.data.dataset import Dataset
from frostline.data.sources import load_dataset
from frostline.errors import DataError
from frostline.training.doctor import check, keep_duplicates_together, last_check, save_audit

MakeConfig = Callable[..., TrainConfig]


@pytest.fixture
def ill(tmp_path: Path, write_pictures: Callable[..., Path]) -> Path:
    """Two splits with a leaked copy, a contradiction, a file that is no picture, a constant one, and odd files."""
    root = tmp_path / "ill"
    for seed, split in enumerate(("train", "test")):
        write_pictures(root / split, {"apple": 12, "sky": 12}, side=64, seed=seed)
    copyfile(root / "train/apple/000.jpg", root / "test/apple/leaked.jpg")
    copyfile(root / "train/apple/001.jpg", root / "train/sky/contradiction.jpg")
    (root / "train/sky/note.jpg").write_text("this is no picture")
    Image.new("RGB", (64, 64), "grey").save(root / "train/sky/constant.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 4), np.uint8)).save(root / "train/sky/alpha.png")
    return root


def paths(dataset: Dataset, indices: tuple[int, ...]) -> set[str]:
    return {dataset.samples[index].path for index in indices}


def test_what_is_planted_is_found_and_nothing_is_changed(ill: Path, tiny_config: MakeConfig) -> None:
    before = {path: path.read_bytes() for path in ill.rglob("*") if path.is_file()}
    dataset = load_dataset(ill)
    audit = check(dataset, tiny_config())
    found = {(dataset.samples[finding.index].path, finding.oddity) for finding in audit.findings}
    assert {
        ("train/sky/note.jpg", "unreadable"),
        ("train/sky/constant.png", "constant"),
        ("train/sky/alpha.png", "transparent"),
    } <= found
    assert paths(dataset, audit.leakage.affected["test"]) == {"test/apple/leaked.jpg"}
    assert {"train/apple/001.jpg", "train/sky/contradiction.jpg"} in [
        paths(dataset, group.indices) for group in audit.contradictions
    ]
    assert before == {path: path.read_bytes() for path in ill.rglob("*") if path.is_file()}


def test_proposed_actions_heal_the_dataset(ill: Path, tiny_config: MakeConfig, tmp_path: Path) -> None:
    dataset = load_dataset(ill)
    save_actions(propose_actions(check(dataset, tiny_config())), tmp_path / "actions.csv")
    healed = check(apply_actions(dataset, tmp_path / "actions.csv"), tiny_config())
    assert not healed.leakage.groups
    assert not healed.contradictions
    assert not {"unreadable", "constant"} & set(healed.oddities)


def test_the_page_stands_alone_and_escapes_names(
    tmp_path: Path, write_pictures: Callable[..., Path], tiny_config: MakeConfig
) -> None:
    root = write_pictures(tmp_path / "p", {"<b>bold</b>": 6, "sky": 6})
    copyfile(root / "sky/000.jpg", root / "sky/<script>alert(1).jpg")
    folder = save_audit(check(load_dataset(root), tiny_config()), tmp_path / "runs")
    page = (folder / "check.html").read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "<b>bold" not in page
    assert "&lt;script&gt;alert(1).jpg" in page
    assert "http" not in page.replace("http-equiv", "")
    assert "data:image/jpeg;base64," in page
    saved = json.loads((folder / "check.json").read_text(encoding="utf-8"))
    assert saved["duplicates"][0]["paths"] == ["sky/000.jpg", "sky/<script>alert(1).jpg"]


def test_the_last_check_of_a_source_is_known_to_later_runs(
    tmp_path: Path, write_pictures: Callable[..., Path], tiny_config: MakeConfig
) -> None:
    root = write_pictures(tmp_path / "photos", {"apple": 6, "sky": 6})
    copyfile(root / "sky/000.jpg", root / "sky/copy.jpg")
    dataset, runs = load_dataset(str(root)), tmp_path / "runs"
    assert last_check(dataset, runs) is None
    folder = save_audit(check(dataset, tiny_config()), runs)
    found = last_check(load_dataset(f"{root}/"), runs)
    assert found is not None
    assert "1 exact duplicates" in found
    assert found.endswith(f"see {folder.name}")
    other = write_pictures(tmp_path / "other", {"apple": 6, "sky": 6})
    assert last_check(load_dataset(str(other)), runs) is None
    (folder / "check.json").write_text("{", encoding="utf-8")
    assert last_check(dataset, runs) is None


def test_too_few_pictures_are_examined_as_far_as_they_go(
    tmp_path: Path, write_pictures: Callable[..., Path], tiny_config: MakeConfig
) -> None:
    root = write_pictures(tmp_path / "p", {"apple": 1, "sky": 2})
    audit = check(load_dataset(root), tiny_config())
    assert (audit.suspects, audit.outliers, audit.unchecked_classes) == ((), (), ("apple", "sky"))
    for path in root.rglob("*.jpg"):
        path.write_bytes(b"broken")
    with pytest.raises(DataError, match="no picture can be read"):
        check(load_dataset(root), tiny_config())


def test_duplicates_are_kept_together(tmp_path: Path, photos: Path, tiny_config: MakeConfig) -> None:
    for number in range(6):
        copyfile(photos / f"leaf/{number:03}.jpg", photos / f"leaf/copy-{number}.jpg")
    grouped = keep_duplicates_together(load_dataset(photos), tiny_config())
    groups = {sample.path: sample.group for sample in grouped.samples}
    for number in range(6):
        assert groups[f"leaf/{number:03}.jpg"] == groups[f"leaf/copy-{number}.jpg"] is not None


def test_the_command_says_what_it_found_and_writes_the_actions(
    ill: Path, tmp_path: Path, cli: Callable[..., CompletedProcess[str]]
) -> None:
    tiny = ("--backbone", "test_efficientnet", "--weights", "none", "--size", 64, "--runs-dir", tmp_path / "runs")
    done = cli("check", ill, *tiny, "--fix", tmp_path / "actions.csv")
    assert done.returncode == 0, done.stderr
    assert "leakage into test" in done.stdout
    assert "test/apple/leaked.jpg" in done.stdout
    assert (tmp_path / "runs/ill-check-1/check.html").exists()
    assert "train/sky/note.jpg,drop" in (tmp_path / "actions.csv").read_text(encoding="utf-8")
    as_json = cli("check", ill, *tiny, "--json")
    assert json.loads(as_json.stdout)["leakage"]["test_pictures"] == ["test/apple/leaked.jpg"]
