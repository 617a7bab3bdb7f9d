import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frostline.data.dataset import Dataset
from frostline.data.sources import load_dataset
from frostline.data.tables import Columns, read_table
from frostline.errors import DataError


def save_pictures(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), (number, 0, 0)).save(folder / name, "PNG")


def write_table(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def refused(source: Path, message: str, columns: Columns | None = None) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(source, columns=columns)
    assert "\n" not in str(caught.value)


def paths_of(dataset: Dataset) -> list[str]:
    return [sample.path for sample in dataset.samples]


def test_paths_labels_splits_groups_and_times(tmp_path: Path) -> None:
    save_pictures(tmp_path, "in/1.png", "in/2.png", "3.png")
    table = write_table(
        tmp_path / "all.csv",
        "time,path,label,split,group,other",
        "2026-01-02,in/1.png,class 10,train,anna,x",
        "2026-01-03 12:00,./in/../in/2.png,class 9,Validation,bert,y",
        "",
        f'2026-01-04T00:00:00.5,"{tmp_path}/3.png",class 9,,,z',
    )
    dataset = load_dataset(table)
    assert (dataset.name, dataset.source, dataset.class_names) == ("all", str(table), ("class 9", "class 10"))
    assert paths_of(dataset) == ["in/1.png", "in/2.png", "3.png"]
    assert [(s.target, s.split, s.group) for s in dataset.samples] == [
        (1, "train", "anna"),
        (0, "val", "bert"),
        (0, None, None),
    ]
    times = [sample.time for sample in dataset.samples]
    assert np.diff(np.array(times, dtype=float)).tolist() == [129_600, 43_200.5]
    assert [int(dataset.picture(i)[0, 0, 0]) for i in range(3)] == [0, 1, 2]


def test_other_names_of_columns_and_tabs(tmp_path: Path) -> None:
    save_pictures(tmp_path / "deep", "a, 1.png", 'b "2".png')
    table = write_table(tmp_path / "t.tsv", "file\tclass\tlabel", "deep/a, 1.png\tant\t1", '"deep/b ""2"".png"\tbee\t2')
    dataset = load_dataset(table, columns=Columns(path="file", label="class"))
    assert (paths_of(dataset), dataset.class_names) == (["deep/a, 1.png", 'deep/b "2".png'], ("ant", "bee"))


def test_paths_may_lead_elsewhere(tmp_path: Path) -> None:
    save_pictures(tmp_path / "pictures", "1.png", "2.png")
    (tmp_path / "tables").mkdir()
    table = write_table(
        tmp_path / "tables" / "t.csv", "path,label", "../pictures/1.png,a", f"{tmp_path}/pictures/2.png,b"
    )
    dataset = load_dataset(table)
    assert paths_of(dataset) == ["../pictures/1.png", f"{tmp_path}/pictures/2.png"]
    assert dataset.picture(1)[0, 0, 0] == 1


def test_odd_file_names(tmp_path: Path) -> None:
    names = ["🙂é.png", "'quoted'.png", "x" * 251 + ".png"]
    save_pictures(tmp_path, *names)
    table = write_table(tmp_path / "t.csv", "path,label", *(f"{name},{i % 2}" for i, name in enumerate(names)))
    assert paths_of(load_dataset(table)) == names
    refused(write_table(tmp_path / "t.csv", "path,label", '"a\nb.png",a'), "not plain UTF-8 text on one line")


def test_a_folder_with_a_table_even_wrapped(tmp_path: Path) -> None:
    save_pictures(tmp_path / "wrapped" / "inner" / "images", "1.png", "2.png")
    write_table(tmp_path / "wrapped" / "inner" / "labels.csv", "path,label", "images/1.png,a", "images/2.png,b")
    dataset = load_dataset(tmp_path / "wrapped")
    assert (dataset.name, dataset.source) == ("wrapped", str(tmp_path / "wrapped"))
    assert (dataset.class_names, len(load_dataset(dataset.source))) == (("a", "b"), 2)


def test_missing_pictures_are_all_counted(tmp_path: Path) -> None:
    save_pictures(tmp_path, "here.png")
    gone = [f"{i}.png,a" for i in range(12)]
    table = write_table(tmp_path / "t.csv", "path,label", "here.png,b", *gone)
    refused(table, r"12 of 13 pictures are missing: 0.png \(line 3\), .*9.png \(line 12\) and 2 more; paths are rel")


def test_wrong_lines_are_named(tmp_path: Path) -> None:
    save_pictures(tmp_path, "1.png", "2.png", "3.png")
    path = tmp_path / "t.csv"

    def lines(*rows: str, header: str = "path,label", message: str) -> None:
        refused(write_table(path, header, *rows), message)

    lines("1.png,a", "2.png,b", "./1.png,a", message="line 2 and line 4: 1.png is listed twice, with the label a both")
    lines("1.png,a", "2.png,b", "1.png,b", message="line 2 and line 4: 1.png is listed twice, with the labels a and b")
    lines("1.png,", "2.png,b", "3.png,", message="lines 2, 4: the label is empty")
    lines("1.png, a", message="line 2: the label ' a' has blanks around it")
    lines(",a", message="line 2: the path is empty")
    lines("1.png,a,b", message="line 2: it has 3 cells where 2 are needed")
    lines('1.png,"a', message="it is not CSV")
    lines(
        "1.png;a", header="path;label", message="no column 'path' .it has 'path;label'.: name the column by --path-col"
    )
    lines("1.png,a", header="path,class", message="no column 'label' .it has 'path', 'class'.: .*--label-column")
    lines("1.png,a,1", header="path,label,label", message="two columns are called 'label'")
    lines(
        "1.png,a,2.png", header="path,label,file_name", message="has the columns path and file_name: choose by --path-"
    )
    lines("1.png,a,train", "2.png,a,holdout", header="path,label,split", message="line 3: 'holdout' is no split")
    lines("1.png,a,train", "2.png,b,val", header="path,label,split", message="classes that the train split lacks: b")
    lines("1.png,a,noon", header="path,label,time", message="line 2: 'noon' is no time")
    lines("1.png,a,nan", header="path,label,time", message="line 2: 'nan' is no time")
    lines(
        "1.png,a,5", "2.png,b,2026-01-01", header="path,label,time", message="without a time zone here, but numbers in"
    )
    lines(message="has no rows")
    path.write_bytes(b"")
    refused(path, "line 1: there are no columns")
    write_table(path, "path,label", "1.png,a")
    refused(path, "no column 'patient'.*--group-column", Columns(group="patient"))


def test_other_encodings_are_refused_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"path,label\n1.png,a\n" + "2.png,Käse\n".encode("latin-1"))
    refused(path, "line 3: byte 26 is not UTF-8 .0xe4.")
    path.write_bytes("path,label\n1.png,a\n".encode("utf-16"))
    refused(path, "text in UTF-16")
    path.write_bytes(b"\xef\xbb\xbfpath,label\r\n1.png,a\r\n")
    assert read_table(path, Columns()).cells == {"path": ["1.png"], "label": ["a"]}


def test_columns_of_what_has_none(tmp_path: Path) -> None:
    save_pictures(tmp_path / "photos", "a/1.png", "b/1.png")
    refused(tmp_path / "photos", "no table whose columns could be named: leave out --label-column", Columns(label="x"))


def test_an_unreadable_table(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("the administrator may read any file")
    path = write_table(tmp_path / "t.csv", "path,label")
    path.chmod(0)
    refused(path, "cannot read the table")
