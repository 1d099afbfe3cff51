"""A policy can be put on whatever can be called, and what comes back looks and behaves like it."""

from __future__ import annotations

import asyncio
import functools
import inspect
import operator
import pickle
from collections.abc import Callable
from typing import Any, Generic, TypeVar
from unittest.mock import AsyncMock, Mock

import pytest
from tests.support import front_importable
from tests.support.front import Traced, breaker, fresh, heard

from resilix import Bulkhead, ConfigurationError, Policy, fallback, pipeline, retry, timeout
from resilix.events import AttemptFailed

pytestmark = pytest.mark.filterwarnings("error")

T = TypeVar("T")

POLICIES: dict[str, Callable[[], Policy[Any]]] = {
    "breaker": breaker,
    "retry": lambda: retry(on=ConnectionError),
    "bulkhead": lambda: Bulkhead(fresh(), limit=2),
    "timeout": lambda: timeout(30.0),
    "cooperative timeout": lambda: timeout(30.0, cooperative=True),
    "fallback": lambda: fallback(None, on=ConnectionError),
    "pipeline": lambda: pipeline(fallback(None, on=ConnectionError), retry(on=ConnectionError), breaker()),
    "own": lambda: Traced("own", []),
}


@pytest.fixture(params=POLICIES)
def policy(request: pytest.FixtureRequest) -> Policy[Any]:
    return POLICIES[request.param]()


# -- what can be decorated -------------------------------------------------------------------------------------


def test_methods_of_every_sort(policy: Policy[Any]) -> None:
    """Methods, classmethods and staticmethods, with the decorator above or below theirs, sync and async."""

    class Service:
        def __init__(self, name: str) -> None:
            self.name = name

        @policy
        def method(self, symbol: str) -> str:
            return self.name + symbol

        @policy
        async def async_method(self, symbol: str) -> str:
            return self.name + symbol

        @policy
        @classmethod
        def above_class(cls, symbol: str) -> tuple[type, str]:
            return cls, symbol

        @classmethod
        @policy
        def below_class(cls, symbol: str) -> tuple[type, str]:
            return cls, symbol

        @policy
        @staticmethod
        def above_static(symbol: str) -> str:
            return symbol

        @staticmethod
        @policy
        def below_static(symbol: str) -> str:
            return symbol

        @policy
        @classmethod
        async def async_class(cls, symbol: str) -> tuple[type, str]:
            return cls, symbol

        @property
        @policy
        def prop(self) -> str:
            return self.name

    class Sub(Service):
        pass

    service = Sub("n")
    assert service.method("ACME") == Sub.method(service, "ACME") == "nACME"
    assert asyncio.run(service.async_method("ACME")) == "nACME"
    assert service.above_class("A") == Sub.above_class("A") == service.below_class("A") == (Sub, "A")
    assert service.above_static("A") == Sub.above_static("A") == Sub.below_static("A") == "A"
    assert asyncio.run(Sub.async_class("A")) == (Sub, "A")
    assert service.prop == "n"
    assert inspect.iscoroutinefunction(service.async_method)
    assert inspect.iscoroutinefunction(Sub.async_class)


def test_a_bound_method(policy: Policy[Any]) -> None:
    """An object's method can be guarded from outside."""
    assert policy("a-b".split)("-") == ["a", "b"]
    counted: list[str] = []
    policy(counted.append)("A")
    assert counted == ["A"]


def test_partials(policy: Policy[Any]) -> None:
    """A partial keeps its arguments, and is async when what it calls is."""

    async def apow(a: int, b: int) -> int:
        return a**b

    assert policy(functools.partial(pow, 2))(5) == 32
    guarded = policy(functools.partial(functools.partial(apow, 2), b=5))
    assert inspect.iscoroutinefunction(guarded)
    assert asyncio.run(guarded()) == 32


class Caller:
    """Calls."""

    def __init__(self) -> None:
        self.called = 0

    def __call__(self, symbol: str) -> str:
        self.called += 1
        return symbol


class AsyncCaller:
    async def __call__(self, symbol: str) -> str:
        return symbol


