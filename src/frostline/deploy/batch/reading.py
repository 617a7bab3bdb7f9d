"""The encoded pictures of a piece of work, as the worker that predicts them reads them."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, islice
from pathlib import Path

from frostline.data.dataset import Picture
from frostline.data.decode import UnreadablePictureError, decode_picture
from frostline.deploy.batch.listing import Files, Pictures, Rows, open_table
from frostline.deploy.batch.storage import describe, is_address, read_files
from frostline.model.classifier import ImageClassifier

AT_ONCE = 64
"""Pictures that are asked of an object store at the same time, and that are held encoded."""

Encoded = Path | bytes | UnreadablePictureError
"""A file that can be opened here, what was in one elsewhere, or why it could not be had."""


def read_encoded(pictures: Pictures, base: Path) -> Iterator[Encoded]:
    """The pictures in their order; `base` is the folder that relative paths start from.

    Raises `DataError` where a table cannot be read any more.
    """
    return _read_rows(pictures, base) if isinstance(pictures, Rows) else _read_files(pictures, base)


def fit_encoded(classifier: ImageClassifier, picture: Encoded) -> Picture | UnreadablePictureError:
    """A picture, decoded and fitted, or why it cannot be."""
    if isinstance(picture, UnreadablePictureError):
        return picture
    if isinstance(picture, Path):
        return classifier.fit_or_error(picture)
    try:
        side = classifier.preprocessing.size
        return classifier.preprocessing.fit(decode_picture(picture, "a picture", min_side=side))
    except UnreadablePictureError as error:
        return error


def _read_files(pictures: Files, base: Path) -> Iterator[Encoded]:
    """Files are left for the threads that decode them; addresses are read, some ahead of what is needed."""
    with ThreadPoolExecutor(1) as pool:
        names = iter(pictures.names)
        ahead = pool.submit(_fetch, list(islice(names, AT_ONCE)), base)
        while fetched := ahead.result():
            ahead = pool.submit(_fetch, list(islice(names, AT_ONCE)), base)
            yield from fetched


def _fetch(names: list[str], base: Path) -> list[Encoded]:
    addresses = [name for name in names if is_address(name)]
    contents: Iterable[bytes | Exception] = read_files(addresses)
    found = {
        address: UnreadablePictureError(address, describe(content)) if isinstance(content, Exception) else content
        for address, content in zip(addresses, contents, strict=True)
    }
    return [found[name] if name in found else base / name for name in names]


def _read_rows(rows: Rows, base: Path) -> Iterator[Encoded]:
    """The cells of a table, from the row groups that have them."""
    table = rows.table if is_address(rows.table) else str(base / rows.table)
    with open_table(table) as file:
        sizes = (file.metadata.row_group(group).num_rows for group in range(file.num_row_groups))
        borders = list(accumulate(sizes, initial=0))
        needed = range(bisect_right(borders, rows.start) - 1, bisect_left(borders, rows.stop))
        skipped = rows.start - borders[needed.start]
        cells = (
            cell
            for batch in file.iter_batches(AT_ONCE, row_groups=list(needed), columns=[rows.column])
            for cell in batch.column(0)
        )
        for cell in islice(cells, skipped, skipped + len(rows)):
            yield _content(cell.as_py())


def _content(cell: object) -> Encoded:
    content = cell["bytes"] if isinstance(cell, dict) else cell
    if isinstance(content, bytes):
        return content
    return UnreadablePictureError("a row", "its cell in the parquet file is empty")
