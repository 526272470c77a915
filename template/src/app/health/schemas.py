"""Response schemas of the health probes."""

from typing import Literal

from pydantic import BaseModel, Field

from app.chat.circuits import CircuitState


class Alive(BaseModel):
    """The process is running."""

    status: Literal["ok"] = "ok"


class Check(BaseModel):
    """The state of a dependency; `error` is a code, details are in the log."""

    ok: bool
    needed: bool = Field(description="whether the service needs it to be ready")
    error: str | None = Field(default=None, examples=["unavailable"])


class ModelState(BaseModel):
    """A loaded model."""

    name: str = Field(examples=["static-minilm"])
    version: str = Field(examples=["1"])
    provider: str = Field(description="the execution provider that it runs on", examples=["CPUExecutionProvider"])


class Readiness(BaseModel):
    """Whether requests can be served, and the state of the dependencies."""

    status: Literal["ready", "not_ready"]
    checks: dict[str, Check]
    embedding_model: ModelState
    detection_model: ModelState
    registered_models: list[ModelState] = Field(description="registered models that are loaded")
    language_model: str = Field(examples=["offline:extractive"])
    language_models: dict[str, CircuitState] = Field(
        description="the circuit breaker of each language model; while it is open, the model is not called. This does "
        "not affect the status, because another model may take over",
        examples=[{"offline:extractive": "closed"}],
    )
