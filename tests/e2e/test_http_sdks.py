"""The real SDKs of OpenAI and Anthropic with a policy inside, against a server that answers like their endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import anthropic
import openai
import pytest
from tests.support.http_sdk_fakes import (
    FEW,
    SAID,
    Asking,
    Case,
    breaker_of,
    every_way,
    failing,
    few_ways,
    whole,
)

from resilix import RejectedError, ResilixWarning, Verdict
from resilix.httpx2 import Ruling
from resilix.testing import FaultServer, steps


@pytest.fixture(name="server")
def one_server() -> Iterator[FaultServer]:
    """A server that is well until a test says otherwise."""
    with FaultServer() as server:
        yield server


@pytest.fixture(name="impatient")
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDKs' own waits are over soon, also where no server can ask for that."""
    for base in (openai._base_client, anthropic._base_client):
        monkeypatch.setattr(base, "INITIAL_RETRY_DELAY", 0.001)


@every_way
def test_an_answer_comes_through_after_failures(case: Case, server: FaultServer) -> None:
    """Two failures of the kinds an SDK would retry, one answer; nothing but the answer is seen outside."""
    server.default = whole(case.sdk)
    server.script(case.sdk.path, 503, steps.reset("request"))
    policy = case.policy()
    with case.session(server.url, policy) as asking:
        assert asking.ask() == SAID
    assert len(server.seen) == policy.attempts_total == 3
    assert policy.calls_total == 1


@every_way
def test_every_attempt_of_one_question_carries_one_key(case: Case, server: FaultServer) -> None:
    """A completion is a POST: the key makes it safe to repeat, and the next question has another one."""
    server.default = whole(case.sdk)
    server.script(case.sdk.path, 500, 502)
    with case.session(server.url, case.policy()) as asking:
        asking.ask()
        asking.ask()
    keys = [one.headers["idempotency-key"] for one in server.seen]
    assert len(keys) == 4
    assert len(set(keys[:3])) == 1
    assert keys[3] != keys[0]
    assert len({one.body_sha256 for one in server.seen[:3]}) == 1


@few_ways
def test_without_a_key_a_question_is_asked_once(case: Case, server: FaultServer) -> None:
    """Nobody said that it may be repeated."""
    server.always(case.sdk.path, failing(503))
    with case.session(server.url, case.policy(idempotency_key=None)) as asking:
        with pytest.raises(case.sdk.module.InternalServerError):
            asking.ask()
    assert len(server.seen) == 1


@few_ways
def test_rules_of_your_own_may_repeat_a_question(case: Case, server: FaultServer) -> None:
    """``classify`` says so, instead of a key."""
    server.default = whole(case.sdk)
    server.script(case.sdk.path, 503)
    policy = case.policy(
        idempotency_key=None, classify=lambda _: Ruling(True, Verdict.FAILURE, "cheap") if _.status == 503 else None
    )
    with case.session(server.url, policy) as asking:
        assert asking.ask() == SAID
    assert len(server.seen) == 2
    assert "idempotency-key" not in server.seen[0].headers


@few_ways
def test_a_429_of_the_server_is_the_error_the_sdk_knows(case: Case, server: FaultServer) -> None:
    """After the last attempt the real answer is handed over, headers and all."""
    server.always(case.sdk.path, failing(429, retry_after="0", request_id="r1", x_ratelimit_reset_requests="7s"))
    with case.session(server.url, case.policy()) as asking:
        with pytest.raises(case.sdk.module.RateLimitError) as caught:
            asking.ask()
    assert len(server.seen) == 3
    response = caught.value.response
    assert response.headers["retry-after"] == "0"
    assert response.headers["x-ratelimit-reset-requests"] == "7s"
    assert response.json()["error"]["message"] == "no"


@few_ways
def test_a_429_that_asks_for_an_hour_comes_at_once(case: Case, server: FaultServer) -> None:
    """Neither we nor the SDK wait that long."""
    server.always(case.sdk.path, failing(429, retry_after="3600", retry_after_ms="3600000"))
    with case.session(server.url, case.policy()) as asking:
        with pytest.raises(case.sdk.module.RateLimitError) as caught:
            asking.ask()
    assert len(server.seen) == 1
    assert caught.value.response.headers["retry-after"] == "3600"


@few_ways
def test_a_dead_server_is_the_connection_error_the_sdk_knows(case: Case, server: FaultServer) -> None:
    """Three attempts of ours, one call of the SDK."""
    url = server.url
    server.refuse()
    policy = case.policy()
    with case.session(url, policy) as asking:
        with pytest.raises(case.sdk.module.APIConnectionError):
            asking.ask()
    assert (policy.calls_total, policy.attempts_total) == (1, 3)


# -- both retry ------------------------------------------------------------------------------------------------------


@contextmanager
def both_retry(case: Case, url: str, policy: Any) -> Iterator[Asking]:
    """The SDK tries three times, and so do we; ``install`` says so when it is written."""
    with ExitStack() as stack:
        with (
            nullcontext()
            if case.way != "install"
            else pytest.warns(
                ResilixWarning, match=r"retries too \(max_retries=2\): .* up to 9 per call; .*max_retries=0"
            )
        ):
            asking = stack.enter_context(case.session(url, policy, max_retries=2))
        yield asking


