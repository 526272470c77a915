"""The comparison of the chat benchmark, run by `bench_chat.py` in the environment of an emitted service."""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import uvloop
from chat_load import Read, Target, read_streams

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SERVERS = str(Path(__file__).with_name("chat_servers.py"))
SERVICE = ("-m", "uvicorn", "--factory", "app.main:create_app", "--no-access-log", "--port")
AIM = 0.6
PRICE = '{"input": 1, "output": 1}'
PRICED = {
    # Answers name the model `m`; asked for are the other two.
    "APP_USAGE__PRICES": f'{{"m": {PRICE}, "steady": {PRICE}, "paced-50": {PRICE}}}',
    "APP_USAGE__MONTHLY_BUDGET": "1000000",
}


@dataclass(frozen=True)
class Round:
    """What one target did in one round; `cost` is the processor time of its process in seconds."""

    read: Read
    cost: float

    @property
    def rate(self) -> float:
        """Tokens per second."""
        return self.read.arrived / self.read.seconds


@contextmanager
def server(*command: str, environment: dict[str, str] | None = None) -> Iterator[tuple[int, int]]:
    """Run a server whose last argument is its port; gives the process's id and that port once it listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, *command, str(port)], env={**os.environ, **(environment or {})}, stdout=log, stderr=log
        )
        try:
            while process.poll() is None:
                with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.1)
            else:
                log.seek(0)
                sys.exit(log.read().decode())
            yield process.pid, port
        finally:
            process.terminate()
            process.wait()


def operate(*arguments: str) -> str:
    """Run one of the operator's commands; gives what it prints."""
    command = [str(Path(sys.executable).with_name("app")), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def start(stack: ExitStack) -> list[Target]:
    """Start everything that is compared."""
    operate("migrate")
    key = operate("create-key", "--email", "bench@example.com").split()[-1]
    provider, port = stack.enter_context(server(SERVERS, "provider"))
    bare, bare_port = stack.enter_context(server(SERVERS, "bare"))
    names = ("steady", "paced-50")
    targets = [
        Target("provider, read directly", port, "/v1/chat/completions", provider, names),
        Target("bare FastAPI, its own SSE", bare_port, "/bare/chat/completions", bare, names),
        Target("bare FastAPI, ready bytes", bare_port, "/bytes/chat/completions", bare, names),
    ]
    model = {
        "APP_LANGUAGE_MODEL__PROVIDER": "openai",
        "APP_LANGUAGE_MODEL__MODEL": "steady",
        "APP_LANGUAGE_MODEL__BASE_URL": f"http://127.0.0.1:{port}/v1",
        "APP_LANGUAGE_MODEL__ALIASES__PACED": "openai:paced-50",
    }
    for name, more in (("the service", {}), ("the service, with a budget", PRICED)):
        pid, own_port = stack.enter_context(server(*SERVICE, environment=model | more))
        targets.append(Target(name, own_port, "/v1/chat/completions", pid, ("default", "paced"), key))
    return targets


def measure(target: Target, streams: int, *, paced: bool) -> Round:
    """Read so many streams from a target."""
    process = psutil.Process(target.pid)
    before = sum(process.cpu_times()[:2])
    read = uvloop.run(read_streams(target, streams, paced=paced))
    return Round(read, sum(process.cpu_times()[:2]) - before)


def report(title: str, targets: Sequence[Target], rounds: Sequence[Sequence[Round]]) -> float:
    """Print a table; returns the service's share of the tokens per second of FastAPI's own event stream."""
    columns = list(zip(*rounds, strict=True))
    direct, bare, *_ = columns
    print(f"\n{title}: median of {len(rounds)} rounds; first tokens of all of them", flush=True)
    heads = ("tokens/s", "of direct", "of bare", "us/token", "first p50", "p99", "added p50", "p99", "errors", "lost")
    print(f"{'':<26} " + " ".join(f"{head:>9}" for head in heads))
    shares = {}
    for target, column in zip(targets, columns, strict=True):
        rate = statistics.median(each.rate for each in column)
        shares[target.name] = [_ratio(column, direct), _ratio(column, bare)]
        cost = statistics.median(each.cost / max(each.read.arrived, 1) for each in column) * 1e6
        firsts, added = (
            _firsts(column),
            [own - theirs for own, theirs in zip(_firsts(column), _firsts(direct), strict=True)],
        )
        waits = " ".join(f"{wait * 1000:>6.0f} ms" for wait in (*firsts, *added))
        faults = f"{sum(each.read.errors for each in column):>9} {sum(each.read.lost for each in column):>9}"
        ratios = " ".join(f"{share:>9.2f}" for share in shares[target.name])
        print(f"{target.name:<26} {rate:>9.0f} {ratios} {cost:>9.0f} {waits} {faults}")
    return shares["the service"][1]


def _ratio(column: Sequence[Round], other: Sequence[Round]) -> float:
    return statistics.median(own.rate / theirs.rate for own, theirs in zip(column, other, strict=True))


def _firsts(column: Sequence[Round]) -> tuple[float, float]:
    firsts = sorted(first for each in column for first in each.read.firsts) or [float("nan")]
    return firsts[len(firsts) // 2], firsts[int(len(firsts) * 0.99)]


def main() -> int:
    """Compare and print; 1 when something failed or was lost, or the aim is missed."""
    parser = argparse.ArgumentParser(prog="bench_chat.py")
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with ExitStack() as stack:
        targets = start(stack)
        for target in targets:
            measure(target, 20, paced=False)  # warms up
        fast = [[measure(target, given.streams, paced=False) for target in targets] for _ in range(given.rounds)]
        share = report(f"{given.streams} streams of 200 tokens, as fast as they are read", targets, fast)
        slow = [[measure(target, given.streams, paced=True) for target in targets] for _ in range(given.rounds // 2)]
    if slow:
        report(f"{given.streams} streams of 200 tokens, one every 50 ms", targets, slow)
    faults = sum(each.read.errors + each.read.lost for every in (*fast, *slow) for each in every)
    print(f"\n{share:.2f} of the tokens per second of a bare FastAPI event stream, aim {AIM}; {faults} faults")
    return int(faults > 0 or share < AIM)


if __name__ == "__main__":
    sys.exit(main())
