"""``simulate``: what a pipeline does to its users, and to the dependency, while the dependency is in trouble."""

from __future__ import annotations

import asyncio
import inspect
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

from resilix.core import options
from resilix.core.era import CircuitState
from resilix.core.options import Seconds
from resilix.errors import ConfigurationError, RejectedError
from resilix.policies.base import Policy
from resilix.policies.breaker import CircuitBreaker
from resilix.policies.hazards import flatten
from resilix.testing.simulation.charge import Interrupt, in_charge, interruptible
from resilix.testing.simulation.copies import Copier
from resilix.testing.simulation.dependency import Dependency
from resilix.testing.simulation.driver import SimulatedDriver
from resilix.testing.simulation.findings import AFTERWARDS, find, width_of
from resilix.testing.simulation.load import Load, Loads, about, load_of
from resilix.testing.simulation.loop import SimulatedLoop
from resilix.testing.simulation.modelled import ANSWER, Call, Modelled, Served
from resilix.testing.simulation.result import Change, Ending, Result

Policies: TypeAlias = Policy[Any] | Callable[[], Policy[Any]]
"""What is simulated: a policy, of which fresh copies are made, or a function that makes one."""

OWNER = "simulate"
MOST_CALLS = 20_000_000
"""Calls, of which each takes 250 bytes and some 30 µs: five gigabytes, and ten minutes."""


def simulate(
    policies: Policies,
    *,
    load: Loads,
    seconds: Seconds,
    dependency: Modelled | None = None,
    seed: int = 0,
    clients: int | None = None,
    processes: int = 1,
    shared: bool = False,
    per_shard: bool = False,
    name: str | None = None,
) -> Result:
    """Run real policies against a modelled dependency in virtual time: an hour of traffic in seconds.

    Example::

        guard = pipeline(retry(on=ConnectionError), CircuitBreaker("quotes"), timeout(1.0))
        result = simulate(
            guard,
            load=poisson(70),
            dependency=Dependency(capacity=10, service=0.1, script=[outage(start=60, seconds=30)]),
            seconds=180,
            seed=7,
        )
        print(result)
        assert result.recovered and result.attempts_per_call < 1.2

    Calls come as ``load`` says, however slow the answers are (open-loop), and each is one ``async`` call under the
    policies. These are the ones that serve real calls, not a model of them; sync and async decide the same. Those given
    are left alone: fresh copies of breakers, bulkheads and budgets are made. The same seed gives the same result, byte
    for byte.

    While it runs, the clock of all policies of this process is the simulated one, so this is for tests, notebooks and
    the command line, not for a process that serves.

    Args:
        policies: A policy, or a function that makes one, called once for each process (and shard).
        load: Calls per second, or ``steady``, ``poisson``, ``bursts``, ``phases``.
        seconds: For how long calls come, in virtual seconds.
        dependency: What is called; by default ten requests of 0.1 s at once, without trouble.
        seed: Where chance begins: arrivals, durations, errors, jitter.
        clients: How many clients make the calls, each in one process; by default one in each process.
        processes: How many processes they run in. Each has policies of its own.
        shared: All processes have the same policies: state shared between them, as by one process.
        per_shard: Policies of their own for each shard of the dependency.
        name: What tables call it; by default the policy as text.

    Raises:
        ConfigurationError: An option cannot mean anything sensible; or virtual time, or another simulation, is running.
    """
    length = options.duration(OWNER, "seconds", seconds)
    options.whole(OWNER, "processes", processes, least=1, why="calls are made in at least one")
    if clients is not None:
        options.whole(OWNER, "clients", clients, least=processes, why="each process has at least one")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise options.refuse(OWNER, "seed", seed, "it is where chance begins", "write seed=7")
    options.flag(OWNER, "shared", shared)
    options.flag(OWNER, "per_shard", per_shard)
    column = _named(policies, name)
    there, arrivals = _there(dependency, length), _arrivals(load, length)
    run = _Run(there, length, seed)
    with interruptible() as run.interrupt, run.in_charge():
        count = 1 if shared else processes
        groups = [run.group(policies, process if count > 1 else None, per_shard=per_shard) for process in range(count)]
        run.play(arrivals.times(random.Random(f"{seed} load")), groups, clients or processes)
    return find(column, repr(arrivals), seed, length, there, run.calls, run.served, run.changes, run.unexpected)


