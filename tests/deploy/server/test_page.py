"""The page of the service in a real browser, with the real service behind it."""

import csv
import io
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from frostline.deploy.server import information
from frostline.deploy.server.settings import Settings
from frostline.model.network_classifier import NetworkClassifier
from frostline.model.prediction import Prediction

PAGE = Path(information.__file__).parent / "page"
ODD_NAMES = ("<b>bold</b><script>alert(1)</script>", "שלום עולם", "🥭 \"mango\" & 'more'")
BROWSER_FLAGS = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
"""For a camera that is none."""

expect.set_options(timeout=15_000)


@pytest.fixture(scope="module")
def served(start: Callable[..., Any], classifier: NetworkClassifier) -> Iterator[Any]:
    """One service for many tests, with room for a picture of the camera."""
    with start(classifier, Settings(max_body_bytes=200_000, max_pictures=8)) as running:
        yield running


class Shown:
    """The page, with all that it said to the console and all that it asked for."""

    def __init__(self, browser: Browser, port: int, **options: Any) -> None:
        self.origin = f"http://127.0.0.1:{port}"
        self.said: list[str] = []
        self.asked_for: list[str] = []
        self.page: Page = browser.new_page(**{"viewport": {"width": 1200, "height": 900}, **options})
        self.page.set_default_timeout(15_000)
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(f"dialog {dialog.message}"))
        self.page.on("request", lambda request: self.asked_for.append(request.url))
        self.page.goto(self.origin)

    @property
    def entries(self) -> Locator:
        return self.page.locator(".entry")

    def choose(self, *files: Path) -> None:
        """Choose files, and wait for what the page says of the last of them."""
        before = self.entries.count()
        self.page.get_by_label("Choose pictures").set_input_files(files)
        expect(self.entries).to_have_count(before + len(files))
        self.wait()

    def wait(self) -> None:
        """Wait until no picture waits any more."""
        expect(self.entries.first).to_be_visible()
        expect(self.page.locator(".entry[data-state=waiting]")).to_have_count(0)

    def drop(self, file: Path) -> None:
        """Drop a file on the page."""
        self.page.evaluate(
            """([name, bytes]) => {
              const dataTransfer = new DataTransfer();
              dataTransfer.items.add(new File([new Uint8Array(bytes)], name, { type: "image/png" }));
              for (const event of ["dragover", "drop"]) {
                document.body.dispatchEvent(new DragEvent(event, { dataTransfer, bubbles: true, cancelable: true }));
              }
            }""",
            [file.name, list(file.read_bytes())],
        )

    def paste(self, file: Path) -> None:
        """Copy a PNG picture to the clipboard, and press the keys that paste it."""
        self.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.page.evaluate(
            """(bytes) => {
              const picture = new Blob([new Uint8Array(bytes)], { type: "image/png" });
              return navigator.clipboard.write([new ClipboardItem({ "image/png": picture })]);
            }""",
            list(file.read_bytes()),
        )
        self.page.keyboard.press("Control+V")


@pytest.fixture
def show(browser: Browser) -> Iterator[Callable[..., Shown]]:
    """Opens the page at a port; it is closed at the end."""
    opened: list[Shown] = []

    def open_page(port: int, **options: Any) -> Shown:
        opened.append(Shown(browser, port, **options))
        return opened[-1]

    yield open_page
    for shown in opened:
        shown.page.close()


def in_words(share: float) -> str:
    """A probability as the page writes it."""
    if share < 0.0005:
        return "<0.1%"
    return ">99.9%" if 0.9995 <= share < 1 else f"{share:.1%}"


def assert_shows(entry: Locator, prediction: Prediction) -> None:
    """An entry says what the classifier does, class by class."""
    expect(entry.locator("h3")).to_have_text(prediction.answer)
    expect(entry.locator(".confidence")).to_have_text(in_words(prediction.confidence))
    ranked = prediction.top(5)
    expect(entry.locator(".ranked bdi")).to_have_text([name for name, _ in ranked])
    expect(entry.locator(".share")).to_have_text([in_words(share) for _, share in ranked])


def test_a_dropped_picture_gets_the_classifier_s_answer(
    served: Any, show: Callable[..., Shown], classifier: NetworkClassifier, pictures: list[Path]
) -> None:
    prediction = classifier.predict([pictures[1]])[0]
    shown = show(served.port)
    shown.drop(pictures[1])
    assert_shows(shown.entries, prediction)
    expect(shown.entries.locator(".name")).to_have_text(pictures[1].name)
    expect(shown.entries.locator(".took")).to_have_text(re.compile(r"^\d+ ms$|^\d+\.\d s$"))
    read_out = f"{pictures[1].name}: {prediction.label}, {in_words(prediction.confidence)}"
    expect(shown.page.get_by_role("log").locator("p").last).to_have_text(read_out)
    assert shown.said == []
    assert all(url.startswith((shown.origin, f"blob:{shown.origin}")) for url in shown.asked_for)


