"""What may be sent again and what counts: the whole table, every error of both libraries, and broken rules of users."""

from __future__ import annotations

import gc
import inspect
import itertools
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.http_lanes import LANES, Lane, lanes, unique

import resilix.httpx
import resilix.httpx2
from resilix import Verdict, events
from resilix.http.rules import IDEMPOTENT_METHODS, RETRY_STATUSES, Exchange, Failure, Ruling, ask, classify, failure_of
from resilix.testing import virtual_time

METHODS = ("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY", "POST", "PATCH", "CONNECT", "PURGE")
LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda one: one.__name__)


def exchange(idempotent: bool, **outcome: Any) -> Exchange:
    """An attempt with that outcome."""
    return Exchange(request=None, method="GET" if idempotent else "POST", idempotent=idempotent, **outcome)


# -- the table -------------------------------------------------------------------------------------------------


def test_the_methods_are_those_of_the_rfc() -> None:
    """RFC 9110 section 9.2.2: the safe ones, PUT and DELETE; and QUERY, which RFC 10008 calls safe."""
    assert {method for method in METHODS if method in IDEMPOTENT_METHODS} == set(METHODS[:7]) == IDEMPOTENT_METHODS


def test_every_status_has_its_row() -> None:
    """Retried: the six, if idempotent. A failure: 5xx, but for what the server cannot do at all. 429 is neither."""
    for status in range(100, 1000):
        once, again = (classify(exchange(idempotent, status=status, retry_after=7.0)) for idempotent in (False, True))
        retried = status in (408, 429, 500, 502, 503, 504)
        assert (once.retry, again.retry, status in RETRY_STATUSES) == (False, retried, retried)
        verdict = Verdict.SUCCESS
        if status == 429:
            verdict = Verdict.IGNORED
        elif status >= 500 and status not in (501, 505):  # above 599 as 5xx, RFC 9110 section 15
            verdict = Verdict.FAILURE
        assert once.verdict is again.verdict is verdict, status
        assert (once.wait, again.wait) == (None, 7.0 if retried else None)


@pytest.mark.parametrize(("failure", "once", "again", "verdict"), [
    (Failure.CONNECT, True, True, Verdict.FAILURE),
    (Failure.POOL, True, True, Verdict.IGNORED),
    (Failure.SEND, False, True, Verdict.FAILURE),
    (Failure.CALLER, False, False, Verdict.IGNORED),
    (Failure.OTHER, False, False, Verdict.IGNORED),
])  # fmt: skip
def test_every_failure_has_its_row(failure: Failure, once: bool, again: bool, verdict: Verdict) -> None:
    """What was not sent may go again, whatever it was; what may have arrived only if it is idempotent."""
    rulings = [classify(exchange(idempotent, failure=failure)) for idempotent in (False, True)]
    assert [ruling.retry for ruling in rulings] == [once, again]
    assert {ruling.verdict for ruling in rulings} == {verdict}
    assert all(ruling.wait is None and ruling.why for ruling in rulings)


def test_the_failures_are_all_in_the_table() -> None:
    """A new one has to be given a row above."""
    assert [failure.name for failure in Failure] == ["CONNECT", "POOL", "SEND", "CALLER", "OTHER"]


# -- errors of the libraries -----------------------------------------------------------------------------------

FAILURES = {
    "CONNECT": ("ConnectError", "ConnectTimeout", "ProxyError"),
    "POOL": ("PoolTimeout",),
    "SEND": (
        "TransportError", "NetworkError", "ReadError", "WriteError", "CloseError", "TimeoutException", "ReadTimeout",
        "WriteTimeout", "ProtocolError", "RemoteProtocolError", "SSEError",
    ),
    "CALLER": (
        "UnsupportedProtocol", "LocalProtocolError", "InvalidURL", "StreamError", "StreamConsumed", "StreamClosed",
        "RequestNotRead", "ResponseNotRead",
    ),
    "OTHER": ("HTTPError", "HTTPStatusError", "RequestError", "DecodingError", "TooManyRedirects", "CookieConflict"),
}  # fmt: skip


