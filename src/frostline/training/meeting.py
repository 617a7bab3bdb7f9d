"""How the processes of a training find each other, also where they were started anew."""

import secrets
import time
from datetime import timedelta

from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from frostline.errors import FrostlineError

_PAUSE = 0.02
"""Seconds between two looks of the first process at who has come."""


def meet(timeout: timedelta) -> tuple[Store, int, int]:
    """A store that all processes of this start share and no others, the rank of this one, and how many they are.

    `torchrun` lends the processes that it restarts the store of those before them, in which they would find the
    addresses of the dead (pytorch/pytorch#135712), and no number that it gives them is the same on all hosts. So each
    says a word of its own, and the first answers it with its own, which names their part of the store.
    """
    store, rank, count = next(rendezvous("env://", timeout=timeout))
    own = secrets.token_hex(8)
    if rank == 0:
        _answer_all(store, own, count, time.monotonic() + timeout.total_seconds())
        return PrefixStore(own, store), rank, count
    store.set(f"frostline {rank}", own)
    first = store.get(f"frostline answer {own}").decode()
    store.set(f"frostline {first} {rank}", "")
    return PrefixStore(first, store), rank, count


def _answer_all(store: Store, own: str, count: int, deadline: float) -> None:
    """Answer each of the others, whose words may be those of an earlier start, until all have heard it."""
    missing = set(range(1, count))
    while missing:
        for rank in sorted(missing):
            if store.check([f"frostline {rank}"]):
                store.set(f"frostline answer {store.get(f'frostline {rank}').decode()}", own)
            if store.check([f"frostline {own} {rank}"]):
                missing.discard(rank)
        if time.monotonic() > deadline:
            raise FrostlineError(f"{len(missing)} of {count} processes have not come: start all of them again")
        time.sleep(_PAUSE)
