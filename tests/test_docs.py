"""Every example in the README and in docstrings is run, and what the docs say of options is what the code says."""

import doctest
import importlib
import pkgutil
import re
import runpy
import shlex
import shutil
from pathlib import Path

import pytest

import frostline
from frostline import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str, page: str = README) -> list[str]:
    """A page's code blocks in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


@pytest.fixture
def workplace(photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like the README's reader: `photos/`, `new/` and a picture of their own."""
    place = photos.parent
    (place / "new").mkdir()
    for name in ("new/1.jpg", "cat.jpg"):
        shutil.copy(photos / "leaf" / "000.jpg", place / name)
    monkeypatch.chdir(place)
    return place


def exit_code(line: str, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr("sys.argv", shlex.split(line))
    try:
        cli.main()
    except SystemExit as stop:
        return stop.code
    return 0


def test_readme_commands_run(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [line[2:] for block in blocks("console") for line in block.splitlines()]
    assert len(lines) > 5
    for line in lines:
        assert not exit_code(line, monkeypatch), line
        assert capsys.readouterr().out


def test_readme_python_runs(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks("python")
    exec(compile(code, "README.md", "exec"), {})
    assert "runs/photos-tf_efficientnet_lite0-1" in capsys.readouterr().out


def test_guide_python_runs(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks("python", (ROOT / "docs" / "guide.md").read_text(encoding="utf-8"))
    exec(compile(code, "guide.md", "exec"), {})
    assert re.fullmatch(r"accuracy [\d.]+, deviation [\d.]+\n", capsys.readouterr().out)


MODULES = [info.name for info in pkgutil.walk_packages(frostline.__path__, "frostline.") if "__main__" not in info.name]


@pytest.mark.parametrize("name", ["frostline", *MODULES])
def test_docstring_examples(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert not failed


def test_options_page_is_current() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_options.py"))
    assert made["PAGE"].read_text(encoding="utf-8") == made["options_page"]()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target
