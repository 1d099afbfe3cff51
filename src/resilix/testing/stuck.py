"""Who waits where, when everybody waits and nothing is due."""

from __future__ import annotations

import asyncio
import linecache
from collections.abc import Iterable
from pathlib import PurePath
from types import FrameType
from typing import Any

import resilix

NOT_YOURS = (str(PurePath(resilix.__file__).parent), str(PurePath(asyncio.__file__).parent), "<resilix woven")
"""What the names of files begin with whose lines are of no use to a reader."""


class DeadlockError(AssertionError):
    """Everybody waits for somebody else: nothing is ready, and nothing is due.

    Its message has a line for each task: its name, where in your code it waits, and in what.
    """


def report(tasks: Iterable[asyncio.Task[Any]]) -> str:
    """A line for each task that has not ended."""
    return "\n".join(f"  {_line(task)}" for task in tasks if not task.done())


def _line(task: asyncio.Task[Any]) -> str:
    frames = _frames(task.get_coro())
    other = getattr(task, "_fut_waiter", None)
    what = f", for task {other.get_name()!r} to end" if isinstance(other, asyncio.Task) else ""
    if not frames:
        return f"task {task.get_name()!r} waits{what}"
    users = [one for one in frames if not one.f_code.co_filename.startswith(NOT_YOURS)]
    at, innermost = (users or frames)[-1], frames[-1]
    inside = "" if at is innermost else f", in {innermost.f_globals.get('__name__')}.{innermost.f_code.co_qualname}"
    return f"task {task.get_name()!r} waits at {_place(at)}{inside}{what}"


def _frames(awaited: Any) -> list[FrameType]:
    """The frames of a suspended coroutine, outermost first, down to what it waits for."""
    frames: list[FrameType] = []
    while awaited is not None:
        for kind in ("cr", "gi", "ag"):
            frame = getattr(awaited, f"{kind}_frame", None)
            if frame is not None:
                frames.append(frame)
                awaited = getattr(awaited, f"{kind}_yieldfrom" if kind == "gi" else f"{kind}_await")
                break
        else:
            return frames
    return frames


def _place(frame: FrameType) -> str:
    code = frame.f_code
    text = linecache.getline(code.co_filename, frame.f_lineno).strip()
    return f"{PurePath(code.co_filename).name}:{frame.f_lineno} in {code.co_qualname}" + (f": {text}" if text else "")