def test_callable_objects(policy: Policy[Any]) -> None:
    """With a sync or an async ``__call__``; the object stays one and the same."""
    caller = Caller()
    guarded = policy(caller)
    assert (guarded("A"), guarded("B"), caller.called) == ("A", "B", 2)
    awaited = policy(AsyncCaller())
    assert inspect.iscoroutinefunction(awaited)
    assert asyncio.run(awaited("A")) == "A"
    assert asyncio.run(policy.acall(AsyncCaller(), "A")) == "A"
    partial = policy(functools.partial(AsyncCaller(), "A"))
    assert inspect.iscoroutinefunction(partial)
    assert asyncio.run(partial()) == "A"


def test_builtins_and_lambdas(policy: Policy[Any]) -> None:
    """C functions have no signature to speak of, lambdas no name."""
    assert policy(len)("four") == 4
    assert policy(operator.itemgetter(1))("ab") == "b"
    assert policy(max)(1, 3, 2) == 3
    assert policy(lambda symbol: symbol)("A") == "A"


def test_generic_classes(policy: Policy[Any]) -> None:
    """A method of a generic class."""

    class Box(Generic[T]):
        def __init__(self, item: T) -> None:
            self.item = item

        @policy
        def get(self) -> T:
            return self.item

    assert Box[int](3).get() == 3


def test_mocks(policy: Policy[Any]) -> None:
    """What a test suite puts in a function's place: Mock is sync, AsyncMock is async."""
    sync, awaited = Mock(return_value=1), AsyncMock(return_value=2)
    assert policy(sync)("A") == 1
    assert policy.call(sync, "A") == 1
    sync.assert_called_with("A")
    assert asyncio.run(policy(awaited)("A")) == 2
    assert asyncio.run(policy.acall(awaited, "A")) == 2
    awaited.assert_awaited_with("A")


def test_keyword_arguments_of_any_name(policy: Policy[Any]) -> None:
    """Nothing of ours takes a keyword away from the function."""

    def names(**kwargs: int) -> dict[str, int]:
        return kwargs

    every = dict.fromkeys(("self", "fn", "args", "kwargs", "policy", "target", "name", "on", "timeout", "cls"), 1)
    assert policy(names)(**every) == every
    assert policy.call(names, **{**every, "self": 2, "fn": 3}) == {**every, "self": 2, "fn": 3}


# -- what comes back -------------------------------------------------------------------------------------------


def test_metadata_stays(policy: Policy[Any]) -> None:
    """Name, qualified name, doc, module, signature, annotations, attributes, and the way back to the function."""

    def price(symbol: str, *, currency: str = "EUR") -> int:
        """What a share costs."""
        return len(symbol + currency)

    price.route = "/price"  # type: ignore[attr-defined]
    guarded: Any = policy(price)
    assert guarded.__name__ == "price"
    assert guarded.__qualname__ == price.__qualname__
    assert guarded.__doc__ == "What a share costs."
    assert guarded.__module__ == __name__
    assert inspect.signature(guarded) == inspect.signature(price)
    assert guarded.__annotations__ == price.__annotations__
    assert guarded.route == "/price"
    assert guarded.__wrapped__ is price
    assert not inspect.iscoroutinefunction(guarded)
    assert isinstance(guarded, type(price))


def test_async_functions_stay_async(policy: Policy[Any]) -> None:
    """Frameworks ask, and so do we."""

    async def price(symbol: str) -> int:
        """What a share costs."""
        return len(symbol)

    guarded = policy(price)
    assert inspect.iscoroutinefunction(guarded)
    assert inspect.iscoroutinefunction(Traced("outer", [])(guarded))
    assert guarded.__name__ == "price"
    coroutine = guarded("A")
    assert inspect.iscoroutine(coroutine)
    coroutine.close()


@pytest.mark.parametrize(
    ("fn", "name"),
    [
        (functools.partial(len), "len"),
        (Caller(), "Caller"),
        (AsyncCaller(), "AsyncCaller"),
        (functools.partial(Caller()), "Caller"),
        (functools.partial(functools.partial(max, 1), 2), "max"),
    ],
)
def test_what_has_no_name_is_called_after_what_it_calls(policy: Policy[Any], fn: Any, name: str) -> None:
    """Never after the inside of resilix: this is what operators read."""
    guarded: Any = policy(fn)
    assert (guarded.__name__, guarded.__qualname__) == (name, name)
    assert guarded.__wrapped__ is fn


