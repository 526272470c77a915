"""OpenTelemetry metrics and spans of language models."""

from collections.abc import Iterable
from time import monotonic
from typing import Literal

from opentelemetry.metrics import CallbackOptions, Observation, get_meter
from opentelemetry.trace import Span, StatusCode

from app.observability.buckets import SECONDS
from app.observability.spans import begin_span
from app.usage.measurement import Measurement

# Until when each model is skipped. The gauge compares it with the time of the reading, so it needs no update.
_skipped_until: dict[str, float] = {}


def _observe_circuits(_: CallbackOptions) -> Iterable[Observation]:
    now = monotonic()
    return [Observation(int(now < until), {"model": model}) for model, until in _skipped_until.copy().items()]


_meter = get_meter("app.chat")
_failures = _meter.create_counter("app_language_model_failures", description="requests that failed at a model")
_rejections = _meter.create_counter(
    "app_language_model_rejections", description="calls for which no slot became free in time"
)
_meter.create_observable_gauge(
    "app_circuit_open", [_observe_circuits], description="1 while a failing model is skipped"
)
_answers = _meter.create_histogram(
    "app_language_model_seconds", "s", "time of an answer", explicit_bucket_boundaries_advisory=SECONDS
)
_first_tokens = _meter.create_histogram(
    "app_language_model_first_token_seconds",
    "s",
    "time until the first token of an answer",
    explicit_bucket_boundaries_advisory=SECONDS,
)
_tokens = _meter.create_counter("app_language_model_tokens", description="tokens that models read and wrote")
_limited = _meter.create_counter(
    "app_provider_limited_calls", description="calls that waited for a provider's limit, or were refused by it"
)
_lookups = _meter.create_counter("app_answer_cache_lookups", description="lookups in the answer cache, by outcome")


def count_failure(model: str, code: str) -> None:
    """Count a request that failed at a model, once its retries are used up."""
    _failures.add(1, {"model": model, "code": code})


def count_rejection(model: str) -> None:
    """Count a call for which no slot became free in time."""
    _rejections.add(1, {"model": model})


def record_circuit(model: str, left: float) -> None:
    """Record for how many more seconds a model is skipped; 0 if its circuit is closed."""
    _skipped_until[model] = monotonic() + left


def trace_answer(model: str) -> Span:
    """Start the span of an answer, following OpenTelemetry's semantic conventions for generative AI."""
    return begin_span(f"chat {model}", {"gen_ai.operation.name": "chat", "gen_ai.request.model": model})


def record_answer(measurement: Measurement, span: Span) -> None:
    """Record the metrics and span attributes of an answer, however it ended."""
    model = {"model": measurement.model}
    _answers.record(measurement.seconds, model | {"reason": measurement.finish_reason})
    if measurement.first_token_seconds is not None:
        _first_tokens.record(measurement.first_token_seconds, model)
    _tokens.add(measurement.input_tokens, model | {"direction": "read"})
    _tokens.add(measurement.output_tokens, model | {"direction": "written"})
    span.set_attributes(
        {
            "gen_ai.response.model": measurement.model,
            "gen_ai.response.finish_reasons": [measurement.finish_reason],
            "gen_ai.usage.input_tokens": measurement.input_tokens,
            "gen_ai.usage.output_tokens": measurement.output_tokens,
        }
    )
    if measurement.finish_reason == "failed":
        span.set_status(StatusCode.ERROR)


def count_limited(provider: str, outcome: Literal["waited", "refused"]) -> None:
    """Count a call that waited for a provider's limit or was refused because of it."""
    _limited.add(1, {"provider": provider, "outcome": outcome})


def count_cache_lookup(outcome: Literal["hit", "miss"]) -> None:
    """Count a cache lookup: a hit, or a miss that goes to the model."""
    _lookups.add(1, {"outcome": outcome})
