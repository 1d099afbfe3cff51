"""Where in the user's code somebody waits: read from frames, when a wait is written down or a deadlock reported."""

from __future__ import annotations

import os
import sys
import sysconfig
import threading
from collections.abc import Iterable, Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any

import resilix
from resilix.policies import retry
from resilix.policies.retry_call import RetryCall
from resilix.runtime import LoopParker, ThreadParker, TrioParker

if TYPE_CHECKING:
    import asyncio

_PATHS = sysconfig.get_paths()
_NOT_THE_USERS = tuple(
    {os.path.join(os.path.dirname(resilix.__file__), ""), "<frozen ", "<resilix"}
    | {os.path.join(_PATHS[name], "") for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)
_AGAIN = (retry.again.__code__, retry.again_async.__code__)
_PARK = (ThreadParker.park.__code__, LoopParker.park.__code__, TrioParker.park.__code__)


def caller() -> tuple[str, str]:
    """The label of the retry that the calling frames are in the middle of, or ""; and the user's function below."""
    label = ""
    frame: FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]  # documented, in spite of its name
    while frame is not None:
        if frame.f_code in _AGAIN and not label:
            call = frame.f_locals.get("call")
            label = call.label if isinstance(call, RetryCall) else ""
        elif is_users(frame):
            return label, frame.f_code.co_qualname
        frame = frame.f_back
    return label, threading.current_thread().name


def is_users(frame: FrameType) -> bool:
    """Whether a frame runs code that is neither ours nor an installed library's nor Python's own."""
    return not frame.f_code.co_filename.startswith(_NOT_THE_USERS)


def place(frames: Iterable[FrameType]) -> str:
    """The innermost place in the user's code, or, where there is none, in any; "" without frames.

    Args:
        frames: Outermost first.
    """
    every = list(frames)
    if not every:
        return ""
    frame = innermost(every)
    here = os.path.join(os.getcwd(), "")
    return f"{frame.f_code.co_filename.removeprefix(here)}:{frame.f_lineno} in {frame.f_code.co_qualname}"


def innermost(frames: Sequence[FrameType]) -> FrameType:
    """The innermost frame of the user's code, or, where there is none, of any."""
    return next((one for one in reversed(frames) if is_users(one)), frames[-1])


def future_of(task: asyncio.Task[Any]) -> str:
    """What a task of asyncio waits for, where it waits for a bare future."""
    future = getattr(task, "_fut_waiter", None)
    named = getattr(future, "get_name", None)  # a task is a future with a name
    return "a future that nobody sets" if named is None else f'task "{named()}"'


def awaited(frames: Iterable[FrameType]) -> str:
    """What is waited for, in words, as far as frames tell; "" where the user's own code is the innermost.

    Args:
        frames: Outermost first.
    """
    called = ""
    for one in frames:
        if one.f_code in _PARK:
            return str(one.f_locals["self"].what) or "its turn"
        if is_users(one):
            called = ""
        elif not called:
            called = one.f_code.co_qualname
    owner, _, method = called.rpartition(".")
    if method == "__aexit__":
        return f"the end of its {owner}"
    return called and f"the end of {called}()"


def stack(frame: FrameType | None) -> list[FrameType]:
    """The frames of a thread, outermost first."""
    frames: list[FrameType] = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames[::-1]


def chain(coroutine: Any) -> Iterator[FrameType]:
    """The frames of a suspended coroutine and of what it awaits, outermost first."""
    while coroutine is not None:
        for kind in ("cr", "gi", "ag"):
            if hasattr(coroutine, f"{kind}_frame"):
                frame = getattr(coroutine, f"{kind}_frame")
                if frame is not None:
                    yield frame
                coroutine = getattr(coroutine, "gi_yieldfrom" if kind == "gi" else f"{kind}_await", None)
                break
        else:
            return
