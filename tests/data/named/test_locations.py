from pathlib import Path

import pytest

from frostline.data.named.locations import dataset_folders, datasets_cache
from frostline.errors import DataError
from frostline.files import cache_folder


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FROSTLINE_DATA", "FROSTLINE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_the_cache_is_frostlines_own_or_the_users_or_below_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_folder() == Path.home() / ".cache" / "frostline"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "frostline"
    monkeypatch.setenv("FROSTLINE_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"


def test_the_flag_goes_before_the_variable_and_both_before_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flag, variable = tmp_path / "flag", tmp_path / "variable"
    flag.mkdir()
    variable.mkdir()
    assert dataset_folders(None) == (datasets_cache(),)
    monkeypatch.setenv("FROSTLINE_DATA", str(variable))
    assert dataset_folders(None) == (variable, datasets_cache())
    assert dataset_folders(flag) == (flag, datasets_cache())


def test_a_folder_that_does_not_exist_is_named_with_its_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"absent \(given by --data-dir\)"):
        dataset_folders(tmp_path / "absent")
    monkeypatch.setenv("FROSTLINE_DATA", str(tmp_path / "missing"))
    with pytest.raises(DataError, match=r"missing \(given by FROSTLINE_DATA\)"):
        dataset_folders(None)
