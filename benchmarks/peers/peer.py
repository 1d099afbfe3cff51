"""What a peer has to offer for a job, and the roster of all of them."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Function = Callable[..., Any]
Decorator = Callable[[Function], Function]

NEVER = 10**9
"""Failures in a row that no breaker here ever sees."""

ALL_PARTS = ("retry", "breaker", "bulkhead", "timeout")


@dataclass(frozen=True)
class Peer:
    """A library, or a stack assembled from several, set to the jobs of this benchmark.

    A part that is ``None`` is one it does not have. What the parts promise is tried out by ``checks`` before
    anything is timed.

    Attributes:
        name: As it stands in the tables.
        distributions: Whose versions are shown.
        statement: What a user imports.
        breaker: Makes a decorator: it opens after so many failures and tries again after so many seconds.
        abreaker: The same for ``async def``.
        refused: What an open breaker raises.
        retry: Makes a decorator: three attempts on ``ValueError``, without a wait.
        aretry: The same for ``async def``.
        pipeline: Makes a decorator of as much of retry, breaker, bulkhead and timeout as there is. Its arguments: the
            breaker's failures, the bulkhead's places, the timeout's seconds or ``None`` for no timeout.
        apipeline: The same for ``async def``.
        parts: What its pipeline holds, of ``ALL_PARTS``.
        idle: Makes one breaker as it comes.
        http: Puts three attempts, without a wait, around an httpx transport; gives the function that sends.
        ahttp: The same, async.
    """

    name: str
    distributions: tuple[str, ...]
    statement: str
    breaker: Callable[[int, float], Decorator] | None = None
    abreaker: Callable[[int, float], Decorator] | None = None
    refused: type[BaseException] = Exception
    retry: Callable[[], Decorator] | None = None
    aretry: Callable[[], Decorator] | None = None
    pipeline: Callable[[int, int, float | None], Decorator] | None = None
    apipeline: Callable[[int, int, float | None], Decorator] | None = None
    parts: tuple[str, ...] = ALL_PARTS
    idle: Callable[[], Any] | None = None
    http: Callable[[Any], Function] | None = None
    ahttp: Callable[[Any], Function] | None = None

    @property
    def ours(self) -> bool:
        """Whether it is resilix itself."""
        return self.distributions == ("resilix-toolkit",)

    def offers(self, part: str, *, awaited: bool) -> bool:
        """Whether it has this part, for ``def`` or for ``async def``."""
        return getattr(self, f"a{part}" if awaited else part) is not None


ADAPTERS = {
    "resilix": "with_resilix",
    "tenacity": "with_tenacity",
    "stamina": "with_stamina",
    "backoff": "with_backoff",
    "pybreaker": "with_pybreaker",
    "circuitbreaker": "with_circuitbreaker",
    "aiobreaker": "with_aiobreaker",
    "purgatory": "with_purgatory",
    "interlock-cb": "with_interlock",
    "pyresilience": "with_pyresilience",
    "redress": "with_redress",
    "crashbytes-resilience": "with_crashbytes",
    "hyx": "with_hyx",
    "httpx-retries": "with_httpx_retries",
    "stacks": "with_stacks",
}
"""Distribution → the module here that knows how to use it."""


@dataclass
class Roster:
    """Who takes part.

    Attributes:
        peers: Those that could be imported.
        missing: The others, each with the reason.
    """

    peers: list[Peer] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)

    def named(self, name: str) -> Peer:
        """The peer of that name."""
        return next(peer for peer in self.peers if peer.name == name)

    def versions(self) -> dict[str, str]:
        """The installed version of everything that takes part."""
        names = {name: None for peer in self.peers for name in peer.distributions}
        return {name: importlib.metadata.version(name) for name in names}


def muster(adapters: dict[str, str] = ADAPTERS, reasons: dict[str, str] | None = None) -> Roster:
    """Import every adapter; what cannot be imported is kept with its reason.

    Args:
        adapters: Distribution → module.
        reasons: Why an installation failed, where it did.
    """
    roster = Roster()
    for name, module in adapters.items():
        try:
            roster.peers += importlib.import_module(f"benchmarks.peers.adapters.{module}").PEERS
        except ImportError as error:
            roster.missing[name] = (reasons or {}).get(name, f"{type(error).__name__}: {error}")
    return roster
