"""Contract of prompt sources: `FakePrompts`, which the tests of answers use, behaves like the service."""

from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID

import pytest

from app.answers.ports import PromptSource
from app.auth.caller import ACCOUNT_SCOPES, Caller, Scope
from app.database import Database
from app.errors import ConflictError, NotFoundError, UnprocessableError
from app.prompts.service import FilledPrompt, PromptChoice, PromptService
from tests.answers.fakes import FakePrompts

TEXTS = {("plain", 1): "Old.", ("plain", 2): "New.", ("plain", 3): "Next.", ("full", 1): "For {who}."}


async def create_prompt_service(database: Database, account_id: UUID) -> PromptService:
    service = PromptService(database)
    writer = Caller(account_id, frozenset(Scope))
    for (name, _), body in TEXTS.items():
        await service.create(name, body, ["who"] if name == "full" else [], caller=writer)
    for name, version in (("plain", 1), ("plain", 2), ("full", 1)):
        await service.activate(name, version, caller=writer)
    return service


@pytest.fixture(params=["fake", "real"])
async def source(request: pytest.FixtureRequest, database: Database, account_id: UUID) -> AsyncIterator[PromptSource]:
    """A source of two prompts, the first with a retired, an active and a draft version."""
    if request.param == "fake":
        yield FakePrompts(TEXTS, {"plain": 2, "full": 1}, {("plain", 3)})
    else:
        yield await create_prompt_service(database, account_id)


@pytest.fixture
def caller(account_id: UUID) -> Caller:
    return Caller(account_id, ACCOUNT_SCOPES)


async def test_the_active_version_is_the_one_that_is_meant(source: PromptSource, caller: Caller) -> None:
    expected = FilledPrompt("plain", 2, "New.")
    assert await source.find_active("plain") == expected
    assert await source.fill(PromptChoice("plain"), caller=caller) == expected
    assert await source.find_active("none") is None


async def test_retired_versions_can_be_named(source: PromptSource, caller: Caller) -> None:
    assert await source.fill(PromptChoice("plain", 1), caller=caller) == FilledPrompt("plain", 1, "Old.")


async def test_drafts_are_for_those_who_write(source: PromptSource, caller: Caller) -> None:
    with pytest.raises(ConflictError):
        await source.fill(PromptChoice("plain", 3), caller=caller)
    writer = replace(caller, scopes=frozenset(Scope))
    assert (await source.fill(PromptChoice("plain", 3), caller=writer)).text == "Next."


async def test_variables_are_filled_in_and_checked(source: PromptSource, caller: Caller) -> None:
    assert (await source.fill(PromptChoice("full", None, {"who": "Ada"}), caller=caller)).text == "For Ada."
    with pytest.raises(UnprocessableError, match="who"):
        await source.fill(PromptChoice("full"), caller=caller)
    with pytest.raises(UnprocessableError, match="town"):
        await source.fill(PromptChoice("plain", None, {"town": "Oslo"}), caller=caller)


@pytest.mark.parametrize("choice", [PromptChoice("none"), PromptChoice("none", 1), PromptChoice("plain", 9)])
async def test_what_is_not_there_is_not_found(source: PromptSource, caller: Caller, choice: PromptChoice) -> None:
    with pytest.raises(NotFoundError):
        await source.fill(choice, caller=caller)
