"""Random scripts of HTTP traffic, and a world that plays one and writes down everything that can be seen of it."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from tests.support.attention import refresh
from tests.support.http_lanes import Lane

import resilix
from resilix import Bulkhead, CircuitBreaker, RetryBudget, deadline, events, pipeline, retry
from resilix.core.deadline import DEADLINE
from resilix.http.extensions import ORIGINAL
from resilix.http.until import Until
from resilix.policies.weave import WEAVE
from resilix.testing import virtual_time

STATUSES = (200, 200, 200, 200, 200, 204, 304, 404, 408, 429, 500, 501, 503)
ERRORS = ("ConnectError", "ReadTimeout", "ReadError", "LocalProtocolError", "PoolTimeout")
ORIGINS = ("http://quotes.test", "https://quotes.test", "http://quotes.test:8080", "http://other.test", "http://[::1]")
TIMEOUTS: tuple[Any, ...] = (
    None,
    dict.fromkeys(("connect", "read", "write", "pool"), 5.0),
    dict.fromkeys(("connect", "read", "write", "pool"), 10.0),
    dict.fromkeys(("connect", "read", "write", "pool"), 60.0),
    dict.fromkeys(("connect", "read", "write", "pool")),
    {"connect": 2.0, "read": 30.0, "write": None, "pool": 1.0},
    *({**dict.fromkeys(("connect", "read", "write", "pool"), 5.0), phase: 1.0} for phase in ("read", "write", "pool")),
    {"connect": 5.0},
    {},
)


@dataclass
class Answer:
    """What one attempt meets.

    Attributes:
        seconds: How long it takes.
        status: The status, or nothing for an error.
        error: The name of the library's error.
        body: How it comes: "read", "stream", or "dies" in the middle.
        headers: Those of the answer.
    """

    seconds: float = 0.0
    status: int = 200
    error: str = ""
    body: str = "read"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Step:
    """One thing that happens."""

    what: str
    answers: list[Answer] = field(default_factory=list)
    method: str = "GET"
    origin: str = ORIGINS[0]
    timeouts: Any = None
    extra: dict[str, Any] = field(default_factory=dict)
    stream: bool = False
    end: str = "read"
    content: str = "none"
    seconds: float = 0.0
    many: int = 1


def script(seed: int) -> list[Step]:
    """A random script: every other one rough, the rest mostly quiet, as traffic is."""
    chance = random.Random(seed)
    trouble = chance.choice((0.04, 0.4))
    steps = [_send(chance, trouble) for _ in range(chance.randrange(12, 30))]
    for what in ("listen", "wait", "trip", "close", "observe", "hold", "release", "together", "cancel", "drop"):
        for _ in range(chance.randrange(0, 3) if chance.random() < 0.2 + trouble else 0):
            step = _send(chance, trouble)
            step.what = what
            step.seconds = chance.choice((0.5, 3.0, 40.0))
            step.many = chance.randrange(2, 5)
            steps.insert(chance.randrange(len(steps)), step)
    return steps


def _send(chance: random.Random, trouble: float) -> Step:
    return Step(
        "send",
        [_answer(chance, trouble) for _ in range(4)],
        method=chance.choice(("GET", "GET", "GET", "POST", "PUT")),
        origin=chance.choice(ORIGINS[:1] * 5 + ORIGINS),
        timeouts=chance.choice(TIMEOUTS[:3] + TIMEOUTS),
        extra=chance.choice(({}, {}, {"resilix.idempotent": True}, {"trace": None})),
        stream=chance.random() < 0.3,
        end=chance.choice(("read", "read", "close", "leave")),
        content=chance.choice(("none", "none", "none", "none", "bytes", "bytes", "once", "key")),
        seconds=chance.choice((2.0, 20.0)) if chance.random() < trouble / 2 else 0.0,
    )


def _answer(chance: random.Random, most: float) -> Answer:
    made = Answer(seconds=chance.choice((0.0, 0.0, 0.1, 0.4, 1.7)), body=chance.choice(("read", "stream", "stream")))
    trouble = chance.random() / most * 0.4
    if trouble < 0.1:
        made.error = chance.choice(ERRORS)
    elif trouble < 0.3:
        made.status = chance.choice(STATUSES)
        made.headers = chance.choice(({}, {}, {"retry-after": "2"}, {"retry-after": "90"}))
    elif trouble < 0.36:
        made.body = "dies"
    elif trouble < 0.42:
        made.status, made.headers = 302, {"location": "http://other.test/moved"}
    return made


class World:
    """Plays scripts against a policy, and keeps a log.

    Args:
        lane: Which library, sync or asyncio.
        seed: Of the options and of the jitter.
        quiet: Whether the quiet path is on.
    """

    def __init__(self, lane: Lane, seed: int, *, quiet: bool) -> None:
        self.lane = lane
        self.seed = seed
        self.log: list[str] = []
        self.answers: list[Answer] = []
        self.held: list[Any] = []
        self.gate: asyncio.Event | None = None
        self.stop: Callable[[], None] | None = None
        self.clock: Any = None
        self.quiet = quiet
        self.name = f"{'quiet' if quiet else 'plain'} {lane} {seed}"
        self.through = random.Random(seed + 1).choice(("client", "client", "transport", "plain client"))
        self.policy: Any = None
        self.nouns: list[Any] = []
        self.target: Any = None

    @property
    def counters(self) -> Any:
        """The counters of its transport."""
        transport = self.target if self.through == "transport" else self.target._transport
        return transport.policy.counters

    # -- what is played with ---------------------------------------------------------------------------------

    def _build(self) -> None:
        before, WEAVE.on = WEAVE.on, self.quiet
        try:
            self.policy, self.nouns = self._policy()
            self.target = self._target()
        finally:
            WEAVE.on = before

    def _policy(self) -> tuple[Any, list[Any]]:
        chance = random.Random(self.seed)
        if chance.random() < 0.25:
            breaker = CircuitBreaker(self.name, consecutive=3, open_for=5.0, window=resilix.calls(10))
            slots = Bulkhead(self.name, limit=3)
            budget = RetryBudget(self.name, tokens=30, cost=10)
            tries = retry(on=self.lane.library.TransportError, wait=0.5, budget=budget)
            nouns: list[Any] = [breaker, slots, budget]
            order = chance.choice(
                ((tries, breaker, slots), (tries, breaker), (breaker, slots), (slots, tries, breaker))
            )
            return pipeline(*order, name=self.name), nouns
        options: dict[str, Any] = {
            "attempts": chance.choice((1, 3, 3)),
            "per": chance.choice(("origin", "origin", None, lambda request: request.url.path)),
            "limit": chance.choice((None, 1, 3)),
            "breaker": chance.choice((None, {}, {"consecutive": 2, "open_for": 3.0}, {"window": resilix.calls(4)})),
            "budget": chance.choice((None, {}, {"tokens": 20, "cost": 10})),
            "attempt_timeout": chance.choice((None, 10.0, 3.0)),
            "within": chance.choice((None, 30.0, 4.0)),
            "on_reject": chance.choice(("raise", "raise", "response")),
            "most_keys": chance.choice((1024, 2)),
            "wait": chance.choice((0, 0.5)),
            "idempotency_key": chance.choice((*[None] * 9, lambda: "a-key")),
            "attempt_header": chance.choice((*[None] * 9, "x-attempt")),
        }
        if options["limit"] is not None:
            options["max_wait"] = chance.choice((0.0, 0.0, 1.0))
        return self.lane.door.standard(self.name, **options), []

    def _target(self) -> Any:
        inner = self._inner()
        if self.through == "client":
            return self.lane.client_class(policy=self.policy, transport=inner, follow_redirects=True)
        transport = self.lane.transport_class(self.policy, inner=inner)
        return transport if self.through == "transport" else self.lane.plain_class(transport=transport)

    def _inner(self) -> Any:
        world, library = self, self.lane.library
        if self.lane.backend is None:

            class Inner(library.HTTPTransport):
                def handle_request(self, request: Any) -> Any:
                    return world.answered(request)

            return Inner(verify=False)

        class AsyncInner(library.AsyncHTTPTransport):
            async def handle_async_request(self, request: Any) -> Any:
                if world.gate is not None:
                    await world.gate.wait()
                return world.answered(request)

        return AsyncInner(verify=False)

    def answered(self, request: Any) -> Any:
        """What the inner transport does with an attempt: write it down, and play the next answer."""
        carried = {name: one for name, one in request.extensions.items() if name not in (ORIGINAL, "timeout")}
        bounds = {
            name: (float(one), one.moment) if isinstance(one, Until) else one
            for name, one in (request.extensions.get("timeout") or {}).items()
        }
        self.note("attempt", request.method, str(request.url), carried, bounds, sorted(request.headers.items()))
        answer = self.answers.pop(0) if self.answers else Answer()
        self.clock.advance(answer.seconds)
        library = self.lane.library
        if answer.error:
            raise getattr(library, answer.error)("scripted")
        if answer.body == "read":
            return library.Response(answer.status, headers=answer.headers, content=b"4217")
        return library.Response(answer.status, headers=answer.headers, stream=self._body(dies=answer.body == "dies"))

    def _body(self, *, dies: bool) -> Any:
        plain = self.lane.stream(b"42", b"17")
        if not dies:
            return plain
        error = self.lane.library.ReadError("the body died")

        class Dying(type(plain)):
            def __iter__(self) -> Any:
                yield b"42"
                raise error

            async def __aiter__(self) -> Any:
                yield b"42"
                raise error

        return Dying()

    # -- the log ---------------------------------------------------------------------------------------------

    def note(self, *what: object) -> None:
        """Write something down, without what differs between two worlds by nature."""
        self.log.append(" ".join(map(str, what)).replace(self.name, "NAME"))

    def look(self) -> None:
        """Write down what can be seen of the policies."""
        if self.nouns:
            breaker, slots, budget = self.nouns
            self.note("seen", breaker.snapshot(), breaker.totals())
            self.note("seen", slots.free, slots.waiting, slots.rejected, slots.late, budget.remaining)
        else:
            policy = self.policy
            self.note("counted", policy.calls_total, policy.attempts_total, policy.rejected_total)
            for key, state in sorted(policy.states().items()):
                if state.breaker is not None:
                    self.note(key, state.breaker.snapshot(), state.breaker.totals())
                if state.bulkhead is not None:
                    slots = state.bulkhead
                    self.note(key, slots.free, slots.waiting, slots.rejected, slots.late)
                if state.budget is not None:
                    self.note(key, state.budget.remaining, state.budget.denied)

        transport = self.target if self.through == "transport" else self.target._transport
        guard = transport._port.guard
        self.note("pool", None if guard is None else guard.free)

    def failed(self, error: BaseException) -> None:
        """Write down an error with all that hangs on it."""
        chain, one = [], error
        while one is not None:
            chain.append((type(one).__name__, str(one), getattr(one, "__notes__", None)))
            one = one.__cause__ or one.__context__
        self.note("raised", chain)

    # -- playing ---------------------------------------------------------------------------------------------

    def play(self, steps: list[Step]) -> list[str]:
        """Play a script from its beginning to its end."""
        DEADLINE.used = False  # as in a process of its own
        refresh()
        with virtual_time(self.seed) as self.clock:
            self._build()
            if self.lane.backend is None:
                for step in steps:
                    self._before(step)
                    self._play(step)
                    self.look()
                for response in self.held:
                    response.close()
            else:
                asyncio.run(self._aplay_all(steps))
            self.held.clear()
            self.look()
        if self.stop is not None:
            self.stop()
        return self.log

    def _before(self, step: Step) -> None:
        self.note("step", step.what)
        self.answers = list(step.answers)
        if step.what == "listen":
            if self.stop is None:
                self.stop = events.subscribe(lambda event: self.note("event", event))
            else:
                self.stop = self.stop()
        elif step.what == "wait":
            self.clock.advance(step.seconds)
        elif step.what in ("trip", "close", "observe"):
            breakers = [one.breaker for one in self.policy.states().values()] if not self.nouns else self.nouns[:1]
            for breaker in breakers:
                if breaker is not None:
                    {"trip": breaker.open, "close": breaker.close, "observe": breaker.observe}[step.what]()

    def _request(self, step: Step) -> Any:
        library = self.lane.library
        headers = {"Idempotency-Key": "mine"} if step.content == "key" else {}
        content: Any = None
        if step.content == "bytes":
            content = b"body"
        elif step.content == "once":
            content = iter([b"body"]) if self.lane.backend is None else _once()
        extensions = dict(step.extra)
        if step.timeouts is not None:
            extensions["timeout"] = dict(step.timeouts)
        return library.Request(
            step.method, f"{step.origin}/ACME", headers=headers, content=content, extensions=extensions
        )

    def _done(self, request: Any, given: dict[str, Any], response: Any) -> None:
        self.note("put back", request.extensions == given, request.extensions is not None)
        if response is not None:
            found = {name: one for name, one in response.extensions.items() if name.startswith("resilix.attempts")}
            self.note("answer", response.status_code, found, response.is_closed)

    def _play(self, step: Step) -> None:
        if step.what in ("release", "drop"):
            for response in self.held:
                if step.what == "release":
                    response.close()
            self.held.clear()
            gc.collect()
        if step.what not in ("send", "hold"):
            return
        request = self._request(step)
        given = dict(request.extensions)
        response: Any = None
        try:
            with ExitStack() as around:
                if step.seconds:
                    around.enter_context(deadline(step.seconds))
                if self.through == "transport":
                    response = self.target.handle_request(request)
                else:
                    response = self.target.send(request, stream=step.stream)
                self._done(request, given, response)
                if step.what == "hold":
                    self.held.append(response)
                elif step.end == "read":
                    self.note(response.read())
                elif step.end == "close":
                    response.close()
        except Exception as error:
            self.failed(error)
            self._done(request, given, None)
        if step.end == "leave":
            del response
            gc.collect()  # a body that nobody closes is over when its response is collected

    async def _aplay_all(self, steps: list[Step]) -> None:
        for step in steps:
            self._before(step)
            await self._aplay(step)
            self.look()
        for response in self.held:
            await response.aclose()

    async def _aplay(self, step: Step) -> None:
        if step.what in ("release", "drop"):
            for response in self.held:
                await response.aclose()
            self.held.clear()
        elif step.what in ("together", "cancel"):
            await self._together(step)
        elif step.what in ("send", "hold"):
            await self._asend(step, self._request(step))

    async def _together(self, step: Step) -> None:
        """Several tasks send the same request at once; all but one of them may be cancelled while it is under way."""
        request = self._request(step)
        self.gate = asyncio.Event()
        tasks = [asyncio.create_task(self._asend(step, request)) for _ in range(step.many)]
        for _ in range(5):
            await asyncio.sleep(0)
        self.look()
        if step.what == "cancel":
            for task in tasks[1:]:
                task.cancel()
            await asyncio.gather(*tasks[1:], return_exceptions=True)
            self.look()
        self.gate.set()
        self.note(await asyncio.gather(*tasks, return_exceptions=True))
        self.gate = None

    async def _asend(self, step: Step, request: Any) -> None:
        given = {name: one for name, one in request.extensions.items() if name in step.extra or name == "timeout"}
        response: Any = None
        try:
            with ExitStack() as around:
                if step.seconds:
                    around.enter_context(deadline(step.seconds))
                if self.through == "transport":
                    response = await self.target.handle_async_request(request)
                else:
                    response = await self.target.send(request, stream=step.stream)
                if step.what not in ("together", "cancel"):
                    self._done(request, given, response)
                if step.what == "hold":
                    self.held.append(response)
                elif step.end != "close":
                    self.note(await response.aread())
                else:
                    await response.aclose()
        except Exception as error:
            self.failed(error)
            if step.what not in ("together", "cancel"):
                self._done(request, given, None)


async def _once() -> Any:
    yield b"body"
