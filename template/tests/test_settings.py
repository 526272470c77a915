"""Tests of the settings and of the file that documents them."""

import json
import re
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import SettingsError

from app.settings import Settings

EXAMPLE = Path(__file__).parents[1] / ".env.example"


def fields() -> dict[str, FieldInfo]:
    found: dict[str, FieldInfo] = {}
    for section, outer in Settings.model_fields.items():
        assert isinstance(outer.annotation, type)
        assert issubclass(outer.annotation, BaseModel)
        for name, inner in outer.annotation.model_fields.items():
            found[f"APP_{section.upper()}__{name.upper()}"] = inner
    return found


def documented() -> dict[str, tuple[bool, str]]:
    lines = re.findall(r"^(# )?(APP_[A-Z0-9_]+)=(.*)$", EXAMPLE.read_text(), re.MULTILINE)
    return {name: (bool(mark), value.strip('"')) for mark, name, value in lines}


def test_every_setting_is_documented_and_nothing_else() -> None:
    assert sorted(documented()) == sorted(fields())


def test_the_defaults_in_the_documentation_are_the_real_ones() -> None:
    for name, (is_default, value) in documented().items():
        default = fields()[name].get_default(call_default_factory=True, validated_data={})
        if is_default:
            assert value == _as_text(default), name


def _as_text(default: object) -> str:
    """Return a default as an environment variable's value."""
    if isinstance(default, SecretStr):
        return default.get_secret_value()
    if default is None or isinstance(default, str):
        return default or ""
    return json.dumps(default) if isinstance(default, bool | dict | list) else str(default)


def test_the_example_is_a_valid_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in fields():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("APP_AUTH__JWT_SECRET", "s" * 32)
    assert Settings(_env_file=EXAMPLE).service.name


def test_every_default_of_the_example_may_be_written_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in fields():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("APP_AUTH__JWT_SECRET", "s" * 32)
    written = tmp_path / "production.env"
    written.write_text(re.sub(r"^# (?=APP_[A-Z0-9_]+=)", "", EXAMPLE.read_text(), flags=re.MULTILINE))
    assert Settings(_env_file=written) == Settings(_env_file=EXAMPLE)


def test_tests_read_no_settings_of_their_owner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("APP_SERVICE__NAME=mine")
    monkeypatch.chdir(tmp_path)
    assert Settings().service.name != "mine"


@pytest.mark.parametrize("secret", [None, "", "too short", "change-me-to-at-least-32-random-characters"])
def test_a_secret_that_others_may_know_is_refused_with_the_way_to_a_better_one(
    monkeypatch: pytest.MonkeyPatch, secret: str | None
) -> None:
    monkeypatch.delenv("APP_AUTH__JWT_SECRET")
    if secret is not None:
        monkeypatch.setenv("APP_AUTH__JWT_SECRET", secret)
    with pytest.raises(ValidationError, match=r"APP_AUTH__JWT_SECRET needs .*token_urlsafe"):
        Settings()


@pytest.mark.parametrize("place", ["the environment", "the file"])
def test_a_misspelt_section_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str) -> None:
    misspelt, file = "APP_LIMIT__REQUESTS_PER_MINUTE", tmp_path / ".env"
    if place == "the environment":
        file.write_text(EXAMPLE.read_text())
        monkeypatch.setenv(misspelt, "60")
    else:
        file.write_text(f"{EXAMPLE.read_text()}\n{misspelt}=60\n")
    with pytest.raises(SettingsError, match=rf"{misspelt} is .* Did you mean APP_LIMITS__"):
        Settings(_env_file=file)


def test_unrelated_app_variables_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_HOME", "/srv")
    Settings(_env_file=EXAMPLE)


def test_a_token_that_came_empty_does_not_open_the_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_METRICS__TOKEN", "")
    with pytest.raises(SettingsError, match="APP_METRICS__TOKEN is empty"):
        Settings(_env_file=EXAMPLE)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"CONVERSATIONS__TURN_LEASE": "300"}, "TURN_LEASE is 300 s .* APP_LANGUAGE_MODEL__TOTAL_TIMEOUT, 300 s"),
        ({"LANGUAGE_MODEL__TOTAL_TIMEOUT": "900"}, "TURN_LEASE is 330 s .*TOTAL_TIMEOUT, 900 s: raise the one"),
        ({"USAGE__RESERVATION_SECONDS": "60"}, "RESERVATION_SECONDS is 60 s .*TOTAL_TIMEOUT, 300 s"),
        ({"JOBS__TIME_LIMIT": "300"}, "APP_JOBS__TIME_LIMIT is 300 s .* APP_DOCUMENTS__READING_SECONDS, 300 s"),
    ],
)
def test_a_time_that_would_be_over_too_soon_is_refused_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], named: str
) -> None:
    provider = {"PROVIDER": "openai", "MODEL": "m", "API_KEY": "k"}
    for name, value in {**{f"LANGUAGE_MODEL__{each}": told for each, told in provider.items()}, **changes}.items():
        monkeypatch.setenv(f"APP_{name}", value)
    with pytest.raises(ValidationError, match=named):
        Settings(_env_file=EXAMPLE)


def test_without_a_provider_no_answer_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_CONVERSATIONS__TURN_LEASE", "1")
    Settings(_env_file=EXAMPLE)


def test_a_misspelt_setting_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_DATABASE__POOLSIZE", "5")
    with pytest.raises(ValidationError, match="poolsize"):
        Settings(_env_file=EXAMPLE)
