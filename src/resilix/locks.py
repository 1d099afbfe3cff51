"""Locks that an interrupt never leaves held.

``with lock:`` calls ``lock.__enter__()``. Up to CPython 3.13 nothing can come in between that and the block. Since 3.14
a signal handler may run right after the call, and where it raises (Ctrl-C, the time limit of a test), the block is left
before it was entered: the lock stays held, for good. A loop over ``acquire`` has no such gap: no handler runs after the
step of a ``for``, and none when a Python function returns to the ``with`` statement.
"""

from __future__ import annotations

import sys
import threading
from _thread import RLock as _RLock
from typing import TYPE_CHECKING


class GaplessLock(_RLock):  # type: ignore[misc] # pyright: ignore[reportGeneralTypeIssues] - final only in its stub
    """A lock its holder may take again, and that is never left held."""

    __slots__ = ()

    def __enter__(self) -> bool:  # type: ignore[override] # the same to everybody who uses ``with``
        for taken in iter(self.acquire, False):
            return taken
        raise AssertionError("acquire returns when the lock is taken, or raises")


if TYPE_CHECKING or sys.version_info < (3, 14):
    Lock = threading.Lock
    RLock = threading.RLock
else:
    Lock = RLock = GaplessLock