def warned_when_seen(case: Case) -> AbstractContextManager[Any]:
    """What is said when an SDK's retry comes after retries of ours, where ``install`` could not say it before."""
    if case.way == "install":
        return nullcontext()
    return pytest.warns(ResilixWarning, match=r"tried up to 3 times here .* attempts multiply; .*max_retries=0")


@every_way
def test_both_retrying_make_nine_requests_and_no_more(case: Case, server: FaultServer) -> None:
    """Three tries of the SDK times three attempts of ours, as the server counts them; somebody says so, once."""
    server.always(case.sdk.path, failing(503))
    policy = case.policy(breaker=None)
    with both_retry(case, server.url, policy) as asking:
        with warned_when_seen(case), pytest.raises(case.sdk.module.InternalServerError):
            asking.ask()
        with pytest.raises(case.sdk.module.InternalServerError):
            asking.ask()
    assert len(server.seen) == policy.attempts_total == 18
    assert policy.calls_total == 6
    tries = [one.headers["x-stainless-retry-count"] for one in server.seen]
    assert tries == list("000111222") * 2


@few_ways
def test_retries_that_are_switched_on_later_are_seen(case: Case, server: FaultServer) -> None:
    """``with_options`` makes another SDK client around the same HTTP client."""
    server.always(case.sdk.path, failing(503))
    with case.session(server.url, case.policy(breaker=None)) as asking:
        other = asking.client.with_options(max_retries=1)
        with pytest.warns(ResilixWarning, match="attempts multiply"), pytest.raises(case.sdk.module.APIStatusError):
            asking.ask(other)
    assert len(server.seen) == 6


@few_ways
def test_an_sdk_alone_may_retry(case: Case, server: FaultServer) -> None:
    """With ``attempts=1`` nothing multiplies, and nobody warns."""
    server.always(case.sdk.path, failing(503))
    with case.session(server.url, case.policy(attempts=1, breaker=None), max_retries=None) as asking:
        with pytest.raises(case.sdk.module.InternalServerError):
            asking.ask()
    assert len(server.seen) == 3


@few_ways
def test_a_key_of_the_caller_holds_for_retries_of_the_sdk_too(case: Case, server: FaultServer) -> None:
    """Ours is new for each try of the SDK, which is a call of its own to us; the caller's is the same on all nine."""
    server.always(case.sdk.path, failing(503))
    with both_retry(case, server.url, case.policy(breaker=None)) as asking:
        with warned_when_seen(case), pytest.raises(case.sdk.module.InternalServerError):
            asking.ask()
        with pytest.raises(case.sdk.module.InternalServerError):
            asking.ask(extra_headers={"Idempotency-Key": "mine"})
    keys = [one.headers["idempotency-key"] for one in server.seen]
    assert [len(set(keys[start : start + 3])) for start in (0, 3, 6)] == [1, 1, 1]
    assert len(set(keys[:9])) == 3
    assert keys[9:] == ["mine"] * 9


# -- refusals --------------------------------------------------------------------------------------------------------


@every_way
def test_a_refusal_is_one_call_and_no_request(case: Case, server: FaultServer) -> None:
    """An SDK that would retry twice obeys ``x-should-retry: false``; the caller sees its error for a 503."""
    server.default = whole(case.sdk)
    policy = case.policy()
    with case.session(server.url, policy) as asking:
        asking.ask()
        breaker_of(policy, server).force_open()
        with pytest.raises(case.sdk.module.InternalServerError, match=r"is open \(forced open\)") as caught:
            asking.ask(asking.client.with_options(max_retries=2))
    assert caught.value.status_code == 503
    assert caught.value.response.headers["retry-after"].isdigit()
    assert isinstance(caught.value.response.extensions["resilix.rejected"], RejectedError)
    assert (policy.calls_total, policy.rejected_total, len(server.seen)) == (2, 1, 1)


@few_ways
def test_a_refusal_that_is_raised_is_retried_by_the_sdk(case: Case, server: FaultServer, impatient: None) -> None:
    """It is a transport error to the SDK: why ``on_reject="response"`` is for SDKs. Still nothing is sent."""
    server.default = whole(case.sdk)
    policy = case.policy(on_reject="raise")
    with case.session(server.url, policy) as asking:
        asking.ask()
        breaker_of(policy, server).force_open()
        with pytest.raises(case.sdk.module.APIConnectionError) as caught:
            asking.ask(asking.client.with_options(max_retries=2))
    assert isinstance(caught.value.__cause__, RejectedError)
    assert (policy.calls_total, policy.rejected_total, len(server.seen)) == (4, 3, 1)


def test_every_sdk_library_and_kind_of_code_is_among_the_few() -> None:
    """The shorter list leaves nothing out that could behave in its own way."""
    combinations = {(case.sdk.name, case.library.__name__, case.is_async) for case in FEW}
    assert len(combinations) == 6
