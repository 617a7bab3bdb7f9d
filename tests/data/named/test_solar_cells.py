from pathlib import Path

import pytest

from frostline.data.named import solar_cells
from frostline.data.named.solar_cells import CLASS_NAMES, find_solar_cells, load_solar_cells, read_labels
from frostline.errors import DataError


def test_a_cell_is_defective_above_one_half(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("a.png  0.0  mono\nb.png 0.3333333333333333 mono\nc.png 0.6666666666666666 poly\nd.png 1.0 poly\n")
    samples = read_labels(path)
    assert [sample.path for sample in samples] == ["a.png", "b.png", "c.png", "d.png"]
    assert [CLASS_NAMES[sample.target] for sample in samples] == ["functional"] * 2 + ["defective"] * 2
    assert {sample.split for sample in samples} == {None}


def test_a_line_that_is_no_label_is_named(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("a.png 0.0 mono\nb.png high mono\n")
    with pytest.raises(DataError, match=r"labels\.csv, line 2: 'b\.png high mono' is no label"):
        read_labels(path)
    with pytest.raises(DataError, match=r"cannot read .*absent\.csv"):
        read_labels(tmp_path / "absent.csv")


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solar_cells, "find_spec", lambda name: None)
    assert find_solar_cells() is None
    with pytest.raises(DataError, match=r"pip install 'frostline\[solar-cells\]'"):
        load_solar_cells()


@pytest.mark.skipif(find_solar_cells() is None, reason="elpv-dataset is not installed")
def test_the_installed_package_is_read() -> None:
    dataset = load_solar_cells()
    assert len(dataset) == len({sample.path for sample in dataset.samples}) == 2624
    counts = {name: dataset.targets.tolist().count(target) for target, name in enumerate(dataset.class_names)}
    assert counts == {"defective": 821, "functional": 1803}
    assert dataset.picture(0).shape == (300, 300, 3)
    assert dataset.licence == "CC BY-NC-SA 4.0"
    assert any("one half" in note for note in dataset.notes)
