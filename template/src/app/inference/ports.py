"""What inference needs from the outside."""

from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

Tensor = NDArray[Any]


class ModelSession(Protocol):
    """An ONNX model that is loaded and can run."""

    @property
    def provider(self) -> str:
        """The execution provider that the model really runs on, such as `CPUExecutionProvider`."""

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, in the order in which `run` returns them."""

    def run(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Compute all outputs; blocks the calling thread, so never call it on the event loop."""
