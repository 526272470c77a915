"""Tools and response formats, which the model reads, are counted and checked like messages."""

from dataclasses import replace
from typing import Any

import pytest

from app.chat.metering import Meter
from app.chat.ports import JsonSchema, Message, ModelRequest, Tool, ToolCall
from app.chat.service import ChatService
from app.chat.settings import ChatSettings
from app.errors import GuardrailRefusedError
from app.guardrails.service import Guardrails
from app.guardrails.settings import GuardrailSettings
from tests.answers.fakes import FakeLanguageModel, FakePrompts, FakeUsage, caller

LONG = "x" * 4000
HELLO = ModelRequest([Message("user", "Hi.")])
ADDRESS = "ada@example.com"
NUMBER = "Call\n+49 30 901820."


def schema(description: str) -> dict[str, Any]:
    return {"type": "object", "properties": {"city": {"description": description}}}


def requests_with(text: str) -> dict[str, ModelRequest]:
    """Return requests with the text in each place that a model reads other than message contents."""
    call = Message("assistant", "", [ToolCall("1", "find", "{}")])
    return {
        "tool": replace(HELLO, tools=[Tool("find", text)]),
        "parameters": replace(HELLO, tools=[Tool("find", parameters=schema(text))]),
        "shape": replace(HELLO, response_format=JsonSchema("city", {"type": "object"}, text)),
        "schema": replace(HELLO, response_format=JsonSchema("city", schema(text))),
        "arguments": replace(HELLO, messages=[Message("assistant", "", [ToolCall("1", "find", text)])]),
        "name": replace(HELLO, messages=[Message("assistant", "", [ToolCall("1", text, "{}")])]),
        "id": replace(HELLO, messages=[Message("assistant", "", [ToolCall(text, "find", "{}")])]),
        "answered": replace(HELLO, messages=[call, Message("tool", "", tool_call_id=text)]),
    }


async def ask(request: ModelRequest, **settings: object) -> ModelRequest:
    """Ask with these guardrail settings; return the request that the model received."""
    model = FakeLanguageModel(["Yes."])
    guardrails = Guardrails(GuardrailSettings.model_validate(settings))
    service = ChatService({"default": model}, FakeUsage(), ChatSettings(), FakePrompts(), guardrails)
    await service.complete(request, model="default", max_tokens=None, caller=caller())
    [asked] = model.requests
    return asked


@pytest.mark.parametrize("place", requests_with(""))
async def test_all_that_a_model_reads_is_estimated_and_counts_for_its_length(place: str) -> None:
    request = requests_with(LONG)[place]
    assert 1000 <= Meter("chat.completions", "fake:model", request).expect().input_tokens <= 1050
    with pytest.raises(GuardrailRefusedError, match="`length`"):
        await ask(request, max_input_characters=4000)
    assert await ask(request, max_input_characters=4300)


@pytest.mark.parametrize("text", [ADDRESS, NUMBER])
@pytest.mark.parametrize("place", requests_with(""))
async def test_personal_data_is_found_wherever_a_model_would_read_it(place: str, text: str) -> None:
    with pytest.raises(GuardrailRefusedError, match="`pii`"):
        await ask(requests_with(text)[place], input={"pii": "refuse"})


async def test_descriptions_are_redacted_and_schemas_are_not() -> None:
    parameters = schema(ADDRESS)
    tools = [Tool("mail", f"Writes to {ADDRESS}.", parameters, strict=True), Tool("wait")]
    shape = JsonSchema("city", parameters, f"For {ADDRESS}.")
    asked = await ask(replace(HELLO, tools=tools, response_format=shape), input={"pii": "redact"})
    assert asked.tools == [Tool("mail", "Writes to [email].", parameters, strict=True), Tool("wait")]
    assert asked.response_format == JsonSchema("city", parameters, "For [email].")
