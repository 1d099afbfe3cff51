"""What each peer is known to lack or to get wrong, and what it does better: words, and the experiment that shows it.

Only what the experiment reproduced with the installed version is printed beside a figure.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import Any

from benchmarks.peers.peer import Peer, Roster
from benchmarks.peers.probes import composing, counting, recovery, retrying
from benchmarks.peers.probes.experiment import Probe
from benchmarks.peers.probes.presence import nothing_called, something_called, whole

CONTROL = "resilix"
"""With which every experiment is made too."""


@dataclass(frozen=True)
class Claim:
    """One thing that is said of a peer.

    Attributes:
        peer: Its name.
        part: "breaker", "retry", "pipeline", "http", or "whole" for the library.
        form: "sync", "async", or "" for both.
        words: What is said.
        probe: The experiment.
        better: It is something that resilix lacks.
        own: The experiment is about this peer alone and cannot be made with resilix.
    """

    peer: str
    part: str
    form: str
    words: str
    probe: Probe
    better: bool = False
    own: bool = False


def _both(peer: str, part: str, words: str, sync: Probe, awaited: Probe) -> list[Claim]:
    return [Claim(peer, part, "sync", words, sync), Claim(peer, part, "async", words, awaited)]


HERD = "no limit on trial calls after the break"
LATE = "a success from before the break closes it"
IN_A_ROW = "counts failures in a row only"
TRIPPING = "the call that opens it raises another error"
BREAKER_GENERATORS = "blind to generators"
RETRY_GENERATORS = "generators are not retried"
SLEEPS = "calls time.sleep(0)"
GOES_ON = "retries in a cancelled task"
OWN_ERROR = "hides the last error in its own"
THREAD = "a new thread for each call"
KEEPS = "keeps the last error and its frames alive"
SERIAL = "one call at a time: its lock is held around your function"
NO_BREAKER, NO_RETRY, NO_BULKHEAD, NO_BUDGET = "no breaker", "no retry", "no bulkhead", "no retry budget"

NO_BREAKERS = nothing_called("breaker", "circuit")
NO_RETRIES = nothing_called("retry", "retries")
NO_BULKHEADS = nothing_called("bulkhead", "semaphore")
NO_BUDGETS = nothing_called("budget")
USUAL, LEAN = "tenacity + pybreaker + Semaphore + pool", "backoff + circuitbreaker + Semaphore + pool"
A_USUAL, A_LEAN = "tenacity + aiobreaker + anyio", "backoff + circuitbreaker + asyncio"

CLAIMS: list[Claim] = [
    *[Claim(name, "whole", "", NO_BREAKER, NO_BREAKERS) for name in ("tenacity", "stamina", "backoff")],
    *[
        Claim(name, "whole", "", NO_RETRY, NO_RETRIES)
        for name in ("pybreaker", "circuitbreaker", "aiobreaker", "purgatory")
    ],
    *[Claim(name, "retry", "", NO_BUDGET, NO_BUDGETS) for name in ("tenacity", "stamina", "backoff")],
    *[Claim(name, "retry", "", NO_BUDGET, NO_BUDGETS) for name in ("interlock-cb", "crashbytes-resilience", "hyx")],
    *[
        Claim(name, "retry", "sync", SLEEPS, retrying.sleeps)
        for name in (
            "tenacity",
            "stamina",
            "backoff",
            "interlock-cb",
            "pyresilience",
            "redress",
            "crashbytes-resilience",
        )
    ],
    *[
        Claim(name, "retry", "sync", RETRY_GENERATORS, retrying.generator_not_retried)
        for name in ("tenacity", "backoff", "interlock-cb", "pyresilience", "redress", "crashbytes-resilience")
    ],
    *[
        Claim(name, "retry", "async", GOES_ON, retrying.goes_on)
        for name in (
            "tenacity",
            "stamina",
            "backoff",
            "interlock-cb",
            "pyresilience",
            "redress",
            "crashbytes-resilience",
            "hyx",
        )
    ],
    Claim(
        "tenacity",
        "retry",
        "async",
        "retry_if_not_exception_type retries a cancellation",
        retrying.retries_cancellation,
        own=True,
    ),
    Claim("crashbytes-resilience", "retry", "", OWN_ERROR, retrying.last_error),
    Claim("hyx", "retry", "async", OWN_ERROR, retrying.last_error),
    Claim("hyx", "retry", "async", "attempts=3 makes four calls", retrying.off_by_one, own=True),
    Claim("pybreaker", "breaker", "sync", SERIAL, recovery.serial),
    Claim("pybreaker", "breaker", "sync", "no asyncio: blind to async def", recovery.blind),
    Claim("pybreaker", "breaker", "sync", TRIPPING, counting.tripping_error),
    *_both("circuitbreaker", "breaker", HERD, recovery.herd, recovery.aherd),
    *_both("circuitbreaker", "breaker", LATE, recovery.late, recovery.alate),
    Claim("circuitbreaker", "breaker", "async", "a cancelled trial call closes it", recovery.cancelled_closes),
    Claim("circuitbreaker", "breaker", "", KEEPS, counting.keeps_error),
    *_both("aiobreaker", "breaker", HERD, recovery.herd, recovery.aherd),
    *_both("aiobreaker", "breaker", TRIPPING, counting.tripping_error, counting.atripping_error),
    *_both("purgatory", "breaker", HERD, recovery.herd, recovery.aherd),
    Claim("purgatory", "breaker", "async", "a cancelled call counts as failed", recovery.cancelled_counts),
    Claim("purgatory", "breaker", "", "one error object for all refusals, its traceback grows", counting.one_error),
    *[
        Claim(name, "breaker", "", IN_A_ROW, counting.no_rate)
        for name in ("pybreaker", "circuitbreaker", "aiobreaker", "purgatory", "crashbytes-resilience", "hyx")
    ],
    *[
        Claim(name, "breaker", "sync", BREAKER_GENERATORS, counting.generators)
        for name in ("purgatory", "interlock-cb", "pyresilience", "redress", "crashbytes-resilience")
    ],
    Claim("interlock-cb", "breaker", "", "dearer, the longer its time window", composing.window_grows, own=True),
    Claim("interlock-cb", "breaker", "", "a classifier that raises wedges it half-open", composing.wedged, own=True),
    Claim("interlock-cb", "breaker", "", KEEPS, counting.keeps_error),
    Claim("interlock-cb", "pipeline", "sync", THREAD, composing.thread_a_call),
    *_both("pyresilience", "breaker", HERD, recovery.herd, recovery.aherd),
    Claim(
        "pyresilience", "breaker", "", "dearer, the more calls its window holds", composing.count_window_grows, own=True
    ),
    Claim("pyresilience", "pipeline", "sync", "a TimeoutError of yours breaks its timeout", composing.poisoned),
    Claim("redress", "whole", "", NO_BULKHEAD, NO_BULKHEADS),
    Claim("redress", "pipeline", "", "its breaker counts calls, not attempts", composing.counts_calls),
    Claim("redress", "pipeline", "sync", THREAD, composing.thread_a_call),
    *_both("crashbytes-resilience", "breaker", HERD, recovery.herd, recovery.aherd),
    *_both("crashbytes-resilience", "breaker", LATE, recovery.late, recovery.alate),
    Claim("crashbytes-resilience", "pipeline", "sync", THREAD, composing.thread_a_call),
    Claim("hyx", "breaker", "async", HERD, recovery.aherd),
    Claim("hyx", "whole", "", "async def only", counting.async_only),
    Claim("hyx", "pipeline", "async", "its timeout cannot decorate at import", composing.needs_loop, own=True),
    Claim("httpx-retries", "http", "", NO_BREAKER, NO_BREAKERS),
    Claim("httpx-retries", "whole", "", NO_BREAKER, NO_BREAKERS),
    Claim("httpx-retries", "http", "", NO_BUDGET, NO_BUDGETS),
    Claim(
        "httpx-retries",
        "http",
        "",
        "as it comes, waits 20 minutes for Retry-After: 3600",
        retrying.obeys_any_wait,
        own=True,
    ),
    Claim(USUAL, "pipeline", "sync", SERIAL, whole(recovery.serial)),
    Claim(USUAL, "pipeline", "sync", TRIPPING, whole(counting.tripping_error)),
    Claim(LEAN, "pipeline", "sync", LATE, whole(recovery.late)),
    Claim(LEAN, "pipeline", "sync", KEEPS, whole(counting.keeps_error)),
    Claim(A_USUAL, "pipeline", "async", TRIPPING, whole(counting.atripping_error)),
    Claim(A_USUAL, "pipeline", "async", GOES_ON, whole(retrying.goes_on)),
    Claim(A_LEAN, "pipeline", "async", LATE, whole(recovery.alate)),
    Claim(A_LEAN, "pipeline", "async", GOES_ON, whole(retrying.goes_on)),
    Claim("stamina", "retry", "sync", "retries generator functions", retrying.retries_generators, better=True),
    *[
        Claim(name, "breaker", "sync", "guards generator functions", counting.guards_generators, better=True)
        for name in ("pybreaker", "circuitbreaker", "aiobreaker")
    ],
    *[
        Claim(name, "whole", "", "state shared through Redis", something_called("redis"), better=True)
        for name in ("pybreaker", "aiobreaker", "purgatory", "interlock-cb")
    ],
    *[
        Claim(name, "whole", "", "a rate limiter", something_called("rate_limiter", "ratelimit"), better=True)
        for name in ("pyresilience", "crashbytes-resilience", "hyx")
    ],
]


def try_out(roster: Roster, claims: list[Claim] = CLAIMS) -> list[dict[str, Any]]:
    """Make every experiment; say which claims it bore out and what came out with resilix."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _try_out(roster, claims)
    finally:
        logging.disable(before)


