"""Clients with ``standard`` against a real server that misbehaves: its counters and ours agree, always exactly."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.http_lanes import LANES, Lane, Session, lanes, unique
from tests.support.machine import Lateness

from resilix import CircuitState
from resilix.testing import FaultServer, steps

# When a request is reset while it is sent, httpx leaves its own generator of the body to the garbage collector.
LEFT = r"Exception ignored in. <async_generator object (Byte|Multipart)Stream"
pytestmark = pytest.mark.filterwarnings(f"ignore:{LEFT}:pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(name="server")
def a_server() -> Iterator[FaultServer]:
    """A fault server for one test; nothing of it is left afterwards."""
    before = threading.active_count()
    with FaultServer() as server:
        yield server
    assert threading.active_count() <= before, "worker threads of other tests may have ended meanwhile"


def standard(lane: Lane, **options: Any) -> Any:
    """A policy without waits between attempts."""
    settings: dict[str, Any] = {"wait": 0, **options}
    return lane.door.standard(unique(lane), **settings)


MAY_PASS = [
    503,
    429,
    steps.reset("connect"),
    steps.reset("request"),
    steps.reset("head"),
    steps.reset("after_head"),
    steps.reset("mid_body"),
    steps.close("request"),
    steps.close("head"),
    steps.close("mid_body"),
    steps.bad_chunk(),
    steps.garbage(),
]


@lanes
@pytest.mark.parametrize("step", MAY_PASS, ids=repr)
def test_a_get_survives_what_may_pass(lane: Lane, server: FaultServer, step: Any) -> None:
    """Once and then well: one more attempt, and the server saw as many requests as we made."""
    first = getattr(step, "at", "") == "connect"
    if first:
        server.next_connections(step)
    else:
        server.script("/quote", step)
    server.default = steps.reply(200, b"4217")
    policy = standard(lane)
    with lane.guarded(policy) as there:
        assert there.get(f"{server.url}/quote", headers={"X-Request-Id": "r1"}).content == b"4217"
    assert policy.attempts_total == 2
    assert len(server.attempts("r1")) == (1 if first else 2), "a connection reset at once carries no request"


@lanes
@pytest.mark.filterwarnings("ignore:Async generator 'httpx:ResourceWarning")  # theirs, left when the sending breaks off
@pytest.mark.parametrize("step", MAY_PASS[3:], ids=repr)
def test_a_post_that_was_sent_is_sent_once(lane: Lane, server: FaultServer, step: Any) -> None:
    """Whatever became of the answer."""
    server.always("/order", step)
    policy = standard(lane)
    with lane.guarded(policy) as there, pytest.raises(lane.library.TransportError):
        there.post(f"{server.url}/order", content=b"one share", headers={"X-Request-Id": "r1"})
    assert len(server.attempts("r1")) == policy.attempts_total == 1


@lanes
def test_all_attempts_send_the_same_bytes(lane: Lane, server: FaultServer) -> None:
    """Bytes, JSON, forms and multipart files, with one key each."""
    server.always("/put", 503)
    bodies: list[dict[str, Any]] = [
        {"content": b"x" * 100_000},
        {"json": {"symbol": "ACME"}},
        {"data": {"symbol": "ACME"}},
        {"files": {"chart": ("chart.bin", b"y" * 50_000)}, "data": {"symbol": "ACME"}},
    ]
    with lane.guarded(standard(lane, idempotency_key="quoted", breaker=None)) as there:
        for number, body in enumerate(bodies):
            headers = {"X-Request-Id": str(number)}
            assert there.post(f"{server.url}/put", headers=headers, **body).status_code == 503
    for number in range(len(bodies)):
        seen = server.attempts(str(number))
        assert len(seen) == 3
        assert len({(one.body_sha256, one.headers["idempotency-key"]) for one in seen}) == 1
        assert all(one.complete for one in seen)
    assert server.attempts("0")[0].body_sha256 == hashlib.sha256(b"x" * 100_000).hexdigest()


@lanes
def test_dropped_answers_keep_their_connection(lane: Lane, server: FaultServer) -> None:
    """Two answers dropped, one kept: one connection for all three."""
    server.script("/quote", steps.reply(503, b"busy" * 100), steps.reply(503, b"busy" * 100, chunked=True))
    with lane.guarded(standard(lane)) as there:
        assert there.get(f"{server.url}/quote").status_code == 200
    assert (len(server.seen), server.connections) == (3, 1)


@lanes
@pytest.mark.parametrize(
    "step", [steps.endless(503), steps.drip(503, b"z" * 1000), steps.gzip_bomb(503)], ids=["endless", "drip", "bomb"]
)
def test_a_dropped_answer_is_read_a_little_and_never_decoded(lane: Lane, server: FaultServer, step: Any) -> None:
    """Endless, slow or explosive: the next attempt begins at once."""
    server.script("/quote", step)
    started = time.monotonic()
    with lane.guarded(standard(lane)) as there:
        assert there.get(f"{server.url}/quote").status_code == 200
    assert time.monotonic() - started < 1.0
    assert len(server.seen) == 2


@lanes
def test_kept_connections_that_were_closed_silently_hurt_nobody(lane: Lane, server: FaultServer) -> None:
    """Not even a POST: the library looks before it sends, and what fails before that is sent again."""
    server.always("/order", steps.reply(200, b"ok", silent_close=0))
    policy = standard(lane)
    with lane.guarded(policy) as there:
        for _ in range(5):
            assert there.post(f"{server.url}/order", content=b"x").status_code == 200
            deadline = time.monotonic() + 2.0
            while server.open_connections and time.monotonic() < deadline:
                time.sleep(0.001)
    assert len(server.seen) == 5
    assert policy.attempts_total == 5


@lanes
def test_a_server_that_dies_opens_the_breaker_and_its_return_closes_it(lane: Lane, server: FaultServer) -> None:
    """Refused at once while it is down; a probe finds it again; every refusal and attempt is counted."""
    policy = standard(lane, breaker={"consecutive": 4, "open_for": 0.2})
    with lane.guarded(policy) as there:
        there.get(server.url)
        server.refuse()
        for _ in range(2):
            with pytest.raises(lane.library.TransportError):
                there.get(server.url)
        breaker = policy.states()[server.url].breaker
        assert breaker.state is CircuitState.OPEN
        attempts = policy.attempts_total
        with pytest.raises(lane.door.CircuitOpenError):
            there.get(server.url)
        assert policy.attempts_total == attempts == 5
        server.listen()
        time.sleep(0.25)
        assert there.get(server.url).status_code == 200
        assert breaker.state is CircuitState.CLOSED
    assert len(server.seen) == 2


@lanes
@pytest.mark.real_time
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    "step",
    [steps.drip_head(every=0.02), steps.drip(200, b"x" * 1000, every=0.02), steps.hang()],
    ids=["head", "body", "nothing"],
)
def test_the_total_deadline_holds(lane: Lane, server: FaultServer, step: Any, stream: bool) -> None:
    """Within 50 ms, drip by drip, sync code included and without a thread; the client is good afterwards."""
    server.always("/slow", step)
    policy = standard(lane, within=0.3)
    with Lateness() as machine, lane.guarded(policy) as there:
        threads = threading.active_count()
        started = time.monotonic()
        with pytest.raises(lane.library.TimeoutException):
            ask(there, f"{server.url}/slow", stream=stream)
        took = time.monotonic() - started
        assert threading.active_count() <= threads
        assert there.get(server.url).status_code == 200
    assert 0.29 < took < 0.3 + 0.05 + SLACK + machine.seconds
    assert policy.states()[server.url].breaker.snapshot().failures == 1


def ask(there: Session, url: str, *, stream: bool) -> None:
    """Get the whole answer, or its head and then its body."""
    if stream:
        there.read(there.open("GET", url))
    else:
        there.get(url)


SLACK = 0.1
"""Seconds allowed besides what a sleeping thread is late; the figures in the benchmarks are within 50 ms."""


@lanes
def test_an_attempt_timeout_is_followed_by_another_attempt(lane: Lane, server: FaultServer) -> None:
    """The first hangs and is cut; the second answers within the same call."""
    server.script("/quote", steps.hang())
    policy = standard(lane, attempt_timeout=0.15)
    with lane.guarded(policy) as there:
        assert there.get(f"{server.url}/quote").status_code == 200
    assert policy.attempts_total == len(server.seen) == 2


@lanes
@pytest.mark.real_time
def test_a_connect_that_hangs_is_cut_too(lane: Lane, server: FaultServer) -> None:
    """A full backlog: neither accepted nor refused."""
    policy = standard(lane, within=0.3, attempts=1)
    started = time.monotonic()
    with Lateness() as machine, lane.guarded(policy) as there, pytest.raises(lane.library.ConnectTimeout):
        there.get(server.blackhole_url)
    assert time.monotonic() - started < 0.3 + 0.05 + SLACK + machine.seconds


@lanes
def test_nothing_is_left_behind(lane: Lane, server: FaultServer) -> None:
    """After every kind of trouble at once, the pool has all its places and closing it closes every connection."""
    # MAY_PASS holds a status and steps of several kinds, told apart by place only.
    server.always("/bad", lambda seen: MAY_PASS[3 + seen.number % 9])  # type: ignore[arg-type, return-value]
    limits = lane.library.Limits(max_connections=8)
    policy = standard(lane, within=5.0, breaker=None, budget=None)
    with lane.guarded(policy, limits=limits) as there:
        there.gather(40, lambda _: there.client.get(f"{server.url}/bad"))
        server.always("/meet", steps.reply(200, delay=1.0))
        replies = there.gather(8, lambda _: there.client.get(f"{server.url}/meet"))
        assert [reply.status_code for reply in replies] == [200] * 8
        met = [seen.at for seen in server.seen if seen.path == "/meet"]
        assert max(met) - min(met) < 1.0, "all eight came before one was answered"
    wait_until = time.monotonic() + 2.0
    while server.open_connections and time.monotonic() < wait_until:
        time.sleep(0.001)
    assert server.open_connections == 0
    assert policy.attempts_total == len(server.seen)


def test_every_lane_is_run() -> None:
    """Two libraries, three ways each."""
    assert len({str(lane) for lane in LANES}) == 6
