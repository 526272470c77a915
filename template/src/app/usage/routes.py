"""HTTP routes for usage."""

from datetime import UTC, date, datetime
from typing import Annotated

from fastapi import APIRouter, Query

from app.dependencies import CallerDep, ServicesDep
from app.usage.schemas import UsageReport

router = APIRouter(prefix="/v1", tags=["usage"])

DEFAULT_DAYS = 30


@router.get("/usage")
async def read_usage(
    caller: CallerDep,
    services: ServicesDep,
    first: Annotated[date | None, Query(description="the first day, in UTC; by default, 30 days in all")] = None,
    last: Annotated[date | None, Query(description="the last day, in UTC; by default, today")] = None,
) -> UsageReport:
    """Return the caller's usage of language models by day and model, its cost, and what is left of the budget."""
    last = last or datetime.now(UTC).date()
    first = first or date.fromordinal(max(1, last.toordinal() - DEFAULT_DAYS + 1))
    days = await services.usage.list_daily(first, last, caller=caller)
    month = await services.usage.read_month(caller=caller)
    return UsageReport.of(first, last, days, month, services.usage.budgets.settings.currency)
