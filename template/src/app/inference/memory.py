"""Memory available to the process, and returning freed memory to the system."""

import ctypes
import re
from contextlib import suppress
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
MEMINFO = Path("/proc/meminfo")


def available_bytes(cgroup: Path = CGROUP, meminfo: Path = MEMINFO) -> int | None:
    """Return the bytes still available to this process, the lower of the machine's and the container's.

    None if the system reports neither.
    """
    known = [each for each in (_of_container(cgroup), _of_machine(meminfo)) if each is not None]
    return min(known, default=None)


def _of_machine(meminfo: Path) -> int | None:
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo.read_text(), re.MULTILINE)
    except OSError:  # not Linux
        return None
    return int(found[1]) * 1024 if found else None


def _of_container(cgroup: Path) -> int | None:
    try:
        limit = int((cgroup / "memory.max").read_text())
        used = int((cgroup / "memory.current").read_text())
        statistics = (cgroup / "memory.stat").read_text()
    except (OSError, ValueError):  # no control group, or "max"
        return None
    # The page cache counts as used, but can be reclaimed.
    cached = sum(map(int, re.findall(r"^(?:in)?active_file (\d+)", statistics, re.MULTILINE)))
    return max(0, limit - used + cached)


def trim_memory() -> None:
    """Return freed memory that glibc holds to the system: loading a model leaves several times its size behind.

    Does nothing with other C libraries, which hold less and have no such call.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
