"""What a fault plan is told, decides and writes down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from resilix.core import options
from resilix.core.options import Seconds
from resilix.errors import ConfigurationError
from resilix.policies.fates import Fault


@dataclass(frozen=True, slots=True)
class Occasion:
    """A call that something may befall, for a predicate to look at.

    Attributes:
        number: Which call of the plan it is, from 1.
        at: Seconds since the plan was put in force.
        name: What the plan was injected by, else the label.
        label: The name of the function, or of the HTTP policy.
        args: Its arguments by position; empty for a request.
        kwargs: Its arguments by name.
        request: The request, of httpx or httpx2; ``None`` for a function.
    """

    number: int
    at: float
    name: str
    label: str
    args: tuple[Any, ...] = field(repr=False)
    kwargs: Mapping[str, Any] = field(repr=False)
    request: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Counts:
    """What a plan did so far.

    Attributes:
        calls: Calls it decided about.
        passed: Those that were made, delayed ones included.
        skipped: Calls it let through because faults were switched off; not among ``calls``.
        faults: How often each fault stood in place of a call: ``{"ConnectError": 2, "503": 1, "hang": 1}``.
        delayed: Seconds of injected waiting. A wait that was cancelled counts as far as it came.
    """

    calls: int
    passed: int
    skipped: int
    faults: Mapping[str, int]
    delayed: float


@dataclass(frozen=True, slots=True)
class Entry:
    """What befell one call.

    Attributes:
        number: Which call of the plan it was, from 1.
        at: Seconds since the plan was put in force.
        label: The name of the function, or of the HTTP policy.
        what: The fault, or "passed".
        delay: Seconds of waiting that were decided before that.
    """

    number: int
    at: float
    label: str
    what: str
    delay: float

    def __str__(self) -> str:
        late = f" after {self.delay:g} s" if self.delay else ""
        return f"#{self.number} at {self.at:.4g} s, {self.label}: {self.what}{late}"


class Decision(NamedTuple):
    """What a plan decides about a call.

    Attributes:
        delay: Seconds to wait first.
        fault: What happens in its place; ``None`` lets it pass.
    """

    delay: float = 0.0
    fault: Fault | None = None


PASS: Final = Decision()


def span(owner: str, start: Seconds, seconds: Seconds | None) -> tuple[float, float]:
    """Read a span of time: its beginning and its end, both in seconds."""
    first = options.duration(owner, "start", start, zero="at once")
    return first, float("inf") if seconds is None else first + options.duration(owner, "seconds", seconds)


def no_plan(one: object, sign: str, other: object, *, wrong: object) -> ConfigurationError:
    """The error for putting two together where one of them, ``wrong``, is no plan."""
    written = [plan_for(each) or "faults.error(…)" if each is wrong else repr(each) for each in (one, other)]
    return ConfigurationError(f"{one!r} {sign} {other!r}: both must be plans; write {written[0]} {sign} {written[1]}")


def plan_for(value: object) -> str:
    """How the plan is written that somebody may have meant by something that is none; "" where nobody can tell."""
    if isinstance(value, type) and issubclass(value, BaseException):
        return f"faults.error({value.__name__})"
    if isinstance(value, BaseException):
        return f"faults.error({value!r})"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"faults.status({value})"
    if isinstance(value, float):
        return f"faults.latency({value:g})"
    if getattr(value, "__module__", None) == "resilix.testing.faults":
        return f"faults.{getattr(value, '__name__', '')}(…)"
    return ""
