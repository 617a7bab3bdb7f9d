"""The cache gives what was computed, once, whatever happens to its files or to the process that fills it."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from frostline.progress import Advance
from frostline.training import cache as cache_module
from frostline.training.cache import ActivationCache, Entry

SHAPE = (4, 3, 3)
COUNT = 50
SHARDS = 5


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten rows in each file."""
    monkeypatch.setattr(cache_module, "SHARD_BYTES", 10 * 36 * 2)


@pytest.fixture
def cache(tmp_path: Path) -> ActivationCache:
    return ActivationCache(tmp_path / "activations", limit=10**9)


def entry(number: int = 0) -> Entry:
    return Entry({"pixels": number}, COUNT, SHAPE, "float16", f"photos, view {number}")


def values(rows: range, number: int = 0) -> NDArray[np.float16]:
    """What the trunk would give for some rows of an entry."""
    all_rows = np.random.default_rng(number).normal(size=(COUNT, *SHAPE)).astype(np.float16)
    return all_rows[rows.start : rows.stop]


class Computing:
    """Computes the rows of an entry, and keeps in mind which."""

    def __init__(self, number: int = 0, stop_at: int | None = None) -> None:
        self.number = number
        self.stop_at = stop_at
        self.computed: list[int] = []

    def __call__(self, rows: range, advance: Advance) -> NDArray[Any]:
        if self.stop_at is not None and rows.start >= self.stop_at:
            raise KeyboardInterrupt
        self.computed += rows
        advance(len(rows))
        return values(rows, self.number)


def assert_holds(cache: ActivationCache, number: int = 0, recomputed: int = 0) -> None:
    """The entry has the right rows, in any order, and `recomputed` of its files had to be computed anew."""
    computing = Computing(number)
    rows = cache.fill(entry(number), "trunk", computing)
    assert len(computing.computed) == 10 * recomputed
    order = np.random.default_rng(1).permutation(COUNT)
    assert np.array_equal(rows.read(order), values(range(COUNT), number)[order])


def shards(cache: ActivationCache) -> list[Path]:
    return sorted(cache.folder.glob("*/*.rows"))


def test_rows_are_computed_once_and_read_in_any_order(cache: ActivationCache) -> None:
    assert_holds(cache, recomputed=SHARDS)
    assert_holds(cache)
    assert_holds(ActivationCache(cache.root, cache.limit))
    assert len(shards(cache)) == SHARDS
    assert sum(path.stat().st_size for path in shards(cache)) == entry().bytes


def test_a_last_file_may_hold_fewer_rows(cache: ActivationCache) -> None:
    odd = Entry({}, 43, SHAPE, "float16", "photos")
    rows = cache.fill(odd, "trunk", Computing())
    assert [len(shard) for shard in odd.shards] == [10, 10, 10, 10, 3]
    assert np.array_equal(rows.read(np.arange(43)), values(range(43)))


