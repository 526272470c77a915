"""Ports of inference: model sessions, implemented by adapters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

Tensor = NDArray[Any]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output of a graph.

    Attributes:
        datatype: element type of the Open Inference Protocol, such as `FP32`; the runtime's own name if it has none.
        shape: a number for a fixed dimension, a symbol or None for one that varies. Empty for a scalar, and if the
            graph does not declare the rank.
    """

    name: str
    datatype: str
    shape: tuple[int | str | None, ...]


class ModelSession(Protocol):
    """A loaded ONNX model."""

    @property
    def provider(self) -> str:
        """The execution provider that the model actually runs on, such as `CPUExecutionProvider`."""

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, in the order in which `run` returns them."""

    @property
    def inputs(self) -> Sequence[TensorSpec]:
        """Inputs that `run` requires."""

    @property
    def outputs(self) -> Sequence[TensorSpec]:
        """Outputs in the order in which `run` returns them."""

    def run(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Compute all outputs; blocks, so do not call it on the event loop."""


@runtime_checkable
class SpreadModel(ModelSession, Protocol):
    """A model that is loaded on several devices; each batch runs on one of them."""

    @property
    def devices(self) -> int:
        """Number of devices, which is the number of batches that can run concurrently."""
