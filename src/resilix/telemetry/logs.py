"""Events as records of the standard library's ``logging``.

======== =====================================================================================================
WARNING  a breaker opened (or would have, while it only observes); a retry gave up; a call was abandoned in its
         worker thread; code of yours that a policy asked (a predicate, say) raised; faults were switched on
INFO     a breaker closed, is half-open, or was disabled; faults were switched off
DEBUG    everything that happens once per call: admitted, refused, failed attempts, retries, timeouts, fallbacks,
         injected faults
======== =====================================================================================================

A record never holds an exception's text, a URL or an argument, because those may be secret: it names the error's
type. What a record holds for machines is in ``extra``, each with the prefix ``resilix_`` and the unit in its name.

In an outage the same line would be written for every call. The first few are; the others are counted and summed up in
one line, whose ``resilix_more`` says how many they were.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from resilix.core import options
from resilix.core.options import Seconds
from resilix.errors import ConfigurationError
from resilix.events import (
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
    subscribe,
)
from resilix.telemetry.logs_bursts import Bursts, Summary
from resilix.telemetry.logs_facts import Fact, facts_of, http_facts_of, kind_of, word_of

Line: TypeAlias = tuple[int, str]
"""The level, and a sentence with %(…)s for the facts."""


class Key(NamedTuple):
    """Lines that are alike: a burst of them is summed up.

    Attributes:
        level: So that a warning is never counted among details.
        event: What happened.
        policy: The kind of policy.
        name: Its name.
    """

    level: int
    event: str
    policy: str
    name: str


def log_events(
    logger: logging.Logger | str | None = None, *, burst: int | None = 5, window: Seconds = 10.0
) -> Callable[[], None]:
    """Write what the policies do to a logger, from now on.

    Example::

        logging.basicConfig(level=logging.INFO)
        stop = log_events()
        ...
        stop()

    Args:
        logger: A logger or its name; ``None`` for the logger "resilix". No adapter: it would drop the facts.
        burst: How many lines of one level, kind and name are written within a window; the others are summed up in one
            line ("… and 241 more in 10 s"), written with the next event after the window, or in the end. ``None``
            for every line.
        window: Its length in seconds, more than zero; it begins with the first line.

    Returns:
        A function that ends it, after the summaries that are due; calling it again does nothing.

    Raises:
        ConfigurationError: ``logger`` is neither, or an option cannot mean anything sensible.
    """
    chosen = logging.getLogger(logger or "resilix") if logger is None or isinstance(logger, str) else logger
    if not isinstance(chosen, logging.Logger):
        raise ConfigurationError(
            f"log_events({logger!r}): it writes to a logger of the standard library; "
            'write log_events(), log_events("myservice.calls") or log_events(logging.getLogger(…))'
        )
    if burst is not None:
        why = "the first line of a burst is always written (None writes every line)"
        burst = options.whole("log_events", "burst", burst, least=1, why=why)
    bursts: Bursts[Key] = Bursts(burst, options.duration("log_events", "window", window))

    def write(event: Event) -> None:
        for summary in bursts.ended():
            _write_summary(chosen, summary)
        level, sentence = _line_of(event)
        if not chosen.isEnabledFor(level):
            return
        key = Key(level, word_of(event), event.policy, event.name)
        if bursts.admit(key):
            http = {name.replace(".", "_"): fact for name, fact in http_facts_of(event).items()}
            if "http_response_status_code" in http:  # it was answered, and the answer judged a failure
                sentence = sentence.replace("%(error_type)s", "status %(http_response_status_code)s")
            _write(chosen, level, f"%(policy)s %(name)r {sentence}", {"event": key.event, **facts_of(event), **http})

    unsubscribe = subscribe(write)

    def stop() -> None:
        unsubscribe()
        for summary in bursts.flush():
            _write_summary(chosen, summary)

    return stop


def _write_summary(logger: logging.Logger, summary: Summary[Key]) -> None:
    key = summary.key
    facts: dict[str, Fact] = {
        "event": key.event,
        "policy": key.policy,
        "name": key.name,
        "more": summary.more,
        "window_s": round(summary.lasted, 3),
        "ago_s": round(summary.ago, 3),
    }
    late = ", %(ago_s).0f s ago" if summary.ago >= 1 else ""
    _write(logger, key.level, "%(policy)s %(name)r %(event)s: … and %(more)d more in %(window_s)g s" + late, facts)


def _write(logger: logging.Logger, level: int, sentence: str, facts: Mapping[str, Fact]) -> None:
    # The facts are the arguments too, so that a log processor can group by the sentence. As attributes of a record
    # they have a prefix: a bare "name" would clash with the logger's.
    logger.log(level, sentence, facts, extra={f"resilix_{fact}": value for fact, value in facts.items()})


def _transition(event: Transition) -> Line:
    level = logging.WARNING if event.to_state == "open" else logging.INFO
    if event.from_state == event.to_state:
        return level, "is %(to_state)s and %(mode)s now: %(reason)s"
    return level, "went from %(from_state)s to %(to_state)s: %(reason)s"


def _timed_out(event: TimedOut) -> Line:
    if event.abandoned:
        return logging.WARNING, "abandoned a call after %(limit_s).3g s; its thread goes on"
    return logging.DEBUG, "ended a call after %(limit_s).3g s"


def _switched(event: FaultsSwitched) -> Line:
    if event.on:
        return logging.WARNING, "switched on: calls may fail on purpose from now on"
    return logging.INFO, "switched off"


LINES: Final[dict[type[Event], Line | Callable[[Any], Line]]] = {
    AttemptFailed: (logging.DEBUG, "failed at attempt %(attempt)d: %(error_type)s"),
    CallAdmitted: (logging.DEBUG, "admitted a call"),
    CallRefused: (logging.DEBUG, "refused a call: %(kind)s"),
    FallbackServed: (logging.DEBUG, "answered in place of %(error_type)s"),
    FaultInjected: (logging.DEBUG, "injected a fault: %(fault)s"),
    FaultsSwitched: _switched,
    GivenUp: (logging.WARNING, "gave up at attempt %(attempts)d (%(reason)s): %(error_type)s"),
    HookError: (
        logging.WARNING,
        "got %(error_type)s from %(hook)s, which is code of yours, and goes on without it",
    ),
    ProbeAdmitted: (logging.DEBUG, "admitted a probe"),
    RetryScheduled: (logging.DEBUG, "makes attempt %(attempt)d in %(wait_s).3g s, after %(error_type)s"),
    TimedOut: _timed_out,
    Transition: _transition,
    TripObserved: (logging.WARNING, "would have opened: %(reason)s"),
}
"""What each kind of event becomes. A test holds it against the kinds there are."""


def _line_of(event: Event) -> Line:
    kind = kind_of(event)
    if kind is None:
        return logging.DEBUG, "did something"
    line = LINES[kind]
    return line(event) if callable(line) else line
