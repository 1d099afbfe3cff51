"""The readings as observable instruments of OpenTelemetry: read when a reader collects, and at no other time."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable
from typing import Final

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

from resilix.core import options
from resilix.errors import ConfigurationError
from resilix.locks import RLock
from resilix.telemetry.otel_names import name_of, unit_of
from resilix.telemetry.prom_reading import shapes, sound_readings
from resilix.telemetry.readings import MOST_NAMES, Family, Sample

SCOPE: Final = "resilix"
"""The instrumentation scope of meters and of nothing else."""


class Source:
    """What the instruments of one provider show. An instrument cannot be taken back, so the source is switched.

    Attributes:
        on: Whether there is anything to observe.
        most_names: How many policies of one kind are told apart.
        MOST_KEPT: Up to how many label sets of one counter those of dead policies are remembered.
    """

    MOST_KEPT = 4096

    def __init__(self) -> None:
        self.on = False
        self.most_names = MOST_NAMES
        self._families: dict[str, Family] = {}
        self._asked: set[str] = set()
        self._counts: dict[str, dict[tuple[str, ...], tuple[float, float]]] = {}
        self._lock = RLock()  # a finalizer may collect, or install, anywhere

    def instrument(self, provider: MeterProvider) -> None:
        """Create the instruments, once for each provider."""
        meter = metrics.get_meter(SCOPE, meter_provider=provider)
        for family in shapes():
            make = meter.create_observable_counter if family.kind == "counter" else meter.create_observable_gauge
            make(name_of(family), [self._callback(family.name)], unit_of(family), family.help)

    def _callback(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            family = self._read(name) if self.on else None
            if family is None:
                return []
            return [
                Observation(value, dict(zip(family.labels, labels, strict=True))) for labels, value in family.samples
            ]

        return observe

    def _read(self, name: str) -> Family | None:
        """One family. All are read at once, again as soon as one is asked for a second time: once per collection.

        Two collections take turns, however long clocks of users take. Of two readings at once neither is the later one,
        and a count that seems to have gone down would be taken for that of another policy.
        """
        with self._lock:
            if name in self._asked or not self._asked:
                self._asked.clear()
                families = sound_readings(self.most_names)
                self._families = {family.name: self._rising(family) for family in families}
            self._asked.add(name)
            return self._families.get(name)

    def _rising(self, family: Family) -> Family:
        """The family with counters that never go down.

        A policy dies and another one takes its name: the count begins at nothing. OpenTelemetry has no resets in an
        observable counter, and a reader that asks for differences would be told a negative one.
        """
        if family.kind != "counter":
            return family
        known = self._counts.setdefault(family.name, {})
        risen: list[Sample] = []
        for labels, value in family.samples:
            last, gone = known.pop(labels, (0.0, 0.0))
            if value < last:
                gone += last
            risen.append(Sample(labels, float(value) + gone))
            known[labels] = (float(value), gone)
        there = len(known) - len(risen)  # those of the dead come first now
        for labels in list(known)[:there]:
            last, gone = known[labels]
            known[labels] = (0.0, last + gone)
        for labels in list(known)[: max(0, min(there, len(known) - self.MOST_KEPT))]:
            del known[labels]
        return family._replace(samples=tuple(risen))

    def after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held the lock."""
        self._lock = RLock()


class Installation:
    """Whether the metrics are installed, and where: one at a time, or everything would be there twice."""

    def __init__(self) -> None:
        self._sources: weakref.WeakKeyDictionary[MeterProvider, Source] = weakref.WeakKeyDictionary()
        self._global: Source | None = None
        self._now: Source | None = None
        self._lock = RLock()

    def start(self, provider: MeterProvider | None, most_names: int) -> Callable[[], None]:
        """Have the instruments of a provider show something, until the function that comes back is called."""
        with self._lock:
            if self._now is not None:
                raise ConfigurationError(
                    "install(): the metrics of resilix are installed already, and everything would be counted twice; "
                    "call it once where the program starts, or first the function that it gave back"
                )
            source = self._source_of(provider)
            source.most_names = most_names
            source.on = True
            self._now = source

        def stop() -> None:
            with self._lock:
                if self._now is source and running:
                    running.clear()
                    source.on = False
                    self._now = None

        running = [True]
        return stop

    def _source_of(self, provider: MeterProvider | None) -> Source:
        # The global provider is a stand-in until the program has set the real one, and its instruments move there.
        everybodys = metrics.get_meter_provider()
        chosen = everybodys if provider is None else provider
        known = self._sources.get(chosen) or (self._global if chosen is everybodys else None)
        if known is None:
            known = Source()
            known.instrument(chosen)
            self._sources[chosen] = known
        if chosen is everybodys:
            self._global = known
        return known

    def after_fork(self) -> None:
        """In a forked child: locks may have been held."""
        self._lock = RLock()
        for source in {*self._sources.values(), *([self._global] if self._global else [])}:
            source.after_fork()


INSTALLATION: Final = Installation()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=INSTALLATION.after_fork)


def install(meter_provider: MeterProvider | None = None, *, most_names: int = MOST_NAMES) -> Callable[[], None]:
    """Show every live policy in OpenTelemetry's metrics, from now on: those made later appear, the gone ones go.

    The numbers are those of ``resilix.prometheus``, read when a reader collects; the names are
    "resilix.circuit_breaker.state" for "resilix_circuit_breaker_state" and so on, and attributes are its labels. One
    thing differs: a counter goes on where another policy takes the name of a dead one, instead of starting again.

    Example::

        metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())]))
        resilix.opentelemetry.install()

    Args:
        meter_provider: Where; ``None`` for the global one, which may be set later.
        most_names: How many policies of one kind are told apart; the others share the name "other".

    Returns:
        A function that ends it; calling it again does nothing.

    Raises:
        ConfigurationError: It is installed already, or that is no meter provider.
    """
    if meter_provider is not None and not isinstance(meter_provider, MeterProvider):
        raise options.refuse(
            "install", "meter_provider", meter_provider, "it gives meters", "write install() for the global one"
        )
    why = "at least one policy is told by its name"
    return INSTALLATION.start(meter_provider, options.whole("install", "most_names", most_names, least=1, why=why))
