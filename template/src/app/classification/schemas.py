"""Texts to classify and their labels, on the wire."""

from typing import Annotated, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.classification.classifier import Classified
from app.classification.service import PLACE, Hypotheses
from app.payloads import Payload

MAX_INPUTS = 256
Text = Annotated[str, Field(min_length=1, max_length=100_000)]
Texts = Annotated[list[Text], Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True)]
Label = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]
Labels = Annotated[list[Label], Field(min_length=2, max_length=100, fail_fast=True)]


class ClassificationCreate(Payload):
    """Texts, and labels to choose from."""

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

    input: Text | Texts = Field(description="a text or several")
    model: str | None = Field(
        default=None,
        max_length=256,
        description="the embedding model, which compares texts with labels, or a registered classifier",
    )
    labels: Labels | None = Field(default=None, description="to choose from; a registered classifier has its own")
    hypothesis: str = Field(
        default=PLACE, max_length=500, description="what is compared with the text; `{}` stands for the label"
    )
    temperature: float = Field(
        default=0.1,
        ge=0.001,
        le=100,
        allow_inf_nan=False,
        description="scores are the softmax of cosines divided by this; the lower, the more the nearest label takes",
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
        """What is classified, in order."""
        return [self.input] if isinstance(self.input, str) else self.input

    @property
    def hypotheses(self) -> Hypotheses | None:
        """What texts are compared with, if labels were sent."""
        return Hypotheses(self.labels, self.hypothesis, self.temperature) if self.labels else None


class LabelScore(BaseModel):
    """A label, and how well it fits, from 0 to 1."""

    label: str = Field(examples=["complaint"])
    score: float = Field(examples=[0.81])


class TextLabels(BaseModel):
    """The labels of one text, the best first."""

    labels: list[LabelScore]


class ClassificationUsage(BaseModel):
    """Tokens that were read, those of the labels included."""

    prompt_tokens: int
    total_tokens: int


class ClassificationList(BaseModel):
    """The labels of each text, in the order of the texts."""

    results: list[TextLabels]
    model: str = Field(examples=["static-minilm"])
    version: str = Field(examples=["1"])
    usage: ClassificationUsage


def best_first(classified: Classified) -> list[TextLabels]:
    """Sort the labels of each text by their scores."""
    orders = np.argsort(-classified.scores, axis=1, kind="stable").tolist()
    rows = zip(orders, classified.scores.tolist(), strict=True)
    return [
        TextLabels(labels=[LabelScore(label=classified.labels[at], score=round(row[at], 6)) for at in order])
        for order, row in rows
    ]
