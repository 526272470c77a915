"""Kept answers are forgotten by owner."""

from uuid import uuid4

import pytest

from app.adapters.answer_cache import ValkeyAnswerCache
from app.adapters.kept_answers import open_kept_answers
from app.adapters.valkey import open_valkey
from app.auth.caller import Caller
from app.chat.answer_cache import KeptAnswer, answer_key
from app.chat.ports import Finished, Message, ModelRequest, TextDelta, Usage
from app.errors import UnavailableError
from app.settings import Settings
from tests.adapters.valkey import dead_valkey
from tests.answers.fakes import FakeLanguageModel

ANSWER = KeptAnswer([TextDelta("Yes.")], Finished("stop", Usage(1, 1, 0), "offline"), took=1, life=60, left=60)


def key_of(caller: Caller, question: str) -> str:
    request = ModelRequest([Message("user", question)])
    return answer_key(request, alias="default", model=FakeLanguageModel(), checks={}, caller=caller)


async def test_the_answers_of_one_account_are_forgotten_and_those_of_others_are_not(settings: Settings) -> None:
    ada, eve = Caller(uuid4()), Caller(uuid4())
    async with open_valkey(settings.valkey) as client:
        assert client is not None
        cache = ValkeyAnswerCache(client, settings.valkey.prefix, max_bytes=1000)
        for key in (key_of(ada, "One?"), key_of(ada, "Two?"), key_of(eve, "One?")):
            await cache.keep(key, ANSWER)
        answers = open_kept_answers(settings.valkey, client)
        assert answers is not None
        for _ in range(2):
            await answers.forget(ada.id)
            assert await cache.find(key_of(ada, "One?")) is await cache.find(key_of(ada, "Two?")) is None
        assert await cache.find(key_of(eve, "One?")) is not None


async def test_a_server_that_is_away_is_said_to_be() -> None:
    with dead_valkey() as settings:
        async with open_valkey(settings) as client:
            answers = open_kept_answers(settings, client)
            assert answers is not None
            with pytest.raises(UnavailableError, match="Valkey does not answer"):
                await answers.forget(uuid4())


def test_without_a_server_none_are_kept(settings: Settings) -> None:
    assert open_kept_answers(settings.valkey, None) is None
