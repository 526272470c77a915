"""The answer service: a question becomes an answer with checked citations, complete or streamed."""

from contextlib import aclosing
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from app.adapters.offline_language_model import OfflineLanguageModel
from app.answers.prompts import RULES
from app.answers.retrieval import Filters
from app.answers.service import NOTHING_FOUND, AnswerService, Done, Passages, Token
from app.answers.settings import AnswersSettings
from app.auth.caller import Caller, Scope
from app.chat.ports import Usage
from app.errors import (
    EmbeddingModelError,
    ForbiddenError,
    TooManyRequestsError,
    UnavailableError,
    UnprocessableError,
    UpstreamFailedError,
)
from app.prompts.service import PromptChoice
from tests.answers.fakes import DOCUMENT, FakeLanguageModel, FakePrompts, FakeRetrieval, FakeUsage, caller, passage_of

QUESTION = "How long does the warranty last?"
WARRANTY = passage_of("The warranty lasts 24 months. It covers the battery [2], but not the cable.")
RETURNS = passage_of("Goods can be returned within 30 days. The buyer pays for the parcel.")


def service_of(model: FakeLanguageModel, usage: FakeUsage) -> AnswerService:
    return AnswerService(FakeRetrieval([WARRANTY]), model, usage, FakePrompts())


async def test_an_answer_carries_text_citations_model_and_usage() -> None:
    model = FakeLanguageModel(["It lasts ", "24 months [1]."])
    answer = await AnswerService(FakeRetrieval([WARRANTY]), model, FakeUsage(), FakePrompts()).answer(
        QUESTION, caller=caller()
    )
    assert answer.text == "It lasts 24 months [1]."
    assert [each.quote for each in answer.citations] == ["The warranty lasts 24 months."]
    assert (answer.model, answer.usage) == ("fake:model-1", Usage(10, 5))


async def test_the_stream_shows_passages_then_tokens_then_the_same_answer() -> None:
    service = AnswerService(
        FakeRetrieval([WARRANTY]), FakeLanguageModel(["24 ", "months [1]."]), FakeUsage(), FakePrompts()
    )
    events = [event async for event in service.stream(QUESTION, caller=caller())]
    assert events[:3] == [Passages([WARRANTY]), Token("24 "), Token("months [1].")]
    assert events[3:] == [Done(await service.answer(QUESTION, caller=caller()))]


async def test_the_search_gets_the_question_the_caller_and_the_filters() -> None:
    retrieval = FakeRetrieval([WARRANTY])
    filters = Filters(tags=("manual",))
    service = AnswerService(retrieval, FakeLanguageModel(["Yes."]), FakeUsage(), FakePrompts())
    await service.answer(QUESTION, caller=caller(), top_k=3, filters=filters)
    assert retrieval.asked == [(QUESTION, caller().id, 3, filters)]


async def test_a_limit_that_is_reached_is_said_before_the_first_event() -> None:
    model = FakeLanguageModel(["Something."])
    usage = FakeUsage(TooManyRequestsError("Later.", retry_after=1))
    with pytest.raises(TooManyRequestsError):
        await anext(service_of(model, usage).stream(QUESTION, caller=caller()))
    assert model.requests == []


async def test_who_leaves_before_the_model_is_asked_gets_back_what_was_held() -> None:
    model, usage = FakeLanguageModel(["Something."]), FakeUsage()
    async with aclosing(service_of(model, usage).stream(QUESTION, caller=caller())) as it:
        assert await anext(it) == Passages([WARRANTY])
    assert (model.requests, usage.measurements, len(usage.released)) == ([], [], 1)


async def test_where_nothing_is_found_the_answer_says_so_and_no_model_is_asked() -> None:
    model = FakeLanguageModel(["Something."])
    answer = await AnswerService(FakeRetrieval(), model, FakeUsage(), FakePrompts()).answer(QUESTION, caller=caller())
    assert answer.text == NOTHING_FOUND
    assert (answer.citations, answer.usage) == ([], Usage(0, 0))
    assert model.requests == []


async def test_a_caller_without_the_scope_is_refused_before_anything_is_searched() -> None:
    retrieval = FakeRetrieval([WARRANTY])
    stranger = Caller(caller().id, frozenset({Scope.SEARCH}))
    with pytest.raises(ForbiddenError):
        await AnswerService(retrieval, FakeLanguageModel(), FakeUsage(), FakePrompts()).answer(
            QUESTION, caller=stranger
        )
    assert retrieval.asked == []


async def test_a_failure_of_the_search_comes_before_the_first_event() -> None:
    service = AnswerService(
        FakeRetrieval(failure=EmbeddingModelError("Index anew.")), FakeLanguageModel(), FakeUsage(), FakePrompts()
    )
    with pytest.raises(EmbeddingModelError):
        await anext(service.stream(QUESTION, caller=caller()))


async def test_a_failure_of_the_model_comes_after_what_it_wrote() -> None:
    service = AnswerService(
        FakeRetrieval([WARRANTY]),
        FakeLanguageModel(["24 "], UnavailableError("Overloaded.")),
        FakeUsage(),
        FakePrompts(),
    )
    events = service.stream(QUESTION, caller=caller())
    assert [await anext(events), await anext(events)] == [Passages([WARRANTY]), Token("24 ")]
    with pytest.raises(UnavailableError):
        await anext(events)


