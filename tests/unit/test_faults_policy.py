"""A fault plan as a policy: innermost in a pipeline or as a decorator, for threads, asyncio and trio."""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import trio
from tests.support.bulkhead import eventually

from resilix import (
    Bulkhead,
    CircuitBreaker,
    CircuitOpenError,
    ConfigurationError,
    ResilixWarning,
    TimeoutExceededError,
    deadline,
    fallback,
    pipeline,
    retry,
    timeout,
)
from resilix.testing import faults, virtual_time
from resilix.testing.faults import Plan
from resilix.testing.switch import SWITCH

PATIENCE = 30.0
Run = Callable[[Callable[[], Awaitable[Any]]], Any]


def in_asyncio(fn: Callable[[], Awaitable[Any]]) -> Any:
    """Run an async function to its end."""

    async def main() -> Any:
        return await fn()

    return asyncio.run(main())


def in_trio(fn: Callable[[], Awaitable[Any]]) -> Any:
    """The same under trio."""

    async def main() -> Any:
        return await fn()

    return trio.run(main)


RUNS = pytest.mark.parametrize("run", [in_asyncio, in_trio], ids=["asyncio", "trio"])


@pytest.fixture(autouse=True)
def switched_on() -> Iterator[None]:
    """Nothing is injected without it."""
    with faults.enabled():
        yield


# -- innermost in a pipeline -----------------------------------------------------------------------------------------


def test_policies_around_a_plan_see_its_faults_as_real_ones() -> None:
    """Retries, the breaker's count, the fallback."""
    plan = faults.sequence(ConnectionError, ConnectionError, faults.ok, then=ConnectionError)
    quotes = CircuitBreaker("faults-policy", consecutive=3)
    guard = pipeline(fallback(-1, on=Exception), retry(on=ConnectionError, attempts=3, wait=1.0), quotes, plan)
    with virtual_time() as time:
        assert guard.call(lambda: 4217) == 4217
        assert guard.call(lambda: 4217) == -1
        assert time.sleeps == [1.0, 1.0, 1.0, 1.0]
    assert quotes.state.value == "open"
    assert plan.counts.calls == 6, plan


@RUNS
def test_an_async_function_is_befallen_alike(run: Run) -> None:
    """On asyncio and trio, decorated or called."""
    plan = faults.sequence(ConnectionError, faults.latency(2.0))

    @retry(on=ConnectionError, wait=1.0)
    @plan
    async def price(symbol: str) -> str:
        return symbol

    with virtual_time() as time:
        assert run(lambda: price("ACME")) == "ACME"
        assert time.now() == 3.0
        assert time.sleeps == [1.0]
        assert run(lambda: plan.acall(in_time)) == "in time"
    assert [entry.label for entry in plan.log] == [*[price.__qualname__] * 2, "in_time"]


def test_a_status_around_a_function_is_a_mistake_that_says_so() -> None:
    """A function has no status, and nobody could guess what it would raise."""
    with pytest.raises(ConfigurationError, match=r"the status 503, and a function has no status: .*FaultTransport"):
        faults.sequence(503).call(len, "")


def test_explain_says_where_a_plan_does_not_belong() -> None:
    """It injects on purpose; and what stands inside it does not see that."""
    plan = faults.error(KeyError)
    inner = pipeline(retry(on=KeyError), plan, name="quotes").explain()
    assert "faults.error(KeyError)" in inner.order
    assert any("injects faults on purpose" in one for one in inner.hazards)
    assert not any("put the fault plan innermost" in one for one in inner.hazards)
    with pytest.warns(ResilixWarning, match="put the fault plan innermost"):
        outer = pipeline(plan, retry(on=KeyError))
    assert any("stands outside retry" in one for one in outer.explain().hazards)
    with pytest.warns(ResilixWarning, match="put the fault plan innermost"):
        plan(retry(on=KeyError)(len))


def test_a_plain_function_that_promises_something_to_await_does_not_block_its_loop() -> None:
    """The wait becomes part of what is awaited."""
    plan = faults.latency(60.0)

    async def work() -> int:
        return 1

    @plan
    def promised() -> Awaitable[int]:
        return work()

    async def main() -> list[int]:
        given = [promised() for _ in range(5)]
        assert time.now() == 0.0
        return list(await asyncio.gather(*given))

    with virtual_time() as time:
        assert asyncio.run(main()) == [1] * 5
        assert time.now() == 60.0
    assert plan.counts.passed == 5


# -- latency and cancellation ----------------------------------------------------------------------------------------


@RUNS
def test_a_wait_is_cancelled_at_once_and_counts_as_far_as_it_came(run: Run) -> None:
    """By a timeout of ours, whichever loop it is."""
    plan = faults.latency(60.0)
    ran: list[int] = []

    @timeout(2.0)
    @plan
    async def price() -> None:
        ran.append(1)

    with virtual_time() as time:
        with pytest.raises(TimeoutExceededError):
            run(price)
        assert time.now() == 2.0
    assert not ran
    assert plan.counts.delayed == 2.0
    assert plan.counts.calls == 1


def test_the_callers_own_cancellation_ends_a_real_wait_at_once() -> None:
    """Not after the wait, and not as anything else."""
    plan = faults.latency(3600.0)

    async def main() -> None:
        async def work() -> None: ...

        task = asyncio.ensure_future(plan.acall(work))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, PATIENCE)

    asyncio.run(main())
    assert 0 <= plan.counts.delayed < PATIENCE


