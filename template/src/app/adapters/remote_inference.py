"""Run models on other servers with the Open Inference Protocol: Triton, KServe, or another instance of this service."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Self
from urllib.parse import quote

import httpx2
from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, SecretStr, model_validator

from app.adapters.remote_endpoints import Endpoint, EndpointFailedError, Endpoints
from app.adapters.remote_messages import read_answer, read_metadata, write_request
from app.adapters.tls import tls_context
from app.errors import OutOfMemoryError, RequestRefusedError, StartupError, UpstreamFailedError
from app.inference.capacity import OpenSession
from app.inference.ports import Tensor, TensorSpec

JSON_LENGTH, ERROR_CODE = "Inference-Header-Content-Length", "X-Error-Code"
# Close idle connections before the server does (uvicorn: after 5 seconds), so that no request uses a closed one.
KEPT_SECONDS = 2.0
REASON_BYTES = 500

SUCCESS = 200
REFUSED = {400, 422}
TOO_LARGE = 413
AWAY = {408, 429, 502, 503, 504}
FAILED = 500

Specs = tuple[list[TensorSpec], list[TensorSpec]]


class RemoteInferenceSettings(BaseModel):
    """Settings for models that run on other servers."""

    model_config = ConfigDict(extra="forbid")

    urls: list[AnyHttpUrl] = Field(default=[], description="URLs of servers with the same models, preferred first")
    models: dict[str, str] = Field(default={}, description="model name here: NAME or NAME@VERSION there")
    api_key: SecretStr | None = Field(default=None, description="sent as a bearer token")
    lanes: int = Field(default=4, ge=1, le=64, description="batches of a model that are under way at the same time")
    connect_timeout: float = Field(default=2.0, gt=0, description="seconds to connect to a server")
    timeout: float = Field(default=10.0, gt=0, description="seconds within which a server must answer")
    max_pause: float = Field(default=30.0, gt=0, description="longest pause of a failing server in seconds")
    max_bytes: int = Field(default=100_000_000, ge=1, description="maximum size of a response")

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.models and not self.urls:
            raise ValueError("models run on other servers, but urls names none")
        return self


class RemoteModelSession:
    """A model on another server; implements `ModelSession`."""

    def __init__(
        self, remote: "RemoteInference", endpoints: Endpoints, path: str, version: str | None, specs: Specs
    ) -> None:
        self._remote = remote
        self._endpoints = endpoints
        self._path = path
        self._version = version
        self._inputs, self._outputs = specs
        self._answered_by = ""

    @property
    def provider(self) -> str:
        """`remote:`, followed by the server that answered last."""
        return f"remote:{self._answered_by}"

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, in the order in which `run` returns them."""
        return [output.name for output in self._outputs]

    @property
    def inputs(self) -> list[TensorSpec]:
        """Inputs that `run` requires."""
        return self._inputs

    @property
    def outputs(self) -> list[TensorSpec]:
        """Outputs in the order in which `run` returns them."""
        return self._outputs

    def run(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Compute all outputs on the first server that can; blocks.

        Raises:
            OutOfMemoryError: the servers that answer lack the memory for these inputs.
            RequestRefusedError: the model rejects the inputs, or failed on them.
            UnavailableError: no server answers.
            UpstreamFailedError: a server rejects this service, for example its key or the model's name.
            ValueError: the inputs do not fit the model.
        """
        body, json_bytes = write_request(inputs, self._inputs, self._outputs)
        headers = {"Content-Type": "application/octet-stream", JSON_LENGTH: str(json_bytes)}

        def infer(endpoint: Endpoint) -> list[Tensor]:
            content, length = self._remote.send(endpoint, "POST", f"{self._path}/infer", headers, body)
            tensors = read_answer(content, length, self._outputs, self._version)
            self._answered_by = endpoint.host
            return tensors

        return self._endpoints.ask(infer)


class RemoteInference:
    """Client of the other servers, shared by all models that run there."""

    def __init__(self, settings: RemoteInferenceSettings, client: httpx2.Client) -> None:
        self._settings = settings
        self._client = client
        # Per open model, because a server that is too busy with one may have time for others.
        self._endpoints: list[Endpoints] = []

    def find(self, name: str, version: str) -> OpenSession | None:
        """Return how to open a model that runs on other servers, or None; all its lanes can share one session."""
        there = self._settings.models.get(name)
        return None if there is None else lambda _threads: self._open(there, version)

    async def ping(self) -> None:
        """Check that each model has a server that is not failing; if a model has none, probe those past their pause.

        Raises:
            UnavailableError: no server of a model answers.
        """
        for endpoints in list(self._endpoints):
            if not endpoints.any_healthy():
                await asyncio.to_thread(endpoints.ask, partial(self.send, method="GET", path="v2/health/ready"))

    def send(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> tuple[bytes, str | None]:
        """Send a request to one server; return the body and the header with the length of its JSON part, if any.

        Raises:
            EndpointFailedError: the server is unavailable, overloaded or failed, or its response is too large or slow.
            OutOfMemoryError: the server lacks the memory for this request.
            RequestRefusedError: the server rejects the request.
            UpstreamFailedError: the server rejects this service, for example its key or the model's name.
        """
        until = time.monotonic() + self._settings.timeout
        try:
            with self._client.stream(method, f"{endpoint.url}/{path}", headers=headers, content=body) as response:
                _refuse(response, endpoint)
                return self._read(response, until), response.headers.get(JSON_LENGTH)
        except httpx2.RequestError as error:
            raise EndpointFailedError(f"{type(error).__name__}: {error}") from error

    def _read(self, response: httpx2.Response, until: float) -> bytes:
        most = self._settings.max_bytes
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise EndpointFailedError("its answer is compressed, though nobody asked for that")
        content = bytearray()
        declared = response.headers.get("Content-Length", "")
        if declared.isdigit() and int(declared) > most:
            raise EndpointFailedError(f"its answer has {declared} bytes, more than APP_REMOTE_INFERENCE__MAX_BYTES")
        for chunk in response.iter_raw():
            content += chunk
            if len(content) > most:
                raise EndpointFailedError("its answer has more bytes than APP_REMOTE_INFERENCE__MAX_BYTES")
            if time.monotonic() > until:
                raise EndpointFailedError("its answer takes longer than APP_REMOTE_INFERENCE__TIMEOUT")
        return bytes(content)

    @asynccontextmanager
    async def _open(self, there: str, version: str) -> AsyncIterator[RemoteModelSession]:
        name, pinned, other = there.partition("@")
        wanted = (other or None) if pinned else version
        path = f"v2/models/{quote(name, safe='')}" + (f"/versions/{quote(wanted, safe='')}" if wanted else "")

        def describe(endpoint: Endpoint) -> tuple[str, Specs]:
            content, _ = self.send(endpoint, "GET", path)
            return endpoint.host, read_metadata(content)

        title = f"{name}@{wanted}" if wanted else name
        endpoints = Endpoints([str(url) for url in self._settings.urls], self._settings.max_pause)
        try:
            described = await asyncio.to_thread(endpoints.each, describe)
        except (RequestRefusedError, UpstreamFailedError) as error:
            raise StartupError(f"The remote model {title} cannot be used: {error.__cause__}.") from error
        if not described:
            urls = ", ".join(map(str, self._settings.urls))
            raise StartupError(f"The remote model {title} cannot be reached at {urls}; the log says why for each.")
        (first, specs), *others = described
        for host, other_specs in others:
            if other_specs != specs:
                raise StartupError(f"{first} and {host} have different models {title}: inputs or outputs differ.")
        self._endpoints.append(endpoints)
        try:
            yield RemoteModelSession(self, endpoints, path, wanted, specs)
        finally:
            self._endpoints.remove(endpoints)


@asynccontextmanager
async def open_remote_inference(settings: RemoteInferenceSettings) -> AsyncIterator[RemoteInference]:
    """Open the client of the other servers; it does not connect before a model is opened."""
    headers = {"Accept-Encoding": "identity"}
    if settings.api_key:
        headers["Authorization"] = f"Bearer {settings.api_key.get_secret_value()}"
    limits = httpx2.Limits(max_connections=None, keepalive_expiry=KEPT_SECONDS)
    timeout = httpx2.Timeout(settings.timeout, connect=settings.connect_timeout)
    with httpx2.Client(headers=headers, limits=limits, timeout=timeout, verify=tls_context()) as client:
        yield RemoteInference(settings, client)


def _refuse(response: httpx2.Response, endpoint: Endpoint) -> None:
    status = response.status_code
    if status == SUCCESS:
        return
    if response.headers.get(ERROR_CODE) == OutOfMemoryError.code:
        raise OutOfMemoryError("The remote model has no memory left for as much as this.", retry_after=1)
    if status in AWAY:
        wanted = response.headers.get("Retry-After", "")
        raise EndpointFailedError(f"status {status}", pause=float(wanted) if wanted.isdecimal() else 0.0)
    reason = next(response.iter_raw(REASON_BYTES), b"").decode(errors="replace")
    if status >= FAILED:
        # Some servers return this status also for bad inputs, so do not pause the server.
        raise EndpointFailedError(f"status {status}: {reason}", away=False)
    if status == TOO_LARGE:
        raise RequestRefusedError("The remote model takes no batch as large as this (413).") from ValueError(reason)
    if status in REFUSED:
        raise RequestRefusedError("The remote model rejects this input.") from ValueError(reason)
    cause = EndpointFailedError(f"{endpoint.host} answers with status {status}: check the model's name and the key")
    raise UpstreamFailedError("The model's server rejects this service.") from cause
