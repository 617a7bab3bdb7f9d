"""Stores whose pictures are encoded, in files of their own or inside others."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import BinaryIO

from frostline.data.dataset import Picture, Sample
from frostline.data.decode import UnreadablePictureError, decode_picture


def open_picture(path: Path) -> BinaryIO:
    """Open the file of a picture. Raises `UnreadablePictureError`."""
    try:
        return path.open("rb")
    except OSError as error:
        raise UnreadablePictureError(str(path), error.strerror or type(error).__name__) from None


class EncodedStore(ABC):
    """A store that can open the encoded picture, so that more than its pixels can be looked at."""

    @abstractmethod
    def open(self, sample: Sample) -> BinaryIO:
        """The encoded picture from its beginning, for the caller to close.

        Raises `UnreadablePictureError`, naming the file and the reason.
        """

    def name(self, sample: Sample) -> str:
        """What errors call the picture."""
        return sample.path

    def read(self, sample: Sample, min_side: int | None = None) -> Picture:
        """Decode one picture; see `PictureStore.read`."""
        with self.open(sample) as file:
            return decode_picture(file, self.name(sample), min_side=min_side)
