"""Embeddings for callers of the API."""

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
from app.inference.served_models import DEFAULT
from app.predictions.outcome import Outcome, sha256_of
from app.predictions.recorder import PredictionRecorder


@dataclass(frozen=True, slots=True)
class EmbeddingService:
    """Embeds callers' inputs with the model that the service also searches with."""

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
        """Embed texts or token ids without truncating them.

        Args:
            inputs: texts, or lists of token ids of the model's own tokenizer.
            model: NAME or NAME@VERSION of the model, or `default`.
            dimensions: length of the vectors; None means the model's own.
            caller: the caller, who needs the scope `embeddings`.

        Raises:
            ForbiddenError: the caller lacks the scope.
            ModelNotFoundError: there is no such embedding model.
            OverloadedError: the model cannot answer in time.
            UnprocessableError: an input is too long or has unknown token ids, or the model has no such dimensions.
        """
        caller.require(Scope.EMBEDDINGS)
        served = self.embedder.model
        if model not in {served.name, served.identity, DEFAULT}:
            raise ModelNotFoundError(f"There is no embedding model {model!r}; this service has {served.name!r}.")
        length = served.dimension if dimensions is None else dimensions
        if length not in {served.dimension, *served.matryoshka_dimensions}:
            raise UnprocessableError(_no_such_length(served, length))
        until = time.monotonic() + self.embedder.deadline
        ids = await self.embedder.tokenize(inputs, owner=caller.id, within=self.embedder.deadline)
        embeddings = await self.embedder.embed_tokens(ids, owner=caller.id, within=until - time.monotonic())
        await self.recorder.record(partial(_outcomes, inputs, served, length), caller=caller)
        if length == served.dimension:
            return embeddings
        return replace(embeddings, vectors=_shorten(embeddings.vectors, length))


def _outcomes(inputs: Sequence[str | list[int]], model: EmbeddingModel, length: int) -> Iterator[Outcome]:
    """Yield the outcomes to record; they omit the vectors, which the model can compute again at any time."""
    for each in inputs:
        checksum = sha256_of(each if isinstance(each, str) else to_json(each))
        yield Outcome("embeddings", model.name, model.version, checksum, {"shape": [length]})


def _no_such_length(model: EmbeddingModel, dimensions: int) -> str:
    lengths = ", ".join(map(str, sorted({model.dimension, *model.matryoshka_dimensions})))
    return f"{model.name} supports {lengths} dimensions, not {dimensions}; omit `dimensions` for the default."


def _shorten(vectors: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """Truncate vectors, which Matryoshka models allow, and scale them to unit length."""
    cut = vectors[:, :dimensions].copy()
    lengths = np.linalg.norm(cut, axis=1, keepdims=True)
    np.divide(cut, lengths, out=cut, where=lengths > 0)
    return cut
