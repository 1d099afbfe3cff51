"""The readings as a collector for prometheus-client: read when somebody scrapes, and at no other time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector as BaseCollector

from resilix.telemetry.prom_reading import shapes, sound_readings
from resilix.telemetry.readings import MOST_NAMES, Family


class Collector(BaseCollector):
    """Gives prometheus-client every family of :func:`resilix.telemetry.readings.readings`.

    Args:
        most_names: How many policies of one kind are told apart.
    """

    def __init__(self, most_names: int = MOST_NAMES) -> None:
        self._most_names = most_names

    def describe(self) -> Iterable[Metric]:
        """Name the families without reading anything."""
        return [metric_of(family) for family in shapes()]

    def collect(self) -> Iterator[Metric]:
        """Read everything now."""
        for family in sound_readings(self._most_names):
            yield metric_of(family)


def metric_of(family: Family) -> Metric:
    """A family in the words of prometheus-client."""
    make = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = make(family.name, family.help, labels=family.labels)
    for labels, value in family.samples:
        metric.add_metric(labels, value)
    return metric
