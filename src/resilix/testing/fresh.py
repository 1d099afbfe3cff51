"""``fresh_state`` and ``reset_policies``: no test inherits what another did to the policies they share."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from resilix.events import HUB
from resilix.policies.registry import REGISTRY
from resilix.tally import TALLY
from resilix.testing.switch import SWITCH


def reset_policies() -> None:
    """Put every living policy of this process back to the state it was made in.

    Example::

        def setUp(self):
            reset_policies()

    - Breakers are closed and follow their rules again, whoever had taken them over. Their windows, streaks, opening
      numbers, totals and transitions are empty. Nothing is announced: no event tells of it.
    - Bulkheads have all their places and have refused nobody. Retry budgets are full.
    - ``standard(…)`` of the HTTP clients has forgotten its keys and counted nothing.
    - The counts of retries, timeouts and fallbacks, and ``hook_errors()``, are zero.
    - Fault plans start over: counts, log, sequences, chance. An outage counts from the next call.

    What policies were made with stays, and so do the options that ``reconfigure()`` has changed: they are what the
    policy is now, and not what happened to it. Listeners stay subscribed, and calls that a sync ``timeout`` has
    abandoned still count for it while they run.

    Calls in flight go on: what they end with is an echo to a breaker (``totals().late``), their places go back to where
    they were taken and are not there twice, and who waits for a place goes on waiting for one of those. So for as long
    as they run a bulkhead may let more calls run than its limit.

    Decorated functions need nothing: they follow their policies. A ``clock=`` of yours is read once.
    """
    _renew()
    SWITCH.renew()


def _renew() -> None:
    REGISTRY.renew()
    TALLY.forget()
    HUB.forget()


@contextmanager
def fresh_state() -> Generator[None]:
    """Begin with the policies as they were made, and leave them so: :func:`reset_policies` before and after.

    What fault plans did can still be read after the block: they start over only before it.

    Example::

        @given(st.lists(st.booleans()))
        def test_never_more_than_three_attempts(outcomes):
            with fresh_state():
                ...

    Every example of hypothesis, and every test of ``unittest``, gets a state of its own that way; with pytest the
    plugin does it for each test. Also a decorator of a test function.
    """
    reset_policies()
    try:
        yield
    finally:
        _renew()
