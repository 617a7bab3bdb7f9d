"""The look that all pictures of a run share, and how they are saved."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import matplotlib
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from frostline.files import atomic_write
from frostline.results.text import font_families

INK = "#1f2933"
"""Text."""
FAINT = "#7b8794"
"""Text of less weight."""
GRID = "#e4e7eb"
"""Lines behind the data, and cells without any."""
BLUE = "#1b6ca8"
"""What is right; validation."""
ORANGE = "#d9480f"
"""What is wrong."""
GREY = "#9aa5b1"
"""Training, axes."""

_STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.labelcolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titlepad": 10,
    "axes.labelsize": 9,
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.w_pad": 0.08,
    "figure.dpi": 150,
    "savefig.dpi": "figure",
    "figure.titlesize": 12,
    "font.size": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.edgecolor": "white",
    "legend.framealpha": 0.9,
    "lines.linewidth": 2.0,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": GREY,
    "xtick.labelcolor": FAINT,
    "ytick.color": GREY,
    "ytick.labelcolor": FAINT,
}


@contextmanager
def canvas(path: Path, width: float, height: float, layout: Literal["constrained"] | None) -> Iterator[Figure]:
    """Give an empty figure of this size in inches; it is written to `path` as PNG when the block ends.

    The user's own matplotlib settings are out of force meanwhile, and back afterwards.
    """
    style = {**_STYLE, "font.family": list(font_families())}
    with matplotlib.style.context(["default", style]):
        figure = Figure(figsize=(width, height), layout=layout)
        yield figure
        with atomic_write(path, "wb") as file:
            figure.savefig(file, format="png")


def write_message(path: Path, message: str) -> None:
    """Save a small picture that says this and nothing else, for where there is nothing to draw."""
    with canvas(path, 7.0, 1.6, None) as figure:
        figure.text(0.5, 0.5, message, ha="center", va="center", fontsize=12)


def write_line(
    axes: Axes,
    text: str,
    corner: tuple[float, float],
    points: float,
    *,
    colour: str,
    size: float,
    align: Literal["left", "right"] = "left",
) -> None:
    """Write a line that begins (or ends) this many points below a place in the axes, given as fractions of them."""
    axes.annotate(
        text,
        xy=corner,
        xycoords="axes fraction",
        xytext=(0, -points),
        textcoords="offset points",
        ha=align,
        va="top",
        color=colour,
        fontsize=size,
        in_layout=False,
    )
