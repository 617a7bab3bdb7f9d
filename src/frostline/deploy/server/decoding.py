"""Decodes uploaded files in threads, to the squares that a classifier takes."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from frostline.data.dataset import Picture
from frostline.data.decode import UnreadablePictureError, decode_picture
from frostline.data.machine import usable_cores
from frostline.deploy.server.settings import allowed_formats
from frostline.deploy.server.uploads import Upload
from frostline.model.preprocessing import Preprocessing


class Decoder:
    """Decodes and fits pictures, in as many threads as there are cores."""

    def __init__(self, preprocessing: Preprocessing, max_pixels: int) -> None:
        self.formats = allowed_formats()
        """Pillow's names of what is decoded; the readers of no other format see a file."""
        self._preprocessing = preprocessing
        self._max_pixels = max_pixels
        self._pool = ThreadPoolExecutor(usable_cores(), "frostline-decode")

    async def squares(self, uploads: Sequence[Upload]) -> list[Picture | UnreadablePictureError]:
        """Fitted pictures in the order given, uint8 RGB; an unreadable one gives its error.

        Those that no thread has begun are given up where the caller is cancelled.
        """
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(self._pool, self._square, upload) for upload in uploads))

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def _square(self, upload: Upload) -> Picture | UnreadablePictureError:
        size = self._preprocessing.size
        try:
            picture = decode_picture(
                upload.content, upload.name, min_side=size, max_pixels=self._max_pixels, formats=self.formats
            )
        except UnreadablePictureError as error:
            return type(error)(error.path, error.reason)  # without its traceback, which holds the picture
        return self._preprocessing.fit(picture)
