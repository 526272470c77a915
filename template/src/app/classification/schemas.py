"""Request and response schemas of text classification."""

from typing import Annotated, Self

import numpy as np
import orjson
from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.classification.classifier import Classified
from app.classification.service import PLACE, Hypotheses
from app.json_lists import write_list
from app.payloads import Payload

MAX_INPUTS = 256
# Labels serialized before other requests get a turn: about two milliseconds.
LABELS_AT_ONCE = 5000
Text = Annotated[str, Field(min_length=1, max_length=100_000)]
Texts = Annotated[list[Text], Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True)]
Label = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]
Labels = Annotated[list[Label], Field(min_length=2, max_length=100, fail_fast=True)]


class ClassificationCreate(Payload):
    """Texts to classify, and labels to choose from."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "input": "The kettle broke after a week.",
                    "labels": ["complaint", "praise", "question"],
                    "hypothesis": "This is a {}.",
                }
            ]
        },
    )

    input: Text | Texts = Field(description="one text or several")
    model: str | None = Field(
        default=None,
        max_length=256,
        description="the embedding model, which compares texts with labels, or a registered classifier; by default the "
        "embedding model if there are labels, otherwise the classifier that the operator has chosen",
    )
    labels: Labels | None = Field(default=None, description="labels to choose from; not for a registered classifier")
    hypothesis: str = Field(
        default=PLACE, max_length=500, description="sentence that is compared with the text; `{}` stands for the label"
    )
    temperature: float = Field(
        default=0.1,
        ge=0.001,
        le=100,
        allow_inf_nan=False,
        description="scores are the softmax of cosines divided by this; lower values favour the closest label",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.hypothesis.count(PLACE) != 1:
            raise ValueError("hypothesis must hold {} once, where the label goes")
        if self.labels and len(set(self.labels)) < len(self.labels):
            raise ValueError("labels must differ")
        return self

    @property
    def texts(self) -> list[str]:
        """The texts as a list."""
        return [self.input] if isinstance(self.input, str) else self.input

    @property
    def hypotheses(self) -> Hypotheses | None:
        """The hypotheses to compare texts with; None without labels."""
        return Hypotheses(self.labels, self.hypothesis, self.temperature) if self.labels else None


class LabelScore(BaseModel):
    """A label and its score from 0 to 1."""

    label: str = Field(examples=["complaint"])
    score: float = Field(examples=[0.81])


class TextLabels(BaseModel):
    """The labels of one text, highest score first."""

    labels: list[LabelScore]


class ClassificationUsage(BaseModel):
    """Number of tokens read, including those of the labels."""

    prompt_tokens: int
    total_tokens: int


class ClassificationList(BaseModel):
    """The labels of each text, in the order of the texts."""

    results: list[TextLabels]
    model: str = Field(examples=["static-minilm"])
    version: str = Field(examples=["1"])
    usage: ClassificationUsage


async def write_classifications(classified: Classified, *, model: str, version: str) -> bytes:
    """Serialize a `ClassificationList`, labels sorted by score, without blocking the event loop for long."""
    step = max(1, LABELS_AT_ONCE // len(classified.labels))
    parts = (_best_first(classified, first, first + step) for first in range(0, len(classified.scores), step))
    usage = {"prompt_tokens": classified.tokens, "total_tokens": classified.tokens}
    return orjson.dumps({"results": await write_list(parts), "model": model, "version": version, "usage": usage})


def _best_first(classified: Classified, first: int, last: int) -> list[dict[str, object]]:
    scores = classified.scores[first:last]
    orders = np.argsort(-scores, axis=1, kind="stable")
    rows = np.take_along_axis(scores, orders, axis=1).round(6).tolist()
    return [
        {"labels": [{"label": classified.labels[at], "score": score} for at, score in zip(order, row, strict=True)]}
        for order, row in zip(orders.tolist(), rows, strict=True)
    ]
