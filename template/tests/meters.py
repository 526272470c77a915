"""What the meters of OpenTelemetry were told, as an exporter would get it."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from opentelemetry.metrics import set_meter_provider
from opentelemetry.sdk.metrics import Counter, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader, NumberDataPoint

Attributes = frozenset[tuple[str, object]]


@dataclass(frozen=True)
class Meters:
    """Every meter of the process."""

    reader: InMemoryMetricReader

    def read(self) -> Mapping[str, Mapping[Attributes, float]]:
        """Give the numbers by metric and attributes; those of counters are what came since the last reading."""
        data = self.reader.get_metrics_data()
        resources = data.resource_metrics if data else ()
        told = [metric for each in resources for scope in each.scope_metrics for metric in scope.metrics]
        return {
            metric.name: {
                frozenset((point.attributes or {}).items()): point.value
                for point in metric.data.data_points
                if isinstance(point, NumberDataPoint)
            }
            for metric in told
        }


@pytest.fixture(scope="session")
def metric_reader() -> InMemoryMetricReader:
    """The one reader of this process, because meters can be given a provider but once."""
    reader = InMemoryMetricReader({Counter: AggregationTemporality.DELTA})
    set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))
    return reader


@pytest.fixture
def meters(metric_reader: InMemoryMetricReader) -> Meters:
    """The meters, without what other tests have told them."""
    meters = Meters(metric_reader)
    meters.read()
    return meters
