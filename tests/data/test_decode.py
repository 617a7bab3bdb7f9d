import io
import random
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from frostline.data.dataset import Picture
from frostline.data.decode import UnreadablePictureError, decode_picture, fit_square
from frostline.errors import DataError


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def noise(height: int, width: int, seed: int = 0) -> Picture:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def grey_ramp(dtype: str, top: float) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    return np.linspace(0, top, 256).reshape(16, 16).astype(dtype)


def test_rgb_pixels_come_back_exactly() -> None:
    pixels = noise(5, 7)
    decoded = decode_picture(encode(Image.fromarray(pixels), "PNG"), "a.png")
    assert decoded.dtype == np.uint8
    assert decoded.flags.writeable
    np.testing.assert_array_equal(decoded, pixels)


def test_a_file_object_gives_the_same_as_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(noise(5, 7)).save(path)
    with path.open("rb") as file:
        np.testing.assert_array_equal(decode_picture(file, "a"), decode_picture(path.read_bytes(), "a"))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "LAB", "RGBA", "LA", "PA", "I;16", "I", "F"])
def test_every_mode_that_can_be_saved_becomes_rgb(mode: str) -> None:
    white = Image.new("RGB", (6, 4), "white")
    if mode in ("I;16", "I"):
        image = Image.fromarray(np.full((4, 6), 65535, np.uint16 if mode == "I;16" else np.int32))
    elif mode == "F":
        image = Image.fromarray(np.ones((4, 6), np.float32))
    elif mode == "LAB":
        image = Image.merge("LAB", [Image.new("L", (6, 4), value) for value in (255, 128, 128)])
    else:
        image = white.convert("RGBA").convert("P").convert(mode) if mode == "PA" else white.convert(mode)
    kind = "PNG" if mode == "PA" else "TIFF"
    decoded = decode_picture(encode(image.convert("RGBA") if mode == "PA" else image, kind), mode)
    assert decoded.shape == (4, 6, 3)
    assert decoded.min() >= 253


@pytest.mark.parametrize(
    ("dtype", "top", "kind"),
    [
        ("uint16", 65535, "PNG"),
        ("uint16", 65535, "TIFF"),
        (">u2", 65535, "TIFF"),
        ("int32", 65535, "TIFF"),
        ("float32", 1, "TIFF"),
        ("float32", 255, "TIFF"),
    ],
)
def test_greys_of_more_than_8_bits_are_scaled_and_not_clipped(dtype: str, top: float, kind: str) -> None:
    decoded = decode_picture(encode(Image.fromarray(grey_ramp(dtype, top)), kind), "ramp")
    np.testing.assert_array_equal(decoded, np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2))


@pytest.mark.parametrize(("dtype", "top"), [("int32", 70_000), ("float32", -3), ("float32", np.nan), ("float32", 1000)])
def test_greys_of_an_unknown_range_are_refused(dtype: str, top: float) -> None:
    pixels = np.full((2, 2), top, dtype=dtype)
    with pytest.raises(DataError, match=r"x\.tif.*grey levels"):
        decode_picture(encode(Image.fromarray(pixels), "TIFF"), "x.tif")


def transparent_palette() -> bytes:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.putdata([0, 1])
    return encode(image, "PNG", transparency=0)


