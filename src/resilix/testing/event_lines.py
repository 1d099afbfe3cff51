"""A record of events as text for people: when, who, what."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from resilix.event_types import (
    AttemptFailed,
    CallAdmitted,
    CallRefused,
    Event,
    FallbackServed,
    FaultInjected,
    FaultsSwitched,
    GivenUp,
    HookError,
    ProbeAdmitted,
    RetryScheduled,
    TimedOut,
    Transition,
    TripObserved,
)
from resilix.policies.functions import local_name
from resilix.testing.event_kinds import word_of

MOST_LINES: Final = 200
"""A longer record is shown in part: its beginning and its end, or what stands around the first mark."""
LONGEST_NAME: Final = 40
STATUS: Final = "http.response.status_code"
NOTHING: Final = "(nothing was recorded)"


class Recorded(NamedTuple):
    """One event of a record.

    Attributes:
        at: Seconds since the record began, by the policies' clock; the time of ``virtual_time()`` where it runs.
        event: What happened.
    """

    at: float
    event: Event


class _Line(NamedTuple):
    at: float
    who: str
    what: str
    times: int
    mark: str | None


def timeline(entries: Sequence[Recorded], marks: Mapping[int, str] | None = None) -> str:
    """A record as aligned lines.

    Args:
        entries: The record.
        marks: A note for each entry that is to be marked, by its index; one more than the last marks the end. An empty
            note marks the line alone.
    """
    marks = marks or {}
    lines = _lines(entries, marks)
    width = max((len(line.who) for line in lines), default=0)
    shown: list[str] = []
    for line in _part(lines):
        if line is None:
            shown.append("    …")
            continue
        often = f" ({line.times} times)" if line.times > 1 else ""
        sign = " " if line.mark is None else ">"
        shown.append(f"{sign} {line.at:8.3f}  {line.who:<{width}}  {line.what}{often}")
        if line.mark:
            shown.append(f"  ^ {line.mark}")
    if not entries:
        shown.append(f"  {NOTHING}")
    if len(entries) in marks:
        shown.append(f"> the end: {marks[len(entries)]}")
    return "\n".join(shown)


def _lines(entries: Sequence[Recorded], marks: Mapping[int, str]) -> list[_Line]:
    """One line for each entry; the same thing several times in a row is one line."""
    lines: list[_Line] = []
    for index, (at, event) in enumerate(entries):
        who, what, mark = _who(event), describe(event), marks.get(index)
        last = lines[-1] if lines else None
        if last is not None and mark is None and last[1:3] == (who, what) and last.mark is None:
            lines[-1] = last._replace(times=last.times + 1)
        else:
            lines.append(_Line(at, who, what, 1, mark))
    return lines


def _part(lines: list[_Line]) -> list[_Line | None]:
    """What is shown of them; ``None`` for what is left out."""
    if len(lines) <= MOST_LINES:
        return list(lines)
    half = MOST_LINES // 2
    first = next((index for index, line in enumerate(lines) if line.mark is not None), None)
    if first is None:
        return [*lines[:half], None, *lines[-half:]]
    begin, end = max(0, first - half), first + half
    return [*([None] if begin else []), *lines[begin:end], *([None] if end < len(lines) else [])]


def _who(event: Event) -> str:
    name = local_name(event.name)
    return f"{event.policy} {name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + '…'}"


def describe(event: Event) -> str:
    """What happened, in a few words that hold no text of an exception: it may be a secret."""
    words = WORDING.get(type(event))
    return word_of(event) if words is None else words(event)


def _attempt_failed(event: Any) -> str:
    return f"attempt {event.attempt} failed: {_why(event)}"


def _why(event: Any) -> str:
    status = event.attributes.get(STATUS)
    return event.error_type if event.error is not None or status is None else f"status {status}"


def _retry(event: Any) -> str:
    return f"waits {event.wait:.3f}" if event.wait else "tries again at once"


def _gave_up(event: Any) -> str:
    return f"gave up after {event.attempts} attempt{'s' if event.attempts > 1 else ''} ({event.reason}): {_why(event)}"


def _refused(event: Any) -> str:
    back = "" if event.retry_after is None else f", back in {event.retry_after:.3f}"
    return f"refused: {event.kind.replace('_', ' ')}{back}"


def _transition(event: Any) -> str:
    mode = "" if event.mode == "normal" else f", {event.mode.replace('_', ' ')}"
    return f"{_state(event.from_state)} → {_state(event.to_state)}{mode} ({event.reason})"


def _state(state: str) -> str:
    return state.replace("_", "-")


WORDING: Final[Mapping[type[Event], Callable[[Any], str]]] = {
    AttemptFailed: _attempt_failed,
    CallAdmitted: lambda event: "admitted",
    CallRefused: _refused,
    FallbackServed: lambda event: f"fallback answered for {_why(event)}",
    FaultInjected: lambda event: f"fault: {event.fault}{f' after {event.delay:.3f}' if event.delay else ''}",
    FaultsSwitched: lambda event: f"faults switched {'on' if event.on else 'off'}",
    GivenUp: _gave_up,
    HookError: lambda event: f"{event.hook} raised {event.error_type}",
    ProbeAdmitted: lambda event: f"probe admitted, lease {event.lease:.3f}",
    RetryScheduled: _retry,
    TimedOut: lambda event: f"timed out after {event.seconds:.3f}{', abandoned' if event.abandoned else ''}",
    Transition: _transition,
    TripObserved: lambda event: f"would have opened ({event.reason})",
}
