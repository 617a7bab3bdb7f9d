"""The look that all pictures of a run share, and how they are saved."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from frostline.files import atomic_write
from frostline.results.drawing.text import font_families

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


@dataclass(frozen=True)
class Palette:
    """The colours of a drawing, by what they are for."""

    ink: str
    faint: str
    grid: str
    blue: str
    orange: str
    grey: str
    paper: str
    """What lies behind it."""


LIGHT = Palette(INK, FAINT, GRID, BLUE, ORANGE, GREY, "#ffffff")
DARK = Palette("#e6eaf0", "#9aa7b6", "#333d4a", "#6cb4ee", "#ff9a62", "#7b8794", "#141a22")

_STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
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
    "grid.linewidth": 0.8,
    "legend.framealpha": 0.9,
    "lines.linewidth": 2.0,
    "svg.hashsalt": "frostline",
    "text.parse_math": False,
}


def coloured(palette: Palette) -> dict[str, Any]:
    """Matplotlib's settings for pictures in these colours."""
    return {
        **_STYLE,
        "axes.edgecolor": palette.grey,
        "axes.facecolor": "none",
        "axes.labelcolor": palette.faint,
        "axes.titlecolor": palette.ink,
        "figure.facecolor": palette.paper,
        "grid.color": palette.grid,
        "legend.edgecolor": palette.paper,
        "legend.facecolor": palette.paper,
        "text.color": palette.ink,
        "xtick.color": palette.grey,
        "xtick.labelcolor": palette.faint,
        "ytick.color": palette.grey,
        "ytick.labelcolor": palette.faint,
        "font.family": list(font_families()),
    }


@contextmanager
def canvas(path: Path, width: float, height: float, layout: Literal["constrained"] | None) -> Iterator[Figure]:
    """Give an empty figure of this size in inches; it is written to `path` as PNG when the block ends.

    The user's own matplotlib settings are out of force meanwhile, and back afterwards.
    """
    with matplotlib.style.context(["default", coloured(LIGHT)]):
        figure = Figure(figsize=(width, height), layout=layout)
        yield figure
        with atomic_write(path, "wb") as file:
            figure.savefig(file, format="png")


def draw_svg(draw: Callable[[Axes, Palette], None], width: float, height: float, palette: Palette) -> bytes:
    """What `draw` draws into axes of a figure of this size in inches, as SVG without a background."""
    with matplotlib.style.context(["default", coloured(palette)]):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure.subplots(), palette)
        stream = io.BytesIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
        return stream.getvalue()


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
