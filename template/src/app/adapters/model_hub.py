"""Download a model's file from a hub with the URL layout of Hugging Face."""

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
"""Called with the number of bytes downloaded so far, and the total if the hub states it."""


@dataclass(frozen=True, slots=True)
class HubFile:
    """An immutable file: a path at a revision of a repository, with its SHA-256."""

    endpoint: str
    repository: str
    revision: str
    path: str
    sha256: str

    @property
    def url(self) -> str:
        """URL of the file."""
        return f"{self.endpoint}/{self.repository}/resolve/{self.revision}/{quote(self.path)}"


def pull(file: HubFile, target: Path, *, token: str | None, force: bool, report: Report) -> bool:
    """Download a file atomically and verify its SHA-256; return False if it was already there.

    An interrupted download leaves a partial file next to the target, which the next call resumes.

    Args:
        file: the file to download.
        target: path of the result; missing folders are created.
        token: bearer token for the hub; not sent to redirect targets on other hosts.
        force: whether to replace a different file.
        report: called with the progress.

    Raises:
        ConflictError: a different file exists, or another process is downloading the file.
        ForbiddenError: the hub denies access with this token.
        NotFoundError: the hub has no such file.
        UnavailableError: the hub cannot be reached, or broke off the download.
        UnprocessableError: the file cannot be written.
        UpstreamFailedError: the hub sent a different file, or an unexpected response.
    """
    try:
        if target.exists():
            if target.is_file() and _sha256(target) == file.sha256:
                return False
            if not (force and target.is_file()):
                raise ConflictError(f"{target} is there, with another SHA-256: --force replaces it.")
        target.parent.mkdir(parents=True, exist_ok=True)
        # The name contains the checksum, so that a partial file of different content is never resumed.
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
    """Open a partial file for appending, locked against other processes."""
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
    """Download the missing bytes; retry as long as each attempt makes progress."""
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
                    raise UnavailableError(f"{file.url} cannot be downloaded, try again later: {reason}") from error
                furthest = stream.tell()


def _add(client: httpx2.Client, file: HubFile, stream: IO[bytes], report: Report) -> bool:
    """Request the missing bytes and append them; return False if the download must restart from the beginning."""
    start = stream.tell()
    with client.stream("GET", file.url, headers={"Range": f"bytes={start}-"} if start else {}) as response:
        if start and response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            _empty(stream)  # the partial file is at least as long as the file, but different
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
        return UnavailableError(f"{file.url} cannot be downloaded, try again later: the hub answered {status}.")
    return UpstreamFailedError(f"{file.url} cannot be downloaded: the hub answered {status}.")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
