"""What the user reads: progress and errors on stderr, the result on stdout, plain where nobody watches."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from aiapi.errors import AiapiError
from aiapi.interrupts import LateInterrupt

if TYPE_CHECKING:
    from collections.abc import Iterator

INTERRUPTED = 130


@dataclass(frozen=True)
class Screen:
    """Where a command writes: with `as_json` one JSON object on stdout, with `quiet` nothing but problems."""

    as_json: bool = False
    quiet: bool = False

    def say(self, line: str = "", style: str = "") -> None:
        """Write a line of the result for people."""
        if not (self.quiet or self.as_json):
            _write(line, style, to_stderr=False)

    def warn(self, line: str) -> None:
        """Write a warning."""
        _write(f"Warning: {line}", "yellow", to_stderr=True)

    def result(self, data: dict[str, Any] | list[dict[str, Any]]) -> None:
        """Write the result for programs, where that was asked for."""
        if self.as_json:
            sys.stdout.write(json.dumps(data, indent=2) + "\n")
            sys.stdout.flush()

    @contextmanager
    def working(self, what: str, *, animated: bool = True) -> Iterator[None]:
        """Show that something takes a moment: a spinner on a terminal, a line elsewhere."""
        if self.quiet:
            yield
        elif animated and _is_rich(to_stderr=True):
            from rich.console import Console  # noqa: PLC0415 - 60 ms, only for people who watch

            with Console(stderr=True).status(what):
                yield
        else:
            _write(f"{what} ...", "dim", to_stderr=True)
            yield

    @contextmanager
    def outcome(self) -> Iterator[None]:
        """Turn errors and interrupts inside into a message and the right exit code.

        Raises:
            typer.Exit: With the code of the error, or 130 after an interrupt.
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
            late = isinstance(interrupt, LateInterrupt)
            # Copier's own interrupt carries its inner state.
            told = str(interrupt) if late else "nothing was left behind."
            message = f"Interrupted: {told or 'the project is made.'}"
            if told:
                self.result({"ok": False, "error": {"message": message, "remedy": "", "problems": []}})
            _write(message, "red", to_stderr=True)
            raise typer.Exit(INTERRUPTED) from interrupt


def _error_data(error: AiapiError) -> dict[str, Any]:
    return {"message": error.message, "remedy": error.remedy, "problems": list(error.problems)}


def _is_rich(*, to_stderr: bool) -> bool:
    """Colours and motion only on a terminal that wants them."""
    stream = sys.stderr if to_stderr else sys.stdout
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _write(line: str, style: str, *, to_stderr: bool) -> None:
    if style and _is_rich(to_stderr=to_stderr):
        from rich.console import Console  # noqa: PLC0415 - 60 ms, only for people who watch

        Console(stderr=to_stderr).print(line, style=style, markup=False, highlight=False, soft_wrap=True)
    else:
        typer.echo(line, err=to_stderr)
