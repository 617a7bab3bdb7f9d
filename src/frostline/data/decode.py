"""One encoded picture to RGB pixels: every mode that Pillow reads, or an error that names the file and the reason."""

import io
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError, features

from frostline.data.dataset import Picture
from frostline.errors import DataError

ResizeMode = Literal["crop", "stretch"]
"""How a picture becomes square: `crop` keeps the centre, `stretch` keeps everything and changes the proportions."""

DEFAULT_MAX_PIXELS = 178_956_970
"""Width times height above which a picture is refused; Pillow refuses larger ones itself."""

_HEIF = {b"ftyp" + brand for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")}
_AVIF = {b"ftypavif", b"ftypavis"}
"""Bytes 4 to 12 of files of these kinds (ISO/IEC 23008-12 and the AV1 Image File Format)."""

_SCAN = re.compile(rb"\xff\xda\x00(?:\x08\x01|\x0a\x02|\x0c\x03|\x0e\x04)")
"""Where a scan of a JPEG begins: marker, length of its header, and number of components (ITU-T T.81, B.2.3)."""

_MOST_SCANS = 100
"""In a JPEG; libtiff reads no more, either. Encoders make about 10. Each is a pass over all blocks, even an empty one,
so that 20 MB of empty ones would take a core a quarter of an hour."""

_FAXES = {"tiff_ccitt", "tiff_raw_16", "group3", "group4"}
"""Pillow's names of what TIFF can be packed by. libtiff goes on after each damaged line of these and writes it to
stderr: 400 bytes that say that they are 50 million lines take minutes, and 3 GB of a server's log."""

PILLOW_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    AttributeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    AssertionError,
    MemoryError,
    struct.error,
    zlib.error,
    ImageCms.PyCMSError,
    Image.DecompressionBombError,
)
"""What Pillow's readers raise on damaged or hostile files."""


class UnreadablePictureError(DataError):
    """One picture cannot be decoded; `path` names it and `reason` says why, without the name."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"cannot read {path}: {reason}")
        self.path = path
        self.reason = reason


class TooManyPixelsError(UnreadablePictureError):
    """A picture is larger than it may be; nothing of it was decoded."""


def list_unreadable(source: str, unreadable: Sequence[tuple[str, str]], advice: str) -> str:
    """One line that says how many pictures of a source cannot be read and what to do, then path and reason of each."""
    count = len(unreadable)
    pictures = "1 picture" if count == 1 else f"{count:,} pictures"
    first = f"{pictures} of {source} cannot be read: {advice}"
    return "\n".join([first, *(f"  {path}: {reason}" for path, reason in unreadable)])


def decode_picture(
    file: BinaryIO | bytes,
    name: str,
    *,
    min_side: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    formats: tuple[str, ...] | None = None,
) -> Picture:
    """Decode one picture to RGB, uint8 of shape (height, width, 3); the first frame of an animation.

    The EXIF orientation is applied and transparency is laid over white. 16-bit greys are scaled from 0..65535,
    floating-point ones from 0..1 or 0..255. `file` must be seekable and stand at its beginning. With `min_side`, a
    large JPEG is decoded at a lower resolution whose shorter side keeps at least that many pixels. `formats`, by
    Pillow's names such as JPEG, are the only ones whose readers see the file, and TIFF packed as faxes are is refused
    then, since its reader can be kept busy for long; by default all are read.

    Raises `UnreadablePictureError` (a `DataError`), naming the file and the reason in one line.
    """
    stream = io.BytesIO(file) if isinstance(file, bytes) else file
    try:
        if not stream.read(1):
            raise UnreadablePictureError(name, "the file is empty (0 bytes)")
        stream.seek(0)
        with quiet_pillow(), _open(stream, name, formats) as image:
            _check(image, name, max_pixels)
            _check_scans(image, stream, name)
            if formats is not None and image.info.get("compression") in _FAXES:
                raise UnreadablePictureError(name, "it is a fax: save it as PNG")
            if min_side is not None:
                image.draft(None, (min_side, min_side))
            image.load()
            return np.array(_to_rgb(_upright(image)))
    except UnidentifiedImageError:
        raise UnreadablePictureError(name, "it is not a picture, or of a kind that Pillow cannot read") from None
    except Image.DecompressionBombError:
        raise TooManyPixelsError(name, f"it has more than {DEFAULT_MAX_PIXELS:,} pixels") from None
    except PILLOW_ERRORS as error:
        raise UnreadablePictureError(name, _one_line(error)) from error


def fit_square(picture: Picture, size: int, mode: ResizeMode) -> Picture:
    """Fit a picture to a square of side s = min(its shorter side, `size`); uint8 of shape (s, s, 3).

    `crop` keeps the square in the centre, and resizes it to side s; `stretch` resizes both sides to s. Pictures are
    only ever made smaller here, by Pillow's antialiased bicubic filter.
    """
    height, width = picture.shape[:2]
    short = min(height, width)
    side = min(short, size)
    if mode == "crop":
        top, left = (height - short) // 2, (width - short) // 2
        picture = picture[top : top + short, left : left + short]
    if picture.shape[:2] == (side, side):
        return np.ascontiguousarray(picture)
    return np.array(Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC))


def _open(stream: BinaryIO, name: str, formats: tuple[str, ...] | None) -> Image.Image:
    """Open a picture; Pillow's plug-in for HEIC is loaded when the first such picture comes."""
    try:
        return Image.open(stream, formats=formats)
    except UnidentifiedImageError:
        stream.seek(4)
        kind = stream.read(8)
        if kind in _AVIF and not features.check("avif"):
            raise UnreadablePictureError(name, "it is AVIF: pip install 'pillow>=11.3', which reads it") from None
        if kind not in _HEIF or (formats is not None and "HEIF" not in formats):
            raise
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        raise UnreadablePictureError(name, "it is HEIC: pip install 'frostline[heif]' to read it") from None
    register_heif_opener()
    stream.seek(0)
    return Image.open(stream, formats=formats)


