"""What is odd about single pictures: files that cannot be read, and ones that are read as something else than meant."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO, Literal, get_args

import numpy as np
from PIL import ExifTags, Image

from frostline.data.dataset import Picture
from frostline.data.decode import PILLOW_ERRORS, UnreadablePictureError, decode_picture, quiet_pillow

SMALL_SIDE = 32
"""Pixels of the shorter side below which a picture is tiny."""
LARGE_PIXELS = 50_000_000
"""Width times height above which a picture is huge."""
LONG_ASPECT = 4.0
"""Longer over shorter side above which a picture is elongated."""
FLAT_DEVIATION = 2.0
"""Standard deviation of its levels, of 256, below which a picture shows nothing."""

_SAMPLED_SIDE = 256
"""Pixels of the shorter side that the deviation is measured on at least, where there are as many."""

Oddity = Literal[
    "unreadable",
    "partly readable",
    "constant",
    "tiny",
    "huge",
    "elongated",
    "rotated",
    "animated",
    "transparent",
    "CMYK",
    "16-bit",
]
"""What can be odd about a picture, the worst first."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file says about its picture that its pixels do not show."""

    format: str
    """As Pillow names it: JPEG, PNG."""
    mode: str
    """As Pillow names it: RGB, CMYK."""
    frames: int
    orientation: int
    """Of EXIF, from 1 (upright) to 8."""
    transparent: bool
    """Whether any pixel lets the background through."""
    deep: bool
    """Whether channels have more than 8 bits."""


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What is known of one picture."""

    width: int = 0
    """Pixels, of the picture upright; 0 where it cannot be read."""
    height: int = 0
    deviation: float = 0.0
    """The largest standard deviation of the levels, from 0 to 255, in the three channels."""
    file: FileFacts | None = None
    """None for pictures that come as arrays, and where the file is not a picture."""
    problem: str | None = None
    """Why the picture cannot be read, if so."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something odd about one picture."""

    index: int
    oddity: Oddity
    detail: str
    """What exactly, in a few words."""


def inspect_file(file: BinaryIO | bytes, name: str) -> tuple[PictureFacts, Picture | None]:
    """The facts of an encoded picture, and the picture where it can be read; see `decode_picture`."""
    stream = io.BytesIO(file) if isinstance(file, bytes) else file
    try:
        picture = decode_picture(stream, name)
    except UnreadablePictureError as error:
        pixels_fail = isinstance(error.__cause__, PILLOW_ERRORS)
        header = _read_header(stream) if pixels_fail else None
        return PictureFacts(file=header, problem=error.reason), None
    return replace(inspect_pixels(picture), file=_read_header(stream)), picture


def inspect_pixels(picture: Picture) -> PictureFacts:
    """The facts of a decoded picture."""
    height, width = picture.shape[:2]
    step = max(1, min(height, width) // _SAMPLED_SIDE)
    deviation = float(picture[::step, ::step].std(axis=(0, 1), dtype=np.float32).max())
    return PictureFacts(width, height, deviation)


def find_oddities(facts: Sequence[PictureFacts]) -> tuple[Finding, ...]:
    """What is odd about each picture, the worst first; small pictures are odd only where most are larger."""
    readable = [min(item.width, item.height) for item in facts if item.problem is None]
    small_is_usual = bool(readable) and float(np.median(readable)) < SMALL_SIDE
    found = [
        Finding(index, oddity, detail)
        for index, item in enumerate(facts)
        for oddity, detail in _oddities(item)
        if not (oddity == "tiny" and small_is_usual)
    ]
    order = {oddity: place for place, oddity in enumerate(get_args(Oddity))}
    return tuple(sorted(found, key=lambda finding: order[finding.oddity]))


def _oddities(facts: PictureFacts) -> Iterable[tuple[Oddity, str]]:
    if facts.problem is not None:
        yield ("unreadable" if facts.file is None else "partly readable"), facts.problem
        return
    yield from _oddities_of_shape(facts)
    if facts.file is not None:
        yield from _oddities_of_file(facts.file)


def _oddities_of_shape(facts: PictureFacts) -> Iterable[tuple[Oddity, str]]:
    size = f"{facts.width} x {facts.height} pixels"
    short, long = sorted((facts.width, facts.height))
    if facts.deviation < FLAT_DEVIATION:
        yield "constant", f"its levels deviate by {facts.deviation:.1f} of 255"
    if short < SMALL_SIDE:
        yield "tiny", size
    if short * long > LARGE_PIXELS:
        yield "huge", size
    if long > LONG_ASPECT * short:
        yield "elongated", size


def _oddities_of_file(file: FileFacts) -> Iterable[tuple[Oddity, str]]:
    if file.orientation != 1:
        yield "rotated", f"its EXIF orientation is {file.orientation}: it is turned upright"
    if file.frames > 1:
        yield "animated", f"it has {file.frames} frames: the first one counts"
    if file.transparent:
        yield "transparent", "it is laid over white"
    if file.mode == "CMYK":
        yield "CMYK", "it is converted to RGB"
    if file.deep:
        yield "16-bit", f"its mode is {file.mode}: it is reduced to 8 bits"


def _read_header(stream: BinaryIO) -> FileFacts | None:
    """What an encoded picture's header says, or None where Pillow cannot open it."""
    stream.seek(0)
    try:
        with quiet_pillow(), Image.open(stream) as image:
            deep = image.mode.startswith(("I", "F")) or any(";16" in str(tile[3]) for tile in image.tile)
            return FileFacts(
                format=image.format or "unknown",
                mode=image.mode,
                frames=_frames(image),
                orientation=_orientation(image),
                transparent=_is_transparent(image),
                deep=deep,
            )
    except PILLOW_ERRORS:
        return None


def _frames(image: Image.Image) -> int:
    """How many frames there are; the previews that cameras put behind a photograph (MPO) are none."""
    if image.format == "MPO":
        return 1
    try:
        return int(getattr(image, "n_frames", 1))
    except PILLOW_ERRORS:
        return 1


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except PILLOW_ERRORS:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _is_transparent(image: Image.Image) -> bool:
    """Whether any pixel of the first frame is transparent; a picture that cannot be decoded whole is not."""
    if not image.has_transparency_data:
        return False
    try:
        alpha = image.convert("RGBA").getchannel("A")
    except PILLOW_ERRORS:
        return False
    lowest, _ = alpha.getextrema()
    return isinstance(lowest, int) and lowest < 255
