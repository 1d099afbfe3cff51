"""Which outcomes of a request may be tried again, and which count as failures of the server.

The table is in ``docs/http.md``; a test holds it against :func:`classify`. Sources: RFC 9110 section 9.2.2 (idempotent
methods), 10.2.3 (Retry-After) and 15 (statuses), RFC 6585 section 4 (429).
"""

from __future__ import annotations

import enum
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from resilix.core.verdict import Verdict
from resilix.errors import RejectedError
from resilix.events import HUB

IDEMPOTENT_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY"})
"""Sending one of these twice is as good as once, RFC 9110 section 9.2.2; QUERY is safe by RFC 10008."""
RETRY_STATUSES: Final = frozenset({408, 429, 500, 502, 503, 504})
"""Answers that may be another one the next time."""
UNSUPPORTED: Final = frozenset({501, 505})
"""The server cannot do it and will not learn: an answer about the request, not about its health."""
TOO_MANY: Final = 429


class Failure(enum.Enum):
    """Where a request that got no answer failed.

    Attributes:
        CONNECT: Before anything was sent, so it cannot have been acted upon.
        POOL: No connection of our own pool came free; nothing was sent, and the server is not to blame.
        SEND: While it was sent or waited for: the server may have acted upon it.
        CALLER: The request or the way it was written is wrong; trying again changes nothing.
        OTHER: No error of a transport at all, an exception of somebody's code.
    """

    CONNECT = "connect"
    POOL = "pool"
    SEND = "send"
    CALLER = "caller"
    OTHER = "other"


_CLASSES: Final = (
    ("PoolTimeout", Failure.POOL),
    ("ConnectError", Failure.CONNECT),
    ("ConnectTimeout", Failure.CONNECT),
    ("ProxyError", Failure.CONNECT),
    ("UnsupportedProtocol", Failure.CALLER),
    ("LocalProtocolError", Failure.CALLER),
    ("InvalidURL", Failure.CALLER),
    ("StreamError", Failure.CALLER),
    ("TransportError", Failure.SEND),
)
"""The classes of both libraries, the special ones first."""


def failure_of(error: BaseException, library: Any) -> Failure:
    """Say where a request failed.

    Example::

        failure_of(httpx.ConnectTimeout("…"), httpx)  # Failure.CONNECT

    Args:
        error: What the transport raised.
        library: ``httpx`` or ``httpx2``.
    """
    if isinstance(error, RejectedError):
        return Failure.OTHER  # ours, though the doors make it an error of the library too
    for name, failure in _CLASSES:
        if isinstance(error, getattr(library, name)):
            return Failure.SEND if failure is Failure.CALLER and _came_in(error) else failure
    return Failure.OTHER


def _came_in(error: BaseException) -> bool:
    """Whether an error that is called local is about what the server sent.

    HTTP/2: ``h2`` raises the same classes for both, and both libraries then speak of a ``LocalProtocolError``. Only the
    place tells them apart: a server that talks nonsense is found out while its bytes are taken in.
    """
    for held in getattr(error.__cause__, "args", ()):
        trace = getattr(held, "__traceback__", None)
        while trace is not None:
            if trace.tb_frame.f_code.co_name == "receive_data":
                return True
            trace = trace.tb_next
    return False


@dataclass(frozen=True, slots=True)
class Exchange:
    """One attempt and how it ended, for whoever decides what it means.

    Attributes:
        request: The request of the caller.
        method: Its method.
        idempotent: It may be sent twice: by its method, by an idempotency key, or because the caller said so.
        response: The answer with its body unread, if there was one.
        status: Its status.
        error: What the transport raised, if there was no answer.
        failure: Where that happened.
        retry_after: Seconds the server asks to wait; ``None`` when it does not, or not legally.
        attempt: Its number, from 1.
    """

    request: Any
    method: str
    idempotent: bool
    response: Any = None
    status: int | None = None
    error: Exception | None = None
    failure: Failure | None = None
    retry_after: float | None = None
    attempt: int = 1


