"""Tests of which threads process tensors on their way to a model and back."""

import threading
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest

from app.inference.batching import Batcher
from app.inference.ports import ModelSession, TensorSpec
from app.inference.signature import Signature
from app.inference.submission import Outcome
from app.inference.tensor_model import ServedModel

SPEC = TensorSpec("x", "FP32", (None, 384))
SEEN: set[threading.Thread] = set()


class ThreadRecordingArray(np.ndarray[Any, Any]):
    """An array that records the threads that compute with it."""

    def __array_function__(self, *given: Any) -> Any:  # noqa: ANN401 - NumPy's signature
        """Record the thread of a function on the array."""
        SEEN.add(threading.current_thread())
        return super().__array_function__(*given)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **more: Any) -> Any:  # noqa: ANN401 - the same
        """Record the thread of an element-wise function."""
        SEEN.add(threading.current_thread())
        return getattr(ufunc, method)(*(np.asarray(each) for each in inputs), **more)


class EchoBatcher:
    """A batcher that returns its inputs."""

    async def submit(self, payloads: Sequence[Any], _sizes: Sequence[int], **_options: object) -> Outcome:
        """Return the payloads."""
        return Outcome(list(payloads), 0.0, 0.0)


@pytest.mark.parametrize(("rows", "here"), [(2, True), (2048, False)])
async def test_large_tensors_are_checked_and_joined_off_the_event_loop(rows: int, here: bool) -> None:  # noqa: FBT001 - a column of the table
    signature = Signature((SPEC,), (SPEC,), {}, by_rows=True)
    model = ServedModel("mirror", "1", cast("ModelSession", None), signature, cast("Batcher", EchoBatcher()), 1.0)
    sent = np.random.default_rng(0).random((rows, 384), np.float32)
    SEEN.clear()
    inferred = await model.infer({"x": sent.view(ThreadRecordingArray)}, owner="ada")
    np.testing.assert_array_equal(np.asarray(inferred.outputs[0]), sent)
    assert SEEN
    assert (threading.current_thread() in SEEN) is here
