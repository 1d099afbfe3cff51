"""What the processes tell the one that started them: one JSON object a line."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

UNGUARDED, GUARDED = "unguarded", "guarded"
SIDES = (UNGUARDED, GUARDED)
FRESH, FALLBACK, FAILED = "fresh", "fallback", "failed"


@dataclass(frozen=True, slots=True)
class Quote:
    """An answer to a caller.

    Attributes:
        price: The price.
        source: "fresh" or "fallback".
        since: When the server gave it, on the monotonic clock.
    """

    price: float
    source: str
    since: float


@dataclass(frozen=True, slots=True)
class Ready:
    """A process is up. ``port``: where a server listens; 0 for a client."""

    port: int = 0


@dataclass(frozen=True, slots=True)
class Load:
    """What a server has borne until now, by its own count.

    Attributes:
        at: Seconds after the start of the run.
        calls: Calls that reached it, by phase.
        busy: Workers at work now.
        waiting: Calls that wait for one now.
    """

    at: float
    calls: dict[str, int]
    busy: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Answered:
    """A request is over.

    Attributes:
        at: When it was due, in seconds after the start of the run.
        latency: Seconds from then to its end. From when it was *due*, so that a client too busy to begin in time
            does not look fast.
        outcome: "fresh", "fallback" or "failed".
        attempts: Calls it made to the server.
        age: Seconds since the answer was fresh, at the request's end.
    """

    at: float
    latency: float
    outcome: str
    attempts: int
    age: float = 0.0


@dataclass(frozen=True, slots=True)
class Gauges:
    """How the guarded side's policies stand now.

    Attributes:
        at: Seconds after the start of the run.
        state: The breaker's state.
        in_use: Places of the bulkhead taken.
        limit: Places of the bulkhead.
        budget: What is left of the retry budget, 0 to 1.
        refused: Calls refused so far, by kind.
    """

    at: float
    state: str
    in_use: int
    limit: int
    budget: float
    refused: dict[str, int]


@dataclass(frozen=True, slots=True)
class Happened:
    """An event for the log; ``to_state`` is set when the breaker changed its state."""

    at: float
    text: str
    to_state: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """A client has made all its requests, and every one of them is over.

    Attributes:
        latest: Seconds the most delayed request began after it was due: how busy the client's process was.
        surprises: Errors that neither side expects, as text; a sound run has none.
        bound: Seconds a request may take at most, by ``pipeline.explain()``; ``None`` for the unguarded side.
        state: The breaker's state at the end.
        free: Places free in the bulkhead at the end.
        limit: Places of the bulkhead.
        hook_errors: How often a listener or predicate of ours raised.
        last: Outcome of one more request, made when all was over, over the same connections.
    """

    latest: float
    surprises: list[str]
    bound: float | None = None
    state: str = ""
    free: int = 0
    limit: int = 0
    hook_errors: int = 0
    last: str = ""


Message = Ready | Load | Answered | Gauges | Happened | Done
_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in (Ready, Load, Answered, Gauges, Happened, Done)}


def encode(message: Message) -> str:
    """A message as one line."""
    return json.dumps({"is": type(message).__name__, **asdict(message)}) + "\n"


def decode(line: str) -> Message:
    """The message in a line.

    Raises:
        ValueError: It holds none.
    """
    fields = json.loads(line)
    if not isinstance(fields, dict) or fields.get("is") not in _KINDS:
        raise ValueError(f"not a message: {line!r}")
    message: Message = _KINDS[fields.pop("is")](**fields)
    return message
