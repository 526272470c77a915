"""What the door to the language models costs: `uv run python tests/bench/bench_chat.py`.

200 streams of 200 tokens at once go through `/v1/chat/completions` of one process of the emitted service, with real
PostgreSQL and Valkey, to a provider in a process of its own. In turn, round by round, the same streams are read from
the provider itself, and from a bare FastAPI endpoint that has the same generator in its own process. A second pass
has a pause before every token, as models have.

`bench_chat.py faults` prints what callers get, how soon and what is recorded when the provider fails instead.

A service is made from this clone, and its environment set up, first; `--project FOLDER` takes one that is there.

Where the processor's time went before anything was done about it, in microseconds of a busy machine: of 209 for a
token, 77 to OpenAI's library, which builds its models of every chunk, 77 to pydantic-ai, 33 to reading ahead and
writing, 22 to all other layers together; and of a call, 2800 to find its key, 5300 to admit it, 3600 to record it and
3100 to both libraries. So chunks that wait together are read as one, and no row is written for a call where no money is
at stake. Metering, guardrails, failover and the cap were left alone: together they take less than one parsed chunk.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench_command import AIAPI, commit_checkout

SCRIPTS = {"load": "chat_compare.py", "faults": "chat_faults.py"}


def make_project(folder: Path) -> Path:
    """Make a service from this clone's working tree."""
    checkout = folder / "checkout"
    checkout.mkdir()
    commit_checkout(checkout)
    environment = {**os.environ, "PYTHONPATH": str(checkout / "generator")}
    subprocess.run([AIAPI, "new", "service", "--defaults", "--quiet"], cwd=folder, env=environment, check=True)
    return folder / "service"


def run_inside(project: Path, script: list[str]) -> int:
    """Run a script in the environment of a service, with its servers; gives the exit status."""
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    command = ["uv", "run", "python", "-m", "devstack", "run", "--tests", "--", "python", *script]
    return subprocess.run(command, cwd=project, env=environment, check=False).returncode


def main() -> int:
    """Make a service where none is given, and run what is wanted in it; further options are its own."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", nargs="?", choices=SCRIPTS, default="load")
    parser.add_argument("--project", type=Path, help="a service with its environment")
    given, options = parser.parse_known_args()
    script = [str(Path(__file__).resolve().with_name(SCRIPTS[given.what])), *options]
    if given.project:
        return run_inside(given.project.resolve(), script)
    with tempfile.TemporaryDirectory() as scratch:
        return run_inside(make_project(Path(scratch)), script)


if __name__ == "__main__":
    sys.exit(main())
