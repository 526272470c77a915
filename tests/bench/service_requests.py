"""The measurement of the service benchmark, run by `bench_service.py` in the environment of an emitted service."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from batching_load import Tally, closed_loop
from chat_compare import SERVICE, operate, server
from fastapi import FastAPI
from pydantic import BaseModel

CALLERS = 16
TEXT = "How long is the warranty?"
EMBEDDING = {"model": "static-minilm", "input": TEXT, "encoding_format": "base64"}
REQUESTS: dict[str, tuple[str, str, Any]] = {
    "a probe": ("GET", "/health/live", None),
    "a list": ("GET", "/v1/models", None),
    "an embedding": ("POST", "/v1/embeddings", EMBEDDING),
    "a search": ("POST", "/v1/search", {"query": TEXT}),
}
BARE = "bare FastAPI, an embedding it has ready"
ASKING = "the database asked for every key"


class Asked(BaseModel):
    """A text to embed."""

    model: str
    input: str
    encoding_format: str


class Given(BaseModel):
    """As many characters as an embedding of 256 numbers has."""

    embedding: str


def make_bare() -> FastAPI:
    """Make the route that everything is compared with."""
    app = FastAPI()

    async def bare(_: Asked) -> Given:
        return Given(embedding="A" * 1368)

    # Annotations are texts in this module, which FastAPI would look up in vain.
    bare.__annotations__ |= {"_": Asked, "return": Given}
    app.add_api_route("/v1/embeddings", bare, methods=["POST"])
    return app


@dataclass(frozen=True)
class Target:
    """A request to a server, told by the process that answers it."""

    name: str
    pid: int
    port: int
    raw: bytes

    def measure(self, seconds: float) -> Round:
        """Ask for so long, after a warm-up of a fifth."""
        process = psutil.Process(self.pid)
        before = sum(process.cpu_times()[:2])
        rate, tally = closed_loop(self.port, [self.raw], CALLERS, seconds)
        return Round(rate, (sum(process.cpu_times()[:2]) - before) / (1.2 * seconds), tally)


@dataclass(frozen=True)
class Round:
    """What one target did in one round; `busy` is the share of a core that its process took."""

    rate: float
    busy: float
    tally: Tally


def raw(method: str, path: str, body: object, key: str) -> bytes:
    """Write a request once, to be sent many times."""
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content


def start(stack: ExitStack) -> list[Target]:
    """Start everything that is compared."""
    operate("migrate")
    key = operate("create-key", "--email", "bench@example.com").split()[-1]
    factory = ("--app-dir", str(Path(__file__).parent), "--factory", "service_requests:make_bare")
    bare = stack.enter_context(server("-m", "uvicorn", *factory, "--no-access-log", "--port"))
    service = stack.enter_context(server(*SERVICE))
    asking = stack.enter_context(server(*SERVICE, environment={"APP_AUTH__CACHE_SECONDS": "0"}))
    targets = [Target(BARE, *bare, raw(*REQUESTS["an embedding"], key))]
    for name, request in REQUESTS.items():
        targets.append(Target(name, *service, raw(*request, key)))
        if name != "a probe":
            targets.append(Target(f"{name}, {ASKING}", *asking, raw(*request, key)))
    return targets


def report(targets: list[Target], rounds: list[list[Round]]) -> int:
    """Print a table; gives how many requests failed."""
    columns = list(zip(*rounds, strict=True))
    print(f"{CALLERS} callers, median of {len(rounds)} rounds")
    print(f"{'':<46} {'of bare':>8} {'requests/s':>11} {'us/request':>11} {'p50':>8} {'failed':>7}")
    for target, column in zip(targets, columns, strict=True):
        share = statistics.median(own.rate / bare.rate for own, bare in zip(column, columns[0], strict=True))
        rate = statistics.median(each.rate for each in column)
        cost = statistics.median(each.busy / max(each.rate, 1) for each in column) * 1e6
        middle = statistics.median(wait for each in column for wait in each.tally.served) * 1000
        failed = sum(each.tally.lost + len(each.tally.refused) for each in column)
        print(f"{target.name:<46} {share:>8.2f} {rate:>11.0f} {cost:>11.0f} {middle:>5.1f} ms {failed:>7}")
    return sum(each.tally.lost + len(each.tally.refused) for column in columns for each in column)


def main() -> int:
    """Compare and print; 1 when a request failed."""
    parser = argparse.ArgumentParser(prog="bench_service.py")
    parser.add_argument("--seconds", type=float, default=4.0, help="for each request in each round")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with ExitStack() as stack:
        targets = start(stack)
        for target in targets:
            target.measure(0.5)  # warms up
        rounds = [[target.measure(given.seconds) for target in targets] for _ in range(given.rounds)]
    return int(report(targets, rounds) > 0)


if __name__ == "__main__":
    sys.exit(main())
