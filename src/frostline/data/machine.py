"""What this machine can still give."""

import os
from pathlib import Path


def available_memory() -> int:
    """Bytes that can be taken without swapping, within the control group's limit; 4 GiB where it cannot be known."""
    known = [bytes_ for bytes_ in (_from_proc(), _from_cgroup()) if bytes_ is not None]
    if known:
        return min(known)
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):
        return 4 << 30


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _from_proc() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    values = {name: value for name, _, value in (line.partition(":") for line in lines)}
    return int(values["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in values else None


def _from_cgroup() -> int | None:
    """What is left below the limit of a container (control groups version 2), files that it merely cached set aside."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit = (folder / "memory.max").read_text(encoding="ascii").strip()
        used = int((folder / "memory.current").read_text(encoding="ascii"))
        statistics = (folder / "memory.stat").read_text(encoding="ascii").split()
    except OSError:
        return None
    if limit == "max":
        return None
    cached = int(statistics[statistics.index("inactive_file") + 1])
    return max(0, int(limit) - used + cached)