def test_what_finishes_exactly_at_its_limit_is_in_time() -> None:
    """As virtual time promises of every wait."""
    with virtual_time():
        assert asyncio.run(pipeline(timeout(2.0), faults.latency(2.0)).acall(in_time)) == "in time"


async def in_time() -> str:
    """A call that takes no time of its own."""
    return "in time"


# -- hangs -----------------------------------------------------------------------------------------------------------


@RUNS
def test_an_async_call_hangs_until_its_timeout_cancels_it(run: Run) -> None:
    """Exactly then, by the virtual clock."""
    plan = faults.hang()
    with virtual_time() as time:
        with pytest.raises(TimeoutExceededError):
            run(lambda: pipeline(timeout(2.0), plan).acall(in_time))
        assert time.now() == 2.0
    assert plan.counts.faults == {"hang": 1}


@RUNS
def test_a_hang_obeys_a_deadline_that_nobody_enforces(run: Run) -> None:
    """As a well-behaved client would, with the error of a socket that was waited for too long."""
    plan = faults.hang()

    async def bounded() -> None:
        with deadline(2.0):
            await plan.acall(in_time)

    with virtual_time() as time:
        with pytest.raises(TimeoutError, match="injected by a fault plan"):
            run(bounded)
        assert time.now() == 2.0
        with pytest.raises(TimeoutError, match="injected by a fault plan"), deadline(3.0):
            plan.call(len, "")
        assert time.now() == 5.0


def hanging(plan: Plan) -> int:
    """How many calls hang in it now."""
    return len(plan._parked)


def test_an_abandoned_call_hangs_on_in_its_worker_until_the_plan_is_released() -> None:
    """In flight means running; and afterwards no thread is left behind."""
    plan, slots = faults.hang(), Bulkhead("faults-policy", limit=5)
    limit = timeout(2.0)
    guard = pipeline(slots, limit, plan)
    with virtual_time() as time:
        for _ in range(3):
            with pytest.raises(TimeoutExceededError):
                guard.call(len, "")
        assert time.now() == 6.0
        assert (limit.abandoned, slots.in_use, hanging(plan)) == (3, 3, 3)
        plan.release()
        eventually(lambda: limit.abandoned == 0 and slots.in_use == 0, "the workers")
    assert hanging(plan) == 0


def test_the_end_of_the_switch_lets_go_of_whoever_hangs() -> None:
    """Threads and tasks of any loop; a plan that hangs anew afterwards does so until its next release."""
    plan = faults.hang()
    ended: list[str] = []

    def sync() -> None:
        try:
            plan.call(len, "")
        except TimeoutError:
            ended.append("thread")

    def looped() -> None:
        try:
            asyncio.run(plan.acall(in_time))
        except TimeoutError:
            ended.append("task")

    def in_a_trio() -> None:
        try:
            trio.run(plan.acall, in_time)
        except TimeoutError:
            ended.append("trio")

    threads = [threading.Thread(target=one) for one in (sync, looped, in_a_trio)]
    for one in threads:
        one.start()
    eventually(lambda: hanging(plan) == 3, "all three")
    SWITCH.leave()
    SWITCH.enter()
    for one in threads:
        one.join(PATIENCE)
    assert sorted(ended) == ["task", "thread", "trio"]
    assert hanging(plan) == 0


def test_a_hang_decided_before_a_release_does_not_begin_after_it() -> None:
    """Between the two another thread may have come: it would hang for ever."""
    plan = faults.hang()
    fate = plan._meet("quotes", "quotes")
    assert fate is not None
    plan.release()
    with pytest.raises(TimeoutError):
        fate.befall()
    with pytest.raises(TimeoutError):
        asyncio.run(fate.abefall())


def test_a_cancelled_hang_leaves_nothing_behind() -> None:
    """Whoever was cancelled is not woken later."""
    plan = faults.hang()

    async def main() -> None:
        task = asyncio.ensure_future(plan.acall(in_time))
        await asyncio.sleep(0)
        assert hanging(plan) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert hanging(plan) == 0
        plan.release()

    asyncio.run(main())


# -- under load ------------------------------------------------------------------------------------------------------


def test_threads_and_loops_share_a_plan_at_once() -> None:
    """Nothing is lost: every call was decided once."""
    plan = faults.rate(0.5, seed=3) & faults.latency(0)
    failed: list[int] = []

    def sync() -> None:
        failed.append(sum(_fails(plan) for _ in range(200)))

    def looped() -> None:
        async def main() -> None:
            ends = await asyncio.gather(*(plan.acall(in_time) for _ in range(200)), return_exceptions=True)
            failed.append(sum(isinstance(one, ConnectionError) for one in ends))

        asyncio.run(main())

    threads = [threading.Thread(target=one) for one in (sync, sync, looped, looped)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(PATIENCE)
    assert plan.counts.calls == 800
    assert plan.counts.faults["ConnectionError"] == sum(failed)


def _fails(plan: Plan) -> bool:
    try:
        plan.call(len, "")
    except ConnectionError:
        return True
    return False


def test_a_breaker_opens_in_an_outage_and_closes_after_it() -> None:
    """The story a tester wants to see, in virtual time."""
    plan = faults.outage(start=10, seconds=30)
    quotes = CircuitBreaker("faults-outage", consecutive=3, open_for=5.0)
    refused = 0
    with virtual_time() as time, warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(60):
            try:
                pipeline(quotes, plan).call(len, "")
            except CircuitOpenError:
                refused += 1
            except ConnectionError:
                pass
            time.advance(1.0)
    assert quotes.state.value == "closed"
    assert plan.counts.faults["ConnectionError"] < 12, plan
    assert refused > 20
