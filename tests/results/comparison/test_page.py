"""The page of a comparison stands alone, shows every name as text, and never replaces another."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from frostline.results.comparison.comparison import compare_runs
from frostline.results.comparison.page import new_page, write_comparison_page
from frostline.results.predictions import Predictions
from frostline.results.record import read_run

NAMES = ("<script>alert(1)</script>", "quoted \"leaf\" & 'more'", "שמיים 🥭")


def write_page(folders: list[Path], path: Path) -> str:
    write_comparison_page(compare_runs([read_run(folder) for folder in folders]), path)
    return path.read_text(encoding="utf-8")


@pytest.fixture
def runs(tmp_path: Path, draw_predictions: Callable[..., Predictions], write_run: Callable[..., Path]) -> list[Path]:
    names = ("a", "b", "<b>c")
    tests = [draw_predictions(NAMES, seed=seed) for seed in range(3)]
    return [write_run(tmp_path / name, test, seed=len(name)) for name, test in zip(names, tests, strict=True)]


def test_nothing_is_fetched_and_names_are_text(runs: list[Path], tmp_path: Path) -> None:
    page = write_page(runs, tmp_path / "page.html")
    sources = re.findall(r"""(?:src|href|srcset|url)\s*[=(]\s*["']?([^"'>\s)]*)""", page)
    assert sources
    assert all(source.startswith("data:image/") for source in sources)
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert "<b>c" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_a_browser_shows_it_without_a_complaint(runs: list[Path], tmp_path: Path, browser: Browser) -> None:
    write_page(runs, tmp_path / "page.html")
    with browser.new_context(viewport={"width": 390, "height": 800}) as context:
        page = context.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url))
        page.goto((tmp_path / "page.html").as_uri())
        assert [line for line in said if not line.startswith(("data:", "file:"))] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert all(page.eval_on_selector_all("img", "all => all.map(image => image.naturalWidth > 0)"))
        assert NAMES[0] in page.inner_text("body")
        assert NAMES[2] in page.inner_text("body")


def test_pictures_come_from_whichever_run_kept_them(runs: list[Path], tmp_path: Path) -> None:
    whole = write_page(runs[:2], tmp_path / "whole.html")
    shown = whole.count("<figure>")
    assert shown
    assert 0 < whole.count("not kept") < shown
    for run in runs[:2]:
        (run / "pictures.zip").unlink()
    bare = write_page(runs[:2], tmp_path / "bare.html")
    assert bare.count("not kept") == bare.count("<figure>") == shown


def test_runs_without_a_history_have_no_curves(runs: list[Path], tmp_path: Path) -> None:
    assert "<h2>Curves</h2>" in write_page(runs[:2], tmp_path / "page.html")
    for run in runs[:2]:
        (run / "history.csv").unlink()
    assert "<h2>Curves</h2>" not in write_page(runs[:2], tmp_path / "page.html")


def test_a_new_page_takes_the_next_free_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (tmp_path / "compare-1.html").write_text("kept", encoding="utf-8")
    assert new_page(run) == tmp_path / "compare-2.html"
    assert new_page(run) == tmp_path / "compare-3.html"
    monkeypatch.chdir(run)
    assert new_page(Path()).resolve() == tmp_path / "compare-4.html"
    assert (tmp_path / "compare-1.html").read_text(encoding="utf-8") == "kept"


def test_more_runs_than_colours(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    test = Predictions(("x",), np.array([0]), np.array([[0.75, 0.25]], dtype=np.float32), ("yes", "no"))
    many = [write_run(tmp_path / f"run-{number}", test) for number in range(12)]
    page = write_page(many, tmp_path / "page.html")
    assert "of twenty runs" in page
    assert page.count("cannot be told apart on 1 test picture:") == 11
