"""Tests of reading the available memory on Linux."""

import platform
import resource
from pathlib import Path

import pytest

from app.inference.memory import available_bytes, trim_memory

NOWHERE = Path("/nowhere")


@pytest.fixture
def meminfo(tmp_path: Path) -> Path:
    path = tmp_path / "meminfo"
    path.write_text("MemTotal:  8000 kB\nMemAvailable:  2000 kB\n")
    return path


def container(folder: Path, limit: str, used: int, cached: int) -> Path:
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 7\ninactive_file {cached - 1}\nactive_file 1\n")
    return folder


def test_a_container_s_limit_counts_if_it_is_lower_and_its_cache_is_free(tmp_path: Path, meminfo: Path) -> None:
    assert available_bytes(container(tmp_path, "1000000", 900_000, 300_000), meminfo) == 400_000
    assert available_bytes(container(tmp_path, "90000000", 900_000, 1), meminfo) == 2_048_000


def test_a_container_that_is_over_its_limit_has_nothing_left(tmp_path: Path, meminfo: Path) -> None:
    assert available_bytes(container(tmp_path, "1000", 2000, 1), meminfo) == 0


def test_without_a_limit_it_is_the_machine_s(tmp_path: Path, meminfo: Path) -> None:
    assert available_bytes(container(tmp_path, "max", 1, 1), meminfo) == 2_048_000
    assert available_bytes(NOWHERE, meminfo) == 2_048_000


def test_a_system_that_does_not_tell_limits_nothing() -> None:
    assert available_bytes(NOWHERE, NOWHERE) is None


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep less")
def test_what_was_freed_is_given_back() -> None:
    blocks = [b"x" * 100_000 for _ in range(1000)]
    # Some stay allocated, so that the memory between them is not returned automatically.
    kept = blocks[::50]
    del blocks
    held = resident_bytes()
    trim_memory()
    assert resident_bytes() < held - 50_000_000
    assert len(kept) == 20
