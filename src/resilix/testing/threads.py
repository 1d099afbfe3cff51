"""What a thread does, as seen from outside: where it is in its code, and what the system says of it."""

from __future__ import annotations

import os
import platform
import sys
import threading
from time import sleep as real_sleep
from types import FrameType
from typing import Final, TypeAlias

__all__ = [
    "LOCK", "OTHER", "SLEEP", "SYSTEM_TELLS", "Doing", "Place", "busy_with", "doing", "frames_now", "places_of",
    "real_sleep", "switches_of", "wants_processor",
]  # fmt: skip
# real_sleep: inside a block, time.sleep may be another.

SYSTEM_TELLS = os.path.exists("/proc/self/task")
"""Whether the system says which threads want a processor (Linux)."""

LOCK: Final = "lock"
SLEEP: Final = "sleep"
OTHER: Final = "something real"

_CALLS: dict[str, dict[bytes, str]] = {
    "x86_64": {b"202": LOCK, b"35": SLEEP, b"230": SLEEP},
    "aarch64": {b"98": LOCK, b"101": SLEEP, b"115": SLEEP},
}
"""Numbers of Linux's system calls futex, nanosleep and clock_nanosleep."""

_LOCK_MODULES = ("threading", "queue", "concurrent.futures.thread", "concurrent.futures._base")

Place: TypeAlias = tuple[int, int]
Doing: TypeAlias = tuple[Place, tuple[bytes, ...]]


def frames_now() -> dict[int, FrameType]:
    """Where each other thread is, by its number."""
    frames = sys._current_frames()  # pyright: ignore[reportPrivateUsage]  # documented, in spite of its name
    # The caller's own would be held by what it holds, and so would all others, until the garbage collector comes.
    frames.pop(threading.get_ident(), None)
    return frames


def places_of(threads: list[threading.Thread]) -> dict[threading.Thread, Place]:
    """Where each thread is in its code, as plain numbers: a frame kept here would keep what its call holds."""
    frames = frames_now()
    places: dict[threading.Thread, Place] = {}
    for one in threads:
        frame = frames.get(one.ident or 0)
        places[one] = (0, 0) if frame is None else (id(frame), frame.f_lasti)
    return places


def wants_processor(thread: threading.Thread) -> bool:
    """Whether the system says a thread could run, where it says so: on a busy machine it may have to wait."""
    if not SYSTEM_TELLS:
        return False
    try:
        with open(f"/proc/self/task/{thread.native_id}/stat", "rb") as stat:
            # The state follows the name, which stands in parentheses and may hold anything.
            return stat.read().rpartition(b")")[2].split()[0] == b"R"
    except (OSError, IndexError):
        return False


def switches_of(thread: threading.Thread) -> tuple[bytes, ...]:
    """How often a thread has gone to sleep and been put to sleep, where the system counts: a thread that is blocked
    for good does neither.
    """
    try:
        with open(f"/proc/self/task/{thread.native_id}/status", "rb") as status:
            return tuple(line for line in status if b"ctxt_switches" in line)
    except OSError:
        return ()


def doing(threads: list[threading.Thread]) -> dict[threading.Thread, Doing]:
    """What changes as soon as one of these does anything, as far as it can be seen."""
    return {one: (where, switches_of(one)) for one, where in places_of(threads).items()}


def busy_with(thread: threading.Thread) -> str:
    """What a blocked thread is blocked in: ``LOCK``, which only another thread can end; ``SLEEP``; or ``OTHER``."""
    known = _CALLS.get(platform.machine())
    if known is not None:
        try:
            with open(f"/proc/self/task/{thread.native_id}/syscall", "rb") as call:
                return known.get(call.read().split()[0], OTHER)
        except (OSError, IndexError):
            pass  # not Linux, or not allowed: ask Python
    frame = frames_now().get(thread.ident or 0)
    return LOCK if frame is not None and frame.f_globals.get("__name__") in _LOCK_MODULES else OTHER
