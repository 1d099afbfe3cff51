"""What the tests of virtual time share: functions that fail, and threads that say how they ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from resilix import retry

LONG = 30.0
"""Real seconds after which a test gives up on something that should long have happened."""


def failing() -> None:
    raise ConnectionError("down")


async def afailing() -> None:
    raise ConnectionError("down")


def sleeping(*waits: float) -> Any:
    """A retry policy that makes exactly these waits and gives up."""
    return retry(on=ConnectionError, attempts=len(waits) + 1, wait=lambda number: waits[number - 1])


def nap(seconds: float) -> None:
    """One policy wait, sync."""
    try:
        sleeping(seconds).call(failing)
    except ConnectionError:
        return
    raise AssertionError("the last error did not come through")


async def anap(seconds: float) -> None:
    """One policy wait, async."""
    try:
        await sleeping(seconds).acall(afailing)
    except ConnectionError:
        return
    raise AssertionError("the last error did not come through")


def run_threads(*functions: Callable[[], object]) -> None:
    """Run each in a thread of its own; raise what went wrong in one."""
    errors: list[BaseException] = []

    def guarded(function: Callable[[], object]) -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(one,), daemon=True) for one in functions]
    for one in threads:
        one.start()
    for one in threads:
        one.join(LONG)
        assert not one.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]
