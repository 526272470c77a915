"""What the whole service adds to a request: `uv run python tests/bench/bench_service.py`.

16 callers ask one process of the emitted service, with real PostgreSQL and Valkey, again as soon as they are answered:
authentication, limits, metrics and the log line are all there. In turn, round by round, they ask the same of a bare
FastAPI route that answers with an embedding it has ready, and of the service when it asks the database for every key.

A service is made from this clone, and its environment set up, first; `--project FOLDER` takes one that is there.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from bench_chat import make_project, run_inside


def main() -> int:
    """Make a service where none is given, and measure in it; further options are the measurement's own."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--project", type=Path, help="a service with its environment")
    given, options = parser.parse_known_args()
    script = [str(Path(__file__).resolve().with_name("service_requests.py")), *options]
    with tempfile.TemporaryDirectory() as scratch:
        project: Path = given.project or make_project(Path(scratch))
        status: int = run_inside(project.resolve(), script)
    return status


if __name__ == "__main__":
    sys.exit(main())
