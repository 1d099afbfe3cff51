"""The same tools without the plugin: with unittest, and for each example of hypothesis."""

from __future__ import annotations

import subprocess
import sys
import unittest
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from resilix import CircuitBreaker, CircuitOpenError, retry
from resilix.testing import fresh_state, record_events, reset_policies, virtual_time

quotes = CircuitBreaker("quotes without pytest", consecutive=2)
answers: list[int | Exception] = []


@retry(on=ConnectionError, attempts=3, wait=10.0)
@quotes
def price() -> int:
    """Give the next answer."""
    answer = answers.pop(0)
    if isinstance(answer, Exception):
        raise answer
    return answer


class TestPrice(unittest.TestCase):
    """What a test case of unittest looks like; ``enterContext`` ends each tool after the test."""

    def setUp(self) -> None:
        self.enterContext(fresh_state())
        self.time = self.enterContext(virtual_time())
        self.events = self.enterContext(record_events())
        answers.clear()

    def test_one_failure_is_survived(self) -> None:
        """With one wait, and a breaker that stays closed."""
        answers[:] = [ConnectionError(), 4217]
        assert price() == 4217
        assert self.time.sleeps == [10.0]
        self.events.assert_sequence("attempt failed", "retry")
        self.events.assert_none("opened")

    def test_two_failures_open_the_breaker(self) -> None:
        """As often as the tests are run, in any order."""
        answers[:] = [ConnectionError(), ConnectionError(), 4217]
        with self.assertRaises(CircuitOpenError):  # noqa: PT027 - as users of unittest write it
            price()
        self.events.assert_sequence("opened", "refused")


@given(st.lists(st.booleans(), max_size=12))
def test_each_example_of_hypothesis_has_policies_as_made(outcomes: list[bool]) -> None:
    """What one example did to the breaker is nothing to the next: it opens by its own failures alone."""
    answers[:] = [4217 if good else ValueError() for good in outcomes]
    calls = 0
    with fresh_state(), record_events() as events:
        assert quotes.snapshot().consecutive == 0
        while answers:
            before = len(answers)
            with suppress(ValueError, CircuitOpenError):
                price()
            if len(answers) == before:
                break
            calls += 1
    bad = [not good for good in outcomes]
    two_in_a_row = next((n + 2 for n in range(len(bad) - 1) if bad[n] and bad[n + 1]), len(bad))
    assert calls == two_in_a_row
    events.only(name=quotes.name).assert_counts(admitted=calls, opened=int(calls < len(bad) or bad[-2:] == [True] * 2))


def test_unittest_runs_the_same_tests_by_itself() -> None:
    """No plugin, no pytest."""
    command = [sys.executable, "-m", "unittest", "-v", __file__]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "Ran 2 tests" in ran.stderr


def test_reset_policies_is_there_for_set_up() -> None:
    """Where there is no block."""
    quotes.force_open()
    reset_policies()
    assert quotes.state == "closed"
