"""Any ONNX graph as a model that takes and gives tensors, shared by everybody who asks."""

from collections.abc import AsyncIterator, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np

from app.errors import RequestRefusedError, UnprocessableError
from app.inference.batching import Batcher, open_batcher
from app.inference.capacity import BatchingSettings, Capacity
from app.inference.ports import ModelSession, Tensor
from app.inference.signature import Signature
from app.threads import run_in_thread_if_large

# So many bytes are checked, and so many rows put together, faster than a thread is reached.
AT_ONCE = 100_000
ROWS_AT_ONCE = 100

Row = tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Inferred:
    """What a model gave, one tensor for each of its outputs."""

    outputs: Sequence[Tensor]
    queue_seconds: float
    run_seconds: float


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model that is open, warm, and takes tensors.

    Attributes:
        deadline: seconds in which an answer must be there.
    """

    name: str
    version: str
    session: ModelSession
    signature: Signature
    batcher: Batcher
    deadline: float

    @property
    def provider(self) -> str:
        """What the model runs on."""
        return self.session.provider

    @property
    def identity(self) -> str:
        """Name and version, as answers carry them."""
        return f"{self.name}@{self.version}"

    async def infer(self, tensors: Mapping[str, Tensor], *, owner: Hashable, within: float | None = None) -> Inferred:
        """Run tensors, with those of others where rows may.

        Args:
            tensors: by input; each of a shape that the signature allows, and of its type.
            owner: who takes turns with other owners.
            within: takes the place of `deadline`.

        Raises:
            OverloadedError: the answer cannot be had in time.
            UnprocessableError: they are not what the model needs, or it cannot compute them.
            UpstreamError: it runs elsewhere, and gave no answer.
        """
        size = sum(tensor.nbytes for tensor in tensors.values())
        payloads = await run_in_thread_if_large(partial(_split, tensors, self.signature), size=size, at_once=AT_ONCE)
        seconds = self.deadline if within is None else within
        try:
            done = await self.batcher.submit(payloads, [1] * len(payloads), owner=owner, within=seconds)
        except RequestRefusedError as error:
            # The tensors are the caller's own, untouched: what the graph finds fault with are those.
            raise UnprocessableError(
                "The model cannot compute these inputs: a value may be out of its range, or lengths do not go together."
            ) from error
        rows: list[Row] = done.results
        if self.signature.by_rows:
            outputs = await run_in_thread_if_large(partial(_stack, rows), size=len(rows), at_once=ROWS_AT_ONCE)
        else:
            outputs = list(rows[0])
        return Inferred(outputs, done.queue_seconds, done.run_seconds)


def run_whole(session: ModelSession, names: Sequence[str], payloads: Sequence[Row]) -> list[Row]:
    """Run requests one by one."""
    return [tuple(session.run(dict(zip(names, payload, strict=True)))) for payload in payloads]


def run_rows(session: ModelSession, names: Sequence[str], payloads: Sequence[Row]) -> list[Row]:
    """Run rows, those of the same shapes together."""
    alike: dict[object, list[int]] = {}
    for at, row in enumerate(payloads):
        alike.setdefault(tuple(map(np.shape, row)), []).append(at)
    results: list[Row] = [()] * len(payloads)
    for places in alike.values():
        tensors = _stack([payloads[at] for at in places])
        outputs = session.run(dict(zip(names, tensors, strict=True)))
        for place, row in zip(places, zip(*outputs, strict=True), strict=True):
            results[place] = row
    return results


def _split(tensors: Mapping[str, Tensor], signature: Signature) -> list[Row]:
    signature.check(tensors)
    whole = tuple(tensors[spec.name] for spec in signature.inputs)
    return list(zip(*whole, strict=True)) if signature.by_rows else [whole]


def _stack(rows: Sequence[Row]) -> list[Tensor]:
    return [_stack_one(column) for column in zip(*rows, strict=True)]


def _stack_one(column: Sequence[Tensor | str]) -> Tensor:
    # Numbers come out of arrays as numpy's scalars, which can be stacked; strings come out as themselves.
    return np.array(column, dtype=object) if isinstance(column[0], str) else np.stack(column)


@asynccontextmanager
async def open_served_model(
    identity: tuple[str, str], capacity: Capacity, signature: Signature, batching: BatchingSettings, *, max_batch: int
) -> AsyncIterator[ServedModel]:
    """Start a model's lanes, one for each session; at the end what is queued may finish.

    Args:
        identity: name and version.
        capacity: sessions, and what they can do.
        signature: what the model takes and gives.
        batching: how it is shared.
        max_batch: rows that run together, if they may.
    """
    name, version = identity
    run = run_rows if signature.by_rows else run_whole
    names = [spec.name for spec in signature.inputs]
    runs = [partial(run, session, names) for session in capacity.sessions]
    rows = max_batch if signature.by_rows else 1
    title, grace = f"{name}@{version} tensors", batching.shutdown_grace
    async with open_batcher(title, runs, capacity.curve, rows=rows, grace=grace) as batcher:
        yield ServedModel(name, version, capacity.sessions[0], signature, batcher, batching.deadline)
