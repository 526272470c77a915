"""All settings of the service, read from the environment as `APP_<SECTION>__<NAME>`, and then from `.env`.

`APP_ENV_FILE` sets another file, or none if it is empty. Empty variables count as not set. Only entry points create
`Settings`; everything else receives the section that it needs.
"""

import os
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from app.adapters.circuit_breaker import CircuitBreakerSettings
from app.adapters.file_store import FileStoreSettings
from app.adapters.job_queue import JobQueueSettings
from app.adapters.language_model import LanguageModelSettings
from app.adapters.model_session import ModelSessionSettings
from app.adapters.remote_inference import RemoteInferenceSettings
from app.adapters.valkey import ValkeySettings
from app.adapters.vector_store import VectorStoreSettings
from app.answers.settings import AnswersSettings, SearchSettings
from app.auth.tokens import AuthSettings
from app.chat.settings import AnswerCacheSettings, ChatSettings
from app.conversations.settings import ConversationsSettings
from app.database import DatabaseSettings
from app.documents.settings import DocumentsSettings
from app.extraction.settings import ExtractionSettings
from app.guardrails.settings import GuardrailSettings
from app.inference.capacity import BatchingSettings
from app.inference.embedder import EmbeddingSettings
from app.inference.model_folders import ModelsSettings
from app.jobs.settings import JobsSettings
from app.observability.logging import LoggingSettings
from app.observability.metrics import MetricsSettings
from app.observability.tracing import TracingSettings
from app.playground.files import PlaygroundSettings
from app.predictions.settings import PredictionsSettings
from app.reviews.settings import ReviewsSettings
from app.usage.settings import LimitsSettings, UsageSettings
from app.vision.detector import DetectionSettings
from app.webhooks.settings import WebhooksSettings

PREFIX, DELIMITER = "APP_", "__"


class ServiceSettings(BaseModel):
    """Name and description of the service, for its documentation and its clients."""

    model_config = ConfigDict(extra="forbid")

    name: str = "app"
    description: str = "Answers questions from your documents."


class Settings(BaseSettings):
    """The whole configuration; building it raises if anything is missing or wrong."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        env_file=os.environ.get("APP_ENV_FILE", ".env"),
        env_ignore_empty=True,
        extra="ignore",
        # Errors must not contain values, which may be secrets.
        hide_input_in_errors=True,
    )

    answer_cache: AnswerCacheSettings = Field(default_factory=AnswerCacheSettings)
    answers: AnswersSettings = Field(default_factory=AnswersSettings)
    auth: AuthSettings = Field(default_factory=AuthSettings)
    batching: BatchingSettings = Field(default_factory=BatchingSettings)
    chat: ChatSettings = Field(default_factory=ChatSettings)
    conversations: ConversationsSettings = Field(default_factory=ConversationsSettings)
    circuit_breaker: CircuitBreakerSettings = Field(default_factory=CircuitBreakerSettings)
    database: DatabaseSettings
    detection: DetectionSettings = Field(default_factory=DetectionSettings)
    documents: DocumentsSettings = Field(default_factory=DocumentsSettings)
    embedding: EmbeddingSettings = Field(default_factory=EmbeddingSettings)
    extraction: ExtractionSettings = Field(default_factory=ExtractionSettings)
    file_store: FileStoreSettings
    guardrails: GuardrailSettings = Field(default_factory=GuardrailSettings)
    job_queue: JobQueueSettings
    jobs: JobsSettings = Field(default_factory=JobsSettings)
    language_model: LanguageModelSettings = Field(default_factory=LanguageModelSettings)
    limits: LimitsSettings = Field(default_factory=LimitsSettings)
    logging: LoggingSettings = Field(default_factory=LoggingSettings)
    metrics: MetricsSettings = Field(default_factory=MetricsSettings)
    model_session: ModelSessionSettings = Field(default_factory=ModelSessionSettings)
    models: ModelsSettings = Field(default_factory=ModelsSettings)
    reviews: ReviewsSettings = Field(default_factory=ReviewsSettings)
    playground: PlaygroundSettings = Field(default_factory=PlaygroundSettings)
    predictions: PredictionsSettings = Field(default_factory=PredictionsSettings)
    remote_inference: RemoteInferenceSettings = Field(default_factory=RemoteInferenceSettings)
    search: SearchSettings = Field(default_factory=SearchSettings)
    service: ServiceSettings = Field(default_factory=ServiceSettings)
    tracing: TracingSettings = Field(default_factory=TracingSettings)
    usage: UsageSettings = Field(default_factory=UsageSettings)
    valkey: ValkeySettings = Field(default_factory=ValkeySettings)
    vector_store: VectorStoreSettings
    webhooks: WebhooksSettings = Field(default_factory=WebhooksSettings)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Check the variables for mistakes that pydantic would ignore, and return the default sources.

        Raises:
            SettingsError: a variable belongs to no section, or APP_METRICS__TOKEN is empty.
        """
        for source in (env_settings, dotenv_settings):
            if isinstance(source, EnvSettingsSource):
                _check_sections(source.env_vars, cls.model_fields)
        _check_metrics_token()
        return super().settings_customise_sources(
            settings_cls, init_settings, env_settings, dotenv_settings, file_secret_settings
        )

    @model_validator(mode="after")
    def _check_aliases(self) -> Self:
        known = self.language_model.all_aliases()
        for alias in self.guardrails.by_alias:
            if alias not in known:
                raise ValueError(f"APP_GUARDRAILS__BY_ALIAS: there is no alias {alias!r}, only {', '.join(known)}")
        return self

    @model_validator(mode="after")
    def _check_times(self) -> Self:
        """Check that timeouts exceed the timeouts of what they contain."""
        reading = ("DOCUMENTS__READING_SECONDS", self.documents.reading_seconds)
        outlasts: list[tuple[str, float, str, float]] = [("JOBS__TIME_LIMIT", self.jobs.time_limit, *reading)]
        if self.language_model.all_providers():
            answer = ("LANGUAGE_MODEL__TOTAL_TIMEOUT", self.language_model.total_timeout)
            outlasts.append(("CONVERSATIONS__TURN_LEASE", self.conversations.turn_lease, *answer))
            outlasts.append(("USAGE__RESERVATION_SECONDS", self.usage.reservation_seconds, *answer))
        for name, seconds, other, least in outlasts:
            if seconds <= least:
                raise ValueError(
                    f"{PREFIX}{name} is {seconds:g} s and has to be more than {PREFIX}{other}, {least:g} s: "
                    "raise the one or lower the other"
                )
        return self


def _check_metrics_token() -> None:
    """Raise SettingsError if the token is empty, which would otherwise count as not set and open /metrics."""
    if os.environ.get("APP_METRICS__TOKEN") == "":
        raise SettingsError("APP_METRICS__TOKEN is empty, which would open /metrics: set it, or leave it out.")


def _check_sections(names: Iterable[str], sections: Collection[str]) -> None:
    for name in names:
        section, separator, _ = name.upper().removeprefix(PREFIX).partition(DELIMITER)
        if name.upper().startswith(PREFIX) and separator and section.lower() not in sections:
            nearest = get_close_matches(section.lower(), sections, n=1)
            hint = f" Did you mean {PREFIX}{nearest[0].upper()}{DELIMITER}…?" if nearest else ""
            raise SettingsError(f"{name.upper()} is a setting of no section.{hint}")
