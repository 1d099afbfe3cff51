"""stamina: retry, built on tenacity; its hooks (logs, metrics) are off."""

from __future__ import annotations

import stamina
import stamina.instrumentation

from benchmarks.peers.peer import Decorator, Peer

stamina.instrumentation.set_on_retry_hooks([])


def retrying() -> Decorator:
    """Three attempts."""
    return stamina.retry(on=ValueError, attempts=3, timeout=None, wait_initial=0, wait_max=0, wait_jitter=0)


PEERS = [Peer("stamina", ("stamina",), "import stamina", retry=retrying, aretry=retrying)]
