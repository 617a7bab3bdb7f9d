"""WebDataset shards: tar archives in which the files of one sample follow each other and share a key."""

import posixpath
import tarfile
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from frostline.data.archives import DAMAGED, TarPlace, TarStore, scan_tar
from frostline.data.dataset import Dataset
from frostline.data.labels import label_samples, name_labels
from frostline.data.listing import check_name, is_hidden, may_be_picture
from frostline.data.shards import Shard
from frostline.data.tables import USUAL_NAMES, Columns, Role, Table, flag_of, json_text, parse_object
from frostline.errors import DataError, some_of

_MOST_PEEKED = 64
"""Files at the beginning of an archive that tell whether it is a shard."""

_MOST_TEXT = 1 << 20
"""Bytes that a label may take."""

_CLASSES_FILE = "classes.txt"
_LABELS = {"cls", "json"}
"""Suffixes of the files that have labels."""


class _Member(NamedTuple):
    name: str
    content: TarPlace | bytes


_Sample = dict[str, _Member]
"""The files of one sample, by suffix."""


def is_webdataset(path: Path) -> bool:
    """Whether an archive is a plain tar whose first files are those of samples: a picture with its `.cls` or `.json`.

    Pictures in several folders that have `.json` files beside them are taken as class folders, not as samples.
    """
    try:
        with tarfile.open(path, "r:") as archive:
            members = [member.name for member in islice(archive, _MOST_PEEKED) if member.isfile()]
    except DAMAGED:
        return False
    names = [name for name in members if not is_hidden(name.removeprefix("./"))]
    described = {_split_name(name)[0] for name in names if name.lower().endswith(".json")}
    one_folder = len({posixpath.dirname(name) for name in names}) == 1
    return any(name.lower().endswith(".cls") for name in names) or (
        one_folder and any(may_be_picture(name) and _split_name(name)[0] in described for name in names)
    )


def load_webdataset(shards: Sequence[Shard], name: str, source: Path, columns: Columns) -> Dataset:
    """Pictures in tar shards, each as `KEY.jpg` (or another kind) with `KEY.cls` or `KEY.json`.

    The label is the text of `.cls`, else the value of `label` in `.json`, which may have `split`, `group` and `time`
    too. Where all labels are numbers, a file `classes.txt` beside the shards names them, one class a line. Nothing is
    written to disk; samples are called `<shard>/<file>`.

    Raises `DataError` where a shard is damaged, or a sample lacks its picture or its label or has two pictures.
    """
    tables = []
    places: dict[str, TarPlace] = {}
    for shard in shards:
        samples = _read_shard(shard.path)
        table = _tabulate(shard, samples, columns)
        for path, sample in zip(table.cells["path"], samples.values(), strict=True):
            picture = _picture_of(sample)
            assert isinstance(picture.content, TarPlace)
            places[path] = picture.content
        tables.append(table)
    names = _read_classes(shards[0].path.with_name(_CLASSES_FILE))
    if names is not None and all(label.isdecimal() for table in tables for label in table.cells["label"]):
        tables = [name_labels(table, names) for table in tables]
    labelled, class_names, notes = label_samples(tables, str(source), [shard.split for shard in shards])
    return Dataset(name, str(source), labelled, class_names, TarStore(places), notes=notes)


def _split_name(name: str) -> tuple[str, str]:
    """Key and suffix of a file: the key ends at the first dot of the file's own name."""
    folder, base = posixpath.split(name)
    stem, _, suffix = base.partition(".")
    return posixpath.join(folder, stem), suffix.lower()


