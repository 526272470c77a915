"""The command line of the development stack: `python -m devstack dev` and `python -m devstack run -- COMMAND`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from devstack import dev, stack
from devstack.errors import DevstackError, FolderInUseError, StopRequested
from devstack.processes import Processes
from devstack.state import locked, throw_away


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command in the current directory and return the exit status."""
    options = _parser().parse_args(arguments)
    root = Path.cwd()
    try:
        if options.action == "dev":
            _require_project(root)
            dev.serve(root, port=options.port, reload=options.reload, once=options.once)
            return 0
        command = _command(options.command)
        return _run_tests(root, command) if options.tests else _run(root, command)
    except DevstackError as error:
        Console(stderr=True, highlight=False).print(str(error), style="red", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:  # before the stack installs its signal handlers
        return 130
    except StopRequested as stop:
        return 128 + stop.signal_number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m devstack", description="The service and its servers, here.")
    actions = parser.add_subparsers(dest="action", required=True)
    serve = actions.add_parser("dev", help="run the whole service until Ctrl-C")
    serve.add_argument("--port", type=int, default=8000, help="where the API listens (default: 8000)")
    serve.add_argument("--no-reload", dest="reload", action="store_false", help="do not watch src for changes")
    serve.add_argument("--once", action="store_true", help="stop as soon as it is ready: a check that it starts")
    run = actions.add_parser("run", help="run a command with the servers")
    run.add_argument("--tests", action="store_true", help="with empty servers that are thrown away afterwards")
    run.add_argument("command", nargs=argparse.REMAINDER, help="-- and the command")
    return parser


def _require_project(root: Path) -> None:
    if not (root / "src" / "app").is_dir():
        raise DevstackError(f"{root} holds no src/app. Run this in the project's folder.")


def _command(words: list[str]) -> list[str]:
    command = words[1:] if words[:1] == ["--"] else words
    if not command:
        raise DevstackError("Nothing to run. Write the command at the end: python -m devstack run -- COMMAND")
    return command


def _run(root: Path, command: Sequence[str]) -> int:
    """Run the command with this project's servers, or with those of a running `dev`."""
    folder = root / ".dev"
    try:
        with locked(folder), Processes(folder) as processes:
            stack.withdraw(folder)
            return processes.foreground(command, stack.start(processes, durable=True))
    except FolderInUseError:
        environment = stack.join(folder)
        if environment is None:
            raise
    with Processes(folder) as processes:
        return processes.foreground(command, environment)


def _run_tests(root: Path, command: Sequence[str]) -> int:
    with throw_away(root / ".dev" / "tests") as folder, Processes(folder) as processes:
        # Tests must not read the developer's environment file.
        return processes.foreground(command, stack.start(processes, durable=False) | {"APP_ENV_FILE": ""})


if __name__ == "__main__":
    sys.exit(main())
