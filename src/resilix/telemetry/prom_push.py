"""Copy the readings into ordinary metrics of prometheus-client, again and again; forks and exits included.

In prometheus-client's multiprocess mode a collector, which is asked when somebody scrapes, is not asked in the other
workers; so each worker writes what it has.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import weakref
from typing import Final

from prometheus_client import CollectorRegistry

from resilix.errors import ConfigurationError
from resilix.locks import RLock
from resilix.telemetry.prom_metrics import PushedCounter, PushedGauge, multiprocess
from resilix.telemetry.prom_reading import shapes, sound_readings

OWNER: Final = "push"
ALL_NAMES: Final = 2**31
"""Names are bounded where they are written."""
SETTLE: Final = 0.5
"""Seconds a forked child lives before it writes: one that only runs a command leaves no files behind."""


class Recorder:
    """The metrics in one registry, and what has been written to them."""

    def __init__(self, most_names: int, registry: CollectorRegistry) -> None:
        self._metrics: dict[str, PushedCounter | PushedGauge] = {}
        for family in shapes():
            make = PushedCounter if family.kind == "counter" else PushedGauge
            try:
                self._metrics[family.name] = make(family, most_names, registry)
            except ValueError as error:
                for metric in self._metrics.values():
                    registry.unregister(metric.metric)
                raise ConfigurationError(
                    f"{OWNER}(): this registry has {family.name} already, by install() most likely; use one of the "
                    "two, or write registry=CollectorRegistry()"
                ) from error

    def begin(self) -> None:
        """In a forked child: what the parent has counted is the parent's."""
        for family in sound_readings(ALL_NAMES):
            self._metrics[family.name].begin(family)

    def news(self) -> bool:
        """Whether anything was counted since the last time."""
        return any(self._metrics[family.name].news(family) for family in sound_readings(ALL_NAMES))

    def push(self) -> None:
        """Write what is read now."""
        for family in sound_readings(ALL_NAMES):
            self._metrics[family.name].push(family)

    def leave(self) -> None:
        """Take back what is true only while this process lives."""
        for metric in self._metrics.values():
            metric.leave()


class Pusher:
    """Writes at once and then again and again, in a daemon thread, until it is stopped."""

    def __init__(self, recorder: Recorder, interval: float) -> None:
        self.recorder = recorder
        self._interval = interval
        self._told: set[type[Exception]] = set()
        self._written = False
        self._begin_thread(interval)

    def _begin_thread(self, first: float) -> None:
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(self._stopped, first), name="resilix-prometheus-push", daemon=True
        )
        self._thread.start()

    def _run(self, stopped: threading.Event, wait: float) -> None:
        while not stopped.wait(wait):
            with PUSHING.lock:
                if not stopped.is_set():
                    self.write()
            wait = self._interval

    def write(self, *, last: bool = False) -> None:
        """Write now. What goes wrong is logged once for each kind of error, and tried again the next time.

        Args:
            last: Take the gauges back too.
        """
        try:
            self.recorder.push()
            self._written = True
            if last:
                self.recorder.leave()
        except Exception as error:
            if type(error) not in self._told:
                self._told.add(type(error))
                logging.getLogger("resilix").error(
                    "metrics could not be written to prometheus-client: %s (said once)", type(error).__name__
                )

    def forked(self) -> None:
        """In a forked child: go on there."""
        self._written = False
        self.recorder.begin()
        with contextlib.suppress(RuntimeError):  # forked while the interpreter ends: there are no threads any more
            self._begin_thread(min(SETTLE, self._interval))

    def stop(self) -> None:
        """Write a last time, take the gauges back, and end; calling it again does nothing."""
        with PUSHING.lock:
            if self not in PUSHING.active:
                return
            PUSHING.active.remove(self)
            self._stopped.set()
            self.write(last=True)
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=1.0)

    def at_exit(self) -> None:
        """Stop; a forked child in which nothing happened leaves nothing behind."""
        if self._written or self.recorder.news():
            self.stop()


class Pushing:
    """Everybody who pushes in this process.

    Attributes:
        lock: Held while anything is written, and during a fork: a child must not find prometheus-client's locks taken
            by a thread it does not have. Reentrant, because a signal handler may fork in the middle of a last push.
        active: Who pushes now.
        recorders: What was written where; kept when pushing stops, so that nothing is counted twice when it goes on.
    """

    def __init__(self) -> None:
        self.lock = RLock()
        self.active: list[Pusher] = []
        self.recorders: weakref.WeakKeyDictionary[CollectorRegistry, Recorder] = weakref.WeakKeyDictionary()
        self._files_of: CollectorRegistry | None = None

    def start(self, interval: float, most_names: int, registry: CollectorRegistry) -> Pusher:
        """Begin to push into a registry."""
        with self.lock:
            recorder = self.recorders.get(registry)
            if any(one.recorder is recorder for one in self.active):
                raise ConfigurationError(
                    f"{OWNER}(): this process pushes into this registry already, and all would be counted twice; "
                    "call it once, or stop the other one first"
                )
            if multiprocess():
                if self._files_of not in (None, registry):
                    raise ConfigurationError(
                        f"{OWNER}(registry=…): in multiprocess mode all registries write into the same files, and this "
                        "process has pushed through another one; call it once, without registry="
                    )
                self._files_of = registry
            if recorder is None:
                recorder = self.recorders[registry] = Recorder(most_names, registry)
            pusher = Pusher(recorder, interval)
            self.active.append(pusher)
            pusher.write()
            return pusher

    def before_fork(self) -> None:
        """Let whoever writes finish."""
        self.lock.acquire()

    def after_fork(self) -> None:
        """In the parent: go on."""
        self.lock.release()

    def after_fork_in_child(self) -> None:
        """In the child: its own threads, its own counts."""
        self.lock = RLock()
        for pusher in self.active:
            pusher.forked()

    def at_exit(self) -> None:
        """The interpreter ends."""
        for pusher in list(self.active):
            pusher.at_exit()


PUSHING = Pushing()
"""Those of this process."""

atexit.register(PUSHING.at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=PUSHING.before_fork,
        after_in_parent=PUSHING.after_fork,
        after_in_child=PUSHING.after_fork_in_child,
    )