@LIBRARIES
def test_every_error_of_both_libraries_has_its_place(library: Any) -> None:
    """Found by looking through the library, so that a new one fails here until it is given a place."""
    classes = {
        name: one
        for name, one in vars(library).items()
        if inspect.isclass(one) and issubclass(one, Exception) and not issubclass(one, Warning)
    }
    placed = {name: failure for failure, names in FAILURES.items() for name in names}
    assert set(classes) == set(placed) - ({"SSEError"} if library is httpx else set())
    for name, one in classes.items():
        error = one.__new__(one)
        assert failure_of(error, library).name == placed[name], name


@pytest.mark.parametrize("error", [
    OSError(), TimeoutError(), ConnectionRefusedError(), ValueError(), RuntimeError(), KeyboardInterrupt(),
    GeneratorExit(),
], ids=repr)  # fmt: skip
def test_an_error_of_anybody_else_is_none_of_a_transport(error: BaseException) -> None:
    """It is nobody's failure, and what it means for the request is not known."""
    assert failure_of(error, httpx) is failure_of(error, httpx2) is Failure.OTHER


def test_an_error_of_one_library_means_nothing_to_the_other() -> None:
    """They share names and no class."""
    assert failure_of(httpx.ConnectError("x"), httpx2) is failure_of(httpx2.ConnectError("x"), httpx) is Failure.OTHER


@pytest.mark.parametrize("door", [resilix.httpx, resilix.httpx2], ids=["httpx", "httpx2"])
def test_a_refusal_of_ours_is_no_failure_of_a_transport(door: Any) -> None:
    """Although it is an error of the library too; a policy inside this one may have refused."""
    library = door.LIBRARY.module
    for name in ("RejectedError", "CircuitOpenError", "BulkheadFullError", "DeadlineExpiredError"):
        refusal = getattr(door, name)
        error = refusal.__new__(refusal)
        assert isinstance(error, library.TransportError)
        assert failure_of(error, library) is Failure.OTHER


# -- at most one send ------------------------------------------------------------------------------------------

UNSENT = (*FAILURES["CONNECT"], "PoolTimeout")
OUTCOMES: list[int | str] = [
    200, 201, 307, 400, 404, 408, 409, 421, 425, 429, 500, 501, 502, 503, 504, 505, 520,
    *UNSENT, *FAILURES["SEND"][:-1], *FAILURES["CALLER"], "DecodingError",
]  # fmt: skip


def sent(lane: Lane, method: str, script: list[int | str]) -> int:
    """How many times a request may have reached a server that answers by that script."""
    arrived = 0

    def serve(request: Any) -> Any:
        nonlocal arrived
        step = script.pop(0) if script else 200
        arrived += step not in UNSENT
        if isinstance(step, int):
            return lane.library.Response(step)
        kind = getattr(lane.library, step)
        raise (
            kind() if issubclass(kind, lane.library.StreamError) and kind is not lane.library.StreamError else kind("")
        )

    policy = lane.door.standard(unique(lane), attempts=4, wait=0, budget=None, breaker=None)
    with virtual_time(), lane.door.Client(policy=policy, transport=lane.mock(serve)) as client:
        # Anything else, a mistake of ours for one, comes through.
        with suppress(lane.library.RequestError, lane.library.StreamError, lane.library.InvalidURL):
            client.request(method, "http://quotes.test/", content=b"order")
    return arrived


SYNC_LANES = [lane for lane in LANES if lane.backend is None]


@pytest.mark.parametrize("lane", SYNC_LANES, ids=str)
@pytest.mark.parametrize("method", METHODS[7:])
def test_what_is_not_idempotent_arrives_at_most_once(lane: Lane, method: str) -> None:
    """All pairs of outcomes, whichever comes first, with attempts left in plenty."""
    for script in itertools.product(OUTCOMES, repeat=2):
        assert sent(lane, method, list(script)) <= 1, script


