"""Text classification for callers."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from app.auth.caller import Caller, Scope
from app.classification.classifier import Classified, Classifiers, softmax
from app.errors import ModelNotFoundError, UnprocessableError
from app.inference.embedder import Embedder
from app.inference.served_models import DEFAULT, ServedModels
from app.inference.tensor_model import ServedModel
from app.predictions.outcome import Outcome, sha256_of
from app.predictions.recorder import PredictionRecorder

PLACE = "{}"


@dataclass(frozen=True, slots=True)
class Hypotheses:
    """Sentences that texts are compared with, one per label.

    Attributes:
        labels: the caller's labels.
        template: a sentence with `{}` in place of the label.
        temperature: divides the cosines before the softmax; lower values favour the closest label.
    """

    labels: Sequence[str]
    template: str
    temperature: float


@dataclass(frozen=True, slots=True)
class Classification:
    """Label scores of texts, and the model that computed them."""

    classified: Classified
    name: str
    version: str
    provider: str


@dataclass(frozen=True, slots=True)
class ClassificationService:
    """Classifies texts by similarity of embeddings, or with a registered classifier."""

    embedder: Embedder
    classifiers: Classifiers
    models: ServedModels
    recorder: PredictionRecorder = field(default_factory=PredictionRecorder)

    async def classify(
        self, texts: Sequence[str], model: str | None, hypotheses: Hypotheses | None, *, caller: Caller
    ) -> Classification:
        """Score texts for labels, and record the predictions if recording is enabled.

        Args:
            texts: at least one text.
            model: NAME (the newest version) or NAME@VERSION of a classifier or the embedding model; None or `default`
                means the embedding model with `hypotheses`, and the default classifier of the settings without.
            hypotheses: required by the embedding model, not allowed for a classifier.
            caller: the caller, who needs the scope `classifications`.

        Raises:
            ForbiddenError: the caller lacks the scope.
            ModelNotFoundError: there is no such model.
            OverloadedError: the model cannot answer in time.
            UnprocessableError: a text is too long, or `hypotheses` are missing or not allowed.
        """
        caller.require(Scope.CLASSIFICATIONS)
        done = await self._classify(texts, model, hypotheses, caller)
        await self.recorder.record(partial(_outcomes, texts, done), caller=caller)
        return done

    async def _classify(
        self, texts: Sequence[str], model: str | None, hypotheses: Hypotheses | None, caller: Caller
    ) -> Classification:
        served = self.embedder.model
        if model is None or model == DEFAULT:
            model = served.name if hypotheses or not self.classifiers.default else self.classifiers.default
        if model in {served.name, served.identity}:
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
        # The lease keeps the model open even if the operator replaces it.
        with self.models.lease(found.name, found.version) as served:
            classifier = self.classifiers.find(served)
            if classifier is None:
                raise ModelNotFoundError(f"The model {found.identity} does not classify texts any more.")
            classified = await classifier.classify(texts, owner=caller.id)
            return Classification(classified, served.name, served.version, served.provider)

    async def _compare(self, texts: Sequence[str], hypotheses: Hypotheses, caller: Caller) -> Classified:
        sentences = [hypotheses.template.replace(PLACE, label) for label in hypotheses.labels]
        until = time.monotonic() + self.embedder.deadline
        ids = await self.embedder.tokenize(texts, owner=caller.id, within=until - time.monotonic())
        try:
            ids += await self.embedder.tokenize(sentences, owner=caller.id, within=until - time.monotonic())
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
