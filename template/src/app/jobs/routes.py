"""HTTP routes for jobs."""

from uuid import UUID

from fastapi import APIRouter

from app.dependencies import CallerDep, PageDep, ServicesDep
from app.jobs.models import Job
from app.jobs.schemas import JobRead
from app.pages import Page

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


@router.get("")
async def list_jobs(page: PageDep, caller: CallerDep, services: ServicesDep) -> Page[JobRead]:
    """List the caller's jobs, newest first."""
    jobs, next_cursor = await services.jobs.list_for(page, caller=caller)
    return Page(items=[JobRead.model_validate(job) for job in jobs], next_cursor=next_cursor)


@router.get("/{job_id}", response_model=JobRead)
async def read_job(job_id: UUID, caller: CallerDep, services: ServicesDep) -> Job:
    """Return a job."""
    return await services.jobs.get(job_id, caller=caller)


@router.post("/{job_id}/cancel", response_model=JobRead)
async def cancel_job(job_id: UUID, caller: CallerDep, services: ServicesDep) -> Job:
    """Cancel a job; if it is running, it stops within seconds."""
    return await services.jobs.cancel(job_id, caller=caller)
