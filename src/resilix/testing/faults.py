"""Fault plans: what happens to your calls when a dependency dies, decided call by call.

Example::

    from resilix.testing import faults

    def test_survives_two_lost_connections():
        with faults.enabled(), faults.inject("quotes", faults.sequence(ConnectionError, 503, faults.ok)) as plan:
            assert price("ACME") == 4217
        assert plan.counts.calls == 3, str(plan)

A plan comes in three ways: by name (:func:`inject`), as the innermost policy of a pipeline or as a decorator, and as
the transport of an HTTP client (``FaultTransport`` of ``resilix.httpx`` and ``resilix.httpx2``). Nothing is injected
while faults are switched off, which they are unless :func:`enabled` or ``RESILIX_FAULTS=1`` says otherwise.

A whole number is an HTTP status: over HTTP the request is answered with it; around a function it is a
``ConfigurationError`` at the call, because a function has no status.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from resilix.core import options
from resilix.core.options import Seconds, refuse
from resilix.policies.fates import HANG, Fault
from resilix.testing.durations import Durations, duration_of
from resilix.testing.injecting import Injected, inject
from resilix.testing.plan_kinds import (
    Always,
    Chance,
    InOrder,
    Latency,
    Ok,
    Rate,
    error_plan,
    plan_of,
    status_plan,
)
from resilix.testing.plan_records import Counts, Entry, Occasion, span
from resilix.testing.plans import Plan
from resilix.testing.switch import Enabled, enabled

__all__ = [
    "Counts", "Enabled", "Entry", "Injected", "Occasion", "Plan", "enabled", "error", "hang", "inject", "latency", "ok",
    "outage", "rate", "sequence", "status",
]  # fmt: skip

ok: Final[Plan] = Ok()
"""Lets a call pass."""


def error(exc: BaseException | type[BaseException] | Callable[[], BaseException]) -> Plan:
    """Raise in place of every call.

    Example::

        faults.error(ConnectionError)
        faults.error(QuotesError("no such symbol", code=17))
        faults.error(lambda: QuotesError(code=random.choice(CODES)))

    Under an HTTP client the built-in errors become the library's own, so that retries and breakers know them:
    ``ConnectionError`` is its ``ConnectError`` (nothing was sent), ``ConnectionResetError`` its ``ReadError``,
    ``BrokenPipeError`` its ``WriteError``, ``TimeoutError`` its ``ReadTimeout``; an error of httpx under a client of
    httpx2 becomes the one of the same name, and the other way round.

    Args:
        exc: A class, an instance, or a function that makes one. Each raise gets a fresh one: of a class a new instance,
            of an instance a copy.

    Raises:
        ConfigurationError: It is none of them, or cannot be made or copied.
    """
    return error_plan("faults.error", "exc", exc)


def status(status: int, *, retry_after: Seconds | None = None) -> Plan:
    """Answer every request with a status and an empty body, without sending it. Only over HTTP.

    Example::

        faults.status(429, retry_after=5)

    Args:
        status: 200 to 599.
        retry_after: Seconds for a ``Retry-After`` header, rounded up to whole ones (RFC 9110, section 10.2.3); 0: at
            once; ``None``: no such header.

    Raises:
        ConfigurationError: One of them cannot mean anything sensible.
    """
    later = None
    if retry_after is not None:
        later = math.ceil(options.duration("faults.status", "retry_after", retry_after, zero="at once"))
    return status_plan("faults.status", "status", status, later)


def hang() -> Plan:
    """Have every call hang until it is cancelled, its time is over, or the plan is released.

    Async calls are cancelled by their timeout; a request ends with the library's ``ReadTimeout`` when its read timeout
    is over. A sync call under a deadline ends with ``TimeoutError`` when it passes; under a ``timeout`` that has
    abandoned it, it hangs on in its worker thread, as real ones do, until the plan is released: no thread is left
    behind. Without any of these it hangs until another thread calls ``release()``.

    Example::

        faults.hang()
    """
    return Always("faults.hang()", Fault(HANG, HANG))


def latency(delay: Durations | str, *, seed: int | None = None) -> Plan:
    """Have every call wait first, and then be made.

    Example::

        faults.latency(2.0)
        faults.latency("lognormal(0.05, 0.4)", seed=7)
        faults.latency(0.5) & faults.error(ConnectionError)     # fails slowly

    Args:
        delay: Seconds, a ``timedelta``, or a distribution of ``resilix.testing.durations``, as an object or as text;
            0: no wait.
        seed: The same one gives the same waits; ``None``: drawn from the module ``random``, which
            ``virtual_time(seed=…)`` makes repeatable.

    Raises:
        ConfigurationError: One of them cannot mean anything sensible.
    """
    return Latency(duration_of("faults.latency", "delay", delay), _chance("faults.latency", seed))


def rate(share: float, *, seed: int | None = None, fault: Any = ConnectionError) -> Plan:
    """Have a fault befall a share of the calls, each by lot.

    Example::

        faults.rate(0.3, seed=7, fault=503)

    Args:
        share: 0 (none) to 1 (all).
        seed: As for :func:`latency`: the same one picks the same calls.
        fault: An exception, a status, or another plan.

    Raises:
        ConfigurationError: One of them cannot mean anything sensible.
    """
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
        raise refuse("faults.rate", "share", share, "it is a share of the calls, 0 to 1", "write faults.rate(0.3)")
    return Rate(float(share), _chance("faults.rate", seed), plan_of("faults.rate", "fault", fault))


def sequence(*outcomes: Any, then: Any = ok, repeat: bool = False) -> Plan:
    """One outcome for each call, in order.

    Example::

        faults.sequence(ConnectionError, 503, faults.ok, then=faults.rate(0.1, seed=7))

    Args:
        outcomes: At least one: an exception class or instance, an HTTP status, ``faults.ok``, or another plan, which
            then decides about that call.
        then: The same, for all calls after them.
        repeat: Begin anew after the last one, for ever.

    Raises:
        ConfigurationError: One of them is no outcome; or both ``then`` and ``repeat`` are given.
    """
    if not outcomes:
        raise refuse("faults.sequence", "outcomes", (), "it is empty", "write faults.sequence(ConnectionError, 503)")
    if options.flag("faults.sequence", "repeat", repeat) and then is not ok:
        raise refuse("faults.sequence", "then", then, "nothing comes after what is repeated", "leave one of them out")
    entries = [plan_of("faults.sequence", "outcomes", one) for one in outcomes]
    return InOrder(entries, plan_of("faults.sequence", "then", then), repeat=repeat)


def outage(*, start: Seconds = 0.0, seconds: Seconds | None = None, fault: Any = ConnectionError) -> Plan:
    """Be down for a while: every call fails, before and after all pass.

    Example::

        faults.outage(start=10, seconds=30, fault=503)

    Args:
        start: Seconds after the plan was put in force; see ``Plan.during``. 0: at once.
        seconds: How long; ``None``: for good.
        fault: An exception, a status, or another plan.

    Raises:
        ConfigurationError: One of them cannot mean anything sensible.
    """
    first, end = span("faults.outage", start, seconds)
    plan = plan_of("faults.outage", "fault", fault)
    return plan.during(start=first, seconds=None if end == math.inf else end - first)


def _chance(owner: str, seed: int | None) -> Chance:
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise refuse(owner, "seed", seed, "it is where the random generator starts", "write seed=7, or leave it out")
    return Chance(seed)
