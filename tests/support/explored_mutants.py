"""Mistakes that somebody could make in the policies themselves, planted one at a time, and where each is found.

They change what real classes do on the way of a real call. Each must be found by exploring one scenario, within a
stated number of schedules, or by one simulation.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from tests.support import explored, explored_http, explored_time

from resilix import ledger, runtime
from resilix.core.breaker import BreakerCore
from resilix.core.budget import BudgetCore
from resilix.core.era import Ticket
from resilix.core.permits import Hold, PermitQueue
from resilix.core.verdict import Verdict
from resilix.http import quiet, shells, streams
from resilix.policies import retry
from resilix.policies.breaker_calls import BreakerCalls
from resilix.policies.bulkhead_calls import BulkheadCalls
from resilix.policies.retry_call import RetryCall
from resilix.policies.weave import LOOM

Plant = Callable[[pytest.MonkeyPatch], None]


class Mutant(NamedTuple):
    """One mistake.

    Attributes:
        plant: Makes it.
        scenario: Where it is found.
        within: In how many schedules, at most.
    """

    plant: Plant
    scenario: Callable[..., Any]
    within: int


def instead(owner: Any, name: str, fn: Callable[..., Any]) -> Plant:
    """Have a function do something else; it is given the one that was there first."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        original = getattr(owner, name)
        patch.setattr(owner, name, lambda *args, **options: fn(original, *args, **options))

    return plant


