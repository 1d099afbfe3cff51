"""What policies do as events of the current span, and the number of a resent request on its own span."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.trace import Span

from resilix import events
from resilix.errors import ConfigurationError
from resilix.events import Event
from resilix.locks import RLock
from resilix.telemetry.logs_facts import Fact, facts_of, http_facts_of, word_of

TOLD: Final = (
    events.RetryScheduled,
    events.GivenUp,
    events.CallRefused,
    events.Transition,
    events.TripObserved,
    events.TimedOut,
    events.FallbackServed,
    events.FaultInjected,
    events.FaultsSwitched,
    events.HookError,
)
"""What becomes an event of a span: what was out of the ordinary, and each thing once."""

RESEND_COUNT: Final = "http.request.resend_count"
ATTEMPT: Final = "resilix.attempt"
"""The extension of a request in which our transports say which attempt it is."""


def tell_span(event: Event) -> None:
    """Add an event to the current span, if it records."""
    if isinstance(event, TOLD):
        span = trace.get_current_span()
        if span.is_recording():
            span.add_event(f"resilix.{word_of(event)}", _attributes_of(event))


def _attributes_of(event: Event) -> dict[str, Fact]:
    facts = {f"resilix.{fact}": value for fact, value in facts_of(event).items()}
    if "resilix.error_type" in facts:
        facts["error.type"] = facts.pop("resilix.error_type")
    return {**facts, **http_facts_of(event)}


class Telling:
    """Whether spans are told: once at a time, or each event would be there twice."""

    def __init__(self) -> None:
        self._unsubscribe: Callable[[], None] | None = None
        self._lock = RLock()

    def start(self) -> Callable[[], None]:
        """Subscribe, until the function that comes back is called."""
        with self._lock:
            if self._unsubscribe is not None:
                raise ConfigurationError(
                    "trace_events(): spans are told already, and each event would be there twice; call it once where "
                    "the program starts, or first the function that it gave back"
                )
            unsubscribe = self._unsubscribe = events.subscribe(tell_span)

        def stop() -> None:
            with self._lock:
                unsubscribe()
                if self._unsubscribe is unsubscribe:
                    self._unsubscribe = None

        return stop

    def after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held the lock."""
        self._lock = RLock()


TELLING: Final = Telling()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=TELLING.after_fork)


def trace_events() -> Callable[[], None]:
    """Add what the policies do to the current span, while it records: retries, refusals, transitions, and so on.

    The events are "resilix.retry_scheduled", "resilix.given_up", "resilix.call_refused", "resilix.transition",
    "resilix.trip_observed", "resilix.timed_out", "resilix.fallback_served" and "resilix.hook_error". Their attributes
    are ``resilix.policy``, ``resilix.name``, and what is known of ``resilix.attempt``, ``resilix.wait_s``,
    ``resilix.kind``, ``error.type``, …; never an exception's text, a URL or an argument.

    Example::

        stop = resilix.opentelemetry.trace_events()

    Returns:
        A function that ends it; calling it again does nothing.

    Raises:
        ConfigurationError: Spans are told already.
    """
    return TELLING.start()


def request_hook(span: Span, request: Any) -> None:
    """Set ``http.request.resend_count`` on the span of a request that is sent again; on the first one nothing.

    A hook for the official instrumentations of httpx and httpx2, which open a span for each attempt of ours. It is the
    number of our attempt less one; a redirect that the client follows is another request, which begins again.

    Example::

        HTTPXClientInstrumentor().instrument(request_hook=request_hook, async_request_hook=async_request_hook)

    Args:
        span: The span of the request.
        request: The instrumentation's ``RequestInfo``; anything with ``extensions`` will do.

    Source: OpenTelemetry's semantic conventions for HTTP client spans, ``http.request.resend_count``.
    """
    attempt = (request.extensions or {}).get(ATTEMPT)
    if isinstance(attempt, int) and attempt > 1 and span.is_recording():
        span.set_attribute(RESEND_COUNT, attempt - 1)


async def async_request_hook(span: Span, request: Any) -> None:
    """Do the same as :func:`request_hook` for async clients.

    Example::

        HTTPXClientInstrumentor().instrument(async_request_hook=async_request_hook)
    """
    request_hook(span, request)
