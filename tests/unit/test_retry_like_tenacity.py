"""tenacity's objects see in our loop exactly what they would see in tenacity's."""

from __future__ import annotations

import asyncio
from collections import Counter

from tests.support.retry_scripts import Log, Script, by_resilix, by_tenacity

SYNC, ASYNC = 2500, 1000


def seen(logs: list[Log]) -> Counter[str]:
    return Counter(entry[0] for log in logs for entry in log)


def test_sync_scripts_run_as_under_tenacity() -> None:
    """2 500 random retries: the same call states, sleeps, attempts and ends, in the same order."""
    logs = []
    for seed in range(SYNC):
        script = Script(seed)
        ours = by_resilix(script, is_async=False)
        assert ours == by_tenacity(script, is_async=False), f"seed {seed}"
        logs.append(ours)
    # The scripts really go through everything.
    assert min(seen(logs)[kind] for kind in ("sleep", "wait", "stop", "retry")) > SYNC / 4
    assert seen(logs)["run"] > 1.5 * SYNC


def test_async_scripts_run_as_under_tenacity() -> None:
    """1 000 random async retries, against tenacity's own async loop."""

    async def compare() -> list[Log]:
        logs = []
        for seed in range(SYNC, SYNC + ASYNC):
            script = Script(seed)
            ours = await by_resilix(script, is_async=True)
            assert ours == await by_tenacity(script, is_async=True), f"seed {seed}"
            logs.append(ours)
        return logs

    assert seen(asyncio.run(compare()))["run"] > 1.5 * ASYNC
