"""The process in which calls are counted: ``python -m benchmarks.counted callgrind|steps``.

Started by ``counting.py``. It calls each path a number of times and then twice as often, again and again, and says
between the segments where one begins and ends. Prints, as JSON, what the segments were.

Nothing here may depend on the moment: the collector is off, all paths are warm before the first segment, and the loops
draw no new numbers.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from itertools import repeat
from types import FrameType, FunctionType
from typing import Any, Protocol

from benchmarks import machine_parts
from benchmarks.parts import identity
from benchmarks.paths import MODULES, Path, http, policies
from resilix import RejectedError

WARM_UP = 300
"""Calls of each path before it is counted: the first ones import, compile and specialise."""
AGAIN = 5
"""Calls before each segment, for what comes by time alone and would be counted now and then: a window's next slice."""
FRESH = 2_000
"""Blocks of memory of each size that are used up before anything is counted; a few more from visit to visit."""

LOOPS = globals()
"""Where the loops are that call, whose own steps are not counted."""


class Meter(Protocol):
    """Says where a segment begins and ends."""

    calls: int
    visits: int
    totals: list[int]

    def begin(self) -> None:
        """A segment begins."""

    def end(self) -> None:
        """It is over."""


class Callgrind:
    """Marks where segments begin and end by calling a C function that nothing else calls; callgrind writes there."""

    def __init__(self) -> None:
        self.calls, self.visits = 100, 3
        self.totals: list[int] = []  # they are in callgrind's files
        self.begin: Callable[[], object] = os.getppid
        self.end: Callable[[], object] = os.getppid


class Steps:
    """Counts, without a tool, the steps of the interpreter: bytecode instructions, frames and calls of C functions."""

    def __init__(self) -> None:
        self.calls, self.visits = 20, 3
        self.totals: list[int] = []
        self._steps = 0
        # Python 3.12.1 begins to tell of bytecode instructions with the second frame that asks for it.
        self.begin()
        identity(1)
        self.end()
        self.totals.clear()

    def begin(self) -> None:
        """Count from here on, in frames that begin from here on."""
        self._steps = 0
        sys.setprofile(self._profile)
        sys.settrace(self._trace)

    def end(self) -> None:
        """Count no more."""
        sys.settrace(None)
        sys.setprofile(None)
        self.totals.append(self._steps)

    def _trace(self, frame: FrameType, event: str, arg: object) -> Callable[..., Any] | None:
        if frame.f_globals is LOOPS:
            return None
        if event == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            self._steps += 1
        elif event == "opcode":
            self._steps += 1
        return self._trace

    def _profile(self, frame: FrameType, event: str, arg: object) -> None:
        if event == "c_call":
            self._steps += 1


def sync_calls(path: Path, calls: int) -> None:
    """Call it."""
    fn = path.call
    for _ in repeat(None, calls):
        try:  # noqa: SIM105 - costs nothing while nothing is raised; suppress() would
            fn(1)
        except RejectedError:
            pass


async def async_calls(path: Path, calls: int) -> None:
    """Call and await it."""
    fn = path.call
    for _ in repeat(None, calls):
        try:  # noqa: SIM105 - as above
            await fn(1)
        except RejectedError:
            pass


def unshared(loop: FunctionType) -> FunctionType:
    """The same loop with code of its own, which the interpreter specialises for one path and not for the last."""
    return FunctionType(loop.__code__.replace(), loop.__globals__)


def visits(paths: dict[str, Path], loop: Any, meter: Meter) -> Iterator[tuple[str, Path, Any]]:
    """Each path and its loop, in turn and again and again."""
    loops = {name: unshared(loop) for name in paths}
    held = blocks(FRESH)
    for number in range(meter.visits):
        for name, path in paths.items():
            yield name, path, loops[name]
        held += blocks(number + 2)


def blocks(count: int) -> list[object]:
    """Objects of each size that the interpreter has a pool for, to be held.

    Imports leave pools behind with hardly a block to spare. A call that takes the last and gives it back makes the
    interpreter take the pool out of its list and put it in again, each time: a matter of luck, and of a percent or two.
    """
    return [make(number) for number in range(count) for make in (_object, float, *_BYTES)]


def _object(number: int) -> object:
    return object()


_BYTES = [lambda number, size=size: bytes(size) for size in range(8, 480, 16)]


def count_sync(paths: dict[str, Path], meter: Meter) -> list[tuple[str, int]]:
    """Go through all segments; the name and the number of calls of each."""
    done = []
    for name, path, loop in visits(paths, sync_calls, meter):
        loop(path, WARM_UP)
        for calls in (meter.calls, 2 * meter.calls):
            loop(path, AGAIN)
            meter.begin()
            loop(path, calls)
            meter.end()
            done.append((name, calls))
    return done


async def count_async(paths: dict[str, Path], meter: Meter) -> list[tuple[str, int]]:
    """The same for async paths; nothing suspends, so the event loop does nothing in between.

    Each visit is a task of its own, and all of them are kept: how long a dict of tasks looks for one is a matter of
    where that lies in memory.
    """

    async def visit(name: str, path: Path, loop: Any) -> list[tuple[str, int]]:
        await loop(path, WARM_UP)
        for calls in (meter.calls, 2 * meter.calls):
            await loop(path, AGAIN)
            meter.begin()
            await loop(path, calls)
            meter.end()
        return [(name, meter.calls), (name, 2 * meter.calls)]

    done, tasks = [], []
    for one in visits(paths, async_calls, meter):
        tasks.append(asyncio.create_task(visit(*one)))
        done += await tasks[-1]
    return done


def count(paths: dict[str, Path], meter: Meter) -> list[tuple[str, int]]:
    """The sync paths, which must not see a running event loop, and then the async ones."""
    done = count_sync({name: path for name, path in paths.items() if not path.awaited}, meter)
    return done + asyncio.run(count_async({name: path for name, path in paths.items() if path.awaited}, meter))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.counted", description=__doc__)
    parser.add_argument("meter", choices=["callgrind", "steps"])
    parser.add_argument("--everything", action="store_true", help="import every module of ours; count HTTP too")
    parser.add_argument("--sizes", type=int, nargs="+", default=[], help="count the state machine with such windows")
    parser.add_argument("--keys", type=int, nargs="+", default=[], help="and so many state machines in turn")
    options = parser.parse_args()
    if options.everything:
        for module in MODULES:
            importlib.import_module(module)
    meter: Meter = Callgrind() if options.meter == "callgrind" else Steps()
    gc.collect()
    gc.disable()
    alone = machine_parts.paths(options.sizes, options.keys)
    done = count(alone or policies(), meter)
    if options.everything:
        done += count(http(), meter)  # last: whoever uses it is no longer somebody who only imported it
    json.dump({"segments": done, "totals": meter.totals}, sys.stdout)


if __name__ == "__main__":
    main()
