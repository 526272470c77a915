"""Finds and stops processes that a killed run left behind."""

import os
import signal
from pathlib import Path

import psutil

MARKER = "DEVSTACK_FOLDER"
"""Environment variable with the state folder that a process belongs to."""

_GRACE_SECONDS = 10.0


def stop_leftovers(folder: Path) -> None:
    """Stop all processes of an earlier run; call it only while holding the folder's lock.

    They are recognised by a variable in their environment: unlike a process id, it cannot belong to another process.
    """
    found = [process for process in psutil.process_iter() if _belongs_to(process, folder)]
    for process in found:
        try:
            process.send_signal(signal.SIGINT if process.name().startswith("postgres") else signal.SIGTERM)
        except psutil.Error:
            continue
    _, alive = psutil.wait_procs(found, timeout=_GRACE_SECONDS)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=_GRACE_SECONDS)


def _belongs_to(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.pid != os.getpid() and process.environ().get(MARKER) == str(folder)
    except (psutil.Error, OSError):
        return False
