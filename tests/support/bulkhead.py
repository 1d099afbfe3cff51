"""Callers of every kind for one bulkhead: threads, asyncio loops and trio runs, all waited for with a wide margin."""

from __future__ import annotations

import asyncio
import itertools
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import trio

from resilix import Bulkhead

PATIENCE = 60.0
"""Seconds until a test says that something hangs; far above what the slowest machine needs."""


def eventually(true: Callable[[], bool], what: str = "it") -> None:
    """Wait until something has happened in another thread."""
    give_up = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < give_up, f"{what} did not happen within {PATIENCE:g} s"
        time.sleep(0.0005)


def join_all(threads: list[threading.Thread]) -> None:
    """Wait for the end of the threads."""
    give_up = time.monotonic() + PATIENCE
    for thread in threads:
        thread.join(max(0.0, give_up - time.monotonic()))
    assert not [thread.name for thread in threads if thread.is_alive()], "these threads hang"


def started(target: Callable[..., Any], *args: Any) -> threading.Thread:
    """Start a daemon thread."""
    thread = threading.Thread(target=target, args=args, daemon=True)
    thread.start()
    return thread


@contextmanager
def hasty_threads() -> Iterator[None]:
    """Have the interpreter switch threads as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


_numbers = itertools.count(1)


def bulkhead(name: str, **options: Any) -> Bulkhead:
    """Make a bulkhead whose name no other test uses: a second live one of the same name is warned about."""
    return Bulkhead(f"{name}-{next(_numbers)}", **options)


class Gauge:
    """Counts who is inside, and remembers the most that ever were.

    ``met`` is set once ``limit`` callers are inside at once: bodies that wait for it make sure that they meet.
    """

    def __init__(self, limit: int) -> None:
        self.inside = self.peak = self.total = 0
        self.met = threading.Event()
        self._limit = limit
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        with self._lock:
            self.inside += 1
            self.total += 1
            self.peak = max(self.peak, self.inside)
            if self.inside >= self._limit:
                self.met.set()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock:
            self.inside -= 1


class Callers:
    """Something that makes calls in the background, each started from the test's own thread."""

    def start(self, slots: Bulkhead, body: Callable[[], Any]) -> None:
        """Have ``body`` called under ``slots`` by a new caller."""
        raise NotImplementedError

    def close(self) -> None:
        """Wait for all callers."""
        raise NotImplementedError


class ThreadCallers(Callers):
    """A thread for each caller."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    def start(self, slots: Bulkhead, body: Callable[[], Any]) -> None:
        self._threads.append(started(slots.call, body))

    def close(self) -> None:
        join_all(self._threads)


class AsyncioCallers(Callers):
    """An asyncio loop in a thread, a task for each caller."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = started(self._run)
        self._calls: list[Any] = []

    def _run(self) -> None:
        self.loop.run_forever()
        self.loop.close()

    def start(self, slots: Bulkhead, body: Callable[[], Any]) -> None:
        async def awaited() -> None:
            body()

        async def call() -> None:
            await slots.acall(awaited)

        self._calls.append(asyncio.run_coroutine_threadsafe(call(), self.loop))

    def close(self) -> None:
        for call in self._calls:
            call.result(PATIENCE)
        self.loop.call_soon_threadsafe(self.loop.stop)
        join_all([self._thread])


class TrioCallers(Callers):
    """A trio run in a thread, a task for each caller."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._thread = started(trio.run, self._main)
        assert self._ready.wait(PATIENCE)

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._over = trio.Event()
        async with trio.open_nursery() as self._nursery:
            self._ready.set()
            await self._over.wait()

    def start(self, slots: Bulkhead, body: Callable[[], Any]) -> None:
        async def awaited() -> None:
            body()

        def soon() -> None:
            self._nursery.start_soon(slots.acall, awaited)

        trio.from_thread.run_sync(soon, trio_token=self._token)

    def close(self) -> None:
        trio.from_thread.run_sync(self._over.set, trio_token=self._token)
        join_all([self._thread])


KINDS: dict[str, Callable[[], Callers]] = {"thread": ThreadCallers, "asyncio": AsyncioCallers, "trio": TrioCallers}


def run_bounded(fn: Callable[..., Any], *args: Any) -> None:
    """Run something in a thread of its own and say so when it hangs; its error comes through."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            fn(*args)
        except BaseException as error:
            errors.append(error)

    join_all([started(run)])
    if errors:
        raise errors[0]


def run_async(backend: str, main: Callable[[], Awaitable[Any]]) -> Any:
    """Run a coroutine function under asyncio or trio."""
    return trio.run(main) if backend == "trio" else asyncio.run(main())  # type: ignore[arg-type]
