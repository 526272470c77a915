"""What language models tell OpenTelemetry's meters and traces; where nobody collects it, it costs next to nothing."""

from collections.abc import Iterable
from time import monotonic
from typing import Literal

from opentelemetry.metrics import CallbackOptions, Observation, get_meter
from opentelemetry.trace import Span, StatusCode

from app.observability.buckets import SECONDS
from app.observability.spans import begin_span
from app.usage.measurement import Measurement

# When each model is asked again: what is observed needs no later request to be true.
_asked_again: dict[str, float] = {}


def _observe_circuits(_: CallbackOptions) -> Iterable[Observation]:
    now = monotonic()
    return [Observation(int(now < until), {"model": model}) for model, until in _asked_again.copy().items()]


_meter = get_meter("app.chat")
_failures = _meter.create_counter("app_language_model_failures", description="requests that a model failed on")
_rejections = _meter.create_counter(
    "app_language_model_rejections", description="calls for which no place became free in time"
)
_meter.create_observable_gauge(
    "app_circuit_open", [_observe_circuits], description="1 while a model is not asked, because it fails"
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
_lookups = _meter.create_counter(
    "app_answer_cache_lookups", description="requests that looked for a kept answer, by what came of it"
)


def count_failure(model: str, code: str) -> None:
    """Count a request that a model failed on, after the last try."""
    _failures.add(1, {"model": model, "code": code})


def count_rejection(model: str) -> None:
    """Count a call that found no free place in time."""
    _rejections.add(1, {"model": model})


def show_circuit(model: str, left: float) -> None:
    """Record for how many seconds a model is left alone; 0 where it is not."""
    _asked_again[model] = monotonic() + left


def trace_answer(model: str) -> Span:
    """Begin the span of an answer, in the words of OpenTelemetry's conventions for generative AI."""
    return begin_span(f"chat {model}", {"gen_ai.operation.name": "chat", "gen_ai.request.model": model})


def show_answer(measurement: Measurement, span: Span) -> None:
    """Record what an answer took, however it ended."""
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
    """Count a call that had to wait for its turn at a provider, or did not get one in time."""
    _limited.add(1, {"provider": provider, "outcome": outcome})


def count_cache_lookup(outcome: Literal["hit", "miss"]) -> None:
    """Count a request that was given a kept answer, or that went to the model because there was none."""
    _lookups.add(1, {"outcome": outcome})
