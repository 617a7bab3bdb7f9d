from pathlib import Path

import matplotlib
import pytest
from PIL import Image

from frostline.results.drawing.canvas import canvas, write_message


def test_a_canvas_is_saved_and_leaves_no_settings_behind(tmp_path: Path) -> None:
    with matplotlib.rc_context({"axes.facecolor": "black", "figure.facecolor": "black", "font.size": 30}):
        before = dict(matplotlib.rcParams)
        write_message(tmp_path / "message.png", "nothing $to$ draw_here")
        assert dict(matplotlib.rcParams) == before
    with Image.open(tmp_path / "message.png") as image:
        assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    assert [path.name for path in tmp_path.iterdir()] == ["message.png"]


def test_an_error_while_drawing_leaves_the_old_picture(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), canvas(path, 2, 2, None):
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["picture.png"]
