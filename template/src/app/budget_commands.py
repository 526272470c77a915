"""The operator's commands for budgets: `app budget --help` lists them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from app.auth.caller import Caller
    from app.usage.budgets import Budgets

budget = typer.Typer(help="Look after what accounts may spend in a month.", no_args_is_help=True)

UNLIMITED = "unlimited"
MOST = Decimal(10) ** 9


def parse_amount(text: str) -> Decimal | None:
    """Parse an amount; None means no limit."""
    if text == UNLIMITED:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not 0 <= amount <= MOST:
        raise typer.BadParameter(f"Give an amount such as 25.50, at most {MOST}, or {UNLIMITED}.")
    return amount


Email = Annotated[str, typer.Argument(help="Address of the account.")]
Amount = Annotated[str, typer.Argument(help=f"In the currency of the prices, or `{UNLIMITED}`.")]


@budget.command("set")
def set_budget(email: Email, amount: Amount) -> None:
    """Set the monthly budget of an account."""
    typer.echo(asyncio.run(_set(email, parse_amount(amount))))


@budget.command("unset")
def unset_budget(email: Email) -> None:
    """Reset an account to the default budget, APP_USAGE__MONTHLY_BUDGET."""
    typer.echo(asyncio.run(_unset(email)))


@budget.command("show")
def show_budget(email: Email) -> None:
    """Show an account's budget for this month and what it has spent."""
    typer.echo(asyncio.run(_show(email)))


@asynccontextmanager
async def _account(email: str) -> "AsyncIterator[tuple[Budgets, Caller]]":
    from app.auth.service import AuthService
    from app.command_settings import load_settings
    from app.database import open_database
    from app.usage.budgets import Budgets

    settings = load_settings()
    async with open_database(settings.database) as database:
        caller = await AuthService(database, settings.auth).find_account(email)
        yield Budgets(database, settings.usage), caller


async def _set(email: str, amount: Decimal | None) -> str:
    async with _account(email) as (budgets, caller):
        await budgets.set_budget(amount, caller=caller)
        return await _standing(budgets, caller)


async def _unset(email: str) -> str:
    async with _account(email) as (budgets, caller):
        await budgets.unset_budget(caller=caller)
        return await _standing(budgets, caller)


async def _show(email: str) -> str:
    async with _account(email) as (budgets, caller):
        return await _standing(budgets, caller)


async def _standing(budgets: "Budgets", caller: "Caller") -> str:
    from app.usage.prices import format_amount

    month = await budgets.read_month(caller=caller)
    limit = "no limit" if month.budget is None else f"{format_amount(month.budget)} {budgets.settings.currency}"
    spent, reserved = format_amount(month.spending.spent), format_amount(month.spending.reserved)
    return f"{month.month:%Y-%m}: {spent} spent, {reserved} reserved, {limit}"
