"""Helpers for tests over HTTP."""

from dataclasses import dataclass
from typing import Any

import httpx2

from app.auth.caller import ACCOUNT_SCOPES, Scope
from app.bootstrap import Services
from app.jobs.models import JobState
from app.pages import PageRequest


@dataclass
class Person:
    """A user with an account and an API key, who sends requests to the service."""

    client: httpx2.AsyncClient
    services: Services
    email: str
    headers: dict[str, str]

    async def request(self, method: str, path: str, **options: Any) -> httpx2.Response:  # noqa: ANN401
        """Send a request with this person's key."""
        return await self.client.request(method, path, headers=self.headers | options.pop("headers", {}), **options)

    async def upload(self, name: str, content: bytes, **options: Any) -> httpx2.Response:  # noqa: ANN401
        """Upload a file."""
        return await self.request("POST", "/v1/documents", files={"file": (name, content)}, **options)

    async def upload_and_index(self, name: str, content: bytes) -> str:
        """Upload a file, run its job at once, and return the document's id."""
        response = await self.upload(name, content)
        assert response.status_code == 202, response.text
        await self.run_jobs()
        document_id: str = response.json()["document"]["id"]
        return document_id

    async def run_jobs(self) -> None:
        """Run this person's unfinished jobs, as a worker would."""
        caller = await self.services.auth.ensure_account(self.email)
        jobs, _ = await self.services.jobs.list_for(PageRequest(limit=100), caller=caller)
        for job in reversed(jobs):
            if job.state in {JobState.QUEUED, JobState.CANCELLED}:
                await self.services.job_runner.run(job.id)


async def join(client: httpx2.AsyncClient, services: Services, email: str, *scopes: Scope) -> Person:
    """Create an account and a key with these scopes, by default all that accounts may have."""
    account = await services.auth.ensure_account(email)
    key = await services.auth.give_key("test", scopes or ACCOUNT_SCOPES, account_id=account.id)
    return Person(client, services, email, {"Authorization": f"Bearer {key.secret}"})
