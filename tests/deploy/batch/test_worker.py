"""A worker answers as `frostline predict` does, wherever the pictures are, with a classifier made of bytes."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import fsspec
import pyarrow
import pyarrow.parquet
import pytest

from frostline.data.decode import UnreadablePictureError
from frostline.data.inputs import expand_inputs
from frostline.deploy.batch.listing import Pictures, list_pictures
from frostline.deploy.batch.parts import Origin
from frostline.deploy.batch.reading import AT_ONCE
from frostline.deploy.batch.worker import (
    Job,
    Worker,
    describe_part,
    pack_classifier,
    read_description,
    unpack_classifier,
)
from frostline.deploy.export import export
from frostline.deploy.proof_pictures import find_proof_pictures
from frostline.model.classifier import ImageClassifier
from frostline.model.exported import ExportedClassifier
from frostline.model.network_classifier import NetworkClassifier
from frostline.model.prediction import Prediction
from frostline.results.answers import Answer

RUN = Path("runs/photos-test_efficientnet-1")


@pytest.fixture(scope="module")
def run(finished: Path) -> Path:
    return finished / RUN


@pytest.fixture(scope="module")
def folder(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More pictures than are read at once, with damaged ones between them, and a name that is not UTF-8."""
    place = tmp_path_factory.mktemp("new")
    photos = sorted((finished / "photos").rglob("*.jpg"))
    for number in range(2 * AT_ONCE + 10):
        (place / f"{number}.jpg").hardlink_to(photos[number % len(photos)])
    (place / "3 empty.jpg").touch()
    (place / "70 text.jpg").write_text("no picture", encoding="utf-8")
    (place / "71 torn.jpg").write_bytes(photos[0].read_bytes()[:500])
    (place / "72 gone.jpg").symlink_to(place / "nowhere.jpg")
    return place


@pytest.fixture(scope="module")
def expected(run: Path, folder: Path) -> list[tuple[object, ...]]:
    """What the plain path answers, without paths."""
    items = ImageClassifier.load(run).predict_each(expand_inputs([str(folder)], ()), 128)
    answers = [
        Answer("", error=item.reason)
        if isinstance(item, UnreadablePictureError)
        else Answer("", item.answer, tuple(item.top(2)), item.far)
        for item in items
    ]
    assert sum(answer.error is not None for answer in answers) == 4
    return list(map(content, answers))


def content(answer: Answer) -> tuple[object, ...]:
    return answer.answer, answer.top, answer.far, answer.error


def answers_of(run: Path, names: Sequence[str], base: Path) -> list[Answer]:
    """What a worker answers, given each of the pictures by its description."""
    (pictures,) = list_pictures(names, ())
    sent: Pictures = read_description(describe_part(0, pictures)["pictures"])
    assert sent == pictures
    job = Job(Origin("", 2, "none", "", 1), len(pictures), base)
    return Worker(unpack_classifier(pack_classifier(run)), job).answer(sent)


def test_files_are_answered_as_without_ray_by_a_worker_in_another_folder(
    run: Path, folder: Path, expected: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(folder.parent)
    (pictures,) = list_pictures([folder.name], ())
    monkeypatch.chdir(tmp_path)
    worker = Worker(ImageClassifier.load(run), Job(Origin("", 2, "none", "", 1), len(pictures), folder.parent))
    answers = worker.answer(pictures)
    assert list(map(content, answers)) == expected
    assert answers[0].path == f"{folder.name}/0.jpg"


def test_addresses_are_answered_as_files_are(run: Path, folder: Path, expected: list[tuple[object, ...]]) -> None:
    answers = answers_of(run, [folder.as_uri()], Path("/nowhere"))
    assert [Path(answer.path).name for answer in answers][:4] == ["0.jpg", "1.jpg", "2.jpg", "3 empty.jpg"]
    assert list(map(content, answers)) == expected


def test_pictures_in_an_object_store_are_answered(run: Path, folder: Path, expected: list[tuple[object, ...]]) -> None:
    store = fsspec.filesystem("memory")
    for path in folder.iterdir():
        if path.exists():
            store.pipe_file(f"/photos/{path.name}", path.read_bytes())
    answers = answers_of(run, ["memory://photos"], Path("/nowhere"))
    assert list(map(content, answers)) == [row for row in expected if row[-1] != "No such file or directory"]


@pytest.mark.parametrize("form", ["bytes", "struct"])
def test_pictures_in_a_table_are_answered(
    run: Path, folder: Path, expected: list[tuple[object, ...]], tmp_path: Path, form: str
) -> None:
    names = [folder / Path(name).name for name in list_pictures([str(folder)], ())[0].names]
    cells = [path.read_bytes() if path.exists() else None for path in names]
    column = cells if form == "bytes" else [{"bytes": cell, "path": None} for cell in cells]
    table = tmp_path / "pictures.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"image": column}), table, row_group_size=50)
    wanted = [
        (*row[:3], "its cell in the parquet file is empty") if row[3] == "No such file or directory" else row
        for row in expected
    ]
    for name in (str(table), table.as_uri()):
        answers = answers_of(run, [name], Path("/nowhere"))
        assert list(map(content, answers)) == wanted
        assert answers[7].path == f"{name}/00007"
    (rows,) = list_pictures([str(table)], ())
    worker = Worker(ImageClassifier.load(run), Job(Origin("", 2, "none", "", 1), len(rows), Path("/nowhere")))
    pieces = [answer for piece in rows.cut(37) for answer in worker.answer(piece)]
    assert [(answer.answer, answer.error) for answer in pieces] == [(row[0], row[3]) for row in wanted]


def test_a_classifier_is_made_from_the_bytes_of_its_files(
    carrier: NetworkClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished: Path
) -> None:
    carrier.save(tmp_path / "saved")
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    photos = sorted((finished / "photos").rglob("*.jpg"))[:3]
    made = unpack_classifier(pack_classifier(tmp_path / "saved"))
    assert list(place.iterdir()) == []
    assert_same(made.predict(photos), carrier.predict(photos))


def assert_same(first: list[Prediction], second: list[Prediction]) -> None:
    for one, other in zip(first, second, strict=True):
        assert one.probabilities.tolist() == other.probabilities.tolist()
        assert (one.distance, one.far, one.answer) == (other.distance, other.far, other.answer)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch", "ignore::FutureWarning")
def test_an_artefact_is_made_from_the_bytes_of_its_files(
    carrier: NetworkClassifier,
    labelled: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    finished: Path,
) -> None:
    export(carrier, "openvino", tmp_path / "artefact", find_proof_pictures(Path("nowhere"), str(labelled)))
    photos = sorted((finished / "photos").rglob("*.jpg"))
    expected = ImageClassifier.load(tmp_path / "artefact").predict(photos)
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    made = unpack_classifier(pack_classifier(tmp_path / "artefact"))
    assert list(place.iterdir()) == []
    assert isinstance(made, ExportedClassifier)
    assert_same(made.predict(photos), expected)
