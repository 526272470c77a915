"""Response schemas of complete answers, in the format of OpenAI's API."""

import time
from typing import Literal, Self
from uuid import uuid4

from pydantic import BaseModel, Field

from app.chat.ports import FinishReason, Usage
from app.chat.service import Answer


class CompletionFunction(BaseModel):
    """A function and its arguments as JSON. The model may write invalid JSON: validate it before use."""

    name: str
    arguments: str


class CompletionToolCall(BaseModel):
    """A function call that the model requests."""

    id: str
    type: Literal["function"] = "function"
    function: CompletionFunction


class CompletionMessage(BaseModel):
    """The model's message."""

    role: Literal["assistant"] = "assistant"
    content: str | None = Field(examples=["The warranty lasts 24 months."])
    refusal: None = None
    tool_calls: list[CompletionToolCall] | None = Field(default=None, exclude_if=lambda calls: calls is None)


class CompletionChoice(BaseModel):
    """The answer; `choices` always has one."""

    index: int = 0
    message: CompletionMessage
    logprobs: None = None
    finish_reason: FinishReason


class PromptTokensDetails(BaseModel):
    """Details about the tokens of the prompt."""

    cached_tokens: int


class CompletionUsage(BaseModel):
    """Tokens of the prompt and the answer; `offline:extractive` counts words."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails

    @classmethod
    def of(cls, usage: Usage) -> Self:
        """Build the response schema from a usage."""
        return cls(
            prompt_tokens=usage.input_tokens,
            completion_tokens=usage.output_tokens,
            total_tokens=usage.input_tokens + usage.output_tokens,
            prompt_tokens_details=PromptTokensDetails(cached_tokens=usage.cached_tokens),
        )


class ChatCompletion(BaseModel):
    """A complete answer."""

    id: str = Field(examples=["chatcmpl-5f0c2f2a9d8b4a1e9a7a0a9f6c1d2e3f"])
    object: Literal["chat.completion"] = "chat.completion"
    created: int = Field(description="Unix time in seconds", examples=[1_795_219_200])
    model: str = Field(description="the model that answered", examples=["offline:extractive"])
    choices: list[CompletionChoice]
    usage: CompletionUsage

    @classmethod
    def of(cls, answer: Answer) -> Self:
        """Build the response from an answer."""
        calls = [
            CompletionToolCall(id=call.id, function=CompletionFunction(name=call.name, arguments=call.arguments))
            for call in answer.tool_calls
        ]
        content = None if calls and not answer.text else answer.text
        message = CompletionMessage(content=content, tool_calls=calls or None)
        return cls(
            id=completion_id(),
            created=int(time.time()),
            model=answer.end.model,
            choices=[CompletionChoice(message=message, finish_reason=answer.end.reason)],
            usage=CompletionUsage.of(answer.end.usage),
        )


def completion_id() -> str:
    """Generate the ID of an answer."""
    return f"chatcmpl-{uuid4().hex}"
