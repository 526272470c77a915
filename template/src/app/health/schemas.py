"""What probes answer."""

from typing import Literal

from pydantic import BaseModel, Field

from app.chat.circuits import CircuitState


class Alive(BaseModel):
    """The process runs."""

    status: Literal["ok"] = "ok"


class Check(BaseModel):
    """One dependency; `error` is a word for the operator, details are in the log."""

    ok: bool
    needed: bool = Field(description="whether the service is not ready without it")
    error: str | None = Field(default=None, examples=["unavailable"])


class ModelState(BaseModel):
    """A model that is loaded and warm."""

    name: str = Field(examples=["static-minilm"])
    version: str = Field(examples=["1"])
    provider: str = Field(description="what it really runs on", examples=["CPUExecutionProvider"])


class Readiness(BaseModel):
    """Whether requests can be served, and what stands in the way."""

    status: Literal["ready", "not_ready"]
    checks: dict[str, Check]
    embedding_model: ModelState
    detection_model: ModelState
    registered_models: list[ModelState] = Field(description="the operator's own that are loaded")
    language_model: str = Field(examples=["offline:extractive"])
    language_models: dict[str, CircuitState] = Field(
        description="the circuit of each language model: one that is open is left alone for a while. Another model "
        "may stand in, so that none of them decides about the status",
        examples=[{"offline:extractive": "closed"}],
    )
