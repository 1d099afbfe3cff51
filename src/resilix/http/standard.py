"""``standard``: the pipeline most people want around an HTTP client, one set of state per origin."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Literal, TypeAlias

from tenacity.wait import wait_base

from resilix.core import options
from resilix.core.options import Seconds, checked, refuse
from resilix.core.verdict import refuse_async
from resilix.http.conduct import Conduct, Counters, OnReject
from resilix.http.idempotency import KeyForm
from resilix.http.recipe import NO_OPTIONS, OWNER, BreakerOption, BudgetOption, KeyState, Recipe
from resilix.http.routes import Known, Route, Routes, forget
from resilix.http.rules import Classify
from resilix.http.states import KeyedStates, origin_of
from resilix.policies.registry import REGISTRY

MOST_KEYS: Final = 1024
"""How many keys are remembered by default."""
HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token, RFC 9110 section 5.1."""

Per: TypeAlias = Literal["origin"] | Callable[[Any], str] | None
"""How the state is split: by origin, by a function of the request, or not at all."""


class Standard:
    """Made by :func:`standard`, where its options are described."""

    def __init__(
        self,
        name: str,
        *,
        per: Per,
        conduct: Conduct,
        make: Callable[[str, str], KeyState],
        retries: int,
        most_keys: int,
    ) -> None:
        self.name = name
        self.conduct = conduct
        self.counters = Counters()
        self.retries: float = retries
        REGISTRY.count(self)
        self._key_of = None if per is None or per == "origin" else per
        self._state = make(name, "") if per is None else None
        known: dict[str, Known] = {}
        self._keyed: KeyedStates[KeyState] = KeyedStates(
            lambda key: make(f"{name} {key}", key),
            limit=most_keys,
            busy=lambda state: state.busy,
            evicted=partial(_retire, known),
        )
        self.routes = Routes(None if self._state is None else self._state.route, self._keyed, known)

    def __repr__(self) -> str:
        return f"standard({self.name!r})"

    def route(self, request: Any) -> Route:
        """The policies of a request."""
        if self._state is not None:
            return self._state.route
        if self._key_of is not None:
            return self._keyed.get(self._key_of(request)).route
        key = origin_of(request.url)
        route = self._keyed.get(key).route
        self.routes.learn(request.url, key, route)
        return route

    def _renew(self) -> None:
        self._keyed.forget()
        self.counters.forget()

    # -- reading -------------------------------------------------------------------------------------------

    @property
    def calls_total(self) -> int:
        """Requests that came in; redirects and auth round trips count one each."""
        return self.counters.calls

    @property
    def attempts_total(self) -> int:
        """Requests that were handed to the transport inside."""
        return self.counters.attempts

    @property
    def rejected_total(self) -> int:
        """Calls that ended with a refusal by a policy."""
        return self.counters.rejected

    def states(self) -> dict[str, KeyState]:
        """The policies of every key seen lately, by key; for looking, and for opening a breaker by hand.

        Example::

            policy.states()["https://api.example.com"].breaker.snapshot()
        """
        if self._state is not None:
            return {"": self._state}
        return dict(self._keyed)


