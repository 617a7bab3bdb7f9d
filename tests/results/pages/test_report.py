"""The page of a run, opened in a real browser."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request

from frostline.config import TrainConfig
from frostline.data.sources import load_dataset
from frostline.errors import ConfigError
from frostline.results.pages.report import write_report
from frostline.results.predictions import Predictions, load_predictions
from frostline.results.record import read_run
from frostline.training.run import train

ODD_NAMES = ("<b>bold<script>alert(1)<&>", "\"quotes\" & 'more'", "שלום עולם", "🥭 mango")
MOST_BYTES = 10_000_000


@pytest.fixture(scope="session")
def run(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a finished run, apart from its pictures."""
    return Path(shutil.copytree(finished / "runs" / "photos-test_efficientnet-1", tmp_path_factory.mktemp("run") / "r"))


@pytest.fixture(scope="session")
def odd_run(
    write_pictures: Callable[..., Path],
    tiny_config: Callable[..., TrainConfig],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A run whose class names are meant to break a page; its classifier is no good, so there are mistakes."""
    place = tmp_path_factory.mktemp("odd")
    photos = write_pictures(place / "photos", {"a": 20, "b": 20, "c": 20, "d": 20})
    for old, new in zip("abcd", ODD_NAMES, strict=True):
        (photos / old).rename(photos / new.replace("/", ""))
    dataset = load_dataset(str(photos))
    done = train(dataset, tiny_config(epochs=1, learning_rate=1e-9, runs_dir=place / "runs"))
    shutil.rmtree(photos)
    return done.folder


class Opened:
    """A page with all that it did on its own."""

    def __init__(self, browser: Browser, file: Path, width: int = 1200) -> None:
        self.said: list[str] = []
        self.asked_for: list[str] = []
        self.page: Page = browser.new_page(viewport={"width": width, "height": 900})
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(f"dialog {dialog.message}"))
        self.page.on("request", self._note)
        self.page.goto(file.resolve().as_uri())

    def _hear(self, message: ConsoleMessage) -> None:
        self.said.append(message.text)

    def _note(self, request: Request) -> None:
        if not request.url.startswith("data:"):
            self.asked_for.append(request.url)


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[..., Opened]]:
    """Opens a report; the pages are closed at the end."""
    pages: list[Opened] = []

    def open_page(file: Path, width: int = 1200) -> Opened:
        pages.append(Opened(browser, file, width))
        return pages[-1]

    yield open_page
    for page in pages:
        page.page.close()


def test_the_page_loads_without_an_error_and_asks_for_nothing_but_itself(
    run: Path, opened: Callable[..., Opened]
) -> None:
    shown = opened(run / "report.html")
    assert shown.said == []
    assert shown.asked_for == [(run / "report.html").resolve().as_uri()]
    assert (run / "report.html").stat().st_size < MOST_BYTES
    headings = shown.page.locator("h2").all_inner_texts()
    assert headings[:3] == ["Training", "Confusion matrix", "Classes"]
    assert headings[-5:] == ["The pictures", "Time", "Layers", "Settings", "To repeat it"]
    broken = "() => [...document.images].filter((image) => image.complete && !image.naturalWidth).length"
    assert shown.page.evaluate(broken) == 0


def cells_of(predictions: Predictions) -> dict[tuple[int, int], set[str]]:
    """The paths of the pictures in each cell of the confusion matrix."""
    found: dict[tuple[int, int], set[str]] = {}
    for path, target, label in zip(predictions.paths, predictions.targets, predictions.labels, strict=True):
        found.setdefault((int(target), int(label)), set()).add(path)
    return found


def test_a_click_on_a_cell_shows_its_pictures(odd_run: Path, opened: Callable[..., Opened]) -> None:
    page = opened(odd_run / "report.html").page
    cells = cells_of(load_predictions(odd_run / "predictions" / "test.csv"))
    assert any(true != answer for true, answer in cells)
    assert page.locator("table.matrix button").count() == len(cells)
    for (true, answer), paths in cells.items():
        button = page.locator(f'[data-cell="{true},{answer}"]')
        assert button.inner_text() == str(len(paths))
        button.click()
        assert set(page.locator("#cell .path").all_inner_texts()) == paths
        assert page.locator("#cell h3 bdi").all_text_contents() == [sorted_names()[true], sorted_names()[answer]]
        assert page.locator("#cell img").count() == len(paths)
        assert button.get_attribute("aria-pressed") == "true"
        assert page.locator("[aria-pressed=true]").count() == 1


def sorted_names() -> list[str]:
    return sorted(ODD_NAMES)


def test_names_are_shown_as_text_and_run_nothing(odd_run: Path, opened: Callable[..., Opened]) -> None:
    shown = opened(odd_run / "report.html")
    names = shown.page.locator("table.sortable tbody td:first-child").all_text_contents()
    assert sorted(names) == sorted(ODD_NAMES)
    shown.page.locator("table.matrix button").first.click()
    assert shown.said == []
    assert shown.page.evaluate("() => document.querySelectorAll('b > script, bdi *').length") == 0


def test_a_click_on_a_heading_sorts_the_classes(run: Path, opened: Callable[..., Opened]) -> None:
    page = opened(run / "report.html").page
    table = page.locator("table.sortable")

    def column(number: int) -> list[str]:
        return table.locator(f"tbody td:nth-child({number})").all_inner_texts()

    names = column(1)
    table.get_by_role("button", name="class").click()
    assert column(1) == sorted(names, reverse=True) or column(1) == sorted(names)
    table.get_by_role("button", name="recall").click()
    falling = [float(text.rstrip("%")) for text in column(4)]
    assert falling == sorted(falling, reverse=True)
    table.get_by_role("button", name="recall").click()
    rising = [float(text.rstrip("%")) for text in column(4)]
    assert rising == sorted(rising)


@pytest.mark.parametrize("width", [390, 1200])
def test_nothing_is_wider_than_the_screen(odd_run: Path, opened: Callable[..., Opened], width: int) -> None:
    page = opened(odd_run / "report.html", width).page
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_the_report_is_made_again_without_the_pictures(odd_run: Path, tmp_path: Path) -> None:
    assert not (odd_run.parents[1] / "photos").exists()
    write_report(read_run(odd_run), tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == (odd_run / "report.html").read_bytes()


@pytest.mark.parametrize(
    "name",
    ["metrics.json", "history.csv", "config.yaml", "environment.json", "layers.csv", "pictures.zip"],
)
@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_what_is_missing_is_said(run: Path, tmp_path: Path, name: str, damage: str) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "r"))
    if damage == "missing":
        (copy / name).unlink()
    else:
        (copy / name).write_text('{"half": ', encoding="utf-8")
    write_report(read_run(copy), copy / "report.html")
    assert f"<li>{name} is {damage}" in (copy / "report.html").read_text(encoding="utf-8")


def test_a_run_of_which_only_the_curves_are_left_has_a_report(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "r"
    copy.mkdir()
    shutil.copy(run / "history.csv", copy)
    write_report(read_run(copy), copy / "report.html")
    page = (copy / "report.html").read_text(encoding="utf-8")
    assert "<li>metrics.json is missing</li>" in page
    assert ">Training</h2>" in page
    assert ">Confusion matrix</h2>" not in page


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"not the folder of a run"):
        read_run(tmp_path)
    with pytest.raises(ConfigError, match=r"no such run"):
        read_run(tmp_path / "absent")


def test_a_hundred_classes_are_coloured_squares_with_a_list(
    run: Path, tmp_path: Path, opened: Callable[..., Opened]
) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "r"))
    rng = np.random.default_rng(0)
    names = tuple(f"class {number:03}" for number in range(100))
    targets = rng.integers(0, 100, 2000)
    logits = rng.normal(0, 1, (2000, 100)) + 4 * np.eye(100)[targets]
    probabilities = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)
    predictions = Predictions(tuple(f"{row}.jpg" for row in range(2000)), targets, probabilities, names)
    record = read_run(copy)
    changed = type(record)(**{**record.__dict__, "predictions": {**record.predictions, "test": predictions}})
    write_report(changed, copy / "report.html")
    shown = opened(copy / "report.html")
    assert shown.said == []
    cells = cells_of(predictions)
    assert shown.page.locator("svg.matrix rect").count() == len(cells)
    largest = max((cell for cell in cells if cell[0] != cell[1]), key=lambda cell: len(cells[cell]))
    row = shown.page.locator(".wide-matrix tbody tr").first
    assert row.locator("td").nth(2).inner_text() == str(len(cells[largest]))
    row.locator("button").click()
    assert len(shown.page.locator("#cell figure").all()) == len(cells[largest])
    true, answer = max(cells, key=lambda cell: len(cells[cell]))
    shown.page.locator(f'rect[data-cell="{true},{answer}"]').hover()
    assert shown.page.locator("#hovered").inner_text().endswith(f": {len(cells[true, answer])}")