def transparent_grey() -> bytes:
    return encode(Image.fromarray(np.array([[7, 20]], np.uint8)), "PNG", transparency=7)


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        (encode(Image.new("RGBA", (1, 1), (200, 100, 0, 0)), "PNG"), [255, 255, 255]),
        (encode(Image.new("RGBA", (1, 1), (200, 100, 0, 255)), "PNG"), [200, 100, 0]),
        (encode(Image.new("RGBA", (1, 1), (0, 0, 0, 51)), "PNG"), [204, 204, 204]),
        (encode(Image.new("LA", (1, 1), (0, 0)), "PNG"), [255, 255, 255]),
        (transparent_palette(), [255, 255, 255]),
        (transparent_grey(), [255, 255, 255]),
    ],
)
def test_transparency_is_laid_over_white(encoded: bytes, expected: list[int]) -> None:
    assert decode_picture(encoded, "x")[0, 0].tolist() == expected


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]], [[9, 9, 9], [0, 0, 0]]], np.uint8)
    undo: dict[int, Callable[[Picture], Picture]] = {
        1: lambda x: x,
        2: np.fliplr,
        3: lambda x: np.rot90(x, 2),
        4: np.flipud,
        5: lambda x: x.transpose(1, 0, 2),
        6: lambda x: np.rot90(x, 1),
        7: lambda x: np.rot90(x.transpose(1, 0, 2), 2),
        8: lambda x: np.rot90(x, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(undo[orientation](upright))
    np.testing.assert_array_equal(decode_picture(encode(Image.fromarray(stored), "PNG", exif=exif), "x"), upright)


def test_damaged_exif_leaves_the_picture_as_it_is() -> None:
    image = Image.fromarray(noise(8, 8))
    damaged = encode(image, "JPEG", exif=b"Exif\x00\x00nonsense")
    np.testing.assert_array_equal(decode_picture(damaged, "x"), decode_picture(encode(image, "JPEG"), "x"))


def test_the_first_frame_of_an_animation_is_taken() -> None:
    frames = [Image.new("RGB", (3, 3), colour) for colour in ("red", "blue")]
    decoded = decode_picture(encode(frames[0], "GIF", save_all=True, append_images=frames[1:]), "x")
    assert decoded[1, 1].tolist() == [255, 0, 0]


@pytest.mark.parametrize("min_side", [60, 100, 224, 5000])
def test_a_large_photograph_is_drafted_but_never_below_the_side_asked_for(min_side: int) -> None:
    encoded = encode(Image.fromarray(noise(30, 40)).resize((1600, 1200)), "JPEG")
    whole = decode_picture(encoded, "x")
    drafted = decode_picture(encoded, "x", min_side=min_side)
    assert min(drafted.shape[:2]) >= min(min_side, 1200)
    assert drafted.size <= whole.size / 4 or min_side > 224
    scale = len(whole) // len(drafted)
    assert np.abs(drafted[5:-5, 5:-5].mean() - whole[5 * scale : -5 * scale, 5 * scale : -5 * scale].mean()) < 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"just some text\n" * 20, "not a picture"),
        (encode(Image.fromarray(noise(64, 64)), "JPEG")[:900], "truncated"),
        (encode(Image.fromarray(noise(64, 64)), "PNG")[:900], "truncated"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "PostScript"),
    ],
)
def test_what_cannot_be_read_is_named_in_one_line_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(UnreadablePictureError, match=reason) as caught:
        decode_picture(content, "cats/17.jpg")
    assert str(caught.value) == f"cannot read cats/17.jpg: {caught.value.reason}"
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3


def test_the_limit_on_pixels_holds_before_anything_is_decoded() -> None:
    encoded = encode(Image.new("L", (100, 101)), "PNG")
    assert decode_picture(encoded, "x", max_pixels=10_100).shape == (101, 100, 3)
    with pytest.raises(DataError, match="100 x 101 pixels"):
        decode_picture(encoded, "x", max_pixels=10_099)


def test_a_decompression_bomb_is_refused_at_once() -> None:
    with pytest.raises(DataError, match=r"bomb\.ppm: it has more than 178,956,970 pixels"):
        decode_picture(b"P6 60000 60000 255\n" + bytes(99), "bomb.ppm")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "TGA", "PPM", "ICO"])
def test_damaged_files_decode_or_are_named_and_nothing_else(kind: str) -> None:
    generator = random.Random(kind)
    encoded = encode(Image.fromarray(noise(24, 24)), kind, **({"exif": Image.Exif()} if kind == "JPEG" else {}))
    outcomes: list[Picture | UnreadablePictureError] = []
    for _ in range(150):
        damaged = bytearray(encoded)
        for _ in range(generator.randint(1, 12)):
            damaged[int(len(damaged) * generator.random() ** 3)] = generator.randrange(256)
        try:
            outcomes.append(decode_picture(bytes(damaged[: generator.randint(1, len(damaged))]), "x", max_pixels=10**6))
        except UnreadablePictureError as error:
            outcomes.append(error)
    for outcome in outcomes:
        if isinstance(outcome, UnreadablePictureError):
            assert outcome.reason
            assert "\n" not in outcome.reason
        else:
            assert outcome.size
            assert outcome.shape[2:] == (3,)


def test_warnings_of_pillow_do_not_leak_and_filters_are_restored() -> None:
    large = encode(Image.new("1", (10_000, 10_000)), "PNG")  # above the size at which Pillow warns
    before = list(warnings.filters)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            decode_picture(large, "large.png", max_pixels=1)
        except UnreadablePictureError as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failures) == 8
    assert warnings.filters == before