@given(st.sampled_from(SYNC_LANES), st.sampled_from(METHODS[7:]), st.lists(st.sampled_from(OUTCOMES), max_size=6))
def test_nor_does_it_after_any_longer_story(lane: Lane, method: str, script: list[int | str]) -> None:
    """As above, with any script."""
    assert sent(lane, method, script) <= 1


def test_what_is_idempotent_does_arrive_again() -> None:
    """The check above can fail."""
    assert sent(SYNC_LANES[0], "PUT", [503, "ReadError", 200]) == 3
    assert sent(SYNC_LANES[0], "POST", ["ConnectError", "PoolTimeout", "ProxyError", 200]) == 1


# -- rules of users --------------------------------------------------------------------------------------------


def raising(one: Exchange) -> Any:
    """Broken rules."""
    raise LookupError("broken")


async def afunction(one: Exchange) -> Any:
    """Rules nobody will await."""
    return None


def giving(value: object) -> Callable[[Exchange], Any]:
    """Rules that always give the same."""
    return lambda one: value


BROKEN: dict[str, Callable[[Exchange], Any]] = {
    "raises": raising,
    "is async": afunction,
    "gives a bool": giving(True),
    "gives a verdict": giving(Verdict.FAILURE),
    "gives a tuple": giving((True, Verdict.FAILURE, "so")),
    "gives a word for a verdict": giving(Ruling(True, "failure", "so")),  # type: ignore[arg-type]
    "gives a number for retry": giving(Ruling(1, Verdict.FAILURE, "so")),  # type: ignore[arg-type]
    "waits backwards": giving(Ruling(True, Verdict.FAILURE, "so", -1.0)),
    "waits for nan": giving(Ruling(True, Verdict.FAILURE, "so", math.nan)),
    "waits for ever": giving(Ruling(True, Verdict.FAILURE, "so", math.inf)),
    "waits for true": giving(Ruling(True, Verdict.FAILURE, "so", True)),
    "waits for a word": giving(Ruling(True, Verdict.FAILURE, "so", "5")),  # type: ignore[arg-type]
}
EXCHANGES = [
    exchange(idempotent, **outcome)
    for idempotent in (True, False)
    for outcome in ({"status": 200}, {"status": 503, "retry_after": 3.0}, {"failure": Failure.SEND})
]


@pytest.mark.parametrize("broken", BROKEN)
def test_broken_rules_change_nothing_and_are_told(broken: str) -> None:
    """Ours hold, and a listener hears of each time."""
    told: list[Any] = []
    stop = events.subscribe(told.append)
    try:
        rulings = [ask(BROKEN[broken], one, "mine") for one in EXCHANGES]
        gc.collect()  # a coroutine that nobody awaited would warn now
    finally:
        stop()
    assert rulings == [classify(one) for one in EXCHANGES]
    assert [(type(one), one.policy, one.name, one.hook) for one in told] == [
        (events.HookError, "http", "mine", "classify")
    ] * len(EXCHANGES)


def test_rules_that_interrupt_are_not_swallowed() -> None:
    """An interrupt is none of their answers."""

    def interrupt(one: Exchange) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(interrupt, EXCHANGES[0])


def test_good_rules_are_obeyed_and_may_leave_it_to_ours() -> None:
    """A ruling stands as it is given; ``None`` is no opinion; a wait of zero is one."""
    ruling = Ruling(True, Verdict.IGNORED, "so", 0)
    for one in EXCHANGES:
        assert ask(giving(ruling), one) is ruling
        assert ask(giving(None), one) == ask(None, one) == classify(one)


@lanes
def test_broken_rules_do_not_touch_the_call(lane: Lane) -> None:
    """The caller sees what it would have seen without them."""
    answers = [503, 200, 503]
    policy = lane.door.standard(unique(lane), wait=0, classify=raising)
    with lane.guarded(policy, transport=lane.mock(lambda _: lane.library.Response(answers.pop(0)))) as there:
        assert there.get("http://quotes.test/").status_code == 200
        assert there.post("http://quotes.test/").status_code == 503
    breaker = policy.states()["http://quotes.test"].breaker
    assert (breaker.snapshot().calls, breaker.snapshot().failures) == (3, 2)