class Ruling(NamedTuple):
    """What the end of an attempt means.

    Attributes:
        retry: Another attempt may be made, if the policies allow one and the body can be sent again.
        verdict: What the breaker hears.
        why: In a few words.
        wait: Seconds to wait at least; ``None`` leaves it to the policy.
    """

    retry: bool
    verdict: Verdict
    why: str
    wait: float | None = None


Classify: TypeAlias = Callable[[Exchange], Ruling | None]
"""A user's own rules; ``None`` leaves an exchange to ours."""


def classify(exchange: Exchange) -> Ruling:
    """Apply the rules of resilix.

    Example::

        def mine(exchange: Exchange) -> Ruling | None:
            if exchange.status == 520:  # our gateway lost its backend
                return Ruling(retry=exchange.idempotent, verdict=Verdict.FAILURE, why="gateway")
            return None  # as usual

        standard("quotes", classify=mine)
    """
    if exchange.failure is not None:
        return _of_failure(exchange.failure, idempotent=exchange.idempotent)
    return _of_status(exchange.status or 0, exchange.retry_after, idempotent=exchange.idempotent)


def _of_failure(failure: Failure, *, idempotent: bool) -> Ruling:
    if failure is Failure.CONNECT:
        return Ruling(True, Verdict.FAILURE, "it was not sent")
    if failure is Failure.POOL:
        return Ruling(True, Verdict.IGNORED, "it was not sent; our own pool was full")
    if failure is Failure.CALLER:
        return Ruling(False, Verdict.IGNORED, "the request itself is wrong")
    if failure is Failure.OTHER:
        return Ruling(False, Verdict.IGNORED, "no error of a transport")
    why = "no answer came" if idempotent else "it may have been acted upon"
    return Ruling(idempotent, Verdict.FAILURE, why)


def _of_status(status: int, retry_after: float | None, *, idempotent: bool) -> Ruling:
    if status == TOO_MANY:
        # The server is well and says so: no failure, but no sign of health for the operation either.
        verdict = Verdict.IGNORED
    elif status >= 500 and status not in UNSUPPORTED:
        verdict = Verdict.FAILURE
    else:
        verdict = Verdict.SUCCESS
    if status not in RETRY_STATUSES:
        return Ruling(False, verdict, "an answer")
    if not idempotent:
        return Ruling(False, verdict, "it may have been acted upon")
    return Ruling(True, verdict, "it may go well the next time", retry_after)


def ask(rules: Classify | None, exchange: Exchange, name: str = "http") -> Ruling:
    """Ask a user's rules first and ours otherwise. Rules that raise or answer nonsense change nothing.

    Args:
        rules: The user's function, or ``None``.
        exchange: What to judge.
        name: What listeners are told when the function is broken.
    """
    if rules is None:
        return classify(exchange)
    try:
        ruling = _checked(rules(exchange))
    except Exception as broken:
        HUB.hook_failed("http", name, "classify", broken)
        return classify(exchange)
    return classify(exchange) if ruling is None else ruling


def _checked(given: object) -> Ruling | None:
    """What a user's function gave, if it can be used.

    Raises:
        TypeError: It cannot.
    """
    if given is None:
        return None
    if not isinstance(given, Ruling):
        if inspect.iscoroutine(given):
            given.close()  # or Python would complain that nobody awaited it
        raise TypeError(
            f"classify gave {type(given).__name__}; it must be a plain def that gives Ruling(retry=…, verdict=…, "
            "why=…), or None for the usual rules"
        )
    retry: object = given.retry
    verdict: object = given.verdict
    wait: object = given.wait
    if not isinstance(retry, bool):
        raise TypeError(f"classify gave Ruling(retry={type(retry).__name__}); it must be True or False")
    if not isinstance(verdict, Verdict):
        raise TypeError(f"classify gave Ruling(verdict={type(verdict).__name__}); it must be a Verdict")
    if wait is not None and (isinstance(wait, bool) or not isinstance(wait, (int, float)) or not 0 <= wait < math.inf):
        raise TypeError(f"classify gave Ruling(wait={wait!r:.40}); it must be None or seconds, 0 or more and finite")
    return given
