"""What tests that start processes share."""

import subprocess
import time
from collections.abc import Callable

import pytest

TIMEOUT = 600.0

WaitUntil = Callable[["subprocess.Popen[str]", Callable[[], bool]], None]


@pytest.fixture(scope="session")
def wait_until() -> WaitUntil:
    """Wait for what a running process is to do."""

    def wait(process: "subprocess.Popen[str]", reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not reached():
            assert process.poll() is None, f"the process has ended: {process.communicate()[1]}"
            assert time.monotonic() < deadline, "the process takes too long"
            time.sleep(0.002)

    return wait
