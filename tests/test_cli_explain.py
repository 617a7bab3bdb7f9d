"""`frostline explain`: pictures are written beside each other, none over another, and what cannot be read is said."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Cli = Callable[..., subprocess.CompletedProcess[str]]
RUN = Path("runs/photos-test_efficientnet-1")


@pytest.fixture
def run(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run, seen from an empty folder."""
    monkeypatch.chdir(tmp_path)
    return finished / RUN


def test_overlays_are_written_and_named(cli: Cli, run: Path, finished: Path) -> None:
    photos = finished / "photos"
    done = cli("explain", run, photos / "leaf" / "003.jpg", photos / "apple" / "00[34].jpg")
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == [
        str(photos / name) for name in ("leaf/003.jpg", "apple/003.jpg", "apple/004.jpg")
    ]
    assert [row[2] for row in rows] == [f"explanations/{name}.png" for name in ("003", "003-2", "004")]
    predicted = cli("predict", run, photos / "leaf" / "003.jpg", photos / "apple" / "00[34].jpg").stdout.splitlines()
    assert [row[1].split()[0] for row in rows] == [line.split("\t")[1].split()[0] for line in predicted]
    for row in rows:
        with Image.open(row[2]) as picture:
            assert picture.size == (640, 320)


def test_nothing_is_overwritten(cli: Cli, run: Path, finished: Path, tmp_path: Path) -> None:
    kept = tmp_path / "deep" / "out" / "000.png"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"mine")
    for number in (2, 3):
        done = cli("explain", run, finished / "photos" / "sky" / "000.jpg", "--out", kept.parent)
        assert done.stdout.rstrip().endswith(f"000-{number}.png")
    assert kept.read_bytes() == b"mine"
    assert len(list(kept.parent.iterdir())) == 3


def test_the_left_half_is_what_the_network_sees(cli: Cli, run: Path, tmp_path: Path) -> None:
    pixels = np.full((100, 400, 3), 255, np.uint8)
    pixels[:, 140:260] = (10, 200, 30)
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    assert cli("explain", run, "wide.png").returncode == 0
    with Image.open("explanations/wide.png") as picture:
        left = np.asarray(picture)[:, :320]
    np.testing.assert_array_equal(left, np.broadcast_to(np.array([10, 200, 30]), left.shape))


def test_a_class_can_be_named(cli: Cli, run: Path, finished: Path) -> None:
    picture = finished / "photos" / "sky" / "001.jpg"
    shown = [
        cli("explain", run, picture, "--class", name).stdout.split("\t")[1].split() for name in ("apple", "leaf", "sky")
    ]
    assert [row[0] for row in shown] == ["apple", "leaf", "sky"]
    assert sum(float(row[1]) for row in shown) == pytest.approx(1, abs=2e-4)


@pytest.mark.parametrize(
    ("name", "hint"), [("aple", "did you mean apple?"), ("zebra", "its classes are apple, leaf, sky")]
)
def test_an_unknown_class_is_wrong_use(cli: Cli, run: Path, finished: Path, name: str, hint: str) -> None:
    done = cli("explain", run, finished / "photos" / "sky" / "001.jpg", "--class", name)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"frostline: the classifier does not know the class {name!r}; {hint}\n"
    assert not Path("explanations").exists()


def test_an_unreadable_picture_is_a_row(cli: Cli, run: Path, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    shutil.copy(finished / "photos" / "leaf" / "000.jpg", tmp_path / "good.jpg")
    done = cli("explain", run, "missing.jpg", "-", stdin=b"good.jpg\nbroken.jpg\n")
    assert done.returncode == 3
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == ["missing.jpg", "good.jpg", "broken.jpg"]
    assert [row[1].startswith("error: ") for row in rows] == [True, False, True]
    assert done.stderr == "frostline: 2 pictures could not be read; each is a row with its error\n"
    assert [path.name for path in Path("explanations").iterdir()] == ["good.png"]