def _there(dependency: Any, seconds: float) -> Modelled:
    """What is called, and nothing happens to it that nobody would see."""
    there: Modelled = Dependency() if dependency is None else dependency
    if not callable(getattr(there, "model", None)):
        instead = "write Dependency(capacity=10, service=0.1)"
        raise options.refuse(OWNER, "dependency", dependency, "it is what is called", instead)
    late = next((one for one in there.script if one.start >= seconds), None)
    if late is not None:
        why = f"{late!r} would begin after the end"
        raise options.refuse(OWNER, "seconds", seconds, why, f"write seconds={late.end + 60:g}")
    return there


def _arrivals(load: Any, seconds: float) -> Load:
    """When calls come; not so many that they would fill the memory."""
    arrivals = load_of(OWNER, "load", load)
    calls = about(arrivals, seconds)
    if calls > MOST_CALLS:
        why = (
            f"about {calls:,.0f} calls would come in {seconds:,.10g} s, and what became of each is kept in memory, "
            f"of {MOST_CALLS:,} at most"
        )
        raise options.refuse(OWNER, "load", arrivals, why, "write a lower rate, or fewer seconds")
    if arrivals.count is not None and not calls:
        why = f"nobody calls in {seconds:,.10g} s, so nothing could be seen"
        raise options.refuse(OWNER, "load", arrivals, why, "write load=50, or a phase in which somebody calls")
    return arrivals


def _can_be_called(maker: Any) -> bool:
    """Whether something can be called without arguments, as far as anybody can say."""
    if not callable(maker):
        return False
    try:
        inspect.signature(maker).bind()
    except TypeError:
        return False
    except ValueError:  # some that are written in C do not say
        return True
    return True


def _named(policies: Any, name: Any) -> str:
    """What tables call it."""
    if not isinstance(policies, Policy) and not _can_be_called(policies):
        why = "it is a policy, or a function that takes nothing and makes one"
        raise options.refuse(OWNER, "policies", policies, why, "write pipeline(retry(on=…), …)")
    if name is None:
        own = getattr(policies, "name", None) or getattr(policies, "__name__", None)
        return str(own) if own and own != "<lambda>" else "simulated"
    if not isinstance(name, str):
        raise options.refuse(OWNER, "name", name, "it is what tables call it", 'write name="naive retries"')
    return name


