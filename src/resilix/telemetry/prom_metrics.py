"""Families of readings as ordinary metrics of prometheus-client, which are written and not asked.

In multiprocess mode each worker has files of its own, which are put together when somebody scrapes: counters of all
workers there ever were, gauges of those that live.
"""

from __future__ import annotations

import math
import os
from typing import Any, Final, TypeAlias

from prometheus_client import CollectorRegistry, Counter, Gauge

from resilix.telemetry.readings import MERGES, OTHER, Family

MODES: Final = {"sum": "livesum", "max": "livemax", "min": "livemin"}
"""How workers that live are put together, by how policies are."""
NEUTRAL: Final = {"sum": 0.0, "max": 0.0, "min": 1.0}
"""What changes no sum, no highest ratio and no lowest ratio of the other workers."""

Key: TypeAlias = tuple[str, ...]
"""The values of the labels."""


def multiprocess() -> bool:
    """Whether prometheus-client writes into files that the workers share."""
    return bool(os.environ.get("PROMETHEUS_MULTIPROC_DIR") or os.environ.get("prometheus_multiproc_dir"))  # noqa: SIM112


class Told:
    """Which names of a family are told apart: the first ones there ever were, for good.

    A name that could move into "other" later would take its whole count there, and be counted twice.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._names: set[str] = set()

    def key(self, labels: Key) -> Key:
        """The labels, with "other" for a name beyond the bound."""
        if not labels or labels[0] in self._names:
            return labels
        if len(self._names) >= self._most:
            return (OTHER, *labels[1:])
        self._names.add(labels[0])
        return labels


class PushedCounter:
    """A family of counters, fed with what was added since the last time.

    Attributes:
        metric: It, in prometheus-client.
    """

    def __init__(self, family: Family, most_names: int, registry: CollectorRegistry) -> None:
        self._told = Told(most_names)
        self.metric = Counter(family.name, family.help, family.labels, registry=registry)
        self._last: dict[Key, float] = {}

    def begin(self, family: Family) -> None:
        """In a forked child: what is read was counted by the parent."""
        self._last = dict(family.samples)

    def news(self, family: Family) -> bool:
        """Whether there is anything to add."""
        return any(value != self._last.get(labels, 0.0) for labels, value in family.samples)

    def push(self, family: Family) -> None:
        """Add what is new. A count that fell is one of a new policy with the old name, and new as a whole."""
        seen: dict[Key, float] = {}
        for labels, value in family.samples:
            before = self._last.get(labels)
            added = value if before is None or value < before else value - before
            if added or before is None:
                key = self._told.key(labels)
                (self.metric.labels(*key) if key else self.metric).inc(added)
            # One by one: what was added is never added again, though the next one may fail.
            self._last[labels] = seen[labels] = value
        self._last = seen  # what comes back from the dead counts from nothing

    def leave(self) -> None:
        """Do nothing: a count stays when who counted is gone."""


class PushedGauge:
    """A family of gauges.

    Attributes:
        metric: It, in prometheus-client.
    """

    def __init__(self, family: Family, most_names: int, registry: CollectorRegistry) -> None:
        self._told = Told(most_names)
        self._merge = MERGES[family.merge]
        self._neutral = NEUTRAL[family.merge]
        mode: Any = MODES[family.merge]
        self.metric = Gauge(family.name, family.help, family.labels, registry=registry, multiprocess_mode=mode)
        self._shown: dict[Key, float] = {}
        self._ever: set[Key] = set()

    def begin(self, family: Family) -> None:
        """In a forked child: prometheus-client has set every series the parent ever had to 0, which may say a lot."""
        self._shown = dict.fromkeys(self._ever, math.nan)

    def news(self, family: Family) -> bool:
        """Whether a process that has shown nothing yet needs to: no, it is about to leave."""
        return False

    def push(self, family: Family) -> None:
        """Show these values and no others."""
        values: dict[Key, float] = {}
        for labels, value in family.samples:
            key = self._told.key(labels)
            values[key] = self._merge(values[key], value) if key in values else value
        for key, value in values.items():
            if self._shown.get(key) != value:
                self._series(key).set(value)
                self._shown[key] = value
        self._ever.update(values)
        for key in self._shown.keys() - values.keys():
            self._take_back(key)

    def leave(self) -> None:
        """Take everything back: nobody keeps it true any more."""
        for key in list(self._shown):
            self._take_back(key)

    def _series(self, key: Key) -> Gauge:
        return self.metric.labels(*key) if key else self.metric

    def _take_back(self, key: Key) -> None:
        if multiprocess() or not key:  # there, or where there is but one, a series cannot be removed
            self._series(key).set(self._neutral)
        else:
            self.metric.remove(*key)
        del self._shown[key]
