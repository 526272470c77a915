"""What each model of the batching benchmark is given and how a batch of it is run, for every server alike."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import batching_models
import numpy as np
import onnxruntime
from app.inference.capacity import Workload
from app.inference.encoder import encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

ROWS = 64
DEVICE_SECONDS = (0.003, 0.001)
"""Of the simulated device: for a batch, and for each row of it."""


@dataclass
class Session:
    """An onnxruntime session as the emitted service's port describes it."""

    path: Path
    threads: int
    spinning: bool = False
    provider: str = "CPUExecutionProvider"

    def __post_init__(self) -> None:
        """Load the model."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(self.spinning)))
        self._session = onnxruntime.InferenceSession(str(self.path), options, providers=[self.provider])

    def run(self, inputs: dict[str, Any]) -> list[Any]:
        """Compute all outputs."""
        outputs: list[Any] = self._session.run(None, inputs)
        return outputs


@dataclass
class Device:
    """A device that takes its time and computes nothing."""

    provider: str = "SimulatedExecutionProvider"

    def run(self, inputs: dict[str, Any]) -> list[Any]:
        """Sleep as long as a batch takes."""
        each, row = DEVICE_SECONDS
        time.sleep(each + row * len(inputs["x"]))
        return [inputs["x"][:, :16]]


@dataclass(frozen=True)
class Work:
    """A model, its inputs, and how a batch runs.

    Attributes:
        run: computes a batch of payloads on a session.
        payloads: what requests carry.
        workload: what start-up measures.
    """

    run: Callable[[Any, Sequence[Any]], Any]
    payloads: list[Any]
    workload: Any
    open: Callable[[int, bool], Any]


def run_vectors(session: Any, payloads: Sequence[Any]) -> Any:  # noqa: ANN401
    """Stack rows and run them."""
    return session.run({"x": np.array(payloads, dtype=np.float32)})[0]


def size_of(payload: Any, name: str) -> int:  # noqa: ANN401
    """The length of a row in the model's unit."""
    return len(payload) if name == "encoder" else 1


def work_named(name: str, folder: Path) -> Work:
    """Find one of `compute`, `weight`, `encoder`, `device`; its model is made when it is missing."""
    path = folder / f"{name}.onnx"
    makers = {
        "compute": batching_models.make_compute_bound,
        "weight": batching_models.make_weight_bound,
        "encoder": batching_models.make_encoder,
    }
    if name in makers and not path.exists():
        makers[name](path)
    if name == "encoder":
        sizes = [16 * 2**power for power in range(11)]
        workload = Workload(lambda session, units: encode(session, _ids(units)), sizes)
        return Work(encode, batching_models.texts(512), workload, partial(Session, path))
    row = np.random.default_rng(3).standard_normal(batching_models.FEATURES).round(4).tolist()
    workload = Workload(lambda session, units: run_vectors(session, [row] * units), [2**power for power in range(7)])
    opened = (lambda _threads, _spinning=False: Device()) if name == "device" else partial(Session, path)
    return Work(run_vectors, [row], workload, opened)


def _ids(units: int) -> list[list[int]]:
    rows = min(ROWS, max(1, units // 16))
    return [[1 + place % 999 for place in range(units // rows)]] * rows


@asynccontextmanager
async def opened(work: Work, threads: int) -> AsyncIterator[Any]:
    """Open a session as the emitted service's adapter does."""
    yield await asyncio.to_thread(work.open, threads, False)  # noqa: FBT003
