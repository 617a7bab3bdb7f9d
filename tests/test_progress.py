"""A bar on a terminal, plain lines elsewhere, nothing on standard output."""

import os
import pty
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest.mock import patch

import click
import pytest

from frostline import progress


class Screen:
    """What a terminal was sent."""

    def __init__(self, reader: int) -> None:
        self._reader = reader
        self._sent = bytearray()

    @property
    def text(self) -> str:
        """All of it; complete once the terminal is closed."""
        return self._sent.decode()

    def read(self) -> None:
        """Read until the terminal is closed, which Linux reports as an error and others as an end."""
        with suppress(OSError):
            while sent := os.read(self._reader, 4096):
                self._sent += sent


@contextmanager
def terminal() -> Iterator[Screen]:
    """A pseudo-terminal stands for standard error within the block; its screen can be read after it."""
    reader, writer = pty.openpty()
    screen = Screen(reader)
    thread = threading.Thread(target=screen.read)
    with os.fdopen(reader):
        thread.start()
        try:
            with (
                os.fdopen(writer, "w", encoding="utf-8") as stream,
                patch.object(sys, "stderr", stream),
                patch.object(progress.console, "is_interactive", True),  # else as it was when the console was made
            ):
                yield screen
        finally:
            thread.join()


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what a user may have set for colours and size."""
    for variable in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(progress.console, "_width", None)  # which COLUMNS had when the console was made


@pytest.mark.parametrize("width", [80, 110])
def test_all_figures_fit_the_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    ticks = iter(range(10_000))
    monkeypatch.setattr(progress.console, "get_time", lambda: float(next(ticks)))
    with terminal() as screen, progress.phase("epoch 14/30", 45_000) as advance:
        for _ in range(4):
            advance(10_000, "loss 0.5612  accuracy 0.8012")
            time.sleep(0.15)
    shown = click.unstyle(screen.text)
    line = [line for line in shown.replace("\r", "\n").splitlines() if "40,000/45,000" in line][-1]
    assert "…" not in shown
    assert re.search(
        r"epoch 14/30 .*40,000/45,000 [\d,]+( pictures)?/s \d:\d\d:\d\d left loss 0.5612  accuracy 0.8012", line
    )
    assert ("━" in line) == (width == 110)


def test_a_bar_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal() as screen, progress.phase("decode", 2_000) as advance:
        advance(1_500, "loss 0.5")
        advance(500, "loss 0.4")
    shown = screen.text
    assert "decode" in shown
    assert "2,000/2,000" in shown
    assert "loss 0.4" in shown
    assert shown.endswith("\x1b[2K")  # the bar is wiped out when the phase is over
    assert capsys.readouterr() == ("", "")


def test_lines_go_above_the_bar(tmp_path: Path) -> None:
    line = "note: [bold] :smile: 100%"
    with terminal() as screen, progress.log_to(tmp_path / "log.txt"), progress.phase("epoch 1/2", 10) as advance:
        advance(5)
        progress.say(line)
        advance(5)
    assert f"{line}\r\n" in screen.text
    assert (tmp_path / "log.txt").read_text() == f"{line}\n"


def test_plain_lines_elsewhere(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "PLAIN_INTERVAL", 0.0)
    with progress.phase("decode", 2_000) as advance:
        advance(500)
        advance(1_500, "loss 0.5")
    shown = capsys.readouterr()
    first, second = shown.err.splitlines()
    assert first.startswith("decode: 500/2,000 pictures, ")
    assert second.startswith("decode: 2,000/2,000 pictures, ")
    assert second.endswith(" 0 s left loss 0.5")
    assert "\x1b" not in shown.err
    assert shown.out == ""


def test_a_total_that_is_not_known_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "PLAIN_INTERVAL", 0.0)
    with progress.phase("predict", None) as advance:
        advance(1_500)
    assert re.fullmatch(r"predict: 1,500 pictures, [\d,]+ pictures/s\n", capsys.readouterr().err)
    with terminal() as screen, progress.phase("predict", None) as advance:
        advance(1_500, "so far")
    shown = click.unstyle(screen.text)
    assert re.search(r"predict 1,500 +so far", shown)
    assert not {"/", "━", "left"} & set(shown.split())


def test_a_short_phase_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.phase("decode", 2) as advance:
        advance(2)
    assert capsys.readouterr() == ("", "")


def test_a_long_line_is_not_wrapped(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    progress.say("x" * 500)
    assert capsys.readouterr().err == "x" * 500 + "\n"


def test_the_log_keeps_what_was_said_and_is_added_to(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    for line in ("first", "zweite ü"):
        with progress.log_to(log):
            progress.say(line)
    progress.say("after")
    assert log.read_text(encoding="utf-8") == "first\nzweite ü\n"


def test_a_failure_in_a_phase_is_passed_on() -> None:
    with terminal(), pytest.raises(ValueError, match="broken"), progress.phase("decode", 2):
        raise ValueError("broken")
