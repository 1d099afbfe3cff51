"""What the parts of a breaker are told: verdicts on errors and results, and settings that switch rules on and off."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tenacity import retry_if_exception_type, retry_if_result
from tests.support.breaker import FakeClock, a_breaker, half_open

from resilix import CircuitOpenError, CircuitState, RejectedError, calls
from resilix.core.judge import Judge
from resilix.core.settings import UNREACHABLE, BreakerSettings
from resilix.core.verdict import Matcher, Verdict


def a_judge(**options: Any) -> Judge:
    """A judge in whose hooks nothing may go wrong."""

    def broken(option: str, error: Exception) -> None:
        raise AssertionError(f"{option}: {error!r}")

    return Judge("CircuitBreaker", **{"ignore": (), "on_result": None, "hook_error": broken, **options})


def settings_of(**options: Any) -> BreakerSettings:
    return a_breaker(**options)._core.settings


@pytest.mark.parametrize("error", [KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError(), SystemExit()])
def test_a_predicate_is_never_asked_about_an_interrupt(error: BaseException) -> None:
    """It is written for errors, and could say yes to anything."""
    asked: list[object] = []

    def always(error: object) -> bool:
        asked.append(error)
        return True

    assert a_judge(on=always).error(error) is Verdict.IGNORED
    assert asked == []


def test_a_refusal_of_ours_is_ignored_even_where_on_names_it() -> None:
    """Next to something that counts it may stand in on, and says nothing about the dependency all the same."""
    refused = CircuitOpenError("other", retry_after=None, reason="failure rate")
    judge = a_judge(on=(RejectedError, CircuitOpenError, OSError))
    assert judge.error(refused) is Verdict.IGNORED
    assert judge.error(OSError()) is Verdict.FAILURE
    assert a_judge(on=lambda error: True).error(refused) is Verdict.IGNORED


def test_a_matcher_counts_a_refusal_only_where_a_type_names_it() -> None:
    """Unless it is told to treat it like any other error, as a fallback does."""
    refused = CircuitOpenError("other", retry_after=None, reason="failure rate")
    matcher = Matcher("retry", "on", Exception)
    assert not matcher.ask(refused)
    assert matcher.ask(refused, own_refusals=True)
    assert Matcher("retry", "on", CircuitOpenError).ask(refused)


def test_results_are_judged_only_where_something_looks_at_them() -> None:
    """A tenacity object that looks at exceptions alone leaves the quiet path to successes."""
    assert not a_judge(on=retry_if_exception_type(OSError)).judges_results
    assert not a_judge(on=lambda error: True).judges_results
    assert a_judge(on=retry_if_result(lambda result: False)).judges_results


def test_a_slow_probe_fails_only_where_a_slow_rate_is_a_rule() -> None:
    """With slow_after alone slow calls are counted, and close it all the same."""
    clock = FakeClock()
    for options, state in (({}, CircuitState.CLOSED), ({"slow_rate": 0.5}, CircuitState.OPEN)):
        breaker, probe = half_open(clock, slow_after=1.0, **options)
        clock.advance(1.5)
        probe.success()
        assert breaker.state is state


def test_a_rule_that_is_off_is_never_reached() -> None:
    """None of them by default but the slow rate; each can be switched off."""
    default = settings_of()
    assert (default.consecutive, default.failure_rate, default.slow_rate) == (10, 0.5, UNREACHABLE)
    assert default.min_calls == 20
    assert settings_of(consecutive=None).consecutive == UNREACHABLE
    assert settings_of(failure_rate=None).failure_rate == UNREACHABLE
    assert settings_of(slow_after=1.0, slow_rate=0.25).slow_rate == 0.25


def test_settings_are_replaced_never_changed() -> None:
    """A call under way may hold them."""
    for frozen, field in ((settings_of(), "probes"), (calls(10), "n")):
        with pytest.raises(AttributeError):
            setattr(frozen, field, 3)


def test_min_calls_may_fill_the_whole_window() -> None:
    """Written out, as many as the window holds are allowed; left out, a smaller window lowers them."""
    assert settings_of(window=calls(10), min_calls=10).min_calls == 10
    assert settings_of(window=calls(10)).min_calls == 10
    assert settings_of(window=calls(30)).min_calls == 20


def test_breakers_with_the_same_rules_share_them() -> None:
    """Memory must not grow with options that a hundred thousand breakers have in common."""
    assert settings_of() is settings_of()
    assert settings_of(window=calls(10)) is settings_of(window=calls(10))
    assert settings_of(window=calls(10)) is not settings_of(window=10.0)


def test_rules_with_a_function_of_the_user_are_their_own() -> None:
    """What it is equal to, or whether it can be hashed, is not asked."""

    class Unhashable:
        __hash__ = None

        def __eq__(self, other: object) -> bool:
            raise AssertionError("compared")

        def __call__(self, opening: int) -> float:
            return 1.0

    one = Unhashable()
    assert settings_of(open_for=one) is not settings_of(open_for=one)
