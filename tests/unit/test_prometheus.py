"""``resilix.prometheus.install``: every count and state of every live policy, read when somebody scrapes."""

from __future__ import annotations

import gc
import subprocess
from typing import Any

import httpx
import prometheus_client
import pytest
from prometheus_client import CollectorRegistry
from tests.support.front import fresh
from tests.support.prom_text import families_of, series, shown, shown_openmetrics, text_of
from tests.support.prometheus_server import tool

from resilix import (
    Bulkhead,
    CircuitBreaker,
    ConfigurationError,
    RejectedError,
    RetryBudget,
    deadline,
    fallback,
    pipeline,
    retry,
    timeout,
)
from resilix.httpx import Client, standard
from resilix.prometheus import install, push, timed
from resilix.runtime import RUNTIME
from resilix.telemetry.prom_reading import shapes
from resilix.telemetry.readings import readings
from resilix.testing import virtual_time

CANARY = "hunter2"


@pytest.fixture
def registry() -> CollectorRegistry:
    """A registry with our collector alone."""
    gc.collect()  # policies of other tests must not die between two readings
    made = CollectorRegistry()
    install(made)
    return made


def failing(*_: object) -> None:
    """Fail with something secret."""
    raise ConnectionError(f"https://user:{CANARY}@quotes.example/?token={CANARY}")


# -- what is there -------------------------------------------------------------------------------------------------


def test_a_breaker_shows_its_calls_its_state_and_its_ratios(registry: CollectorRegistry) -> None:
    """Six calls, half of them slow, then four that fail, and one that is refused."""
    name = fresh("prom")
    with virtual_time() as time:
        quotes = CircuitBreaker(name, consecutive=4, failure_rate=0.9, slow_rate=0.9, slow_after=1.0, min_calls=10)
        for _ in range(3):
            quotes.call(int)
            quotes.call(time.advance, 2.0)
        for _ in range(4):
            with pytest.raises(ConnectionError):
                quotes.call(failing)
        with pytest.raises(RejectedError):
            quotes.call(int)
        seen = shown(registry)
    expected: dict[Any, float] = {
        series("resilix_calls_total", policy=name, outcome="success"): 6,
        series("resilix_calls_total", policy=name, outcome="failure"): 4,
        series("resilix_calls_total", policy=name, outcome="ignored"): 0,
        series("resilix_circuit_breaker_state", breaker=name, state="closed"): 0,
        series("resilix_circuit_breaker_state", breaker=name, state="open"): 1,
        series("resilix_circuit_breaker_state", breaker=name, state="half_open"): 0,
        series("resilix_circuit_breaker_mode", breaker=name, mode="normal"): 1,
        series("resilix_circuit_breaker_mode", breaker=name, mode="observing"): 0,
        series("resilix_circuit_breaker_transitions_total", breaker=name, from_state="closed", to_state="open"): 1,
        series("resilix_circuit_breaker_failure_ratio", breaker=name): 0.4,
        series("resilix_circuit_breaker_slow_ratio", breaker=name): 0.3,
        series("resilix_circuit_breaker_failure_threshold_ratio", breaker=name): 0.9,
        series("resilix_rejections_total", policy=name, kind="circuit_open"): 1,
    }
    assert {key: seen.get(key) for key in expected} == expected


def test_a_bulkhead_shows_its_places(registry: CollectorRegistry) -> None:
    """One of two places is taken, then both, and a third caller is refused."""
    name = fresh("prom")
    slots = Bulkhead(name, limit=2)
    with slots.acquire():
        assert shown(registry)[series("resilix_bulkhead_in_use", bulkhead=name)] == 1
        with slots.acquire(), pytest.raises(RejectedError):
            slots.call(int)
    seen = shown(registry)
    assert seen[series("resilix_bulkhead_in_use", bulkhead=name)] == 0
    assert seen[series("resilix_bulkhead_limit", bulkhead=name)] == 2
    assert seen[series("resilix_bulkhead_queued", bulkhead=name)] == 0
    assert seen[series("resilix_rejections_total", policy=name, kind="bulkhead_full")] == 1


