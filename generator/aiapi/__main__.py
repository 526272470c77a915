"""The entry point of `aiapi` and of `python -m aiapi`."""

from __future__ import annotations

import io
import os
import signal
import sys

from aiapi.interrupts import INTERRUPTED


def main() -> None:
    """Run the command line; Ctrl-C ends it with exit code 130, even while it loads."""
    if os.name == "nt":
        sys.exit(
            "Error: aiapi needs Linux or macOS; on Windows, run it in WSL: https://learn.microsoft.com/windows/wsl"
        )
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a character that the terminal lacks must not end an update
            stream.reconfigure(errors="backslashreplace")
    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.default_int_handler:  # a background job ignores SIGINT, and must go on ignoring it
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    from aiapi.cli import app  # noqa: PLC0415 - after the handler is set

    signal.signal(signal.SIGINT, usual)
    try:
        app(prog_name="aiapi")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
