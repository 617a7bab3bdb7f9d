"""The processes of one training, which share its work over `torch.distributed`; a single process is one rank."""

import os
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from frostline.errors import ConfigError, FrostlineError
from frostline.training.meeting import meet
from frostline.training.synced_norm import SyncedBatchNorm

TIMEOUT = timedelta(minutes=30)
"""How long a rank waits for the others, which may have more pictures to decode, before it gives up."""

_Value = TypeVar("_Value")
_Number = TypeVar("_Number", bound=np.generic)


@dataclass(frozen=True)
class Ranks:
    """The processes of one training, each with its share of the pictures.

    What all of them do alike, they do on the same values: each method with a result gives the same one on every rank.
    All of them have to be called by every rank, in the same order.
    """

    rank: int = 0
    """Of this process, from 0."""
    count: int = 1
    on_machine: int = 1
    """How many of them share this machine."""

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes the run folder and speaks to the user."""
        return self.rank == 0

    def owns(self, indices: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these pictures, by their index in the dataset, are this process's; the same ones at all times."""
        owned: NDArray[np.bool_] = indices % self.count == self.rank
        return owned

    def share(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of these pictures that are this process's, in their order."""
        return indices if self.count == 1 else indices[self.owns(indices)]

    def from_first(self, value: _Value) -> _Value:
        """The first rank's value, whatever the others give; it has to be fit for pickle."""
        if self.count == 1:
            return value
        values = [value if self.is_first else None]
        distributed.broadcast_object_list(values)
        return values[0]  # type: ignore[return-value]

    def sum(self, values: Tensor) -> Tensor:
        """The sum of all ranks' values, of the same shape on each."""
        if self.count > 1:
            values = values.clone()
            distributed.all_reduce(values)
        return values

    def gather(self, value: _Value) -> list[_Value]:
        """The values of all ranks, in the order of the ranks; they have to be fit for pickle."""
        if self.count == 1:
            return [value]
        found: list[Any] = [None] * self.count
        distributed.all_gather_object(found, value)
        return found

    def join_rows(self, indices: NDArray[np.int64], rows: NDArray[_Number]) -> NDArray[_Number]:
        """A row for each of these pictures, (N, ...), of which every rank has those of its `share`."""
        if self.count == 1:
            return rows
        parts = self.gather(rows)
        joined = np.empty((len(indices), *rows.shape[1:]), rows.dtype)
        for rank, part in enumerate(parts):
            joined[Ranks(rank, self.count).owns(indices)] = part
        return joined

    def parallel(self, tail: nn.Module) -> nn.Module:
        """The same tail, whose backward pass leaves the mean of all ranks' gradients (Li et al. 2020).

        It begins with the first rank's weights.
        """
        if self.count == 1:
            return tail
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # newer versions have another name for it
            return DistributedDataParallel(tail, broadcast_buffers=False)

    def synced_norms(self) -> AbstractContextManager[object]:
        """While inside, batch norm that adapts takes its statistics over the pictures of all ranks."""
        return nullcontext() if self.count == 1 else SyncedBatchNorm()


ALONE = Ranks()
"""The one process of a training that is not shared."""


@contextmanager
def joined() -> Iterator[Ranks]:
    """Join the processes that were started together, as `torchrun` and its like say in the environment.

    Those are `RANK`, `WORLD_SIZE`, `MASTER_ADDR` and `MASTER_PORT`; a process without them is the only one.
    """
    if _is_alone():
        yield ALONE
        return
    _take_own_part_of_machine()
    try:
        store, rank, count = meet(TIMEOUT)
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        distributed.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=TIMEOUT)
        warnings.filterwarnings("ignore", "Grad strides do not match")  # copying them costs next to nothing
        yield Ranks(rank, count, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    except RuntimeError as error:
        if isinstance(error, distributed.DistError) or "gloo" in str(error):
            raise FrostlineError(
                "another process of this training has ended or cannot be reached; see what it says. Where it was "
                "stopped, start all of them again with --continue"
            ) from error
        raise
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


def require_alone(what: str) -> None:
    """Raise `ConfigError` for what only a training of one process can have, where there are several."""
    if not _is_alone():
        raise ConfigError(f"{what} is for a training in one process: leave it out, or train in one")


def _is_alone() -> bool:
    return "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1


def _take_own_part_of_machine() -> None:
    """Use one GPU, and an equal part of the cores where no scheduler has said which ones."""
    place, places = int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if torch.cuda.is_available():
        torch.cuda.set_device(place % torch.cuda.device_count())
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) == os.cpu_count() and len(cores) >= places:
            os.sched_setaffinity(0, cores[place::places])
            torch.set_num_threads(len(cores[place::places]))


def was_restarted() -> bool:
    """Whether `torchrun` has started this process anew after one of the training's processes had failed."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
