"""One run of a random script: does what it says and writes down everything that can be seen from outside."""

from __future__ import annotations

import functools
import inspect
import random
import warnings
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from contextvars import ContextVar
from typing import Any, Protocol

from tests.support import woven_functions
from tests.support.attention import refresh
from tests.support.woven_scripts import Attempt, Planned, Script
from tests.support.woven_seen import figures, plain, told, told_event

from resilix import ConfigurationError, ResilixWarning, deadline, events, pipeline
from resilix.core.deadline import DEADLINE
from resilix.core.permits import HELD
from resilix.events import Event
from resilix.tally import TALLY

CURRENT: ContextVar[Any] = ContextVar("tests_woven_call")


class Way(Protocol):
    """How a script is played: sync, on asyncio, on trio."""

    is_async: bool
    time: float

    def start(self, run: Coroutine[Any, Any, None]) -> Callable[[], object]:
        """Begin a call; the answer cancels it."""
        ...

    async def settle(self) -> None:
        """Let all calls go on until all of them wait."""
        ...

    async def suspend(self, gates: dict[object, Callable[[], object]], key: object) -> None:
        """Wait for one's gate."""
        ...

    def hang(self) -> None:
        """Hang, if that is in a worker thread of a sync timeout."""
        ...

    def cancels(self, error: BaseException) -> bool:
        """Whether an error is a cancellation that must go on."""
        ...

    def handed(self, coroutine: Coroutine[Any, Any, Any]) -> bool:
        """Send a call to its first suspension and close it."""
        ...


class Running:
    """One call under way."""

    def __init__(self, number: int, plan: Planned) -> None:
        self.number = number
        self.attempts = list(plan.attempts)
        self.plan = plan


