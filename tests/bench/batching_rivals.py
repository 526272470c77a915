"""LitServe and BentoML on the same work as the emitted batching, on the same cores, each in its own environment.

Each is tried with several settings, all with its dynamic batching on, and the one that comes closest to ours counts,
for each number of callers by itself. Ours has one setting for all: what it measures at start-up. Both sides are
measured in turn, so that a busy machine slows both.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import batching_load as load
from app.inference.capacity import available_cores
from batching_results import Effort, Measured, Row, at_least, not_compared
from batching_serving import HERE, NotStartedError, emitted, serving
from batching_sessions import DEVICE_SECONDS
from batching_throughput import WORDS
from batching_work import work_named

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from batching_serving import Server

CALLERS = (1, 8, 64)
# How many times as much as the rival.
AIMS = {1: 1.0, 8: 1.0, 64: 2.0}
FIRST_ANSWER_SECONDS = 60.0
QUICK_SETTINGS = 1


class NotServedError(Exception):
    """A server did not answer as it should."""


@dataclass(frozen=True)
class Rival:
    """A server to be compared with.

    Attributes:
        start: the command, which a port is put behind.
        request: writes a request with this payload.
        settings: to try, the likeliest first: what the server reads, and the same in words.
    """

    name: str
    start: Sequence[str]
    request: Callable[[Any], bytes]
    settings: Sequence[tuple[tuple[float, ...], str]]

    def command(self, model: str, folder: Path, setting: tuple[float, ...]) -> list[str]:
        """Return what starts it, in an environment that is made when it is missing."""
        settings = f"RIVAL={json.dumps([model, str(folder), *setting])}"
        needs = str(HERE / f"batching_{self.name.lower()}.txt")
        environment = ["env", "BENTOML_DO_NOT_TRACK=True", settings, "uv", "run", "--quiet", "--no-project"]
        return [*environment, "--with-requirements", needs, *self.start]


@dataclass(frozen=True)
class Side:
    """A server that runs, and what it is asked."""

    port: int
    requests: Sequence[bytes]

    def rate(self, callers: int, seconds: float) -> float:
        """Return its answers per second.

        Raises:
            NotServedError: there were none, or others than results.
        """
        rate, tally = load.closed_loop(self.port, self.requests, callers, seconds)
        if not rate or tally.refused or tally.lost:
            raise NotServedError(f"{len(tally.served)} answers, {len(tally.refused) + tally.lost} failures")
        return rate


def litserve(cores: int) -> Rival:
    """Describe LitServe; its queue is always the fast one."""
    settings: list[tuple[tuple[float, ...], str]] = [
        ((64, 0.002, 1, cores), f"64 rows, 2 ms, 1 worker of {cores} threads"),
        ((64, 0, 1, cores), f"64 rows, no wait, 1 worker of {cores} threads"),
        ((16, 0.002, 1, cores), f"16 rows, 2 ms, 1 worker of {cores} threads"),
        ((32, 0.002, cores, 1), f"32 rows, 2 ms, {cores} workers of 1 thread"),
    ]
    return Rival("LitServe", ["python", "batching_litserve.py"], load.request, settings)


def bento(cores: int) -> Rival:
    """Describe BentoML, whose waiting adapts itself; its requests bring a batch of one."""
    settings: list[tuple[tuple[float, ...], str]] = [
        ((64, 1, cores), f"64 rows, 1 worker of {cores} threads"),
        ((16, 1, cores), f"16 rows, 1 worker of {cores} threads"),
        ((32, cores, 1), f"32 rows, {cores} workers of 1 thread"),
    ]
    start = ["bentoml", "serve", "batching_bentoml:Model", "--host", "127.0.0.1", "--port"]
    return Rival("BentoML", start, lambda payload: load.request([payload], key="rows"), settings)


@dataclass
class Trial:
    """A rival in one of its settings.

    Attributes:
        rates: answers per second, ours and the rival's, by callers: of the round whose ratio is the median.
        failure: why there are none, or fewer than wanted.
    """

    words: str
    rates: dict[int, tuple[float, float]] = field(default_factory=dict)
    failure: str = ""

    def ratio(self, callers: int) -> float:
        """Return how many times the rival's answers ours are."""
        our, their = self.rates[callers]
        return our / their


