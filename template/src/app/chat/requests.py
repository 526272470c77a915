"""Conversion of OpenAI-style requests into model requests; unsupported fields are rejected."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel

from app.chat.caching import CachePreference
from app.chat.ports import (
    JsonSchema,
    Message,
    ModelRequest,
    NamedTool,
    ResponseFormat,
    Role,
    Tool,
    ToolCall,
    ToolChoice,
)
from app.chat.schemas import (
    ChatCompletionCreate,
    ChatMessage,
    ChatTool,
    ContentPart,
    JsonSchemaFormat,
    NamedToolChoice,
)
from app.errors import UnsupportedParameterError
from app.prompts.service import PromptChoice

# Unknown fields that are accepted with these values, because they match the service's behavior.
HARMLESS: tuple[tuple[str, object], ...] = (("modalities", ["text"]), ("service_tier", "auto"))
LONGEST_SHOWN = 60


def read_request(body: ChatCompletionCreate) -> ModelRequest:
    """Return the model request for a body, without `max_tokens`, which the service sets.

    Raises:
        UnsupportedParameterError: a field is unsupported, or its value makes no sense.
    """
    for path in _unknown("", body):
        raise UnsupportedParameterError(f"This service does not offer {path}.", param=path)
    _check_options(body)
    messages = [_message(f"messages[{number}]", message) for number, message in enumerate(body.messages)]
    _check_tool_results(messages)
    return ModelRequest(
        messages=messages,
        temperature=body.temperature,
        top_p=body.top_p,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        seed=body.seed,
        stop=[body.stop] if isinstance(body.stop, str) else body.stop or (),
        response_format=_response_format(body),
        tools=[_tool(f"tools[{number}]", tool) for number, tool in enumerate(body.tools or ())],
        tool_choice=_tool_choice(body),
        parallel_tool_calls=body.parallel_tool_calls,
    )


def read_limit(body: ChatCompletionCreate) -> int | None:
    """Return the requested maximum length of the answer in tokens."""
    return body.max_completion_tokens if body.max_completion_tokens is not None else body.max_tokens


def read_cache_preference(body: ChatCompletionCreate) -> CachePreference | None:
    """Return the caller's choice about caching; None if it made none."""
    if body.cache is None or isinstance(body.cache, bool):
        return None if body.cache is None else CachePreference(body.cache)
    return CachePreference(is_enabled=True, seconds=body.cache.ttl)


def read_prompt(body: ChatCompletionCreate) -> PromptChoice | None:
    """Return the stored prompt to use, if any."""
    return body.prompt.as_choice() if body.prompt else None


def _unknown(path: str, value: object) -> Iterator[str]:
    """Yield the path of every unknown field whose value is neither empty nor harmless."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _unknown(f"{path}[{number}]", item)
    if not isinstance(value, BaseModel):
        return
    inside = f"{path}." if path else ""
    for name, extra in (value.model_extra or {}).items():
        if extra and (name, extra) not in HARMLESS:
            yield inside + ascii(name)[1:-1][:LONGEST_SHOWN]
    for name in type(value).model_fields:
        yield from _unknown(inside + name.rstrip("_"), getattr(value, name))


def _check_options(body: ChatCompletionCreate) -> None:
    if body.n is not None and body.n > 1:
        raise UnsupportedParameterError("This service gives one answer to a request: leave `n` at 1.", param="n")
    if body.stream_options is not None and not body.stream:
        raise UnsupportedParameterError("`stream_options` requires `stream: true`.", param="stream_options")
    if body.parallel_tool_calls is not None and not body.tools:
        raise UnsupportedParameterError("`parallel_tool_calls` requires `tools`.", param="parallel_tool_calls")


def _message(path: str, message: ChatMessage) -> Message:
    role: Role = "system" if message.role == "developer" else message.role
    if message.tool_calls and role != "assistant":
        raise UnsupportedParameterError("Only the assistant calls tools.", param=f"{path}.tool_calls")
    if (message.tool_call_id is not None) != (role == "tool"):
        raise UnsupportedParameterError(
            "`tool_call_id` belongs to messages of the role tool, and every one of them has it.",
            param=f"{path}.tool_call_id",
        )
    if message.content is None and not message.tool_calls:
        raise UnsupportedParameterError("A message needs content.", param=f"{path}.content")
    calls = [ToolCall(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ()]
    return Message(role, _content(path, message.content), calls, message.tool_call_id)


def _content(path: str, content: str | Sequence[ContentPart] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    for number, part in enumerate(content):
        if part.type != "text" or part.text is None:
            where = f"{path}.content[{number}]"
            raise UnsupportedParameterError("Only text content is supported.", param=where)
    return "".join(part.text or "" for part in content)


def _check_tool_results(messages: Sequence[Message]) -> None:
    asked: set[str] = set()
    for number, message in enumerate(messages):
        asked.update(call.id for call in message.tool_calls)
        if message.tool_call_id is not None and message.tool_call_id not in asked:
            raise UnsupportedParameterError(
                "A message of the role tool answers a tool call of an assistant's message before it.",
                param=f"messages[{number}].tool_call_id",
            )


def _response_format(body: ChatCompletionCreate) -> ResponseFormat:
    if body.response_format is None:
        return "text"
    if isinstance(body.response_format, JsonSchemaFormat):
        form = body.response_format.json_schema
        _check_json("response_format.json_schema.schema", form.schema_)
        return JsonSchema(form.name, form.schema_, form.description, form.strict)
    return body.response_format.type


def _tool(path: str, tool: ChatTool) -> Tool:
    function = tool.function
    _check_json(f"{path}.function.parameters", function.parameters)
    return Tool(function.name, function.description, function.parameters, function.strict)


def _tool_choice(body: ChatCompletionCreate) -> ToolChoice | None:
    choice = body.tool_choice
    if choice is None or (choice == "none" and not body.tools):
        return None
    names = {tool.function.name for tool in body.tools or ()}
    if not names:
        raise UnsupportedParameterError("`tool_choice` requires `tools`.", param="tool_choice")
    if not isinstance(choice, NamedToolChoice):
        return choice
    if choice.function.name not in names:
        raise UnsupportedParameterError(
            "`tool_choice` names a function that is not among the `tools`.", param="tool_choice"
        )
    return NamedTool(choice.function.name)


def _check_json(path: str, value: Any) -> None:  # noqa: ANN401 - whatever JSON holds
    """Reject values that only Python accepts as JSON, such as NaN and lone surrogates."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise UnsupportedParameterError("This is not valid JSON.", param=path) from None
