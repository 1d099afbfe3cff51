"""State for each key, in bounded memory: the least recently used goes first, but never one that is needed."""

from __future__ import annotations

import hashlib
import inspect
import itertools
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Final, Generic, TypeVar

from resilix.core.options import refuse
from resilix.locks import Lock

S = TypeVar("S")

OVERFLOW: Final = "(other)"
LONGEST_KEY: Final = 200
"""Characters; a longer key is cut and told apart by a digest."""
BATCH: Final = 16
"""A full map is looked through once for a sixteenth of its size in new keys, so a flood of them costs little each:
that many are forgotten at once, or share a state unseen when all were busy."""
PATIENCE: Final = 1.0
"""Seconds to wait for another thread that is making the same state; it may be waiting for us."""
DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Entry(Generic[S]):
    """A state and when it was used last.

    Attributes:
        state: The state.
        used: Grows with each use.
    """

    __slots__ = ("state", "used")

    def __init__(self, state: S, used: int) -> None:
        self.state = state
        self.used = used


class _Making:
    """A state that is being made, for whoever wants the same one meanwhile."""

    __slots__ = ("done", "maker")

    def __init__(self) -> None:
        self.maker = threading.get_ident()
        self.done = threading.Event()


class KeyedStates(Generic[S]):
    """A bounded map of states that makes what is missing.

    Example::

        states = KeyedStates(make_breaker, limit=1024, busy=lambda one: one.state is not CircuitState.CLOSED)
        states.get("https://api.example.com")

    When all states are busy, further keys share one state more, so the memory stays bounded whatever keys appear.

    Args:
        make: Makes the state of a key; never called under the lock, and by one thread at a time for a key.
        limit: How many are kept at most, the shared one not counted.
        busy: Says whether a state must not be forgotten now; never called under the lock.
        evicted: Told of each state that was forgotten; never called under the lock.
        overflow: The key of the state that all others share when nothing can be forgotten.

    Attributes:
        latest: The entry that was used last: it need not be noted when it is used again.
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
        self._entries: dict[str, Entry[S]] = {}
        self._shared: Entry[S] | None = None
        self._making: dict[str, _Making] = {}
        self._misses_unseen = 0
        self._clock = itertools.count()
        self.latest: Entry[S] | None = None
        self._lock = Lock()
        _ALIVE.add(self)

    def __len__(self) -> int:
        return len(self._entries) + (self._shared is not None)

    def __iter__(self) -> Iterator[tuple[str, S]]:
        yield from [(key, entry.state) for key, entry in list(self._entries.items())]
        if self._shared is not None:
            yield self._overflow, self._shared.state

    def get(self, key: str) -> S:
        """The state of a key; made when it is asked for the first time, or again after it was forgotten.

        A key longer than 200 characters is cut, and ends in a digest of the whole.

        Raises:
            ConfigurationError: The key is no text.
        """
        try:
            entry = self._entries.get(key)
        except TypeError:  # not even hashable
            entry = None
        if entry is None:
            return self._missing(key)
        self.use(entry)
        return entry.state

    def use(self, entry: Entry[S]) -> None:
        """Note that an entry was used just now."""
        entry.used = next(self._clock)
        self.latest = entry

    def entry(self, key: str) -> Entry[S] | None:
        """The entry of a key, if it has one of its own; that is no use of it."""
        return self._entries.get(key)

    # -- a key that is not there -----------------------------------------------------------------------------

    def _missing(self, key: Any) -> S:
        if not isinstance(key, str):
            if inspect.iscoroutine(key):
                key.close()  # or Python would complain that nobody awaited it
            raise refuse("standard", "per", key, "the function must give the key as a text", "return a str")
        if len(key) > LONGEST_KEY:
            return self.get(_shortened(key))
        while True:
            room, mine = False, None
            with self._lock:
                entry = self._found(key)
                other = None if entry is not None else self._making.get(key)
                if entry is None and other is None:
                    # A state that is being made has its place already.
                    room = key == self._overflow or len(self._entries) + len(self._making) < self._limit
                    if room:
                        mine = self._making[key] = _Making()
            if entry is not None:
                self.use(entry)
                return entry.state
            if other is not None and (other.maker == threading.get_ident() or not other.done.wait(PATIENCE)):
                # A signal handler, a function that asks for its own key, or two threads that wait for each other.
                return self._made(key, None)
            if room:
                return self._made(key, mine)
            if other is None and not self._make_room():
                key = self._overflow

    def _found(self, key: str) -> Entry[S] | None:
        return self._shared if key == self._overflow else self._entries.get(key)

    def _made(self, key: str, mine: _Making | None) -> S:
        try:
            made = self._make(key)
            state = self._entered(key, made)
        finally:
            if mine is not None:
                with self._lock:
                    if self._making.get(key) is mine:
                        del self._making[key]
                mine.done.set()
        if state is not made:
            self._forgotten(made)
        return state

    def _entered(self, key: str, made: S) -> S:
        with self._lock:
            entry = self._found(key)
            if entry is None:
                entry = Entry(made, 0)
                self.use(entry)
                if key == self._overflow:
                    self._shared = entry
                else:
                    self._entries[key] = entry
        return entry.state

    # -- room ------------------------------------------------------------------------------------------------

    def _make_room(self) -> bool:
        """Forget what was not used for the longest time. False when everything is busy, or was a moment ago."""
        wanted = max(1, self._limit // BATCH)
        with self._lock:
            if self._misses_unseen > 0:
                self._misses_unseen -= 1
                return False
            entries = [(entry.used, key, entry) for key, entry in self._entries.items()]
        gone: list[S] = []
        outrun = False
        for used, key, entry in sorted(entries):
            if len(gone) >= wanted:
                break
            if self._busy(entry.state):
                continue
            with self._lock:
                if entry.used == used and self._entries.get(key) is entry:
                    del self._entries[key]
                    gone.append(entry.state)
                else:
                    outrun = True  # another thread has used it or made room with it: the next look will tell
        for state in gone:
            self._forgotten(state)
        if not (gone or outrun):
            self._misses_unseen = wanted - 1  # they share a state without a look
        return bool(gone) or outrun

    def forget(self) -> None:
        """Drop all states; requests under way keep theirs."""
        with self._lock:
            gone = [entry.state for entry in self._entries.values()]
            if self._shared is not None:
                gone.append(self._shared.state)
            self._entries, self._shared, self.latest, self._misses_unseen = {}, None, None, 0
        for state in gone:
            self._forgotten(state)

    def _forgotten(self, state: S) -> None:
        if self._evicted is not None:
            self._evicted(state)

    def _after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held the lock, or been making a state."""
        self._lock = Lock()
        self._making = {}


