"""Starts child processes, waits for them and stops them in order."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from devstack.errors import ChildDiedError, DevstackError, StopRequested
from devstack.leftovers import MARKER

_GUARD = Path(__file__).with_name("guard.py")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_POLL_SECONDS = 0.03
_TAIL_LINES = 20
_COMMAND_GRACE_SECONDS = 5.0
_ONE_KEYSTROKE_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Child:
    """A process that should run until the stack stops."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    stop_signal: signal.Signals
    grace_seconds: float


class Processes:
    """The child processes of one run; leaving the context stops them, newest first.

    Signals are only recorded, and every wait checks for them, so a Ctrl-C cannot come between starting a process and
    registering it. Use it from the main thread, because children are signalled when the thread that started them ends.
    """

    def __init__(self, folder: Path) -> None:
        """Write logs to `folder`/logs, and mark every child as belonging to `folder`."""
        self.folder = folder
        self.children: list[Child] = []
        self._signals: list[int] = []
        self._last_signal = -_ONE_KEYSTROKE_SECONDS
        self._former_handlers: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        """Install handlers for the stop signals."""
        (self.folder / "logs").mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in _SIGNALS:
            former = signal.getsignal(number)
            if number is signal.SIGHUP and former is signal.SIG_IGN:
                continue  # Started under nohup: the user wants it to outlive the terminal.
            self._former_handlers[number] = former
            signal.signal(number, self._note_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop every child, newest first, and restore the signal handlers."""
        while self.children:
            self._stop(self.children.pop())
        for number, former in self._former_handlers.items():
            signal.signal(number, former)  # type: ignore[arg-type]  # it came from getsignal

    def start(  # noqa: PLR0913 - options of one process
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        identity: Sequence[str] = (),
        stop_signal: signal.Signals = signal.SIGTERM,
        grace_seconds: float = 10.0,
        capture: bool = False,
    ) -> Child:
        """Start a process that should keep running.

        Args:
            name: Display name, also of its log.
            command: Program and arguments.
            environment: Its complete environment; by default, that of this process.
            folder: Its current directory.
            identity: Options for the guard that change which user it runs as.
            stop_signal: The signal that stops it, also sent if this process is killed.
            grace_seconds: How long it may take to stop before it is killed.
            capture: Write its standard output to a pipe, which holds 64 KiB, instead of the log.
        """
        log = self.folder / "logs" / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - the stack's own commands, without a shell
                guarded(command, stop_signal, identity),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if capture else output,
                stderr=output,
                cwd=folder,
                env=clean_environment(environment) | {MARKER: str(self.folder)},
                start_new_session=True,
            )
        child = Child(name, process, log, stop_signal, grace_seconds)
        self.children.append(child)
        return child

    def check(self) -> None:
        """Check that no stop was requested and that all children are running.

        Raises:
            StopRequested: A stop signal has arrived.
            ChildDiedError: A child has ended; the message has the end of its log.
        """
        if self._signals:
            raise StopRequested(self._signals[0])
        for child in self.children:
            status = child.process.poll()
            if status is not None:
                raise ChildDiedError(f"{child.name} stopped ({describe_exit(status)}). {tail(child.log)}")

    def wait_until(
        self,
        what: str,
        ready: Callable[[], bool],
        *,
        timeout_seconds: float = 30.0,
        poll_seconds: float = _POLL_SECONDS,
    ) -> None:
        """Wait until `ready` returns True.

        Raises:
            StopRequested: A stop signal has arrived.
            ChildDiedError: A child ended meanwhile.
            DevstackError: It took longer than `timeout_seconds`.
        """
        deadline = time.monotonic() + timeout_seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                logs = self.folder / "logs"
                raise DevstackError(f"{what} was not ready within {timeout_seconds:.0f} seconds. Look into {logs}.")
            time.sleep(poll_seconds)

    def complete(  # noqa: PLR0913 - options of one process
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        identity: Sequence[str] = (),
        timeout_seconds: float = 120.0,
        capture: bool = False,
    ) -> str:
        """Run a process to completion; `capture` returns its standard output instead of logging it.

        Raises:
            StopRequested: A stop signal has arrived; the process is stopped.
            DevstackError: It failed, or took longer than `timeout_seconds`.
        """
        child = self.start(
            name,
            command,
            environment=environment,
            identity=identity,
            grace_seconds=_COMMAND_GRACE_SECONDS,
            capture=capture,
        )
        self.children.remove(child)
        try:
            self.wait_until(name, lambda: child.process.poll() is not None, timeout_seconds=timeout_seconds)
        finally:
            output = self._stop(child)
        if child.process.returncode != 0:
            raise DevstackError(f"{name} failed ({describe_exit(child.process.returncode)}). {tail(child.log)}")
        return output

    def foreground(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """Run the user's own command on this terminal and return its exit status, 128 + n after signal n."""
        wrapped = guarded(command, signal.SIGTERM)
        process = subprocess.Popen(wrapped, env=clean_environment(environment))  # noqa: S603 - the user's own command
        forwarded = 0
        while process.poll() is None:
            for number in self._signals[forwarded:]:
                # A terminal sends Ctrl-C to the command itself; forwarding it would count as a second one.
                if number != signal.SIGINT or not sys.stdin.isatty():
                    process.send_signal(number)
            forwarded = len(self._signals)
            time.sleep(_POLL_SECONDS)
        return process.returncode if process.returncode >= 0 else 128 - process.returncode

    def _note_signal(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        # One Ctrl-C can arrive twice: from the terminal, and from a task runner that forwards it.
        if now - self._last_signal > _ONE_KEYSTROKE_SECONDS:
            self._signals.append(number)
        self._last_signal = now

    def _stop(self, child: Child) -> str:
        """Signal the child to stop, wait, kill the rest of its process group, and return its captured output."""
        seen = len(self._signals)
        if child.process.poll() is None:
            child.process.send_signal(child.stop_signal)
        deadline = time.monotonic() + child.grace_seconds
        # A second Ctrl-C while stopping ends the grace period.
        while child.process.poll() is None and time.monotonic() < deadline and len(self._signals) <= max(seen, 1):
            time.sleep(_POLL_SECONDS)
        # The group may be empty; macOS reports that with PermissionError.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.process.pid, signal.SIGKILL)
        output, _ = child.process.communicate()
        return (output or b"").decode(errors="replace")


def clean_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for a child, without PYTHONDONTWRITEBYTECODE, which slows down every start."""
    chosen = dict(os.environ if environment is None else environment)
    chosen.pop("PYTHONDONTWRITEBYTECODE", None)
    return chosen


def describe_exit(status: int) -> str:
    """Describe how a process ended; `status` is negative after a signal."""
    return f"exit status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"


def tail(log: Path) -> str:
    """Return the last lines of a log, after its path."""
    lines = log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
    return f"The end of {log}:\n" + "\n".join(f"  {line}" for line in lines or ["(empty)"])


def guarded(
    command: Sequence[str | Path], stop_signal: signal.Signals = signal.SIGTERM, identity: Sequence[str] = ()
) -> list[str]:
    """Return `command` wrapped by the guard, so that it ends when this process does."""
    guard = [sys.executable, "-I", "-S", str(_GUARD), "--parent", str(os.getpid()), "--signal", str(int(stop_signal))]
    return [*guard, *identity, "--", *map(str, command)]