def test_a_pasted_picture_gets_the_classifier_s_answer(
    served: Any, show: Callable[..., Shown], classifier: NetworkClassifier, pictures: list[Path]
) -> None:
    shown = show(served.port)
    shown.paste(pictures[1])
    assert_shows(shown.entries, classifier.predict([pictures[1]])[0])
    expect(shown.entries.locator(".name")).to_have_text("pasted-1.png")
    assert shown.said == []


def test_many_pictures_go_in_requests_that_the_server_takes(
    served: Any, show: Callable[..., Shown], classifier: NetworkClassifier, pictures: list[Path]
) -> None:
    shown = show(served.port)
    twice = [path for path in pictures if path.suffix != ".tiff"] * 2
    shown.choose(*twice)
    assert sum("/predict" in url for url in shown.asked_for) > 1
    for number, prediction in enumerate(classifier.predict(twice)):
        assert_shows(shown.entries.nth(number), prediction)
    shown.choose(pictures[0])
    expect(shown.entries.first.locator(".name")).to_have_text(pictures[0].name)
    expect(shown.page.locator("#count")).to_have_text(str(len(twice) + 1))
    assert shown.said == []


def test_a_file_that_is_no_picture_has_its_reason_and_the_others_their_answers(
    served: Any, show: Callable[..., Shown], classifier: NetworkClassifier, pictures: list[Path], tmp_path: Path
) -> None:
    words, empty, large = tmp_path / "words.txt", tmp_path / "empty.png", tmp_path / "large.bmp"
    words.write_text("no picture")
    empty.touch()
    large.write_bytes(bytes(300_000))
    shown = show(served.port)
    shown.choose(words, pictures[0], empty, large)
    assert_shows(shown.entries.nth(1), classifier.predict([pictures[0]])[0])
    reasons = ("it is not a picture", "the file is empty", "It has 0.3 MiB: this server takes up to 0.2 MiB")
    for number, reason in zip((0, 2, 3), reasons, strict=True):
        expect(shown.entries.nth(number).locator("h3")).to_have_text("No answer")
        expect(shown.entries.nth(number).locator(".error").first).to_contain_text(reason)
    shown.choose(words, empty)
    expect(shown.entries.nth(0).locator(".error").first).to_contain_text("words.txt cannot be read: it is not")
    expect(shown.entries.nth(1).locator(".error").first).to_contain_text("empty.png cannot be read: the file is empty")


def test_the_camera_shows_what_it_sees_and_takes_a_picture(served: Any, show: Callable[..., Shown]) -> None:
    shown = show(served.port)
    shown.page.get_by_role("button", name="Use the camera").click()
    shown.page.get_by_role("button", name="Take picture").click()
    expect(shown.entries.locator(".name")).to_have_text("camera-1.jpg")
    shown.wait()
    shown.page.get_by_role("button", name="Stop").click()
    expect(shown.page.locator("#camera")).to_be_hidden()
    expect(shown.page.get_by_role("button", name="Use the camera")).to_be_focused()
    assert shown.said == []


def test_a_camera_that_may_not_be_used_says_so(served: Any, show: Callable[..., Shown]) -> None:
    shown = show(served.port)
    shown.page.evaluate(
        """() => {
          navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("", "NotAllowedError"));
        }"""
    )
    shown.page.get_by_role("button", name="Use the camera").click()
    expect(shown.page.locator("#camera")).to_contain_text("This page may not use the camera")
    expect(shown.page.get_by_role("button", name="Take picture")).to_be_hidden()


def test_what_speaks_for_a_class_is_shown_beside_the_picture(
    served: Any, show: Callable[..., Shown], classifier: NetworkClassifier, pictures: list[Path]
) -> None:
    shown = show(served.port)
    shown.choose(pictures[0])
    best, second = [name for name, _ in classifier.predict([pictures[0]])[0].top(2)]
    overlay = shown.entries.locator(".explanation img")
    shown.page.get_by_role("button", name="What speaks for it", exact=True).click()
    expect(shown.entries.locator("figcaption")).to_have_text(f"what speaks for {best}")
    expect(overlay).to_be_visible()
    assert overlay.evaluate("async (image) => { await image.decode(); return image.naturalWidth; }") >= 320
    first = overlay.get_attribute("src")
    shown.page.get_by_role("button", name=second).click()
    expect(shown.entries.locator("figcaption")).to_have_text(f"what speaks for {second}")
    assert overlay.get_attribute("src") != first
    expect(shown.page.locator("[aria-pressed=true]")).to_have_attribute("data-class", second)
    shown.page.get_by_role("button", name="Hide what speaks for it").click()
    expect(overlay).to_be_hidden()
    assert shown.said == []


