"""A fallback answers what ``on`` names, with a value, another call, or what it makes of the exception."""

from __future__ import annotations

import asyncio
import functools
import logging
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import tenacity
from tests.support.front import Script, breaker, fresh, heard

from resilix import (
    Bulkhead,
    BulkheadFullError,
    CircuitOpenError,
    ConfigurationError,
    RejectedError,
    TimeoutExceededError,
    deadline,
    events,
    fallback,
    pipeline,
    retry,
    timeout,
)
from resilix.events import FallbackServed, HookError
from resilix.testing import virtual_time

pytestmark = pytest.mark.filterwarnings("error")

Run = Callable[..., Any]


def run_sync(policy: Any, outcome: Any, *args: Any, **kwargs: Any) -> Any:
    return policy(Script(outcome).next)(*args, **kwargs)


def run_call(policy: Any, outcome: Any, *args: Any, **kwargs: Any) -> Any:
    return policy.call(Script(outcome).next, *args, **kwargs)


def run_async(policy: Any, outcome: Any, *args: Any, **kwargs: Any) -> Any:
    return asyncio.run(policy(Script(outcome).anext)(*args, **kwargs))


def run_acall(policy: Any, outcome: Any, *args: Any, **kwargs: Any) -> Any:
    return asyncio.run(policy.acall(Script(outcome).anext, *args, **kwargs))


def run_handed_back(policy: Any, outcome: Any, *args: Any, **kwargs: Any) -> Any:
    """A plain function that hands back a coroutine."""
    script = Script(outcome)

    def plain(*args: Any, **kwargs: Any) -> Any:
        return script.anext(*args, **kwargs)

    return asyncio.run(policy(plain)(*args, **kwargs))


EVERY_WAY = pytest.mark.parametrize("run", [run_sync, run_call, run_async, run_acall, run_handed_back])
ASYNC = pytest.mark.parametrize("run", [run_async, run_acall])


# -- the three answers -----------------------------------------------------------------------------------------


@EVERY_WAY
@pytest.mark.parametrize("value", [None, 0, "n/a", False])
def test_a_value_answers(run: Run, value: Any) -> None:
    """Also a false one."""
    assert run(fallback(value, on=ConnectionError), ConnectionError("down")) is value


@EVERY_WAY
def test_every_caller_gets_the_same_object(run: Run) -> None:
    """The value is not copied."""
    value: list[int] = []
    policy = fallback(value, on=ConnectionError)
    assert run(policy, ConnectionError()) is value
    assert run(policy, ConnectionError()) is value


@EVERY_WAY
def test_the_result_of_a_call_that_works_is_left_alone(run: Run) -> None:
    """Nothing is asked when nothing failed."""
    result = object()
    broken = fallback(call=Script().next, on=Script().next)
    assert run(broken, result) is result


@EVERY_WAY
def test_call_gets_the_original_arguments(run: Run) -> None:
    """Positional and keyword, however the policy is used."""
    other = Script("from cache")
    policy = fallback(call=other.next, on=ConnectionError)
    assert run(policy, ConnectionError(), "ACME", 3, currency="EUR") == "from cache"
    assert other.calls == [(("ACME", 3), {"currency": "EUR"})]


@EVERY_WAY
def test_handle_gets_the_exception(run: Run) -> None:
    """The same object, with its traceback."""
    error, got = ConnectionError("down"), Script("explained")
    assert run(fallback(handle=got.next, on=ConnectionError), error, "ACME") == "explained"
    assert got.calls == [((error,), {})]
    assert error.__traceback__ is not None


@ASYNC
def test_call_and_handle_may_be_async_under_async(run: Run) -> None:
    """They are awaited; so is a plain function that hands back something to await."""
    other = Script("a", "b", "c")
    assert run(fallback(call=other.anext, on=ConnectionError), ConnectionError(), "ACME") == "a"
    assert run(fallback(handle=other.anext, on=ConnectionError), ConnectionError()) == "b"
    assert run(fallback(call=lambda *args: other.anext(*args), on=ConnectionError), ConnectionError(), "X") == "c"
    assert other.calls[0] == (("ACME",), {})


@ASYNC
def test_a_value_that_could_be_awaited_is_not(run: Run) -> None:
    """What is given as a value is the answer itself."""

    class Later:
        def __await__(self) -> Any:
            raise AssertionError("nobody asked for that")

    value = Later()
    assert run(fallback(value, on=ConnectionError), ConnectionError()) is value


