# pyright: reportPrivateUsage=false
# _begin and _end, _bind and _judge of our own policies are the seams that this module was given.
"""Policies around HTTP: as they are everywhere, but the permits of a breaker or a bulkhead last as long as the body.

A breaker settles at the head when the answer is a failure or counts as nothing; a good answer settles when its body
has ended, and a body that dies makes it a failure. A timeout becomes a moment that the transport obeys: a worker thread
or a cancellation would leave a connection behind.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from resilix.core.retry_plan import Answer
from resilix.core.verdict import Verdict
from resilix.errors import RejectedError
from resilix.http import dropping, faults
from resilix.http.call import Call
from resilix.http.conduct import Conduct
from resilix.http.rules import Failure, failure_of
from resilix.http.sending import ANSWERED, asend, send
from resilix.policies.base import Policy
from resilix.policies.breaker import CircuitBreaker
from resilix.policies.bulkhead import Bulkhead
from resilix.policies.hazards import flatten, kind_of
from resilix.policies.target import Target

Shell: TypeAlias = Callable[[Call], Any]
AsyncShell: TypeAlias = Callable[[Call], Awaitable[Any]]

FIRST_JUDGED = 429
"""Statuses below it are answers to a breaker: nothing to judge."""
NO = Answer(False)
"""No further attempt."""
SPREAD = 0.1
"""How much of a server's Retry-After is added at most, at random."""
LEAST_SPREAD = 0.1
"""Seconds that are added at most to a short one."""


def shells_of(policies: Sequence[Policy[Any]], conduct: Conduct, label: str) -> tuple[Shell, AsyncShell]:
    """Make the sync and the async pipeline of these policies over HTTP.

    Args:
        policies: Outermost first; pipelines are laid open.
        conduct: How the transport behaves besides.
        label: What events call the calls.
    """
    flat = flatten(policies)
    outcomes = HttpOutcomes(conduct)
    sync = Target(send, is_async=False, label=label, outcomes=outcomes)
    awaited = Target(asend, is_async=True, label=label, outcomes=outcomes)
    for index in range(len(flat) - 1, -1, -1):
        retried = any(kind_of(one) == "retry" for one in flat[:index])
        sync, awaited = (
            target.around(_around(flat[index], target, conduct, label, total=not retried), flat[index])
            for target in (sync, awaited)
        )
    return sync.fn, awaited.fn


def _around(policy: Any, target: Target, conduct: Conduct, label: str, *, total: bool) -> Any:
    kind, fn, is_async = kind_of(policy), target.fn, target.is_async
    if kind == "breaker":
        quick = conduct.decides and conduct.classify is None
        return _breaker_async(policy, fn, quick=quick) if is_async else _breaker(policy, fn, quick=quick)
    if kind == "bulkhead":
        return _bulkhead_async(policy, fn, label) if is_async else _bulkhead(policy, fn, label)
    if kind == "timeout":
        return _limit_async(policy.seconds, fn, total=total) if is_async else _limit(policy.seconds, fn, total=total)
    if kind == faults.KIND:
        return faults.around_async(policy, fn, label) if is_async else faults.around(policy, fn, label)
    shell = policy._bind(target)
    return shell if kind == "retry" else _narrowed_async(shell) if is_async else _narrowed(shell)


def _narrowed(fn: Shell) -> Shell:
    """A policy that may look at the deadline; ours that do so when something has failed are told then."""

    def narrowed(call: Call) -> Any:
        call.narrow()
        return fn(call)

    return narrowed


def _narrowed_async(fn: AsyncShell) -> AsyncShell:
    async def narrowed(call: Call) -> Any:
        call.narrow()
        return await fn(call)

    return narrowed


# -- breaker -------------------------------------------------------------------------------------------------------


def _breaker(breaker: CircuitBreaker, fn: Shell, *, quick: bool) -> Shell:
    def held(call: Call) -> Any:
        proof = breaker._begin() if call.first is None else call.first.take_era()
        try:
            response = fn(call)
        except BaseException as error:
            _conclude(breaker, call, proof, error, None)
            raise
        if quick and call.body is None and response.status_code < FIRST_JUDGED:
            breaker._end(proof, Verdict.SUCCESS)
        else:
            _conclude(breaker, call, proof, None, response)
        return response

    return held


def _breaker_async(breaker: CircuitBreaker, fn: AsyncShell, *, quick: bool) -> AsyncShell:
    async def held(call: Call) -> Any:
        proof = breaker._begin() if call.first is None else call.first.take_era()
        try:
            response = await fn(call)
        except BaseException as error:
            _conclude(breaker, call, proof, error, None)
            raise
        if quick and call.body is None and response.status_code < FIRST_JUDGED:
            breaker._end(proof, Verdict.SUCCESS)
        else:
            _conclude(breaker, call, proof, None, response)
        return response

    return held


def _conclude(breaker: CircuitBreaker, call: Call, proof: Any, error: BaseException | None, response: Any) -> None:
    """Report the outcome, or leave that to the end of the body. An interrupt in user code gives the permit back too."""
    verdict, body = Verdict.IGNORED, call.body
    pending = False
    try:
        verdict = _verdict(breaker, call, error, response)
        if verdict is Verdict.SUCCESS and body is not None:
            body.add(partial(body_ended, breaker, call, proof))
            pending = True
    finally:
        if not pending:
            breaker._end(proof, verdict)