def test_entries_of_other_content_shape_or_format_are_others(
    cache: ActivationCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = entry()
    others = [
        Entry({"pixels": 1}, COUNT, SHAPE, "float16", first.about),
        Entry(first.content, COUNT, (*SHAPE, 1), "float16", first.about),
        Entry(first.content, COUNT, SHAPE, "float32", first.about),
    ]
    assert len({first.key, *(other.key for other in others)}) == 4
    assert Entry(dict(first.content), COUNT, SHAPE, "float16", "renamed").key == first.key
    monkeypatch.setattr(cache_module, "FORMAT_VERSION", cache_module.FORMAT_VERSION + 1)
    assert entry().key != first.key


def test_reading_much_gives_memory_back_and_changes_nothing(
    cache: ActivationCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "_RELEASE_EVERY", 7)
    rows = cache.fill(entry(), "trunk", Computing())
    for _ in range(5):
        assert np.array_equal(rows.read(np.arange(COUNT)), values(range(COUNT)))


@pytest.mark.parametrize("bit", [0, 7, 8 * 700 + 3, 8 * 720 - 1])
def test_a_flipped_bit_is_found_and_its_file_computed_anew(
    cache: ActivationCache, bit: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_holds(cache, recomputed=SHARDS)
    path = shards(cache)[2]
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    assert_holds(cache, recomputed=1)
    assert f"{path} is damaged" in capsys.readouterr().err
    assert_holds(cache)


@pytest.mark.parametrize("length", [0, 1, 719, 721])
def test_a_file_of_another_length_is_found_and_computed_anew(cache: ActivationCache, length: int) -> None:
    assert_holds(cache, recomputed=SHARDS)
    content = shards(cache)[4].read_bytes()
    shards(cache)[4].write_bytes((content + b"\0")[:length])
    assert_holds(cache, recomputed=1)
    assert_holds(cache)


@pytest.mark.parametrize("name", ["00001.rows", "x-00000000.rows", "00009-00000000.rows", "00001-00000000.rows"])
def test_a_file_of_another_name_is_not_used(cache: ActivationCache, name: str) -> None:
    assert_holds(cache, recomputed=SHARDS)
    shards(cache)[1].rename(shards(cache)[1].with_name(name))
    assert_holds(cache, recomputed=1)


def test_a_filling_that_is_stopped_goes_on_where_it_was(cache: ActivationCache) -> None:
    with pytest.raises(KeyboardInterrupt):
        cache.fill(entry(), "trunk", Computing(stop_at=30))
    assert not cache.entries()[0].whole
    assert_holds(cache, recomputed=2)
    assert cache.entries()[0].whole


FILLER = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    import numpy as np
    from frostline.training import cache
    cache.SHARD_BYTES = 720
    root, log, pause = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    entry = cache.Entry({"pixels": 0}, 50, (4, 3, 3), "float16", "photos")

    def compute(rows, advance):
        time.sleep(pause)
        with log.open("a") as file:
            file.write(f"{rows.start}\\n")
        return np.random.default_rng(0).normal(size=(50, 4, 3, 3)).astype(np.float16)[rows.start : rows.stop]

    cache.ActivationCache(root, 10**9).fill(entry, "trunk", compute)
    """)


def start_filling(cache: ActivationCache, log: Path, pause: float) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", FILLER, str(cache.root), str(log), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(os.name != "posix", reason="the signal is POSIX's")
def test_a_filling_that_is_killed_goes_on_where_it_was(cache: ActivationCache, tmp_path: Path) -> None:
    process = start_filling(cache, tmp_path / "log", pause=0.05)
    deadline = time.monotonic() + 120
    while len(shards(cache)) < 2:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    there = len(shards(cache))
    assert_holds(cache, recomputed=SHARDS - there)
    assert not list(cache.folder.glob("*/.*.tmp"))


def test_two_processes_that_fill_at_once_compute_each_row_once(cache: ActivationCache, tmp_path: Path) -> None:
    log = tmp_path / "log"
    processes = [start_filling(cache, log, pause=0.1) for _ in range(2)]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert sorted(map(int, log.read_text().split())) == [0, 10, 20, 30, 40]
    assert_holds(cache)


def test_what_a_killed_process_left_half_written_is_removed(cache: ActivationCache) -> None:
    assert_holds(cache, recomputed=SHARDS)
    half = shards(cache)[0].with_name(".0123456789abcdef.tmp")
    half.write_bytes(b"half")
    assert_holds(cache)
    assert not half.exists()


def use(cache: ActivationCache, number: int, age: float) -> None:
    """Fill an entry that was last used `age` seconds ago."""
    cache.fill(entry(number), "trunk", Computing(number))
    about = cache.folder / entry(number).key / "entry.json"
    os.utime(about, (time.time() - age,) * 2)


def kept(cache: ActivationCache) -> set[int]:
    return {number for number in range(10) if (cache.folder / entry(number).key).exists()}


def test_those_unused_for_longest_go_first_and_no_more_than_must(cache: ActivationCache) -> None:
    for number, age in ((0, 300.0), (1, 100.0), (2, 200.0)):
        use(cache, number, age)
    size = entry().bytes
    ActivationCache(cache.root, 4 * size).make_room([entry(3)])
    assert kept(cache) == {0, 1, 2}
    ActivationCache(cache.root, 3 * size).make_room([entry(3)])
    assert kept(cache) == {1, 2}
    ActivationCache(cache.root, size).make_room([entry(2)])
    assert kept(cache) == {2}, "what is wanted stays, however long it was not used"


def test_use_makes_an_entry_young(cache: ActivationCache) -> None:
    use(cache, 0, 300)
    use(cache, 1, 200)
    assert_holds(cache, 0)
    ActivationCache(cache.root, 2 * entry().bytes).make_room([entry(2)])
    assert kept(cache) == {0}


def test_an_entry_that_is_being_filled_is_not_removed(cache: ActivationCache, tmp_path: Path) -> None:
    process = start_filling(cache, tmp_path / "log", pause=0.1)
    deadline = time.monotonic() + 120
    while not cache.entries():
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert cache.clear() == (0, 0)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert_holds(cache)


def test_rows_that_are_in_use_stay_readable_when_the_cache_is_cleared(cache: ActivationCache) -> None:
    rows = cache.fill(entry(), "trunk", Computing())
    assert cache.clear() == (1, entry().bytes)
    assert cache.entries() == []
    assert np.array_equal(rows.read(np.arange(COUNT)), values(range(COUNT)))


def test_a_cache_of_another_version_is_left_alone(cache: ActivationCache) -> None:
    other = cache.root / "v0" / "key"
    other.mkdir(parents=True)
    (other / "entry.json").write_text("{}")
    (other / "00000-00000000.rows").write_bytes(b"x" * 10_000)
    use(cache, 0, 100)
    ActivationCache(cache.root, entry().bytes).make_room([entry(1)])
    cache.clear()
    assert sorted(path.name for path in other.iterdir()) == ["00000-00000000.rows", "entry.json"]


def test_the_list_says_what_there_is(cache: ActivationCache) -> None:
    assert cache.entries() == []
    use(cache, 0, 300)
    use(cache, 1, 100)
    (cache.folder / "foreign").mkdir()
    (cache.folder / "foreign" / "entry.json").write_text("not JSON")
    found = cache.entries()
    assert [item.about for item in found] == ["photos, view 1", "photos, view 0"]
    assert all(item.whole and item.bytes == entry().bytes for item in found)


def test_obstacles_have_figures(cache: ActivationCache, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache.obstacle([entry()]) is None
    assert ActivationCache(cache.root, 100).obstacle([entry()]) == (
        "they take 3.6 kB, and the cache may take 100 bytes (--cache-limit)"
    )
    nearly = Entry({}, 10**12, SHAPE, "float16", "photos")
    obstacle = ActivationCache(cache.root, 10**18).obstacle([nearly])
    assert obstacle is not None
    assert obstacle.startswith(f"they take 72.0 TB more, and {cache.folder} has ")


def test_a_folder_that_cannot_be_made_is_an_obstacle(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    obstacle = ActivationCache(tmp_path / "file" / "cache", 10**9).obstacle([entry()])
    assert obstacle is not None
    assert "cannot be used: Not a directory" in obstacle


def test_a_disk_that_fills_up_leaves_only_whole_files(mount: Callable[[str], Path]) -> None:
    disk = mount("size=24k")
    cache = ActivationCache(disk / "cache", 10**9)
    (disk / "other").write_bytes(b"x" * 8192)
    with pytest.raises(OSError, match="No space left") as caught:
        cache.fill(entry(), "trunk", Computing())
    assert str(caught.value.filename).endswith(".rows")
    there = len(shards(cache))
    assert 0 <= there < SHARDS
    assert not list(cache.folder.glob("*/.*.tmp"))
    (disk / "other").unlink()
    assert_holds(cache, recomputed=SHARDS - there)
