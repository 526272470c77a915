"""The state folder with a project's development data: its lock, secrets and ports."""

import fcntl
import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

from devstack.errors import DevstackError, FolderInUseError
from devstack.leftovers import stop_leftovers

HOST = "127.0.0.1"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock the folder, creating it if needed, and stop processes that a killed run left behind.

    Raises:
        FolderInUseError: Another run has locked it.
    """
    # Others may enter but not list it: the database may have to run as another user.
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            raise FolderInUseError(
                f"This project's stack is running already (process {owner}). Stop it with Ctrl-C in its terminal, "
                f"or with: kill {owner}"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        stop_leftovers(folder)
        yield


@contextmanager
def throw_away(parent: Path) -> Iterator[Path]:
    """Create and lock a temporary folder in `parent`, deleted at the end; delete those of killed runs first."""
    parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    with ExitStack() as owned:
        with parent.with_suffix(".lock").open("a") as gate:
            # Otherwise another run could delete the new folder before it is locked.
            fcntl.flock(gate, fcntl.LOCK_EX)
            _delete_abandoned(parent)
            folder = Path(mkdtemp(dir=parent))
            owned.enter_context(locked(folder))
        folder.chmod(0o711)
        owned.callback(shutil.rmtree, folder, ignore_errors=True)
        yield folder


def _delete_abandoned(parent: Path) -> None:
    for folder in parent.iterdir():
        with suppress(FolderInUseError, OSError), locked(folder):
            shutil.rmtree(folder, ignore_errors=True)


def write_secret(path: Path, text: str) -> None:
    """Write a file atomically, readable only by its owner."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    unfinished.replace(path)


def lasting_secret(path: Path) -> str:
    """Return the random secret in the file, which the first call creates."""
    if not path.exists():
        write_secret(path, secrets.token_urlsafe(32))
    return path.read_text()


def lasting_port(folder: Path, name: str) -> int:
    """Return a free port for a server, the same as last time if it is still free."""
    remembered = folder / f"{name}.port"
    if remembered.exists():
        port = int(remembered.read_text())
        if is_free(port):
            return port
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    remembered.write_text(str(port))
    return int(port)


def is_free(port: int) -> bool:
    """Return whether a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def require_free(port: int) -> None:
    """Check that the port is free.

    Raises:
        DevstackError: Another program listens on it.
    """
    if not is_free(port):
        raise DevstackError(f"Port {port} is taken by another program. Choose another one: --port {port + 1}")
