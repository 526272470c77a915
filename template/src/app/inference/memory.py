"""How much memory is left for models, and giving back what they leave behind."""

import ctypes
import re
from contextlib import suppress
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
MEMINFO = Path("/proc/meminfo")


def available_bytes(cgroup: Path = CGROUP, meminfo: Path = MEMINFO) -> int | None:
    """Return the bytes that this process could still take: of the machine, or of its container if that has fewer.

    None where the system does not tell.
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
    # What was read of files is counted as used, but makes way.
    cached = sum(map(int, re.findall(r"^(?:in)?active_file (\d+)", statistics, re.MULTILINE)))
    return max(0, limit - used + cached)


def give_back() -> None:
    """Return to the system what glibc keeps of freed memory: loading a model leaves several times its size behind.

    Other C libraries keep less, and offer no such call; then nothing happens.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
