"""Files cut and mutated, the same for the same seed."""

import random
import struct
from collections.abc import Iterator, Mapping

from tests.deploy.server.corpus import with_sums


def truncations(files: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Each file, cut at every power of two below its length."""
    for name, content in files.items():
        for power in range(max(0, len(content) - 1).bit_length()):
            yield f"{name}, its first {2**power} bytes", content[: 2**power]


def mutations(files: Mapping[str, bytes], seed: int) -> Iterator[tuple[str, bytes]]:
    """Mutated files without end, the same for the same files and seed; of PNG half have right checksums again."""
    rng = random.Random(seed)
    names = [name for name, content in files.items() if 16 < len(content) < 200_000]
    number = 0
    while True:
        name = rng.choice(names)
        content = files[name]
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            change = rng.choice((_flip, _flip, _overwrite, _set_length, _set_length, _cut, _move, _splice))
            content = change(content, files[rng.choice(names)], rng) or b"\0"
        if name.startswith("PNG") and rng.random() < 0.5:
            content = with_sums(content)
        yield f"{name}, mutation {number}", content
        number += 1


def _place(content: bytes, rng: random.Random) -> int:
    """Somewhere in a file, more often near its start, where the headers are."""
    return int(len(content) * rng.random() ** rng.choice((1, 3)))


def _flip(content: bytes, other: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.randint(1, 16)):
        changed[_place(content, rng)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _overwrite(content: bytes, other: bytes, rng: random.Random) -> bytes:
    start, length = _place(content, rng), rng.choice((1, 4, 16, 64))
    run = rng.choice((bytes(length), b"\xff" * length, rng.randbytes(length)))
    return (content[:start] + run + content[start + length :])[: len(content)]


def _set_length(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """Something that may be a length, a count or an offset, set to an extreme."""
    start = _place(content, rng) & ~1
    value = rng.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 0xFFFF, 0x10000))
    packed = struct.pack(rng.choice("<>") + "I", value)[: rng.choice((2, 4))]
    return (content[:start] + packed + content[start + len(packed) :])[: len(content)]


def _cut(content: bytes, other: bytes, rng: random.Random) -> bytes:
    return content[: rng.randint(1, len(content))]


def _move(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """A piece is repeated elsewhere, or left out."""
    start, place = _place(content, rng), _place(content, rng)
    piece = content[start : start + rng.randint(1, 256)]
    if rng.random() < 0.5:
        return content[:start] + content[start + len(piece) :]
    return content[:place] + piece + content[place:]


def _splice(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """The head of one file and the tail of another."""
    return content[: _place(content, rng)] + other[_place(other, rng) :]