def test_a_token_is_asked_for_until_it_is_right(
    start: Callable[..., Any], show: Callable[..., Shown], classifier: NetworkClassifier, pictures: list[Path]
) -> None:
    with start(classifier, Settings(token="right")) as running:
        shown = show(running.port)
        token = shown.page.get_by_label("This server asks for a token")
        token.fill("wrong")
        token.press("Enter")
        shown.page.get_by_label("Choose pictures").set_input_files(pictures[0])
        expect(shown.page.locator("#token")).to_contain_text("did not accept that token")
        expect(token).to_be_focused()
        expect(shown.entries).to_have_attribute("data-state", "waiting")
        token.fill("right")
        token.press("Enter")
        assert_shows(shown.entries, classifier.predict([pictures[0]])[0])
        shown.page.reload()
        expect(shown.page.locator("#about")).to_be_visible()
        expect(token).to_be_hidden()
        expect(shown.entries).to_have_count(0)


def test_a_busy_server_is_asked_again_and_one_that_is_away_on_request(
    served: Any, show: Callable[..., Shown], classifier: NetworkClassifier, pictures: list[Path]
) -> None:
    shown = show(served.port)
    answers = iter(["busy", "away"])

    def answer(route: Route) -> None:
        kind = next(answers, "fine")
        if kind == "busy":
            route.fulfill(status=503, headers={"Retry-After": "1"}, body="{}")
        elif kind == "away":
            route.abort()
        else:
            route.continue_()

    shown.page.route("**/predict?*", answer)
    shown.page.get_by_label("Choose pictures").set_input_files(pictures[0])
    expect(shown.entries.locator("h3")).to_have_text("The server is busy: again in 1 s")
    expect(shown.entries.locator(".error").first).to_contain_text("The server cannot be reached")
    shown.page.get_by_role("button", name="Try again").click()
    assert_shows(shown.entries, classifier.predict([pictures[0]])[0])
    expect(shown.page.get_by_role("button", name="Try again")).to_be_hidden()


def test_an_unsure_and_a_far_answer_are_marked(served: Any, show: Callable[..., Shown], pictures: list[Path]) -> None:
    shown = show(served.port)
    top = [{"class": "leaf", "probability": 0.99996}, {"class": "sky", "probability": 0.00004}]
    doubtful = {"name": "0.jpg", "answer": "unsure", "unsure": True, "far": True, "top": top}
    shown.page.route("**/predict?*", lambda route: route.fulfill(json={"predictions": [doubtful]}))
    shown.choose(pictures[0])
    expect(shown.entries.locator("h3")).to_have_text("unsure")
    expect(shown.entries.locator(".runner-up")).to_have_text("Most probable: leaf, >99.9%")
    expect(shown.entries.locator(".far")).to_contain_text("Unlike the training pictures")
    expect(shown.entries.locator(".share")).to_have_text([">99.9%", "<0.1%"])


def test_the_answers_are_downloaded_as_csv(
    served: Any, show: Callable[..., Shown], classifier: NetworkClassifier, pictures: list[Path], tmp_path: Path
) -> None:
    odd = Path(shutil.copy(pictures[1], tmp_path / 'a "b", c.png'))
    (tmp_path / "words.txt").write_text("no picture")
    shown = show(served.port)
    shown.choose(odd, tmp_path / "words.txt")
    with shown.page.expect_download() as download:
        shown.page.get_by_role("button", name="Download CSV").click()
    assert download.value.suggested_filename == "frostline.csv"
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text(encoding="utf-8"))))
    prediction = classifier.predict([odd])[0]
    assert list(rows[0]) == ["name", "answer", "class", "probability", "far", "error"]
    assert [row["name"] for row in rows] == ['a "b", c.png', "words.txt"]
    assert (rows[0]["answer"], rows[0]["class"], rows[0]["far"]) == (prediction.answer, prediction.label, "false")
    assert float(rows[0]["probability"]) == pytest.approx(prediction.confidence, abs=1e-6)
    assert "it is not a picture" in rows[1]["error"]


