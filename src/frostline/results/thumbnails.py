"""Small copies of pictures, kept with a run so that its report needs no other file."""

import base64
import io
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from frostline.data.archives import DAMAGED
from frostline.data.dataset import Picture
from frostline.errors import DataError
from frostline.files import atomic_write

SIDE = 144
"""Longer side of a thumbnail in pixels; a smaller picture stays as it is."""

_QUALITY = 82


def encode_thumbnail(picture: Picture, side: int = SIDE) -> bytes:
    """A picture, uint8 RGB (height, width, 3), as a JPEG of at most `side` pixels."""
    image = Image.fromarray(picture)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()


def data_uri(jpeg: bytes) -> str:
    """A JPEG as a URI that holds it whole."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"


def explained(row: int) -> str:
    """The name of a picture's explanation; the picture's own is the number of its row in the predictions."""
    return f"{row}-explained"


@dataclass(frozen=True)
class Thumbnails:
    """JPEG pictures by name."""

    jpegs: Mapping[str, bytes]

    def uri(self, name: str) -> str | None:
        """One picture as a URI that holds it whole; None where there is none of that name."""
        return data_uri(self.jpegs[name]) if name in self.jpegs else None

    @classmethod
    def load(cls, path: Path) -> "Thumbnails":
        """Read what `save_thumbnails` wrote. Raises `DataError` where it is damaged."""
        try:
            with zipfile.ZipFile(path) as archive:
                return cls({Path(name).stem: archive.read(name) for name in archive.namelist()})
        except DAMAGED as error:
            raise DataError(f"{path} is not a whole zip archive ({error})") from error


def save_thumbnails(pictures: Iterable[tuple[str, bytes]], path: Path) -> None:
    """Write JPEG pictures with their names into a zip archive."""
    with atomic_write(path, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, jpeg in pictures:
            archive.writestr(zipfile.ZipInfo(f"{name}.jpg"), jpeg)
