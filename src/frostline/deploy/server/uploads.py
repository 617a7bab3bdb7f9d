"""From a request to the files in it, with its limits held while it is still being read."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, parse_options_header
from starlette.requests import Request

from frostline.deploy.server.problems import ProblemError
from frostline.deploy.server.settings import Settings

UNNAMED = "picture"
"""Name of a picture that came without one."""

_LONGEST_NAME = 200
_IN_MEMORY = {"MAX_MEMORY_FILE_SIZE": float("inf")}
_DAMAGED = "The body is not a whole form of the kind multipart/form-data."


@dataclass(frozen=True)
class Upload:
    """One file as a client sent it."""

    name: str
    """As given, but printable and not endless; only ever echoed."""
    content: bytes


async def read_uploads(request: Request, settings: Settings) -> list[Upload]:
    """The files of a form, or the body itself. Raises `ProblemError` for anything else, and above a limit."""
    content_type, options = parse_options_header(request.headers.get("content-type", "application/octet-stream"))
    body = _limited(request, settings.max_body_bytes)
    if content_type == b"multipart/form-data":
        return await _read_form(body, options.get(b"boundary"), settings.max_pictures)
    if content_type == b"application/octet-stream" or content_type.startswith(b"image/"):
        content = b"".join([chunk async for chunk in body])
        if not content:
            raise ProblemError(400, "The request has no body: send a picture.")
        return [Upload(UNNAMED, content)]
    raise ProblemError(
        415, "Send pictures as multipart/form-data, or one picture as image/* or application/octet-stream."
    )


def printable_name(name: bytes | None) -> str:
    """A file's name for an answer: what is not printable replaced, and cut where it is too long."""
    text = (name or b"").decode("utf-8", errors="replace")
    shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return (shown if len(shown) <= _LONGEST_NAME else shown[: _LONGEST_NAME - 1] + "…") or UNNAMED


async def _limited(request: Request, most: int) -> AsyncIterator[bytes]:
    """The chunks of a body; raises `ProblemError` as soon as it is known to be larger than `most` bytes."""
    too_large = ProblemError(413, f"The request's body is larger than {most:,} bytes.")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > most:
        raise too_large
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            raise too_large
        yield chunk


async def _read_form(body: AsyncIterator[bytes], boundary: bytes | None, most: int) -> list[Upload]:
    """The files of a form, held in memory: the body's limit bounds it."""
    uploads: list[Upload] = []
    ended = asyncio.Event()

    def on_file(file: File) -> None:
        if len(uploads) == most:
            raise ProblemError(413, f"The request has more than {most} pictures.")
        file.file_object.seek(0)
        uploads.append(Upload(printable_name(file.file_name), file.file_object.read()))

    def on_field(field: Field) -> None:
        raise ProblemError(400, "The form may hold files only: give every part a filename.")

    try:
        parser = FormParser("multipart/form-data", on_field, on_file, ended.set, boundary, config=_IN_MEMORY)
        async for chunk in body:
            parser.write(chunk)
    except FormParserError:
        raise ProblemError(400, _DAMAGED) from None
    if not ended.is_set():
        raise ProblemError(400, _DAMAGED)
    if not uploads:
        raise ProblemError(400, "The form has no files: send at least one picture.")
    return uploads