def test_names_of_classes_and_files_are_text_and_run_nothing(
    start: Callable[..., Any], show: Callable[..., Shown], classifier: NetworkClassifier, pictures: list[Path]
) -> None:
    odd = NetworkClassifier(
        classifier.architecture, classifier.network, classifier.preprocessing, ODD_NAMES, classifier.origin
    )
    with start(odd, Settings()) as running:
        shown = show(running.port)
        shown.page.locator("summary").click()
        expect(shown.page.locator("#classes li")).to_have_text(list(ODD_NAMES))
        shown.choose(pictures[0])
        assert_shows(shown.entries, odd.predict([pictures[0]])[0])
        for name in ODD_NAMES:
            shown.page.locator(".ranked").filter(has_text=name).click()
            expect(shown.entries.locator("figcaption")).to_have_text(f"what speaks for {name}")
        assert shown.page.locator("main b, main script, #about b, #about script").count() == 0
        assert shown.said == []


def test_the_keyboard_reaches_everything(served: Any, show: Callable[..., Shown], pictures: list[Path]) -> None:
    shown = show(served.port)
    shown.page.on("filechooser", lambda chooser: chooser.set_files(pictures[:2]))
    expect(shown.page.locator("#about")).to_be_visible()
    press = shown.page.keyboard.press
    press("Tab")
    expect(shown.page.locator("summary")).to_be_focused()
    press("Enter")
    expect(shown.page.locator("#sees")).to_contain_text("sees a picture at 64")
    press("Tab")
    press("Tab")
    expect(shown.page.get_by_label("Choose pictures")).to_be_focused()
    press("Enter")
    expect(shown.entries).to_have_count(2)
    shown.wait()
    for name in ("Use the camera", "Download CSV", "Clear all"):
        press("Tab")
        expect(shown.page.get_by_role("button", name=name)).to_be_focused()
    remove = shown.page.get_by_role("button", name="Remove")
    for _ in range(5):
        press("Tab")
    expect(remove.first).to_be_focused()
    press("Enter")
    expect(shown.entries).to_have_count(1)
    expect(remove).to_be_focused()
    press("Enter")
    expect(shown.entries).to_have_count(0)
    expect(shown.page.get_by_label("Choose pictures")).to_be_focused()
    expect(shown.page.locator("#empty")).to_be_visible()


def test_clear_all_forgets_every_picture(served: Any, show: Callable[..., Shown], pictures: list[Path]) -> None:
    shown = show(served.port)
    shown.choose(*pictures[:3])
    shown.page.get_by_role("button", name="Clear all").click()
    expect(shown.entries).to_have_count(0)
    expect(shown.page.locator("#tools")).to_be_hidden()


@pytest.mark.parametrize("width", [360, 390, 1400])
def test_the_page_fits_its_window_and_fingers(
    width: int, served: Any, show: Callable[..., Shown], pictures: list[Path], tmp_path: Path
) -> None:
    long = Path(shutil.copy(pictures[1], tmp_path / f"{'long' * 40}.png"))
    shown = show(served.port, viewport={"width": width, "height": 800})
    shown.page.locator("summary").click()
    shown.choose(long, pictures[0])
    shown.page.get_by_role("button", name="What speaks for it", exact=True).first.click()
    expect(shown.page.locator(".explanation img").first).to_be_visible()
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
    sizes = "(nodes) => nodes.filter((node) => node.offsetParent).map((node) => [node.offsetWidth, node.offsetHeight])"
    for size in shown.page.locator("button, .button, summary").evaluate_all(sizes):
        assert min(size) >= 44


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, `#rrggbb` (WCAG 2.2, relative luminance)."""
    shares = np.array([[int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)] for colour in (one, other)])
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    low, high = sorted(linear @ [0.2126, 0.7152, 0.0722])
    return float((high + 0.05) / (low + 0.05))


def test_the_colours_have_the_contrast_of_wcag_aa() -> None:
    css = (PAGE / "page.css").read_text(encoding="utf-8")
    schemes = [dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in re.findall(r":root \{([^}]*)\}", css)]
    assert len(schemes) == 2
    for colours in schemes:
        for text in ("ink", "faint", "bad", "unsure", "accent"):
            for ground in ("paper", "card", "tint"):
                assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        for ground in ("accent", "accent-strong"):
            assert contrast(colours["on-accent"], colours[ground]) >= 4.5
        assert contrast(colours["edge"], colours["card"]) >= 3
        assert contrast(colours["accent"], colours["track"]) >= 3


def test_the_page_needs_nothing_from_elsewhere() -> None:
    """Chromium enforces the policy that the service sends; this is for browsers that would not."""
    for file in PAGE.iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|innerHTML|\bon\w+=\"|style=\"|<style|<script>", text), file.name
