"""What a registry of prometheus-client shows, read back from its text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

Series: TypeAlias = tuple[str, frozenset[tuple[str, str]]]
"""A name and its labels."""


def series(name: str, **labels: str) -> Series:
    """A series by name and labels."""
    return name, frozenset(labels.items())


def text_of(registry: CollectorRegistry) -> str:
    """What a scrape gets, in Prometheus' own format."""
    return bytes(generate_latest(registry)).decode()


def families_of(text: str) -> Mapping[str, Any]:
    """The families in a text, by name."""
    return {family.name: family for family in read_text(text)}


def shown(registry: CollectorRegistry) -> dict[Series, float]:
    """Every value a scrape gets."""
    return _values(read_text(text_of(registry)))


def shown_openmetrics(registry: CollectorRegistry) -> dict[Series, float]:
    """The same, in OpenMetrics' format."""
    return _values(read_openmetrics(openmetrics.generate_latest(registry).decode()))


def _values(families: Any) -> dict[Series, float]:
    values: dict[Series, float] = {}
    for family in families:
        for sample in family.samples:
            key = series(sample.name, **sample.labels)
            assert key not in values, f"twice: {key}"
            values[key] = sample.value
    return values
