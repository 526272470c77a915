"""Metrics by OpenTelemetry: collected for Prometheus, sent to a collector, or both."""

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

from app.observability.sending import SEND_SECONDS, address, send_the_rest

# Seconds between two sendings to a collector: as often as Prometheus usually asks.
INTERVAL = 15.0


class MetricsSettings(BaseModel):
    """Whether `/metrics` is served and to whom, and where metrics are sent."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool = Field(default=True, description="serve /metrics; otherwise meters tell an SDK of yours, or nobody")
    token: SecretStr | None = Field(
        default=None, min_length=16, description="what Prometheus must send as bearer token; none lets everybody read"
    )
    endpoint: HttpUrl | None = Field(
        default=None, description="where a collector takes OTLP over HTTP, from workers too; none: nothing is sent"
    )


def collect_metrics(service: str) -> CollectorRegistry:
    """Start collecting this process's metrics under this service name."""
    return _collect_from(_meter_provider(service))


@asynccontextmanager
async def open_metrics(settings: MetricsSettings, service: str) -> AsyncIterator[None]:
    """Send this process's metrics while the block runs, if there is a collector, and once more at its end.

    A slow or absent collector never delays requests or jobs; the next transmission makes up for lost ones.

    Args:
        settings: where to.
        service: what the process is called there; its instance is the machine's name and the process's number.
    """
    if settings.endpoint is None:
        yield
        return
    reader = _send_to(address(settings.endpoint, "metrics"), _meter_provider(service))
    try:
        yield
    finally:
        await send_the_rest(reader.force_flush)


def _meter_provider(service: str) -> MeterProvider:
    """Give the process's one provider; OpenTelemetry takes no second one, nor one back."""
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
