"""The base of request bodies, which bounds what an invalid body costs.

Every mistake that is found is described and sent back. So no model here may find thousands: unknown fields are
counted before they are looked at, and a list, set or dict stops at its first mistake (`fail_fast`) and has a
`max_length`. Only what holds just anything, and so no mistakes, needs neither.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, model_validator

MOST_UNKNOWN = 20
LONGEST_NAME = 60
DEEPEST = 200
CONTAINERS = (dict, list)

Json = TypeVar("Json")


class Payload(BaseModel):
    """The body of a request, or a part of one.

    Refuses unknown fields unless a model says otherwise, and always where there are twenty more than fields in all.
    """

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _refuse_floods(cls, value: object) -> object:
        if isinstance(value, dict) and len(value) > len(cls.model_fields) + MOST_UNKNOWN:
            known = {field.alias or name for name, field in cls.model_fields.items()}
            unknown = next(name for name in value if name not in known)
            raise ValueError(f"{len(value):,} fields are too many; {unknown[:LONGEST_NAME]!r} is not known here")
        return value


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("the time is not within the years 1 to 9999 of UTC") from None


def _check_depth(value: Json) -> Json:
    level: list[Any] = [[value]]
    for _ in range(DEEPEST + 1):
        parts = (each.values() if isinstance(each, dict) else each for each in level)
        level = [each for part in parts for each in part if each and isinstance(each, CONTAINERS)]
        if not level:
            return value
    raise ValueError(f"this is nested deeper than {DEEPEST} levels")


# What holds just anything is written and read again by code that takes a piece of its stack for every level, and the
# framework's reader of JSON lets several times as many levels through as the least of that code can take.
AnyJson = Annotated[Any, AfterValidator(_check_depth)]
JsonObject = Annotated[dict[str, Any], AfterValidator(_check_depth)]
# The database's driver fails on a time that no year of UTC holds.
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
