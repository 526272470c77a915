"""Settings for language models and their providers, and construction of the chains."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, StringConstraints, model_validator

from app.adapters.offline_language_model import OfflineLanguageModel
from app.chat.circuits import CircuitBreaker
from app.chat.failover import FailoverModel
from app.chat.ports import DEFAULT, LanguageModel
from app.chat.provider_limits import ProviderLimiter, ProviderLimits, limit_calls

OFFLINE = "offline"
SECTION = "APP_LANGUAGE_MODEL__"


def _split(value: object) -> object:
    """Split `openai:gpt-5, house:qwen` into a list."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=60)]
Chain = Annotated[list[str], BeforeValidator(_split), Field(min_length=1, max_length=10)]


class ConnectionSettings(BaseModel):
    """Connection settings for a provider. Times are in seconds."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    base_url: str | None = Field(
        default=None, pattern=r"^https?://", description="URL of another server with the provider's protocol"
    )
    api_key: SecretStr | None = Field(default=None, description="optional if the server of base_url needs none")
    connect_timeout: float = Field(default=5, gt=0, description="timeout for connecting to the provider")
    first_token_timeout: float = Field(default=60, gt=0, description="timeout for the first token")
    idle_timeout: float = Field(default=30, gt=0, description="longest silence in the middle of an answer")
    total_timeout: float = Field(default=300, gt=0, description="timeout for a complete answer")
    requests_per_minute: int = Field(default=0, ge=0, description="limit for all processes together; 0 is no limit")
    tokens_per_minute: int = Field(default=0, ge=0, description="as above, for input and output tokens together")
    longest_wait: float = Field(default=2, ge=0, le=60, description="longest wait of a call for these limits")

    @model_validator(mode="before")
    @classmethod
    def _drop_blanks(cls, values: object) -> object:
        """Treat empty values, such as `APP_LANGUAGE_MODEL__MODEL=` in an environment file, as not set."""
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if value != ""}


class ProviderSettings(ConnectionSettings):
    """Settings for a provider."""

    protocol: Literal["openai", "anthropic"]

    @property
    def limits(self) -> ProviderLimits:
        """Limits on its calls per minute."""
        return ProviderLimits(self.requests_per_minute, self.tokens_per_minute, self.longest_wait)


class LanguageModelSettings(ConnectionSettings):
    """Settings for language models: one model, or several providers with aliases for chains of their models."""

    provider: Literal["offline", "openai", "anthropic"] = Field(
        default="offline", description="`offline` quotes passages and needs no provider"
    )
    model: str | None = Field(default=None, description="name of the model at the provider")
    providers: dict[Name, ProviderSettings] = Field(default={}, description="further providers, by names of your own")
    aliases: dict[Name, Chain] = Field(
        default={}, description="chains of provider:model in the order of their calls, by the names that callers use"
    )
    attempts: int = Field(default=2, ge=1, le=10, description="attempts per model before falling back to the next one")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.provider != OFFLINE and not self.model:
            raise ValueError(
                f"the provider {self.provider!r} needs a model: set {SECTION}MODEL, "
                f"or {SECTION}PROVIDER=offline to do without"
            )
        if taken := {self.provider, OFFLINE} & self.providers.keys():
            raise ValueError(f"{SECTION}PROVIDERS: the name {min(taken)!r} is taken, choose another")
        if (self.providers or self.aliases) and self.provider == OFFLINE and DEFAULT not in self.aliases:
            raise ValueError(f"there is no default model: set {SECTION}ALIASES__DEFAULT")
        for name, each in self.all_providers().items():
            own = SECTION if name == self.provider else f"{SECTION}PROVIDERS__{name.upper()}__"
            if each.base_url is None and not (each.api_key and each.api_key.get_secret_value()):
                raise ValueError(
                    f"the provider {name!r} needs a key: set {own}API_KEY, "
                    f"or {own}BASE_URL for a server that asks for none"
                )
        for alias, chain in self.aliases.items():
            self._check_chain(alias, chain)
        return self

    def all_providers(self) -> dict[str, ProviderSettings]:
        """Return every provider except the offline model, by name."""
        if self.provider == OFFLINE:
            return dict(self.providers)
        own = {name: getattr(self, name) for name in ConnectionSettings.model_fields}
        return {self.provider: ProviderSettings(protocol=self.provider, **own), **self.providers}

    def all_aliases(self) -> dict[str, list[str]]:
        """Return every chain of models by its alias, `default` first."""
        own = OfflineLanguageModel().name if self.provider == OFFLINE else f"{self.provider}:{self.model}"
        return {DEFAULT: self.aliases.get(DEFAULT, [own]), **self.aliases}

    def alias_by_name(self) -> dict[str, str]:
        """Return the alias of every name that can be requested; of a model in several chains, the first."""
        aliases = self.all_aliases()
        names = {alias: alias for alias in aliases}
        for alias, chain in aliases.items():
            for name in chain:
                names.setdefault(name, alias)
        names.setdefault(_own_name(aliases), DEFAULT)
        return names

    def _check_chain(self, alias: str, chain: list[str]) -> None:
        variable = f"{SECTION}ALIASES__{alias.upper()}"
        if len(set(chain)) < len(chain):
            raise ValueError(f"{variable} names a model twice")
        for name in chain:
            provider, _, model = name.partition(":")
            if name != OfflineLanguageModel().name and not (provider in self.all_providers() and model):
                known = ", ".join(sorted(self.all_providers())) or "none"
                raise ValueError(f"{variable}: {name!r} is no provider:model of a configured provider ({known})")


@asynccontextmanager
async def open_language_models(
    settings: LanguageModelSettings, breaker: CircuitBreaker, limiter: ProviderLimiter
) -> AsyncIterator[Mapping[str, LanguageModel]]:
    """Yield the models by every name under which they can be requested, `default` first.

    All models of a provider share one connection pool, which is closed on exit. Nothing is sent before a request.
    """
    async with AsyncExitStack() as stack:
        providers: dict[str, Callable[[str], LanguageModel]] = {OFFLINE: lambda _: OfflineLanguageModel()}
        for name, each in settings.all_providers().items():
            # The import takes a second, which processes without a provider save.
            from app.adapters.provider_language_model import open_provider  # noqa: PLC0415

            find = await stack.enter_async_context(open_provider(name, each))
            providers[name] = limit_calls(find, name, each.limits, limiter)
        chains = dict(_chains(settings.all_aliases()))
        members = {name: _member(name, providers) for chain in chains.values() for name in chain}
        yield {alias: _join([members[name] for name in chain], settings, breaker) for alias, chain in chains.items()}


def _chains(aliases: Mapping[str, list[str]]) -> Iterator[tuple[str, list[str]]]:
    """Yield names and chains: aliases, then every model by its full name, and the default by its provider's name."""
    yield from aliases.items()
    for chain in aliases.values():
        yield from ((name, [name]) for name in chain)
    own = _own_name(aliases)
    if own not in aliases:
        yield own, [aliases[DEFAULT][0]]


def _own_name(aliases: Mapping[str, list[str]]) -> str:
    """Return the provider's name of the first default model."""
    return aliases[DEFAULT][0].partition(":")[2]


def _member(name: str, providers: Mapping[str, Callable[[str], LanguageModel]]) -> LanguageModel:
    provider, _, model = name.partition(":")
    return providers[provider](model)


def _join(chain: list[LanguageModel], settings: LanguageModelSettings, breaker: CircuitBreaker) -> LanguageModel:
    if len(chain) == 1 and isinstance(chain[0], OfflineLanguageModel):
        return chain[0]  # it cannot fail
    return FailoverModel(chain, breaker, settings.attempts, settings.total_timeout)