@pytest.mark.parametrize("model", [FakeLanguageModel([" \n"]), FakeLanguageModel(["24 "], finishes=False)])
async def test_a_model_that_writes_nothing_or_never_ends_has_failed(model: FakeLanguageModel) -> None:
    with pytest.raises(UpstreamFailedError):
        await AnswerService(FakeRetrieval([WARRANTY]), model, FakeUsage(), FakePrompts()).answer(
            QUESTION, caller=caller()
        )


async def test_an_answer_that_a_limit_has_cut_off_says_so() -> None:
    model = FakeLanguageModel(["It lasts 24 "], reason="length")
    assert (await service_of(model, FakeUsage()).answer(QUESTION, caller=caller())).finish_reason == "length"


@pytest.mark.parametrize(("ceiling", "most"), [(None, 3000), (500, 500), (9000, 3000)])
async def test_an_answer_is_as_long_as_the_settings_and_what_limits_the_caller_allow(
    ceiling: int | None, most: int
) -> None:
    model, usage = FakeLanguageModel(["24 months [1]."]), FakeUsage(ceiling=ceiling)
    service = replace(service_of(model, usage), settings=AnswersSettings(max_tokens=3000))
    await service.answer(QUESTION, caller=caller())
    assert model.requests[0].max_tokens == most


async def test_closing_the_stream_stops_the_model() -> None:
    model = FakeLanguageModel(["24 ", "months"], silent=True)
    async with aclosing(
        AnswerService(FakeRetrieval([WARRANTY]), model, FakeUsage(), FakePrompts()).stream(QUESTION, caller=caller())
    ) as events:
        await anext(events)
        await anext(events)
    assert model.closed.is_set()


async def test_markers_without_a_passage_are_logged() -> None:
    service = AnswerService(
        FakeRetrieval([WARRANTY]), FakeLanguageModel(["24 months [1][8]."]), FakeUsage(), FakePrompts()
    )
    with capture_logs() as logs:
        answer = await service.answer(QUESTION, caller=caller())
    assert [each.marker for each in answer.citations] == [1]
    assert [(entry["event"], entry["unknown_markers"]) for entry in logs] == [("answer.written", 1)]
    assert "24 months" not in str(logs)


async def test_offline_answers_cite_the_document_word_for_word() -> None:
    service = AnswerService(FakeRetrieval([RETURNS, WARRANTY]), OfflineLanguageModel(), FakeUsage(), FakePrompts())
    for question in ("How long does the warranty last?", "Is the battery covered?", "Who pays for the parcel?"):
        answer = await service.answer(question, caller=caller())
        assert answer.citations
        for citation in answer.citations:
            assert DOCUMENT[citation.start : citation.end] == citation.quote
            assert citation.quote.replace("[2]", "(2)") in answer.text


PROMPTS = {("answers", 2): "Answer in verse.", ("support", 1): "You work for {company}."}


async def test_the_active_prompt_takes_the_place_of_the_rules_and_is_noted_with_the_use() -> None:
    model, usage = FakeLanguageModel(["24 months [1]."]), FakeUsage()
    service = AnswerService(FakeRetrieval([WARRANTY]), model, usage, FakePrompts(PROMPTS, {"answers": 2}))
    await service.answer(QUESTION, caller=caller())
    assert model.requests[0].messages[0].content == "Answer in verse."
    assert [(each.prompt_name, each.prompt_version) for each in usage.measurements] == [("answers", 2)]


async def test_a_prompt_that_the_caller_names_goes_before_the_active_one() -> None:
    model, usage = FakeLanguageModel(["24 months [1]."]), FakeUsage()
    service = AnswerService(FakeRetrieval([WARRANTY]), model, usage, FakePrompts(PROMPTS, {"answers": 2}))
    await service.answer(QUESTION, caller=caller(), prompt=PromptChoice("support", 1, {"company": "Acme"}))
    assert model.requests[0].messages[0].content == "You work for Acme."
    assert [(each.prompt_name, each.prompt_version) for each in usage.measurements] == [("support", 1)]


async def test_without_a_prompt_the_rules_hold_and_nothing_is_noted() -> None:
    model, usage = FakeLanguageModel(["24 months [1]."]), FakeUsage()
    await AnswerService(FakeRetrieval([WARRANTY]), model, usage, FakePrompts()).answer(QUESTION, caller=caller())
    assert model.requests[0].messages[0].content == RULES
    assert [(each.prompt_name, each.prompt_version) for each in usage.measurements] == [(None, None)]


async def test_a_prompt_that_cannot_be_used_is_refused_before_anything_is_searched() -> None:
    retrieval = FakeRetrieval([WARRANTY])
    service = AnswerService(retrieval, FakeLanguageModel(), FakeUsage(), FakePrompts(PROMPTS))
    with pytest.raises(UnprocessableError, match="company"):
        await service.answer(QUESTION, caller=caller(), prompt=PromptChoice("support", 1))
    assert retrieval.asked == []
