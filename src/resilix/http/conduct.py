"""How a transport behaves besides its policies, and what it counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from resilix.attention import GIL
from resilix.http.idempotency import KeyForm
from resilix.http.rules import Classify
from resilix.locks import Lock

LABEL: Final = "http"
"""What events call the requests of policies that have no name."""
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
        quiet: Requests that were handed to the inner transport at once, on the quiet path: each a call and an attempt.
        rejected: Calls refused by a policy of ours without an attempt being made by that refusal.
    """

    __slots__ = ("_attempts", "_calls", "_lock", "quiet", "rejected")

    def __init__(self) -> None:
        self.quiet = 0
        self.rejected = 0
        self._calls = 0
        self._attempts = 0
        self._lock = Lock()

    @property
    def calls(self) -> int:
        """Requests that came in, redirects and auth round trips one each."""
        return self.quiet + self._calls

    @property
    def attempts(self) -> int:
        """Requests handed to the inner transport."""
        return self.quiet + self._attempts

    def forget(self) -> None:
        """Count from nothing again."""
        with self._lock:
            self.quiet = self.rejected = self._calls = self._attempts = 0

    # With a GIL ``+= 1`` cannot be torn and needs no lock.

    def call(self) -> None:
        """One more came in."""
        if GIL:
            self._calls += 1
        else:
            with self._lock:
                self._calls += 1

    def attempt(self) -> None:
        """One more is handed on."""
        if GIL:
            self._attempts += 1
        else:
            with self._lock:
                self._attempts += 1

    def reject(self) -> None:
        """One more was refused."""
        if GIL:
            self.rejected += 1
        else:
            with self._lock:
                self.rejected += 1
