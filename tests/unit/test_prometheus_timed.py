"""``resilix.prometheus.timed``: how long calls and attempts take, by what became of them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Never

import anyio
import httpx
import httpx2
import pytest
from prometheus_client import CollectorRegistry, Gauge
from tests.support.front import fresh
from tests.support.prom_text import series, shown

import resilix.httpx
import resilix.httpx2
from resilix import CircuitBreaker, ConfigurationError, RejectedError, fallback, pipeline, retry, timeout
from resilix.events import hook_errors
from resilix.httpx import AsyncTransport, Transport, standard
from resilix.prometheus import timed
from resilix.runtime import RUNTIME
from resilix.telemetry import prom_timed
from resilix.testing import virtual_time

BACKENDS = ("asyncio", "trio")


@pytest.fixture
def registry() -> CollectorRegistry:
    """An empty registry."""
    return CollectorRegistry()


def seen(registry: CollectorRegistry, name: str, scope: str = "call") -> dict[str, tuple[float, float]]:
    """How many of each outcome there were, and how many seconds they took together."""
    values, metric = shown(registry), f"resilix_{scope}_duration_seconds"
    found: dict[str, tuple[float, float]] = {}
    for outcome in ("success", "failure", "rejected", "timeout", "cancelled"):
        count = values.get(series(f"{metric}_count", policy=name, outcome=outcome))
        if count is not None:
            found[outcome] = (count, values[series(f"{metric}_sum", policy=name, outcome=outcome)])
    return found


def down(*_: object) -> Never:
    """Fail."""
    raise ConnectionError("down")


# -- what is measured ----------------------------------------------------------------------------------------------


def test_a_call_is_measured_with_its_waits_and_an_attempt_without(registry: CollectorRegistry) -> None:
    """Two attempts of a second each with a wait of four between them, the second of which succeeds."""
    name = fresh("prom")
    calls, attempts = timed(name, registry=registry), timed(name, scope="attempt", registry=registry)
    fails = iter([True, False])
    with virtual_time() as time:

        @pipeline(calls, retry(on=ConnectionError, wait=4.0), attempts)
        def price() -> int:
            time.advance(1.0)
            return down() if next(fails) else 7

        assert price() == 7
    assert seen(registry, name) == {"success": (1, 6.0)}
    assert seen(registry, name, "attempt") == {"failure": (1, 1.0), "success": (1, 1.0)}


@pytest.mark.parametrize("backend", BACKENDS)
def test_async_calls_are_measured_the_same_way(registry: CollectorRegistry, backend: str) -> None:
    """On asyncio and on trio."""
    name = fresh("prom")
    fails = iter([True, False])

    @pipeline(timed(name, registry=registry), retry(on=ConnectionError, wait=4.0))
    async def price() -> int:
        await RUNTIME.driver.asleep(1.0)
        return down() if next(fails) else 7

    with virtual_time():
        assert anyio.run(price, backend=backend) == 7
    assert seen(registry, name) == {"success": (1, 6.0)}


def test_every_end_of_a_call_has_its_outcome(registry: CollectorRegistry) -> None:
    """Failures, refusals, timeouts (ours and the user's own) and interruptions; the same error comes out."""
    name = fresh("prom")
    quotes = CircuitBreaker(fresh("prom"))
    quotes.force_open()
    guard = timed(name, registry=registry)
    for policy, fn, error in (
        (guard, down, ConnectionError),
        (pipeline(guard, quotes), down, RejectedError),
        (guard, functools.partial(raising, TimeoutError()), TimeoutError),
        (guard, functools.partial(raising, httpx.ReadTimeout("slow")), httpx.ReadTimeout),
        (guard, functools.partial(raising, httpx2.ReadTimeout("slow")), httpx2.ReadTimeout),
        (guard, functools.partial(raising, KeyboardInterrupt()), KeyboardInterrupt),
        (guard, functools.partial(raising, GeneratorExit()), GeneratorExit),
    ):
        with pytest.raises(error):
            policy.call(fn)
    with virtual_time(), pytest.raises(TimeoutError):
        pipeline(guard, timeout(1.0)).call(RUNTIME.driver.sleep, 5.0)
    guard.call(int)
    counts = {outcome: count for outcome, (count, _) in seen(registry, name).items()}
    assert counts == {"success": 1, "failure": 1, "rejected": 1, "timeout": 4, "cancelled": 2}


def raising(error: BaseException) -> Never:
    """Raise it."""
    raise error


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_cancelled_call_is_cancelled_and_a_timeout_is_one(registry: CollectorRegistry, backend: str) -> None:
    """The timeout inside is seen as a timeout, the one outside as a cancellation; both end at their own moment."""
    name = fresh("prom")
    guard = timed(name, registry=registry)

    async def hang() -> None:
        await RUNTIME.driver.asleep(60.0)

    async def main() -> None:
        with contextlib.suppress(TimeoutError):
            await pipeline(guard, timeout(1.0)).acall(hang)
        with contextlib.suppress(TimeoutError):
            await pipeline(timeout(2.0), guard).acall(hang)

    with virtual_time():
        anyio.run(main, backend=backend)
    assert seen(registry, name) == {"timeout": (1, 1.0), "cancelled": (1, 2.0)}


def test_what_a_fallback_answers_inside_is_a_success(registry: CollectorRegistry) -> None:
    """The caller got an answer."""
    name = fresh("prom")
    assert pipeline(timed(name, registry=registry), fallback(0, on=ConnectionError)).call(down) == 0
    assert list(seen(registry, name)) == ["success"]


def test_a_sync_function_that_hands_back_an_awaitable_is_measured_to_its_end(registry: CollectorRegistry) -> None:
    """Once, and not when it hands it back."""
    name = fresh("prom")

    async def work() -> int:
        await RUNTIME.driver.asleep(3.0)
        return 7

    @timed(name, registry=registry)
    def price() -> Awaitable[int]:
        return work()

    async def main() -> int:
        return await price()

    with virtual_time():
        assert asyncio.run(main()) == 7
    assert seen(registry, name) == {"success": (1, 3.0)}


def test_eight_threads_lose_no_call(registry: CollectorRegistry) -> None:
    """All of them share the series."""
    name = fresh("prom")
    guard = timed(name, registry=registry)

    def traffic() -> None:
        for _ in range(250):
            guard.call(int)

    threads = [threading.Thread(target=traffic) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen(registry, name)["success"][0] == 2000


# -- over HTTP -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("library", "door"), [(httpx, resilix.httpx), (httpx2, resilix.httpx2)])
def test_over_http_an_answer_that_says_failure_is_one(registry: CollectorRegistry, library: Any, door: Any) -> None:
    """503 and then 200 in one call, 404 in another: that is an answer."""
    name = fresh("prom")
    statuses = iter([503, 200, 404])
    policy = pipeline(
        timed(name, registry=registry),
        retry(on_result=lambda response: response.status_code == 503, on=(), wait=0.0),
        timed(name, scope="attempt", registry=registry),
    )
    inner = library.MockTransport(lambda request: library.Response(next(statuses)))
    with library.Client(transport=door.Transport(policy, inner=inner)) as client:
        got = [client.get("https://quotes.example/").status_code for _ in range(2)]
    assert got == [200, 404]
    assert {outcome: count for outcome, (count, _) in seen(registry, name).items()} == {"success": 2}
    attempts = {outcome: count for outcome, (count, _) in seen(registry, name, "attempt").items()}
    assert attempts == {"success": 2, "failure": 1}


@pytest.mark.parametrize("backend", BACKENDS)
def test_over_async_http_a_timeout_of_the_library_is_one(registry: CollectorRegistry, backend: str) -> None:
    """It is no TimeoutError, but it is a timeout to whoever looks at the figures."""
    name = fresh("prom")
    transport = AsyncTransport(
        timed(name, registry=registry),
        inner=httpx.MockTransport(lambda request: raising(httpx.ConnectTimeout("slow", request=request))),
    )

    async def main() -> None:
        async with httpx.AsyncClient(transport=transport) as client:
            with pytest.raises(httpx.ConnectTimeout):
                await client.get("https://quotes.example/")

    anyio.run(main, backend=backend)
    assert list(seen(registry, name)) == ["timeout"]


def test_it_goes_around_a_standard_transport(registry: CollectorRegistry) -> None:
    """As a transport of its own around that one; the standard policy retries inside."""
    name = fresh("prom")
    statuses = iter([503, 200])
    inner = Transport(
        standard(name, wait=0.0), inner=httpx.MockTransport(lambda request: httpx.Response(next(statuses)))
    )
    with httpx.Client(transport=Transport(timed(name, registry=registry), inner=inner)) as client:
        assert client.get("https://quotes.example/").status_code == 200
    assert {outcome: count for outcome, (count, _) in seen(registry, name).items()} == {"success": 1}


# -- the histogram -------------------------------------------------------------------------------------------------


def buckets_of(registry: CollectorRegistry, name: str) -> list[str]:
    """The upper bounds in the text."""
    found = [dict(labels) for metric, labels in shown(registry) if metric == "resilix_call_duration_seconds_bucket"]
    return [labels["le"] for labels in found if labels["policy"] == name]


def test_the_buckets_go_from_five_milliseconds_to_thirty_seconds(registry: CollectorRegistry) -> None:
    """Unless told otherwise; and what was told first holds for all names in the registry."""
    name = fresh("prom")
    timed(name, registry=registry).call(int)
    bounds = sorted(map(float, buckets_of(registry, name)))
    assert (bounds[0], bounds[-2], bounds[-1]) == (0.005, 30.0, float("inf"))

    other = CollectorRegistry()
    timed(name, buckets=(0.5, 1), registry=other)
    timed(name, registry=other).call(int)
    assert sorted(map(float, buckets_of(other, name))) == [0.5, 1.0, float("inf")]
    with pytest.raises(ConfigurationError, match=r"has \(0.5, 1.0\) already"):
        timed(fresh("prom"), buckets=(0.5, 2.0), registry=other)
    timed(fresh("prom"), buckets=[0.5, 1.0], registry=other)


def test_one_histogram_serves_all_names_of_a_registry(registry: CollectorRegistry) -> None:
    """Two policies, decorators and pipelines; another registry has its own."""
    one, two, other = fresh("prom"), fresh("prom"), CollectorRegistry()
    timed(one, registry=registry).call(int)
    timed(two, registry=registry).call(int)
    timed(one, registry=registry).call(int)
    timed(one, registry=other).call(int)
    assert [seen(registry, name)["success"][0] for name in (one, two)] == [2, 1]
    assert seen(other, one)["success"][0] == 1


def test_names_beyond_the_bound_share_one(registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name made of what a request says cannot fill the memory; what had a name of its own keeps it."""
    monkeypatch.setattr(prom_timed, "MOST_NAMES", 2)
    names = [fresh("prom") for _ in range(4)]
    for name in [*names, names[0]]:
        timed(name, registry=registry).call(int)
    assert [seen(registry, name).get("success", (0, 0))[0] for name in [*names, "other"]] == [2, 1, 0, 0, 2]


def test_a_histogram_that_cannot_be_written_costs_no_call(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result is the caller's; the error is counted as one of a hook's."""
    guard = timed(fresh("prom"), registry=registry)

    def full(*_: object) -> Callable[[float], None]:
        raise OSError("no space left on device")

    monkeypatch.setattr(prom_timed.Durations, "of", full)
    before = hook_errors()
    assert guard.call(lambda: 7) == 7
    with pytest.raises(ConnectionError):
        guard.call(down)
    assert hook_errors() == before + 2


def test_a_name_of_somebody_elses_is_a_clear_mistake(registry: CollectorRegistry) -> None:
    """The registry has a metric with our name already."""
    Gauge("resilix_call_duration_seconds", "Mine.", registry=registry)
    with pytest.raises(ConfigurationError, match="somebody else has put resilix_call_duration_seconds"):
        timed("quotes", registry=registry)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: timed(""), "it needs a name"),
        (lambda: timed(down), "@timed was put on down"),  # type: ignore[arg-type]
        (lambda: timed("quotes", scope="request"), 'write scope="call" or scope="attempt"'),  # type: ignore[arg-type]
        (lambda: timed("quotes", "attempt"), "only name is taken by position"),  # type: ignore[misc]
        (lambda: timed("quotes", bucket=(1.0,)), "did you mean buckets"),  # type: ignore[call-arg]
        (lambda: timed("quotes", buckets=()), "upper bounds in seconds"),
        (lambda: timed("quotes", buckets=(0.0, 1.0)), "above 0 and rising"),
        (lambda: timed("quotes", buckets=(1.0, 0.5)), "above 0 and rising"),
        (lambda: timed("quotes", buckets=(1.0, float("nan"))), "above 0 and rising"),
        (lambda: timed("quotes", buckets=(1.0, float("inf"))), "above 0 and rising"),
        (lambda: timed("quotes", buckets=1.0), "upper bounds in seconds"),  # type: ignore[arg-type]
        (lambda: timed("quotes", registry={}), "no registry of prometheus-client"),  # type: ignore[arg-type]
    ],
)
def test_bad_input_is_refused_where_it_is_written(call: Any, says: str) -> None:
    """With what to write instead."""
    with pytest.raises(ConfigurationError, match=says):
        call()


def test_it_says_what_it_is_and_is_no_hazard(registry: CollectorRegistry) -> None:
    """A pipeline knows that it changes nothing about attempts and time."""
    guard = timed("quotes", scope="attempt", registry=registry)
    assert repr(guard) == "timed('quotes', scope='attempt')"
    assert (guard.name, guard.scope) == ("quotes", "attempt")
    explained = pipeline(guard, retry(on=ConnectionError, attempts=2, wait=1.0), timeout(2.0)).explain()
    assert (explained.attempts, explained.seconds) == (2, 5.0)
    assert not any("your own" in hazard for hazard in explained.hazards)
