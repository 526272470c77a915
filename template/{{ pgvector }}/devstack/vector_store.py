"""The vector store of the development stack: the database itself, through pgvector."""

from devstack.processes import Processes
from devstack.servers import Server, given_url


def start(_processes: Processes, *, durable: bool) -> Server | None:  # noqa: ARG001 - the other choice needs it
    """Return None, because passages live in the database, unless APP_VECTOR_STORE__URL names another one."""
    url = given_url("APP_VECTOR_STORE__URL")
    return None if url is None else Server("pgvector", url)
