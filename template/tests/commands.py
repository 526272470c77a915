"""Helpers that run the operator's commands in tests."""

import asyncio

from typer.testing import CliRunner, Result

from app import cli
from app.bootstrap import Services, build_services, open_ports
from app.documents.models import Document
from app.pages import PageRequest
from app.settings import Settings

EMAIL = "operator@example.com"
EVERYTHING = PageRequest(limit=100)


def attempt(*arguments: str, given: bytes | None = None) -> Result:
    """Run a command with this standard input and return its result, successful or not."""
    return CliRunner().invoke(cli.app, arguments, input=given)


def run(*arguments: str) -> str:
    """Run a command that succeeds and return what it prints."""
    result = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def index(settings: Settings) -> list[Document]:
    """Do what is queued, as a worker would, and list the operator's documents."""

    async def work() -> list[Document]:
        async with open_ports(settings) as ports:
            services = build_services(settings, ports)
            await do_jobs(services)
            caller = await services.auth.ensure_account(EMAIL)
            documents, _ = await services.documents.list_for(EVERYTHING, caller=caller)
            return documents

    return asyncio.run(work())


async def do_jobs(services: Services) -> None:
    """Run the operator's jobs."""
    caller = await services.auth.ensure_account(EMAIL)
    jobs, _ = await services.jobs.list_for(EVERYTHING, caller=caller)
    for job in jobs:
        await services.job_runner.run(job.id)