def test_call_inside_a_pipeline_gets_the_users_arguments() -> None:
    """Not what the pipeline itself was called with."""
    other = Script("a", "b", "c")
    guard = pipeline(
        fallback(call=other.next, on=ConnectionError), retry(on=ConnectionError, attempts=2, wait=0), breaker()
    )

    def down(symbol: str) -> str:
        raise ConnectionError

    assert guard.call(down, "ACME") == "a"
    assert guard(down)("ACME") == "b"

    class Service:
        @guard
        def price(self, symbol: str) -> str:
            raise ConnectionError

    service = Service()
    assert service.price("ACME") == "c"
    assert other.calls == [(("ACME",), {}), (("ACME",), {}), ((service, "ACME"), {})]


# -- what it sees ----------------------------------------------------------------------------------------------


@EVERY_WAY
@pytest.mark.parametrize(
    ("on", "error", "answers"),
    [
        (ConnectionError, ConnectionResetError(), True),
        (ConnectionError, ValueError(), False),
        ((ConnectionError, ValueError), ValueError(), True),
        (lambda error: "429" in str(error), OSError("429"), True),
        (lambda error: "429" in str(error), OSError("500"), False),
        (lambda error: 0, OSError(), False),
        (tenacity.retry_if_exception_type(OSError), ConnectionError(), True),
        (tenacity.retry_if_exception_message("gone"), ValueError("here"), False),
    ],
)
def test_it_sees_only_what_on_names(run: Run, on: Any, error: Exception, answers: bool) -> None:
    """Everything else comes through as the same object."""
    policy = fallback("instead", on=on)
    if answers:
        assert run(policy, error) == "instead"
    else:
        with pytest.raises(type(error)) as raised:
            run(policy, error)
        assert raised.value is error
        assert raised.value.__cause__ is None


@EVERY_WAY
@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError])
def test_cancellation_and_interrupts_pass(run: Run, interrupt: type[BaseException]) -> None:
    """Whatever the predicate would say: it is not even asked."""

    def never(error: Any) -> bool:
        raise AssertionError("asked about an interrupt")

    error = interrupt()
    with heard() as seen, pytest.raises(interrupt):
        run(fallback("instead", on=never), error)
    assert seen == []


@pytest.mark.anyio
async def test_a_cancelled_call_stays_cancelled(anyio_backend: str) -> None:
    """Asyncio and trio: cancellation goes through a fallback for everything."""
    import anyio

    answers: list[str] = []

    @fallback("instead", on=Exception)
    async def hangs() -> str:
        await anyio.sleep_forever()
        return "never"

    with anyio.CancelScope() as scope:
        scope.cancel()
        answers.append(await hangs())
    assert answers == []
    assert scope.cancelled_caught


def test_it_sees_refusals_like_any_other_error() -> None:
    """An open breaker, a full bulkhead, a deadline: that is what it is for."""
    quotes, slots = breaker(), Bulkhead(fresh(), limit=1)
    quotes.force_open()
    assert pipeline(fallback("open", on=CircuitOpenError), quotes).call(len, "") == "open"
    assert pipeline(fallback("any", on=lambda error: isinstance(error, RejectedError)), quotes).call(len, "") == "any"
    with slots.acquire():
        assert pipeline(fallback("full", on=BulkheadFullError), slots).call(len, "") == "full"
    with deadline(0):
        assert pipeline(fallback("late", on=RejectedError), retry(on=OSError)).call(len, "") == "late"
    with virtual_time():
        late = pipeline(fallback("slow", on=TimeoutExceededError), timeout(1.0))
        assert asyncio.run(late.acall(asyncio.sleep, 5)) == "slow"


# -- things that go wrong --------------------------------------------------------------------------------------


@EVERY_WAY
@pytest.mark.parametrize("kind", ["call", "handle"])
def test_a_fallback_that_raises_chains_the_original(run: Run, kind: str) -> None:
    """Its own error comes out, with the first one as its cause: both are in the traceback."""
    original, broken = ConnectionError("down"), KeyError("cache miss")
    with heard() as seen, pytest.raises(KeyError) as raised:
        run(fallback(**{kind: Script(broken).next}, on=ConnectionError), original)
    assert raised.value is broken
    assert raised.value.__cause__ is original
    assert seen == []  # nothing was served


@ASYNC
def test_an_async_fallback_that_raises_chains_the_original(run: Run) -> None:
    """While it is awaited too."""
    original, broken = ConnectionError("down"), KeyError("cache miss")
    with pytest.raises(KeyError) as raised:
        run(fallback(call=Script(broken).anext, on=ConnectionError), original)
    assert raised.value.__cause__ is original


@EVERY_WAY
def test_a_cause_the_fallback_names_itself_stands(run: Run) -> None:
    """``raise … from …`` in a fallback is not overwritten."""
    reason = LookupError()

    def broken(*args: Any) -> Any:
        raise KeyError from reason

    with pytest.raises(KeyError) as raised:
        run(fallback(call=broken, on=ConnectionError), ConnectionError())
    assert raised.value.__cause__ is reason


