"""The page at `/playground`: a few files, without any from elsewhere."""

from os import PathLike, stat_result
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).parent / "static"
# Nothing but what this service sends may run there, be loaded, or put the page into a frame: it holds a key.
HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class PlaygroundSettings(BaseModel):
    """Whether `/playground` is there."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool = Field(default=True, description="serve a page to try the service in; it needs a key as all else")


class PlaygroundFiles(StaticFiles):
    """The page, its style and its scripts, with headers that keep the key on it to itself."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER, html=True)

    def file_response(
        self, full_path: str | PathLike[str], stat_result: stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Answer with a file."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(HEADERS)
        return response
