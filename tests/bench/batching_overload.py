"""What happens at twice the capacity, what a model costs in memory, and what SIGTERM does to requests in flight."""

from __future__ import annotations

import signal
import statistics
import time
from functools import partial
from typing import TYPE_CHECKING

import batching_load as load
from app.inference.capacity import available_cores
from batching_results import Effort, Measured, Row, at_least, at_most, quantile
from batching_serving import emitted, plain
from batching_throughput import CALLERS, WORDS
from batching_work import work_named

if TYPE_CHECKING:
    from pathlib import Path

    from batching_serving import Server

DEADLINE = 1.0
IN_FLIGHT = 32
# The server counts from when it has read a request; its callers count from when they send it.
SERVERS_DEADLINE = 0.9 * DEADLINE
REFUSED_SECONDS = 0.050
FLAT = 1.05


def overload(folder: Path, effort: Effort) -> Measured:
    """Send twice what can be done, whatever comes back."""
    done = Measured()
    for name in effort.models:
        raw = [load.request(payload) for payload in work_named(name, folder).payloads]
        seconds = 4 * effort.seconds
        with emitted(name, folder, SERVERS_DEADLINE) as server:
            before, _ = load.closed_loop(server.port, raw, CALLERS, 1.5 * effort.seconds)
            held = list[tuple[float, int]]()
            watch = partial(_note, held, server)
            watch()
            begin = time.perf_counter()
            tally = load.open_loop(server.port, raw, 2 * before, seconds, watch=watch)
            watch()
            after, _ = load.closed_loop(server.port, raw, CALLERS, 1.5 * effort.seconds)
        capacity = statistics.mean((before, after))
        done.rows += _rows(WORDS[name].partition(",")[0], tally, capacity, seconds, [size for _, size in held])
        done.series[name] = {
            "capacity": capacity,
            "moments": [(round(at - begin, 2), status) for at, status in tally.moments],
            "memory": [(round(at - begin, 2), size) for at, size in held],
        }
    return done


def _note(held: list[tuple[float, int]], server: Server) -> None:
    held.append((time.perf_counter(), server.resident()))


def _rows(what: str, tally: load.Tally, capacity: float, seconds: float, held: list[int]) -> list[Row]:
    inside = sum(taken <= DEADLINE for taken in tally.served)
    refused, late = quantile(tally.refused, 0.99), quantile(tally.late, 0.99)
    more = f" ({inside / seconds:.0f} of {capacity:.0f}/s; {len(tally.served) - inside} too late, {tally.lost} lost)"
    # What the first moments need stays; the rest of the time may not add to it.
    begun, ended = max(held[: len(held) // 3 + 1]), max(held[-2:])
    return [
        at_least(
            f"{what}, twice the capacity: answered within {DEADLINE:.0f} s, of capacity",
            inside / seconds / capacity,
            0.95,
            more,
        ),
        Row(
            f"{what}, twice the capacity: p99 of refusals",
            f"{refused * 1000:.0f} ms (of {len(tally.refused)}; the load itself was {late * 1000:.0f} ms late)",
            f"< {REFUSED_SECONDS * 1000:.0f} ms",
            met=refused < REFUSED_SECONDS,
        ),
        at_most(
            f"{what}, twice the capacity: memory at the end over the beginning",
            ended / begun,
            FLAT,
            f" ({ended / 1e6:.0f} MB)",
        ),
    ]


def memory(folder: Path, effort: Effort) -> Measured:
    """Compare what is held after a load with what plain FastAPI holds after the same."""
    done = Measured()
    for name in effort.models:
        if name == "device":
            continue
        raw = [load.request(payload) for payload in work_named(name, folder).payloads]
        held = []
        with emitted(name, folder) as ours, plain(name, folder, available_cores()) as theirs:
            for server in (ours, theirs):
                load.closed_loop(server.port, raw, CALLERS, 2 * effort.seconds)
                held.append(server.memory())
        more = f" ({held[0] / 1e6:.0f} and {held[1] / 1e6:.0f} MB)"
        what = f"{WORDS[name].partition(',')[0]}: memory after {CALLERS} callers, over plain FastAPI"
        done.rows.append(at_most(what, held[0] / held[1], 1.1, more))
    return done


def shutdown(folder: Path, _: Effort) -> Measured:
    """Send SIGTERM with requests in flight."""
    raw = load.request(work_named("slow", folder).payloads[0])
    with emitted("slow", folder, 30.0) as server:
        tally = load.in_flight(server.port, raw, IN_FLIGHT, lambda: server.process.send_signal(signal.SIGTERM))
        code = server.process.wait(30)
    answered = len(tally.served)
    measured = f"{answered} answered, exit status {code}"
    return Measured([Row(f"SIGTERM with {IN_FLIGHT} in flight", measured, "none lost", met=answered == IN_FLIGHT)])
