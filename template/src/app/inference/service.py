"""Embedding texts for callers."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from pydantic_core import to_json

from app.auth.caller import Caller, Scope
from app.errors import ModelNotFoundError, UnprocessableError
from app.inference.embedder import Embedder, Embeddings
from app.inference.manifest import EmbeddingModel
from app.predictions.outcome import Outcome, sha256_of
from app.predictions.recorder import PredictionRecorder


@dataclass(frozen=True, slots=True)
class EmbeddingService:
    """Gives callers the vectors that the service itself searches with."""

    embedder: Embedder
    recorder: PredictionRecorder = field(default_factory=PredictionRecorder)

    async def embed(
        self,
        inputs: Sequence[str | list[int]],
        model: str,
        dimensions: int | None = None,
        *,
        caller: Caller,
    ) -> Embeddings:
        """Embed texts, or token ids, with the model of this name; nothing is cut off.

        Args:
            inputs: texts, or lists of ids of the model's own tokenizer.
            model: name or identity of a model.
            dimensions: how long the vectors shall be; by default as long as the model's.
            caller: who asks.

        Raises:
            ModelNotFoundError: no such model is served.
            OverloadedError: it has too much to do to answer in time.
            UnprocessableError: the model cannot read all of the inputs, or has no vectors of this length.
        """
        caller.require(Scope.EMBEDDINGS)
        served = self.embedder.model
        if model not in {served.name, served.identity}:
            raise ModelNotFoundError(f"There is no embedding model {model!r}; this service has {served.name!r}.")
        length = served.dimension if dimensions is None else dimensions
        if length not in {served.dimension, *served.matryoshka_dimensions}:
            raise UnprocessableError(_no_such_length(served, length))
        until = time.monotonic() + self.embedder.deadline
        ids = await self.embedder.read(inputs, owner=caller.id, within=self.embedder.deadline)
        embeddings = await self.embedder.embed_tokens(ids, owner=caller.id, within=until - time.monotonic())
        await self.recorder.record(partial(_outcomes, inputs, served, length), caller=caller)
        if length == served.dimension:
            return embeddings
        return replace(embeddings, vectors=_shorten(embeddings.vectors, length))


def _outcomes(inputs: Sequence[str | list[int]], model: EmbeddingModel, length: int) -> Iterator[Outcome]:
    """Tell what was embedded; a vector is not worth its space, as the model gives it again at any time."""
    for each in inputs:
        checksum = sha256_of(each if isinstance(each, str) else to_json(each))
        yield Outcome("embeddings", model.name, model.version, checksum, {"shape": [length]})


def _no_such_length(model: EmbeddingModel, dimensions: int) -> str:
    lengths = ", ".join(map(str, sorted({model.dimension, *model.matryoshka_dimensions})))
    return f"{model.name} gives vectors of {lengths} dimensions, not of {dimensions}: leave `dimensions` out."


def _shorten(vectors: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """Cut rows as Matryoshka models allow, and scale what is left to unit length."""
    cut = vectors[:, :dimensions].copy()
    lengths = np.linalg.norm(cut, axis=1, keepdims=True)
    np.divide(cut, lengths, out=cut, where=lengths > 0)
    return cut