class World:
    """One run of a script.

    Attributes:
        log: Everything that can be seen from outside, in order.
    """

    def __init__(self, script: Script, way: Way) -> None:
        self.log: list[Any] = []
        self.way = way
        self.script = script
        self.gates: dict[object, Callable[[], object]] = {}
        self.live: dict[int, Callable[[], object]] = {}
        self.held: list[Any] = []
        self.listeners: list[Callable[[], None]] = []
        self.step = 0.0
        self.started = 0
        self.looked: list[Any] = []
        way.time = 100.0
        TALLY._labels, TALLY._counts = set(), {}
        DEADLINE.used = DEADLINE.attended = script.deadlines_used
        HELD.used = script.held_used
        refresh()
        random.seed(script.seed)
        self.hook_errors = events.hook_errors()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResilixWarning)
            self.nouns, self.policies = script.policies(self)
            self._make()

    def reading(self) -> float:
        """The clock that some breakers have of their own; it may jump, back too."""
        return self.way.time + self.step

    def _make(self) -> None:
        dice = random.Random(self.script.function_draw)
        kinds = woven_functions.ASYNC if self.script.is_async else woven_functions.SYNC
        self.kind = dice.choice(kinds)
        self.parameters = dice.choice(woven_functions.PARAMETERS)
        body = self.abody if self.script.is_async else self.body
        try:
            self.guarded = self.kind(self.parameters, body, self._guard(dice), is_async=self.script.is_async)
        except ConfigurationError as error:
            self.log.append(("refused", str(error)))
            self.guarded = lambda *args, **kwargs: None

    def _guard(self, dice: random.Random) -> Callable[[Any], Any]:
        whole = pipeline(*self.policies, name=dice.choice([None, "outer"]))
        form, cut = self.script.form, dice.randint(0, len(self.policies))
        if form == "pipeline":
            return whole
        if form == "call":
            member = whole.acall if self.script.is_async and dice.random() < 0.8 else whole.call
            return lambda fn: lambda *args, **kwargs: member(_under(fn), *args, **kwargs)

        def stacked(fn: Any) -> Any:
            for number, policy in enumerate(reversed(self.policies)):
                if form == "foreign" and number == cut:
                    fn = self._foreign(fn)
                fn = policy(fn)
            return fn

        return stacked

    def _foreign(self, fn: Any) -> Any:
        """Somebody else's decorator in between."""
        if isinstance(fn, (classmethod, staticmethod)):
            return type(fn)(self._foreign(fn.__func__))

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self.log.append(("foreign", repr(args), repr(kwargs)))
            return fn(*args, **kwargs)

        return functools.update_wrapper(wrapped, fn)

    # -- playing -----------------------------------------------------------------------------------------------

    async def play(self) -> list[str]:
        """Make all moves, and let everything come to its end."""
        if self.script.listens:
            self._listen("calm")
        try:
            for what, value in self.script.moves:
                self.log.append(what)
                await self._move(what, value)
                await self.way.settle()
                self._look()
            await self._drain()
            self.log.append(sorted((*map(plain, key), count) for key, count in TALLY.counts().items()))
        finally:
            for stop in self.listeners:
                stop()
        free = [one.free for one in self.nouns.slots]
        assert free == [one.limit for one in self.nouns.slots], f"places lost: {free}"
        return [plain(repr(entry)) for entry in self.log]

    async def _move(self, what: str, value: Any) -> None:
        if what == "call":
            running = self._begin(value)
            self.live[running.number] = self.way.start(self.run(running))
        elif what == "hand":
            self.log.append(("suspended", self.way.handed(self.run(self._begin(value)))))
        elif what == "go" and self.gates:
            self._open_gate(value)
        elif what == "cancel" and self.live:
            number = list(self.live)[int(value * len(self.live))]
            self.live[number]()
        else:
            self.act(what, value)

    def _begin(self, plan: Planned) -> Running:
        self.started += 1
        return Running(self.started, plan)

    def _open_gate(self, draw: float) -> None:
        key = list(self.gates)[int(draw * len(self.gates))]
        self.gates.pop(key)()

    async def _drain(self) -> None:
        for turn in range(400):
            while self.held:
                self.held.pop().release()
            await self.way.settle()
            if not self.live and not self.held:
                break
            if turn > 300:
                self.live[next(iter(self.live))]()
            elif self.gates and turn % 2:
                self._open_gate(0.0)
            else:
                self.way.time += 5.0
        assert not self.live, "a call did not end, even cancelled"
        self._look()

    # -- one call ----------------------------------------------------------------------------------------------

    async def run(self, running: Running) -> None:
        """Make one call, and write down how it ended."""
        self.way.time += 0.0013  # so that no two timers are ever due at the same moment
        token = CURRENT.set(running)
        dice = random.Random(running.plan.draw)
        # A coroutine function of somebody's that hands on what it is called with says what is wrong when it is
        # awaited only, and so does a plain one: under a foreign decorator that is another moment than woven.
        late = self.script.is_async and self.script.form == "foreign"
        args, kwargs = woven_functions.arguments(dice, self.parameters, right=late)
        try:
            with ExitStack() as stack:
                if running.plan.limit is not None:
                    stack.enter_context(deadline(running.plan.limit))
                result = self.guarded(*args, **kwargs)
                if inspect.isawaitable(result):
                    result = await result
            self.log.append(("value", running.number, repr(result)))
        except BaseException as error:
            self.log.append(("error", running.number, *told(error)))
            if self.way.cancels(error):
                raise
        finally:
            CURRENT.reset(token)
            self.live.pop(running.number, None)

    def body(self, name: str, seen: dict[str, Any]) -> Any:
        """What a guarded ``def`` does."""
        attempt = self._attempt(name, seen)
        drive(self._steps(attempt))
        return _end(attempt)

    async def abody(self, name: str, seen: dict[str, Any]) -> Any:
        """What a guarded ``async def`` does."""
        attempt = self._attempt(name, seen)
        await self._steps(attempt)
        return _end(attempt)

    def _attempt(self, name: str, seen: dict[str, Any]) -> Attempt | None:
        running: Running = CURRENT.get()
        self.way.time += 0.0017
        self.log.append(("works", running.number, name, repr(seen), self.way.time, deadline.remaining()))
        same = seen.get("key") is woven_functions.DEFAULT or seen.get("count") is woven_functions.DEFAULT
        self.log.append(same)
        return running.attempts.pop(0) if running.attempts else None

    async def _steps(self, attempt: Attempt | None) -> None:
        for what, value in attempt.steps if attempt else ():
            if what == "suspend":
                await self.way.suspend(self.gates, object())
            elif what == "work":
                self.way.time += value
            elif what == "hang":
                self.way.hang()
            elif what == "again":
                await self.run(self._begin(value))
            else:
                self.act(what, value)

    # -- what happens beside the calls -------------------------------------------------------------------------

    def act(self, what: str, value: Any) -> None:
        """Do something to the policies, the time or the listeners."""
        if what == "tick":
            self.way.time += value
        elif what == "step":
            self.step += value
        elif what == "listen":
            self._listen(value)
        elif what == "deaf":
            if self.listeners:
                self.listeners.pop(int(value * len(self.listeners)))()
        elif what == "first deadline":
            with deadline(50.0):
                pass
        elif what == "hold":
            free = [slots for slots in self.nouns.slots if slots.free and not slots.waiting]
            if free and not DEADLINE.in_force():
                self.held.append(free[int(value * len(free))].acquire())
        elif what == "let go":
            if self.held:
                self.held.pop(int(value * len(self.held))).release()
        elif what == "reconfigure":
            try:
                self.nouns.breakers[int(value[0] * 2)].reconfigure(**value[1])
            except ConfigurationError as error:
                self.log.append(str(error))
        elif what in ("open", "close", "force_open", "disable", "observe"):
            getattr(self.nouns.breakers[int(value * 2)], what)()

    def _listen(self, kind: str) -> None:
        number = len(self.listeners)

        def listener(event: Event) -> None:
            self.log.append((f"listener {number} of {kind}", *told_event(event)))
            if kind == "broken":
                raise ValueError("a listener")
            if kind == "deaf" and self.listeners:
                self.listeners.pop(0)()
            if kind == "caller":
                self.nouns.breakers[1].call(len, "x") if self.nouns.breakers[1].state == "closed" else None

        self.listeners.append(events.subscribe(listener))

    def _look(self) -> None:
        before, self.looked = (
            self.looked,
            [*figures(self.nouns), events.hook_errors() - self.hook_errors, self.way.time],
        )
        if self.looked != before:
            self.log += self.looked


def _under(fn: Any) -> Any:
    return fn.__func__ if isinstance(fn, (classmethod, staticmethod)) else fn


def _end(attempt: Attempt | None) -> Any:
    end = "fine" if attempt is None else attempt.end
    if callable(end) and end is not random.Random:
        raise end()
    return end


def drive(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run what never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it suspended")
