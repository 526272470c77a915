"""Bearer credentials in the headers of a request."""

from starlette.datastructures import Headers
from starlette.types import Scope

from app.errors import UnauthenticatedError


def read_bearer(scope: Scope) -> str:
    """Return the bearer credentials of a request.

    Raises:
        UnauthenticatedError: there are none.
    """
    scheme, _, credentials = Headers(scope=scope).get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise UnauthenticatedError("Send an API key or an access token as `Authorization: Bearer …`.")
    return credentials.strip()
