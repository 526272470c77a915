"""What inference needs from the outside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

Tensor = NDArray[Any]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output of a graph.

    Attributes:
        datatype: as the Open Inference Protocol names it, such as `FP32`; if it has no name there, the runtime's word.
        shape: a number where a dimension is fixed, its symbol where it varies, None where it varies without one. Empty
            for a scalar, and where the graph does not tell the rank.
    """

    name: str
    datatype: str
    shape: tuple[int | str | None, ...]


class ModelSession(Protocol):
    """An ONNX model that is loaded and can run."""

    @property
    def provider(self) -> str:
        """The execution provider that the model really runs on, such as `CPUExecutionProvider`."""

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, in the order in which `run` returns them."""

    @property
    def inputs(self) -> Sequence[TensorSpec]:
        """What `run` must be given."""

    @property
    def outputs(self) -> Sequence[TensorSpec]:
        """What `run` returns, in this order."""

    def run(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Compute all outputs; blocks the calling thread, so never call it on the event loop."""


@runtime_checkable
class SpreadModel(ModelSession, Protocol):
    """A model that is loaded on several devices; a batch runs on one of them."""

    @property
    def devices(self) -> int:
        """How many batches can run at once."""