def test_verbs_show_under_the_name_of_their_pipeline(registry: CollectorRegistry) -> None:
    """Retries by reason, calls given up, timeouts, fallbacks, refusals for want of time; what a budget denied."""
    name, purse = fresh("prom"), RetryBudget(fresh("prom"), tokens=15, cost=10)
    retried = retry(on=ConnectionError, attempts=3, wait=0, budget=purse)
    assert pipeline(fallback(0, on=ConnectionError), retried, name=name).call(failing) == 0
    slow = pipeline(timeout(1.0), name=name)
    with virtual_time() as time:
        with pytest.raises(TimeoutError):
            slow.call(RUNTIME.driver.sleep, 5.0)
        with deadline(1.0):
            time.advance(2.0)
            with pytest.raises(RejectedError):
                slow.call(int)
    seen = shown(registry)
    expected = {
        series("resilix_retries_total", policy=name, reason="error"): 1,
        series("resilix_retries_exhausted_total", policy=name, reason="budget"): 1,
        series("resilix_timeouts_total", policy=name, scope="abandoned"): 1,
        series("resilix_fallbacks_total", policy=name): 1,
        series("resilix_retry_budget_remaining_ratio", budget=purse.name): 5 / 15,
        series("resilix_retry_budget_denied_total", budget=purse.name): 1,
        series("resilix_rejections_total", policy=name, kind="deadline_expired"): 1,
    }
    assert {key: seen.get(key) for key in expected} == expected


def test_an_http_policy_shows_its_requests_and_no_secret(registry: CollectorRegistry) -> None:
    """Two attempts for one call; nothing of the URL, the headers, the body or the error is in the text."""
    name = fresh("prom")
    answers = iter([httpx.Response(503, text=CANARY), httpx.Response(200, text=CANARY)])
    policy = pipeline(timed(name, registry=registry), retry(on=httpx.TransportError, wait=0), name=name)
    kept = standard(name, wait=0)
    with Client(policy=kept, transport=httpx.MockTransport(lambda request: next(answers))) as client:
        url = f"https://user:{CANARY}@quotes.example/{CANARY}?token={CANARY}"
        client.get(url, headers={"Authorization": CANARY, "X-Key": CANARY}).raise_for_status()
    with Client(policy=policy, transport=httpx.MockTransport(failing)) as client, pytest.raises(ConnectionError):
        client.get(url)
    with pytest.raises(ConnectionError):
        pipeline(retry(on=ConnectionError, attempts=2, wait=0), CircuitBreaker(fresh("prom"))).call(failing, CANARY)
    seen = shown(registry)
    assert seen[series("resilix_http_calls_total", policy=name)] == 1
    assert seen[series("resilix_http_attempts_total", policy=name)] == 2
    assert seen[series("resilix_call_duration_seconds_count", policy=name, outcome="failure")] == 1
    assert CANARY not in text_of(registry)


def test_errors_of_hooks_are_counted(registry: CollectorRegistry) -> None:
    """A predicate that raises is one."""
    before = shown(registry)[series("resilix_hook_errors_total")]
    CircuitBreaker(fresh("prom"), on_result=lambda result: result < 1 / 0).call(int)
    assert shown(registry)[series("resilix_hook_errors_total")] == before + 1


def test_the_text_says_what_the_readings_say(registry: CollectorRegistry) -> None:
    """Names, kinds, help texts, labels and values; nothing more, nothing less, and in OpenMetrics too."""
    quotes, slots = CircuitBreaker(fresh("prom")), Bulkhead(fresh("prom"), limit=3)
    pipeline(quotes, slots).call(int)
    read = readings()
    families = families_of(text_of(registry))
    assert set(families) == {family.name.removesuffix("_total") for family in read}
    for family in read:
        seen = families[family.name.removesuffix("_total")]
        assert (seen.type, seen.documentation) == (family.kind, family.help)
    expected = {
        series(family.name, **dict(zip(family.labels, sample.labels, strict=True))): sample.value
        for family in read
        for sample in family.samples
    }
    assert shown(registry) == expected
    assert shown_openmetrics(registry) == expected


