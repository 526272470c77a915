"""Tests of models on several devices: which device gets a batch, and what happens to one that fails."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event, Thread

import numpy as np
import pytest
from structlog.testing import capture_logs

from app.adapters.spread_session import FAILURES, PAUSE, SpreadSession, spread
from app.errors import OutOfMemoryError, UnavailableError
from app.inference.ports import Tensor, TensorSpec

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
DEAD = "CUDA failure 700: an illegal memory access was encountered"


@dataclass
class Device:
    """A fake session on a device that records its inputs and can wait or fail."""

    given: list[float] = field(default_factory=list)
    wait: Event | None = None
    dead: bool = False
    wrong: float | None = None
    provider: str = CUDA
    output_names: list[str] = field(default_factory=lambda: ["y"])
    inputs: Sequence[TensorSpec] = ()
    outputs: Sequence[TensorSpec] = ()

    def run(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        self.given.append(float(inputs["x"]))
        if self.wait and not self.wait.wait(60):
            raise TimeoutError
        if self.dead or inputs["x"] == self.wrong:
            raise RuntimeError(DEAD)
        return [inputs["x"]]


def test_batches_one_after_the_other_reach_every_device() -> None:
    devices = [Device(), Device(), Device()]
    session = SpreadSession(dict(enumerate(devices)))
    for number in range(6):
        assert session.run({"x": np.array(number)}) == [number]
    assert [each.given for each in devices] == [[0, 3], [1, 4], [2, 5]]


def test_a_batch_does_not_wait_behind_another_while_a_device_is_free() -> None:
    slow = Device(wait=Event())
    free = Device()
    session = SpreadSession({0: slow, 1: free})
    first = Thread(target=session.run, args=({"x": np.array(0)},))
    first.start()
    while not slow.given:
        first.join(0.01)
    for number in range(1, 4):
        session.run({"x": np.array(number)})
    assert (slow.given, free.given) == ([0], [1, 2, 3])
    assert slow.wait is not None
    slow.wait.set()
    first.join()
    session.run({"x": np.array(4)})
    assert slow.given == [0, 4]


def test_a_device_that_fell_back_gets_no_batches() -> None:
    devices = [Device(), Device(provider=CPU), Device()]
    session = spread(dict(enumerate(devices)))
    for number in range(4):
        session.run({"x": np.array(number)})
    assert [each.given for each in devices] == [[0, 2], [], [1, 3]]
    assert isinstance(session, SpreadSession)
    assert session.devices == 2


def test_one_device_that_is_left_is_used_as_one() -> None:
    devices = [Device(), Device(provider=CPU)]
    assert spread(dict(enumerate(devices))) is devices[0]


class Clock:
    """A clock that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def count_failures(session: SpreadSession, number: float = 1, times: int = 20) -> int:
    failed = 0
    for _ in range(times):
        try:
            session.run({"x": np.array(number)})
        except RuntimeError:
            failed += 1
    return failed


def test_a_device_that_dies_gets_no_more_batches_and_is_tried_again_after_a_pause() -> None:
    clock, devices = Clock(), [Device(), Device()]
    session = SpreadSession(dict(enumerate(devices)), clock)
    session.run({"x": np.array(7)})
    devices[1].dead = True
    with capture_logs() as logs:
        assert count_failures(session) == FAILURES
        clock.now += PAUSE
        assert count_failures(session) == 0
        devices[1].dead = False
        clock.now += PAUSE
        assert count_failures(session) == 0
    assert [(each["event"], each["device"]) for each in logs] == [
        ("model_session.device_left_out", 1),
        ("model_session.device_back", 1),
    ]
    assert DEAD in logs[0]["reason"]
    # Trials repeat the first batch of all; now the device gets its share again.
    assert devices[1].given.count(7) == 3
    assert devices[1].given[-1] == 1


def test_inputs_that_no_device_can_compute_leave_none_out() -> None:
    devices = [Device(wrong=13), Device(wrong=13)]
    session = SpreadSession(dict(enumerate(devices)))
    session.run({"x": np.array(7)})
    assert count_failures(session, 13) == 20
    assert count_failures(session) == 0
    assert min(each.given.count(1) for each in devices) == 10


def test_with_all_devices_dead_callers_are_told_so_at_once() -> None:
    devices = [Device(), Device()]
    session = SpreadSession(dict(enumerate(devices)), Clock())
    session.run({"x": np.array(7)})
    for each in devices:
        each.dead = True
    assert count_failures(session, times=2 * FAILURES) == 2 * FAILURES
    given = [len(each.given) for each in devices]
    with pytest.raises(UnavailableError, match="All devices of the model have failed") as raised:
        session.run({"x": np.array(1)})
    assert raised.value.retry_after == PAUSE
    assert [len(each.given) for each in devices] == given


def test_a_device_without_memory_for_a_batch_is_not_left_out() -> None:
    class Full(Device):
        def run(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
            raise OutOfMemoryError("full", retry_after=1)

    session = SpreadSession({0: Full(), 1: Full()})
    for _ in range(4 * FAILURES):
        with pytest.raises(OutOfMemoryError):
            session.run({"x": np.array(1)})
