"""Files to send to a decoder: whole pictures of every format that is allowed, hostile ones, and mutations of both."""

import importlib.util
import io
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageCms, features

RED_TO_BLUE = np.linspace((255, 0, 0), (0, 0, 255), 48)[None].repeat(40, axis=0)
NOISE = np.random.default_rng(0).normal(0, 20, RED_TO_BLUE.shape)
PICTURE = Image.fromarray(np.clip(RED_TO_BLUE + NOISE, 0, 255).astype(np.uint8))
"""48 x 40 pixels."""


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def frames() -> list[Image.Image]:
    return [PICTURE.rotate(90 * number) for number in range(1, 4)]


def turned(orientation: int) -> Image.Exif:
    """EXIF data with an orientation; 1 to 8 have a meaning."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "a description that does not fit into four bytes"
    return exif


def profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def png(size: tuple[int, int], data: bytes, *more: tuple[bytes, bytes], kind: int = 2, interlaced: int = 0) -> bytes:
    """A PNG by hand: chunks `more` stand between its header and its pixels, which are compressed here."""
    header = struct.pack(">IIBBBBB", *size, 8, kind, 0, 0, interlaced)
    chunks = [(b"IHDR", header), *more, (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(name, content) for name, content in chunks)


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def with_sums(content: bytes) -> bytes:
    """A PNG with the checksums of its chunks made right, so that a reader gets to see what is wrong inside."""
    repaired, position = bytearray(content), 8
    while position + 12 <= len(repaired):
        end = position + 8 + struct.unpack_from(">I", repaired, position)[0]
        if end + 4 > len(repaired):
            break
        struct.pack_into(">I", repaired, end, zlib.crc32(repaired[position + 4 : end]))
        position = end + 4
    return bytes(repaired)


def adam7() -> bytes:
    """The picture as interlaced PNG, which Pillow does not write."""
    pixels = np.asarray(PICTURE)
    starts = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    passes = [pixels[y::down, x::right] for y, x, down, right in starts]
    return png(PICTURE.size, b"".join(b"\0" + row.tobytes() for part in passes for row in part), interlaced=1)


def bmp(width: int, height: int, bits: int, compression: int, data: bytes, palette: bytes = b"") -> bytes:
    """A BMP by hand, with the header of 40 bytes."""
    start = 54 + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(data), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + header + palette + data


def tiff(tags: Mapping[int, tuple[int, int, int]], data: bytes = b"", following: int = 0) -> bytes:
    """A TIFF by hand: tag -> type, count and value or offset; `data` stands at `tiff_data(len(tags))`."""
    entries = b"".join(struct.pack("<HHII", tag, *entry) for tag, entry in sorted(tags.items()))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + struct.pack("<I", following) + data


def tiff_data(tags: int) -> int:
    """Where the data begin behind so many tags."""
    return 8 + 2 + 12 * tags + 4


SHORT, LONG = 3, 4


def grey_tiff(more: Mapping[int, tuple[int, int, int]], data: bytes = bytes(64), following: int = 0) -> bytes:
    """8 x 8 grey pixels, with some tags changed or added."""
    plain = {
        256: (LONG, 1, 8),
        257: (LONG, 1, 8),
        258: (SHORT, 1, 8),
        259: (SHORT, 1, 1),
        262: (SHORT, 1, 1),
        273: (LONG, 1, 0),
        277: (SHORT, 1, 1),
        278: (LONG, 1, 8),
        279: (LONG, 1, 64),
    }
    tags = {**plain, **more}
    if tags[273] == plain[273]:
        tags[273] = (LONG, 1, tiff_data(len(tags)))
    return tiff(tags, data, following)


def tiled_tiff() -> bytes:
    """32 x 32 pixels in four tiles, which Pillow does not write."""
    pixels = np.asarray(PICTURE)[:32, :32]
    tiles = [pixels[y : y + 16, x : x + 16].tobytes() for y in (0, 16) for x in (0, 16)]
    start = tiff_data(11)
    offsets = struct.pack("<4I", *(start + 38 + 768 * number for number in range(4)))
    data = struct.pack("<3H", 8, 8, 8) + offsets + struct.pack("<4I", *[768] * 4) + b"".join(tiles)
    tags = {256: (LONG, 1, 32), 257: (LONG, 1, 32), 258: (SHORT, 3, start), 259: (SHORT, 1, 1), 262: (SHORT, 1, 2)}
    tags |= {277: (SHORT, 1, 3), 284: (SHORT, 1, 1), 322: (SHORT, 1, 16), 323: (SHORT, 1, 16)}
    return tiff({**tags, 324: (LONG, 4, start + 6), 325: (LONG, 4, start + 22)}, data)


def whole_pictures() -> dict[str, bytes]:
    """Pictures that are as they should be, by name; the name begins with their format."""
    made = [_jpegs(), _pngs(), _gifs(), _bmps(), _tiffs(), _webps()]
    if features.check("avif"):
        made.append(_avifs())
    if importlib.util.find_spec("pillow_heif"):
        made.append(_heifs())
    return {name: content for group in made for name, content in group.items()}


def _jpegs() -> dict[str, bytes]:
    return {
        "JPEG baseline": encode(PICTURE, "JPEG"),
        "JPEG progressive": encode(PICTURE, "JPEG", progressive=True),
        "JPEG grey": encode(PICTURE.convert("L"), "JPEG"),
        "JPEG CMYK": encode(PICTURE.convert("CMYK"), "JPEG"),
        "JPEG 4:4:4": encode(PICTURE, "JPEG", subsampling=0, quality=95),
        "JPEG restarts": encode(PICTURE, "JPEG", restart_marker_blocks=2),
        "JPEG EXIF": encode(PICTURE, "JPEG", exif=turned(6)),
        "JPEG profile": encode(PICTURE, "JPEG", icc_profile=profile(), comment=b"a comment"),
        "JPEG MPO": encode(PICTURE, "MPO", save_all=True, append_images=frames()),
    }


def _pngs() -> dict[str, bytes]:
    grey = PICTURE.convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    few = PICTURE.quantize(16)
    modes = {f"PNG {mode}": encode(PICTURE.convert(mode), "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA")}
    return {
        **modes,
        "PNG 16 bits": encode(deep, "PNG"),
        "PNG 4 bits": encode(few, "PNG", bits=4),
        "PNG 2 bits": encode(PICTURE.quantize(4), "PNG", bits=2),
        "PNG transparent palette": encode(few, "PNG", transparency=3),
        "PNG transparent grey": encode(grey, "PNG", transparency=7),
        "PNG interlaced": adam7(),
        "PNG EXIF and profile": encode(PICTURE, "PNG", exif=turned(8), icc_profile=profile()),
        "PNG texts": png((4, 1), bytes(13), (b"tEXt", b"a\0b"), (b"zTXt", b"a\0\0" + zlib.compress(b"text"))),
        "PNG animated": encode(PICTURE, "PNG", save_all=True, append_images=frames(), duration=20),
    }


def _gifs() -> dict[str, bytes]:
    animation = {"save_all": True, "append_images": frames(), "duration": 20, "loop": 0}
    return {
        "GIF plain": encode(PICTURE, "GIF", interlace=False),
        "GIF interlaced": encode(PICTURE, "GIF", interlace=True),
        "GIF grey with comment": encode(PICTURE.convert("L"), "GIF", comment=b"a comment" * 99),
        "GIF transparent": encode(PICTURE.quantize(16), "GIF", transparency=3),
        "GIF animated": encode(PICTURE, "GIF", disposal=2, **animation),
    }


def _bmps() -> dict[str, bytes]:
    plain = encode(PICTURE, "BMP")
    upside_down = plain[:22] + struct.pack("<i", -PICTURE.height) + plain[26:]
    grey = bytes(level for level in range(256) for _ in range(4))
    runs = b"".join(bytes((8, row, 0, 4, 1, 2, 3, 4, 4, 200, 0, 0)) for row in range(16)) + b"\0\1"
    short = struct.pack("<IHHHH", 12, 4, 4, 1, 24) + bytes(48)
    return {
        **{f"BMP {mode}": encode(PICTURE.convert(mode), "BMP") for mode in ("1", "L", "P", "RGB", "RGBA")},
        "BMP upside down": upside_down,
        "BMP 16 bits": bmp(8, 8, 16, 0, bytes(range(128))),
        "BMP bit fields": bmp(8, 8, 16, 3, bytes(range(128)), struct.pack("<III", 0xF800, 0x07E0, 0x001F)),
        "BMP RLE8": bmp(16, 16, 8, 1, runs, grey),
        "BMP RLE4": bmp(16, 16, 4, 2, b"\x10\x12\0\0" * 16 + b"\0\1", grey[:64]),
        "BMP of OS/2": b"BM" + struct.pack("<IHHI", 74, 0, 0, 26) + short,
    }


def _tiffs() -> dict[str, bytes]:
    packed = ("tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "jpeg", "zstd", "lzma")
    black, grey = PICTURE.convert("1"), np.asarray(PICTURE.convert("L"))
    numbers: dict[str, np.ndarray[Any, Any]] = {
        "uint16": grey.astype(np.uint16) * 257,
        "float32": grey.astype(np.float32),
        "int32": grey.astype("int32"),
    }
    return {
        **{f"TIFF {name}": encode(PICTURE, "TIFF", compression=name) for name in packed},
        **{f"TIFF black {name}": encode(black, "TIFF", compression=name) for name in ("raw", "packbits", "tiff_lzw")},
        **{f"TIFF {name}": encode(Image.fromarray(values), "TIFF") for name, values in numbers.items()},
        **{
            f"TIFF {mode}": encode(PICTURE.convert(mode), "TIFF") for mode in ("L", "P", "RGB", "RGBA", "CMYK", "YCbCr")
        },
        "TIFF LAB": encode(PICTURE.convert("LAB"), "TIFF"),
        "TIFF big-endian": encode(Image.fromarray(numbers["uint16"].astype(">u2")), "TIFF"),
        "TIFF predicted": encode(PICTURE, "TIFF", compression="tiff_lzw", tiffinfo={317: 2}),
        "TIFF strips": encode(PICTURE, "TIFF", compression="tiff_lzw", strip_size=600),
        "TIFF turned": encode(PICTURE, "TIFF", tiffinfo={274: 5}),
        "TIFF big": encode(PICTURE, "TIFF", big_tiff=True),
        "TIFF pages": encode(PICTURE, "TIFF", save_all=True, append_images=frames()),
        "TIFF tiled": tiled_tiff(),
    }


def _webps() -> dict[str, bytes]:
    animation = {"save_all": True, "append_images": frames(), "duration": 20}
    return {
        "WEBP lossy": encode(PICTURE, "WEBP"),
        "WEBP lossless": encode(PICTURE, "WEBP", lossless=True),
        "WEBP transparent": encode(_see_through(), "WEBP"),
        "WEBP EXIF and profile": encode(PICTURE, "WEBP", exif=turned(3), icc_profile=profile()),
        "WEBP animated": encode(PICTURE, "WEBP", **animation),
    }


def _avifs() -> dict[str, bytes]:
    return {
        "AVIF plain": encode(PICTURE, "AVIF", speed=10),
        "AVIF transparent": encode(_see_through(), "AVIF", speed=10),
        "AVIF EXIF": encode(PICTURE, "AVIF", speed=10, exif=turned(6)),
        "AVIF animated": encode(PICTURE, "AVIF", speed=10, save_all=True, append_images=frames(), duration=20),
    }


def _heifs() -> dict[str, bytes]:
    from pillow_heif import register_heif_opener

    register_heif_opener()
    return {
        "HEIF plain": encode(PICTURE, "HEIF"),
        "HEIF transparent": encode(_see_through(), "HEIF"),
        "HEIF EXIF": encode(PICTURE, "HEIF", exif=turned(6)),
        "HEIF pages": encode(PICTURE, "HEIF", save_all=True, append_images=frames()),
    }


def _see_through() -> Image.Image:
    image = PICTURE.copy()
    image.putalpha(PICTURE.convert("L"))
    return image
