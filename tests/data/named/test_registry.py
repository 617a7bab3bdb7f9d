import subprocess
import sys
from pathlib import Path

import pytest

from frostline.data.named.registry import NAMED, list_named, load_named
from frostline.errors import DataError


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FROSTLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FROSTLINE_DATA", raising=False)
    return tmp_path / "cache" / "datasets"


def test_all_the_promised_names_are_there() -> None:
    assert list(NAMED)[:4] == ["cifar10", "cifar100", "digits", "solar-cells"]
    assert set(list(NAMED)[4:]) == {
        *("flowers102", "oxfordiiitpet", "food101", "eurosat", "dtd", "gtsrb", "stl10", "svhn"),
    }
    assert all(name == dataset.name == name.lower() for name, dataset in NAMED.items())


def test_names_are_found_whatever_their_case() -> None:
    dataset = load_named("Digits")
    assert (dataset.name, len(dataset)) == ("digits", NAMED["digits"].pictures)
    assert len(dataset.class_names) == NAMED["digits"].classes
    assert dataset.licence == NAMED["digits"].licence


def test_an_unknown_name_is_answered_with_the_nearest_or_with_all() -> None:
    with pytest.raises(DataError, match=r"no dataset is named cifar; did you mean cifar10 or cifar100\?"):
        load_named("cifar")
    with pytest.raises(DataError, match="no dataset is named zzz; there are cifar10, cifar100, digits"):
        load_named("zzz")


def test_the_list_tells_what_is_here(tmp_path: Path, empty_cache: Path) -> None:
    def here() -> set[str]:
        return {row.name for row in list_named(tmp_path) if row.here} - {"solar-cells"}

    assert here() == {"digits"}
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(b"")
    (tmp_path / "eurosat" / "2750").mkdir(parents=True)
    (empty_cache / "dtd" / "dtd" / "dtd").mkdir(parents=True)
    (tmp_path / "food-101" / "images").mkdir(parents=True)
    assert here() == {"digits", "cifar10", "eurosat", "dtd"}
    assert [row.name for row in list_named()] == list(NAMED)
    assert all(row.licence and row.note and row.pictures > 1000 and row.classes > 1 for row in list_named())


def test_listing_imports_no_torch() -> None:
    code = "from frostline.data.named.registry import list_named; list_named(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", f"import sys; {code}"], check=False).returncode == 0
