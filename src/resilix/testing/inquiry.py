"""Asks event loops what their tasks wait for, and whether anything real may still come to them.

The questions are put inside each loop, where its state holds still. asyncio has no public way to say which sockets and
timers it waits for; a loop that does not have the fields of asyncio's own counts as one to which anything may come.
"""

from __future__ import annotations

import math
import queue
import sys
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from resilix.testing.whereabouts import awaited, chain, future_of, is_users, place

if TYPE_CHECKING:
    import asyncio

    import trio

ANSWER_WITHIN = 1.0
"""Real seconds a loop has to answer: one that has nothing to do answers at once."""

Run: TypeAlias = "asyncio.AbstractEventLoop | trio.lowlevel.TrioToken"


class Answer(NamedTuple):
    """What a loop says.

    Attributes:
        busy: A task or callback of it can run.
        timers: It waits for a moment of real time.
        files: It waits for a socket, a pipe, or a process.
        tasks: A line for each task, as far as the user's code is in it.
    """

    busy: bool
    timers: bool
    files: bool
    tasks: list[str]


def ask(run: Any) -> Answer | None:
    """Put the questions to a running loop, from another thread; ``None`` when it does not answer."""
    answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
    try:
        if hasattr(run, "run_sync_soon"):
            run.run_sync_soon(lambda: answers.put(_of_trio()))
        else:
            # A round later: in the first, the loop still has the call that woke it before it.
            run.call_soon_threadsafe(run.call_soon, lambda: answers.put(_of_asyncio(run)))
        return answers.get(timeout=ANSWER_WITHIN)
    except (RuntimeError, queue.Empty):
        return None


def run_of(frames: list[FrameType]) -> Run | None:
    """The event loop that a thread with these frames runs, if any."""
    asyncio, trio = sys.modules.get("asyncio.base_events"), sys.modules.get("trio")
    for frame in reversed(frames):
        if asyncio is not None and frame.f_code is asyncio.BaseEventLoop.run_forever.__code__:
            loop: Run = frame.f_locals["self"]
            return loop
        if trio is not None and frame.f_code is trio.run.__code__:
            runner: Any = frame.f_locals.get("runner")
            token: Run | None = runner and runner.current_trio_token()
            return token
    return None


def waits_for_trio_guest(frames: list[FrameType]) -> bool:
    """Whether a thread with these frames only waits for input on behalf of a trio run in another thread."""
    return any(one.f_globals.get("__name__", "").startswith("trio._core._io_") for one in frames)


def _of_asyncio(loop: Any) -> Answer:
    import asyncio  # it is running

    tasks = [one for one in asyncio.all_tasks(loop) if not one.done()]
    lines = [_line("asyncio", one.get_name(), list(chain(one.get_coro())), future_of(one)) for one in tasks]
    try:
        own = {loop._ssock.fileno()}
        files = any(key.fd not in own for key in list(loop._selector.get_map().values()))
        timers = any(not one.cancelled() for one in loop._scheduled)
        busy = len(loop._ready) > 0
    except AttributeError:
        return Answer(busy=False, timers=True, files=True, tasks=[])
    return Answer(busy, timers, files, _sorted(lines))


def _of_trio() -> Answer:
    import trio  # it is running

    known = trio.lowlevel.current_statistics()
    inputs: Any = known.io_statistics
    try:
        files = bool(inputs.tasks_waiting_read or inputs.tasks_waiting_write)
    except AttributeError:
        files = True  # not Linux
    lines: list[str] = []
    nurseries: list[Any] = []
    root = trio.lowlevel.current_root_task()
    tasks = [] if root is None else [root]
    while tasks:
        task = tasks.pop()
        lines.append(_line("trio", task.name, [frame for frame, _ in task.iter_await_frames()], "its nursery's tasks"))
        nurseries.extend(task.child_nurseries)
        while nurseries:
            tasks.extend(nurseries.pop().child_tasks)
    return Answer(known.tasks_runnable > 0, known.seconds_to_next_deadline < math.inf, files, _sorted(lines))


def _line(kind: str, name: str, frames: list[FrameType], otherwise: str) -> str:
    if not any(is_users(one) for one in frames):
        return ""
    return f'{kind} task "{name}" waits for {awaited(frames) or otherwise}, {place(frames)}'


def _sorted(lines: list[str]) -> list[str]:
    return sorted(one for one in lines if one)
