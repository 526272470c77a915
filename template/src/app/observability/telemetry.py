"""Telemetry of a process: traces and metrics for an OpenTelemetry collector."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.observability.metrics import MetricsSettings, open_metrics
from app.observability.tracing import TracingSettings, open_tracing


@asynccontextmanager
async def open_telemetry(tracing: TracingSettings, metrics: MetricsSettings, service: str) -> AsyncIterator[None]:
    """Send traces and metrics while the block runs, each if there is a collector for it.

    Args:
        tracing: where traces go.
        metrics: where metrics go.
        service: what the process is called there.
    """
    async with open_tracing(tracing, service), open_metrics(metrics, service):
        yield
