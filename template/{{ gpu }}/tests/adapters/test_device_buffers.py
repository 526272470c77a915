"""Tests of sessions whose inputs and outputs stay on the device; the CPU stands in for it."""

import gc
from threading import Barrier, Thread, get_ident
from threading import enumerate as enumerate_threads

import numpy as np
import onnxruntime
import pytest

from app.adapters.device_buffers import DeviceBuffers
from app.inference.ports import Tensor
from tests.inference.tensor_graphs import affine

CPU = "CPUExecutionProvider"


class Noting(onnxruntime.InferenceSession):  # type: ignore[misc]  # onnxruntime has no types
    """A session that records the threads that run it."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self.threads: list[int] = []

    def run_with_iobinding(self, *args: object) -> None:
        self.threads.append(get_ident())
        super().run_with_iobinding(*args)


def buffered(rows: int = 2) -> tuple[Noting, DeviceBuffers]:
    session = Noting(affine(rows=rows).SerializeToString(), providers=[CPU])
    return session, DeviceBuffers("cpu", 0, session)


def test_buffers_give_what_the_session_gives_and_earlier_answers_stay() -> None:
    session, buffers = buffered()
    inputs = [np.full((2, 3), number, np.float32) for number in range(5)]
    answers = [buffers({"x": each}) for each in inputs]
    for given, [answer] in zip(inputs, answers, strict=True):
        np.testing.assert_array_equal(answer, session.run(None, {"x": given})[0])


def test_callers_of_the_same_buffers_get_their_own_answers() -> None:
    _, buffers = buffered()
    wrong: list[float] = []
    together = Barrier(4)

    def call(number: float) -> None:
        together.wait()
        for _ in range(50):
            [answer] = buffers({"x": np.full((2, 3), number, np.float32)})
            wrong.extend(answer[answer != 2 * number + 1])

    threads = [Thread(target=call, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert wrong == []


@pytest.mark.parametrize("given", [np.zeros((3, 3), np.float32), np.zeros((2, 3)), np.zeros((2, 2), np.float32)])
def test_what_does_not_fit_is_not_copied_over_its_neighbours(given: Tensor) -> None:
    with pytest.raises(ValueError, match="x is"):
        buffered()[1]({"x": given})


def test_one_thread_records_before_any_caller_and_runs_for_all_of_them() -> None:
    session, buffers = buffered()
    assert len(session.threads) == 1
    callers = [Thread(target=buffers, args=({"x": np.zeros((2, 3), np.float32)},)) for _ in range(2)]
    for each in callers:
        each.start()
    for each in callers:
        each.join()
    assert len(session.threads) == 3
    assert len(set(session.threads)) == 1
    assert not set(session.threads) & {get_ident(), *(each.ident for each in callers)}


def test_the_thread_ends_with_the_buffers_and_does_not_delay_the_end_of_the_process() -> None:
    session, buffers = buffered()
    [thread] = [each for each in enumerate_threads() if each.ident == session.threads[0]]
    assert thread.daemon
    del buffers
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()
