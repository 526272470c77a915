"""Settings for guardrails: the checks, their order and their actions."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

InputCheck = Literal["length", "injection", "topics", "pii"]
OutputCheck = Literal["schema", "pii", "banned"]
Action = Literal["refuse", "review", "redact", "off"]

Phrase = Annotated[str, StringConstraints(strip_whitespace=True, min_length=2, max_length=200)]
Sentence = Annotated[str, StringConstraints(strip_whitespace=True, min_length=2, max_length=2000)]

CAN_REDACT = frozenset(("pii", "banned"))


class CheckSettings(BaseModel):
    """The checks on both sides of a language model."""

    model_config = ConfigDict(extra="forbid")

    input: dict[InputCheck, Action] = Field(
        default={"length": "refuse", "injection": "refuse", "topics": "refuse", "pii": "off"},
        description="checks of requests, in order; checks that redact run after those that refuse",
    )
    output: dict[OutputCheck, Action] = Field(
        default={"schema": "off", "pii": "off", "banned": "refuse"},
        description="checks of answers, in order; `schema` runs last, on the complete answer",
    )
    screen_passages: bool = Field(default=True, description="leave out passages that contain prompt injection")
    max_input_characters: int = Field(default=400_000, ge=1, description="limit for all texts that the model reads")
    max_input_tokens: int = Field(default=100_000, ge=1, description="the same in estimated tokens")
    banned_phrases: list[Phrase] = Field(default=[], description="phrases that answers must not contain, ignoring case")
    allowed_topics: list[Sentence] = Field(default=[], description="examples of allowed topics; empty allows all")
    denied_topics: list[Sentence] = Field(default=[], description="examples of denied topics")
    topic_similarity: float = Field(default=0.4, ge=0, le=1, description="cosine similarity that counts as a match")

    @model_validator(mode="after")
    def _check_actions(self) -> Self:
        for name, action in (*self.input.items(), *self.output.items()):
            if action == "redact" and name not in CAN_REDACT:
                raise ValueError(f"`{name}` cannot redact: set it to refuse, review or off.")
        return self


class GuardrailSettings(CheckSettings):
    """The checks of all language models, with overrides by alias."""

    by_alias: dict[str, CheckSettings] = Field(
        default={}, description="overrides for the models of an alias; other settings apply as for every model"
    )

    def of(self, alias: str) -> CheckSettings:
        """Return the checks of an alias: its overrides on top of the general ones."""
        own = self.by_alias.get(alias, self)
        names = CheckSettings.model_fields
        return CheckSettings(**{name: getattr(own if name in own.model_fields_set else self, name) for name in names})
