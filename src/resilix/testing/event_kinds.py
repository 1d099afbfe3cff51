"""Which events an assertion means: by their class, by a word or two, or by what their fields hold."""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from resilix.errors import ConfigurationError
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

CLOSE: Final = 1e-9
"""How far a duration may be from the expected one, relative and in seconds: sums of floats are not exact."""


class Kind(NamedTuple):
    """Some events.

    Attributes:
        word: What they are called.
        type: Their class.
        narrow: Which of that class; ``None`` for all.
    """

    word: str
    type: type[Event]
    narrow: Callable[[Any], bool] | None = None

    def has(self, event: Event) -> bool:
        """Whether an event is one of these."""
        return isinstance(event, self.type) and (self.narrow is None or self.narrow(event))


def _goes_to(state: str) -> Callable[[Any], bool]:
    return lambda event: event.to_state == state != event.from_state


def _mode_is(mode: str) -> Callable[[Any], bool]:
    return lambda event: event.mode == mode


def _abandoned(event: Any) -> bool:
    return bool(event.abandoned)


KINDS: Final = {
    kind.word: kind
    for kind in (
        Kind("admitted", CallAdmitted),
        Kind("refused", CallRefused),
        Kind("probe", ProbeAdmitted),
        Kind("attempt failed", AttemptFailed),
        Kind("retry", RetryScheduled),
        Kind("gave up", GivenUp),
        Kind("timed out", TimedOut),
        Kind("abandoned", TimedOut, _abandoned),
        Kind("fallback", FallbackServed),
        Kind("hook error", HookError),
        Kind("fault", FaultInjected),
        Kind("faults switched", FaultsSwitched),
        Kind("would have opened", TripObserved),
        Kind("transition", Transition),
        Kind("opened", Transition, _goes_to("open")),
        Kind("half-open", Transition, _goes_to("half_open")),
        Kind("closed", Transition, _goes_to("closed")),
        Kind("forced open", Transition, _mode_is("forced_open")),
        Kind("disabled", Transition, _mode_is("disabled")),
        Kind("observing", Transition, _mode_is("observing")),
    )
}
"""The events that have a word."""
POLICIES: Final = ("breaker", "bulkhead", "retry", "timeout", "fallback", "http", "faults")
"""What the events of our own have as their policy."""
BY_TYPE: Final = {kind.type: kind for kind in reversed(KINDS.values()) if kind.narrow is None}
ROUTINE: Final = (CallAdmitted, FaultsSwitched)
"""Say only that a call was made, or what the test itself did: no news to those who ask whether anything happened."""


class Pattern:
    """Made by :func:`event`, where it is described."""

    __slots__ = ("fields", "kind", "whole")

    def __init__(self, kind: Kind, fields: Mapping[str, Any], whole: Event | None = None) -> None:
        self.kind = kind
        self.fields = fields
        self.whole = whole

    def __repr__(self) -> str:
        if self.whole is not None:
            return repr(self.whole)
        shown = ", ".join(f"{name}={_shown(wanted)}" for name, wanted in self.fields.items())
        return f"{self.kind.word} ({shown})" if shown else self.kind.word

    def fits(self, event: Event) -> bool:
        """Whether an event is what is expected."""
        if self.whole is not None:
            return self.whole == event
        return self.kind.has(event) and all(_fits(wanted, getattr(event, name)) for name, wanted in self.fields.items())


Expected: TypeAlias = str | type[Event] | Event | Pattern
"""What an assertion takes for an event."""


def event(kind: str | type[Event], /, **fields: Any) -> Pattern:
    """An event of a kind whose fields hold what you say; for the assertions of a record.

    Example::

        events.assert_sequence("attempt failed", event("retry", wait=0.1), event(Transition, to_state="open"))

    Args:
        kind: A class of ``resilix.events``, or one of its words: "admitted", "refused", "probe", "attempt failed",
            "retry", "gave up", "timed out", "abandoned", "fallback", "fault", "faults switched", "hook error", "would
            have opened"; "transition", or which one: "opened", "half-open", "closed", "forced open", "disabled",
            "observing".
        fields: Any fields of that kind. A class means an instance of it (``error=ConnectionError``), a function is
            asked (``wait=lambda seconds: seconds < 1``), a duration need not be exact to the last bit, and anything
            else is compared by ``==``.

    Raises:
        ConfigurationError: There is no such kind, or it has no such field.
    """
    found = kind_of(kind)
    known = [one.name for one in dataclasses.fields(found.type)]
    for name in fields:
        if name not in known:
            raise ConfigurationError(
                f"event({found.word!r}, {name}=…): {found.type.__name__} has no such field; it has {', '.join(known)}"
            )
    return Pattern(found, fields)


def kind_of(named: object) -> Kind:
    """The kind with this word or class.

    Raises:
        ConfigurationError: There is none.
    """
    if isinstance(named, str):
        kind = KINDS.get(named) or KINDS.get(named.replace("_", " "))
        if kind is not None:
            return kind
        near = difflib.get_close_matches(named, KINDS, 1)
        raise ConfigurationError(
            f"{named!r} is no kind of event"
            + (f", did you mean {near[0]!r}?" if near else f"; there are {', '.join(map(repr, KINDS))}")
        )
    if isinstance(named, type) and issubclass(named, Event):
        return BY_TYPE.get(named) or Kind(words_of(named), named)
    raise ConfigurationError(
        f'{named!r} is no kind of event; write a word such as "retry", a class of resilix.events, or event(…)'
    )


def check_policy(named: object, recorded: Iterable[Event]) -> None:
    """Refuse a kind of policy that there is not; one of the user's own is known by its events.

    Raises:
        ConfigurationError: There is none.
    """
    if named in POLICIES or any(one.policy == named for one in recorded):
        return
    near = difflib.get_close_matches(named, POLICIES, 1) if isinstance(named, str) else []
    hint = f", did you mean {near[0]!r}?" if near else f"; there are {', '.join(map(repr, POLICIES))}"
    raise ConfigurationError(f"only(policy={named!r}): it is no kind of policy{hint}")


def pattern_of(expected: object) -> Pattern:
    """What is expected, in whichever form it was written."""
    if isinstance(expected, Pattern):
        return expected
    if isinstance(expected, Event):
        return Pattern(kind_of(type(expected)), {}, expected)
    return Pattern(kind_of(expected), {})


def word_of(event: Event) -> str:
    """What an event is called."""
    return kind_of(type(event)).word


def words_of(kind: type[Event]) -> str:
    """The name of a class as words."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", kind.__name__).lower()


def _fits(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, type):
        return found is wanted or isinstance(found, wanted)
    if isinstance(wanted, (int, float)) and isinstance(found, float):
        return math.isclose(wanted, found, rel_tol=CLOSE, abs_tol=CLOSE)
    if callable(wanted):
        return bool(wanted(found))
    return bool(wanted == found)


def _shown(wanted: Any) -> str:
    return wanted.__name__ if isinstance(wanted, type) else repr(wanted)
