"""timeout on sync functions: a worker thread runs them, and the caller goes on when the time is over.

Functions that hang do so on an event that the test sets; the limits are real and short.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.retry_calls import listening

from resilix import (
    BulkheadFullError,
    DeadlineExpiredError,
    TimeoutExceededError,
    deadline,
    pipeline,
    retry,
    timeout,
)
from resilix.events import CallRefused, TimedOut
from resilix.policies.timeout import MOST_ABANDONED
from resilix.testing import virtual_time
from resilix.workers import POOL

PATIENCE = 30.0
SHORT = 0.02


def eventually(condition: Any, what: str) -> None:
    """Wait for something that another thread is about to do."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"still waiting for {what}"
        time.sleep(0.001)


class Hanging:
    """A function that hangs until it is let go."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.result: Any = "late"
        self.threads: list[threading.Thread] = []

    def __call__(self) -> Any:
        self.threads.append(threading.current_thread())
        assert self.gate.wait(PATIENCE)
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    """A hanging function, let go at the end at the latest."""
    function = Hanging()
    yield function
    function.gate.set()


# -- what the caller sees ----------------------------------------------------------------------------------------


def test_the_caller_goes_on_in_time_and_the_call_is_counted(hanging: Hanging) -> None:
    """It is abandoned, not stopped; the count goes down when it really ends."""
    policy = timeout(SHORT)
    begun = time.monotonic()
    with listening() as seen, pytest.raises(TimeoutExceededError) as caught:
        policy(hanging)()
    assert SHORT * 0.95 <= time.monotonic() - begun < 10
    assert caught.value.seconds == SHORT
    assert policy.abandoned == 1
    assert [event for event in seen if isinstance(event, TimedOut)] == [
        TimedOut(policy="timeout", name="Hanging", seconds=SHORT, abandoned=True)
    ]
    hanging.gate.set()
    eventually(lambda: policy.abandoned == 0, "the end of the abandoned call")


def test_results_and_errors_are_the_same_objects() -> None:
    """Whatever they are: a TimeoutError of the user's own, an exit, an error with notes."""
    result = object()
    assert timeout(60)(lambda: result)() is result
    for error in (OSError("x"), TimeoutError("mine"), TimeoutExceededError(1.0), SystemExit(3), StopIteration(1)):

        def fail(error: BaseException = error) -> None:
            raise error

        with pytest.raises(type(error)) as caught:
            timeout(60)(fail)()
        assert caught.value is error
        assert caught.value.__context__ is None