@pytest.mark.parametrize("mode", ["crop", "stretch"])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 900), (900, 1), (31, 32), (32, 32), (33, 64), (200, 101)])
def test_a_fitted_picture_is_square_and_never_enlarged(height: int, width: int, mode: str) -> None:
    side = min(height, width, 32)
    fitted = fit_square(noise(height, width), 32, "crop" if mode == "crop" else "stretch")
    assert fitted.shape == (side, side, 3)
    assert fitted.dtype == np.uint8
    assert fitted.flags.c_contiguous
    assert fitted.flags.writeable


def test_a_picture_that_fits_already_is_unchanged() -> None:
    pixels = noise(32, 32)
    np.testing.assert_array_equal(fit_square(pixels, 32, "crop"), pixels)
    np.testing.assert_array_equal(fit_square(pixels, 64, "stretch"), pixels)


def test_crop_without_resize_is_the_centre_exactly() -> None:
    pixels = noise(20, 31)
    np.testing.assert_array_equal(fit_square(pixels, 20, "crop"), pixels[:, 5:25])


def test_crop_is_centre_crop_then_resize_and_stretch_is_resize() -> None:
    pixels = np.array(Image.fromarray(noise(12, 20)).resize((400, 240)))
    resized = np.array(Image.fromarray(pixels).crop((80, 0, 320, 240)).resize((60, 60), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(fit_square(pixels, 60, "crop"), resized)
    stretched = np.array(Image.fromarray(pixels).resize((60, 60), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(fit_square(pixels, 60, "stretch"), stretched)


def test_resizing_is_antialiased() -> None:
    checks = (np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8)
    fitted = fit_square(np.repeat(checks[:, :, None], 3, axis=2), 64, "crop")
    assert np.abs(fitted.astype(int) - 128).max() <= 2


def test_heic_is_read_by_its_plug_in() -> None:
    plug_in = pytest.importorskip("pillow_heif")
    heif = plug_in.from_pillow(Image.new("RGB", (64, 32), (200, 30, 30)))
    stream = io.BytesIO()
    heif.save(stream, quality=90)
    decoded = decode_picture(stream.getvalue(), "a.heic")
    assert decoded.shape == (32, 64, 3)
    np.testing.assert_allclose(decoded[16, 32], (200, 30, 30), atol=12)


def test_heic_without_its_plug_in_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(DataError, match=r"cannot read a.heic: it is HEIC: pip install 'frostline\[heif\]'"):
        decode_picture(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a.heic")


def test_avif_is_read_by_pillow() -> None:
    if not features.check("avif"):
        pytest.skip("this Pillow was built without AVIF")
    assert decode_picture(encode(Image.new("RGB", (8, 6)), "AVIF"), "a.avif").shape == (6, 8, 3)
    with pytest.raises(DataError, match=r"a\.avif"):
        decode_picture(b"\0\0\0\x18ftypavif\0\0\0\0mif1heic", "a.avif")


def test_avif_without_pillows_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda name: False)
    with pytest.raises(DataError, match=r"it is AVIF: pip install 'pillow>=11.3'"):
        decode_picture(b"\0\0\0\x18ftypavif", "a.avif")


@pytest.mark.parametrize(("scans", "refused"), [(8, False), (101, True)])
def test_a_jpeg_of_endless_scans_is_refused_before_it_is_decoded(scans: int, refused: bool) -> None:
    encoded = encode(Image.new("L", (64, 64), 90), "JPEG", progressive=True)
    first = encoded.index(b"\xff\xda\0\x08\x01", encoded.index(b"\xff\xda\0\x08\x01") + 1)
    end = encoded.index(b"\xff", first + 10)
    repeated = encoded[:first] + encoded[first:end] * scans + encoded[end:]
    if refused:
        with pytest.raises(UnreadablePictureError, match="more than 100 scans"):
            decode_picture(repeated, "x.jpg", min_side=8)
    else:
        np.testing.assert_allclose(decode_picture(repeated, "x.jpg").mean(), 90, atol=2)


@pytest.mark.parametrize("compression", ["tiff_ccitt", "group3", "group4"])
def test_faxes_are_refused_where_formats_are_limited(compression: str) -> None:
    fax = encode(Image.new("1", (64, 64), 1), "TIFF", compression=compression)
    assert decode_picture(fax, "x.tif").mean() == 255
    with pytest.raises(UnreadablePictureError, match="it is a fax"):
        decode_picture(fax, "x.tif", formats=("TIFF",))
