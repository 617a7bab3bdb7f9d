"""Run folders are claimed, never taken over, and say what they are."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from frostline.errors import ConfigError, DataError, FrostlineError
from frostline.results.run_folder import RunFolder, create_run_folder, open_run_folder


def test_numbers_count_up_and_nothing_is_touched(tmp_path: Path) -> None:
    first = create_run_folder(tmp_path / "runs", "photos", "resnet50")
    (first.path / "keep.txt").write_text("mine")
    second = create_run_folder(tmp_path / "runs", "photos", "resnet50")
    other = create_run_folder(tmp_path / "runs", "photos", "vit")
    assert [folder.path.name for folder in (first, second, other)] == [
        "photos-resnet50-1",
        "photos-resnet50-2",
        "photos-vit-1",
    ]
    assert (first.path / "keep.txt").read_text() == "mine"
    assert not any(second.path.iterdir())


def test_a_number_that_was_deleted_is_not_given_again_while_later_ones_stand(tmp_path: Path) -> None:
    for name in ("photos-vit-2", "photos-vit-9", "photos-vit-10", "photos-vit-x", "more-photos-vit-40"):
        (tmp_path / name).mkdir()
    assert create_run_folder(tmp_path, "photos", "vit").path.name == "photos-vit-11"


def test_runs_that_start_together_get_folders_of_their_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: create_run_folder(tmp_path, "photos", "vit").path, range(16)))
    assert len(set(folders)) == 16


@pytest.mark.parametrize("name", ["my photos/2024", "Größe", "[a]*?", "../up"])
def test_any_name_of_a_dataset_makes_one_folder_inside(name: str, tmp_path: Path) -> None:
    paths = [create_run_folder(tmp_path / "runs", name, "vit_small.augreg_in21k").path for _ in range(2)]
    assert all(path.parent == tmp_path / "runs" for path in paths)
    assert [path.name.rpartition("-")[2] for path in paths] == ["1", "2"]


@pytest.mark.parametrize("runs_dir", ["file", "file/runs"])
def test_a_place_that_cannot_hold_runs_is_named(runs_dir: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FrostlineError, match="--runs-dir") as caught:
        create_run_folder(tmp_path / runs_dir, "photos", "vit")
    assert str(tmp_path / runs_dir) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_opening_what_is_no_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such run"):
        open_run_folder(tmp_path / "absent")
    with pytest.raises(ConfigError, match=r"no config\.yaml"):
        open_run_folder(tmp_path)
    (tmp_path / "config.yaml").write_text("epochs: 1\n")
    assert open_run_folder(str(tmp_path)) == RunFolder(tmp_path)


def test_json_comes_back_and_damage_is_named(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_json(folder.metrics, {"class": "Größe", "accuracy": 0.5})
    assert folder.read_json(folder.metrics) == {"class": "Größe", "accuracy": 0.5}
    for content in ("{", "[1, 2]", "3"):
        folder.metrics.write_text(content)
        with pytest.raises(DataError, match=r"metrics\.json"):
            folder.read_json(folder.metrics)
