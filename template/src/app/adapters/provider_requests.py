"""Conversion of requests and events between the service, pydantic-ai and the providers.

pydantic-ai converts the conversation. All other options go directly into the request body, so that tools and schemas
reach the provider unmodified, and pydantic-ai drops no option that it thinks the model does not support.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from pydantic_ai import messages as wire
from pydantic_ai.models import Model

from app.chat.ports import Hidden, JsonSchema, Message, ModelRequest, NamedTool, TextDelta, Tool, ToolCallDelta
from app.errors import UnsupportedParameterError

ANTHROPIC_TOOL_CHOICES = {"auto": "auto", "none": "none", "required": "any"}
NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}
WHY_REFUSED = {
    "response_format": "This model has no JSON mode; ask for `json_schema`.",
    "temperature": "This model takes no `temperature` above 1, or none at all.",
}


def write_history(messages: Sequence[Message]) -> list[wire.ModelMessage]:
    """Convert a conversation for pydantic-ai; consecutive messages of a role are merged, as some servers require."""
    history: list[wire.ModelMessage] = []
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    for role, turns in groupby(messages, key=lambda message: message.role):
        group = list(turns)
        text = "\n\n".join(message.content for message in group if message.content)
        match role:
            case "system":
                history.append(wire.ModelRequest(parts=[wire.SystemPromptPart(text)]))
            case "user":
                history.append(wire.ModelRequest(parts=[wire.UserPromptPart(text)]))
            case "assistant":
                calls = [call for message in group for call in message.tool_calls]
                said = [wire.TextPart(text)] if text else []
                asked = [wire.ToolCallPart(call.name, call.arguments, call.id) for call in calls]
                history.append(wire.ModelResponse(parts=[*said, *asked]))
            case "tool":
                results = [(message.tool_call_id or "", message.content) for message in group]
                parts = [wire.ToolReturnPart(names.get(call_id, ""), content, call_id) for call_id, content in results]
                history.append(wire.ModelRequest(parts=parts))
    return history


def openai_body(request: ModelRequest) -> dict[str, Any]:
    """Return the request options for OpenAI's protocol."""
    body: dict[str, Any] = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "presence_penalty": request.presence_penalty,
        "frequency_penalty": request.frequency_penalty,
        "seed": request.seed,
        "stop": list(request.stop) or None,
        "response_format": _openai_format(request),
        "tools": [{"type": "function", "function": _openai_function(tool)} for tool in request.tools] or None,
        "tool_choice": request.tool_choice,
        "parallel_tool_calls": request.parallel_tool_calls,
    }
    if isinstance(request.tool_choice, NamedTool):
        body["tool_choice"] = {"type": "function", "function": {"name": request.tool_choice.name}}
    return _given(body)


def anthropic_body(request: ModelRequest, model: Model) -> dict[str, Any]:
    """Return the request options for Anthropic's protocol.

    Raises:
        UnsupportedParameterError: Anthropic or the model does not support an option.
    """
    _refuse_for_anthropic(request, model)
    body: dict[str, Any] = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "stop_sequences": list(request.stop) or None,
    }
    if isinstance(request.response_format, JsonSchema):
        body["output_config"] = {"format": {"type": "json_schema", "schema": request.response_format.schema}}
    if request.tools:
        body |= {"tools": [_anthropic_tool(tool) for tool in request.tools], "tool_choice": _anthropic_choice(request)}
    return _given(body)


@dataclass(slots=True)
class EventReader:
    """Converts pydantic-ai's events of one answer.

    A provider may interleave the arguments of several calls, so only the end shows which calls have none.
    """

    _calls: dict[int, int] = field(default_factory=dict)  # part of the answer → number of the call
    _empty: set[int] = field(default_factory=set)

    def read(self, event: wire.ModelResponseStreamEvent) -> TextDelta | ToolCallDelta | Hidden:
        """Convert an event; return an empty text if it carries no output."""
        match event:
            case (
                wire.PartStartEvent(part=wire.TextPart(content=text))
                | wire.PartDeltaEvent(delta=wire.TextPartDelta(content_delta=text))
            ):
                return TextDelta(text)
            case wire.PartStartEvent(index=part, part=wire.ToolCallPart() as call):
                number = self._calls[part] = len(self._calls)
                self._empty.add(number)
                return self._call(number, _as_text(call.args), call.tool_call_id, call.tool_name)
            case wire.PartDeltaEvent(index=part, delta=wire.ToolCallPartDelta(args_delta=arguments)) if arguments:
                return self._call(self._calls[part], _as_text(arguments))
            case (
                wire.PartStartEvent(part=wire.ThinkingPart(content=str(text)))
                | wire.PartDeltaEvent(delta=wire.ThinkingPartDelta(content_delta=str(text)))
            ) if text:
                return Hidden(len(text))
            case _:
                return TextDelta("")

    def end(self) -> Iterator[ToolCallDelta]:
        """Yield an empty JSON object as the arguments of every call that has none."""
        for number in sorted(self._empty):
            yield ToolCallDelta(number, "{}")

    def _call(self, number: int, arguments: str, call_id: str | None = None, name: str | None = None) -> ToolCallDelta:
        if arguments:
            self._empty.discard(number)
        return ToolCallDelta(number, arguments, call_id, name)


def _given(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}


def _as_text(arguments: str | dict[str, Any] | None) -> str:
    if isinstance(arguments, str):
        return arguments
    return json.dumps(arguments) if arguments else ""


def _openai_format(request: ModelRequest) -> dict[str, Any] | None:
    match request.response_format:
        case JsonSchema(name, schema, description, strict):
            form = {"name": name, "schema": schema, "description": description, "strict": strict}
            return {"type": "json_schema", "json_schema": _given(form)}
        case "json_object":
            return {"type": "json_object"}
        case _:
            return None


def _openai_function(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return _given({**function, "strict": tool.strict})


def _anthropic_tool(tool: Tool) -> dict[str, Any]:
    schema = tool.parameters if tool.parameters is not None else NO_PARAMETERS
    described = {"name": tool.name, "description": tool.description, "input_schema": schema}
    return _given({**described, "strict": tool.strict})


def _anthropic_choice(request: ModelRequest) -> dict[str, Any]:
    if isinstance(request.tool_choice, NamedTool):
        choice: dict[str, Any] = {"type": "tool", "name": request.tool_choice.name}
    else:
        choice = {"type": ANTHROPIC_TOOL_CHOICES[request.tool_choice or "auto"]}
    if request.parallel_tool_calls is False and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = True
    return choice


def _refuse_for_anthropic(request: ModelRequest, model: Model) -> None:
    fixed = bool(model.profile.get("anthropic_disallows_sampling_settings", False))
    refused = {
        "seed": request.seed is not None,
        "presence_penalty": bool(request.presence_penalty),
        "frequency_penalty": bool(request.frequency_penalty),
        "response_format": request.response_format == "json_object",
        "temperature": request.temperature is not None and (fixed or request.temperature > 1),
        "top_p": request.top_p is not None and fixed,
    }
    for name, is_refused in refused.items():
        if is_refused:
            raise UnsupportedParameterError(WHY_REFUSED.get(name, f"This model does not take `{name}`."), param=name)
