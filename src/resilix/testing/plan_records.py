"""What a fault plan is told, decides and writes down."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
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
        args: What the function is handed by position, which need not be how the caller wrote it; empty for a request.
        kwargs: The same by name.
        request: The request, of httpx or httpx2; ``None`` for a function.
        function: The function; ``None`` for a request.
    """

    number: int
    at: float
    name: str
    label: str
    args: tuple[Any, ...] = field(repr=False)
    kwargs: Mapping[str, Any] = field(repr=False)
    request: Any = field(default=None, repr=False)
    function: Callable[..., Any] | None = field(default=None, repr=False)

    @property
    def arguments(self) -> Mapping[str, Any]:
        """Its arguments by the names of the parameters, defaults included, however the call was written.

        Empty for a request. Of a function that has no signature, as some of Python's own, those passed by name.

        Example::

            faults.error(ConnectionError).when(lambda call: call.arguments["symbol"] == "ACME")

        Raises:
            TypeError: They do not fit the function.
        """
        if self.function is None:
            return {}
        try:
            signature = inspect.signature(self.function)
        except ValueError:
            return dict(self.kwargs)
        bound = signature.bind(*self.args, **self.kwargs)
        bound.apply_defaults()
        return bound.arguments


@dataclass(frozen=True, slots=True)
class Counts:
    """What a plan did so far.

    Attributes:
        calls: Calls it decided about.
        passed: Those it let pass, delayed ones included, even if their time was over before the delay was.
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
PASSED: Final = "passed"
SHOWN: Final = 10
"""How many of the calls it remembers the text of a plan shows."""


def account(plan: str, counts: Counts, log: Sequence[Entry]) -> str:
    """What a plan did, for the message of an assertion."""
    did = [f"{number} {what}" for what, number in ((PASSED, counts.passed), *sorted(counts.faults.items()))]
    lines = [f"{plan}: {counts.calls} call{'' if counts.calls == 1 else 's'}, {', '.join(did)}"]
    if counts.delayed:
        lines[0] += f", {counts.delayed:g} s of waiting"
    if counts.skipped:
        lines[0] += f"; {counts.skipped} let through, because faults were switched off"
    lines += ["  …"] * (len(log) > SHOWN) + [f"  {one}" for one in log[-SHOWN:]]
    return "\n".join(lines)


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
