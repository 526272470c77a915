"""Trial runs that check whether a graph works and whether rows of different requests can share a batch."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from app.errors import StartupError
from app.inference.ports import ModelSession, Tensor, TensorSpec
from app.inference.signature import Signature
from app.inference.tensor_types import DTYPES, is_float

Shapes = Mapping[str, Sequence[int]]

# Tolerances: the summation order depends on the batch size, which is visible in half precision.
RELATIVE, ABSOLUTE = 1e-2, 1e-3

# Values of the second row in the trial, where the first has ones: twos, or zeros if the graph rejects twos.
SECOND_ROW_VALUES = (2, 0)


def try_signature(session: ModelSession, signature: Signature, warm_up: Shapes, *, name: str, rows: int) -> Signature:
    """Run a graph once and return its signature with `by_rows` set if its rows are independent; blocks.

    Args:
        session: the graph.
        signature: its inputs and outputs.
        warm_up: input shapes to try; without one, dimensions that vary are 1.
        name: the model's name, for error messages.
        rows: the most rows of a batch; 1 disables batching.

    Raises:
        StartupError: the graph cannot be served, or a declared shape belongs to none of its inputs.
    """
    unknown = signature.unknown_types()
    if unknown:
        raise StartupError(
            f"The model {name} cannot be served: unsupported types of inputs or outputs: {', '.join(unknown)}."
        )
    strangers = {*warm_up, *signature.max_shape} - {each.name for each in signature.inputs}
    if strangers:
        inputs = ", ".join(each.name for each in signature.inputs)
        raise StartupError(f"The manifest of {name} names {', '.join(sorted(strangers))}; the inputs are {inputs}.")
    try:
        session.run(sample(signature, warm_up))
    except Exception as error:
        raise StartupError(f"The model {name} does not run; declare shapes to try as `warm_up`: {error}") from error
    varies = all(each.shape and not isinstance(each.shape[0], int) for each in signature.inputs)
    return replace(signature, by_rows=rows > 1 and varies and _independent(session, signature, warm_up))


def sample(signature: Signature, warm_up: Shapes, rows: int | None = None) -> dict[str, Tensor]:
    """Return deterministic inputs for a trial run; `rows` replaces the first dimension."""
    random = np.random.default_rng(0)
    return {spec.name: _sample_one(spec, warm_up.get(spec.name), rows, random) for spec in signature.inputs}


def _sample_one(
    spec: TensorSpec, declared: Sequence[int] | None, rows: int | None, random: np.random.Generator
) -> Tensor:
    shape = list(declared or (each if isinstance(each, int) else 1 for each in spec.shape))
    if rows is not None:
        shape[0] = rows
    if is_float(spec.datatype):
        return random.random(shape).astype(DTYPES[spec.datatype])
    # A one is valid as a token id, an attention mask and a length.
    return np.full(shape, "" if spec.datatype == "BYTES" else 1, DTYPES[spec.datatype])


def _independent(session: ModelSession, signature: Signature, warm_up: Shapes) -> bool:
    """Return whether two different rows give the same outputs in one batch as one by one."""
    for other in SECOND_ROW_VALUES:
        pair = {name: _differ(tensor, other) for name, tensor in sample(signature, warm_up, rows=2).items()}
        try:
            together = session.run(pair)
            apart = [session.run({name: tensor[at : at + 1] for name, tensor in pair.items()}) for at in (0, 1)]
        except Exception:  # noqa: BLE001, S112 - whatever the reason, these rows cannot run in one batch
            continue
        return _same(together, apart)
    return False


def _differ(pair: Tensor, other: int) -> Tensor:
    """Change the second row so that it differs from the first, in place; random floats already differ."""
    if pair.dtype.kind != "f":
        pair[1] = {"O": "another text", "b": False}.get(pair.dtype.kind, other)
    return pair


def _same(together: Sequence[Tensor], apart: Sequence[Sequence[Tensor]]) -> bool:
    return all(
        _agree(whole, np.concatenate(parts)) if all(part.ndim for part in (whole, *parts)) else False
        for whole, *parts in zip(together, *apart, strict=True)
    )


def _agree(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    if one.dtype.kind == "f":
        return np.allclose(one, other, RELATIVE, ABSOLUTE, equal_nan=True)
    return np.array_equal(one, other)
