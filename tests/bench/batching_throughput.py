"""How much of the bare model many callers get, what one caller waits, and what length-matched batches bring."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import batching_load as load
from app.inference.batching import open_batcher
from app.inference.capacity import available_cores
from app.inference.latency_curve import measure_curve
from batching_results import Effort, Measured, at_least, at_most, quantile
from batching_serving import emitted, plain
from batching_work import ROWS, work_named

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CALLERS = 64
SHARES = {"compute": 0.85, "weight": 0.70, "encoder": 0.85, "device": 0.95}
BUDGETS = (64, 128, 256, 512, 1024, 4096)
WORDS = {
    "compute": "compute-bound model",
    "weight": "weight-bound model",
    "encoder": "MiniLM-shaped model, mixed lengths",
    "device": "simulated device",
}


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


def throughput(folder: Path, effort: Effort) -> Measured:
    """Compare 64 callers with the best way to run the bare model, in turn."""
    done = Measured()
    for name in effort.models:
        work = work_named(name, folder)
        ways = bare_ways(name, work)
        slices = effort.seconds / 5
        found = {way: statistics.median(run(slices) for _ in range(3)) for way, run in ways.items()}
        best = sorted(found, key=found.__getitem__)[-2:]
        raw = [load.request(payload) for payload in work.payloads]
        ratios, rates, waits = [], [], list[float]()
        with emitted(name, folder) as server:
            for _ in range(effort.rounds):
                before = max(ways[way](effort.seconds / 2) for way in best)
                rate, tally = load.closed_loop(server.port, raw, CALLERS, effort.seconds)
                after = max(ways[way](effort.seconds / 2) for way in best)
                ratios.append(rate / statistics.mean((before, after)))
                rates.append(rate)
                waits += tally.served
        share = statistics.median(ratios)
        more = f" ({statistics.median(rates):.0f}/s, p99 {quantile(waits, 0.99) * 1000:.0f} ms, bare: {best[-1]})"
        done.rows.append(
            at_least(f"{WORDS[name]}: {CALLERS} callers, share of bare onnxruntime", share, SHARES[name], more)
        )
        done.series[name] = {"shares": ratios, "aim": SHARES[name]}
    return done


def single(folder: Path, effort: Effort) -> Measured:
    """Compare one caller with a bare run plus a bare JSON round trip, and say what plain FastAPI takes."""
    done = Measured()
    for name in effort.models:
        work = work_named(name, folder)
        session = work.open(available_cores(), False)  # noqa: FBT003
        raw, bare = (load.request(work.payloads[0], path) for path in ("/run", "/bare"))
        ratios, waits, plainly = [], [], []
        with emitted(name, folder) as ours, plain(name, folder, available_cores()) as theirs:
            for _ in range(effort.rounds):
                _, trips = load.closed_loop(theirs.port, [bare], 1, effort.seconds / 4)
                before = _median_run(work, session)
                _, tally = load.closed_loop(ours.port, [raw], 1, effort.seconds / 2)
                run = statistics.mean((before, _median_run(work, session)))
                waits.append(statistics.median(tally.served))
                _, tally = load.closed_loop(theirs.port, [raw], 1, effort.seconds / 2)
                plainly.append(statistics.median(tally.served))
                ratios.append(waits[-1] / (run + statistics.median(trips.served)))
        more = f" ({statistics.median(waits) * 1000:.1f} ms; plain FastAPI {statistics.median(plainly) * 1000:.1f} ms)"
        what = f"{WORDS[name].partition(',')[0]}: one caller, p50 over a bare run and a bare round trip"
        done.rows.append(at_most(what, statistics.median(ratios), 1.15, more))
    return done


def _median_run(work: Any, session: Any) -> float:  # noqa: ANN401
    runs = []
    for _ in range(30):
        begun = time.perf_counter()
        work.run(session, work.payloads[:1])
        runs.append(time.perf_counter() - begun)
    return statistics.median(runs)


def mixed(folder: Path, effort: Effort) -> Measured:
    """Compare batches of like length with no batching and with batches of 32 as they come, without HTTP."""
    over_single, over_fifo = asyncio.run(_mixed(folder, effort.rounds))
    return Measured(
        [
            at_least("mixed lengths: over no batching, without HTTP", over_single, 1.3),
            at_least("mixed lengths: over first-come batches of 32, without HTTP", over_fifo, 4.0),
        ]
    )


async def _mixed(folder: Path, rounds: int) -> tuple[float, float]:
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
        alone = await asyncio.to_thread(_seconds_for, [[text] for text in texts], run)
        come = await asyncio.to_thread(_seconds_for, [texts[n : n + 32] for n in range(0, 256, 32)], run)
        over_single.append(alone / ours)
        over_fifo.append(come / ours)
    return statistics.median(over_single), statistics.median(over_fifo)


def _seconds_for(batches: list[Any], run: Callable[[Any], Any]) -> float:
    begun = time.perf_counter()
    for batch in batches:
        run(batch)
    return time.perf_counter() - begun
