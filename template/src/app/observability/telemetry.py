"""Export of a process's traces and metrics to an OpenTelemetry collector."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.observability.metrics import MetricsSettings, open_metrics
from app.observability.tracing import TracingSettings, open_tracing


@asynccontextmanager
async def open_telemetry(tracing: TracingSettings, metrics: MetricsSettings, service: str) -> AsyncIterator[None]:
    """Export traces and metrics while the block runs, each if a collector is configured for it.

    Args:
        tracing: configures the collector of traces.
        metrics: configures the collector of metrics.
        service: the service name.
    """
    async with open_tracing(tracing, service), open_metrics(metrics, service):
        yield
