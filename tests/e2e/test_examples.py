"""The examples run, offline and without a warning, and say what they are there to show."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

# What each has to print: the sentences that would be wrong if the policy did not do what the example teaches.
SAYS: dict[str, list[str]] = {
    "01_retry.py": [
        "ACME costs 4217 cents; that took 3 requests",
        "gave up after 3 requests: connection reset while asking for ACME",
        "the error carries a note: resilix: price gave up after 3 attempts (attempts)",
        "not retried, 0 requests: a symbol is written in capitals: 'acme'",
    ],
    "02_sharing_a_breaker.py": [
        "closed: answer to GET /price/ACME",
        "closed: GET /price/ACME: connection refused",
        "open: GET /price/ACME: connection refused",
        (
            "circuit 'quotes' is open (consecutive failures): next probe in 30 s; the call was not made; "
            "0 requests made, retry_after=30 s"
        ),
        "half a minute later the probe succeeds: answer to GET /history/ACME; the breaker is closed",
    ],
    "03_a_pipeline.py": [
        (
            "outermost first: fallback(<str>, on=(RejectedError, OSError)) > timeout(5) > "
            "retry(on=OSError, attempts=3) > CircuitBreaker('orders', closed) > Bulkhead('orders', 0/20) > timeout(2)"
        ),
        "worst case: 3 attempts per call, 5 s",
        "100 callers were answered: 'unknown, please look again later'",
        "the service that is down had to bear 10 requests; 3 attempts each would have been 300",
        "the breaker is open; 97 attempts were refused",
    ],
    "04_async.py": [
        "8 answers, and never more than 2 requests at once",
        "report did not finish within 0.05 s: 0 requests go on, 1 failure counted",
        "a caller left: 1 failure as before, 2 of 2 places free",
    ],
    "05_deadlines.py": [
        "one item: 12 left; 1.6 s remain for the rest of the request",
        "3 of 5 attempts, 2.0 s: another wait would pass the deadline",
        "the caller sees the real error: table: connection reset [resilix: stock gave up after 3 attempts (deadline)]",
        "no time left before the deadline to start stock; the call was not made; 0 requests made",
    ],
    "06_fallback_types.py": [
        "value:  4217 or None",
        "call:   99.5",
        "handle: Unavailable(reason='ConnectionError: connection refused')",
        "broken fallback: KeyError 'NONE', because of ConnectionError('connection refused')",
    ],
    "07_your_own_policy.py": [
        "outermost first: Counted('orders') > retry(on=ConnectionError, attempts=3) > Counted('attempts')",
        (
            "order 1000 sent, order 1001 sent; orders ended {'well': 2, 'badly': 0}, "
            "attempts ended {'well': 2, 'badly': 3}"
        ),
    ],
    "08_watching_events.py": [
        "  price: attempt 2 in 1.0 s after ConnectionError",
        "! quotes: closed -> open (consecutive failures)",
        "  quotes: refused, circuit_open, come back in 29.0 s",
        "  price: FallbackServed",
        "call 3 is answered None",
        "nobody listens any more: None; nothing was said, and nothing was spent on saying it",
    ],
    "09_testing_with_virtual_time.py": [
        "test_waits_five_seconds_between_attempts: passed, and nobody waited",
        "test_leaves_a_dead_server_alone_for_a_minute: passed, and nobody waited",
    ],
    "10_http_client.py": [
        "GET: 4217; that took 3 requests",
        "POST: the real answer, 503, after 1 request",
        "POST with a key: 200 after 2 requests",
        "down: connection refused",
        "down: connection refused until the breaker opened",
        "CircuitOpenError: nothing was sent",
        "6 calls, 11 attempts, 2 refused",
    ],
    "11_http_async_client.py": [
        "good host: 50 of 50 answered over 10 connections or fewer",
        "bad host: CircuitOpenError",
        "good host: 4217, all the same",
        "the bad host's breaker is open",
    ],
    "12_llm_sdk.py": [
        "the model says 42 after 3 requests",
        "a real 429 reaches you as RateLimitError, at once: an hour is too long to wait",
        "InternalServerError: 500",
        "refused by the breaker: 503, 0 requests made",
    ],
    "13_http_streaming.py": [
        "while it streams: 1 of 1 places taken",
        "tick tick tick",
        "afterwards: 0 taken",
        "the body died after a good head: 1 failure counted, not sent again",
        "a byte now and then: cut in time",
    ],
    "14_breakers_per_endpoint.py": [
        "search: 500",
        "search: CircuitOpenError",
        "buy: sold",
        "buy: closed",
        "search: open",
    ],
    "15_fastapi_service.py": [
        "4217",
        "503, Retry-After: 20, a service this one depends on is unavailable",
        "the backend saw 4 requests",
    ],
    "16_structlog.py": [
        (
            '{"event": "retry \'price\' gave up at attempt 2 (attempts): ConnectionError", "level": "warning", '
            '"resilix_attempts": 2, "resilix_error_type": "ConnectionError", "resilix_event": "given_up", '
            '"resilix_name": "price", "resilix_policy": "retry", "resilix_reason": "attempts"}'
        ),
        "because='consecutive failures' event='dependency changed' name='quotes' state='open'",
        "CircuitOpenError",
        (
            '{"event": "retry \'price\' given_up: … and 3 more in 3 s", "level": "warning", "resilix_ago_s": 0.0, '
            '"resilix_event": "given_up", "resilix_more": 3, "resilix_name": "price", "resilix_policy": "retry", '
            '"resilix_window_s": 3.0}'
        ),
    ],
    "17_observed_service.py": [
        "ConnectError",
        "CircuitOpenError",
        "health: degraded; quotes is open: consecutive failures",
        'resilix_call_duration_seconds_count{outcome="success",policy="quotes"} 1.0',
        'resilix_circuit_breaker_state{breaker="quotes",state="open"} 1.0',
        'resilix_retries_total{policy="quotes",reason="error"} 2.0',
    ],
}

CLIENTS = {"httpx2", "openai", "fastapi", "json", "time", "threading", "wsgiref"}
"""What the examples of HTTP clients import besides; their servers are their own, on this machine."""

LOGS = {"logging", "structlog", "sys"}
"""What the example of logs imports besides; it has nothing to do with a network."""


def run(name: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(EXAMPLES / name)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=EXAMPLES.parent)


@pytest.mark.parametrize("name", SAYS)
def test_example_prints_what_it_teaches(name: str) -> None:
    """Every line an example is about is printed, in order, and it ends well."""
    done = run(name)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for expected in SAYS[name]:
        assert expected in lines, f"{name} did not print {expected!r} (in this place) but:\n{done.stdout}"
        lines = lines[lines.index(expected) + 1 :]


def test_the_examples_say_nothing_on_stderr_but_what_a_broken_listener_is_logged_with() -> None:
    """A listener that raises is logged, once, and no other example logs or warns."""
    for name in SAYS:
        said = run(name).stderr.splitlines()
        if name.startswith("08"):
            assert len(said) == 1
            assert "raised RuntimeError; resilix goes on without its answer (said once)" in said[0]
        else:
            assert said == []


def test_every_example_is_listed_and_numbered() -> None:
    """They read as a course: numbered from 01 without a gap, and none is left untested."""
    files = sorted(path.name for path in EXAMPLES.glob("*.py"))
    assert files == sorted(SAYS)
    assert [int(name[:2]) for name in files] == list(range(1, len(files) + 1))
    assert all(re.fullmatch(r"\d\d_[a-z_]+\.py", name) for name in files)


@pytest.mark.parametrize("name", SAYS)
def test_example_is_short_and_offline(name: str) -> None:
    """At most 60 lines, and nothing imported that could reach a network."""
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    imported = set(re.findall(r"^(?:from|import) (\w+)", text, flags=re.MULTILINE))
    plain = {"asyncio", "collections", "contextlib", "dataclasses", "resilix", "typing"}
    networked = name >= "10" and name != "16_structlog.py"
    assert imported <= (plain | CLIENTS if networked else plain | LOGS if name >= "10" else plain)
    if networked:
        assert "FaultServer" in text
        assert not re.search(r"https?://(?!service|127)", text)


SHOP = EXAMPLES / "testing_your_service"
PLANTED = {
    "as it is": ("", "", "10 passed"),
    "an attempt may take long": ("timeout(0.06)", "timeout(0.5)", "answers_within_200_ms[hangs]"),
    "no breaker": ("            breaker,\n", "", "answers_within_200_ms[refused]"),
    "it looks again too late": ("open_for=5.0", "open_for=60.0", "answers_within_200_ms[refused]"),
}
"""A mistake in the shop, and what its tests say of it."""


@pytest.mark.parametrize("mistake", PLANTED)
def test_the_tests_of_the_shop_pass_and_find_what_is_wrong_with_it(mistake: str, tmp_path: Path) -> None:
    """Run as their reader would run them, against the shop and against three that are not as good."""
    was, becomes, says = PLANTED[mistake]
    text = (SHOP / "shop.py").read_text(encoding="utf-8")
    assert was in text
    (tmp_path / "shop.py").write_text(text.replace(was, becomes), encoding="utf-8")
    shutil.copy(SHOP / "test_shop.py", tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path)
    assert says in done.stdout, done.stdout + done.stderr
    assert done.returncode == (0 if mistake == "as it is" else 1)


def test_the_shop_and_its_tests_are_typed() -> None:
    """By a strict checker."""
    config = str(EXAMPLES.parent / "pyproject.toml")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", config, "shop.py", "test_shop.py"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=SHOP)
    assert done.returncode == 0, done.stdout + done.stderr