def _read_shard(path: Path) -> dict[str, _Sample]:
    """The samples of one shard by key: texts as bytes, all else as its place. Raises `DataError`."""

    def keep(member: tarfile.TarInfo) -> TarPlace | bytes:
        if not member.name.lower().endswith((".cls", ".json")):
            return TarPlace(path, member.offset_data, member.size)
        if member.size > _MOST_TEXT:
            raise DataError(f"{path}: {member.name!a} has {member.size:,} bytes, too many for a label: mend the shard")
        file = archive.extractfile(member)
        assert file is not None
        return file.read()

    try:
        with tarfile.open(path, "r:") as archive:
            _, files = scan_tar(archive, path, keep)
    except DAMAGED as error:
        raise DataError(
            f"cannot read the shard {path}: {' '.join(str(error).split())}; it must be a whole tar, not compressed"
        ) from None
    samples: dict[str, _Sample] = {}
    for name, content in files.items():
        check_name(name, str(path))
        key, suffix = _split_name(name)
        samples.setdefault(key, {})[suffix] = _Member(name, content)
    return {key: sample for key, sample in samples.items() if _LABELS & set(sample) or _pictures(sample)}


def _tabulate(shard: Shard, samples: Mapping[str, _Sample], columns: Columns) -> Table:
    """One row a sample."""
    _check_whole(shard.path, samples)
    rows = [_row(shard.path, key, sample, columns) for key, sample in samples.items()]
    roles: list[Role] = [role for role in USUAL_NAMES if role != "path" and any(role in row for row in rows)]
    cells: dict[Role, Sequence[str]] = {role: [row.get(role, "") for row in rows] for role in roles}
    cells["path"] = [f"{shard.name}/{_picture_of(sample).name}" for sample in samples.values()]
    return Table(str(shard.path), "sample", list(samples), cells)


def _check_whole(path: Path, samples: Mapping[str, _Sample]) -> None:
    """Every sample has one picture and a label."""
    if not samples:
        raise DataError(f"{path} holds no samples: expected KEY.jpg with KEY.cls or KEY.json")
    unlabelled = [key for key, sample in samples.items() if not _LABELS & set(sample)]
    if unlabelled:
        raise DataError(f"{path}: {len(unlabelled):,} samples have neither .cls nor .json: {some_of(unlabelled)}")
    counts = {key: len(_pictures(sample)) for key, sample in samples.items()}
    odd = [f"{key} ({count})" for key, count in counts.items() if count != 1]
    if odd:
        raise DataError(f"{path}: a sample needs one picture, these have more or none: {some_of(odd)}")


def _pictures(sample: _Sample) -> list[_Member]:
    return [member for member in sample.values() if may_be_picture(member.name)]


def _picture_of(sample: _Sample) -> _Member:
    return _pictures(sample)[0]


def _row(path: Path, key: str, sample: _Sample, columns: Columns) -> dict[Role, str]:
    """What the texts of one sample say."""
    row: dict[Role, str] = {}
    if "json" in sample:
        content = sample["json"].content
        assert isinstance(content, bytes)
        values = parse_object(content, f"{path}, {sample['json'].name}")
        for role in ("label", "split", "group", "time"):
            given = getattr(columns, role)
            name = given or USUAL_NAMES[role][0]
            if name in values:
                row[role] = json_text(values[name])
            elif given is not None or (role == "label" and "cls" not in sample):
                raise DataError(
                    f"{path}, {sample['json'].name} has no {name!r} (it has {some_of(map(repr, values))}): "
                    f"name it by {flag_of(role)}"
                )
    if "cls" in sample and columns.label is None:
        content = sample["cls"].content
        assert isinstance(content, bytes)
        row["label"] = _decode(content, f"{path}, {sample['cls'].name}").strip()
    if "label" not in row:
        raise DataError(f"{path}, sample {key}: there is no .json that could have {columns.label!r}")
    return row


def _decode(content: bytes, where: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: byte {error.start} is not UTF-8: write the label as UTF-8") from None


def _read_classes(path: Path) -> list[str] | None:
    """The class names beside the shards, in the order of their numbers; None where there is no such file."""
    if not path.is_file():
        return None
    try:
        return _decode(path.read_bytes(), str(path)).splitlines()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
