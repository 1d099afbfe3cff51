"""tenacity: retry."""

from __future__ import annotations

import tenacity

from benchmarks.parts import tenacious
from benchmarks.peers.peer import Decorator, Peer


def retrying() -> Decorator:
    """Three attempts."""
    return tenacious


PEERS = [Peer(tenacity.__name__, ("tenacity",), "import tenacity", retry=retrying, aretry=retrying)]
