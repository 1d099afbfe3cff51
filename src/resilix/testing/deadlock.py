"""Finds out that nobody can move any more, and says who waits where.

Nothing is reported while anything may come from outside: this looks for standstills that only the code under test
could have prevented, and one report too many would be worse than one too few.
"""

from __future__ import annotations

import threading
import time
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

from resilix.testing import inquiry
from resilix.testing.threads import LOCK, SLEEP, Doing, busy_with, doing, frames_now, wants_processor
from resilix.testing.whereabouts import awaited, is_users, place, stack

if TYPE_CHECKING:
    from resilix.testing.conductor import Conductor
    from resilix.testing.crowd import EndlessWait, ThreadWait
    from resilix.testing.inquiry import Run
    from resilix.testing.loops import Party

LOOKS = 5
"""So many looks fit into the time after which a standstill is reported, and none of them may see anything move."""


class Standstill(NamedTuple):
    """How things stand while no virtual wait will end by the clock.

    Attributes:
        epoch: As of when.
        waiting: Those who wait for somebody, without a limit.
        asleep: The threads that wait virtually.
        awake: All others, but for the clock's own.
        runs: The event loops that take part and are not blocked by a wait of their thread.
        now: The virtual time.
    """

    epoch: int
    waiting: list[ThreadWait | EndlessWait]
    asleep: list[threading.Thread]
    awake: list[threading.Thread]
    runs: dict[Any, Party]
    now: float


Fingerprint = tuple[int, dict[threading.Thread, Doing]]


class Deadlocks:
    """Watches one block.

    Attributes:
        after: Real seconds for which nothing must move before it is reported; 0 for never.
        every: Real seconds from one look to the next.
    """

    def __init__(self, conductor: Conductor, after: float) -> None:
        self.after = after
        self.every = min(0.005, after / LOOKS)
        self._conductor = conductor
        me = threading.current_thread()
        self._before = doing([one for one in threading.enumerate() if one is not me]) if after else {}
        self._seen: Fingerprint | None = None
        self._since = self._next = 0.0
        self._same = 0

    def look(self) -> None:
        """Compare with how it was before; report what has stood still for long enough."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + self.after / LOOKS
        still = self._conductor.standstill()
        seen = None if still is None else _fingerprint(still)
        if still is None or seen is None or seen != self._seen:
            self._seen, self._since, self._same = seen, now, 0
            return
        self._same += 1
        if self._same >= LOOKS and now - self._since >= self.after:
            self._seen = None  # whatever comes of it, the questions will have moved the loops
            lines = self._inquire(still)
            if lines is not None:
                self._conductor.fail(still, _message(still.now, self.after, lines))

    def _inquire(self, still: Standstill) -> list[str] | None:
        """A line for everybody; ``None`` if anything may come from outside, or somebody moves after all."""
        current = frames_now()
        frames = {one: stack(current.get(one.ident or 0)) for one in [*still.asleep, *still.awake]}
        lines = [_thread_line(one, frames[one], "its turn") for one in still.asleep]
        now = doing(still.awake)
        runs: dict[Run, bool] = {}
        helpers = 0
        for one in still.awake:
            run, old = inquiry.run_of(frames[one]), self._before.get(one) == now[one]
            if run is not None:
                runs[run] = old
            elif inquiry.waits_for_trio_guest(frames[one]):
                helpers += 1
            elif _may_go_on(busy := busy_with(one), old=old):
                return None
            elif any(is_users(frame) for frame in frames[one]):
                lines.append(_thread_line(one, frames[one], "a lock" if busy == LOCK else "input"))
        guests = {one: False for one in still.runs if one not in runs}
        if helpers > len(guests):
            return None
        # The old ones last: to be asked moves them.
        for run, old in sorted({**runs, **guests}.items(), key=lambda one: one[1]):
            answer = inquiry.ask(run)
            if answer is None or answer.busy or answer.timers or (answer.files and not old):
                return None
            lines.extend(answer.tasks)
        return lines


def _may_go_on(busy: str, *, old: bool) -> bool:
    """Whether a thread may go on by itself.

    One that has been waiting for input since before the block is a server or the like, without anything to serve.
    """
    return busy == SLEEP if old else busy != LOCK


def _fingerprint(still: Standstill) -> Fingerprint | None:
    """The same of everybody; ``None`` if somebody is about to do something."""
    if any(wants_processor(one) for one in still.awake):
        return None
    return still.epoch, doing(still.awake)


def _thread_line(thread: threading.Thread, frames: list[FrameType], otherwise: str) -> str:
    return f'thread "{thread.name}" waits for {awaited(frames) or otherwise}, {place(frames)}'


def _message(now: float, after: float, lines: list[str]) -> str:
    head = (
        f"deadlock at virtual time {now:g}: everybody waits for somebody else; nothing moved for {after:g} real seconds"
    )
    tail = "If one of them waits for something real: virtual_time(deadlock_after=…) gives it longer, None any time."
    return "\n".join([head, *(f"  {one}" for one in lines), tail])
