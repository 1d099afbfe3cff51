"""Streamed answers of the SDKs of OpenAI and Anthropic: places, verdicts and deadlines last until the stream ends."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.http_sdk_fakes import (
    OPENAI,
    PIECES,
    SAID,
    Case,
    Events,
    breaker_of,
    every_way,
    failing,
    few_ways,
    whole,
)

from resilix.testing import FaultServer

# OpenAI's SDK stops at "[DONE]" and leaves generators to the collector, which trio mentions; without us too.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")


@pytest.fixture(name="server")
def one_server() -> Iterator[FaultServer]:
    """A server that is well until a test says otherwise."""
    with FaultServer() as server:
        yield server


@pytest.fixture(autouse=True)
def collected(case: Case) -> Iterator[None]:
    """What a test leaves to the collector is collected while its warnings are still expected."""
    yield
    if case.backend == "trio":
        gc.collect()


def first_piece(asking: Any, stream: Any) -> str:
    """What the first event with text in it says."""
    while True:
        said = asking.case.sdk.piece(asking.next(stream))
        if said:
            return str(said)


@every_way
def test_a_stream_comes_through_after_failures(case: Case, server: FaultServer) -> None:
    """Until its head has come a stream is retried like anything else; its end is a success and gives the place back."""
    server.script(case.sdk.path, 503, 502, Events(case.sdk.frames), Events(case.sdk.frames, every=0.01))
    policy = case.policy(limit=1)
    with case.session(server.url, policy) as asking:
        assert asking.rest(asking.open()) == SAID
        assert asking.rest(asking.open()) == SAID
    assert len(server.seen) == policy.attempts_total == 4
    seen = breaker_of(policy, server).snapshot()
    assert (seen.calls, seen.failures) == (4, 2)


@few_ways
def test_a_stream_that_dies_is_not_retried_and_counts_as_a_failure(case: Case, server: FaultServer) -> None:
    """The first words have reached the caller: asking again would repeat them. A key changes nothing about that."""
    server.script(case.sdk.path, Events(case.sdk.frames[:3], dies=True))
    server.default = Events(case.sdk.frames)
    policy = case.policy(limit=1)
    with case.session(server.url, policy) as asking:
        stream = asking.open()
        assert first_piece(asking, stream) == PIECES[0]
        with pytest.raises(broken(case)):
            asking.rest(stream)
        assert len(server.seen) == 1
        seen = breaker_of(policy, server).snapshot()
        assert (seen.calls, seen.failures, seen.consecutive) == (1, 1, 1)
        assert asking.rest(asking.open()) == SAID  # the place is free again


@few_ways
def test_streams_that_die_open_the_breaker(case: Case, server: FaultServer) -> None:
    """Their heads were fine, all of them."""
    server.always(case.sdk.path, Events(case.sdk.frames[:1], dies=True))
    policy = case.policy(breaker={"consecutive": 2})
    with case.session(server.url, policy) as asking:
        for _ in range(2):
            with pytest.raises(broken(case)):
                asking.rest(asking.open())
        with pytest.raises(case.sdk.module.InternalServerError):
            asking.open()
    assert len(server.seen) == 2


def broken(case: Case) -> Any:
    """What a broken stream is to the caller: an error of OpenAI's SDK, or with Anthropic's the library's own."""
    return case.sdk.module.APIConnectionError if case.sdk is OPENAI else case.library.ReadError


def late(case: Case) -> Any:
    """The same for a stream that comes too slowly."""
    return case.sdk.module.APITimeoutError if case.sdk is OPENAI else case.library.ReadTimeout


@few_ways
def test_a_place_is_taken_until_the_stream_ends(case: Case, server: FaultServer) -> None:
    """One call at a time means one answer at a time, not one head at a time."""
    server.script(case.sdk.path, Events(case.sdk.frames, every=0.02))
    server.default = whole(case.sdk)
    policy = case.policy(limit=1)
    with case.session(server.url, policy) as asking:
        stream = asking.open()
        assert first_piece(asking, stream) == PIECES[0]
        with pytest.raises(case.sdk.module.InternalServerError, match=r"is full \(limit 1\)"):
            asking.ask()
        assert asking.rest(stream) == "".join(PIECES[1:])
        assert asking.ask() == SAID
    assert (len(server.seen), policy.rejected_total) == (2, 1)


@few_ways
def test_a_stream_that_is_left_early_gives_its_place_back(case: Case, server: FaultServer) -> None:
    """Closing it is no failure of the server."""
    server.script(case.sdk.path, Events(case.sdk.frames * 50, every=0.02))
    server.default = whole(case.sdk)
    policy = case.policy(limit=1)
    with case.session(server.url, policy) as asking:
        stream = asking.open()
        assert first_piece(asking, stream) == PIECES[0]
        asking.close(stream)
        assert policy.states()[server.url].bulkhead.in_use == 0
        assert asking.ask() == SAID
    assert breaker_of(policy, server).snapshot().failures == 0


@few_ways
def test_a_stream_that_drips_ends_with_the_deadline(case: Case, server: FaultServer) -> None:
    """Every event comes in time; all of them together do not."""
    server.always(case.sdk.path, Events(case.sdk.frames[:3] * 50, every=0.03))
    policy = case.policy(within=0.4, attempt_timeout=0.2, limit=1)
    with case.session(server.url, policy) as asking:
        began = time.monotonic()
        stream = asking.open()
        assert first_piece(asking, stream) == PIECES[0]
        with pytest.raises(late(case)):
            asking.rest(stream)
        took = time.monotonic() - began
    assert 0.35 < took < 1.0  # all of it would take 4.5
    assert len(server.seen) == 1
    assert breaker_of(policy, server).snapshot().failures == 1
    assert policy.states()[server.url].bulkhead.in_use == 0


@few_ways
def test_a_429_in_place_of_a_stream_is_the_error_the_sdk_knows(case: Case, server: FaultServer) -> None:
    """Its body is read by the SDK, and its place is free afterwards."""
    server.script(case.sdk.path, *[failing(429, x_ratelimit_reset_requests="7s")] * 3)
    policy = case.policy(limit=1)
    with case.session(server.url, policy) as asking:
        with pytest.raises(case.sdk.module.RateLimitError) as caught:
            asking.open()
    assert caught.value.response.headers["x-ratelimit-reset-requests"] == "7s"
    assert len(server.seen) == 3
    assert policy.states()[server.url].bulkhead.in_use == 0
