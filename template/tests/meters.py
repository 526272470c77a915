"""A fixture that reads OpenTelemetry metrics as Prometheus scrapes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from app.observability.metrics import collect_metrics

Attributes = frozenset[tuple[str, object]]
Numbers = Mapping[str, Mapping[Attributes, float]]


@dataclass
class Meters:
    """All metrics of the process."""

    registry: CollectorRegistry
    _before: dict[tuple[str, Attributes], float] = field(default_factory=dict)

    def read(self) -> Numbers:
        """Return values by metric and attributes; counters and histogram counts are relative to the last reading."""
        told: dict[str, dict[Attributes, float]] = {}
        for metric in self.registry.collect():
            for sample in metric.samples:
                name = metric.name
                if metric.type == "histogram":
                    name = sample.name
                    if not name.endswith("_count"):
                        continue
                attributes: Attributes = frozenset(sample.labels.items())
                value = sample.value
                if metric.type != "gauge":
                    value -= self._before.get((name, attributes), 0.0)
                    self._before[name, attributes] = sample.value
                if value or metric.type == "gauge":
                    told.setdefault(name, {})[attributes] = value
        return told

    def written(self) -> str:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self.registry).decode()


@pytest.fixture
def meters() -> Meters:
    """Return the metrics, without counts from other tests."""
    meters = Meters(collect_metrics("tests"))
    meters.read()
    return meters
