"""What the stack knows about a server, whether started here or given by the user."""

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
        name: What the user calls it.
        url: Where the service finds it.
        ready: Says whether it answers by now.
    """

    name: str
    url: str
    ready: Callable[[], bool] = _always


def given_url(*variables: str) -> str | None:
    """Return the first of the user's environment variables that has a value."""
    return next((value for variable in variables if (value := os.environ.get(variable))), None)


def http_answers(port: int, path: str) -> bool:
    """Say whether the server on this port of loopback answers `path` with 200."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
