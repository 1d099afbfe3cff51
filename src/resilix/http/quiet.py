"""Which requests are quiet, and how one that turns out not to be is handed to the shells.

Nearly every request is quiet: the breaker is closed, a place is free, nobody listens, no deadline is around, and the
first answer is a good one. What the shells of ``shells.py`` do for such a request comes to a few lines, and those are
``handle_request`` and ``handle_async_request`` in ``transports.py``. They run in one frame, read the clock once or
twice, and make nothing that is not needed. The shells remain the meaning: whatever is not quiet before anything was
sent goes to them as it came, and whatever is not quiet after the head has come goes to them with its first attempt made
(:class:`First`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from resilix.attention import ATTENTION
from resilix.core.deadline import DEADLINE
from resilix.core.verdict import Verdict
from resilix.events import HUB
from resilix.http.call import Call
from resilix.http.conduct import Conduct
from resilix.http.sending import hold
from resilix.http.shells import body_ended, leave_place
from resilix.injection import INJECTION
from resilix.policies.breaker import CircuitBreaker
from resilix.policies.bulkhead import Bulkhead
from resilix.policies.retry import Retry

if TYPE_CHECKING:
    from resilix.http.routes import Route

ORDER: Final = (Retry, CircuitBreaker, Bulkhead)
"""The policies that are known here, each at most once, in this order."""


class First:
    """The first attempt of a call that was made on the quiet path, for the shells, which take it from there.

    Each shell takes out what is its own: so whatever is left when all are done was never taken, and is given back.

    Attributes:
        era: What the breaker was asked for, if there is one.
        place: What the bulkhead was asked for, if there is one.
        response: The answer, if there is one.
        error: What ended the attempt, if something did.
        streams: The answer is a good one, and its body is for the caller to read.
    """

    __slots__ = ("era", "error", "place", "response", "streams")

    def __init__(
        self, era: Any, place: Any, response: Any, error: BaseException | None, *, streams: bool = False
    ) -> None:
        self.era = era
        self.place = place
        self.response = response
        self.error = error
        self.streams = streams

    def take_era(self) -> Any:
        """What the breaker's shell would have begun with."""
        era, self.era = self.era, None
        return era

    def take_place(self) -> Any:
        """What the bulkhead's shell would have begun with."""
        place, self.place = self.place, None
        return place

    def outcome(self) -> Any:
        """Return or raise what the attempt ended with."""
        error, self.error = self.error, None
        if error is None:
            return self.response
        try:
            raise error
        finally:
            del error  # its traceback holds this frame


class NoBreaker:
    """Stands for the state machine of a breaker where there is none: nothing is counted, but who attends is heard."""

    __slots__ = ("_era",)

    def __init__(self) -> None:
        self._era = _NoEra()

    @property
    def quiet(self) -> _NoEra | None:
        """As that of a breaker that is always closed."""
        return None if ATTENTION.wanted else self._era

    @property
    def calm(self) -> _NoEra:
        """The same."""
        return self._era


class _NoEra:
    """The era that never ends.

    Attributes:
        counter: Where nobody looks.
    """

    __slots__ = ("counter",)

    def __init__(self) -> None:
        self.counter = _Nowhere()


class _Nowhere:
    """Counts, for nobody.

    Attributes:
        n: How many.
        edge: When somebody must look: never.
    """

    __slots__ = ("edge", "n")

    def __init__(self) -> None:
        self.n = 0.0
        self.edge = math.inf


class NeverQuiet:
    """Stands for the state machine of a breaker where each request has to be looked at."""

    quiet: Final = None
    calm: Final = None


def usual(policies: Sequence[Any], conduct: Conduct) -> tuple[Retry | None, Any, Bulkhead | None] | None:
    """The retry, breaker and bulkhead of a pipeline that can be quiet; ``None`` if each request has to be looked at.

    Args:
        policies: Laid open, outermost first.
        conduct: How the transport behaves besides.
    """
    if conduct.classify is not None or conduct.idempotency_key is not None:
        return None
    if conduct.attempt_header is not None or conduct.deadline_header is not None:
        return None
    found: list[Any] = [None, None, None]
    last = -1
    for policy in policies:
        kind = next((number for number, one in enumerate(ORDER) if type(policy) is one), -1)
        if kind <= last:
            return None
        found[kind], last = policy, kind
    retry, breaker, bulkhead = found
    if retry is not None and (retry.plan.needs_start or (retry.plan.judges_results and not conduct.decides)):
        return None
    return retry, breaker, bulkhead


def calm(core: Any) -> Any:
    """The era for a request that may be quiet although something in this process attends to calls."""
    return None if HUB.listeners or DEADLINE.in_force() or INJECTION.door is not None else core.calm


def hold_body(call: Call, route: Route, make: Callable[..., Any]) -> Any:
    """Leave what a call holds to the end of its body, as the shells do."""
    first, budget = call.first, route.budget
    assert first is not None, "the quiet path has made it"
    response = hold(call, first.response, make)
    call.first, body = None, response.stream
    if first.place is not None:
        leave_place(route.bulkhead, call, first.place)
    if route.breaker is not None:
        body.add(partial(body_ended, route.breaker, call, first.era))
    if budget is not None and budget.level < budget.tokens:
        budget.give(1)
    return response


def let_go(call: Call, route: Route) -> None:
    """An interrupt came between the quiet path and the shells: give back what they have not taken up."""
    first, call.first = call.first, None
    if first is None:
        return
    place, era = first.take_place(), first.take_era()
    if call.port.guard is not None:
        call.port.guard.leave(None if first.response is None else first.response.stream)
    if place is not None:
        route.bulkhead._end(place)
    if era is not None and route.breaker is not None:
        route.breaker._end(era, Verdict.IGNORED)
