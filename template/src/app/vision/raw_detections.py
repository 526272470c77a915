"""Run a batch of pictures through an ONNX detector."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.errors import StartupError
from app.inference.capacity import Workload, doubling
from app.inference.ports import ModelSession
from app.inference.tensor_types import DTYPES, is_float
from app.vision.manifest import DetectionModel

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class RawDetections:
    """The model's output for one picture.

    Attributes:
        output: float32 `[4 + labels, cells]`, in pixels of the model's input.
        milliseconds: run time of the picture's batch.
        batch: number of pictures in that batch.
    """

    output: NDArray[np.float32]
    milliseconds: float
    batch: int


def run_detector(session: ModelSession, name: str, pictures: Sequence[Pixels]) -> list[RawDetections]:
    """Run pictures of the model's size, uint8 `[height, width, 3]`, through a detector; `name` is the graph's input."""
    batch = np.stack(pictures).transpose(0, 3, 1, 2).astype(np.float32)
    batch /= 255
    # Convert to the input's type only if that is a float type: pixels from 0 to 1 would all become integer zeros, so
    # a graph with integer inputs must fail instead.
    wanted = (DTYPES[each.datatype] for each in session.inputs if each.name == name and is_float(each.datatype))
    pixels = np.ascontiguousarray(batch, next(wanted, batch.dtype))
    started = time.perf_counter()
    [outputs] = session.run({name: pixels})
    milliseconds = (time.perf_counter() - started) * 1000
    return [RawDetections(output.astype(np.float32, copy=False), milliseconds, len(batch)) for output in outputs]


def detector_workload(model: DetectionModel, batch_size: int) -> Workload:
    """Return the workload for measuring a detector: growing batches of grey pictures."""
    manifest = model.manifest
    rows = 4 + len(manifest.labels)
    grey = np.full((manifest.height, manifest.width, 3), 127, dtype=np.uint8)

    def probe(session: ModelSession, count: int) -> None:
        try:
            found = run_detector(session, manifest.input, [grey] * count)
        except Exception as error:
            many = f"{count} of {manifest.width}x{manifest.height} pixels at once"
            fewer = "; if fewer do, set a smaller APP_DETECTION__BATCH_SIZE, or max_batch in model.json"
            raise StartupError(
                f"The graph {model.graph} cannot run as its manifest says, {many}{fewer if count > 1 else ''}: {error}"
            ) from error
        shapes = {each.output.shape[:1] if each.output.ndim == 2 else () for each in found}  # noqa: PLR2004
        if len(found) != count or shapes != {(rows,)}:
            raise StartupError(
                f"The graph {model.graph} does not give [batch, {rows}, cells], as a detector of "
                f"{len(manifest.labels)} labels should; export it without suppression built in."
            )

    return Workload(probe, list(doubling(1, batch_size)))
