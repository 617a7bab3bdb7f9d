"""What the service says of pictures is what the classifier says of their files."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from tests.deploy.server.conftest import CLASSES, Running, png, running

from frostline.deploy.server.settings import Settings
from frostline.model.network_classifier import NetworkClassifier


def send_files(client: httpx.Client, files: Sequence[tuple[str, bytes]], query: str = "") -> httpx.Response:
    return client.post(f"/predict{query}", files=[("picture", file) for file in files])


def entries(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    predictions = response.json()["predictions"]
    assert isinstance(predictions, list)
    return predictions


def assert_equal(entry: dict[str, Any], expected: Any) -> None:
    assert entry["answer"] == expected.answer
    assert (entry["unsure"], entry["far"]) == (expected.unsure, expected.far)
    for one, (name, probability) in zip(entry["top"], expected.top(5), strict=True):
        assert one["class"] == name
        assert one["probability"] == pytest.approx(probability, abs=1e-5)


def test_a_form_of_files_is_answered_as_the_files_are(
    served: Running, classifier: NetworkClassifier, pictures: list[Path]
) -> None:
    answered = entries(send_files(served.client, [(path.name, path.read_bytes()) for path in pictures]))
    assert [entry["name"] for entry in answered] == [path.name for path in pictures]
    for entry, expected in zip(answered, classifier.predict(pictures), strict=True):
        assert_equal(entry, expected)


@pytest.mark.parametrize("kind", ["image/jpeg", "image/x-whatever", "application/octet-stream", None])
def test_a_body_is_one_picture(
    kind: str | None, served: Running, classifier: NetworkClassifier, pictures: list[Path]
) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    (entry,) = entries(served.client.post("/predict", content=pictures[0].read_bytes(), headers=headers))
    assert_equal(entry, classifier.predict(pictures[:1])[0])


def test_an_unreadable_picture_is_an_error_in_its_place(served: Running) -> None:
    files = [("a.png", png(70, 70)), ("b.txt", b"text"), ("c.png", b""), ("d.png", png(30, 90))]
    answered = entries(send_files(served.client, files))
    assert [entry["name"] for entry in answered] == [name for name, _ in files]
    assert ["error" in entry for entry in answered] == [False, True, True, False]
    assert answered[1]["error"] == "it is not a picture, or of a kind that Pillow cannot read"
    assert answered[2]["error"] == "the file is empty (0 bytes)"


def test_top_k_is_as_many_as_asked_for_and_there_are(served: Running) -> None:
    for top_k, given in ((1, 1), (2, 2), (1000, len(CLASSES))):
        (entry,) = entries(send_files(served.client, [("a.png", png(70, 70))], f"?top_k={top_k}"))
        assert len(entry["top"]) == given


@pytest.mark.parametrize("top_k", ["0", "-1", "1001", "two", "", "1.5", "٣", "9" * 5000])
def test_a_wrong_top_k_is_refused(top_k: str, served: Running) -> None:
    answer = served.client.post("/predict", params={"top_k": top_k}, content=png(70, 70))
    assert answer.status_code == 422
    assert answer.json()["detail"] == "top_k must be a whole number from 1 to 1000."


def test_a_name_is_echoed_printable_and_cut(served: Running) -> None:
    names = ["a b\x7f\u202e.png", "ä€😀.png", "../../etc/passwd", "x" * 1_000]
    answered = entries(send_files(served.client, [(name, png(70, 70)) for name in names]))
    assert [entry["name"] for entry in answered[1:3]] == names[1:3]
    assert answered[0]["name"].isprintable()
    assert answered[3]["name"] == "x" * 199 + "…"


def test_an_overlay_is_a_square_png(served: Running, pictures: list[Path]) -> None:
    overlays = []
    for name in ("", *CLASSES):
        query = f"?class={name}" if name else ""
        answer = served.client.post(f"/explain{query}", content=pictures[1].read_bytes())
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "image/png"
        with Image.open(io.BytesIO(answer.content)) as image:
            assert image.size == (320, 320)
            overlays.append(np.asarray(image))
    assert len({overlay.tobytes() for overlay in overlays[1:]}) == len(CLASSES)
    assert any(np.array_equal(overlays[0], overlay) for overlay in overlays[1:])


def test_what_cannot_be_explained_is_said(served: Running) -> None:
    unknown = served.client.post("/explain?class=nothing", content=png(70, 70))
    assert (unknown.status_code, unknown.json()["status"]) == (422, 422)
    unreadable = served.client.post("/explain", content=b"text")
    assert unreadable.status_code == 422
    several = served.client.post("/explain", files=[("a", ("a.png", png(70, 70)))] * 2)
    assert several.status_code == 413


def test_one_picture_at_a_time_is_answered_the_same(classifier: NetworkClassifier, pictures: list[Path]) -> None:
    with running(classifier, Settings(batch_size=0, batch_wait=0, top_k=3)) as alone:
        answered = entries(send_files(alone.client, [(path.name, path.read_bytes()) for path in pictures]))
        assert alone.service.metrics.text().count(b'frostline_batch_pictures_bucket{le="1.0"} 8.0') == 1
    for entry, expected in zip(answered, classifier.predict(pictures), strict=True):
        assert_equal(entry, expected)
