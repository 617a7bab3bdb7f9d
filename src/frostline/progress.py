"""How far a long job is: a bar on a terminal, plain lines elsewhere, always on stderr."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

console = Console(stderr=True, highlight=False, emoji=False)

PLAIN_INTERVAL = 15.0
"""Seconds between two plain lines of one phase."""

_WIDE = 110
"""Columns of a terminal from which on there is room for the bar itself, beside the figures."""


class Advance(Protocol):
    """Tell a phase that `count` more of its items are done, with a short word on how it goes."""

    def __call__(self, count: int, note: str = "") -> None:
        """Advance by `count` items."""
        ...


class _Rate(ProgressColumn):
    """Items per second since the phase began."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        unit = f" {task.fields['unit']}" if console.width >= _WIDE else ""
        return Text("" if speed is None else f"{speed:,.0f}{unit}/s", style="cyan")


@contextmanager
def phase(name: str, total: int | None, unit: str = "pictures") -> Iterator[Advance]:
    """Show one phase of a job while the block runs; the block calls what it is given to advance.

    Where the `total` is not known, it is shown how much is done, and neither a bar nor the time that is left.
    """
    if console.is_terminal and not console.quiet:
        with Progress(*_columns(total), console=console, transient=True) as bar:
            task = bar.add_task(name, total=total, unit=unit, note="")

            def advance_bar(count: int, note: str = "") -> None:
                bar.update(task, advance=count, note=note)

            yield advance_bar
        return
    started = last = time.monotonic()
    done = 0

    def advance_lines(count: int, note: str = "") -> None:
        nonlocal done, last
        done += count
        now = time.monotonic()
        if now - last >= PLAIN_INTERVAL:
            last = now
            rate = done / (now - started)
            of_total, left = "", ""
            if total is not None:
                of_total = f"/{total:,}"
                left = f", {(total - done) / rate if rate else float('inf'):,.0f} s left"
            say(f"{name}: {done:,}{of_total} {unit}, {rate:,.0f} {unit}/s{left} {note}".rstrip())

    yield advance_lines


def _columns(total: int | None) -> Iterator[ProgressColumn]:
    yield TextColumn("{task.description}")
    if total is not None and console.width >= _WIDE:
        yield BarColumn(bar_width=20)
    yield TextColumn("{task.completed:,.0f}" if total is None else "{task.completed:,.0f}/{task.total:,.0f}")
    yield _Rate()
    if total is not None:
        yield TimeRemainingColumn()
        yield TextColumn("left")
    yield TextColumn("{task.fields[note]}")


class Stopwatch:
    """Seconds spent on each phase of a job."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, phase: str) -> None:
        """End a phase, which began where the one before ended."""
        now = time.monotonic()
        self.seconds[phase] = round(now - self._last, 3)
        self._last = now


def say(message: str) -> None:
    """Print one line on stderr, and keep it in the log where there is one."""
    console.print(message, markup=False, soft_wrap=True)
    if _log is not None:
        print(message, file=_log, flush=True)


_log: IO[str] | None = None


@contextmanager
def quiet() -> Iterator[None]:
    """Show nothing within the block: neither lines nor bars."""
    before, console.quiet = console.quiet, True
    try:
        yield
    finally:
        console.quiet = before


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Keep every line that is said within the block at the end of a file."""
    global _log
    with path.open("a", encoding="utf-8") as file:
        _log = file
        try:
            yield
        finally:
            _log = None