def test_the_label_of_a_partial_reaches_the_outer_policy() -> None:
    """Stacked on something without a name, events still tell what it is."""
    guarded = retry(on=TypeError, attempts=1)(breaker()(functools.partial(len)))
    with heard(AttemptFailed) as seen, pytest.raises(TypeError):
        guarded(3)
    assert [one.name for one in seen] == ["len"]


def test_decorated_functions_pickle_by_name() -> None:
    """As process pools and task queues need."""
    for fn in (front_importable.price, front_importable.aprice, front_importable.Service.price):
        assert pickle.loads(pickle.dumps(fn)) is fn
    assert pickle.loads(pickle.dumps(front_importable.Service())).price("ACME") == 4


def test_abstract_methods_stay_abstract(policy: Policy[Any]) -> None:
    """The flag that abc looks for survives."""
    import abc

    class Base(abc.ABC):
        @policy
        @abc.abstractmethod
        def price(self) -> int: ...

    assert Base.__abstractmethods__ == {"price"}


# -- what is refused -------------------------------------------------------------------------------------------


def test_classes_are_refused(policy: Policy[Any]) -> None:
    """Decorating a class would guard its construction and turn it into a function."""
    with pytest.raises(ConfigurationError, match="guards calls, not classes; put it on the methods"):

        @policy
        class Service: ...


@pytest.mark.parametrize("thing", [None, 3, "price", property(len)])
def test_what_cannot_be_called_is_refused(policy: Policy[Any], thing: Any) -> None:
    """At the decorator, not at the first call."""
    with pytest.raises(ConfigurationError, match="cannot be called; put it on a function or a method"):
        policy(thing)


def generator() -> Any:
    yield 1


async def agenerator() -> Any:
    yield 1


class Iterates:
    def __call__(self) -> Any:
        yield 1

    def method(self) -> Any:
        yield 1

    async def amethod(self) -> Any:
        yield 1


@pytest.mark.parametrize(
    "fn",
    [
        generator,
        agenerator,
        functools.partial(generator),
        Iterates(),
        Iterates().method,
        Iterates().amethod,
        functools.partial(Iterates()),
        staticmethod(generator),
        classmethod(agenerator),
    ],
    ids=repr,
)
def test_generator_functions_are_refused(policy: Policy[Any], fn: Any) -> None:
    """Their body runs after the policy has finished: never silently unprotected. The message says what to do."""
    with pytest.raises(TypeError) as raised:
        policy(fn)
    message = str(raised.value)
    assert "generator function" in message
    assert "would not be guarded" in message
    assert "with breaker.acquire(): …" in message
    assert "for attempt in retry(…).attempts(): with attempt: …" in message


def test_what_the_message_about_generators_recommends_works() -> None:
    """Guarding the body by hand."""
    quotes = breaker(consecutive=1)

    def rows() -> Any:
        with quotes.acquire():
            yield 1
            raise ConnectionError

    with pytest.raises(ConnectionError):
        list(rows())
    assert quotes.state == "open"


# -- the wrong member ------------------------------------------------------------------------------------------


def test_a_coroutine_function_is_not_for_call() -> None:
    """call() would hand back something nobody awaits; said before the function runs."""

    async def price() -> int:
        return 1

    for make in POLICIES.values():
        policy = make()
        if isinstance(policy, Traced):
            continue  # one's own policy says itself what it takes
        for fn in (price, AsyncCaller(), functools.partial(price)):
            with pytest.raises(ConfigurationError, match=r"write await ….acall\("):
                policy.call(fn)


def test_a_plain_function_is_not_for_acall() -> None:
    """acall() needs something to await."""
    for make in POLICIES.values():
        policy = make()
        if isinstance(policy, Traced):
            continue
        with pytest.raises(ConfigurationError, match=r"acall\(len\): it returned int.*write call\(len, …\) without"):
            asyncio.run(policy.acall(len, "A"))  # type: ignore[arg-type]


def test_a_class_may_be_called_through_a_policy() -> None:
    """Also one whose instances are async to call: making one is not."""
    assert isinstance(breaker().call(AsyncCaller), AsyncCaller)
