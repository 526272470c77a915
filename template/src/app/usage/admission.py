"""The admission of a request to a language model."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from app.auth.caller import Caller
from app.usage.measurement import Expectation
from app.usage.quotas import QuotaDecision


@dataclass(frozen=True, slots=True)
class Hold:
    """The reservation of a call's highest cost.

    Attributes:
        month: first day of the month whose budget is charged.
        cost: None if the price is not known.
        is_stored: whether there is a row in the database; not needed if no budget is involved.
    """

    id: UUID
    month: date
    cost: Decimal | None
    is_stored: bool = True


@dataclass(frozen=True, slots=True)
class Admission:
    """A request within its caller's limits; it counts against them until it is recorded or released.

    Attributes:
        hold: the reservation in the caller's budget; its id becomes that of the usage record.
        taken: what was taken from the caller's quotas; None if there are none.
    """

    caller: Caller
    expected: Expectation
    hold: Hold
    taken: QuotaDecision | None