_ALIVE: weakref.WeakSet[KeyedStates[Any]] = weakref.WeakSet()


def _after_fork() -> None:
    for states in list(_ALIVE):
        states._after_fork()  # pyright: ignore[reportPrivateUsage]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _shortened(key: str) -> str:
    digest = hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()[:32]
    return f"{key[: LONGEST_KEY - 33]}…{digest}"


def origin_of(url: Any) -> str:
    """Scheme, host and port of a URL of httpx or httpx2, without anything secret; the default port left out.

    Example::

        origin_of(httpx.URL("https://user:pass@api.example.com:443/v1?key=x"))  # "https://api.example.com"
    """
    parsed = parts_of(url)
    scheme: str = parsed.scheme
    host: str = parsed.host
    port: int | None = parsed.port
    if ":" in host:
        host = f"[{host.lower()}]"  # the letters of an IPv6 address are left alone by both libraries
    return f"{scheme}://{host}" if port is None or DEFAULT_PORTS.get(scheme) == port else f"{scheme}://{host}:{port}"


def parts_of(url: Any) -> Any:
    """Something with the scheme, host and port of a URL, fit to tell origins apart."""
    # The parsed reference has it all at hand; the public properties encode and decode it, at four times the cost.
    return getattr(url, "_uri_reference", url)
