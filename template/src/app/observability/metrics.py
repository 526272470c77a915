"""What the meters of OpenTelemetry are told, collected for Prometheus."""

from functools import cache

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import set_meter_provider
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry, ProcessCollector
from pydantic import BaseModel, ConfigDict, Field, SecretStr


class MetricsSettings(BaseModel):
    """Whether `/metrics` is there, and for whom."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool = Field(default=True, description="serve /metrics; otherwise meters tell an SDK of yours, or nobody")
    token: SecretStr | None = Field(
        default=None, min_length=16, description="what Prometheus must send as bearer token; none lets everybody read"
    )


@cache
def collect_metrics() -> CollectorRegistry:
    """Collect from now on what this process measures; once, because meters can be given a provider but once."""
    registry = CollectorRegistry()
    reader = PrometheusMetricReader(disable_target_info=True, scope_info_enabled=False, registry=registry)
    set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))
    ProcessCollector(registry=registry)
    return registry
