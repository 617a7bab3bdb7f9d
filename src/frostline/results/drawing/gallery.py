"""The most confident mistakes as a grid of pictures."""

import math
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from PIL import Image

from frostline.data.dataset import Picture
from frostline.results.drawing.canvas import BLUE, FAINT, INK, ORANGE, canvas, write_line, write_message
from frostline.results.drawing.text import drawable
from frostline.results.predictions import Predictions
from frostline.results.selection import MISTAKES, confident_mistakes

_COLUMNS = 6
_PICTURE = 1.75
"""Side of a drawn picture in inches."""
_GAP = 0.2
_CAPTION = 0.55
"""Height of the three lines below a picture in inches."""
_HEADER = 0.8
_THUMBNAIL = 320
"""Side of a thumbnail in pixels, somewhat more than what is drawn."""
_NAME_COLUMNS = 24
_LEGEND = "true class, → predicted class, confidence and file"


def plot_misclassified(
    predictions: Predictions, read_picture: Callable[[str], Picture], path: Path, limit: int = MISTAKES
) -> None:
    """Draw the `limit` mistakes with the highest confidence as PNG, each with its true and its predicted class.

    `read_picture` gives the pixels of one of `predictions.paths`; what it raises is passed on.
    """
    shown = confident_mistakes(predictions, limit)
    if not len(shown):
        write_message(path, f"No mistakes among {len(predictions):,} pictures.")
        return
    mistakes = int((predictions.labels != predictions.targets).sum())
    columns = min(_COLUMNS, max(len(shown), 3))
    rows = math.ceil(len(shown) / columns)
    width = columns * (_PICTURE + _GAP) + _GAP
    height = rows * (_PICTURE + _CAPTION + _GAP) + _HEADER
    with canvas(path, width, height, None) as figure:
        left, top = _GAP / width, 1 - _GAP / height
        figure.suptitle(_title(len(shown), mistakes, len(predictions)), x=left, y=top, ha="left", va="top")
        figure.text(left, 1 - 0.45 / height, _LEGEND, color=FAINT, fontsize=8, va="top")
        for place, index in enumerate(shown):
            row, column = divmod(place, columns)
            x = _GAP + column * (_PICTURE + _GAP)
            y = height - _HEADER - row * (_PICTURE + _CAPTION + _GAP) - _PICTURE
            axes = figure.add_axes((x / width, y / height, _PICTURE / width, _PICTURE / height))
            axes.set_axis_off()
            axes.imshow(_thumbnail(read_picture(predictions.paths[index])))
            _write_caption(axes, predictions, int(index))


def _title(shown: int, mistakes: int, pictures: int) -> str:
    """What is in the grid, and of how many."""
    if shown < mistakes:
        return f"The {shown:,} most confident of {mistakes:,} mistakes among {pictures:,} pictures"
    noun = "mistake" if mistakes == 1 else "mistakes"
    return f"{mistakes:,} {noun} among {pictures:,} pictures"


def _thumbnail(picture: Picture) -> NDArray[np.uint8]:
    """The whole picture on a white square, shape (320, 320, 3); a small one is enlarged."""
    image = Image.fromarray(picture)
    scale = _THUMBNAIL / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    square = Image.new("RGB", (_THUMBNAIL, _THUMBNAIL), "white")
    resized = image.resize((width, height), Image.Resampling.BICUBIC)
    square.paste(resized, ((_THUMBNAIL - width) // 2, (_THUMBNAIL - height) // 2))
    return np.asarray(square)


def _write_caption(axes: Axes, predictions: Predictions, index: int) -> None:
    """True class, predicted class, and confidence with the file's name, in three lines below the picture.

    The arrow is a text of its own: between two names written from right to left it would point from the wrong one.
    """
    true = predictions.class_names[predictions.targets[index]]
    predicted = predictions.class_names[predictions.labels[index]]
    confidence = f"{predictions.confidences[index]:.1%}"
    file_name = drawable(PurePosixPath(predictions.paths[index]).name, _NAME_COLUMNS)
    lines = (
        (0.0, 1, drawable(true, _NAME_COLUMNS), BLUE, 8.0),
        (0.0, 2, "→", FAINT, 8.0),
        (0.11, 2, drawable(predicted, _NAME_COLUMNS - 2), ORANGE, 8.0),
        (0.0, 3, confidence, INK, 6.5),
        (0.24, 3, file_name, FAINT, 6.5),
    )
    for x, line, text, colour, size in lines:
        write_line(axes, text, (x, 0), 11 * line - 8, colour=colour, size=size)
