"""Threads that run sync calls with a time limit, so that a caller can go on when the time is over.

A thread cannot be stopped. When a caller stops waiting, its call is *abandoned*: it goes on in its worker until it
ends by itself. Each call that is not abandoned has a caller blocked on it, so the number of workers is bounded by the
callers plus the abandoned calls, and the policies bound those. Workers are daemon threads: they let the interpreter
exit. Idle ones end after a while.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any

from resilix.locks import Lock
from resilix.runtime import RUNTIME, Flag

if TYPE_CHECKING:
    import queue

IDLE_SECONDS = 30.0
"""How long a worker waits for its next job before it ends."""


class Job:
    """One call on its way through a worker.

    Attributes:
        given: A worker has it, so it will run.
        result: What the function returned.
        error: What it raised.
    """

    __slots__ = (
        "_args",
        "_context",
        "_done",
        "_fn",
        "_kwargs",
        "_lock",
        "_on_end",
        "error",
        "given",
        "result",
    )

    def __init__(self, context: Context, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._context = context
        self._fn = fn
        self._args = args
        self._kwargs = kwargs
        self._done = Flag()
        self._on_end: Callable[[], object] | None = None
        self._lock = Lock()
        self.given = False
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Run the call, in a worker."""
        try:
            self.result = self._context.run(self._fn, *self._args, **self._kwargs)
        except BaseException as error:
            self.error = error
        with self._lock:
            self._done.set()
            on_end = self._on_end
        if on_end is not None:
            self.result = self.error = None  # nobody will ask, and the error's traceback holds us
            on_end()

    def wait(self, seconds: float) -> bool:
        """Wait for the end of the call; False when the time is over first."""
        return RUNTIME.driver.block(self._done, seconds, on_worker=True)

    def abandon(self, on_end: Callable[[], object]) -> bool:
        """Stop waiting. False when the call has ended by now; otherwise ``on_end`` is called when it does."""
        with self._lock:
            if self._done.is_set:
                return False
            self._on_end = on_end
            return True

    def take(self) -> Any:
        """Return or raise what the call ended with, once."""
        # The error's traceback holds us: we must not hold the error.
        error, self.error = self.error, None
        if error is None:
            return self.result
        try:
            raise error
        finally:
            del error


class AbandonedCalls:
    """The calls of one policy that go on although nobody waits for them; a forked child begins with none."""

    __slots__ = ("_jobs", "_process")

    def __init__(self) -> None:
        # No lock, which another thread might hold while the process forks: single set operations are atomic.
        self._jobs: set[Job] = set()
        self._process = POOL.process

    def __len__(self) -> int:
        return len(self._jobs) if self._process is POOL.process else 0

    def add(self, job: Job) -> None:
        """One more."""
        if self._process is not POOL.process:
            self._jobs, self._process = set(), POOL.process
        self._jobs.add(job)

    def discard(self, job: Job) -> None:
        """It has ended."""
        self._jobs.discard(job)


class _Worker(threading.Thread):
    def __init__(self, pool: WorkerPool) -> None:
        import queue  # programs without a timeout for sync calls do not pay for it

        super().__init__(name="resilix-timeout-worker", daemon=True)
        self._pool = pool
        self.inbox: queue.SimpleQueue[Job] = queue.SimpleQueue()

    def run(self) -> None:
        from queue import Empty  # as above

        while True:
            try:
                job = self.inbox.get(timeout=IDLE_SECONDS)
            except Empty:
                if self._pool.retire(self):
                    return
                continue  # a job is on its way
            job.run()
            del job  # what the call held must not live until the next one
            self._pool.rest(self)


class WorkerPool:
    """Workers that are made when needed and used again.

    Attributes:
        process: Another object in every process.
    """

    def __init__(self) -> None:
        self._idle: list[_Worker] = []
        self.process = object()

    def submit(self, job: Job) -> None:
        """Have a worker run the job."""
        try:
            worker = self._idle.pop()
        except IndexError:
            worker = _Worker(self)
            worker.start()
        # An interrupt may strike after the next line, but not between these two.
        job.given = True
        worker.inbox.put(job)

    def rest(self, worker: _Worker) -> None:
        """Put a worker back among the idle."""
        self._idle.append(worker)

    def retire(self, worker: _Worker) -> bool:
        """Let an idle worker end; False when it has been picked for a job meanwhile."""
        try:
            self._idle.remove(worker)
        except ValueError:
            return False
        return True

    def owns(self, thread: threading.Thread) -> bool:
        """Whether a thread is one of the workers."""
        return isinstance(thread, _Worker)

    def rests(self, thread: threading.Thread) -> bool:
        """Whether a thread is a worker without a job."""
        return thread in self._idle

    def after_fork(self) -> None:
        """In a forked child: the parent's threads are not here."""
        self._idle = []
        self.process = object()


POOL = WorkerPool()
"""The workers of this process, shared by all timeout policies."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=POOL.after_fork)
