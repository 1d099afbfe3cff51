"""Bursts of log lines: the first few of a kind are written, the others are counted and summed up in one line."""

from __future__ import annotations

import os
import weakref
from collections.abc import Hashable
from typing import Any, Final, Generic, NamedTuple, TypeVar

from resilix.clock import SYSTEM
from resilix.locks import RLock

K = TypeVar("K", bound=Hashable)


class Summary(NamedTuple, Generic[K]):
    """What was not written.

    Attributes:
        key: Of what kind it was.
        more: How many lines.
        lasted: Seconds in which they came, from the first line that was written.
        ago: Seconds since then.
    """

    key: K
    more: int
    lasted: float
    ago: float


class _Window:
    __slots__ = ("lines", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.lines = 0


class Bursts(Generic[K]):
    """Decides which lines are written. No thread of its own: who logs next writes the summaries that are due.

    A window begins with the first line of a key and has one length for all keys, so the windows that have ended are
    the oldest ones, and nothing else is looked at. What has ended is forgotten, so the memory is that of one window.

    Args:
        most: How many lines of one key are written in a window; ``None`` for all.
        window: Its length in seconds.
    """

    def __init__(self, most: int | None, window: float) -> None:
        self._most = most
        self._length = window
        self._windows: dict[K, _Window] = {}
        # Reentrant, because a finaliser or a signal handler may make an event while this thread holds it.
        self._lock = RLock()
        _LIVE.add(self)

    def admit(self, key: K) -> bool:
        """Whether a line is to be written; call it after :meth:`ended`."""
        if self._most is None:
            return True
        now = SYSTEM.now()
        with self._lock:
            window = self._windows.get(key)
            if window is None:
                window = self._windows[key] = _Window(now)
            window.lines += 1
            return window.lines <= self._most

    def ended(self) -> list[Summary[K]]:
        """End the windows whose time is over."""
        return self._take(SYSTEM.now()) if self._windows else []

    def flush(self) -> list[Summary[K]]:
        """End all windows now."""
        return self._take(None)

    def _take(self, until: float | None) -> list[Summary[K]]:
        now, taken = SYSTEM.now() if until is None else until, []
        with self._lock:
            for key, window in list(self._windows.items()) if until is None else self._over(now):
                del self._windows[key]
                if self._most is not None and window.lines > self._most:
                    age = max(0.0, now - window.since)
                    lasted = min(age, self._length)
                    taken.append(Summary(key, window.lines - self._most, lasted, age - lasted))
        return taken

    def _over(self, now: float) -> list[tuple[K, _Window]]:
        over: list[tuple[K, _Window]] = []
        for key, window in self._windows.items():
            # A clock that went back (a test left its virtual time) would keep a window open for ever.
            if window.since <= now < window.since + self._length:
                break
            over.append((key, window))
        return over

    def after_fork(self) -> None:
        """In a forked child: what the parent did not write is the parent's to tell, and the lock may have been held."""
        self._lock = RLock()
        self._windows = {}


_LIVE: Final[weakref.WeakSet[Bursts[Any]]] = weakref.WeakSet()


def _after_fork() -> None:
    for bursts in list(_LIVE):
        bursts.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
