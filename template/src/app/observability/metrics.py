"""OpenTelemetry metrics, exported to Prometheus, to a collector, or to both."""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import get_meter_provider, set_meter_provider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource
from prometheus_client import CollectorRegistry, ProcessCollector
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, SecretStr

from app.observability.sending import SEND_SECONDS, flush_with_timeout, signal_url

# Seconds between two exports to a collector, the usual scrape interval of Prometheus.
INTERVAL = 15.0


class MetricsSettings(BaseModel):
    """Access to `/metrics`, and the collector for metrics."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool = Field(default=True, description="serve /metrics and collect metrics for it")
    token: SecretStr | None = Field(
        default=None, min_length=16, description="bearer token that Prometheus must send; without it, access is public"
    )
    endpoint: HttpUrl | None = Field(
        default=None, description="OTLP/HTTP endpoint of a collector, also for workers; none disables the export"
    )


def collect_metrics(service: str) -> CollectorRegistry:
    """Start to collect this process's metrics for Prometheus, and return their registry."""
    return _collect_from(_meter_provider(service))


@asynccontextmanager
async def open_metrics(settings: MetricsSettings, service: str) -> AsyncIterator[None]:
    """Export this process's metrics to the collector, if there is one, while the block runs and at its end.

    A slow or unavailable collector never delays requests or jobs; the next export makes up for lost ones.

    Args:
        settings: configure the collector.
        service: the service name; the instance is the host name and the process id.
    """
    if settings.endpoint is None:
        yield
        return
    reader = _send_to(signal_url(settings.endpoint, "metrics"), _meter_provider(service))
    try:
        yield
    finally:
        await flush_with_timeout(reader.force_flush)


def _meter_provider(service: str) -> MeterProvider:
    """Return the process's provider; OpenTelemetry allows setting it only once."""
    given = get_meter_provider()
    if isinstance(given, MeterProvider):
        return given
    instance = f"{socket.gethostname()}:{os.getpid()}"
    resource = Resource.create({SERVICE_NAME: service, SERVICE_INSTANCE_ID: instance})
    provider = MeterProvider(resource=resource, shutdown_on_exit=False)
    set_meter_provider(provider)
    return provider


@cache
def _collect_from(provider: MeterProvider) -> CollectorRegistry:
    registry = CollectorRegistry()
    provider.add_metric_reader(
        PrometheusMetricReader(disable_target_info=True, scope_info_enabled=False, registry=registry)
    )
    ProcessCollector(registry=registry)
    return registry


@cache
def _send_to(url: str, provider: MeterProvider) -> PeriodicExportingMetricReader:
    exporter = OTLPMetricExporter(url, timeout=SEND_SECONDS)
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=INTERVAL * 1000)
    provider.add_metric_reader(reader)
    return reader
