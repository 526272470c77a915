"""Classifying callers' texts."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from app.auth.caller import Caller, Scope
from app.classification.classifier import Classified, Classifiers, softmax
from app.errors import ModelNotFoundError, UnprocessableError
from app.inference.embedder import Embedder
from app.inference.served_models import ServedModels
from app.inference.tensor_model import ServedModel
from app.predictions.outcome import Outcome, sha256_of
from app.predictions.recorder import PredictionRecorder

PLACE = "{}"


@dataclass(frozen=True, slots=True)
class Hypotheses:
    """What texts are compared with.

    Attributes:
        labels: the caller's.
        template: a sentence in which `{}` stands for a label.
        temperature: divides the cosines before their softmax; the lower, the more the nearest takes.
    """

    labels: Sequence[str]
    template: str
    temperature: float


@dataclass(frozen=True, slots=True)
class Classification:
    """Texts that are classified, and by what."""

    classified: Classified
    name: str
    version: str
    provider: str


@dataclass(frozen=True, slots=True)
class ClassificationService:
    """Finds labels by the likeness of embeddings, or by a registered classifier."""

    embedder: Embedder
    classifiers: Classifiers
    models: ServedModels
    recorder: PredictionRecorder = field(default_factory=PredictionRecorder)

    async def classify(
        self, texts: Sequence[str], model: str | None, hypotheses: Hypotheses | None, *, caller: Caller
    ) -> Classification:
        """Score texts for labels.

        Args:
            texts: one at least.
            model: name of a classifier, which means its newest version, or NAME@VERSION; or the embedding model, which
                is also meant by None.
            hypotheses: for the embedding model alone.
            caller: who asks.

        Raises:
            ForbiddenError: the caller may not.
            ModelNotFoundError: there is no such model.
            OverloadedError: it has too much to do to answer in time.
            UnprocessableError: the model cannot read all of a text, or labels are missing or its own.
        """
        caller.require(Scope.CLASSIFICATIONS)
        done = await self._classify(texts, model, hypotheses, caller)
        await self.recorder.record(partial(_outcomes, texts, done), caller=caller)
        return done

    async def _classify(
        self, texts: Sequence[str], model: str | None, hypotheses: Hypotheses | None, caller: Caller
    ) -> Classification:
        served = self.embedder.model
        if model is None or model in {served.name, served.identity}:
            if hypotheses is None:
                raise UnprocessableError(f"{served.name} has no labels of its own: send some as `labels`.")
            classified = await self._compare(texts, hypotheses, caller)
            return Classification(classified, served.name, served.version, self.embedder.provider)
        found = self.classifiers.named(self.models, model)
        if found is None:
            names = sorted({each.name for each in self.models.all() if self.classifiers.find(each)})
            known = ", ".join([served.name, *names])
            raise ModelNotFoundError(f"There is no such model to classify with; this service has {known}.")
        if hypotheses is not None:
            raise UnprocessableError(f"{model} has labels of its own: leave `labels` out.")
        return await self._ask(found, texts, caller)

    async def _ask(self, found: ServedModel, texts: Sequence[str], caller: Caller) -> Classification:
        # What is held stays open, even if the operator puts another in its place.
        with self.models.lease(found.name, found.version) as served:
            classifier = self.classifiers.find(served)
            if classifier is None:
                raise ModelNotFoundError(f"The model {found.identity} does not classify texts any more.")
            classified = await classifier.classify(texts, owner=caller.id)
            return Classification(classified, served.name, served.version, served.provider)

    async def _compare(self, texts: Sequence[str], hypotheses: Hypotheses, caller: Caller) -> Classified:
        sentences = [hypotheses.template.replace(PLACE, label) for label in hypotheses.labels]
        until = time.monotonic() + self.embedder.deadline
        ids = await self.embedder.read(texts, owner=caller.id, within=until - time.monotonic())
        try:
            ids += await self.embedder.read(sentences, owner=caller.id, within=until - time.monotonic())
        except UnprocessableError as error:
            raise UnprocessableError(f"Of the labels, each put into the hypothesis: {error.detail}") from error
        done = await self.embedder.embed_tokens(ids, owner=caller.id, within=until - time.monotonic())
        vectors = done.vectors.astype(np.float64)
        cosines = vectors[: len(texts)] @ vectors[len(texts) :].T
        scores = softmax(cosines / hypotheses.temperature)
        return Classified(hypotheses.labels, scores, done.tokens, done.queue_seconds, done.run_seconds)


def _outcomes(texts: Sequence[str], done: Classification) -> Iterator[Outcome]:
    for text, scores in zip(texts, done.classified.scores.tolist(), strict=True):
        outputs = {"scores": dict(zip(done.classified.labels, scores, strict=True))}
        yield Outcome("classifications", done.name, done.version, sha256_of(text), outputs)