@EVERY_WAY
def test_a_handler_may_raise_the_original_again(run: Run) -> None:
    """It does not become its own cause."""
    error = ConnectionError()

    def again(error: Exception) -> Any:
        raise error

    with pytest.raises(ConnectionError) as raised:
        run(fallback(handle=again, on=ConnectionError), error)
    assert raised.value is error
    assert raised.value.__cause__ is None


@EVERY_WAY
def test_a_predicate_that_raises_leaves_the_original_error(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """The caller sees their own error, the operator sees the predicate's."""
    error, before = ConnectionError("down"), events.hook_errors()
    policy = fallback("instead", on=lambda error: error.missing)
    with caplog.at_level(logging.CRITICAL, "resilix"), heard(HookError) as seen:
        with pytest.raises(ConnectionError) as raised:
            run(policy, error)
    assert raised.value is error
    assert [(one.policy, one.hook, one.error_type) for one in seen] == [("fallback", "on", "AttributeError")]
    assert events.hook_errors() == before + 1


@EVERY_WAY
def test_a_served_fallback_is_an_event(run: Run) -> None:
    """With the function's name and the error it stood in for."""
    error = ConnectionError("down")
    with heard(FallbackServed) as seen:
        run(fallback(None, on=ConnectionError), error)
    (event,) = seen
    assert (event.policy, event.error, event.error_type) == ("fallback", error, "ConnectionError")
    assert event.name.rpartition(".")[2] in ("next", "anext", "plain")


# -- at decoration ---------------------------------------------------------------------------------------------


class AsyncCaller:
    async def __call__(self, *args: Any) -> str:
        return "awaited"


async def acached(*args: Any) -> str:
    return "awaited"


@pytest.mark.parametrize(
    "other", [acached, AsyncCaller(), functools.partial(AsyncCaller()), functools.partial(acached)]
)
@pytest.mark.parametrize("kind", ["call", "handle"])
def test_a_sync_function_cannot_have_an_async_fallback(other: Any, kind: str) -> None:
    """Nobody would await it: refused where it is written, not when the first call fails."""
    policy = fallback(**{kind: other}, on=ConnectionError)

    def price() -> str:
        return "fine"

    with pytest.raises(ConfigurationError, match="write def instead of async def, or make both async"):
        policy(price)
    with pytest.raises(ConfigurationError, match="nobody would await it"):
        policy.call(price)
    assert asyncio.run(policy.acall(Script(ConnectionError()).anext)) == "awaited"


def test_repr_never_shows_the_value() -> None:
    """A default credential or a cached answer does not belong in a log."""
    secret = "hunter2-" + "x" * 10
    policies = [
        fallback(secret, on=ConnectionError),
        fallback({"token": secret}, on=ConnectionError),
        fallback([secret], on=(ConnectionError, ValueError)),
        fallback(call=functools.partial(len, secret), on=ConnectionError),
        fallback(handle=functools.partial(print, secret), on=functools.partial(isinstance, secret)),
    ]
    shown = [repr(policy) for policy in policies] + [str(pipeline(*policies).explain())]
    assert not [one for one in shown if "hunter2" in one]
    assert shown[:4] == [
        "fallback(<str>, on=ConnectionError)",
        "fallback(<dict>, on=ConnectionError)",
        "fallback(<list>, on=(ConnectionError, ValueError))",
        "fallback(call=len, on=ConnectionError)",
    ]
    assert repr(fallback(None, on=ConnectionError)) == "fallback(None, on=ConnectionError)"
    assert repr(fallback(False, on=ConnectionError)) == "fallback(False, on=ConnectionError)"


def test_one_fallback_serves_many_functions() -> None:
    """Names and arguments do not get mixed up."""
    policy = fallback(call=lambda *args: args, on=ConnectionError)

    def down(*args: Any) -> Any:
        raise ConnectionError

    def other(*args: Any) -> Any:
        raise ConnectionError

    with heard(FallbackServed) as seen:
        assert [policy(down)(1), policy(other)(2), policy.call(other, 3)] == [(1,), (2,), (3,)]
    assert [one.name.rpartition(".")[2] for one in seen] == ["down", "other", "other"]


def test_the_error_it_served_can_still_be_pickled() -> None:
    """Nothing is hung onto the caller's error."""
    error = ConnectionError("down")
    run_sync(fallback(None, on=ConnectionError), error)
    assert pickle.loads(pickle.dumps(error)).args == ("down",)
    assert not hasattr(error, "__notes__")
