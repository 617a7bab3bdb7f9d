"""Ray Data as the engine of big predictions: every machine of a cluster answers parts of the pictures."""

import io
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from frostline.config import TestTimeAugmentation
from frostline.deploy.batch.listing import Pictures, digest_pictures
from frostline.deploy.batch.parts import Origin, Parts
from frostline.deploy.batch.worker import BATCH, Job, RayWorker, describe_part, pack_classifier
from frostline.errors import ConfigError, FrostlineError
from frostline.model.classifier import digest_classifier
from frostline.progress import phase, say

_SMALLEST, _LARGEST = 8 * BATCH, 80 * BATCH
"""Pictures in a part."""

_MANY_PARTS = 1_000
"""Parts from which on they are made larger, and not more."""


def predict_on_ray(
    classifier: Path,
    pictures: Sequence[Pictures],
    folder: Path,
    classes: int,
    *,
    tta: TestTimeAugmentation = "none",
    go_on: bool = False,
    address: str | None = None,
) -> int:
    """Write a row for each picture to parquet files in a folder; returns how many pictures could not be read.

    `address` is that of a Ray cluster, `auto` for the one of this machine; without one, and without RAY_ADDRESS in the
    environment, one is started and stopped again. The classifier is sent to the workers; pictures and tables are read
    by them. The pictures are cut into parts in their order, and each part is a file that is written when it is whole.
    With `go_on`, parts that are there stay.

    Raises `ConfigError` where there are parts without `go_on`, or of other pictures or another classifier, where
    another process writes to the folder, and where there is no cluster; `FrostlineError` where workers fail.
    """
    total = sum(map(len, pictures))
    pieces = [piece for some in pictures for piece in some.cut(part_size(total))]
    origin = Origin(digest_classifier(classifier), classes, tta, digest_pictures(pictures), len(pieces))
    parts = Parts(folder, origin)
    with parts.claimed():
        parts.find(go_on=go_on)
        work = {number: piece for number, piece in enumerate(pieces) if number not in parts.done}
        if work:
            try:
                _fill(parts, work, pack_classifier(classifier), Job(origin, total, Path.cwd()), address)
            except BaseException:
                if parts.done:
                    done = sum(len(pieces[number]) for number in parts.done)
                    say(f"{done:,} rows are in {folder}: the same command with --continue goes on")
                raise
    return parts.errors


def part_size(pictures: int) -> int:
    """Pictures in each part: about a thousand parts, of at least 1,024 pictures and at most 10,240."""
    batches = -(-pictures // (_MANY_PARTS * BATCH))
    return min(max(batches * BATCH, _SMALLEST), _LARGEST)


def _fill(parts: Parts, work: dict[int, Pictures], classifier: dict[str, bytes], job: Job, address: str | None) -> None:
    """Have the parts of `work` answered, in whatever order they are ready."""
    with _cluster(address) as ray, phase("predict", sum(map(len, work.values()))) as advance:
        machines, cpus = _machines(ray)
        described = [describe_part(number, pictures) for number, pictures in work.items()]
        answered = ray.data.from_items(described, override_num_blocks=len(described)).map_batches(
            RayWorker,
            batch_size=1,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=min(machines, len(described)), max_tasks_in_flight_per_actor=2),
            num_cpus=cpus,
            fn_constructor_args=(ray.put(classifier), job),
        )
        for row in answered.iter_rows():
            parts.add(row["number"], row["file"], row["errors"])
            advance(row["pictures"])


def _machines(ray: Any) -> tuple[int, int]:
    """How many machines of the cluster compute, and the cores of the smallest of them.

    A classifier keeps all cores of a machine busy, so that each machine has one worker.
    """
    cores = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    computing = [count for count in cores if count]
    if not computing:
        raise ConfigError("the Ray cluster has no machine with a CPU to give: start one with more --num-cpus")
    return len(computing), min(computing)


@contextmanager
def _cluster(address: str | None) -> Iterator[Any]:
    """Ray, joined to a cluster within the block. Raises what Ray raises as errors of one line."""
    ray = import_ray()
    with redirect_stdout(sys.stderr):  # Ray prints what goes wrong on a machine
        try:
            _join(ray, address or os.environ.get("RAY_ADDRESS") or "local")
            ray.data.DataContext.get_current().enable_progress_bars = False
            yield ray
        except ray.exceptions.RayError as error:
            raise FrostlineError(f"a worker failed: {_last_line(error)}") from error
        finally:
            with redirect_stdout(io.StringIO()):  # here it tells of the workers that it ends
                ray.shutdown()


def _join(ray: Any, address: str) -> None:
    """Join the cluster at an address; `local` starts one on this machine, which ends with this process."""
    options = {"include_dashboard": False} if address == "local" else {}
    # Ray Data warns where no machine is free: on a cluster that is shared, others may keep them busy for long
    logging.getLogger("ray.data").setLevel(logging.ERROR if address == "local" else logging.WARNING)
    try:
        with _silent():
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, **options)
    except Exception as error:  # what Ray raises has no base of its own
        if address == "local":
            raise FrostlineError(f"cannot start Ray on this machine: {_last_line(error)}") from error
        raise ConfigError(f"cannot join the Ray cluster {address}: {_last_line(error)}") from error


@contextmanager
def _silent() -> Iterator[None]:
    """Let nothing reach stderr, not even from libraries in C++."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def import_ray() -> Any:
    """Ray with Ray Data, kept from reporting its use. Raises `ConfigError` where it is not installed."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what is wrong is raised, too
    try:
        import ray.data
    except ImportError as error:
        raise ConfigError(f"--engine ray needs Ray Data ({error}): pip install 'frostline[ray]'") from error
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)  # it warns that its bars are off
    return ray


def _last_line(error: Exception) -> str:
    """The last line of an error that holds a traceback of another process."""
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__
