"""Downloads that are checked and whole, or absent."""

import hashlib
import http.client
import urllib.request
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError

from frostline.errors import DataError
from frostline.files import atomic_write
from frostline.progress import phase

CHUNK = 1 << 20
TIMEOUT = 30.0
"""Seconds that a server may stay silent."""


def download(url: str, path: Path, md5: str) -> None:
    """Fetch `url` into the file `path`, which appears only when all of it came and its MD5 is `md5`.

    Raises `DataError` where there is no network, the server refuses, the file differs or cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        request = urllib.request.Request(url, headers={"User-Agent": "frostline"})  # noqa: S310 - callers pass constants
        with (
            urllib.request.urlopen(request, timeout=TIMEOUT) as response,  # noqa: S310
            atomic_write(path, "wb") as file,
        ):
            found = _copy(response, file, path.name)
            if found != md5:
                raise DataError(f"{url} sent a file of MD5 {found} instead of {md5}, not kept; try again later")
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, HTTPError):
            error.close()
        raise DataError(
            f"cannot download {url} to {path}: {one_line(error)}; "
            "without a network, put the file into a folder and name it with --data-dir"
        ) from error


def one_line(error: Exception) -> str:
    """What a failed download says, on one line and without the wrapping that urllib puts around it."""
    inner = getattr(error, "reason", None)
    text = str(inner if inner is not None and not isinstance(error, HTTPError) else error)
    return " ".join(text.split()) or type(error).__name__


def _copy(response: http.client.HTTPResponse, file: IO[Any], name: str) -> str:
    """Copy a response into a file; returns its MD5. Raises `HTTPException` where it broke off."""
    expected = response.length or 0
    digest = hashlib.md5(usedforsecurity=False)
    received = 0
    with phase(f"download {name}", expected // 1000, "kB") as advance:
        while chunk := response.read(CHUNK):
            file.write(chunk)
            digest.update(chunk)
            advance((received + len(chunk)) // 1000 - received // 1000)
            received += len(chunk)
    if received < expected:
        raise http.client.HTTPException(f"the connection broke off after {received:,} of {expected:,} bytes")
    return digest.hexdigest()
