"""Tests of the offline model, which quotes the sentences that answer a question when no provider is configured."""

import pytest

from app.adapters.offline_language_model import NO_MATCH, NO_SOURCES, OfflineLanguageModel, quote
from app.chat.ports import Finished, JsonSchema, Message, ModelRequest, Source, TextDelta, Tool
from app.errors import UnsupportedParameterError

WARRANTY = Source(
    1,
    "# Warranty\n\nThe warranty lasts 24 months from the date of purchase. It does not cover damage\n"
    "caused by water, e.g. a spilled drink. To claim, write to service@example.com.\n\n"
    "## Returns\nYou may return any item within 30 days. Refunds are paid within 5 working days.",
)
COMPANY = Source(
    2,
    "Opening hours: Monday to Friday, 9:00 to 17:00\nThe shop is at 12 Harbour Street in Bristol. "
    "Ada Lovelace founded the company in 1843 [7].",
)
SOURCES = (WARRANTY, COMPANY)


async def answer(question: str, sources: tuple[Source, ...] = SOURCES, max_tokens: int = 500) -> tuple[str, Finished]:
    request = ModelRequest([Message("system", "Rules."), Message("user", question)], sources, max_tokens)
    *pieces, end = [event async for event in OfflineLanguageModel().stream(request)]
    assert isinstance(end, Finished)
    return "".join(piece.text for piece in pieces if isinstance(piece, TextDelta)), end


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How long is the warranty?", "The warranty lasts 24 months from the date of purchase. [1]"),
        ("How long does the warranty last?", "The warranty lasts 24 months from the date of purchase. [1]"),
        ("What isn't covered?", "It does not cover damage caused by water, e.g. a spilled drink. [1]"),
        ("How many days do I have to return an item?", "You may return any item within 30 days. [1]"),
        ("When will I be refunded?", "Refunds are paid within 5 working days. [1]"),
        ("Where is the shop?", "The shop is at 12 Harbour Street in Bristol. [2]"),
        ("What are the opening hours?", "Opening hours: Monday to Friday, 9:00 to 17:00 [2]"),
        ("Who founded the company?", "Ada Lovelace founded the company in 1843 (7). [2]"),
    ],
)
async def test_a_question_is_answered_with_the_sentence_that_answers_it(question: str, expected: str) -> None:
    text, end = await answer(question)
    assert text == expected
    assert (end.model, end.reason) == ("offline:extractive", "stop")


@pytest.mark.parametrize(
    "question", ["What is the capital of Mongolia?", "What does gold cost?", "Who is the emperor?", "???", ""]
)
async def test_a_question_that_nothing_answers_is_told_so_and_cites_nothing(question: str) -> None:
    assert (await answer(question))[0] == NO_MATCH


async def test_without_sources_it_says_that_it_is_no_language_model() -> None:
    text, _ = await answer("Write a poem.", sources=())
    assert text == NO_SOURCES
    assert "no language model" in text


@pytest.mark.parametrize(
    "messages",
    [
        [Message("user", f"{WARRANTY.text} How long is the warranty?")],
        [Message("system", WARRANTY.text), Message("user", "How long is the warranty?")],
        [Message("user", WARRANTY.text), Message("assistant", "Noted."), Message("user", "How long is the warranty?")],
    ],
)
async def test_without_sources_the_text_of_the_conversation_is_quoted_without_markers(messages: list[Message]) -> None:
    *pieces, _ = [event async for event in OfflineLanguageModel().stream(ModelRequest(messages))]
    text = "".join(piece.text for piece in pieces if isinstance(piece, TextDelta))
    assert text == "The warranty lasts 24 months from the date of purchase."


async def test_its_own_words_are_no_source() -> None:
    messages = [Message("assistant", "The moon is made of cheese."), Message("user", "What is the moon made of?")]
    *pieces, _ = [event async for event in OfflineLanguageModel().stream(ModelRequest(messages))]
    assert "".join(piece.text for piece in pieces if isinstance(piece, TextDelta)) == NO_SOURCES


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (ModelRequest([], tools=[Tool("get_weather")]), "tools"),
        (ModelRequest([], response_format="json_object"), "response_format"),
        (ModelRequest([], response_format=JsonSchema("city", {})), "response_format"),
    ],
)
async def test_what_only_a_language_model_can_do_is_refused_with_the_remedy(request_: ModelRequest, param: str) -> None:
    with pytest.raises(UnsupportedParameterError, match="APP_LANGUAGE_MODEL__PROVIDER") as caught:
        await anext(OfflineLanguageModel().stream(request_))
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("stop", "expected"),
    [(["months"], "The warranty lasts 24 "), (["24", "lasts"], "The warranty "), (["The"], ""), (["zebra"], None)],
)
async def test_it_stops_before_the_first_of_the_strings_that_it_shall_stop_at(
    stop: list[str], expected: str | None
) -> None:
    request = ModelRequest([Message("user", "How long is the warranty?")], SOURCES, stop=stop)
    *pieces, end = [event async for event in OfflineLanguageModel().stream(request)]
    text = "".join(piece.text for piece in pieces if isinstance(piece, TextDelta))
    assert text == ("The warranty lasts 24 months from the date of purchase. [1]" if expected is None else expected)
    assert isinstance(end, Finished)
    assert end.reason == "stop"


async def test_a_question_in_two_parts_gets_a_sentence_for_each() -> None:
    text, _ = await answer("Where is the shop, and who founded the company?")
    assert "Harbour Street in Bristol. [2]" in text
    assert "Ada Lovelace" in text


def test_at_most_three_sentences_are_quoted() -> None:
    many = Source(1, " ".join(f"The warranty for part {name} differs." for name in ("alpha", "beta", "gamma", "delta")))
    assert quote("What about the warranty for part alpha, beta, gamma and delta?", [many]).count("[1]") <= 3


def test_a_heading_is_never_quoted_by_itself() -> None:
    assert quote("What about returns?", SOURCES) != "## Returns [1]"
    assert "#" not in quote("What about the warranty?", SOURCES)


def test_a_sentence_that_stands_in_two_passages_is_quoted_once() -> None:
    again = Source(2, "The warranty lasts 24 months from the date of purchase.")
    assert quote("How long does the warranty last?", [WARRANTY, again]).count("24 months") == 1


async def test_an_answer_over_the_limit_is_cut_and_says_so() -> None:
    text, end = await answer("How long is the warranty?", max_tokens=3)
    assert (text, end.reason, end.usage.output_tokens) == ("The warranty lasts", "length", 3)


async def test_the_answer_comes_word_by_word() -> None:
    request = ModelRequest([Message("user", "How long is the warranty?")], SOURCES)
    events = [event async for event in OfflineLanguageModel().stream(request)]
    assert len(events) == 12
    assert events[:2] == [TextDelta("The"), TextDelta(" warranty")]
