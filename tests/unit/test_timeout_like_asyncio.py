"""Our async timeout against asyncio.timeout: whatever is cancelled, swallowed, nested or shielded, they agree.

Each scenario runs twice in a loop whose time jumps: with our policy, and with ``asyncio.timeout`` in its place. How it
ends, when, the task's count of cancellation requests afterwards and any late cancellation must be the same. Ours keeps
time in two ways, with the shared ledger and with a timer per call; both are looked at.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.support.script_loop import Guard, Log, Program, jump, observe, ours, theirs

from resilix import timeout

Body = Callable[[Guard, Log], Awaitable[Any]]
SCENARIOS: dict[str, tuple[Body, tuple[float, ...]]] = {}


@pytest.fixture(params=["ledger", "timer per call"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How ours keeps time: once any deadline was set in the process, limits differ from call to call."""
    for attribute in ("used", "attended"):
        monkeypatch.setattr(f"resilix.core.deadline.DEADLINE.{attribute}", request.param != "ledger")
    return str(request.param)


def scenario(*cancels: float) -> Callable[[Body], Body]:
    """Enter a scenario; its task is cancelled at these seconds."""

    def enter(body: Body) -> Body:
        for cancel in cancels or (None,):
            name = f"{body.__name__} {cancel:g}" if cancel is not None and len(cancels) > 1 else body.__name__
            SCENARIOS[name] = (body, () if cancel is None else (cancel,))
        return body

    return enter


async def rest(seconds: float = 60) -> str:
    await asyncio.sleep(seconds)
    return "rested"


@scenario()
async def in_time(guard: Guard, log: Log) -> Any:
    return await guard(10)(rest)(9.9)


@scenario()
async def never_suspends(guard: Guard, log: Log) -> Any:
    return await guard(10)(rest)(0)


@scenario()
async def expires(guard: Guard, log: Log) -> Any:
    return await guard(10)(rest)()


@scenario(0, 5, 9.999, 10, 10.001, 15)
async def cancelled_from_outside(guard: Guard, log: Log) -> Any:
    return await guard(10)(rest)()


@scenario(9, 10, 12, 14)
async def cancelled_around_a_slow_cleanup(guard: Guard, log: Log) -> Any:
    async def work() -> None:
        try:
            await rest()
        finally:
            log.note("cleanup")
            await asyncio.sleep(3)
            log.note("clean")

    return await guard(10)(work)()


@scenario(5, 12, 100)
async def swallows_and_returns(guard: Guard, log: Log) -> Any:
    async def work() -> str:
        try:
            await rest()
        except asyncio.CancelledError:
            log.note("swallowed")
        return "late"

    return await guard(10)(work)()


@scenario(5, 12, 100)
async def swallows_and_goes_on(guard: Guard, log: Log) -> Any:
    async def work() -> str:
        try:
            await rest()
        except asyncio.CancelledError:
            log.note("swallowed")
        return await rest(20)

    return await guard(10)(work)()


@scenario(5, 100)
async def swallows_and_raises(guard: Guard, log: Log) -> Any:
    async def work() -> None:
        try:
            await rest()
        except asyncio.CancelledError:
            raise ValueError from None

    return await guard(10)(work)()


@scenario(5, 11, 100)
async def cleanup_raises(guard: Guard, log: Log) -> Any:
    async def work() -> None:
        try:
            await rest()
        finally:
            await asyncio.sleep(2)
            raise KeyError

    return await guard(10)(work)()


@scenario()
async def raises_a_timeout_error_of_its_own(guard: Guard, log: Log) -> Any:
    async def work() -> None:
        await asyncio.sleep(1)
        raise TimeoutError

    return await guard(10)(work)()


@scenario()
async def raises_a_cancellation_of_its_own(guard: Guard, log: Log) -> Any:
    async def work() -> None:
        await asyncio.sleep(1)
        raise asyncio.CancelledError

    return await guard(10)(work)()


@scenario()
async def awaits_a_task_that_somebody_cancelled(guard: Guard, log: Log) -> Any:
    async def work() -> None:
        task = asyncio.ensure_future(rest())
        asyncio.get_running_loop().call_later(3, task.cancel)
        await task

    return await guard(10)(work)()


@scenario(5, 7.5, 100)
async def inside_a_shorter_one_of_asyncio(guard: Guard, log: Log) -> Any:
    async with asyncio.timeout(7):
        return await guard(10)(rest)()


@scenario(5, 7.5, 100)
async def around_a_shorter_one_of_asyncio(guard: Guard, log: Log) -> Any:
    async def work() -> str:
        async with asyncio.timeout(7):
            return await rest()

    return await guard(10)(work)()


@scenario(5, 10, 100)
async def around_a_longer_one_of_asyncio(guard: Guard, log: Log) -> Any:
    async def work() -> str:
        async with asyncio.timeout(12):
            return await rest()

    return await guard(10)(work)()


@scenario(5, 100)
async def two_of_ours_nested(guard: Guard, log: Log) -> Any:
    inner = guard(7)(rest)

    async def work() -> str:
        try:
            return await inner()
        except TimeoutError:
            log.note("inner")
            return await rest()

    return await guard(10)(work)()


@scenario(5, 12, 100)
async def the_same_policy_in_itself(guard: Guard, log: Log) -> Any:
    policy = guard(10)

    async def work(depth: int) -> str:
        await asyncio.sleep(1)
        return await policy(work)(depth - 1) if depth else await rest()

    return await policy(work)(3)