def _try_out(roster: Roster, claims: list[Claim]) -> list[dict[str, Any]]:
    present = {peer.name: peer for peer in roster.peers}
    found = []
    for claim in claims:
        if claim.peer not in present:
            continue
        evidence = _made(claim.probe, present[claim.peer])
        control = _made(claim.probe, present[CONTROL]) if not claim.own and CONTROL in present else None
        found.append({
            "peer": claim.peer,
            "part": claim.part,
            "form": claim.form,
            "words": claim.words,
            "better": claim.better,
            "evidence": evidence if evidence and not evidence.startswith(BROKEN) else None,
            "trouble": evidence if evidence and evidence.startswith(BROKEN) else None,
            "resilix": None if control and control.startswith(BROKEN) else control,
            "resilix_tried": not claim.own,
        })  # fmt: skip
    return found


BROKEN = "the experiment failed: "


def _made(probe: Probe, peer: Peer) -> str | None:
    try:
        return probe(peer)
    except LookupError:  # it has no such part
        return None
    except Exception as error:
        return f"{BROKEN}{type(error).__name__}: {error}"


def beside(claims: list[dict[str, Any]], peer: str, parts: tuple[str, ...], form: str = "") -> list[str]:
    """The shortcomings that were reproduced, for these parts of a peer in this form."""
    words = [
        one["words"]
        for one in claims
        if one["peer"] == peer
        and one["part"] in parts
        and one["evidence"]
        and not one["better"]
        and (not one["form"] or not form or one["form"] == form)
    ]
    return list(dict.fromkeys(words))
