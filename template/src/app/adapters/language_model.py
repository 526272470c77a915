"""The language model: which provider writes the answers, and how long it may take."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from app.adapters.offline_language_model import OfflineLanguageModel
from app.chat.ports import LanguageModel


class LanguageModelSettings(BaseModel):
    """Who writes the answers. All times are in seconds."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    provider: Literal["offline", "openai", "anthropic"] = Field(
        default="offline", description="`offline` quotes passages and needs no provider"
    )
    model: str | None = Field(default=None, description="the provider's name of the model")
    base_url: str | None = Field(
        default=None, pattern=r"^https?://", description="another server that speaks the provider's protocol"
    )
    api_key: SecretStr | None = Field(default=None, description="not needed where base_url does not ask for one")
    connect_timeout: float = Field(default=5, gt=0, description="to reach the provider")
    first_token_timeout: float = Field(default=60, gt=0, description="until the model starts to write")
    idle_timeout: float = Field(default=30, gt=0, description="silence in the middle of an answer")
    total_timeout: float = Field(default=300, gt=0, description="for a whole answer")

    @model_validator(mode="before")
    @classmethod
    def _drop_blanks(cls, values: object) -> object:
        """Read `APP_LANGUAGE_MODEL__MODEL=` in an environment file as not set."""
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if value != ""}

    @model_validator(mode="after")
    def _check_provider(self) -> Self:
        if self.provider == "offline":
            return self
        if not self.model:
            raise ValueError(
                f"the provider {self.provider!r} needs a model: set APP_LANGUAGE_MODEL__MODEL, "
                "or APP_LANGUAGE_MODEL__PROVIDER=offline to do without"
            )
        if self.base_url is None and not (self.api_key and self.api_key.get_secret_value()):
            raise ValueError(
                f"the provider {self.provider!r} needs a key: set APP_LANGUAGE_MODEL__API_KEY, "
                "or APP_LANGUAGE_MODEL__BASE_URL for a server that asks for none"
            )
        return self


@asynccontextmanager
async def open_language_model(settings: LanguageModelSettings) -> AsyncIterator[LanguageModel]:
    """Offer the configured model; a provider's connections are kept open until the end, and nothing is sent before."""
    if settings.provider == "offline":
        yield OfflineLanguageModel()
        return
    # A process that does without a provider is spared the second that these imports take.
    from app.adapters.provider_language_model import open_provider_model  # noqa: PLC0415

    async with open_provider_model(settings) as model:
        yield model
