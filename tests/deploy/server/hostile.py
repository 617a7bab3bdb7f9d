"""Files that mean harm, or are not what they seem."""

import io
import struct
import zipfile
import zlib

from tests.deploy.server.corpus import (
    LONG,
    PICTURE,
    SHORT,
    bmp,
    encode,
    frames,
    grey_tiff,
    png,
    png_chunk,
    tiff,
    tiff_data,
    turned,
)

from frostline.deploy.server.settings import allowed_formats

MB = 2**20
UNDEFINED = 7
ROWS = bytes(PICTURE.height * (1 + 3 * PICTURE.width))
"""Black, as the rows of a PNG of the picture's size."""


def hostile_files() -> dict[str, bytes]:
    """By name, which begins with the format that a file pretends to have."""
    groups = (_pngs(), _jpegs(), _tiffs(), _faxes(), _gifs(), _bmps(), _webps(), _containers(), _disguised())
    return {name: content for group in groups for name, content in group.items()}


def exif_bomb(entries: int, size: int) -> bytes:
    """EXIF data whose entries all hold the same bytes: parsed, they are `entries` times as large."""
    listed = b"".join(struct.pack("<HHII", 1_000 + number, UNDEFINED, size, 8) for number in range(entries))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", entries) + listed + bytes(size)


