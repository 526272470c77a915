"""Models served for tensor inference, with requests batched by rows if the graph allows it."""

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

# Up to this many bytes to check, or rows to stack, the event loop does the work itself: faster than using a thread.
AT_ONCE = 100_000
ROWS_AT_ONCE = 100

Row = tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Inferred:
    """Outputs of a model, one tensor per output, and the time in the queue and in the model in seconds."""

    outputs: Sequence[Tensor]
    queue_seconds: float
    run_seconds: float


@dataclass(frozen=True, slots=True)
class ServedModel:
    """An open model that answers tensor requests.

    Attributes:
        deadline: default deadline of a request in seconds.
    """

    name: str
    version: str
    session: ModelSession
    signature: Signature
    batcher: Batcher
    deadline: float

    @property
    def provider(self) -> str:
        """The execution provider that the model runs on."""
        return self.session.provider

    @property
    def identity(self) -> str:
        """NAME@VERSION, as in responses."""
        return f"{self.name}@{self.version}"

    async def infer(self, tensors: Mapping[str, Tensor], *, owner: Hashable, within: float | None = None) -> Inferred:
        """Run tensors through the model, batched with other requests if rows are independent.

        Args:
            tensors: tensors by input name, with shapes and types checked against the signature.
            owner: key for fair scheduling: owners take turns.
            within: deadline in seconds; None means `deadline`.

        Raises:
            OverloadedError: the deadline cannot be met.
            UnprocessableError: an input is missing or not valid, or the model failed on these inputs.
            UpstreamError: the remote server that runs the model did not answer.
        """
        size = sum(tensor.nbytes for tensor in tensors.values())
        payloads = await run_in_thread_if_large(partial(_split, tensors, self.signature), size=size, at_once=AT_ONCE)
        seconds = self.deadline if within is None else within
        try:
            done = await self.batcher.submit(payloads, [1] * len(payloads), owner=owner, within=seconds)
        except RequestRefusedError as error:
            # The tensors come unmodified from the caller, so the caller's input is at fault.
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
    """Run each payload as one request, one by one."""
    return [tuple(session.run(dict(zip(names, payload, strict=True)))) for payload in payloads]


def run_rows(session: ModelSession, names: Sequence[str], payloads: Sequence[Row]) -> list[Row]:
    """Run rows, batching those of equal shapes; results are in the order of the payloads."""
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
    # Rows of a one-dimensional input are numpy scalars, which np.stack takes, or Python strings, which it does not.
    return np.array(column, dtype=object) if isinstance(column[0], str) else np.stack(column)


@asynccontextmanager
async def open_served_model(
    identity: tuple[str, str], capacity: Capacity, signature: Signature, batching: BatchingSettings, *, max_batch: int
) -> AsyncIterator[ServedModel]:
    """Serve a model with one lane per session; on exit queued work may finish within the grace period.

    Args:
        identity: name and version.
        capacity: the model's sessions and their latency.
        signature: the model's inputs and outputs.
        batching: settings for batching.
        max_batch: the most rows of a batch, if rows can be batched.
    """
    name, version = identity
    run = run_rows if signature.by_rows else run_whole
    names = [spec.name for spec in signature.inputs]
    runs = [partial(run, session, names) for session in capacity.sessions]
    rows = max_batch if signature.by_rows else 1
    title, grace = f"{name}@{version} tensors", batching.shutdown_grace
    async with open_batcher(title, runs, capacity.curve, rows=rows, grace=grace) as batcher:
        yield ServedModel(name, version, capacity.sessions[0], signature, batcher, batching.deadline)
