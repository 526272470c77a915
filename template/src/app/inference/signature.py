"""A graph's inputs and outputs, and checks of callers' tensors against them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.errors import UnprocessableError
from app.inference.ports import ModelSession, Tensor, TensorSpec
from app.inference.tensor_types import DTYPES, is_float

MAX_ROWS = 2048
# Symbol of the first dimension of all inputs; no graph uses the empty name.
ROWS = ""


@dataclass(frozen=True, slots=True)
class Signature:
    """Inputs and outputs of a graph, with the limits that the manifest sets.

    Attributes:
        max_shape: the maximum of each dimension, by input.
        allow_nonfinite: whether inputs may contain NaN and infinities.
        by_rows: whether the first dimension counts rows that can be batched with rows of other requests.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_shape: Mapping[str, Sequence[int]]
    allow_nonfinite: bool = False
    by_rows: bool = False

    @classmethod
    def of(cls, session: ModelSession, max_shape: Mapping[str, Sequence[int]], *, allow_nonfinite: bool) -> "Signature":
        """Return the signature of a session; `by_rows` is False until a trial run has confirmed it."""
        return cls(tuple(session.inputs), tuple(session.outputs), max_shape, allow_nonfinite)

    def unknown_types(self) -> list[str]:
        """Return the inputs and outputs whose type the Open Inference Protocol does not know, as NAME (TYPE)."""
        return [
            f"{each.name} ({each.datatype})" for each in (*self.inputs, *self.outputs) if each.datatype not in DTYPES
        ]

    def find_input(self, name: str) -> TensorSpec:
        """Return an input by name.

        Raises:
            UnprocessableError: the model has no such input.
        """
        for each in self.inputs:
            if each.name == name:
                return each
        raise UnprocessableError(f"There is no input {name!r}; the model has {_names(self.inputs)}.")

    def find_output(self, name: str) -> int:
        """Return the index of an output by name.

        Raises:
            UnprocessableError: the model has no such output.
        """
        for at, each in enumerate(self.outputs):
            if each.name == name:
                return at
        raise UnprocessableError(f"There is no output {name!r}; the model has {_names(self.outputs)}.")

    def check_shape(self, spec: TensorSpec, shape: Sequence[int]) -> None:
        """Raise UnprocessableError if an input may not have this shape; call before creating the tensor."""
        fits = not spec.shape or len(shape) == len(spec.shape)
        fits &= all(not isinstance(fixed, int) or fixed == each for fixed, each in zip(spec.shape, shape, strict=False))
        if not fits:
            wanted = ", ".join(str(each) if isinstance(each, int) else "-1" for each in spec.shape)
            raise UnprocessableError(
                f"Input {spec.name!r} must have the shape [{wanted}], where -1 varies, not {_shown(shape)}."
            )
        most = self.max_shape.get(spec.name, ())
        if any(each > limit for each, limit in zip(shape, most, strict=False)):
            raise UnprocessableError(f"Input {spec.name!r} may be at most {list(most)}, not {_shown(shape)}.")
        if self.by_rows and shape[0] > MAX_ROWS:
            raise UnprocessableError(f"Input {spec.name!r} has {shape[0]:,} rows, but may have at most {MAX_ROWS:,}.")

    def check(self, tensors: Mapping[str, Tensor]) -> None:
        """Check tensors, whose shapes and types have been checked, as a complete set of inputs.

        Raises:
            UnprocessableError: an input is missing, shared dimensions differ, or values are NaN or infinite.
        """
        known: dict[str, tuple[int, str]] = {}
        for spec in self.inputs:
            tensor = tensors.get(spec.name)
            if tensor is None:
                raise UnprocessableError(f"The input {spec.name!r} is missing; the model needs {_names(self.inputs)}.")
            if is_float(spec.datatype) and not self.allow_nonfinite and not np.isfinite(tensor).all():
                raise UnprocessableError(
                    f"Input {spec.name!r} holds NaN, infinities or numbers too large for its type."
                )
            symbols = dict(enumerate(spec.shape)) | ({0: ROWS} if self.by_rows else {})
            for at, symbol in symbols.items():
                if not isinstance(symbol, str):
                    continue
                length, other = known.setdefault(symbol, (tensor.shape[at], spec.name))
                if length != tensor.shape[at]:
                    raise UnprocessableError(
                        f"Inputs {other!r} and {spec.name!r} must agree in a dimension that is {length} and "
                        f"{tensor.shape[at]} long."
                    )


def _names(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(repr(each.name) for each in specs)


def _shown(shape: Sequence[int]) -> str:
    return str(list(shape)) if len(shape) <= 8 else f"one of {len(shape)} dimensions"  # noqa: PLR2004 - fits on a line
