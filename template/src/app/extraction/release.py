"""Reviews of failed extractions, and the check of what a reviewer releases."""

import json
from typing import Any

from app.errors import ExtractionFailedError, UnprocessableError
from app.extraction.compiled_schema import compile_schema
from app.extraction.extractor import ExtractionOptions, Outcome
from app.extraction.replies import judge
from app.reviews.service import NewReview

EXTRACTION = "extraction"


def review_of(text: str, options: ExtractionOptions, outcome: Outcome, failure: ExtractionFailedError) -> NewReview:
    """Build the review of an answer that does not match the schema; its output is the data, or the text if not JSON."""
    faults = "; ".join(f"{location}: {message}" for location, message in failure.faults)
    return NewReview(
        kind=EXTRACTION,
        # PostgreSQL cannot store NUL characters, which keys of the model's JSON may contain.
        reason=f"{failure.detail} {faults}".replace("\x00", "\N{REPLACEMENT CHARACTER}"),
        given={"text": text, "schema": options.schema, "instructions": options.instruction_text},
        output=outcome.answer if outcome.data is None else outcome.data,
    )


def check_release(given: Any, result: Any, *, is_corrected: bool) -> None:  # noqa: ANN401 - JSON
    """Check that a reviewer may release a result: it must be an object, and a correction must match the schema.

    The model's own output may be approved even if it does not match: the state `approved` records that decision.

    Raises:
        UnprocessableError: the result may not be released.
    """
    if not isinstance(result, dict):
        raise UnprocessableError("Only a JSON object can be released: correct the output, or reject it.")
    if not is_corrected:
        return
    try:
        _, faults = judge(json.dumps(result), compile_schema(given["schema"]))
    except RecursionError:
        raise UnprocessableError("The correction is nested too deep.") from None
    if faults:
        raise UnprocessableError("The correction does not fit the schema.", faults=faults)
