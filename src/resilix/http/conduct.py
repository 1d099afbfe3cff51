"""How a transport behaves besides its policies, and what it counted."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal, TypeAlias

from resilix.http.idempotency import KeyForm
from resilix.http.rules import Classify

OnReject: TypeAlias = Literal["raise", "response"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conduct:
    """The options of a transport that are no policy.

    Attributes:
        decides: The HTTP rules alone say what is retried and what counts; otherwise the options of the policies do, and
            the rules only keep unsafe requests from being sent again.
        classify: The user's own rules, asked before ours.
        attempt_timeout: Seconds for one attempt; infinite without a bound.
        within: Seconds for the whole call, its body included; infinite without a bound.
        retry_after_cap: Seconds; a server that asks for a longer wait gets no retry.
        idempotency_key: The form of the key we give to requests that need one; ``None`` for no key.
        attempt_header: The header that carries the number of the attempt, if any.
        deadline_header: The header that carries the milliseconds left, if any.
        on_reject: Whether a refusal is raised or made a response.
        timed: Any bound of time is set, here or by a policy.
    """

    decides: bool = False
    classify: Classify | None = None
    attempt_timeout: float = float("inf")
    within: float = float("inf")
    retry_after_cap: float = 60.0
    idempotency_key: KeyForm | None = None
    attempt_header: str | None = None
    deadline_header: str | None = None
    on_reject: OnReject = "raise"
    timed: bool = False


class Counters:
    """What happened so far, as plain integers; exact across threads.

    Attributes:
        calls: Requests that came in, redirects and auth round trips one each.
        attempts: Requests handed to the inner transport.
        rejected: Calls refused by a policy of ours without an attempt being made by that refusal.
    """

    __slots__ = ("_lock", "attempts", "calls", "rejected")

    def __init__(self) -> None:
        self.calls = 0
        self.attempts = 0
        self.rejected = 0
        self._lock = threading.Lock()

    def count(self, name: Literal["calls", "attempts", "rejected"]) -> None:
        """One more, where there is no GIL; with one, ``+= 1`` cannot be torn and needs no lock."""
        with self._lock:
            setattr(self, name, getattr(self, name) + 1)
