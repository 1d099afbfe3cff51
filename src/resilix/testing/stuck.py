"""``DeadlockError``, and who waits where in a loop where nothing is due."""

from __future__ import annotations

import linecache
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from resilix.testing.whereabouts import awaited, chain, future_of, innermost, place

if TYPE_CHECKING:
    import asyncio


class DeadlockError(AssertionError):
    """Nobody who takes part can move: everybody waits for somebody else.

    Raised inside ``virtual_time`` in everybody who waits for a place of a policy without a limit, and by ``explore``.
    Its message has a line for each thread and each task: its name, what it waits for, and where in your code.

    Example::

        with virtual_time(deadlock_after=1.0):
            with pytest.raises(DeadlockError, match='a place in bulkhead "quotes"'):
                both_take_quotes_and_orders_in_opposite_order()

    It is an ``AssertionError``, so that a test fails rather than breaks. Code that catches ``Exception`` catches it.
    """


def report(tasks: Iterable[asyncio.Task[Any]]) -> str:
    """A line for each task that has not ended."""
    return "\n".join(f"  {_line(task)}" for task in tasks if not task.done())


def _line(task: asyncio.Task[Any]) -> str:
    frames = list(chain(task.get_coro()))
    line = f'task "{task.get_name()}" waits for {awaited(frames) or future_of(task)}'
    if frames:
        at = innermost(frames)
        text = linecache.getline(at.f_code.co_filename, at.f_lineno).strip()
        line += f", {place(frames)}" + (f": {text}" if text else "")
    return line
