"""What can be seen from outside of errors, events and policies, comparable between two runs of a script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.support.woven_policies import Nouns

from resilix.events import ErrorEvent, Event

NAMES = re.compile(r"noun-\d+| at 0x[0-9a-f]+")
DEEPEST = 8
"""How many causes and contexts of an error are compared."""


def plain(text: object) -> str:
    """A text without the names that differ from run to run."""
    return NAMES.sub("noun", str(text))


def told(error: BaseException | None) -> list[Any]:
    """All that an error says: type, text, notes, and the same of what it came from."""
    telling: list[Any] = []
    while error is not None and len(telling) < DEEPEST:
        notes = [plain(note) for note in getattr(error, "__notes__", [])]
        cause = type(error.__cause__).__name__
        telling.append((type(error).__name__, plain(error), notes, cause, error.__suppress_context__))
        error = error.__context__
    return telling


def told_event(event: Event) -> tuple[Any, ...]:
    """All that an event says."""
    fields = {name: getattr(event, name) for name in event.__dataclass_fields__}
    fields["name"] = plain(event.name)
    if isinstance(event, ErrorEvent):
        fields["error"] = told(event.error)
    return type(event).__name__, fields


def figures(nouns: Nouns) -> Iterator[Any]:
    """All figures that the policies publish."""
    for breaker in nouns.breakers:
        snapshot = breaker.snapshot()
        fields = {name: getattr(snapshot, name) for name in snapshot.__dataclass_fields__ if name != "name"}
        yield fields, breaker.totals(), dict(breaker.transitions)
    for slots in nouns.slots:
        yield slots.free, slots.in_use, slots.waiting, slots.rejected, slots._late
    yield nouns.budget.remaining, nouns.budget.denied
