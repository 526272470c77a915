"""The MCP server: the use cases of the HTTP API, with the same credentials, for AI assistants."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, cast

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import Field
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.answers.retrieval import RetrievalService
from app.answers.schemas import AnswerRead, SearchRead
from app.answers.service import AnswerService
from app.auth.bearer import read_bearer
from app.auth.caller import Caller
from app.auth.service import AuthService
from app.errors import AppError, UnauthenticatedError
from app.problems import install_problem_handlers, problem_of, problem_response

Question = Annotated[str, Field(min_length=1, max_length=4000)]
TopK = Annotated[int, Field(ge=1, le=50)]
CALLER = "app.caller"


class AuthenticatedApp:
    """ASGI wrapper that requires valid credentials and stores the caller in the scope."""

    def __init__(self, app: ASGIApp, auth: AuthService) -> None:
        self.app = app
        self._auth = auth

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            scope[CALLER] = await self._auth.authenticate(read_bearer(scope))
        except UnauthenticatedError as error:
            await problem_response(problem_of(error), scope["path"], error.headers)(scope, receive, send)
            return
        await self.app(scope, receive, send)


class McpEndpoint:
    """Forwards requests to the MCP server, which is started in the application's lifespan."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await scope["app"].state.mcp(scope, receive, send)


def build_server(name: str, retrieval: RetrievalService, answers: AnswerService) -> MCPServer[Any]:
    """Create the server, with search and answers as tools."""
    server: MCPServer[Any] = MCPServer(name, instructions="Searches the caller's documents and answers from them.")

    @server.tool()
    async def search(query: Question, ctx: Context[Any, Any], top_k: TopK = 5) -> SearchRead:
        """Find the passages of the caller's documents that match the query best, by meaning and by words."""
        try:
            passages = await retrieval.search(query, caller=_caller(ctx), top_k=top_k)
        except AppError as error:
            raise ToolError(error.detail) from error
        return SearchRead.of(passages, retrieval.embedder.model.identity)

    @server.tool()
    async def ask(question: Question, ctx: Context[Any, Any], top_k: TopK = 5) -> AnswerRead:
        """Answer a question from the caller's documents, with citations."""
        try:
            return AnswerRead.of(await answers.answer(question, caller=_caller(ctx), top_k=top_k))
        except AppError as error:
            raise ToolError(error.detail) from error

    return server


@asynccontextmanager
async def open_mcp(
    name: str, *, auth: AuthService, retrieval: RetrievalService, answers: AnswerService
) -> AsyncIterator[ASGIApp]:
    """Run the server while the block runs; yield the ASGI application for `/mcp`."""
    server = build_server(name, retrieval, answers)
    # DNS rebinding exploits ambient credentials; here every request needs a bearer token. Besides, the service does
    # not know its host name.
    security = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    app = server.streamable_http_app(stateless_http=True, json_response=True, transport_security=security)
    install_problem_handlers(app)
    async with server.session_manager.run():
        yield AuthenticatedApp(app, auth)


def _caller(ctx: Context[Any, Any]) -> Caller:
    caller: Caller = cast("Request", ctx.request_context.request).scope[CALLER]
    return caller
