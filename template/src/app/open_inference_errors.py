"""Error responses in the format of the Open Inference Protocol, for its paths."""

from typing import Any

from pydantic import BaseModel, Field

PREFIX = "/v2"


class OpenInferenceError(BaseModel):
    """The body of every error response on these paths."""

    error: str = Field(examples=["There is no such model; this service has static-minilm."])


# OpenAPI responses for failures on these paths.
OPEN_INFERENCE_FAILURE: dict[int | str, dict[str, Any]] = {
    "default": {"model": OpenInferenceError, "description": "An error"}
}


def is_inference_path(path: str) -> bool:
    """Return whether requests to this path have tensors, with or without binary data after the JSON."""
    return is_open_inference_path(path) and path.endswith("/infer")


def is_open_inference_path(path: str) -> bool:
    """Return whether this path belongs to the protocol."""
    return path == PREFIX or path.startswith(f"{PREFIX}/")
