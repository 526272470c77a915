"""What an answer with an embedding costs, against the cheapest way of writing it that was tried."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import bench_embedding_answer as answers
from batching_results import Effort, Measured, at_most

if TYPE_CHECKING:
    from pathlib import Path

REQUESTS = 1000


def answer(_: Path, effort: Effort) -> Measured:
    """Compare the service's answers, as numbers and in base64, each with the cheapest that carries the same."""
    requests = max(200, int(REQUESTS * effort.seconds))
    ways = list(answers.WAYS)
    with answers.serving() as (server, connection):
        for way in range(len(ways)):  # warms up
            answers.cost(server, connection, way, 100)
        times = [
            [answers.cost(server, connection, way, requests)[0] for way in range(len(ways))]
            for _ in range(effort.rounds)
        ]
    medians = dict(zip(ways, (statistics.median(column) for column in zip(*times, strict=True)), strict=True))
    cheapest = min(medians, key=medians.__getitem__)
    done = Measured(series={"cost": {way: medians[way] * 1e6 for way in ways}})
    for way in ("the service, base64", "the service, float"):
        more = f" ({medians[way] * 1e6:.0f} µs; the cheapest, {cheapest}, {medians[cheapest] * 1e6:.0f} µs)"
        what = (
            f"answer with 384 numbers, {way.rpartition(' ')[2]}: processor time over the cheapest of {len(ways)} ways"
        )
        done.rows.append(at_most(what, medians[way] / medians[cheapest], 1.3, more))
    return done
