import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from frostline.data.audit.pictures import PictureFacts, find_oddities, inspect_file, inspect_pixels

NOISE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def encode(image: Image.Image, format_: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def oddities_of(content: bytes) -> list[str]:
    facts, _ = inspect_file(content, "a")
    return [finding.oddity for finding in find_oddities([facts])]


def with_orientation(value: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = value
    return encode(Image.fromarray(NOISE), "JPEG", exif=exif)


def test_a_plain_picture_has_nothing_odd() -> None:
    facts, picture = inspect_file(encode(Image.fromarray(NOISE), "JPEG"), "a")
    assert picture is not None
    assert (facts.width, facts.height, facts.problem) == (64, 48, None)
    assert facts.file is not None
    assert (facts.file.format, facts.file.mode, facts.file.frames) == ("JPEG", "RGB", 1)
    assert find_oddities([facts]) == ()


@pytest.mark.parametrize(
    ("content", "oddity"),
    [
        (b"", "unreadable"),
        (b"<html>not found</html>", "unreadable"),
        (encode(Image.fromarray(NOISE), "JPEG")[:-300], "partly readable"),
        (encode(Image.fromarray(NOISE))[:-2000], "partly readable"),
        (encode(Image.fromarray(NOISE))[:20], "unreadable"),
        (with_orientation(6), "rotated"),
        (encode(Image.fromarray(NOISE).convert("CMYK"), "JPEG"), "CMYK"),
        (encode(Image.fromarray(NOISE[..., 0].astype(np.uint16) * 257)), "16-bit"),
        (encode(Image.fromarray(np.concatenate([NOISE, NOISE[..., :1] // 2], axis=2))), "transparent"),
        (
            encode(Image.fromarray(NOISE), "GIF", save_all=True, append_images=[Image.fromarray(255 - NOISE)]),
            "animated",
        ),
        (encode(Image.fromarray(NOISE[:20])), "tiny"),
        (encode(Image.fromarray(np.tile(NOISE, (1, 5, 1)))), "elongated"),
        (encode(Image.fromarray(NOISE // 255 + 100)), "constant"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_oddity_is_named(content: bytes, oddity: str) -> None:
    if oddity == "tiny":
        plain = PictureFacts(100, 100, 50.0)
        findings = find_oddities([plain, plain, inspect_file(content, "a")[0]])
        assert [(finding.index, finding.oddity) for finding in findings] == [(2, "tiny")]
    else:
        assert oddities_of(content) == [oddity]


def test_the_picture_comes_with_the_facts_and_a_broken_one_with_its_reason() -> None:
    facts, picture = inspect_file(with_orientation(6), "a")
    assert picture is not None
    assert picture.shape == (64, 48, 3)
    assert (facts.width, facts.height) == (48, 64)
    broken, nothing = inspect_file(encode(Image.fromarray(NOISE))[:-2000], "a")
    assert nothing is None
    assert broken.problem is not None
    assert find_oddities([broken])[0].detail == broken.problem


def test_small_pictures_are_odd_only_among_larger_ones() -> None:
    small, large = PictureFacts(28, 28, 50.0), PictureFacts(100, 100, 50.0)
    assert find_oddities([small, small, large]) == ()
    assert [finding.index for finding in find_oddities([large, small, large])] == [1]


def test_opaque_alpha_and_camera_previews_are_not_odd() -> None:
    opaque = np.concatenate([NOISE, np.full_like(NOISE[..., :1], 255)], axis=2)
    assert oddities_of(encode(Image.fromarray(opaque))) == []
    image = Image.fromarray(NOISE)
    assert oddities_of(encode(image, "MPO", save_all=True, append_images=[image.resize((16, 12))])) == []


def test_colour_alone_is_not_constant() -> None:
    picture = np.zeros((40, 40, 3), np.uint8)
    picture[:20] = (100, 0, 0)
    picture[20:] = (0, 51, 0)
    assert inspect_pixels(picture).deviation > 20


def test_huge_pictures_and_the_order_of_findings() -> None:
    facts = [PictureFacts(9000, 6000, 50.0), PictureFacts(problem="it is empty"), PictureFacts(900, 100, 1.0)]
    assert [(finding.index, finding.oddity) for finding in find_oddities(facts)] == [
        (1, "unreadable"),
        (2, "constant"),
        (0, "huge"),
        (2, "elongated"),
    ]
