"""Fetching a file of a model from a hub whose addresses are laid out as those of Hugging Face."""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO
from urllib.parse import quote

import httpx2

from app.adapters.tls import tls_context
from app.errors import (
    AppError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    UnavailableError,
    UnprocessableError,
    UpstreamFailedError,
)

TIMEOUT = httpx2.Timeout(30, connect=10)

Report = Callable[[int, int | None], None]
"""Is told the bytes that are there, and of how many if the hub says so."""


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file that never changes: a path at a commit of a repository, with its SHA-256."""

    endpoint: str
    repository: str
    revision: str
    path: str
    sha256: str

    @property
    def url(self) -> str:
        """Where it can be had."""
        return f"{self.endpoint}/{self.repository}/resolve/{self.revision}/{quote(self.path)}"


def pull(file: HubFile, target: Path, *, token: str | None, force: bool, report: Report) -> bool:
    """Put a file into its place, whole and with its declared SHA-256, or not at all; tells whether it was fetched.

    What a broken download has brought stays beside the target, and the next one goes on from there.

    Args:
        file: what to fetch.
        target: what it is to be; its folder is made if it is missing.
        token: sent to the hub, but not to where that redirects.
        force: whether to replace another file.
        report: is told how far it has come.

    Raises:
        ConflictError: there is another file, or another process is at it.
        ForbiddenError: the hub does not give it to this token.
        NotFoundError: the hub has no such file.
        UnavailableError: the hub cannot be reached, or has broken off.
        UnprocessableError: the file cannot be written.
        UpstreamFailedError: the hub gave something else.
    """
    try:
        if target.exists():
            if target.is_file() and _sha256(target) == file.sha256:
                return False
            if not (force and target.is_file()):
                raise ConflictError(f"{target} is there, with another SHA-256: --force replaces it.")
        target.parent.mkdir(parents=True, exist_ok=True)
        # Named after its content, so that a part is never taken for the beginning of something else.
        part = target.with_name(f".{target.name}.{file.sha256}.part")
        with _held(part) as stream:
            if _sha256(part) != file.sha256:
                _fetch(file, stream, token, report)
            if _sha256(part) != file.sha256:
                part.unlink()
                raise UpstreamFailedError(f"{file.url} is not the file with the SHA-256 {file.sha256}.")
            os.fsync(stream.fileno())
            part.replace(target)
    except OSError as error:
        raise UnprocessableError(f"{target} cannot be written: {error.strerror}.") from error
    return True


@contextmanager
def _held(part: Path) -> Iterator[IO[bytes]]:
    """Open a part to add to it, which only one process does at a time."""
    with part.open("ab") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConflictError(f"Another process is fetching the file: it has {part} open.") from error
        # Between opening and locking, another process may have given the file its final name.
        if not part.exists() or not os.path.samestat(part.stat(), os.fstat(stream.fileno())):
            raise ConflictError("Another process has just fetched the file: run the command again to check.")
        try:
            yield stream
        finally:
            if os.fstat(stream.fileno()).st_size == 0:
                part.unlink(missing_ok=True)


def _fetch(file: HubFile, stream: IO[bytes], token: str | None, report: Report) -> None:
    """Add what is missing, for as long as every attempt comes further than all before."""
    headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {token}"} if token else {})
    with httpx2.Client(headers=headers, timeout=TIMEOUT, follow_redirects=True, verify=tls_context()) as client:
        furthest = stream.tell()
        while True:
            try:
                if _add(client, file, stream, report):
                    return
            except httpx2.HTTPError as error:
                if stream.tell() <= furthest:
                    reason = str(error) or type(error).__name__
                    raise UnavailableError(f"{file.url} cannot be had, try again later: {reason}") from error
                furthest = stream.tell()


def _add(client: httpx2.Client, file: HubFile, stream: IO[bytes], report: Report) -> bool:
    """Ask for the rest, and write it; tells whether that was all, or whether to ask anew from the beginning."""
    start = stream.tell()
    with client.stream("GET", file.url, headers={"Range": f"bytes={start}-"} if start else {}) as response:
        if start and response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            _empty(stream)  # it is as long as the file, or longer, and not the same
            return False
        if response.status_code not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
            raise _refusal(file, response.status_code)
        if response.status_code == HTTPStatus.OK:
            _empty(stream)
            start = 0
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise UpstreamFailedError(f"{file.url}: the hub gave another part of the file than it was asked for.")
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdecimal() else None
        for chunk in response.iter_raw():
            stream.write(chunk)
            report(stream.tell(), total)
        stream.flush()
    return True


def _empty(stream: IO[bytes]) -> None:
    stream.seek(0)
    stream.truncate()


def _refusal(file: HubFile, status: int) -> AppError:
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return ForbiddenError(
            f"The hub does not give {file.url} to everybody: if it exists, set HF_TOKEN to a token that may read it."
        )
    if status == HTTPStatus.NOT_FOUND:
        return NotFoundError(f"The hub has no file {file.url}.")
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return UnavailableError(f"{file.url} cannot be had, try again later: the hub answered {status}.")
    return UpstreamFailedError(f"{file.url} cannot be had: the hub answered {status}.")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
