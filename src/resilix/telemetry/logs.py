"""Events as records of the standard library's ``logging``.

======== =====================================================================================================
WARNING  a breaker opened (or would have, while it only observes); a retry gave up; a call was abandoned in its
         worker thread; code of yours that a policy asked (a predicate, say) raised
INFO     a breaker closed, is half-open, or was disabled
DEBUG    everything that happens once per call: admitted, refused, failed attempts, retries, timeouts, fallbacks
======== =====================================================================================================

A record never holds an exception's text, a URL or an argument, because those may be secret: it names the error's
type. What a record holds for machines is in ``extra``, each with the prefix ``resilix_`` and the unit in its name.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from resilix.errors import ConfigurationError
from resilix.events import (
    AttemptFailed,
    CallAdmitted,
    CallRefused,
    Event,
    FallbackServed,
    GivenUp,
    HookError,
    ProbeAdmitted,
    RetryScheduled,
    TimedOut,
    Transition,
    TripObserved,
    subscribe,
)

Record: TypeAlias = "tuple[int, str, dict[str, object]]"
"""The level, a sentence with %(…)s for the facts, and the facts."""


def log_events(logger: logging.Logger | str | None = None) -> Callable[[], None]:
    """Write what the policies do to a logger, from now on.

    Example::

        logging.basicConfig(level=logging.INFO)
        stop = log_events()
        ...
        stop()

    Args:
        logger: A logger or its name; ``None`` for the logger "resilix". No adapter: it would drop the facts.

    Returns:
        A function that ends it; calling it again does nothing.

    Raises:
        ConfigurationError: ``logger`` is neither.
    """
    chosen = logging.getLogger(logger or "resilix") if logger is None or isinstance(logger, str) else logger
    if not isinstance(chosen, logging.Logger):
        raise ConfigurationError(
            f"log_events({logger!r}): it writes to a logger of the standard library; "
            'write log_events(), log_events("myservice.calls") or log_events(logging.getLogger(…))'
        )

    def write(event: Event) -> None:
        level, sentence, facts = _record_of(event)
        if chosen.isEnabledFor(level):
            facts = {"event": _snake(type(event).__name__), "policy": event.policy, "name": event.name, **facts}
            # The facts are the arguments too, so that a log processor can group by the sentence.
            chosen.log(level, f"%(policy)s %(name)r {sentence}", facts, extra=_prefixed(facts))

    return subscribe(write)


def _prefixed(facts: dict[str, object]) -> dict[str, object]:
    """Attributes of a log record: a bare "name" would clash with the logger's."""
    return {f"resilix_{fact}": value for fact, value in facts.items()}


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


def _transition(event: Transition) -> Record:
    level = logging.WARNING if event.to_state == "open" else logging.INFO
    facts: dict[str, object] = {
        "from_state": event.from_state,
        "to_state": event.to_state,
        "mode": event.mode,
        "reason": event.reason,
        "opening": event.opening,
    }
    sentence = "went from %(from_state)s to %(to_state)s: %(reason)s"
    if event.from_state == event.to_state:
        sentence = "is %(to_state)s and %(mode)s now: %(reason)s"
    return level, sentence, facts


def _timed_out(event: TimedOut) -> Record:
    facts: dict[str, object] = {"limit_seconds": event.seconds, "abandoned": event.abandoned}
    if event.abandoned:
        return logging.WARNING, "abandoned a call after %(limit_seconds).3g s; its thread goes on", facts
    return logging.DEBUG, "ended a call after %(limit_seconds).3g s", facts


def _refused(event: CallRefused) -> Record:
    facts: dict[str, object] = {"kind": event.kind}
    if event.retry_after is not None:
        facts["retry_after_seconds"] = event.retry_after
    return logging.DEBUG, "refused a call: %(kind)s", facts


def _given_up(event: GivenUp) -> Record:
    facts: dict[str, object] = {"attempts": event.attempts, "reason": event.reason, "error_type": event.error_type}
    return logging.WARNING, "gave up at attempt %(attempts)d (%(reason)s): %(error_type)s", facts


def _retry_scheduled(event: RetryScheduled) -> Record:
    facts: dict[str, object] = {
        "attempt": event.attempt,
        "wait_seconds": event.wait,
        "error_type": event.error_type,
    }
    return logging.DEBUG, "makes attempt %(attempt)d in %(wait_seconds).3g s, after %(error_type)s", facts


def _attempt_failed(event: AttemptFailed) -> Record:
    facts: dict[str, object] = {"attempt": event.attempt, "error_type": event.error_type}
    return logging.DEBUG, "failed at attempt %(attempt)d: %(error_type)s", facts


def _hook_error(event: HookError) -> Record:
    facts: dict[str, object] = {"hook": event.hook, "error_type": event.error_type}
    return logging.WARNING, "got %(error_type)s from %(hook)s, which is code of yours, and goes on without it", facts


RECORDS: Final[dict[type[Event], Callable[[Any], Record]]] = {
    AttemptFailed: _attempt_failed,
    CallAdmitted: lambda event: (logging.DEBUG, "admitted a call", {}),
    CallRefused: _refused,
    FallbackServed: lambda event: (
        logging.DEBUG,
        "answered in place of %(error_type)s",
        {"error_type": event.error_type},
    ),
    GivenUp: _given_up,
    HookError: _hook_error,
    ProbeAdmitted: lambda event: (logging.DEBUG, "admitted a probe", {"lease_seconds": event.lease}),
    RetryScheduled: _retry_scheduled,
    TimedOut: _timed_out,
    Transition: _transition,
    TripObserved: lambda event: (logging.WARNING, "would have opened: %(reason)s", {"reason": event.reason}),
}
"""What each kind of event becomes. A test holds it against the kinds there are."""


def _record_of(event: Event) -> Record:
    for kind in type(event).__mro__:
        if kind in RECORDS:
            return RECORDS[kind](event)
    return logging.DEBUG, "did something", {}
