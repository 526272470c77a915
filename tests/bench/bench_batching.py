# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "fastapi>=0.165", "matplotlib>=3.10", "numpy>=2.3", "onnx>=1.19", "onnxruntime>=1.31", "opentelemetry-api>=1.45",
#   "orjson>=3.13", "pillow>=12", "psutil>=7.2", "pydantic>=2.12", "sqlalchemy[asyncio]>=2.0.50", "structlog>=26.1",
#   "tokenizers>=0.23", "uvicorn[standard]>=0.54", "uvloop>=0.22", "websockets>=17",
# ]
#
# [tool.uv]
# exclude-newer = "2026-11-20T00:00:00Z"
# ///
"""What batching behind HTTP keeps of the bare model, and how it compares: `uv run tests/bench/bench_batching.py`.

Every number is a ratio of two things measured in turn, round by round, on the same cores; the models are made here. The
rivals come from the package index, each into an environment of its own.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "template/src"))

from app.inference.capacity import available_cores
from batching_answer import answer
from batching_overload import memory, overload, shutdown
from batching_page import keep, write_page
from batching_results import Effort, Row, table
from batching_rivals import rivals
from batching_stream import stream
from batching_throughput import mixed, single, throughput

ROOT = Path(__file__).resolve().parents[2]
PARTS = {
    "throughput": throughput,
    "rivals": rivals,
    "single": single,
    "overload": overload,
    "mixed": mixed,
    "memory": memory,
    "answer": answer,
    "stream": stream,
    "shutdown": shutdown,
}
MODELS = Effort().models
# So many threads for each core are more than the benchmark itself has: others are at work.
BUSY = 3.0


def main() -> int:
    """Measure what was named, or everything; 1 if an aim was missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="these measurements")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--quick", action="store_true", help="one short round: shows that it runs, no more")
    parser.add_argument("--rounds", type=int, default=Effort().rounds)
    parser.add_argument("--seconds", type=float, default=Effort().seconds, help="of each load")
    parser.add_argument("--folder", type=Path, help="keeps the models and the servers' logs")
    parser.add_argument("--write", action="store_true", help="put table and plots into docs/benchmarks.md")
    given = parser.parse_args()
    # The load must not stand still while garbage of this process is looked for.
    gc.disable()
    # Told to stop, it still ends the servers that it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    models = tuple(given.models)
    effort = Effort(1, 1.0, models) if given.quick else Effort(given.rounds, given.seconds, models)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = (given.folder or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for name in given.only:
            print(f"{name} …", file=sys.stderr, flush=True)
            load = os.getloadavg()[0]
            measured = PARTS[name](folder, effort)
            if load > BUSY * available_cores():
                measured.doubt(f"load average {load:.0f} before it began")
            rows += measured.rows
            if given.write:
                keep(ROOT / "docs/benchmarks", name, measured)
    print(table(rows))
    if given.write:
        write_page(ROOT / "docs/benchmarks.md", ROOT / "docs/benchmarks", list(PARTS))
    return int(any(row.met is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
