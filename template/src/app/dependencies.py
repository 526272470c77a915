"""FastAPI dependencies of route handlers: the services, the caller, pagination."""

from typing import Annotated

from fastapi import Depends, Query
from fastapi.requests import HTTPConnection
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.auth.caller import Caller
from app.bootstrap import Services
from app.errors import UnauthenticatedError
from app.pages import MAX_LIMIT, PageRequest

_bearer = HTTPBearer(auto_error=False, description="An API key (`sk-…`) or an access token.")


async def get_services(connection: HTTPConnection) -> Services:
    """Return the services that the application was started with."""
    services: Services = connection.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(get_services)]


CredentialsDep = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


async def get_caller(services: ServicesDep, credentials: CredentialsDep) -> Caller:
    """Authenticate the request.

    Raises:
        UnauthenticatedError: there are no valid credentials.
    """
    if credentials is None:
        raise UnauthenticatedError("Send an API key or an access token as `Authorization: Bearer …`.")
    return await services.auth.authenticate(credentials.credentials)


CallerDep = Annotated[Caller, Depends(get_caller)]


async def get_page(
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="most items to return")] = 20,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the previous page")] = None,
) -> PageRequest:
    """Read the pagination parameters."""
    return PageRequest(limit, cursor)


PageDep = Annotated[PageRequest, Depends(get_page)]
