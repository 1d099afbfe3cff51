"""``health()``: what an operator reads first, as data for JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from tests.support.breaker import FakeClock, a_breaker, fail

import resilix
from resilix import Bulkhead, RetryBudget, health


def of(kind: str, name: str) -> dict[str, Any]:
    """One policy's part."""
    return next(one for one in health()[kind] if one["name"] == name)


def test_a_breaker_tells_its_state_since_when_and_why() -> None:
    """In seconds, and with the rates that count."""
    clock = FakeClock()
    breaker = a_breaker(clock=clock, consecutive=2, open_for=30.0)
    assert of("breakers", breaker.name)["state"] == "closed"
    fail(breaker, 2)
    clock.advance(4.0)
    told = of("breakers", breaker.name)
    assert {key: told[key] for key in ("state", "mode", "reason", "since_s", "retry_after_s", "opening")} == {
        "state": "open",
        "mode": "normal",
        "reason": "consecutive failures",
        "since_s": 4.0,
        "retry_after_s": 26.0,
        "opening": 1,
    }
    assert told["totals"] == {"success": 0, "failure": 2, "ignored": 0, "late": 0}
    assert health()["status"] == "degraded"


def test_reading_changes_nothing() -> None:
    """An opening whose time is over still reads open, and no probe is admitted."""
    clock = FakeClock()
    breaker = a_breaker(clock=clock, consecutive=1, open_for=5.0)
    fail(breaker)
    clock.advance(60.0)
    before = breaker.snapshot()
    assert of("breakers", breaker.name)["state"] == "open"
    assert breaker.snapshot() == before


def test_bulkheads_and_budgets_tell_what_is_left() -> None:
    """Places in use, and the share of the purse."""
    slots, purse = Bulkhead("health-slots", limit=3), RetryBudget("health-purse", tokens=100, cost=20)
    with slots.acquire():
        assert of("bulkheads", "health-slots") == {
            "name": "health-slots", "in_use": 1, "limit": 3, "waiting": 0, "rejected": 0,
        }  # fmt: skip
    assert of("budgets", "health-purse") == {"name": "health-purse", "remaining_ratio": 1.0, "denied": 0}
    while purse.core.spend():
        pass
    assert health()["status"] == "degraded"


def test_an_http_policy_tells_its_counts() -> None:
    """Calls, attempts and refusals."""
    import httpx2

    from resilix.httpx2 import Client, standard

    policy = standard("health-http", wait=0)
    answers = [503, 200]
    inner = httpx2.MockTransport(lambda request: httpx2.Response(answers.pop(0)))
    with Client(policy=policy, transport=inner) as client:
        client.get("http://health.test/")
    assert of("http", "health-http") == {"name": "health-http", "calls": 1, "attempts": 2, "rejected": 0}


def test_it_is_json_and_bounded() -> None:
    """Whatever lives; what is left out is counted."""
    breakers = [a_breaker() for _ in range(5)]
    assert json.loads(json.dumps(health()))["breakers"]
    told = health(most_names=2)
    assert len(told["breakers"]) == 2
    assert told["left_out"] >= len(breakers) - 2


def test_a_dead_policy_is_gone() -> None:
    """It is described as long as somebody holds it."""
    name = a_breaker().name
    import gc

    gc.collect()
    assert name not in [one["name"] for one in health()["breakers"]]


def test_the_front_door_stays_cheap() -> None:
    """``import resilix`` loads nothing of it; asking for it does, and other names are still refused."""
    code = "import sys, resilix; assert 'resilix.telemetry' not in sys.modules; resilix.health(); print('loaded')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("loaded\n", "")
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        resilix.nonsense  # noqa: B018
