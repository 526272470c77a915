"""Parse requests with pictures: JSON with base64, or a multipart form with files."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile

from app.errors import UnsupportedMediaTypeError
from app.vision.schemas import DetectionBatchCreate, DetectionCreate, DetectionOptions
from app.vision.service import MAX_PICTURES, Content

Body = TypeVar("Body", bound=BaseModel)

JSON = "application/json"
FORM = "multipart/form-data"
# Above the limit, so that the error can state how many files were sent; many more are rejected while parsing.
MAX_FILES = 2 * MAX_PICTURES
MAX_FIELDS = 10


async def read_one(request: Request) -> tuple[Content, DetectionOptions]:
    """Read one picture, the field `image`, and the options.

    Raises:
        UnsupportedMediaTypeError: the body is neither JSON nor a form.
        RequestValidationError: there is not exactly one picture, or a field is invalid.
    """
    if _kind(request) == JSON:
        body = _parse_json(DetectionCreate, await request.body())
        return body.image, body
    files, options = await _read_form(request, "image")
    if len(files) != 1:
        raise _invalid(("body", "image"), f"Send one file as `image`, not {len(files)}.")
    return files[0], options


async def read_many(request: Request) -> tuple[Sequence[Content], DetectionOptions]:
    """Read up to 32 pictures, each a field `images`, and the options.

    Raises:
        UnsupportedMediaTypeError: the body is neither JSON nor a form.
        RequestValidationError: there are no pictures or too many, or a field is invalid.
    """
    if _kind(request) == JSON:
        body = _parse_json(DetectionBatchCreate, await request.body())
        return body.images, body
    files, options = await _read_form(request, "images")
    if not 1 <= len(files) <= MAX_PICTURES:
        raise _invalid(("body", "images"), f"Send 1 to {MAX_PICTURES} files as `images`, not {len(files)}.")
    return files, options


def body_schema(body: type[BaseModel], form: Mapping[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI description of a body that is JSON, or a form with these file fields."""
    json_schema = body.model_json_schema()
    options = {name: part for name, part in json_schema["properties"].items() if name not in form}
    form_schema = {"type": "object", "properties": {**form, **options}, "required": list(form)}
    content = {JSON: {"schema": json_schema}, FORM: {"schema": form_schema}}
    return {"requestBody": {"required": True, "content": content}}


def _kind(request: Request) -> str:
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in {JSON, FORM}:
        raise UnsupportedMediaTypeError(f"Send pictures as {JSON} or {FORM}.")
    return kind


def _parse_json(body: type[Body], content: bytes) -> Body:
    try:
        return body.model_validate_json(content)
    except ValidationError as error:
        raise _invalid_body(error) from error


async def _read_form(request: Request, name: str) -> tuple[list[bytes], DetectionOptions]:
    async with request.form(max_files=MAX_FILES, max_fields=MAX_FIELDS) as form:
        parts = form.multi_items()
        files = [value for key, value in parts if key == name and isinstance(value, UploadFile)]
        others = {key: value for key, value in parts if key != name or not isinstance(value, UploadFile)}
        try:
            options = DetectionOptions.model_validate(others)
        except ValidationError as error:
            raise _invalid_body(error) from error
        return [await file.read() for file in files], options


def _invalid_body(error: ValidationError) -> RequestValidationError:
    # Do not repeat the input, which may be megabytes.
    errors = error.errors(include_url=False, include_input=False, include_context=False)
    return RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in errors])


def _invalid(location: tuple[str, ...], message: str) -> RequestValidationError:
    return RequestValidationError([{"type": "value_error", "loc": location, "msg": message}])
