"""The operator's commands for jobs: `app jobs --help` lists them."""

import asyncio
from typing import Annotated

import typer

jobs = typer.Typer(help="Look after jobs.", no_args_is_help=True)

Timeout = Annotated[float | None, typer.Option(min=0, help="Seconds to wait at most; 0 looks once. Default: for ever.")]


@jobs.command()
def drain(timeout: Timeout = None) -> None:
    """Wait until no job is queued or running, before switching the task queue.

    Stop the API first, so that nothing new arrives, and leave the workers running. Jobs whose next try is more than ten
    minutes away, such as webhooks, are not waited for. Exits with status 1 if jobs are left when the time is up.
    """
    left = asyncio.run(_drain(timeout))
    if left:
        typer.secho(f"{_jobs_left(left)} when the time was up.", err=True, fg=typer.colors.RED)
        raise typer.Exit(1)
    typer.echo("No jobs are left to wait for.")


async def _drain(within: float | None) -> int:
    from app.command_settings import load_settings
    from app.database import open_database
    from app.jobs.draining import drain as drain_jobs

    async with open_database(load_settings().database) as database:
        return await drain_jobs(database, lambda left: typer.echo(f"{_jobs_left(left)}."), within=within)


def _jobs_left(left: int) -> str:
    return "1 job is left" if left == 1 else f"{left} jobs are left"
