import os

import pytest

from frostline.data.machine import available_memory, usable_cores


def test_memory_is_a_plausible_number_of_bytes() -> None:
    assert 1 << 20 < available_memory() < 1 << 50


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux ties a process to cores")
def test_cores_that_others_have_are_not_usable() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert usable_cores() == len(before)
