"""How long one body of JSON blocks a process, with and without the limit on values: `python tests/bench/bench_json.py`.

Parsing JSON holds the interpreter's lock, so nobody else is served meanwhile. Each row is the time that Python takes to
parse the longest body of a kind that may be sent, as a multiple of the time for 10 MB of one text, in one run.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
MOST_BYTES = 10_000_000
KINDS: dict[str, Callable[[int], str]] = {
    "numbers": lambda n: "[" + ",".join(["1"] * n) + "]",
    "empty lists": lambda n: "[" + ",".join(["[]"] * n) + "]",
    "short texts": lambda n: "[" + ",".join(['"a"'] * n) + "]",
    "names": lambda n: "{" + ",".join(f'"{each:07d}":1' for each in range(n)) + "}",
}


def most_marks() -> int:
    """Read the service's own limit."""
    tokens = re.search(r"^MAX_TOTAL_TOKENS = ([\d_]+)", read("inference/token_input.py"), re.MULTILINE)
    marks = re.search(r"^MOST_MARKS = MAX_TOTAL_TOKENS \+ ([\d_]+)", read("json_limits.py"), re.MULTILINE)
    assert tokens
    assert marks
    return int(tokens[1]) + int(marks[1])


def read(path: str) -> str:
    """Return the text of a module of the service."""
    return (ROOT / "template/src/app" / path).read_text()


def longest(build: Callable[[int], str], marks: float) -> str:
    """Return the longest body of a kind within both limits, to a hundredth."""
    number = 1
    while True:
        larger = build(number + max(1, number // 100))
        counted = sum(larger.count(mark) for mark in ",[{::")
        if len(larger) > MOST_BYTES or counted > marks:
            return build(number)
        number += max(1, number // 100)


def seconds(body: str, rounds: int) -> float:
    """Return the median time to parse a body."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        json.loads(body)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> int:
    """Measure and print the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    text = seconds(json.dumps("a" * (MOST_BYTES - 2)), rounds)
    print(f"{'kind':<12} {'10 MB':>12} {'limited':>12}   (10 MB of one text is 1, {text * 1000:.0f} ms)")
    for kind, build in KINDS.items():
        free, limited = (seconds(longest(build, marks), rounds) for marks in (float("inf"), most_marks()))
        print(f"{kind:<12} {free / text:>12.0f} {limited / text:>12.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
