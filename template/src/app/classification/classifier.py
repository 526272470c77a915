"""Registered text classifiers: an ONNX graph with a tokenizer and labels."""

import asyncio
import time
from collections.abc import AsyncIterator, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from app.errors import AppError, StartupError, UnprocessableError, UpstreamFailedError
from app.inference.model_folders import TensorModel
from app.inference.ports import Tensor
from app.inference.served_models import ServedModels
from app.inference.tensor_model import ServedModel
from app.inference.tensor_types import DTYPES
from app.inference.token_input import IDS, MASK, TYPES, open_tokenizer, read_inputs
from app.inference.token_thread import TokenThread, open_token_thread

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Classified:
    """Label scores of a list of texts.

    Attributes:
        scores: from 0 to 1, one row per text, one column per label.
        tokens: number of tokens read.
        queue_seconds: time in the model's queue.
        run_seconds: time in the model.
    """

    labels: Sequence[str]
    scores: Scores
    tokens: int
    queue_seconds: float
    run_seconds: float


@dataclass(frozen=True, slots=True)
class TextClassifier:
    """A registered model that scores texts for its own labels."""

    registered: TensorModel
    served: ServedModel
    tokenizer: Tokenizer
    thread: TokenThread

    async def classify(self, texts: Sequence[str], *, owner: Hashable) -> Classified:
        """Return the label scores of texts, of which there must be at least one.

        Raises:
            OverloadedError: the model's deadline cannot be met.
            UnprocessableError: a text is too long, or has no tokens.
            UpstreamFailedError: the model returned NaN or infinities.
        """
        manifest, seconds = self.registered.manifest, self.served.deadline
        until = time.monotonic() + seconds
        self.served.batcher.admit(1, owner=owner, within=seconds)
        ids = await read_inputs(texts, self.tokenizer, manifest, self.thread, within=seconds)
        for index, tokens in enumerate(ids):
            if not tokens:
                raise UnprocessableError(f"Input {index} holds nothing that {manifest.name} can read.")
        done = await self.served.infer(self._tensors(ids), owner=owner, within=until - time.monotonic())
        logits = done.outputs[0].astype(np.float64)
        scores = softmax(logits) if manifest.activation == "softmax" else (1 + np.tanh(logits / 2)) / 2
        if not np.isfinite(scores).all():
            raise UpstreamFailedError("The model gave no scores.")
        return Classified(manifest.labels, scores, sum(map(len, ids)), done.queue_seconds, done.run_seconds)

    def _tensors(self, ids: Sequence[list[int]]) -> dict[str, Tensor]:
        inputs = self.served.signature.inputs
        length = fixed_length(self.served) or max(map(len, ids))
        tensors = {name: np.zeros((len(ids), length), np.int64) for name in (IDS, MASK, TYPES)}
        for row, tokens in enumerate(ids):
            tensors[IDS][row, : len(tokens)] = tokens
            tensors[MASK][row, : len(tokens)] = 1
        return {each.name: tensors[each.name].astype(DTYPES[each.datatype]) for each in inputs}


def fixed_length(model: ServedModel) -> int | None:
    """Return the number of tokens per text if the graph was exported with a fixed length, else None."""
    shapes = [each.shape for each in model.signature.inputs]
    return next((shape[1] for shape in shapes if len(shape) > 1 and isinstance(shape[1], int)), None)


def softmax(values: Scores) -> Scores:
    """Return the softmax of each row."""
    powers: Scores = np.exp(values - values.max(axis=1, keepdims=True))
    shares: Scores = powers / powers.sum(axis=1, keepdims=True)
    return shares


class Classifiers:
    """Registry of the open text classifiers.

    Args:
        default: NAME or NAME@VERSION of the one for requests that name none; empty means none.
    """

    def __init__(self, default: str = "") -> None:
        self.default = default
        self._open: dict[int, TextClassifier] = {}

    def find(self, served: ServedModel) -> TextClassifier | None:
        """Return the classifier of a served model; None if the model is not a classifier."""
        return self._open.get(id(served))

    def named(self, models: ServedModels, name: str) -> ServedModel | None:
        """Return the newest classifier with this name, or the one with this NAME@VERSION, if any."""
        found = [each for each in models.all() if id(each) in self._open and name in {each.name, each.identity}]
        return found[-1] if found else None

    @asynccontextmanager
    async def attach(self, model: TensorModel, served: ServedModel) -> AsyncIterator[None]:
        """Open the classifier of a registered model, if it declares labels; on exit it is closed.

        Raises:
            StartupError: the model is not a text classifier, or its number of labels differs.
        """
        if not model.manifest.labels:
            yield
            return
        async with open_token_thread() as thread:
            self._open[id(served)] = await _open(model, served, thread)
            try:
                yield
            finally:
                del self._open[id(served)]


async def _open(model: TensorModel, served: ServedModel, thread: TokenThread) -> TextClassifier:
    strangers = {each.name for each in served.signature.inputs} - {IDS, MASK, TYPES}
    if strangers:
        raise StartupError(
            f"The model {served.identity} declares labels, but takes {', '.join(sorted(strangers))}: "
            f"a classifier of texts takes {IDS}, {MASK} and {TYPES} at most."
        )
    tokenizer = await asyncio.to_thread(open_tokenizer, model.folder, model.manifest.max_tokens)
    classifier = TextClassifier(model, served, tokenizer, thread)
    await _check(classifier)
    return classifier


async def _check(classifier: TextClassifier) -> None:
    identity, manifest = classifier.served.identity, classifier.registered.manifest
    length = fixed_length(classifier.served) or manifest.max_tokens
    if length < manifest.max_tokens:
        raise StartupError(f"The model {identity} reads texts of {length} tokens: declare max_tokens as {length}.")
    try:
        shape = (await classifier.classify(["one", "and another text"], owner=None)).scores.shape
    except (AppError, ValueError, TypeError) as error:
        raise StartupError(f"The model {identity} does not classify texts: {error}") from error
    wanted = len(manifest.labels)
    if shape != (2, wanted):
        raise StartupError(f"The model {identity} does not give [texts, {wanted}] scores, one for each label.")
