"""A classifier answers the same after saving, in any batch, and for files as for arrays; damage is named."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from frostline.data.dataset import Picture
from frostline.data.decode import UnreadablePictureError
from frostline.data.sources import load_dataset
from frostline.errors import DataError, ModelError
from frostline.model.backbone import load_backbone
from frostline.model.classifier import Answers, digest_classifier
from frostline.model.network import Architecture
from frostline.model.network_classifier import NetworkClassifier
from frostline.model.prediction import Prediction
from frostline.model.preprocessing import Preprocessing

SIZE = 64
CLASSES = ("apple", "leaf", "sky")


def make_classifier(class_names: Sequence[str] = CLASSES, head_width: int = 16) -> NetworkClassifier:
    """A network with random weights, whose batch norm is not the identity and whose logits spread by about 0.3."""
    torch.manual_seed(0)
    architecture = Architecture("test_efficientnet", head_width, "silu", 0.2)
    backbone = load_backbone(architecture.backbone, weights="none", size=SIZE)
    network = architecture.add_head(backbone, len(class_names))
    for name, buffer in network.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.2, 0.6)
    with torch.no_grad():
        logits = network.eval()(torch.randn(8, 3, SIZE, SIZE))
        network.head.get_parameter("1.weight" if head_width == 0 else "4.weight").mul_(0.3 / logits.std())
    preprocessing = Preprocessing(SIZE, backbone.mean, backbone.std, "stretch")
    return NetworkClassifier(architecture, network, preprocessing, class_names, {"dataset": "photos"})


@pytest.fixture(scope="module")
def classifier() -> NetworkClassifier:
    return make_classifier()


@pytest.fixture
def folder(classifier: NetworkClassifier, tmp_path: Path) -> Path:
    classifier.save(tmp_path / "classifier")
    return tmp_path / "classifier"


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    """Noise of many shapes: smaller and larger than the input, wide and tall."""
    rng = np.random.default_rng(0)
    shapes = [(64, 64), (20, 30), (31, 17), (100, 70), (64, 200), (5, 64), (80, 80)]
    return [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes]


def write(pictures: Sequence[Picture], folder: Path) -> list[Path]:
    paths = [folder / f"{number}.png" for number in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture).save(path)
    return paths


def assert_same(first: Sequence[Prediction], second: Sequence[Prediction], tolerance: float = 0.0) -> None:
    for one, other in zip(first, second, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, rtol=0, atol=tolerance)


@pytest.mark.parametrize("head_width", [0, 16])
def test_a_saved_classifier_gives_bit_identical_logits(head_width: int, tmp_path: Path) -> None:
    classifier = make_classifier(head_width=head_width)
    classifier.save(tmp_path / "deep" / "classifier")
    loaded = NetworkClassifier.load(tmp_path / "deep" / "classifier")
    pixels = torch.randn(5, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    assert torch.equal(loaded.logits(pixels), classifier.logits(pixels))
    assert loaded.class_names == CLASSES
    assert loaded.preprocessing == classifier.preprocessing
    assert loaded.architecture == classifier.architecture
    assert loaded.origin == classifier.origin
    state = loaded.network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in classifier.network.state_dict().items())


def test_saving_again_writes_the_same_files(folder: Path, tmp_path: Path) -> None:
    NetworkClassifier.load(folder).save(tmp_path / "again")
    for name in ("classifier.json", "model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_a_run_s_folder_serves_as_well(folder: Path) -> None:
    assert NetworkClassifier.load(folder.parent).class_names == CLASSES


def test_a_loaded_classifier_is_in_evaluation_mode(folder: Path) -> None:
    loaded = NetworkClassifier.load(folder)
    assert not loaded.network.training
    assert not any(module.training for module in loaded.network.modules())


def test_probabilities_sum_to_one_and_are_ranked(classifier: NetworkClassifier, pictures: list[Picture]) -> None:
    for prediction in classifier.predict(pictures):
        assert prediction.probabilities.dtype == np.float32
        assert prediction.probabilities.sum() == pytest.approx(1, abs=1e-6)
        ranked = prediction.top(5)
        assert {name for name, _ in ranked} == set(CLASSES)
        assert [value for _, value in ranked] == sorted(prediction.probabilities.tolist(), reverse=True)
        assert prediction.top() == [(prediction.label, prediction.confidence)]


def test_pictures_of_all_sizes_in_one_batch_equal_one_by_one(
    classifier: NetworkClassifier, pictures: list[Picture]
) -> None:
    together = classifier.predict(pictures)
    assert_same(together, classifier.predict(pictures, batch_size=1), 1e-6)
    assert_same(together, classifier.predict(pictures, batch_size=3), 1e-6)
    assert len({prediction.probabilities.tobytes() for prediction in together}) == len(pictures)
    np.testing.assert_allclose(
        classifier.probabilities(pictures), [prediction.probabilities for prediction in together], atol=1e-6
    )


def test_files_equal_arrays_and_order_is_the_order_given(
    classifier: NetworkClassifier, pictures: list[Picture], tmp_path: Path
) -> None:
    paths = write(pictures, tmp_path)
    from_files = classifier.predict([str(path) for path in paths])
    assert [prediction.path for prediction in from_files] == [str(path) for path in paths]
    assert_same(from_files, classifier.predict(pictures))
    backwards = classifier.predict(iter(reversed(paths)), batch_size=2)
    assert_same(backwards[::-1], from_files, 1e-6)
    mixed = classifier.predict([paths[0], pictures[1], str(paths[2])])
    assert [prediction.path for prediction in mixed] == [str(paths[0]), "", str(paths[2])]
    assert_same(mixed, from_files[:3], 1e-6)


def test_no_pictures_no_predictions(classifier: NetworkClassifier) -> None:
    assert classifier.predict([]) == []


def test_unreadable_files_are_errors_in_their_place(
    classifier: NetworkClassifier, pictures: list[Picture], tmp_path: Path
) -> None:
    paths = write(pictures[:3], tmp_path)
    (tmp_path / "text.jpg").write_text("no picture")
    given = [tmp_path / "absent.jpg", paths[0], tmp_path / "text.jpg", paths[1], tmp_path, paths[2]]
    for batch_size in (1, 2, 32):
        answers = list(classifier.predict_each(given, batch_size=batch_size))
        errors = [answer for answer in answers if isinstance(answer, UnreadablePictureError)]
        assert [isinstance(answer, UnreadablePictureError) for answer in answers] == [True, False] * 3
        assert [answer.path for answer in answers] == [str(path) for path in given]
        assert "No such file" in errors[0].reason
    predictions = [answer for answer in answers if isinstance(answer, Prediction)]
    assert_same(predictions, classifier.predict(paths), 1e-6)
    with pytest.raises(DataError, match=r"text\.jpg"):
        classifier.predict([paths[0], tmp_path / "text.jpg"])


def test_predictions_come_while_pictures_are_still_given(
    classifier: NetworkClassifier, pictures: list[Picture]
) -> None:
    taken: list[int] = []

    def endless() -> Iterator[Picture]:
        while True:
            taken.append(len(taken))
            yield pictures[0]

    answers = classifier.predict_each(endless(), batch_size=4)
    for number in range(12):
        next(answers)
        assert len(taken) == 8 + number // 4 * 4


def test_the_next_batch_is_read_while_one_is_computed(
    classifier: NetworkClassifier, pictures: list[Picture], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = [threading.Event() for _ in range(4)]
    fit = classifier.preprocessing.fit

    def fit_seen(self: Preprocessing, picture: Picture) -> Picture:
        seen[int(picture[0, 0, 0])].set()
        return fit(picture)

    def answer(squares: Sequence[Picture]) -> Answers:
        following = int(squares[0][0, 0, 0]) + 1
        assert following == len(seen) or seen[following].wait(timeout=10)
        return Answers(np.full((len(squares), len(CLASSES)), 1 / len(CLASSES), np.float32), None)

    monkeypatch.setattr(Preprocessing, "fit", fit_seen)
    monkeypatch.setattr(classifier, "answering", lambda expected: answer)
    numbered = [np.full((8, 8, 3), number, np.uint8) for number in range(4)]
    assert len(classifier.predict(numbered, batch_size=1)) == 4


def test_the_digest_is_of_the_classifier_alone(folder: Path, tmp_path: Path) -> None:
    digest = digest_classifier(folder)
    copy = Path(shutil.copytree(folder, tmp_path / "run" / "classifier"))
    (copy / "notes.txt").write_text("mine")
    assert digest_classifier(copy) == digest_classifier(copy.parent) == digest
    edit(copy / "classifier.json", frostline="changed")
    assert digest_classifier(copy) != digest
    with pytest.raises(ModelError, match="no such run or classifier"):
        digest_classifier(tmp_path / "none")


def test_the_digest_of_an_export_is_of_all_its_files(tmp_path: Path) -> None:
    for name in ("model.xml", "model.bin", "parity.json"):
        (tmp_path / name).write_text(name)
    digest = digest_classifier(tmp_path)
    (tmp_path / "parity.json").write_text("again")
    assert digest_classifier(tmp_path) == digest_classifier(tmp_path / "model.xml") == digest
    (tmp_path / "model.bin").write_text("other weights")
    assert digest_classifier(tmp_path) != digest


def test_a_dataset_s_pictures_are_predicted_as_files_are(classifier: NetworkClassifier, photos: Path) -> None:
    dataset = load_dataset(photos)
    indices = np.array([41, 3, 22])
    found = classifier.predict_dataset(dataset, indices, batch_size=2)
    assert found.paths == ("sky/001.jpg", "apple/003.jpg", "leaf/002.jpg")
    assert found.targets.tolist() == [2, 0, 1]
    by_file = classifier.predict([photos / path for path in found.paths])
    np.testing.assert_allclose(found.probabilities, [one.probabilities for one in by_file], atol=1e-6)
    assert len(classifier.predict_dataset(dataset, indices[:0])) == 0


def edit(path: Path, **changes: object) -> None:
    values = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**values, **changes}), encoding="utf-8")


def assert_refused(path: Path, reason: str, culprit: str) -> None:
    """Loading must fail with one line that gives the reason and names the file."""
    with pytest.raises(ModelError, match=reason) as caught:
        NetworkClassifier.load(path)
    assert culprit in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"name": "x"}', "\x00\x01"])
def test_a_damaged_description_is_named(content: str, folder: Path) -> None:
    (folder / "classifier.json").write_text(content)
    assert_refused(folder, "save the classifier anew", str(folder / "classifier.json"))


@pytest.mark.parametrize("key", ["backbone", "head", "preprocessing", "class_names", "origin"])
def test_a_description_that_lacks_something_is_named(key: str, folder: Path) -> None:
    path = folder / "classifier.json"
    values = json.loads(path.read_text())
    del values[key]
    path.write_text(json.dumps(values))
    assert_refused(folder, f"lacks '{key}'", str(path))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"backbone": "resnet5O"}, "did you mean"),
        ({"head": {"width": "wide", "activation": "silu", "dropout": 0.2}}, "save the classifier anew"),
        ({"head": {"width": 16, "activation": "swish!", "dropout": 0.2}}, "save the classifier anew"),
        ({"head": None}, "save the classifier anew"),
        ({"preprocessing": {"size": 64}}, "preprocessing needs"),
        ({"preprocessing": None}, "save the classifier anew"),
        ({"class_names": None}, "save the classifier anew"),
    ],
)
def test_a_description_that_makes_no_sense_is_named(changes: dict[str, object], reason: str, folder: Path) -> None:
    edit(folder / "classifier.json", **changes)
    assert_refused(folder, reason, str(folder / "classifier.json"))


def test_a_newer_format_asks_for_an_update(folder: Path) -> None:
    edit(folder / "classifier.json", format_version=99, surprise=True)
    assert_refused(folder, "format version 99.*update frostline", str(folder / "classifier.json"))


@pytest.mark.parametrize("damage", ["truncated", "text", "empty", "absent"])
def test_damaged_weights_are_named(damage: str, folder: Path) -> None:
    path = folder / "model.safetensors"
    content = path.read_bytes()
    if damage == "absent":
        path.unlink()
    else:
        path.write_bytes({"truncated": content[:-10], "text": b"no weights at all", "empty": b""}[damage])
    assert_refused(folder, "cannot be used", str(path))


def fewer_classes(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {**weights, "head.4.weight": torch.zeros(2, 16), "head.4.bias": torch.zeros(2)}


@pytest.mark.parametrize(
    "change",
    [fewer_classes, lambda weights: {"weight": torch.zeros(2)}, lambda weights: {**weights, "x": torch.ones(1)}],
)
def test_weights_of_another_network_are_refused(
    change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]], folder: Path
) -> None:
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path)
    assert_refused(folder, "does not fit", str(path))


def test_a_folder_without_a_classifier_says_what_to_do(tmp_path: Path) -> None:
    assert_refused(tmp_path / "absent", "no such run or classifier", "absent")
    assert_refused(tmp_path, "holds no classifier", str(tmp_path))
    (tmp_path / "config.yaml").touch()
    assert_refused(tmp_path, "--resume", str(tmp_path))