def both(*plants: Plant) -> Plant:
    """A mistake that stands in two places."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        for one in plants:
            one(patch)

    return plant


# -- bulkhead ----------------------------------------------------------------------------------------------------


def _keep_when_cancelled(drop: Any, self: Hold) -> None:
    """What a cancelled caller was handed in that very moment is not given on."""
    if self.queued or not isinstance(sys.exception(), asyncio.CancelledError):
        drop(self)


def _stay_in_line(drop: Any, self: Hold) -> None:
    """A caller that gives up stays in line, and is handed a place when its turn comes."""
    if not self.queued:
        drop(self)


def _free_although_somebody_waits(drop: Any, self: PermitQueue, hold: Hold) -> None:
    if hold.queued or hold.needed != 1:
        drop(self, hold)
    else:
        hold.needed = 0
        self.free += 1


def _hand_over_and_free(let_go: Any, self: PermitQueue, hold: Hold) -> Any:
    heir = let_go(self, hold)
    if heir is not None:
        self.free += 1
    return heir


def _last_come_first_served(enqueue: Any, self: PermitQueue, hold: Hold, wake: Any) -> bool:
    lined_up = enqueue(self, hold, wake)
    before = hold.before
    if hold.queued and before is not None and self._first is not None:
        before.after, self._last, hold.before = None, before, None
        hold.after, self._first.before, self._first = self._first, hold, hold
    return bool(lined_up)


def _take_those_behind_along(let_go: Any, self: PermitQueue, hold: Hold) -> Any:
    behind = hold.after if hold.queued and hold.before is not None else None
    heir = let_go(self, hold)
    if behind is not None and behind.before is not None:
        self._last, behind.before.after = behind.before, None
    return heir


def _ignore_that_it_is_late(end: Any, self: Any, hold: Hold, started: float, longest: Any, label: str) -> None:
    if not hold.needed:
        end(self, hold, started, longest, label)


def _forget_those_taken(attend: Any, self: PermitQueue) -> None:
    """Whoever looks again whether somebody listens counts from the limit, and not from what is free."""
    attend(self)
    if self.attended:
        self.kept = self.limit
    elif not self.waiting:
        self.free = self.limit


BULKHEAD = {
    "places in use are free again when somebody begins to listen": Mutant(
        instead(PermitQueue, "attend", _forget_those_taken), explored.meddling, 50
    ),
    "a place handed to a caller that is just being cancelled is lost": Mutant(
        instead(Hold, "drop", _keep_when_cancelled), explored.crowd, 100
    ),
    "a caller that gives up stays in line": Mutant(instead(Hold, "drop", _stay_in_line), explored.crowd, 100),
    "a place is freed and nobody is woken": Mutant(
        instead(PermitQueue, "drop", _free_although_somebody_waits), explored.crowd, 20
    ),
    "a place is handed over and freed as well": Mutant(
        instead(PermitQueue, "_let_go", _hand_over_and_free), explored.crowd, 20
    ),
    "the last that came is served first": Mutant(
        instead(PermitQueue, "enqueue", _last_come_first_served), explored.line, 20
    ),
    "who leaves the line takes those behind along": Mutant(
        instead(PermitQueue, "_let_go", _take_those_behind_along), explored.line, 200
    ),
    "a place is used although the deadline has passed": Mutant(
        instead(BulkheadCalls, "_end_of_wait", _ignore_that_it_is_late), explored_time.last_moment, 50
    ),
}


# -- breaker -----------------------------------------------------------------------------------------------------


def _settle_into_the_era_that_is_now(
    settle: Any, self: BreakerCore, ticket: Ticket, *args: Any, **options: Any
) -> None:
    ticket.era = self.era
    settle(self, ticket, *args, **options)


def _report_to_the_era_that_is_now(report: Any, self: BreakerCore, era: Any, *args: Any, **options: Any) -> None:
    report(self, self.era, *args, **options)


def _never_expire(expire: Any, self: BreakerCore, era: Any, now: float) -> Any:
    return era


def _keep_the_probe(
    settle: Any, self: BreakerCore, ticket: Ticket, verdict: Verdict, *args: Any, **options: Any
) -> None:
    if ticket.lease == math.inf or verdict is not Verdict.IGNORED:
        settle(self, ticket, verdict, *args, **options)


def _count_cancellations(conclude: Any, self: Any, ticket: Ticket, judge: Any, outcome: object) -> None:
    cancelled = isinstance(outcome, asyncio.CancelledError)
    conclude(self, ticket, (lambda error: Verdict.FAILURE) if cancelled else judge, outcome)


BREAKER = {
    "there is no bound on probes": Mutant(
        instead(BreakerCore, "_free_probes", lambda free, self, era: max(0, free(self, era))), explored.probes, 20
    ),
    "probes in flight are bounded, and not those that are in": Mutant(
        instead(BreakerCore, "_free_probes", lambda free, self, era: free(self, era) + era.good_probes),
        explored.probes,
        100,
    ),
    "an echo of a call that was looked at counts": Mutant(
        instead(BreakerCore, "settle", _settle_into_the_era_that_is_now), explored.probes, 400
    ),
    "an echo of a quiet call counts": Mutant(
        instead(BreakerCore, "report", _report_to_the_era_that_is_now), explored.probes, 200
    ),
    "a lease does not end": Mutant(instead(BreakerCore, "_expire_leases", _never_expire), explored.probes, 50),
    "a cancelled probe keeps its place": Mutant(instead(BreakerCore, "settle", _keep_the_probe), explored.probes, 200),
    "a cancelled probe counts as failed": Mutant(
        instead(BreakerCalls, "_conclude", _count_cancellations), explored.probes, 200
    ),
}


# -- timeout -----------------------------------------------------------------------------------------------------


def _ours_whatever_came(was_ours: Any, task: Any, cancelling: int, error: BaseException | None) -> bool:
    task.uncancel()
    return isinstance(error, asyncio.CancelledError)


def _not_taken_back(was_ours: Any, task: Any, cancelling: int, error: BaseException | None) -> bool:
    return task.cancelling() <= cancelling + 1 and isinstance(error, asyncio.CancelledError)


def _nobody_else(fire: Any, self: ledger.Page) -> None:
    """When the first runs out of time, the next is cancelled along with it."""
    fire(self)
    following = next(iter(self.live), None)
    if following is not None:
        self.live[following] = (-math.inf, self.live[following][1])
        fire(self)


def _only_for_one(start: Any, self: ledger.Page, when: float) -> None:
    if len(self.live) == 1:
        start(self, when)


def _everywhere(fn: Callable[..., Any]) -> Plant:
    return both(instead(ledger, "was_ours", fn), instead(runtime, "was_ours", fn))


TIMEOUT = {
    "a timeout swallows a cancellation from outside": Mutant(
        _everywhere(_ours_whatever_came), explored_time.limits, 100
    ),
    "a timeout does not take its cancellation back": Mutant(_everywhere(_not_taken_back), explored_time.limits, 20),
    "a timeout cancels a call that has time left": Mutant(
        instead(ledger.Page, "_fire", _nobody_else), explored_time.limits, 50
    ),
    "a timeout forgets the calls that began later": Mutant(
        instead(ledger.Page, "_start", _only_for_one),
        explored_time.limits,
        50,
    ),
}


# -- retry -------------------------------------------------------------------------------------------------------


RETRY = {
    "a retry that succeeded pays nothing back": Mutant(
        instead(RetryCall, "done", lambda done, self: None), explored_time.purse, 20
    ),
    "a retry that succeeded pays back for every attempt": Mutant(
        instead(
            RetryCall,
            "done",
            lambda done, self: self._plan.budget.give(self._plan.budget.cost * (self._attempts.number - 1)),
        ),
        explored_time.purse,
        100,
    ),
    "an empty budget still pays": Mutant(
        instead(BudgetCore, "spend", lambda spend, self: spend(self) or True), explored_time.purse, 50
    ),
    "a call that is being cancelled is tried again": Mutant(
        instead(retry, "cancel_requested", lambda asked: False), explored_time.called_off, 20
    ),
}

# -- HTTP --------------------------------------------------------------------------------------------------------


async def _leave_it_open(adropped: Any, self: shells.HttpOutcomes, args: Any, result: Any) -> None:
    """Nothing is done about an answer that another attempt replaces."""


def _without_the_body(leave: Any, bulkhead: Any, call: Any, proof: Any) -> None:
    bulkhead._end(proof)


def _only_when_it_ends_well(finish: Any, self: streams.Body, error: BaseException | None) -> None:
    if error is None:
        finish(self, error)
    else:
        self.settles = ()


HTTP = {
    "an answer that another replaces stays open": Mutant(
        instead(shells.HttpOutcomes, "adropped", _leave_it_open), explored_http.with_httpx, 50
    ),
    "a place is given back before the body has ended": Mutant(
        both(instead(shells, "leave_place", _without_the_body), instead(quiet, "leave_place", _without_the_body)),
        explored_http.with_httpx2,
        50,
    ),
    "a body that dies keeps its place": Mutant(
        instead(streams.Body, "finish", _only_when_it_ends_well), explored_http.with_httpx, 50
    ),
}

MUTANTS: dict[str, Mutant] = {**BULKHEAD, **BREAKER, **TIMEOUT, **RETRY, **HTTP}


@contextmanager
def planted(plant: Plant) -> Iterator[None]:
    """Have the mistake in the block; nothing woven with it is kept."""
    with pytest.MonkeyPatch.context() as patch:
        LOOM.forget()
        plant(patch)
        try:
            yield
        finally:
            LOOM.forget()