@checked(OWNER, 'standard("quotes")', method=False)
def standard(
    name: str,
    *,
    per: Per = "origin",
    attempts: int = 3,
    wait: Seconds | Callable[[int], Seconds] | wait_base | None = None,
    attempt_timeout: Seconds | None = 10.0,
    within: Seconds | None = 30.0,
    limit: int | None = None,
    max_wait: Seconds = 0.0,
    budget: BudgetOption = NO_OPTIONS,
    breaker: BreakerOption = NO_OPTIONS,
    retry_after_cap: Seconds = 60.0,
    idempotency_key: KeyForm | None = None,
    on_reject: OnReject = "raise",
    classify: Classify | None = None,
    attempt_header: str | None = None,
    deadline_header: str | None = None,
    most_keys: int = MOST_KEYS,
) -> Standard:
    """The pipeline most people want: total deadline > retry with budget > breaker > bulkhead > attempt timeout.

    Example::

        from resilix.httpx import AsyncClient, standard

        async with AsyncClient(policy=standard("quotes"), base_url="https://quotes.example.com") as client:
            reply = await client.get("/ACME")

    Each key has a breaker, a budget and a bulkhead of its own, so a dead host does not take the others down. What is
    retried and what counts as a failure is in ``docs/http.md``, method by method.

    Args:
        name: What operators see, together with the key.
        per: "origin" (scheme, host and port), or a function of the request that gives the key as a text, or ``None``
            for one set of state for everything. Never derive a key from what an attacker may choose freely.
        attempts: The most attempts of one request, the first one included; 1 for no retries.
        wait: As in ``retry``: seconds, a function of the attempt's number, or a tenacity wait.
        attempt_timeout: Seconds for one attempt: up to the head of a streamed answer, else up to the end of the body.
            ``None`` for no bound. The client's own timeouts hold as well.
        within: Seconds for the whole call: all attempts and waits, redirects, and the body. ``None`` for no bound.
        limit: The most calls at once per key, bodies included; ``None`` for no bulkhead.
        max_wait: Seconds to wait for a place; 0 for not at all. Needs ``limit``.
        budget: What retries are paid from: options of ``RetryBudget`` as a mapping, one to share between all keys, or
            ``None`` for no budget.
        breaker: Options of ``CircuitBreaker`` as a mapping, a function that makes one for a key, or ``None`` for none.
            What counts is decided by the rules and ``classify``, not by its ``on``, ``ignore`` and ``on_result``.
        retry_after_cap: Seconds; when a server asks for a longer wait, its answer is returned at once.
        idempotency_key: Give requests that need one an ``Idempotency-Key``, the same on each attempt, so that they may
            be retried: "quoted" (the draft standard), "bare" (what many services take), or a function that makes one.
        on_reject: "raise" our refusal as an error of the library's own kind too, or give a "response": 503 with
            ``Retry-After`` and ``x-should-retry: false``, which LLM SDKs understand.
        classify: Your own rules: a function of an ``Exchange`` that gives a ``Ruling``, or ``None`` for ours.
        attempt_header: A header for the number of the attempt, from 1; ``None`` for none.
        deadline_header: A header for the milliseconds the attempt has left; ``None`` for none.
        most_keys: How many keys are remembered; the least recently used go first, never one whose breaker is open and
            refuses. When none can go, further keys share one state.

    Raises:
        ConfigurationError: An option cannot mean anything sensible.

    The order is that of Microsoft's standard resilience handler; the budget is the AWS SDKs' of 2026.
    """
    if callable(name):
        raise refuse(
            OWNER,
            "name",
            name,
            "it is no decorator, but the policy of a client",
            'write Client(policy=standard("quotes"))',
        )
    options.name_of(OWNER, name)
    for option, function in (("per", per), ("idempotency_key", idempotency_key), ("classify", classify)):
        refuse_async(OWNER, option, function)
    if not (per is None or per == "origin" or callable(per)):
        raise refuse(
            OWNER, "per", per, "it says what has state of its own", 'write per="origin", per=None, or a function'
        )
    if on_reject not in ("raise", "response"):
        raise refuse(
            OWNER, "on_reject", on_reject, "it says what a refusal becomes", 'write on_reject="raise" or "response"'
        )
    if not (idempotency_key in (None, "quoted", "bare") or callable(idempotency_key)):
        raise refuse(
            OWNER,
            "idempotency_key",
            idempotency_key,
            "it says how a key is written",
            'write idempotency_key="quoted", "bare", or a function that gives one',
        )
    conduct = Conduct(
        decides=True,
        classify=None if classify is None else options.function(OWNER, "classify", classify, "exchange"),
        attempt_timeout=_bound("attempt_timeout", attempt_timeout),
        within=_bound("within", within),
        retry_after_cap=options.duration(OWNER, "retry_after_cap", retry_after_cap, zero="no waiting"),
        idempotency_key=idempotency_key,
        attempt_header=_header("attempt_header", attempt_header, "x-attempt"),
        deadline_header=_header("deadline_header", deadline_header, "x-time-left-ms"),
        on_reject=on_reject,
        timed=attempt_timeout is not None or within is not None,
    )
    options.whole(OWNER, "attempts", attempts, least=1, why="attempts counts the first one too")
    options.whole(OWNER, "most_keys", most_keys, least=1, why="it is how many keys are remembered")
    longest = options.duration(OWNER, "max_wait", max_wait, zero="no waiting")
    recipe = Recipe(
        name, conduct, attempts=attempts, wait=wait, limit=limit, max_wait=longest, budget=budget, breaker=breaker
    )
    recipe.check(name)
    return Standard(name, per=per, conduct=conduct, make=recipe.make, retries=attempts, most_keys=most_keys)


def _retire(known: dict[str, Known], state: KeyState) -> None:
    """Its names are free again, though the policies live until they are collected."""
    forget(known, state.route)
    for policy in state.own:
        REGISTRY.retire(policy)


def _bound(option: str, value: Seconds | None) -> float:
    return math.inf if value is None else options.duration(OWNER, option, value)


def _header(option: str, value: str | None, example: str) -> str | None:
    if value is None or (isinstance(value, str) and HEADER_NAME.fullmatch(value)):
        return value
    raise refuse(OWNER, option, value, "it is the name of a header", f'write {option}="{example}", say')
