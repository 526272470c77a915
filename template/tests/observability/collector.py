"""An OpenTelemetry collector that keeps what it receives."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass(frozen=True)
class Collected:
    """A received span, with hexadecimal ids."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, str]


@dataclass(frozen=True)
class Measured:
    """A received number; for a histogram, its count."""

    service: str
    instance: str
    name: str
    attributes: dict[str, str]
    value: float


class Collector(ThreadingHTTPServer):
    """An OTLP server over HTTP on a free port."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[Collected] = []
        self.numbers: list[Measured] = []

    @property
    def url(self) -> str:
        """Return the endpoint for the service's settings."""
        return f"http://127.0.0.1:{self.server_port}"

    def named(self, name: str) -> Collected:
        """Return the only span with this name."""
        [found] = [each for each in self.spans if each.name == name]
        return found

    def take_traces(self, body: bytes) -> None:
        """Store the spans of a request."""
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = _words(group.resource.attributes)
            self.spans += [_read(span, about["service.name"]) for part in group.scope_spans for span in part.spans]

    def take_metrics(self, body: bytes) -> None:
        """Store the numbers of a request."""
        for group in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            about = _words(group.resource.attributes)
            for metric in (each for part in group.scope_metrics for each in part.metrics):
                self.numbers += _measure(metric, about["service.name"], about["service.instance.id"])


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        takers = {"/v1/traces": self.server.take_traces, "/v1/metrics": self.server.take_metrics}
        if self.path in takers:
            takers[self.path](body)
        self.send_response(200 if self.path in takers else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def _read(span: Span, service: str) -> Collected:
    ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
    return Collected(service, span.name, *ids, _words(span.attributes))


def _measure(metric: Metric, service: str, instance: str) -> Iterator[Measured]:
    for point in metric.histogram.data_points:
        yield Measured(service, instance, metric.name, _words(point.attributes), point.count)
    for point in [*metric.gauge.data_points, *metric.sum.data_points]:
        yield Measured(service, instance, metric.name, _words(point.attributes), point.as_double or point.as_int)


def _words(attributes: Iterable[KeyValue]) -> dict[str, str]:
    return {each.key: each.value.string_value for each in attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector until the block ends."""
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            collector.shutdown()
            thread.join()
