"""Extractions that wait for a reviewer, and what may come of them."""

import json
from typing import Any

from app.errors import ExtractionFailedError, UnprocessableError
from app.extraction.extractor import Outcome, Wish
from app.extraction.form import read_form
from app.extraction.replies import judge
from app.reviews.service import NewReview

EXTRACTION = "extraction"


def review_of(text: str, wish: Wish, outcome: Outcome, failure: ExtractionFailedError) -> NewReview:
    """Ask for a person's judgement on an answer that does not fit: its data, or its words where it is not even JSON."""
    faults = "; ".join(f"{location}: {message}" for location, message in failure.faults)
    return NewReview(
        kind=EXTRACTION,
        # The database keeps no NUL characters; keys of the model's making may hold some.
        reason=f"{failure.detail} {faults}".replace("\x00", "\N{REPLACEMENT CHARACTER}"),
        given={"text": text, "schema": wish.schema, "instructions": wish.told},
        output=outcome.answer if outcome.data is None else outcome.data,
    )


def check_release(given: Any, result: Any, *, is_corrected: bool) -> None:  # noqa: ANN401 - JSON
    """Pass if a reviewer may release this: an object, and if it was corrected, one that fits the schema.

    What the model wrote may be approved though it does not fit: that is a person's judgement, and the state says so.

    Raises:
        UnprocessableError: it may not be released.
    """
    if not isinstance(result, dict):
        raise UnprocessableError("Only a JSON object can be released: correct the output, or reject it.")
    if not is_corrected:
        return
    try:
        _, faults = judge(json.dumps(result), read_form(given["schema"]))
    except RecursionError:
        raise UnprocessableError("The correction is nested too deep.") from None
    if faults:
        raise UnprocessableError("The correction does not fit the schema.", faults=faults)
