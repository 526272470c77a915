"""What language models tell the meters of OpenTelemetry; without a configured SDK it costs next to nothing."""

from opentelemetry.metrics import get_meter

from app.chat.ports import CircuitState

_meter = get_meter("app.chat")
_failures = _meter.create_counter("app_language_model_failures", description="requests that a model failed on")
_circuits = _meter.create_gauge("app_circuit_open", description="1 while a model is not asked, because it fails")


def count_failure(model: str, code: str) -> None:
    """Count a request that a model failed on, after the last try."""
    _failures.add(1, {"model": model, "code": code})


def show_circuit(model: str, state: CircuitState) -> None:
    """Record how this process found a model's circuit."""
    _circuits.set(int(state != "closed"), {"model": model})
