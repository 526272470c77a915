"""Finding out, by trying, how a graph runs and whether rows of different requests may run together."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from app.errors import StartupError
from app.inference.ports import ModelSession, Tensor, TensorSpec
from app.inference.signature import Signature
from app.inference.tensor_types import DTYPES, is_float

Shapes = Mapping[str, Sequence[int]]

# Batches of other sizes are summed in another order; in half precision that shows.
RELATIVE, ABSOLUTE = 1e-2, 1e-3


def try_signature(session: ModelSession, signature: Signature, warm_up: Shapes, *, name: str, rows: int) -> Signature:
    """Run a graph once, and settle whether its rows are independent; blocks.

    Args:
        session: the graph.
        signature: what it takes and gives.
        warm_up: shapes to try; where one is missing, 1 stands for what varies.
        name: of the model, for errors.
        rows: how many may run together; 1 settles that none do.

    Raises:
        StartupError: it cannot be served, or the shapes are not of its inputs.
    """
    unknown = signature.unknown_types()
    if unknown:
        raise StartupError(f"The model {name} cannot be served: no tensors of a known type are {', '.join(unknown)}.")
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


# What a second row is tried with where the first has a one: twos, or zeros if the graph has no such token.
OTHERS = (2, 0)


def sample(signature: Signature, warm_up: Shapes, rows: int | None = None) -> dict[str, Tensor]:
    """Make inputs to try a graph with, the same each time; `rows` replaces the first dimension."""
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
    # A one is a token, a mask that hides nothing, a length.
    return np.full(shape, "" if spec.datatype == "BYTES" else 1, DTYPES[spec.datatype])


def _independent(session: ModelSession, signature: Signature, warm_up: Shapes) -> bool:
    """Tell whether two rows that differ give together what each gives by itself."""
    for other in OTHERS:
        pair = {name: _differ(tensor, other) for name, tensor in sample(signature, warm_up, rows=2).items()}
        try:
            together = session.run(pair)
            apart = [session.run({name: tensor[at : at + 1] for name, tensor in pair.items()}) for at in (0, 1)]
        except Exception:  # noqa: BLE001, S112 - whatever the reason, such rows do not run, or not together
            continue
        return _same(together, apart)
    return False


def _differ(pair: Tensor, other: int) -> Tensor:
    """Fill the second row with something else, unless both are random; `other` is for whole numbers."""
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
