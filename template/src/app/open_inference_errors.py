"""Errors in the wire shape of the Open Inference Protocol, for its paths."""

from typing import Any

from pydantic import BaseModel, Field

PREFIX = "/v2"


class OpenInferenceError(BaseModel):
    """The body of every answer of these paths that is not a success."""

    error: str = Field(examples=["There is no such model; this service has static-minilm."])


# How an operation on these paths says that it fails.
OPEN_INFERENCE_FAILURE: dict[int | str, dict[str, Any]] = {
    "default": {"model": OpenInferenceError, "description": "An error"}
}


def is_open_inference_path(path: str) -> bool:
    """Tell whether clients of the protocol call this path."""
    return path == PREFIX or path.startswith(f"{PREFIX}/")