def scan_bomb(width: int, height: int, scans: int) -> bytes:
    """A grey progressive JPEG of many scans, each of which takes a pass over all its blocks and says nothing."""
    blocks = -(-width // 8) * -(-height // 8)
    runs = -(-blocks // 32_767)
    bits = "011111111111111" * runs  # a code of one bit, and 14 bits: the next 32,767 blocks have nothing
    bits += "1" * (-len(bits) % 8)
    empty = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")

    def table(place: int, symbol: int) -> bytes:
        return b"\xff\xc4" + struct.pack(">HBB15xB", 20, place, 1, symbol)

    def scan(first: int, last: int, data: bytes) -> bytes:
        return b"\xff\xda" + struct.pack(">H6B", 8, 1, 1, 0, first, last, 0) + data

    head = b"\xff\xd8\xff\xdb\0\x43\0" + b"\1" * 64
    head += b"\xff\xc2" + struct.pack(">HBHHB3B", 11, 8, height, width, 1, 1, 0x11, 0)
    levels = scan(0, 0, bytes(-(-blocks // 8)))
    return head + table(0x10, 0xE0) + table(0, 0) + levels + scan(1, 63, empty) * scans + b"\xff\xd9"


def _pngs() -> dict[str, bytes]:
    packed = zlib.compress(bytes(16 * MB), 9)
    texts = [(b"zTXt", b"a%d\0\0" % number + zlib.compress(bytes(MB))) for number in range(70)]
    whole = png(PICTURE.size, ROWS)
    before_pixels = whole.index(b"IDAT") - 4
    return {
        "PNG of 50,000 x 50,000": png((50_000, 50_000), b""),
        "PNG of most pixels": png((2**31 - 1, 2**31 - 1), b""),
        "PNG of no pixels": png((0, 40), b""),
        "PNG of 1 x 40,000,000": png((1, 40_000_000), b""),
        "PNG with too few pixels": png((3_000, 3_000), b""),
        "PNG with too many pixels": png((2, 2), bytes(16 * MB)),
        "PNG with a zTXt bomb": png(PICTURE.size, ROWS, (b"zTXt", b"a\0\0" + packed)),
        "PNG with 70 zTXt bombs": png(PICTURE.size, ROWS, *texts),
        "PNG with an iTXt bomb": png(PICTURE.size, ROWS, (b"iTXt", b"a\0\1\0\0\0" + packed)),
        "PNG with an iCCP bomb": png(PICTURE.size, ROWS, (b"iCCP", b"a\0\0" + packed)),
        "PNG with an EXIF bomb": png(PICTURE.size, ROWS, (b"eXIf", exif_bomb(20_000, MB))),
        "PNG with a wrong profile": png(PICTURE.size, ROWS, (b"iCCP", b"a\0\0" + zlib.compress(b"no profile"))),
        "PNG with hexadecimal EXIF": png(PICTURE.size, ROWS, (b"tEXt", b"Raw profile type exif\0\n\n\nzz")),
        "PNG without end": whole[:-12],
        "PNG of empty chunks": whole[:before_pixels] + png_chunk(b"IDAT", b"") * 20_000 + whole[before_pixels:],
        "PNG of frames without end": png(PICTURE.size, ROWS, (b"acTL", struct.pack(">II", 2**31 - 1, 0))),
        "PNG with an unknown kind": png(PICTURE.size, ROWS, kind=5),
        "PNG with a header of no length": b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", b""),
    }


def _jpegs() -> dict[str, bytes]:
    whole = encode(PICTURE, "JPEG")
    segment = b"\xff\xe1\xff\xffExif\0\0" + exif_bomb(2_000, 35_000)[: 65_535 - 8].ljust(65_535 - 8, b"\0")
    size = whole.index(b"\xff\xc0") + 5
    turns = {number: turned(number) for number in (0, 9, 255, 65_535)}
    return {
        **{f"JPEG turned {number}": encode(PICTURE, "JPEG", exif=exif) for number, exif in turns.items()},
        "JPEG with EXIF garbage": encode(PICTURE, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(range(99))),
        "JPEG with an EXIF loop": encode(PICTURE, "JPEG", exif=b"Exif\0\0" + _loop()),
        "JPEG with an EXIF bomb": whole[:2] + segment + whole[2:],
        "JPEG with EXIF bombs joined": whole[:2] + segment * 20 + whole[2:],
        "JPEG of 65,500 x 65,500": whole[:size] + struct.pack(">HH", 65_500, 65_500) + whole[size + 4 :],
        "JPEG of 5,000 x 5,000": whole[:size] + struct.pack(">HH", 5_000, 5_000) + whole[size + 4 :],
        "JPEG of no height": whole[:size] + struct.pack(">HH", 0, 48) + whole[size + 4 :],
        "JPEG of filling": whole[:2] + b"\xff" * 300_000 + whole[2:],
        "JPEG of 3,000 scans": scan_bomb(4_000, 4_000, 3_000),
        "JPEG with an MPO loop": encode(PICTURE, "MPO", save_all=True, append_images=frames()).replace(
            b"\xff\xd9\xff\xd8", b"\xff\xd8\xff\xd8"
        ),
    }


def _loop() -> bytes:
    """A TIFF whose directories follow each other for ever, and hold each other."""
    return tiff({274: (SHORT, 1, 6), 330: (LONG, 1, 8), 34_665: (LONG, 1, 8)}, following=8)


def _tiffs() -> dict[str, bytes]:
    packed = zlib.compress(bytes(16 * MB), 9)
    start = tiff_data(9)
    pieces = 50_000
    return {
        "TIFF with a loop": grey_tiff({}, following=8),
        "TIFF with a loop inside": grey_tiff({330: (LONG, 1, 8), 34_665: (LONG, 1, 8)}),
        "TIFF of a loop alone": _loop(),
        "TIFF with huge counts": grey_tiff(dict.fromkeys(range(900, 999), (UNDEFINED, 2**32 - 1, 8))),
        "TIFF with a huge count of strips": grey_tiff({273: (LONG, 2**31 - 1, 8)}),
        "TIFF with a huge count of bits": grey_tiff({258: (SHORT, 2**30, 8)}),
        "TIFF with an entry bomb": exif_bomb(20_000, MB),
        "TIFF without entries": b"II*\0\x08\0\0\0\0\0" + bytes(99),
        "TIFF of 65,535 entries": b"II*\0\x08\0\0\0\xff\xff" + bytes(12) * 65_535,
        "TIFF that begins at its end": b"II*\0\xff\xff\xff\xff" + bytes(99),
        "TIFF big, beginning at its end": b"II+\0\x08\0\0\0" + b"\xff" * 99,
        "TIFF of 2^31 x 2^31": grey_tiff({256: (LONG, 1, 2**31 - 1), 257: (LONG, 1, 2**31 - 1)}),
        "TIFF of 2^32 x 1": grey_tiff({256: (LONG, 1, 2**32 - 1), 257: (LONG, 1, 1)}),
        "TIFF of no width": grey_tiff({256: (LONG, 1, 0)}),
        "TIFF with too few pixels": grey_tiff({256: (LONG, 1, 4_000), 257: (LONG, 1, 4_000)}),
        "TIFF with too many pixels": grey_tiff({259: (SHORT, 1, 8), 279: (LONG, 1, len(packed))}, packed),
        "TIFF of many samples": grey_tiff({277: (SHORT, 1, 65_535)}),
        "TIFF of no samples": grey_tiff({277: (SHORT, 1, 0)}),
        "TIFF of huge strips": grey_tiff({278: (LONG, 1, 2**32 - 1), 279: (LONG, 1, 2**32 - 1)}),
        "TIFF of no rows in a strip": grey_tiff({278: (LONG, 1, 0), 259: (SHORT, 1, 5)}),
        "TIFF of huge tiles": grey_tiff({322: (LONG, 1, 2**31 - 16), 323: (LONG, 1, 2**31 - 16)}),
        "TIFF of tiles without size": grey_tiff({322: (LONG, 1, 0), 323: (LONG, 1, 0), 324: (LONG, 1, 8)}),
        "TIFF of many strips": grey_tiff(
            {273: (LONG, pieces, start), 279: (LONG, pieces, start), 278: (LONG, 1, 1)}, struct.pack("<I", 8) * pieces
        ),
        "TIFF packed in an unknown way": grey_tiff({259: (SHORT, 1, 34_712)}),
        "TIFF turned 99": grey_tiff({274: (SHORT, 1, 99)}),
        "TIFF turned by text": grey_tiff({274: (2, 4, 0x61616161)}),
    }


def _faxes() -> dict[str, bytes]:
    black, lines = PICTURE.convert("1"), bytes(range(200))
    more = {257: (LONG, 1, 2_000), 258: (SHORT, 1, 1), 278: (LONG, 1, 2_000), 279: (LONG, 1, len(lines))}
    return {
        **{f"TIFF fax {name}": encode(black, "TIFF", compression=name) for name in ("tiff_ccitt", "group3", "group4")},
        **{f"TIFF damaged fax {kind}": grey_tiff({**more, 259: (SHORT, 1, kind)}, lines) for kind in (2, 3, 4, 32_771)},
    }


def _gifs() -> dict[str, bytes]:
    whole = encode(PICTURE, "GIF", interlace=False)
    frame = whole.index(b",\0\0\0\0") + 5
    canvas = struct.pack("<HH", 65_535, 65_535)
    flood = b"GIF89a" + canvas + b"\0\0\0," + bytes(4) + canvas + b"\0\2"
    comment = b"!\xfe" + (b"\xff" + b"a" * 255) * 4_000 + b"\0"
    return {
        "GIF of no canvas": whole[:6] + bytes(4) + whole[10:],
        "GIF of a giant canvas": whole[:6] + canvas + whole[10:],
        "GIF of a giant frame": whole[:frame] + canvas + whole[frame + 4 :],
        "GIF of a frame of nothing": whole[:frame] + bytes(4) + whole[frame + 4 :],
        "GIF of a frame elsewhere": whole[: frame - 4] + b"\xff\xff\xff\xff" + whole[frame:],
        "GIF of a bomb": flood + (b"\xff" + bytes(255)) * 99 + b"\0;",
        "GIF without frames": whole[: frame - 5] + b";",
        "GIF of comments": whole[: frame - 5] + comment + whole[frame - 5 :],
        "GIF of wide codes": whole[: frame + 5] + b"\xff" + whole[frame + 6 :],
        "GIF that ends in a block": whole[:-9],
    }


def _bmps() -> dict[str, bytes]:
    grey = bytes(level for level in range(256) for _ in range(4))
    sizes = ((-8, 8), (2**31 - 1, 2**31 - 1), (8, -(2**31)), (0, 0), (20_000, -20_000), (40_000, 1_000))
    return {
        **{f"BMP of {width} x {height}": bmp(width, height, 24, 0, bytes(192)) for width, height in sizes},
        "BMP of a run that never ends": bmp(5_000, 5_000, 8, 1, b"\xff\1" * 9_999, grey),
        "BMP of moves outside": bmp(16, 16, 8, 1, b"\0\2\xff\xff" * 99, grey),
        "BMP of lines alone": bmp(16, 16, 8, 1, b"\0\0" * 9_999, grey),
        "BMP of 0 bits": bmp(8, 8, 0, 0, bytes(192)),
        "BMP of 255 bits": bmp(8, 8, 255, 0, bytes(192)),
        "BMP that holds a JPEG": bmp(8, 8, 24, 4, encode(PICTURE, "JPEG")),
        "BMP with masks of 0": bmp(8, 8, 16, 3, bytes(128), bytes(12)),
        "BMP with a giant header": b"BM" + struct.pack("<IHHII", 99, 0, 0, 54, 2**32 - 1) + bytes(99),
    }


def _webps() -> dict[str, bytes]:
    whole = encode(PICTURE, "WEBP", save_all=True, append_images=frames(), exif=turned(6))
    size = whole.index(b"VP8X") + 12
    exif = whole.index(b"EXIF")

    def canvas(width: int, height: int) -> bytes:
        return whole[:size] + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3] + whole[size + 6 :]

    return {
        "WEBP of a giant canvas": canvas(16_384, 16_384),
        "WEBP of the largest canvas": canvas(2**24, 2**24),
        "WEBP of a large canvas": canvas(5_000, 5_000),
        "WEBP of a small canvas": canvas(1, 1),
        "WEBP with EXIF garbage": whole[: exif + 8] + bytes(range(64)) + whole[exif + 72 :],
        "WEBP of an endless chunk": whole[: exif + 4] + b"\xff" * 4 + whole[exif + 8 :],
        "WEBP of nothing": b"RIFF\x04\0\0\0WEBP",
    }


def _containers() -> dict[str, bytes]:
    """AVIF and HEIF that say they have another size."""
    files = {}
    for kind in allowed_formats()[-2:]:
        if kind in ("AVIF", "HEIF"):
            content = encode(PICTURE.resize((600, 400)), kind)
            place = content.index(b"ispe") + 8
            for width, height in ((0, 0), (64, 64), (4_000, 4_000), (2**31 - 1, 2**31 - 1)):
                patched = content[:place] + struct.pack(">II", width, height) + content[place + 8 :]
                files[f"{kind} that says {width} x {height}"] = patched
    return files


def _disguised() -> dict[str, bytes]:
    """Other kinds of file: whatever they are called, nothing may read them."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("a.jpg", bytes(MB))
    kinds = ("EPS", "PDF", "ICO", "TGA", "PCX", "PPM", "SGI", "JPEG2000", "DDS")
    small = PICTURE.resize((16, 16))
    return {
        **{f"disguised {kind}": encode(small, kind) for kind in kinds},
        "disguised SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "disguised HTML": b"<!doctype html><script>alert(1)</script>",
        "disguised zip": archive.getvalue(),
        "disguised program": b"\x7fELF" + bytes(999),
        "disguised text": b"just some text\n" * 20,
        "disguised nothing": b"",
        **{f"disguised byte {byte}": bytes([byte]) for byte in b"\0\xff\x89BGIRM"},
        "disguised zeros": bytes(65_536),
        "disguised HEIF": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        "disguised AVIF": b"\0\0\0\x18ftypavif\0\0\0\0mif1miaf",
    }
