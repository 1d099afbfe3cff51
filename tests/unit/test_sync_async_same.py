"""Same script, same seed: sync and async decide the same."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import trio
from tests.support.script_policies import Run, by_acall, by_call

SCRIPTS = 500
ON_TRIO = 60


def test_sync_and_async_decide_the_same_on_500_random_scripts() -> None:
    """Attempts, sleeps, results, errors, notes, events, breaker, bulkhead and budget: the same logs."""

    async def compare() -> Counter[str]:
        seen: Counter[str] = Counter()
        for seed in range(SCRIPTS):
            sync = await Run(seed).play(by_call)
            assert sync == await Run(seed).play(by_acall), f"seed {seed}"
            for entry in sync:
                if isinstance(entry, tuple):
                    seen.update(one for one in entry[:2] if isinstance(one, str))
        return seen

    seen = asyncio.run(compare())
    # The scripts really go through everything.
    events = ("AttemptFailed", "RetryScheduled", "GivenUp", "Transition", "CallRefused", "FallbackServed", "HookError")
    errors = ("ConnectionError", "CircuitOpenError", "BulkheadFullError", "DeadlineExpiredError")
    for one in ("sleep", "works", "value", *events, *errors):
        assert seen[one] > 20, f"{one} hardly ever happened"


def test_trio_decides_the_same_on_a_sample() -> None:
    """The async shells on trio against the sync ones."""

    async def compare() -> list[Any]:
        return [(await Run(seed).play(by_call), await Run(seed).play(by_acall)) for seed in range(ON_TRIO)]

    for seed, (sync, asynchronous) in enumerate(trio.run(compare)):
        assert sync == asynchronous, f"seed {seed}"
