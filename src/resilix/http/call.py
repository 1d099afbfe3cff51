"""One request on its way: what its attempts share, and what each of them is sent with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar, Token
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from resilix.clock import SYSTEM
from resilix.core.deadline import DEADLINE
from resilix.errors import RejectedError
from resilix.http.bodies import replayable
from resilix.http.conduct import Conduct, Counters
from resilix.http.extensions import AROUND, ATTEMPT, INFINITE, ORIGINAL, bounded, earliest, move
from resilix.http.idempotency import HEADER, KeyForm, has_key, new_key
from resilix.http.library import Library
from resilix.http.retry_after import parse_retry_after
from resilix.http.rules import IDEMPOTENT_METHODS, Exchange, Failure, Ruling, ask, failure_of
from resilix.http.streams import Body
from resilix.policies.time_left import refuse_deadline

if TYPE_CHECKING:
    from resilix.http.pool import PoolGuard
    from resilix.http.quiet import First


class ClientCall:
    """One call of a client of ours, which may take several requests (redirects, auth).

    Attributes:
        source: The policies of that client; others' requests made meanwhile are not part of this call.
        whole: The client will read the whole body anyway.
        moment: When the call must be over, body included.
        key: The idempotency key of the call, once it has one.
    """

    __slots__ = ("key", "moment", "source", "whole")

    def __init__(self, source: object, whole: bool, moment: float) -> None:
        self.source = source
        self.whole = whole
        self.moment = moment
        self.key: str | None = None


CLIENT_CALL: ContextVar[ClientCall | None] = ContextVar("resilix_client_call", default=None)
"""The client call that the running code is part of."""


@dataclass(slots=True, kw_only=True)
class Port:
    """The inner transport and how it is handled.

    Attributes:
        library: Whose transport it is.
        inner: The transport.
        guard: Stands in front of its pool, where the pool needs it.
        obeys: Whether it holds an ``Until``; else async attempts are cancelled, and sync ones cannot be bounded.
    """

    library: Library
    inner: Any
    guard: PoolGuard | None
    obeys: bool


class Call:
    """What the attempts of one request share.

    Attributes:
        port: Where the attempts go.
        conduct: How the transport behaves.
        counters: Where attempts are counted.
        label: What events call it.
        request: The request of the caller. While it is under way its extensions are the attempt's.
        original: Its extensions as the caller gave them; they are put back in the end.
        attempts: How many were made.
        total: When everything must be over, the body included.
        limit: When the attempt under way must be over.
        timeouts: The phase timeouts the attempt was sent with, if they are ours.
        left: Seconds the attempt was given; infinite without a bound.
        moment: When they are over.
        whole: Whether the body is read within the attempt.
        replayable: Whether the body can be sent again; known before the first attempt.
        body: The body of the last answer, while it is open.
        first: The first attempt, where it was made already and waits for the shells.
        names: What faults may be injected by, besides the label.
    """

    # Class attributes rather than slots: most calls never change most of them.
    attempts = 0
    limit = INFINITE
    left = INFINITE
    moment = INFINITE
    timeouts: dict[str, Any] | None = None
    body: Body | None = None
    first: First | None = None
    names: tuple[str, ...] = ()
    _idempotent: bool | None = None
    _ruled: tuple[object, Ruling] | None = None
    _key: str | None = None
    _token: Token[float] | None = None
    _around: Token[dict[str, Any] | None] | None = None

    def __init__(
        self,
        port: Port,
        conduct: Conduct,
        counters: Counters,
        label: str,
        request: Any,
        original: dict[str, Any],
        outer: ClientCall | None,
        total: float,
    ) -> None:
        self.port = port
        self.conduct = conduct
        self.counters = counters
        self.label = label
        self.request = request
        self.original = original
        if ORIGINAL in original:  # those of an attempt of ours around this call
            self.limit = earliest(original)
        self.whole = outer is not None and outer.whole
        self.total = total
        self._client_call = outer
        self.replayable = type(request.stream) is port.library.byte_stream or replayable(request)
        if conduct.idempotency_key is not None:
            self._key = self._own_key(conduct.idempotency_key)

    def _own_key(self, form: KeyForm) -> str | None:
        request, outer = self.request, self._client_call
        if request.method in IDEMPOTENT_METHODS or has_key(request.headers):
            return None
        if outer is None:
            return new_key(form)
        if outer.key is None:
            outer.key = new_key(form)
        return outer.key

    # -- an attempt goes out -------------------------------------------------------------------------------

    def prepared(self) -> Any:
        """The request as the next attempt sends it: the caller's with other extensions, or a copy with more headers."""
        if self.attempts:
            self.body = self._ruled = None
        conduct = self.conduct
        now = SYSTEM.now()
        moment = now + conduct.attempt_timeout
        if self.total < moment:
            moment = self.total
        if self.limit < moment:
            moment = self.limit
        if DEADLINE.used and DEADLINE.moment() < moment:
            moment = DEADLINE.moment()
        self.moment = moment
        self.left = left = moment - now
        if left <= 0:
            refuse_deadline("http", self.label)
        self.attempts += 1
        self.counters.attempt()
        original = self.original
        extensions: dict[str, Any] = {**original, ATTEMPT: self.attempts, ORIGINAL: original}
        if left < INFINITE or self.port.obeys:
            self.timeouts = extensions["timeout"] = bounded(
                extensions.get("timeout"), left, moment, obeys=self.port.obeys
            )
            if not self.port.obeys:
                self._enclose(extensions)
        request = self.request
        if self._key is not None or conduct.attempt_header is not None or conduct.deadline_header is not None:
            request = _with_headers(request)
            self._add_headers(request.headers, left)
        request.extensions = extensions
        return request

    def _add_headers(self, headers: Any, left: float) -> None:
        conduct = self.conduct
        if self._key is not None:
            headers[HEADER] = self._key
        if conduct.attempt_header is not None:
            headers[conduct.attempt_header] = str(self.attempts)
        if conduct.deadline_header is not None and left < INFINITE:
            headers[conduct.deadline_header] = str(int(left * 1000))

    def head_arrived(self) -> float:
        """The attempt is over, but its body may go on: until when."""
        moment = self.total
        if DEADLINE.used:
            moment = min(moment, DEADLINE.moment())
        self.move(moment)
        return moment

    def _enclose(self, extensions: dict[str, Any]) -> None:
        """Have transports of ours inside start from these; one that obeys the moment itself has none inside."""
        before = AROUND.set(extensions)
        if self._around is None:
            self._around = before

    def move(self, moment: float) -> None:
        """Have everything the attempt still does be over at another moment."""
        move(self.timeouts, moment)

    def too_late(self) -> Exception:
        """The library's own error for what did not end in time."""
        return self.port.library.body_timeout(self.request)

    def bound(self, seconds: float, *, total: bool) -> Callable[[], None]:
        """Bound what follows; call what comes back when it is over.

        Args:
            seconds: From now on.
            total: Everything, bodies included; otherwise each attempt up to its head.
        """
        moment = SYSTEM.now() + seconds
        if not total:
            before, self.limit = self.limit, min(self.limit, moment)
            return partial(setattr, self, "limit", before)
        self.total = min(self.total, moment)
        return partial(DEADLINE.restore, DEADLINE.narrow(moment))

    def narrow(self, *, tell: bool = True) -> None:
        """Have the policies around the attempts obey the total deadline; undone by :meth:`done`.

        Args:
            tell: Also those that look for a deadline only where the process has ever used one.
        """
        if self._token is None and self.total < INFINITE:
            self._token = DEADLINE.narrow(self.total, tell=tell)

    def done(self) -> None:
        """The call is over: leave no trace on the request and in the context."""
        self.request.extensions = self.original
        # A response that nobody closes, or an error and its traceback, would live until the next garbage collection.
        self.body = self._ruled = None
        if self._token is not None:
            DEADLINE.restore(self._token)
        if self._around is not None:
            with suppress(ValueError):  # collected in another context, as in DEADLINE.restore
                AROUND.reset(self._around)

    # -- what an outcome means -----------------------------------------------------------------------------

    def idempotent(self) -> bool:
        """Whether sending it twice is as good as once: by its method, by a key, or because the caller says so."""
        if self._idempotent is None:
            request = self.request
            self._idempotent = (
                request.method in IDEMPOTENT_METHODS
                or self._key is not None
                or has_key(request.headers)
                or request.extensions.get("resilix.idempotent") is True
            )
        return self._idempotent

    def ruling(self, error: Exception | None, response: Any) -> Ruling:
        """What the rules say about the outcome of the attempt; asked once for each."""
        outcome = response if error is None else error
        if self._ruled is None or self._ruled[0] is not outcome:
            self._ruled = (outcome, ask(self.conduct.classify, self._exchange(error, response), self.label))
        return self._ruled[1]

    def _exchange(self, error: Exception | None, response: Any) -> Exchange:
        return Exchange(
            request=self.request,
            method=self.request.method,
            idempotent=self.idempotent(),
            response=response,
            status=None if response is None else response.status_code,
            error=error,
            failure=None if error is None else failure_of(error, self.port.library.module),
            retry_after=None if response is None else _asked_wait(response),
            attempt=self.attempts,
        )

    def may_resend(self, error: Exception | None) -> bool:
        """Whether another attempt can do no harm, whatever a policy wishes."""
        if error is not None and (
            isinstance(error, RejectedError)
            or failure_of(error, self.port.library.module) in (Failure.CONNECT, Failure.POOL)
        ):
            return True  # it was not sent
        return self.idempotent()

    def attributes(self, response: Any) -> Mapping[str, object]:
        """What listeners are told, under OpenTelemetry's names."""
        url = self.request.url
        facts: dict[str, object] = {
            "http.request.method": self.request.method,
            "http.request.resend_count": self.attempts - 1,
            "server.address": url.host,
        }
        if url.port is not None:
            facts["server.port"] = url.port
        if response is not None:
            facts["http.response.status_code"] = response.status_code
        return facts


def _with_headers(request: Any) -> Any:
    """A shallow copy with headers of its own. The constructor would take 20 µs and look at the body."""
    copied = object.__new__(type(request))
    copied.__dict__.update(request.__dict__)
    copied.headers = request.headers.copy()
    return copied


def _asked_wait(response: Any) -> float | None:
    lines = response.headers.get_list("retry-after")
    return parse_retry_after(lines) if lines else None