def _check(image: Image.Image, name: str, max_pixels: int) -> None:
    if not image.width * image.height:
        raise UnreadablePictureError(name, "it has no pixels")
    if image.width * image.height > max_pixels:
        reason = f"it has {image.width} x {image.height} pixels, more than the limit of {max_pixels:,}"
        raise TooManyPixelsError(name, reason)
    if image.format == "EPS":  # Pillow would hand the file to Ghostscript, which runs it as a program
        raise UnreadablePictureError(name, "PostScript is a program, not a picture: convert it to PNG or JPEG")


def _check_scans(image: Image.Image, stream: BinaryIO, name: str) -> None:
    if image.format not in ("JPEG", "MPO"):
        return
    stream.seek(0)
    if sum(1 for _ in _SCAN.finditer(stream.read())) > _MOST_SCANS:
        raise UnreadablePictureError(name, f"it is a JPEG of more than {_MOST_SCANS} scans")


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; a picture whose EXIF data are damaged has none and stays as it is."""
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except PILLOW_ERRORS:
        return image
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_scale_grey(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        assert converted is not None
        return converted
    return image.convert("RGB")


def _scale_grey(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Grey levels of more than 8 bits to uint8; raises ValueError where their range is not known."""
    with np.errstate(invalid="ignore"):
        pixels = values.astype(np.float64)
    low, high = pixels.min(), pixels.max()
    limits = (1, 255) if values.dtype.kind == "f" else (65535,)
    for limit in limits:
        if low >= 0 and high <= limit:
            return np.rint(pixels * (255 / limit)).astype(np.uint8)
    raise ValueError(f"its grey levels span {low:g} to {high:g}: save it with 8 or 16 bits")


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text[:1].lower() + text[1:] if text else f"the file is damaged ({type(error).__name__})"


_quiet_lock = threading.Lock()
_quiet = ExitStack()
_decoding = 0


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings about odd metadata while any thread is decoding.

    `warnings.catch_warnings` alone is not safe in threads: here the first to come silences and the last restores.
    """
    global _decoding
    with _quiet_lock:
        if not _decoding:
            _quiet.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", module=r"PIL\.")
        _decoding += 1
    try:
        yield
    finally:
        with _quiet_lock:
            _decoding -= 1
            if not _decoding:
                _quiet.close()
