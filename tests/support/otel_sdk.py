"""What the tests of OpenTelemetry share: a real SDK that keeps in memory what it would send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.metrics import Counter, MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

Labels = frozenset[tuple[str, str]]


class Metrics:
    """A meter provider that is read by hand.

    Attributes:
        provider: To install into.

    Args:
        delta: Whether the reader asks for differences, as some vendors' do.
    """

    def __init__(self, *, delta: bool = False) -> None:
        wanted: dict[type, AggregationTemporality] = (
            dict.fromkeys((Counter, ObservableCounter), AggregationTemporality.DELTA) if delta else {}
        )
        self._reader = InMemoryMetricReader(preferred_temporality=wanted)
        self.provider = MeterProvider([self._reader])

    def collect(self) -> dict[str, Any]:
        """Every metric by its name, now."""
        data = self._reader.get_metrics_data()
        scopes = [scope for resource in (data.resource_metrics if data else ()) for scope in resource.scope_metrics]
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    def points(self) -> dict[str, dict[Labels, float]]:
        """The values of every metric by their attributes, now."""
        return {
            name: {labels(point.attributes): point.value for point in metric.data.data_points}
            for name, metric in self.collect().items()
        }

    def of(self, name: str, who: str) -> dict[tuple[str, ...], float]:
        """The values of one metric of one policy, by the other attributes' values."""
        return {
            tuple(value for _, value in sorted(point) if value != who): value
            for point, value in self.points().get(name, {}).items()
            if who in dict(point).values()
        }


def labels(attributes: Mapping[str, Any]) -> Labels:
    """Attributes as a key."""
    return frozenset((key, str(value)) for key, value in attributes.items())


class Spans:
    """A tracer provider that keeps its finished spans.

    Attributes:
        provider: To trace with.
        tracer: One of its tracers.

    Args:
        recording: Whether its spans are recorded.
    """

    def __init__(self, *, recording: bool = True) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider() if recording else TracerProvider(sampler=ALWAYS_OFF)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("tests")

    def finished(self) -> list[ReadableSpan]:
        """In the order in which they ended."""
        return list(self._exporter.get_finished_spans())

    def only(self) -> ReadableSpan:
        """The one span there is."""
        (span,) = self.finished()
        return span


def told(span: ReadableSpan) -> list[tuple[str, dict[str, Any]]]:
    """The events of a span: name and attributes."""
    return [(event.name, dict(event.attributes or {})) for event in span.events]