def body_ended(breaker: CircuitBreaker, call: Call, proof: Any, error: BaseException | None) -> None:
    """Tell the breaker how a good answer ended."""
    verdict = Verdict.IGNORED
    try:
        verdict = Verdict.SUCCESS if error is None else _verdict(breaker, call, error, None)
    finally:
        breaker._end(proof, verdict)


def _verdict(breaker: CircuitBreaker, call: Call, error: BaseException | None, response: Any) -> Verdict:
    conduct, judge = call.conduct, breaker._judge
    if error is not None:
        if not isinstance(error, Exception) or isinstance(error, RejectedError):
            return Verdict.IGNORED
        if conduct.decides:
            return call.ruling(error, None).verdict
        if failure_of(error, call.port.library.module) in (Failure.POOL, Failure.CALLER):
            return Verdict.IGNORED
        return judge.error(error)
    if judge.judges_results and not conduct.decides:
        return judge.result(response)
    if response.status_code < FIRST_JUDGED and conduct.classify is None:
        return Verdict.SUCCESS
    return call.ruling(None, response).verdict


# -- bulkhead ------------------------------------------------------------------------------------------------------


def _bulkhead(bulkhead: Bulkhead, fn: Shell, label: str) -> Shell:
    waits = bulkhead.max_wait > 0

    def placed(call: Call) -> Any:
        if waits and call.first is None:
            call.narrow(tell=False)
        proof = bulkhead._begin(label) if call.first is None else call.first.take_place()
        try:
            response = fn(call)
        except BaseException:
            bulkhead._end(proof)
            raise
        leave_place(bulkhead, call, proof)
        return response

    return placed


def _bulkhead_async(bulkhead: Bulkhead, fn: AsyncShell, label: str) -> AsyncShell:
    waits = bulkhead.max_wait > 0

    async def placed(call: Call) -> Any:
        if waits and call.first is None:
            call.narrow(tell=False)
        proof = await bulkhead._abegin(label) if call.first is None else call.first.take_place()
        try:
            response = await fn(call)
        except BaseException:
            bulkhead._end(proof)
            raise
        leave_place(bulkhead, call, proof)
        return response

    return placed


def leave_place(bulkhead: Bulkhead, call: Call, proof: Any) -> None:
    """Give a place back when the body is over."""
    if call.body is None:
        bulkhead._end(proof)
    else:
        call.body.add(lambda error: bulkhead._end(proof))


# -- timeout -------------------------------------------------------------------------------------------------------


def _limit(seconds: float, fn: Shell, *, total: bool) -> Shell:
    def limited(call: Call) -> Any:
        restore = call.bound(seconds, total=total)
        try:
            return fn(call)
        finally:
            restore()

    return limited


def _limit_async(seconds: float, fn: AsyncShell, *, total: bool) -> AsyncShell:
    async def limited(call: Call) -> Any:
        restore = call.bound(seconds, total=total)
        try:
            return await fn(call)
        finally:
            restore()

    return limited


# -- retry ---------------------------------------------------------------------------------------------------------


class HttpOutcomes:
    """What a retry around HTTP has to know; see :class:`resilix.policies.outcomes.Outcomes`."""

    def __init__(self, conduct: Conduct) -> None:
        self._decides = conduct.decides
        self._quick = conduct.decides and conduct.classify is None
        self._cap = conduct.retry_after_cap

    def plain(self, result: Any) -> bool:
        """Nothing below 400 is retried by the rules."""
        return self._quick and result.status_code < ANSWERED

    def good(self, result: Any) -> bool:
        """Whether the server did what it was asked, or said why not."""
        status: int = result.status_code
        return status < 500 and status != 429

    def ruled(self, args: tuple[Any, ...], error: Exception | None, result: Any, answer: Answer) -> Answer:
        """Never resend what could do harm; wait as long as the server asks, or not at all."""
        call: Call = args[0]
        call.narrow(tell=False)
        if not answer.wanted or not call.replayable:
            return NO
        ruling = call.ruling(error, result)
        if not (ruling.retry if self._decides else call.may_resend(error)):
            return NO
        if answer.hint is not None or ruling.wait is None:
            return answer
        if ruling.wait > self._cap:
            return NO
        # Never before the server asked for, and not all clients at once.
        wait = ruling.wait + random.uniform(0.0, max(LEAST_SPREAD, ruling.wait * SPREAD))
        return Answer(True, wait, least=True)

    def dropped(self, args: tuple[Any, ...], result: Any) -> None:
        """Read a little of it and close it."""
        dropping.drop(args[0], result)

    async def adropped(self, args: tuple[Any, ...], result: Any) -> None:
        """Read a little of it and close it."""
        await dropping.adrop(args[0], result)

    def attributes(self, args: tuple[Any, ...], result: Any) -> Mapping[str, object]:
        """Under OpenTelemetry's names."""
        call: Call = args[0]
        return call.attributes(result)
