"""The base of request bodies, which limits the cost of invalid ones.

Every validation error is reported, so a model must not produce thousands of them: unknown fields are counted before
validation, and lists, sets and dicts stop at their first error (`fail_fast`) and have a `max_length`. Fields of any
JSON cannot be invalid, so they need neither.
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

    Rejects unknown fields, unless a model allows them, and always if there are twenty more fields than the model has.
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


# Arbitrary JSON is later processed by recursive code, whose stack allows fewer levels than the framework's JSON parser.
AnyJson = Annotated[Any, AfterValidator(_check_depth)]
JsonObject = Annotated[dict[str, Any], AfterValidator(_check_depth)]
# The database driver fails for times outside the years 1 to 9999 of UTC.
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
