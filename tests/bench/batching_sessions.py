"""Sessions of the batching benchmark, and how a batch runs on them: for every server alike, ours or not."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DEVICE_SECONDS = {"device": (0.003, 0.001), "slow": (0.0, 0.2)}
"""Of the simulated devices: for a batch, and for each row of it."""


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

    @property
    def inputs(self) -> Sequence[Any]:
        """Inputs of the graph, with their names."""
        inputs: Sequence[Any] = self._session.get_inputs()
        return inputs

    def run(self, inputs: dict[str, Any]) -> list[Any]:
        """Compute all outputs."""
        outputs: list[Any] = self._session.run(None, inputs)
        return outputs


@dataclass
class Device:
    """A device that takes its time and computes nothing."""

    name: str
    provider: str = "SimulatedExecutionProvider"

    def run(self, inputs: dict[str, Any]) -> list[Any]:
        """Sleep as long as a batch takes."""
        each, row = DEVICE_SECONDS[self.name]
        time.sleep(each + row * len(inputs["x"]))
        return [inputs["x"][:, :16]]


def opened(name: str, folder: Path, threads: int) -> Session | Device:
    """Open a model that was made before."""
    return Device(name) if name in DEVICE_SECONDS else Session(folder / f"{name}.onnx", threads)


def run_vectors(session: Any, payloads: Sequence[Any]) -> Any:  # noqa: ANN401
    """Stack rows and run them."""
    return session.run({"x": np.array(payloads, dtype=np.float32)})[0]


def run_texts(session: Any, payloads: Sequence[Any]) -> Any:  # noqa: ANN401
    """Pad token ids to the longest and run them; gives rows of unit length."""
    ids = np.zeros((len(payloads), max(map(len, payloads))), np.int64)
    mask = np.zeros_like(ids)
    for row, tokens in enumerate(payloads):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    [vectors] = session.run({"input_ids": ids, "attention_mask": mask})
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def run_named(name: str, session: Any, payloads: Sequence[Any]) -> Any:  # noqa: ANN401
    """Run a batch of what this model is given."""
    return (run_texts if name == "encoder" else run_vectors)(session, payloads)


def written(row: Any) -> str:  # noqa: ANN401
    """Write a row of the result as every server's answer carries it."""
    return base64.b64encode(row.tobytes()).decode()
