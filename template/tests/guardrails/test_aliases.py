"""Guardrails that differ per alias."""

from typing import Any

import httpx2
import pytest
from pydantic import ValidationError

from app.guardrails.settings import GuardrailSettings
from app.settings import Settings
from tests.guardrails.test_guardrails import ATTACK
from tests.http import Person

LOOSE: dict[str, Any] = {"by_alias": {"default": {"input": {}}}}
STRICT = {"by_alias": {"fast": {"banned_phrases": ["months"]}}}


async def ask(person: Person, model: str, content: str = "How long?") -> httpx2.Response:
    body = {"model": model, "messages": [{"role": "user", "content": content}]}
    return await person.request("POST", "/v1/chat/completions", json=body)


@pytest.mark.parametrize("guardrails", [STRICT])
@pytest.mark.parametrize(
    ("model", "status"),
    [("default", 200), ("steady", 200), ("house:steady", 200), ("fast", 400), ("house:limited", 400)],
)
async def test_a_model_by_its_own_name_has_the_guardrails_of_the_first_alias_that_has_it(
    ada: Person, model: str, status: int
) -> None:
    assert (await ask(ada, model)).status_code == status


@pytest.mark.parametrize("guardrails", [LOOSE])
async def test_every_feature_goes_by_the_alias_that_it_asks(ada: Person) -> None:
    assert [(await ask(ada, model, ATTACK)).status_code for model in ("default", "fast")] == [200, 400]
    assert (await ada.request("POST", "/v1/answers", json={"question": ATTACK})).status_code == 200
    for model, statuses in (("default", {200, 502}), ("fast", {422})):
        begun = await ada.request("POST", "/v1/conversations", json={"model": model})
        said = await ada.request("POST", f"/v1/conversations/{begun.json()['id']}/messages", json={"content": ATTACK})
        assert said.status_code in statuses, said.text
        body = {"text": ATTACK, "schema": {"type": "object"}, "model": model, "max_attempts": 1}
        assert (await ada.request("POST", "/v1/extractions", json=body)).status_code in statuses


def test_what_an_alias_does_not_name_is_as_it_is_for_every_model() -> None:
    settings = GuardrailSettings.model_validate(
        {
            "banned_phrases": ["guaranteed"],
            "by_alias": {"fast": {"output": {"banned": "redact"}, "max_input_tokens": 9}},
        }
    )
    fast = settings.of("fast")
    assert (fast.banned_phrases, fast.output, fast.max_input_tokens) == (["guaranteed"], {"banned": "redact"}, 9)
    assert fast.input == settings.input
    assert settings.of("default").output == settings.output


@pytest.mark.usefixtures("settings")
def test_an_alias_is_set_in_the_environment_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_LANGUAGE_MODEL__ALIASES__FAST", "offline:extractive")
    monkeypatch.setenv("APP_LANGUAGE_MODEL__ALIASES__DEFAULT", "offline:extractive")
    monkeypatch.setenv("APP_GUARDRAILS__BY_ALIAS__FAST__OUTPUT", '{"pii": "review"}')
    monkeypatch.setenv("APP_GUARDRAILS__BY_ALIAS__FAST__SCREEN_PASSAGES", "false")
    checks = Settings().guardrails.of("fast")
    assert (checks.output, checks.screen_passages) == ({"pii": "review"}, False)


@pytest.mark.parametrize(
    ("by_alias", "told"),
    [
        ('{"slow": {}}', "APP_GUARDRAILS__BY_ALIAS: there is no alias 'slow', only default"),
        ('{"default": {"input": {"length": "redact"}}}', "`length` cannot redact"),
        ('{"default": {"by_alias": {}}}', "by_alias.default.by_alias"),
    ],
)
@pytest.mark.usefixtures("settings")
def test_what_cannot_be_meant_is_refused_at_start_up(monkeypatch: pytest.MonkeyPatch, by_alias: str, told: str) -> None:
    monkeypatch.setenv("APP_GUARDRAILS__BY_ALIAS", by_alias)
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert told in str(caught.value)
