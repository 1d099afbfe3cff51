"""How late the machine is while a test holds a real duration: what others take of its time is not the code's fault."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Final, Self

STEP: Final = 0.005
"""Seconds between two beats."""


class Lateness:
    """A thread that only sleeps, and adds up by how much it overslept; a context manager.

    Example::

        with Lateness() as machine:
            call()
        assert took < 0.3 + 0.05 + machine.seconds

    Attributes:
        seconds: By how much the machine was late in all. On an idle one some tenths of a millisecond a beat.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lateness")

    def _beat(self) -> None:
        before = time.monotonic()
        while not self._ended.wait(STEP):
            now = time.monotonic()
            self.seconds += max(0.0, now - before - STEP)
            before = now

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()
