"""What the meters of OpenTelemetry were told, as Prometheus gets it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from app.observability.metrics import collect_metrics

Attributes = frozenset[tuple[str, object]]
Numbers = Mapping[str, Mapping[Attributes, float]]


@dataclass
class Meters:
    """Every meter of the process."""

    registry: CollectorRegistry
    _before: dict[tuple[str, Attributes], float] = field(default_factory=dict)

    def read(self) -> Numbers:
        """Give the numbers by metric and attributes; those of counters are what came since the last reading."""
        told: dict[str, dict[Attributes, float]] = {}
        for metric in self.registry.collect():
            for sample in metric.samples:
                if metric.type == "histogram":
                    continue
                attributes: Attributes = frozenset(sample.labels.items())
                value = sample.value
                if metric.type == "counter":
                    value -= self._before.get((metric.name, attributes), 0.0)
                    self._before[metric.name, attributes] = sample.value
                if value or metric.type != "counter":
                    told.setdefault(metric.name, {})[attributes] = value
        return told

    def written(self) -> str:
        """Give all of it in Prometheus's text format."""
        return generate_latest(self.registry).decode()


@pytest.fixture
def meters() -> Meters:
    """The meters, without what other tests have told them."""
    meters = Meters(collect_metrics())
    meters.read()
    return meters
