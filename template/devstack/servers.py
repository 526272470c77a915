"""A server of the stack, started here or configured by the user."""

import http.client
import os
from collections.abc import Callable
from dataclasses import dataclass

from devstack.state import HOST


def _always() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Server:
    """A server that the service can use.

    Attributes:
        name: Display name.
        url: URL for the service.
        ready: Returns whether the server answers.
    """

    name: str
    url: str
    ready: Callable[[], bool] = _always


def given_url(*variables: str) -> str | None:
    """Return the value of the first of these environment variables that is set and not empty."""
    return next((value for variable in variables if (value := os.environ.get(variable))), None)


def http_answers(port: int, path: str) -> bool:
    """Return whether the server on this loopback port answers `path` with 200."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