def rivals(folder: Path, effort: Effort) -> Measured:
    """Compare with every rival in every setting, with each number of callers."""
    done = Measured()
    for name in effort.models:
        tried: dict[str, list[Trial]] = {}
        payloads = work_named(name, folder).payloads
        with emitted(name, folder) as server:
            ours = Side(server.port, [load.request(each) for each in payloads])
            for rival in (litserve(available_cores()), bento(available_cores())):
                theirs = [rival.request(each) for each in payloads]
                tried[rival.name] = [
                    _try(words, rival.command(name, folder, setting), theirs, ours, effort)
                    for setting, words in _settings(rival, name)[: QUICK_SETTINGS if effort.rounds == 1 else None]
                ]
        for rival_name, trials in tried.items():
            done.rows += _rows(WORDS[name].partition(",")[0], rival_name, trials)
        done.series[name] = _series(tried)
    return done


def _settings(rival: Rival, name: str) -> list[tuple[tuple[float, ...], str]]:
    """Leave out settings of several workers where they would each simulate a device of their own."""
    return [each for each in rival.settings if name not in DEVICE_SECONDS or " 1 worker " in each[1]]


def _try(words: str, command: Sequence[str], requests: Sequence[bytes], ours: Side, effort: Effort) -> Trial:
    trial = Trial(words)
    try:
        with serving(command) as server:
            theirs = Side(server.port, requests)
            load.first_answer(server.port, requests[0], FIRST_ANSWER_SECONDS)
            theirs.rate(max(CALLERS), effort.seconds)  # it learns from what it is given first
            for callers in CALLERS:
                pairs = [_pair(ours, theirs, server, callers, effort.seconds) for _ in range(effort.rounds)]
                trial.rates[callers] = sorted(pairs, key=lambda pair: pair[0] / pair[1])[len(pairs) // 2]
    except (NotStartedError, NotServedError, TimeoutError, OSError, EOFError) as error:
        trial.failure = str(error) or type(error).__name__
    return trial


def _pair(ours: Side, theirs: Side, server: Server, callers: int, seconds: float) -> tuple[float, float]:
    """Return both rates, ours from before and after."""
    with server.paused():
        before = ours.rate(callers, seconds / 4)
    their = theirs.rate(callers, seconds / 2)
    with server.paused():
        after = ours.rate(callers, seconds / 4)
    return statistics.mean((before, after)), their


def _rows(what: str, rival: str, trials: Sequence[Trial]) -> list[Row]:
    rows = []
    for callers in CALLERS:
        if counted := [trial for trial in trials if callers in trial.rates]:
            closest = min(counted, key=lambda trial: trial.ratio(callers))
            our, their = closest.rates[callers]
            more = f" ({our:.0f} and {their:.0f}/s; {closest.words})"
            title = f"{what}, {callers} caller{'s' * (callers > 1)}: times {rival}"
            rows.append(at_least(title, closest.ratio(callers), AIMS[callers], more))
    return rows + [
        not_compared(f"{what}: times {rival}, {trial.words}", trial.failure) for trial in trials if trial.failure
    ]


def _series(tried: dict[str, list[Trial]]) -> dict[str, dict[int, float]]:
    """Return answers per second by callers: our median, and each rival's best."""
    every = [trial for trials in tried.values() for trial in trials]
    series = {"ours": {n: _of(statistics.median, [t.rates[n][0] for t in every if n in t.rates]) for n in CALLERS}}
    for rival, trials in tried.items():
        series[rival] = {n: _of(max, [t.rates[n][1] for t in trials if n in t.rates]) for n in CALLERS}
    return series


def _of(choose: Callable[[list[float]], float], values: list[float]) -> float:
    return choose(values) if values else 0.0
