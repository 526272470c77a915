r"""What batching behind HTTP keeps of the bare model.

    PYTHONPATH=template/src uv run --no-project --with-requirements tests/bench/batching-requirements.txt \
        python tests/bench/bench_batching.py

Every number is a ratio of two things measured in turn, round by round, on the same cores; the models are made here.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import batching_load as load
from app.inference.batching import open_batcher
from app.inference.capacity import available_cores
from app.inference.latency_curve import measure_curve
from batching_work import ROWS, work_named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CALLERS = 64
PORT = 8577
SERVER = Path(__file__).with_name("batching_server.py")
TARGETS = {"compute": 0.85, "weight": 0.70, "encoder": 0.85, "device": 0.95}
BUDGETS = (64, 128, 256, 512, 1024, 4096)


@contextmanager
def server(name: str, folder: Path, deadline: float) -> Iterator[subprocess.Popen[str]]:
    """Run the server of a model until the block ends."""
    command = [sys.executable, str(SERVER), name, str(folder), str(PORT), str(deadline)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    print("  " + process.stdout.readline().strip())
    wait_until_served()
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def wait_until_served() -> None:
    """Return when the server accepts connections."""

    async def connect() -> None:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", PORT)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return

    asyncio.run(connect())


def spend(batches: list[Any], run: Callable[[Any], Any], lanes: int, seconds: float) -> float:
    """Run batches over and over on so many lanes; gives rows per second."""
    end = time.perf_counter() + seconds

    def lane(first: int) -> float:
        rows, at, begun = 0, first, time.perf_counter()
        while time.perf_counter() < end:
            batch = batches[at % len(batches)]
            run(batch)
            rows += len(batch)
            at += lanes
        return rows / (time.perf_counter() - begun)

    with ThreadPoolExecutor(lanes) as pool:
        return sum(pool.map(lane, range(lanes)))


def packed(texts: list[Any], budget: int) -> list[list[Any]]:
    """Pack texts, sorted by length, into batches of so many padded tokens: what a bare loop could do at best."""
    batches: list[list[Any]] = [[]]
    for text in sorted(texts, key=len):
        if batches[-1] and (len(batches[-1]) >= ROWS or len(text) * (len(batches[-1]) + 1) > budget):
            batches.append([])
        batches[-1].append(text)
    # A slice of time sees some of the batches: short and long ones alike.
    random.Random(5).shuffle(batches)  # noqa: S311 - an order, no secret
    return batches


def bare_ways(name: str, work: Any) -> dict[str, Callable[[float], float]]:  # noqa: ANN401
    """Name every way to run the bare model that is tried, each giving rows per second."""
    ways: dict[str, Callable[[float], float]] = {}
    cores = available_cores()
    for lanes, threads in [(1, cores)] if name == "device" else [(1, cores), (cores, 1)]:
        session = work.open(threads, False)  # noqa: FBT003
        run = lambda batch, session=session: work.run(session, batch)  # noqa: E731
        for size in BUDGETS if name == "encoder" else (4, 16, 32, 64):
            batches = packed(work.payloads, size) if name == "encoder" else [work.payloads[:1] * size]
            ways[f"{lanes}x{threads} {size}"] = lambda seconds, b=batches, r=run, n=lanes: spend(b, r, n, seconds)
    return ways


def throughput(name: str, folder: Path, rounds: int) -> float:
    """Compare 64 callers with the best way to run the bare model, in turn; gives the median ratio."""
    work = work_named(name, folder)
    ways = bare_ways(name, work)
    found = {way: statistics.median(run(0.4) for _ in range(3)) for way, run in ways.items()}
    best = sorted(found, key=found.__getitem__)[-2:]
    raw = [load.request("/run", payload) for payload in work.payloads]
    ratios, rates, waits = [], [], []
    with server(name, folder, 10.0):
        for _ in range(rounds):
            before = max(ways[way](1.0) for way in best)
            rate, tally = asyncio.run(load.closed_loop(PORT, raw, CALLERS, 2.0))
            after = max(ways[way](1.0) for way in best)
            ratios.append(rate / max(before, after))
            rates.append(rate)
            waits += tally.served
    print(
        f"{name}: {statistics.median(rates):.0f}/s with {CALLERS} callers, p99 {quantile(waits, 0.99) * 1000:.0f} ms;"
    )
    print(f"  share of bare onnxruntime ({best[-1]}) {statistics.median(ratios):.2f}, target {TARGETS[name]}")
    return statistics.median(ratios)


def single(name: str, folder: Path, rounds: int) -> None:
    """Compare one caller with a bare run plus a bare JSON round trip."""
    work = work_named(name, folder)
    session = work.open(available_cores(), False)  # noqa: FBT003
    raw, bare = (load.request(path, work.payloads[0]) for path in ("/run", "/bare"))
    ratios = []
    with server(name, folder, 10.0):
        for _ in range(rounds):
            runs = []
            for _ in range(50):
                begun = time.perf_counter()
                work.run(session, work.payloads[:1])
                runs.append(time.perf_counter() - begun)
            _, trips = asyncio.run(load.closed_loop(PORT, [bare], 1, 0.5))
            _, tally = asyncio.run(load.closed_loop(PORT, [raw], 1, 1.5))
            parts = statistics.median(runs) + statistics.median(trips.served)
            ratios.append(statistics.median(tally.served) / parts)
    print(f"{name}: one caller, p50 over bare run and round trip {statistics.median(ratios):.2f}, target 1.15")


def overload(name: str, folder: Path) -> None:
    """Send twice what can be done, whatever comes back."""
    work, deadline = work_named(name, folder), 1.0
    raw = [load.request("/run", payload) for payload in work.payloads]
    with server(name, folder, 0.9 * deadline):
        before, _ = asyncio.run(load.closed_loop(PORT, raw, CALLERS, 3.0))
        seconds = 6.0
        tally = asyncio.run(load.open_loop(PORT, raw, 2 * before, seconds))
        after, _ = asyncio.run(load.closed_loop(PORT, raw, CALLERS, 3.0))
    inside = sum(taken <= deadline for taken in tally.served) / seconds
    print(f"{name}: at twice the capacity of {before:.0f}/s (afterwards {after:.0f}/s), inside {deadline:.0f} s: ")
    print(f"  {inside:.0f}/s, {inside / statistics.mean((before, after)):.2f} of it, target 0.95;", end=" ")
    print(f"late {sum(taken > deadline for taken in tally.served)}, refused {len(tally.refused)}", end=" ")
    print(f"in {quantile(tally.refused, 0.99) * 1000:.0f} ms at p99, target 50; lost {tally.lost}")


async def mixed(folder: Path, rounds: int) -> None:
    """Compare batches of like length with no batching and with batches of 32 as they come, without HTTP."""
    work = work_named("encoder", folder)
    session, texts = work.open(available_cores(), False), work.payloads[:256]  # noqa: FBT003
    run = lambda batch: work.run(session, batch)  # noqa: E731
    curve = await asyncio.to_thread(
        measure_curve, [lambda n: work.workload.probe(session, n)], work.workload.sizes, seconds=3
    )
    over_single, over_fifo = [], []
    for _ in range(rounds):
        begun = time.perf_counter()
        async with open_batcher("mixed", [run], curve, rows=ROWS, grace=5) as batcher:

            async def call(first: int, batcher: Any = batcher) -> None:  # noqa: ANN401
                for text in texts[first::CALLERS]:
                    await batcher.submit([text], [len(text)])

            await asyncio.gather(*map(call, range(CALLERS)))
        ours = time.perf_counter() - begun
        over_single.append(await asyncio.to_thread(seconds_for, [[text] for text in texts], run) / ours)
        over_fifo.append(
            await asyncio.to_thread(seconds_for, [texts[n : n + 32] for n in range(0, 256, 32)], run) / ours
        )
    print(f"mixed lengths: {statistics.median(over_single):.2f} times no batching, target 1.3;", end=" ")
    print(f"{statistics.median(over_fifo):.2f} times first-come batches of 32, target 4")


def seconds_for(batches: list[Any], run: Callable[[Any], Any]) -> float:
    """Run every batch once."""
    begun = time.perf_counter()
    for batch in batches:
        run(batch)
    return time.perf_counter() - begun


def shutdown(name: str, folder: Path) -> None:
    """Send SIGTERM with 32 requests in flight."""
    work = work_named(name, folder)
    raw = load.request("/run", work.payloads[0])
    with server(name, folder, 30.0) as process:

        async def scene() -> list[int | BaseException]:
            calls = [asyncio.create_task(load.Connection(PORT).post(raw)) for _ in range(32)]
            await asyncio.sleep(0.02)
            process.send_signal(signal.SIGTERM)
            return await asyncio.gather(*calls, return_exceptions=True)

        answers = asyncio.run(scene())
        code = process.wait(30)
    print(f"SIGTERM with 32 in flight: {answers.count(200)} answered, exit status {code}")


def quantile(values: list[float], share: float) -> float:
    """Return the value below which that share lies; nan for none."""
    return sorted(values)[int(len(values) * share)] if values else float("nan")


def main() -> int:
    """Measure what was named, or everything."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", help="of: throughput single overload mixed shutdown")
    parser.add_argument("--models", nargs="*", default=list(TARGETS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="keeps the models")
    given = parser.parse_args()
    wanted = given.parts or ["throughput", "single", "overload", "mixed", "shutdown"]
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        for name in given.models:
            if "throughput" in wanted:
                throughput(name, folder, given.rounds)
            if "single" in wanted:
                single(name, folder, given.rounds)
            if "overload" in wanted:
                overload(name, folder)
        if "mixed" in wanted:
            asyncio.run(mixed(folder, given.rounds))
        if "shutdown" in wanted:
            shutdown("device", folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
