"""Where a sequence of events breaks with what was expected of it."""

from __future__ import annotations

from collections.abc import Sequence
from types import EllipsisType
from typing import NamedTuple

from resilix.event_types import Event
from resilix.testing.event_kinds import Pattern
from resilix.testing.event_lines import describe


class Breach(NamedTuple):
    """Where and how.

    Attributes:
        at: The index of the event that should have been another; the number of events where more should have come.
        what: In one line.
        note: What was expected there.
    """

    at: int
    what: str
    note: str


def breach(expected: Sequence[Pattern | EllipsisType], events: Sequence[Event]) -> Breach | None:
    """The first breach; ``None`` when the events are as expected.

    The parts between two ellipses are looked for one after the other, each as early as it can be: so if there is any
    way to place them all, they are placed.
    """
    parts = _parts(expected)
    at = 0
    for number, part in enumerate(parts):
        first, last = number == 0, number == len(parts) - 1
        if first:
            broken = _differs(part, events, 0)
            at = len(part)
            if broken is None and last and len(events) > at:
                broken = Breach(at, f"one event too many: {describe(events[at])}", "nothing more was expected here")
        elif last:
            broken = _ends(part, events, at)
        else:
            found = _find(part, events, at)
            broken = None if found is not None else _missing(part, events, at)
            at = at if found is None else found + len(part)
        if broken is not None:
            return broken
    return None


def _parts(expected: Sequence[Pattern | EllipsisType]) -> list[list[Pattern]]:
    """What stands between ellipses; an empty part where one stands at the beginning or the end."""
    parts: list[list[Pattern]] = [[]]
    for one in expected:
        if isinstance(one, EllipsisType):
            parts.append([])
        else:
            parts[-1].append(one)
    return parts


def _differs(part: Sequence[Pattern], events: Sequence[Event], at: int) -> Breach | None:
    """Where a part that begins at an event differs from what follows."""
    for index, pattern in enumerate(part, at):
        if index >= len(events):
            return Breach(len(events), f"{pattern!r} was expected and never came", f"{pattern!r} was expected here")
        if not pattern.fits(events[index]):
            found = describe(events[index])
            return Breach(index, f"expected {pattern!r}, found: {found}", f"{pattern!r} was expected here")
    return None


def _find(part: Sequence[Pattern], events: Sequence[Event], at: int) -> int | None:
    starts = range(at, len(events) - len(part) + 1)
    return next((start for start in starts if _differs(part, events, start) is None), None)


def _ends(part: Sequence[Pattern], events: Sequence[Event], at: int) -> Breach | None:
    """Where the end differs, from an event on at the earliest."""
    if not part:
        return None  # anything may come
    start = len(events) - len(part)
    if start < at:
        return _missing(part, events, at)
    return _differs(part, events, start)


def _missing(part: Sequence[Pattern], events: Sequence[Event], at: int) -> Breach:
    wanted = ", ".join(map(repr, part))
    return Breach(at, f"{wanted} was expected after that and never came", f"{wanted} was expected from here on")