def test_arguments_reach_the_function() -> None:
    """Positional and keyword, and through call()."""

    def quote(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    assert timeout(60)(quote)(1, fn=2) == ((1,), {"fn": 2})
    assert timeout(60).call(quote, 1, b=2) == ((1,), {"b": 2})


def test_an_error_is_kept_alive_by_nobody() -> None:
    """Neither the worker nor the traceback's own frames hold it in a cycle."""

    class WatchedError(Exception):
        pass

    def fail() -> None:
        raise WatchedError

    def run() -> weakref.ref[WatchedError]:
        try:
            timeout(60)(fail)()
        except WatchedError as error:
            return weakref.ref(error)
        raise AssertionError("it must fail")

    gc.collect()
    gc.disable()
    try:
        error = run()
        eventually(lambda: error() is None, "the end of the error")
    finally:
        gc.enable()


def test_the_error_of_an_abandoned_call_goes_with_it(hanging: Hanging) -> None:
    """Nobody will ask for it."""
    policy = timeout(SHORT)

    class WatchedError(Exception):
        pass

    hanging.result = WatchedError()
    error = weakref.ref(hanging.result)
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(TimeoutExceededError):
            policy(hanging)()
        hanging.gate.set()
        eventually(lambda: policy.abandoned == 0, "the end of the call")
        hanging.result = None
        eventually(lambda: error() is None, "the end of the error")
    finally:
        gc.enable()


def test_context_variables_are_carried_into_the_worker() -> None:
    """Reading works; what is set inside stays inside."""
    request: contextvars.ContextVar[str] = contextvars.ContextVar("request", default="none")
    request.set("seven")

    def read() -> str:
        seen = request.get()
        request.set("changed")
        return seen

    assert timeout(60)(read)() == "seven"
    assert request.get() == "seven"


def test_the_deadline_inside_is_narrowed() -> None:
    """So that what the function calls may stop in time; the caller's own is untouched."""
    with virtual_time():
        assert timeout(5.0)(deadline.remaining)() == 5.0
        with deadline(2.0):
            assert timeout(5.0)(deadline.remaining)() == 2.0
            assert deadline.remaining() == 2.0
        with deadline(60.0):
            assert timeout(5.0, cooperative=True)(deadline.remaining)() == 5.0
            assert deadline.remaining() == 60.0


@pytest.mark.parametrize("cooperative", [False, True])
def test_nothing_starts_when_the_deadline_has_passed(cooperative: bool) -> None:
    """The function never runs, and no worker is asked."""
    ran: list[int] = []
    with virtual_time(), deadline(0), pytest.raises(DeadlineExpiredError), listening() as seen:
        timeout(5.0, cooperative=cooperative)(ran.append)(1)
    assert ran == []
    assert [type(event) for event in seen] == [CallRefused]


def test_a_deadline_shortens_the_wait(hanging: Hanging) -> None:
    """The caller is back when the deadline says so, not the longer limit."""
    with deadline(SHORT), pytest.raises(TimeoutExceededError) as caught:
        timeout(60)(hanging)()
    assert caught.value.seconds <= SHORT


def test_cooperative_starts_no_thread() -> None:
    """The function runs where it is called, and takes as long as it takes."""

    def where() -> threading.Thread:
        time.sleep(0.002)
        return threading.current_thread()

    assert timeout(0.001, cooperative=True)(where)() is threading.current_thread()
    assert timeout(60)(where)() is not threading.current_thread()


def test_cooperative_gives_the_deadline_back_after_an_error() -> None:
    """Also when the function fails."""
    with virtual_time(), deadline(60.0):
        with pytest.raises(ZeroDivisionError):
            timeout(5.0, cooperative=True)(lambda: 1 / 0)()
        assert deadline.remaining() == 60.0


def test_timeouts_nest_and_recurse() -> None:
    """Each level has a worker of its own, and the innermost that expires is the one that raises."""
    outer, inner = timeout(60), timeout(SHORT)
    gate = threading.Event()

    @outer
    def deep(depth: int) -> int:
        return depth if depth == 0 else deep(depth - 1)

    @outer
    def nested() -> str:
        try:
            inner(gate.wait)(PATIENCE)
        except TimeoutExceededError as error:
            return f"{error.seconds}"
        return "in time"

    assert deep(5) == 0
    assert nested() == str(SHORT)
    gate.set()


@pytest.mark.parametrize("cooperative", [False, True])
def test_a_sync_function_that_hands_back_an_awaitable_is_limited_as_async(cooperative: bool) -> None:
    """What it handed back is awaited under the same limit."""
    left: list[float] = []

    async def work() -> str:
        left.append(deadline.remaining())
        await asyncio.sleep(0)
        return "done"

    assert asyncio.run(timeout(5.0, cooperative=cooperative)(lambda: work())()) == "done"
    if cooperative:
        assert 0 < left[0] <= 5.0
    else:
        with pytest.raises(TimeoutExceededError):
            asyncio.run(timeout(SHORT)(lambda: asyncio.sleep(60))())


# -- abandoned calls -------------------------------------------------------------------------------------------------


def test_full_of_abandoned_calls_it_refuses_and_says_what_to_do(hanging: Hanging) -> None:
    """No further thread is started; when they end, calls are taken again."""
    policy = timeout(0.001)
    guarded = policy(hanging)
    for _ in range(MOST_ABANDONED):
        with pytest.raises(TimeoutExceededError):
            guarded()
    with listening() as seen, pytest.raises(BulkheadFullError, match="timeout") as caught:
        guarded()
    assert caught.value.limit == MOST_ABANDONED
    assert "Give the function a timeout of its own" in caught.value.__notes__[0]
    assert [getattr(event, "kind", "") for event in seen] == ["bulkhead_full"]
    eventually(lambda: len(hanging.threads) == MOST_ABANDONED, "the start of all calls")
    hanging.gate.set()
    eventually(lambda: policy.abandoned == 0, "the end of all calls")
    assert timeout(60)(hanging)() == "late"


def test_a_call_that_ends_in_the_last_moment_is_not_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait was over, but so was the call: its result counts."""
    policy = timeout(60)
    monkeypatch.setattr("resilix.workers.Job.wait", lambda job, seconds: eventually(job_ended(job), "it") or False)
    assert policy(lambda: "just")() == "just"
    with pytest.raises(OSError):
        policy(os.stat)("/no such file")
    assert policy.abandoned == 0


def job_ended(job: Any) -> Any:
    return lambda: job._done.is_set


def test_an_interrupted_caller_abandons_its_call(hanging: Hanging) -> None:
    """KeyboardInterrupt goes to the caller at once; the call is counted until it ends."""
    policy = timeout(PATIENCE)
    guarded = policy(hanging)

    def interrupt() -> None:
        eventually(lambda: hanging.threads, "the start")
        signal.pthread_kill(main.ident or 0, signal.SIGINT)

    main = threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    helper = threading.Thread(target=interrupt)
    try:
        helper.start()
        with pytest.raises(KeyboardInterrupt):
            guarded()
    finally:
        signal.signal(signal.SIGINT, before)
        helper.join(PATIENCE)
    assert policy.abandoned == 1
    hanging.gate.set()
    eventually(lambda: policy.abandoned == 0, "the end")


def test_a_caller_interrupted_just_after_handing_the_call_over_abandons_it(
    hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker has it, so it runs, and counts."""
    policy = timeout(PATIENCE)
    submit = POOL.submit

    def interrupted(job: Any) -> None:
        submit(job)
        raise KeyboardInterrupt

    monkeypatch.setattr(POOL, "submit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        policy(hanging)()
    assert policy.abandoned == 1
    hanging.gate.set()
    eventually(lambda: policy.abandoned == 0, "the end")


def test_a_call_that_got_no_thread_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine may be out of threads: the caller sees that error, and nothing is taken for abandoned."""

    def no_more(worker: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(POOL, "_idle", [])
    monkeypatch.setattr("resilix.workers._Worker.start", no_more)
    policy = timeout(PATIENCE)
    with pytest.raises(RuntimeError, match="new thread"):
        policy(lambda: 1)()
    assert policy.abandoned == 0


def test_retries_inside_an_abandoned_call_stop_by_its_deadline() -> None:
    """Nobody waits for it any more, so it makes no further attempts."""
    attempts: list[float] = []
    gate = threading.Event()

    def fail() -> None:
        attempts.append(time.monotonic())
        gate.wait(PATIENCE)
        raise OSError

    policy = timeout(SHORT)
    with pytest.raises(TimeoutExceededError):
        policy(retry(on=OSError, attempts=9, wait=0)(fail))()
    gate.set()
    eventually(lambda: policy.abandoned == 0, "the end")
    assert len(attempts) == 1


SCRIPT = """
import sys, threading
from resilix import TimeoutExceededError, timeout
try:
    timeout(0.01)(threading.Event().wait)()
except TimeoutExceededError:
    print("went on")
"""


def test_the_interpreter_exits_although_an_abandoned_call_hangs() -> None:
    """Workers are daemon threads: a call that never ends keeps no process alive."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "went on\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_a_forked_child_begins_without_abandoned_calls(hanging: Hanging) -> None:
    """The threads of the parent are not there, so neither are their calls; and its own work as ever."""
    policy = timeout(SHORT)
    guarded = policy(hanging)
    with pytest.raises(TimeoutExceededError):
        guarded()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            assert policy.abandoned == 0
            assert pipeline(timeout(20.0)).call(lambda: "works") == "works"
            try:
                guarded()
            except TimeoutExceededError:
                code = 0 if policy.abandoned == 1 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert policy.abandoned == 1


def test_other_policies_are_not_full_of_it(hanging: Hanging) -> None:
    """Each counts its own; the workers are shared."""
    first, second = timeout(SHORT), timeout(60)
    with pytest.raises(TimeoutExceededError):
        first(hanging)()
    assert second(lambda: 1)() == 1
    assert (first.abandoned, second.abandoned) == (1, 0)
    assert POOL.owns(hanging.threads[0])
