"""State for each key, in bounded memory: the least recently used goes first, but never one that is needed."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, Generic, TypeVar

from resilix.core.options import refuse

S = TypeVar("S")

OVERFLOW: Final = "other"
LONGEST_KEY: Final = 200
"""Characters; a longer key is cut and told apart by a digest."""
BATCH: Final = 16
"""A full map makes room for a sixteenth of itself at once, so that a flood of new keys does not sort it each time."""
DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


class _Entry(Generic[S]):
    __slots__ = ("state", "used")

    def __init__(self, state: S, used: int) -> None:
        self.state = state
        self.used = used


class KeyedStates(Generic[S]):
    """A bounded map of states that makes what is missing.

    Example::

        states = KeyedStates(make_breaker, limit=1024, busy=lambda one: one.state is not CircuitState.CLOSED)
        states.get("https://api.example.com")

    When all states are busy, further keys share one state more, so the memory stays bounded whatever keys appear.

    Args:
        make: Makes the state of a key; never called under the lock.
        limit: How many are kept at most.
        busy: Says whether a state must not be forgotten now.
        evicted: Told of each state that was forgotten.
        overflow: The key of the state that all others share when nothing can be forgotten.
    """

    def __init__(
        self,
        make: Callable[[str], S],
        *,
        limit: int = 1024,
        busy: Callable[[S], bool],
        evicted: Callable[[S], object] | None = None,
        overflow: str = OVERFLOW,
    ) -> None:
        self._make = make
        self._limit = limit
        self._busy = busy
        self._evicted = evicted
        self._overflow = overflow
        self._entries: dict[str, _Entry[S]] = {}
        self._shared: S | None = None
        self._clock = itertools.count()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries) + (self._shared is not None)

    def __iter__(self) -> Iterator[tuple[str, S]]:
        yield from [(key, entry.state) for key, entry in list(self._entries.items())]
        if self._shared is not None:
            yield self._overflow, self._shared

    def get(self, key: str) -> S:
        """The state of a key; made when it is asked for the first time, or again after it was forgotten.

        Raises:
            ConfigurationError: The key is no text.
        """
        entry = self._entries.get(key)
        if entry is None:
            return self._missing(key)
        entry.used = next(self._clock)
        return entry.state

    def _missing(self, key: Any) -> S:
        if not isinstance(key, str):
            raise refuse("standard", "per", key, "the function must give the key as a text", "return a str")
        if len(key) > LONGEST_KEY:
            return self.get(_shortened(key))
        if len(self._entries) >= self._limit and not self._make_room():
            return self._overflowing()
        made = self._make(key)
        with self._lock:
            # Another thread may have been faster; there is one state for a key.
            entry = self._entries.setdefault(key, _Entry(made, next(self._clock)))
        if entry.state is not made:
            self._forgotten(made)
        return entry.state

    def _make_room(self) -> bool:
        """Forget what was not used for the longest time. False when everything is busy."""
        with self._lock:
            oldest = sorted(self._entries.items(), key=lambda item: item[1].used)
        wanted = len(oldest) - self._limit + max(1, self._limit // BATCH)
        gone: list[S] = []
        for key, entry in oldest:
            if len(gone) >= wanted:
                break
            if not self._busy(entry.state):
                with self._lock:
                    if self._entries.get(key) is entry:
                        del self._entries[key]
                gone.append(entry.state)
        for state in gone:
            self._forgotten(state)
        return bool(gone)

    def _forgotten(self, state: S) -> None:
        if self._evicted is not None:
            self._evicted(state)

    def _overflowing(self) -> S:
        if self._shared is None:
            made = self._make(self._overflow)
            with self._lock:
                if self._shared is None:
                    self._shared = made
        return self._shared


def _shortened(key: str) -> str:
    digest = hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()[:16]
    return f"{key[: LONGEST_KEY - 17]}…{digest}"


def origin_of(url: Any) -> str:
    """Scheme, host and port of a URL of httpx or httpx2, without anything secret; the default port left out.

    Example::

        origin_of(httpx.URL("https://user:pass@api.example.com:443/v1?key=x"))  # "https://api.example.com"
    """
    scheme: str = url.scheme
    # Host and port as they go into the Host header, so without userinfo.
    host: str = url.netloc.decode("ascii")
    default = DEFAULT_PORTS.get(scheme)
    if default is not None and host.endswith(default):
        host = host[: -len(default)]
    return f"{scheme}://{host}"
