"""Where frostline keeps files of its own, and how it writes any: whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from frostline.errors import ConfigError


def cache_folder() -> Path:
    """The folder for what is downloaded or computed once: `FROSTLINE_CACHE`, else `frostline` in the user's cache."""
    chosen = os.environ.get("FROSTLINE_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "frostline"


@contextmanager
def atomic_write(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary file in the target's folder; it replaces `path` when the block ends without an error.

    `mode` is `"w"` (UTF-8, newlines as written) or `"wb"`. A symbolic link is followed. An `OSError`, such as of a full
    disk, names `path`.
    """
    text = "b" not in mode
    target = path.resolve()
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open(mode, encoding="utf-8" if text else None, newline="" if text else None) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            error.filename = str(path)
        with suppress(OSError):
            temporary.unlink()
        raise


@contextmanager
def claimed(lock: Path, refusal: str) -> Iterator[None]:
    """Hold a lock file, which is there only that long. Raises `ConfigError(refusal)` where another process has it."""
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        raise ConfigError(refusal) from None
    try:
        yield
    finally:
        with suppress(OSError):  # Windows keeps a file that is open
            lock.unlink()
        held.release()