@scenario(5, 12, 100)
async def the_same_policy_in_itself_with_a_swallowed_expiry(guard: Guard, log: Log) -> Any:
    policy = guard(10)

    async def work() -> str:
        try:
            return await rest()
        except asyncio.CancelledError:
            log.note("swallowed")
            return await rest()

    async def outer() -> str:
        await asyncio.sleep(2)
        return str(await policy(work)())

    return await policy(outer)()


@scenario(5, 12, 100)
async def cleanup_enters_the_same_policy_and_runs_out_again(guard: Guard, log: Log) -> Any:
    policy = guard(10)
    again = policy(rest)

    async def work() -> str:
        try:
            return await rest()
        finally:
            log.note("cleanup")
            try:
                await again()
            except TimeoutError:
                log.note("cleanup timed out")

    return await policy(work)()


@scenario(5, 25, 100)
async def cleanup_of_a_cleanup_enters_it_twice(guard: Guard, log: Log) -> Any:
    policy = guard(10)

    async def work(depth: int) -> str:
        try:
            return await rest()
        finally:
            log.note(f"cleanup {depth}")
            if depth:
                await policy(work)(depth - 1)

    return await policy(work)(2)


@scenario()
async def one_after_the_other(guard: Guard, log: Log) -> Any:
    policy = guard(10)
    for seconds in (20, 5, 20, 9.9, 10.1):
        try:
            await policy(rest)(seconds)
            log.note("in time")
        except TimeoutError:
            log.note("late")
    return "done"


@scenario(3)
async def in_the_cleanup_of_a_cancelled_task(guard: Guard, log: Log) -> Any:
    try:
        await rest()
    except asyncio.CancelledError:
        try:
            await guard(10)(rest)()
        except TimeoutError:
            log.note("cleanup timed out")
        raise


@scenario(5, 12)
async def shielded(guard: Guard, log: Log) -> Any:
    return await guard(10)(lambda_shield)()


async def lambda_shield() -> str:
    return await asyncio.shield(asyncio.ensure_future(rest(30)))


@scenario(5, 100)
async def a_task_group_inside(guard: Guard, log: Log) -> Any:
    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(rest())
            group.create_task(rest(5))

    return await guard(10)(work)()


@scenario(5, 100)
async def a_task_group_inside_that_fails(guard: Guard, log: Log) -> Any:
    async def fail() -> None:
        await asyncio.sleep(6)
        raise ValueError

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(rest())
            group.create_task(fail())

    return await guard(10)(work)()


@scenario(5, 100)
async def inside_a_task_group_that_fails(guard: Guard, log: Log) -> Any:
    async def fail() -> None:
        await asyncio.sleep(6)
        raise ValueError

    async with asyncio.TaskGroup() as group:
        group.create_task(guard(10)(rest)())
        group.create_task(fail())


@scenario(5, 100)
async def in_the_body_of_a_task_group_that_fails(guard: Guard, log: Log) -> Any:
    async def fail() -> None:
        await asyncio.sleep(6)
        raise ValueError

    async with asyncio.TaskGroup() as group:
        group.create_task(fail())
        await guard(10)(rest)()


@scenario(5, 100)
async def the_body_takes_the_cancellation_back_itself(guard: Guard, log: Log) -> Any:
    async def work() -> str:
        try:
            await rest()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            assert task is not None
            task.uncancel()
        return await rest(3)

    return await guard(10)(work)()


@scenario()
async def an_answer_in_the_very_moment_of_expiry(guard: Guard, log: Log) -> Any:
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def work() -> str:
        return await future

    asyncio.get_running_loop().call_later(10, future.set_result, "just")
    return await guard(10)(work)()


@scenario(5, 100)
async def many_tasks(guard: Guard, log: Log) -> Any:
    policy = guard(10)
    work = policy(rest)

    async def staggered(number: int) -> str:
        await asyncio.sleep(number * 0.3)
        try:
            return str(await work(number * 0.9))
        except TimeoutError:
            log.note(f"{number} late")
            return "late"

    return await asyncio.gather(*(staggered(number) for number in range(25)))


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario_ends_as_under_asyncio_timeout(name: str, way: str) -> None:
    """The same end, at the same time, with the same count of requests and no late cancellation."""
    body, cancels = SCENARIOS[name]
    mine = jump(observe(lambda log: body(ours, log), cancels))
    assert mine == jump(observe(lambda log: body(theirs, log), cancels))


PROGRAMS = 800


def test_random_programs_run_as_under_asyncio_timeout(way: str) -> None:
    """Random trees of timeouts, cleanup, task groups and outer cancellations: every step at the same time."""
    seen: Counter[str] = Counter()
    for seed in range(PROGRAMS):
        mine = Program(seed).run(ours)
        assert mine == Program(seed).run(theirs), f"seed {seed}"
        seen.update(str(entry[1] if entry[0] == "error" else entry[0]) for entry in mine)
    # They really go everywhere.
    assert min(seen[one] for one in ("TimeoutError", "CancelledError", "swallowed", "caught", "cleanup")) > 20


def test_a_thousand_calls_that_are_due_at_once_all_expire() -> None:
    """In one walk: looking for the first of them again and again would take quadratic time."""
    policy = timeout(1.0)

    async def main() -> list[Any]:
        return await asyncio.gather(*(policy(rest)() for _ in range(1000)), return_exceptions=True)

    assert all(isinstance(one, TimeoutError) for one in jump(main()))
