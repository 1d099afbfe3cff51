"""The events there are. Their public names are in ``resilix.events``, which loads this module when one is asked for.

Making a frozen dataclass takes half a millisecond, and a program to which nobody listens needs none of these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = [
    "AttemptFailed",
    "CallAdmitted",
    "CallRefused",
    "ErrorEvent",
    "Event",
    "FallbackServed",
    "FaultInjected",
    "FaultsSwitched",
    "GivenUp",
    "HookError",
    "Listener",
    "ProbeAdmitted",
    "RetryScheduled",
    "TimedOut",
    "Transition",
    "TripObserved",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of all events.

    Attributes:
        policy: The kind of policy: "breaker", "retry", "timeout", "bulkhead", "fallback", "http" for what the
            transport of an HTTP request does by itself, or "faults" for what a test injects.
        name: The name of a noun (breaker, bulkhead), or the label of a verb: its pipeline's name, else the
            qualified name of the wrapped function.
    """

    policy: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAdmitted(Event):
    """A breaker or a bulkhead let a call through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRefused(Event):
    """A policy refused a call: the function did not run.

    Attributes:
        kind: "circuit_open", "bulkhead_full", "deadline_expired".
        retry_after: Seconds until it makes sense to come back, if known.
    """

    kind: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorEvent(Event):
    """Base of the events that carry an error.

    Attributes:
        error: The exception itself, or ``None`` when a result was judged a failure. Not in ``repr``.
        error_type: The exception's type name, or "result".
        attributes: What the transport of an HTTP request adds, under OpenTelemetry's names
            ("http.request.method", "http.request.resend_count", "http.response.status_code", …); else empty.
    """

    error: BaseException | None = field(repr=False, compare=False)
    error_type: str
    attributes: Mapping[str, object] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFailed(ErrorEvent):
    """One attempt of a retry failed in a way that may be retried.

    Attributes:
        attempt: Its number, from 1.
    """

    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryScheduled(ErrorEvent):
    """Another attempt will be made.

    Attributes:
        attempt: The number of the attempt to come.
        wait: Seconds until then.
    """

    attempt: int
    wait: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp(ErrorEvent):
    """No further attempt will be made; the last error or result goes to the caller.

    Attributes:
        attempts: How many attempts were made.
        reason: "attempts", "within", "deadline", "budget", "stop", "cancelled", or "hook" (wait or stop raised).
    """

    attempts: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition(Event):
    """A breaker changed its state or its mode.

    Attributes:
        from_state: "closed", "open" or "half_open".
        to_state: Likewise.
        mode: "normal", "forced_open", "disabled" or "observing", from now on.
        reason: Why, in a few words: "consecutive failures", "failure rate", "slow rate", "open time over",
            "probes succeeded", "probe failed", "probe lease expired"; by hand, "forced open", "disabled", "observing",
            "closed by hand", or what ``open()`` was given.
        opening: The number of the opening by itself since it was last closed.
    """

    from_state: str
    to_state: str
    mode: str
    reason: str
    opening: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TripObserved(Event):
    """A breaker that only observes would have opened now.

    Attributes:
        reason: Why, in a few words.
    """

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeAdmitted(Event):
    """A half-open breaker let a probe through.

    Attributes:
        lease: Seconds the probe has before it counts as failed.
    """

    lease: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedOut(Event):
    """A timeout of ours expired while the call was running.

    Attributes:
        seconds: How long the call was given.
        abandoned: True when the call goes on in its worker thread although nobody waits for it.
    """

    seconds: float
    abandoned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackServed(ErrorEvent):
    """A fallback answered instead of the function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultsSwitched(Event):
    """The injection of faults was switched on or off in this process; ``name`` says by what.

    Attributes:
        on: Whether it is on from now on.
    """

    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultInjected(Event):
    """A fault plan befell a call; ``name`` is what it was injected by, else the label of the call.

    Attributes:
        fault: "error", "status", "hang", or "latency" for a wait alone.
        delay: Seconds of waiting that were decided before the fault.
    """

    fault: str
    delay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HookError(ErrorEvent):
    """User code given to a policy raised; its answer was done without.

    Attributes:
        hook: Which one: "on", "ignore", "on_result", "wait", "stop" or "open_for"; "classify" of an HTTP policy.
    """

    hook: str


Listener: TypeAlias = Callable[[Event], object]
"""Called with each event; what it returns is dropped."""