def _where(error: Exception) -> str:
    """What an error is, and the line that raised it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})"
    return f"{type(error).__name__}{place}"


class _Group:
    """The policies of one process.

    Attributes:
        guarded: The guarded attempt, for each shard; one for all shards where they have no policies of their own.
    """

    def __init__(self, run: _Run) -> None:
        self.guarded: list[Callable[[Call], Any]] = []
        self._run = run
        self._breakers: list[tuple[str, CircuitBreaker, list[CircuitState]]] = []

    def add(self, policy: Policy[Any], place: str) -> None:
        """Policies for one more shard."""
        for one in dict.fromkeys(flatten((policy,))):
            if isinstance(one, CircuitBreaker):
                self._breakers.append((one.name + place, one, [one.state]))

        async def attempt(call: Call) -> Any:
            call.attempts += 1
            self.look()  # a probe has been admitted
            try:
                return await self._run.model.request(call)
            except Exception as error:
                call.cause = error
                raise

        self.guarded.append(policy(attempt))

    def look(self) -> None:
        """Note which breakers have changed their state. They only do so when a call begins or ends."""
        for name, breaker, last in self._breakers:
            state = breaker.state
            if state is not last[0]:
                last[0] = state
                self._run.changes.append(Change(self._run.loop.now, name, state.value))


class _Run:
    """One simulation under way.

    Attributes:
        loop: Where all of it happens.
        model: The dependency.
        calls: All calls so far.
        served: What came to the dependency, for each step; one more for what comes after the end.
        changes: What breakers did.
        unexpected: Errors that the dependency did not raise, and how many calls ended with them.
        interrupt: Whether somebody wants it to end.
    """

    def __init__(self, dependency: Modelled, seconds: float, seed: int) -> None:
        self.loop = SimulatedLoop()
        self.calls: list[Call] = []
        self.served = [Served()]
        self.changes: list[Change] = []
        self.unexpected: Counter[str] = Counter()
        self.interrupt = Interrupt()
        self.model = dependency.model(self.loop, random.Random(f"{seed} dependency"), self.served)
        self._seconds = seconds
        self._seed = seed
        self._dependency = dependency
        self._chance = random.Random(f"{seed} clients")
        self._running: dict[asyncio.Task[None], None] = {}  # in order, unlike a set
        self._broken: ConfigurationError | None = None

    def in_charge(self) -> ExitStack:
        """Put the clock and the waits of all policies in this simulation's hands, for a block."""
        return in_charge(OWNER, self.loop, self._seed, SimulatedDriver(self.loop))

    def group(self, policies: Policies, process: int | None, *, per_shard: bool) -> _Group:
        """Make the policies of one process."""
        group = _Group(self)
        for shard in range(self._dependency.shards if per_shard else 1):
            policy = Copier().copy(policies) if isinstance(policies, Policy) else policies()
            if not isinstance(policy, Policy):
                raise options.refuse(
                    OWNER, "policies", policy, "it must make a policy", "write lambda: pipeline(retry(on=…), …)"
                )
            place = "" if process is None else f", process {process}"
            group.add(policy, place + (f", shard {shard}" if per_shard else ""))
        return group

    def play(self, moments: Iterator[float], groups: list[_Group], clients: int) -> None:
        """Let calls come until the end, and those under way come to an end."""
        self._next(moments, groups, clients)
        width = width_of(self._seconds)
        for number in range(1, math.ceil(self._seconds / width) + 1):
            self.loop.call_at(min(number * width, self._seconds), self._step)
        try:
            self.loop.run(self._seconds + AFTERWARDS)
        finally:  # Ctrl-C too: a call that is left hanging would end some time, under another driver
            for task in list(self._running):
                task.cancel()
            self.loop.run(self.loop.now)
        if self._broken is not None:
            raise self._broken

    def _step(self) -> None:
        self.served.append(Served())

    def _next(self, moments: Iterator[float], groups: list[_Group], clients: int) -> None:
        self.interrupt.look()
        moment = next(moments, math.inf)  # a load may end: phases of which the last has a rate of zero
        if moment < self._seconds:
            self.loop.call_at(moment, self._come, moments, groups, clients)

    def _come(self, moments: Iterator[float], groups: list[_Group], clients: int) -> None:
        client = self._chance.randrange(clients) if clients > 1 else 0
        shards = self._dependency.shards
        call = Call(len(self.calls), self.loop.now, self._chance.randrange(shards) if shards > 1 else 0)
        self.calls.append(call)
        group = groups[client % len(groups)]
        guarded = group.guarded[call.shard % len(group.guarded)]
        task = self.loop.create_task(self._make(call, group, guarded))
        self._running[task] = None
        task.add_done_callback(self._ended)
        self._next(moments, groups, clients)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._running[task]

    async def _make(self, call: Call, group: _Group, guarded: Callable[[Call], Any]) -> None:
        try:
            answer = await guarded(call)
        except RejectedError:
            call.ending = Ending.REFUSED
        except TimeoutError:  # ours is one too
            call.ending = Ending.TIMED_OUT
        except ConfigurationError as error:
            self._broken = self._broken or error
        except Exception as error:
            call.ending = Ending.FAILED
            if error is not call.cause:
                self.unexpected[_where(error)] += 1
        else:
            call.ending = Ending.SUCCEEDED if answer is ANSWER else Ending.FALLBACK
        call.end = self.loop.now
        call.cause = None  # it would keep all that its traceback knows
        group.look()
