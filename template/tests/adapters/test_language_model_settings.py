"""Tests of provider and alias settings, and of the errors that name the variable to fix."""

import pytest
from pydantic import ValidationError

from app.adapters.language_model import LanguageModelSettings
from app.chat.provider_limits import ProviderLimits
from app.settings import Settings

SECTION = "APP_LANGUAGE_MODEL__"
HOUSE = {"protocol": "openai", "base_url": "http://house/v1"}
CLOUD = {"protocol": "anthropic", "api_key": "sk-cloud"}
ONE = {"provider": "openai", "model": "gpt-5", "api_key": "sk-one"}


@pytest.mark.usefixtures("settings")
def test_variables_of_the_environment_name_providers_and_chains(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PROVIDERS__CLOUD__PROTOCOL": "anthropic",
        "PROVIDERS__CLOUD__API_KEY": "sk-cloud",
        "PROVIDERS__HOUSE__PROTOCOL": "openai",
        "PROVIDERS__HOUSE__BASE_URL": "http://house/v1",
        "PROVIDERS__HOUSE__FIRST_TOKEN_TIMEOUT": "3",
        "PROVIDERS__HOUSE__REQUESTS_PER_MINUTE": "500",
        "ALIASES__DEFAULT": "cloud:claude, house:qwen3:32b",
        "ALIASES__FAST": "house:qwen3:32b",
    }.items():
        monkeypatch.setenv(SECTION + name, value)
    read = Settings().language_model
    assert read.all_aliases() == {"default": ["cloud:claude", "house:qwen3:32b"], "fast": ["house:qwen3:32b"]}
    assert read.all_providers()["house"].first_token_timeout == 3
    assert read.all_providers()["house"].limits == ProviderLimits(requests=500, tokens=0, longest_wait=2)
    assert read.all_providers()["cloud"].api_key is not None


def test_one_model_is_the_default_and_others_can_stand_in_for_it() -> None:
    assert LanguageModelSettings().all_aliases() == {"default": ["offline:extractive"]}
    assert LanguageModelSettings.model_validate(ONE).all_aliases() == {"default": ["openai:gpt-5"]}
    aliases = {"default": "openai:gpt-5, cloud:claude, offline:extractive"}
    several = LanguageModelSettings.model_validate(ONE | {"providers": {"cloud": CLOUD}, "aliases": aliases})
    assert several.all_aliases() == {"default": ["openai:gpt-5", "cloud:claude", "offline:extractive"]}
    assert several.all_providers().keys() == {"openai", "cloud"}
    limited = LanguageModelSettings.model_validate(ONE | {"tokens_per_minute": 30_000, "longest_wait": 0})
    assert limited.all_providers()["openai"].limits == ProviderLimits(requests=0, tokens=30_000, longest_wait=0)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"providers": {"house": HOUSE}}, "ALIASES__DEFAULT"),
        ({"aliases": {"fast": "offline:extractive"}}, "ALIASES__DEFAULT"),
        ({"aliases": {"default": "house:qwen"}}, "'house:qwen' is no provider:model"),
        ({"providers": {"house": HOUSE}, "aliases": {"default": "house"}}, "ALIASES__DEFAULT: 'house' is no"),
        ({"providers": {"house": HOUSE}, "aliases": {"default": "house:"}}, "'house:' is no"),
        ({"providers": {"house": HOUSE}, "aliases": {"default": "house:a,house:a"}}, "names a model twice"),
        ({"providers": {"house": HOUSE}, "aliases": {"default": ""}}, "at least 1 item"),
        ({"providers": {"house": HOUSE}, "aliases": {"default": "house:a", "a:b": "house:a"}}, "pattern"),
        ({"providers": {"cloud": {"protocol": "anthropic"}}, "aliases": {"default": "cloud:a"}}, "CLOUD__API_KEY"),
        ({"providers": {"house": HOUSE | {"protocol": "grpc"}}, "aliases": {"default": "house:a"}}, "protocol"),
        ({"providers": {"house": HOUSE | {"timeout": 5}}, "aliases": {"default": "house:a"}}, "timeout"),
        ({"providers": {"offline": HOUSE}, "aliases": {"default": "offline:a"}}, "'offline' is taken"),
        (ONE | {"providers": {"openai": HOUSE}}, "'openai' is taken"),
        (ONE | {"aliases": {"fast": "anthropic:claude"}}, r"ALIASES__FAST: .* \(openai\)"),
        ({"attempts": 0}, "attempts"),
        (ONE | {"requests_per_minute": -1}, "requests_per_minute"),
        (ONE | {"longest_wait": 61}, "longest_wait"),
    ],
)
def test_what_cannot_work_is_refused_with_the_variable_to_mend(values: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        LanguageModelSettings.model_validate(values)


@pytest.mark.usefixtures("settings")
def test_a_refused_configuration_does_not_show_its_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{SECTION}PROVIDERS__CLOUD__PROTOCOL", "anthropic")
    monkeypatch.setenv(f"{SECTION}PROVIDERS__CLOUD__API_KEY", "sk-canary")
    with pytest.raises(ValidationError, match="ALIASES__DEFAULT") as caught:
        Settings()
    assert "sk-canary" not in str(caught.value)
