"""Request schemas of chat completions, in the format of OpenAI's API."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from app.payloads import JsonObject, Payload
from app.prompts.schemas import PromptUse

MOST_MESSAGES = 2048
MOST_TOOLS = 128
MOST_PARTS = 1024
MOST_METADATA = 16
MOST_PARTS_OF_ALL = 10_000  # message parts and tool calls in total: validating each takes time
SIGNED_64_BITS = 2**63

Name = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
# With any constraint, pydantic rejects lone surrogates, which cannot be encoded.
Text = Annotated[str, StringConstraints(min_length=0)]
Stop = Annotated[str, StringConstraints(min_length=1, max_length=200)]


def check_parts(*requests: object) -> None:
    """Check the total number of message parts and tool calls in requests that are not validated yet.

    Raises:
        ValueError: there are too many.
    """
    found = [request.get("messages") for request in requests if isinstance(request, dict)]
    messages = [each for said in found if isinstance(said, list) for each in said if isinstance(each, dict)]
    lists = [message.get(name) for message in messages for name in ("content", "tool_calls")]
    if sum(len(each) for each in lists if isinstance(each, list)) > MOST_PARTS_OF_ALL:
        raise ValueError(f"messages may have at most {MOST_PARTS_OF_ALL:,} parts and tool calls, all together")


class _Lenient(Payload):
    """Keeps unknown fields, so that they can be rejected by name instead of being ignored."""

    model_config = ConfigDict(extra="allow")


class ContentPart(_Lenient):
    """A part of a message; `text` is the only supported type."""

    type: str = Field(examples=["text"])
    text: Text | None = Field(default=None, examples=["How long is the warranty?"])


Parts = Annotated[list[ContentPart], Field(max_length=MOST_PARTS, fail_fast=True)]


class FunctionCall(_Lenient):
    """A function and its arguments as JSON."""

    name: str = Field(min_length=1, max_length=200)
    arguments: Text


class MessageToolCall(_Lenient):
    """A function call that the model requested in an earlier answer."""

    id: str = Field(min_length=1, max_length=200)
    type: Literal["function"] = "function"
    function: FunctionCall


class ChatMessage(_Lenient):
    """One message of the conversation."""

    role: Literal["developer", "system", "user", "assistant", "tool"]
    content: Text | Parts | None = Field(default=None, examples=["How long is the warranty?"])
    tool_calls: Annotated[list[MessageToolCall], Field(max_length=MOST_TOOLS, fail_fast=True)] | None = Field(
        default=None, examples=[None]
    )
    tool_call_id: Text | None = Field(default=None, examples=[None])


class FunctionDefinition(_Lenient):
    """A function that the model may call; `parameters` is a JSON Schema."""

    name: Name
    description: Text | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class ChatTool(_Lenient):
    """A tool; functions are the only supported type."""

    type: Literal["function"]
    function: FunctionDefinition


class NamedFunction(_Lenient):
    """The name of a function."""

    name: Name


class NamedToolChoice(_Lenient):
    """The one function that the model must call."""

    type: Literal["function"]
    function: NamedFunction


class TextFormat(_Lenient):
    """An answer as plain text."""

    type: Literal["text"]


class JsonObjectFormat(_Lenient):
    """An answer as a JSON object."""

    type: Literal["json_object"]


class JsonSchemaDefinition(_Lenient):
    """A named JSON Schema."""

    name: Name
    description: Text | None = None
    schema_: JsonObject = Field(alias="schema")
    strict: bool | None = None


class JsonSchemaFormat(_Lenient):
    """An answer as JSON that matches a JSON Schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchemaDefinition


class StreamOptions(_Lenient):
    """Options of a streamed answer."""

    include_usage: bool = Field(default=False, description="end with a chunk that has the usage and no choices")


class CacheOptions(_Lenient):
    """Caching of the answer."""

    ttl: int | None = Field(
        default=None, ge=1, description="lifetime in seconds; the service sets an upper limit", examples=[600]
    )


class ChatCompletionCreate(_Lenient):
    """A chat completion request. Unsupported fields are rejected unless they are null, false or empty."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "default",
                    "messages": [
                        {"role": "user", "content": "The warranty lasts 24 months. How long is the warranty?"}
                    ],
                }
            ]
        }
    )

    model: str = Field(examples=["default"])
    messages: list[ChatMessage] = Field(min_length=1, max_length=MOST_MESSAGES, fail_fast=True)
    max_completion_tokens: int | None = Field(default=None, ge=1, examples=[200])
    max_tokens: int | None = Field(default=None, ge=1, description="deprecated name of max_completion_tokens")
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    seed: int | None = Field(default=None, ge=-SIGNED_64_BITS, lt=SIGNED_64_BITS)
    stop: Stop | Annotated[list[Stop], Field(max_length=4, fail_fast=True)] | None = None
    n: int | None = Field(default=None, ge=1, description="number of answers; only 1 is supported")
    response_format: Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")] | None = (
        Field(default=None, examples=[None])
    )
    tools: Annotated[list[ChatTool], Field(max_length=MOST_TOOLS, fail_fast=True)] | None = Field(
        default=None, examples=[None]
    )
    tool_choice: Literal["none", "auto", "required"] | NamedToolChoice | None = Field(default=None, examples=[None])
    parallel_tool_calls: bool | None = None
    stream: bool | None = Field(default=None, description="send the answer as server-sent events while it is written")
    stream_options: StreamOptions | None = Field(default=None, examples=[None])
    user: str | None = Field(default=None, description="accepted and ignored: the API key identifies the caller")
    metadata: Annotated[dict[str, str], Field(max_length=MOST_METADATA, fail_fast=True)] | None = Field(
        default=None, description="accepted and ignored", examples=[None]
    )
    cache: bool | CacheOptions | None = Field(
        default=None,
        description=(
            "extension of this service: true returns your cached answer to exactly the same request, if there is one, "
            "and caches a new one; false disables caching; by default, the operator decides for temperature 0"
        ),
        examples=[None],
    )
    prompt: PromptUse | None = Field(
        default=None,
        description=(
            "extension of this service: a stored prompt, which precedes all messages, including those of the role "
            "system"
        ),
        examples=[None],
    )

    @model_validator(mode="before")
    @classmethod
    def _check_parts(cls, request: object) -> object:
        check_parts(request)
        return request
