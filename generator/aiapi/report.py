"""Print for the user: progress and errors on stderr, the result on stdout; colours only on a terminal."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from aiapi.errors import AiapiError
from aiapi.interrupts import INTERRUPTED, LateInterrupt

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Screen:
    """Where a command prints: with `as_json` JSON on stdout, with `quiet` only warnings and errors."""

    as_json: bool = False
    quiet: bool = False

    def say(self, line: str = "", style: str = "") -> None:
        """Print a line of the result for people."""
        if not (self.quiet or self.as_json):
            _write(line, style, to_stderr=False)

    def warn(self, line: str) -> None:
        """Print a warning."""
        _write(f"Warning: {line}", "yellow", to_stderr=True)

    def result(self, data: dict[str, Any] | list[dict[str, Any]]) -> None:
        """Print the result for programs, if `--json` was given."""
        if self.as_json:
            sys.stdout.write(json.dumps(data, indent=2) + "\n")
            sys.stdout.flush()

    @contextmanager
    def working(self, what: str, *, animated: bool = True) -> Iterator[None]:
        """Show progress while the block runs: a spinner on a terminal, a line elsewhere."""
        if self.quiet:
            yield
        elif animated and _is_rich(to_stderr=True):
            from rich.console import Console  # noqa: PLC0415 - takes 60 ms, needed on a terminal only

            with Console(stderr=True).status(what):
                yield
        else:
            _write(f"{what} ...", "dim", to_stderr=True)
            yield

    @contextmanager
    def outcome(self) -> Iterator[None]:
        """Turn errors and interrupts in the block into a message and an exit code.

        Raises:
            typer.Exit: With the exit code of the error, or 130 after an interrupt.
        """
        try:
            yield
        except AiapiError as error:
            self.result({"ok": False, "error": _error_data(error)})
            _write(f"Error: {error.message}", "red", to_stderr=True)
            for problem in error.problems:
                _write(f"  - {problem}", "", to_stderr=True)
            if error.remedy:
                _write(error.remedy, "", to_stderr=True)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as interrupt:
            # Only a late interrupt has a message for the user, or none if the project was created: then its result is
            # printed already. Copier's interrupts carry its internal state.
            late = isinstance(interrupt, LateInterrupt)
            details = str(interrupt) if late else "nothing was left behind."
            message = f"Interrupted: {details}" if details else "Interrupted after the project was created."
            if details:
                self.result({"ok": False, "error": {"message": message, "remedy": "", "problems": []}})
            _write(message, "red", to_stderr=True)
            raise typer.Exit(INTERRUPTED) from interrupt


def _error_data(error: AiapiError) -> dict[str, Any]:
    return {"message": error.message, "remedy": error.remedy, "problems": list(error.problems)}


def _is_rich(*, to_stderr: bool) -> bool:
    """Tell whether to use colours and animation: only on a terminal, without NO_COLOR and TERM=dumb."""
    stream = sys.stderr if to_stderr else sys.stdout
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _write(line: str, style: str, *, to_stderr: bool) -> None:
    if style and _is_rich(to_stderr=to_stderr):
        from rich.console import Console  # noqa: PLC0415 - takes 60 ms, needed on a terminal only

        Console(stderr=to_stderr).print(line, style=style, markup=False, highlight=False, soft_wrap=True)
    else:
        typer.echo(line, err=to_stderr)