def test_the_families_are_known_without_reading() -> None:
    """What the collector describes is what it collects later: a family that is new has to be in both places."""
    assert shapes() == [family._replace(samples=()) for family in readings()]


def test_promtool_finds_nothing_to_say(registry: CollectorRegistry) -> None:
    """Names, units, suffixes and help texts are as Prometheus wants them."""
    name = fresh("prom")
    pipeline(timed(name, registry=registry), CircuitBreaker(name), Bulkhead(name, limit=2)).call(int)
    command = [tool("promtool"), "check", "metrics"]
    checked = subprocess.run(command, input=text_of(registry), capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


# -- what comes and goes -------------------------------------------------------------------------------------------


def test_policies_made_later_appear_and_dead_ones_go(registry: CollectorRegistry) -> None:
    """Nobody has to register or to clean up."""
    name = fresh("prom")
    assert name not in text_of(registry)
    slots = Bulkhead(name, limit=2)
    assert name in text_of(registry)
    del slots
    gc.collect()
    assert name not in text_of(registry)


def test_names_beyond_the_bound_share_one() -> None:
    """However many policies there are, the series are bounded, and the sums stay right."""
    registry = CollectorRegistry()
    install(registry, most_names=3)
    kept = [Bulkhead(fresh("prom"), limit=7) for _ in range(6)]
    limits = {key: value for key, value in shown(registry).items() if key[0] == "resilix_bulkhead_limit"}
    assert len(limits) == 4
    assert limits[series("resilix_bulkhead_limit", bulkhead="other")] >= 3 * 7
    whole = sum(sum(value for _, value in family.samples) for family in readings() if family.name.endswith("_limit"))
    assert sum(limits.values()) == whole
    assert len(kept) == 6


def test_two_registries_show_the_same() -> None:
    """One for the operators, one for a test, say."""
    gc.collect()  # or a policy of another test may go between the two looks
    one, two = CollectorRegistry(), CollectorRegistry()
    install(one)
    install(two)
    quotes = CircuitBreaker(fresh("prom"))
    assert quotes.name in text_of(one)
    assert text_of(one) == text_of(two)


def test_the_default_is_the_registry_that_is_served_by_default() -> None:
    """It goes again, and calling that twice does nothing."""
    remove = install()
    try:
        name = CircuitBreaker(fresh("prom")).name
        assert "resilix_hook_errors_total" in text_of(prometheus_client.REGISTRY)
        assert name not in text_of(CollectorRegistry())
    finally:
        remove()
    remove()
    assert "resilix" not in text_of(prometheus_client.REGISTRY)


def test_it_is_installed_once(registry: CollectorRegistry) -> None:
    """Twice would show everything twice; after it was taken out it may come back."""
    with pytest.raises(ConfigurationError, match="in this registry already"):
        install(registry)
    other = CollectorRegistry()
    remove = install(other)
    remove()
    install(other)
    assert "resilix_hook_errors_total" in text_of(other)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: install(most_names=0), "most_names=0"),
        (lambda: install(most_names=True), "a whole number"),
        (lambda: install("default"), "no registry of prometheus-client"),  # type: ignore[arg-type]
        (lambda: push(registry=prometheus_client), "no registry of prometheus-client"),  # type: ignore[arg-type]
        (lambda: push(0), "more than zero seconds"),
        (lambda: push(most_names=0), "most_names=0"),
    ],
)
def test_bad_input_is_refused_where_it_is_written(call: Any, says: str) -> None:
    """And nothing is installed by it."""
    with pytest.raises(ConfigurationError, match=says):
        call()
    assert "resilix" not in text_of(prometheus_client.REGISTRY)
