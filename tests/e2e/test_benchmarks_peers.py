"""The comparison with peers sees through one that cheats, and its experiments show what they are about.

They wait for real, as a breaker's recovery and a hanging call must be waited for. No peer has to be installed.
"""

from __future__ import annotations

import functools
import inspect
import time
from dataclasses import replace
from typing import Any

import pytest
from benchmarks.peers import run
from benchmarks.peers.checks import problems, still_does
from benchmarks.peers.jobs import JOBS, Job
from benchmarks.peers.peer import ADAPTERS, Peer, Roster, muster
from benchmarks.peers.probes import counting, recovery, retrying
from benchmarks.peers.report import claim_lines
from benchmarks.peers.shortcomings import Claim, beside, try_out


def job(name: str) -> Job:
    """The job of that name."""
    return next(one for one in JOBS if one.name == name)


@functools.cache
def ours() -> Peer:
    """resilix, which is always there."""
    return muster({"resilix": ADAPTERS["resilix"]}).named("resilix")


def nothing(*_: Any) -> Any:
    """A maker of decorators that do nothing."""
    return lambda fn: fn


def idle_peer() -> Peer:
    """A peer whose parts all do nothing."""
    return Peer(
        "idle",
        ("idle",),
        "import idle",
        breaker=nothing,
        abreaker=nothing,
        refused=KeyError,
        retry=nothing,
        aretry=nothing,
        pipeline=nothing,
        apipeline=nothing,
        http=lambda inner: inner.handle_request,
        ahttp=lambda inner: inner.handle_async_request,
    )


# -- the checks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [one.name for one in JOBS])
def test_resilix_does_every_job(name: str) -> None:
    """What is timed of ours has passed the same checks as everybody's."""
    one = job(name)
    make = one.offered(ours())
    assert make is not None
    assert problems(one, ours()) == []
    with one.around():
        assert still_does(one, ours(), make()) == []


@pytest.mark.parametrize(
    "name", [one.name for one in JOBS if one.name not in ("HTTP, retry, quiet", "HTTP, async, retry, quiet")]
)
def test_one_that_does_nothing_is_found_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decorator that does nothing would win every table."""
    monkeypatch.setattr("benchmarks.peers.checks.PATIENCE", 0.2)
    assert problems(job(name), idle_peer())


def test_one_attempt_too_many_is_found_out() -> None:
    """A retry that makes four attempts does another job."""
    from resilix import retry

    wrong = replace(ours(), retry=lambda: retry(on=ValueError, attempts=4, wait=0))
    assert problems(job("sync, retry, quiet"), wrong) == ["after three failures it had made 4 attempts, not 3"]


def test_a_foreign_refusal_is_found_out() -> None:
    """What stands in the table as a refusal has to be the peer's own."""
    wrong = replace(ours(), refused=KeyError)
    assert problems(job("async, breaker, refused"), wrong) == ["an open breaker did not raise KeyError"]


def test_a_breaker_that_opened_while_it_was_timed_gets_no_figure() -> None:
    """Its refusals would stand there as cheap failures."""
    peer = replace(ours(), breaker=lambda threshold, recovery: ours().breaker(min(threshold, 3), recovery))
    roster = Roster([ours(), replace(peer, name="opens")])
    table = run.measure(job("sync, breaker, failing"), roster, 1)
    assert [row["name"] for row in table["rows"]] == ["bare wrapper, failing", "resilix"]
    assert list(table["excluded"]) == ["opens"]


def test_one_that_raises_where_it_is_made_is_named_and_stops_nobody() -> None:
    """An interface that changed under us is a reason, not an end."""

    def broken(*_: Any) -> Any:
        raise AttributeError("it is gone")

    roster = Roster([ours(), replace(ours(), name="broken", retry=broken)])
    table = run.measure(job("sync, retry, quiet"), roster, 1)
    assert [row["name"] for row in table["rows"]] == ["bare wrapper", "resilix"]
    assert table["excluded"] == {"broken": "AttributeError: it is gone"}


# -- the experiments ----------------------------------------------------------------------------------------------


class Naive:
    """A breaker with the faults that the experiments are about."""

    def __init__(self, threshold: int, recovery: float) -> None:
        self.threshold, self.recovery = threshold, recovery
        self.failed, self.opened = 0, 0.0

    def _enter(self) -> None:
        if self.failed >= self.threshold and time.monotonic() < self.opened + self.recovery:
            raise KeyError("open")

    def _failure(self) -> None:
        self.failed += 1
        self.opened = time.monotonic()

    def __call__(self, fn: Any) -> Any:
        """Guard a function."""
        if inspect.iscoroutinefunction(fn):

            async def awrapper(value: int) -> Any:
                self._enter()
                try:
                    result = await fn(value)
                except BaseException:  # a cancellation too
                    self._failure()
                    raise
                self.failed = 0
                return result

            return awrapper

        def wrapper(value: int) -> Any:
            self._enter()
            try:
                result = fn(value)
            except Exception:
                self._failure()
                raise
            self.failed = 0
            return result

        return wrapper


NAIVE = Peer("naive", ("naive",), "import naive", breaker=Naive, abreaker=Naive, refused=KeyError)
FAULTS = [
    recovery.herd,
    recovery.aherd,
    recovery.late,
    recovery.alate,
    recovery.cancelled_counts,
    counting.no_rate,
]


@pytest.mark.parametrize("probe", FAULTS, ids=lambda probe: probe.__name__)
def test_an_experiment_shows_the_fault_and_does_not_see_it_in_resilix(probe: Any) -> None:
    """One that said yes to everybody would be worth nothing."""
    assert probe(NAIVE) is not None
    assert probe(ours()) is None


def test_a_breaker_blind_to_generators_is_seen() -> None:
    """Resilix does not guard them either: it says so, at once."""
    assert counting.generators(NAIVE) is not None
    with pytest.raises(TypeError, match="generator function"):
        counting.generators(ours())


def test_a_retry_in_a_cancelled_task_is_seen() -> None:
    """The clean-up's error is worth no further attempt."""

    def naive() -> Any:
        def decorator(fn: Any) -> Any:
            async def wrapper(value: int) -> Any:
                try:
                    return await fn(value)
                except ValueError:
                    return await fn(value)

            return wrapper

        return decorator

    assert retrying.goes_on(Peer("naive", ("naive",), "import naive", aretry=naive)) is not None
    assert retrying.goes_on(ours()) is None


def test_only_what_was_reproduced_is_claimed() -> None:
    """And only for the part and the form that it was reproduced for."""
    claims = [
        Claim("naive", "breaker", "sync", "herd", recovery.herd),
        Claim("naive", "breaker", "", "serial", recovery.serial),
        Claim("naive", "retry", "", "other", lambda peer: "seen"),
        Claim("naive", "breaker", "", "good", lambda peer: "seen", better=True),
        Claim("naive", "breaker", "", "broken", lambda peer: 1 / 0),
        Claim("absent", "breaker", "", "absent", recovery.herd),
    ]
    found = try_out(Roster([ours(), NAIVE]), claims)
    assert beside(found, "naive", ("breaker",), "sync") == ["herd"]
    assert beside(found, "naive", ("breaker",), "async") == []
    assert beside(found, "naive", ("breaker", "retry")) == ["herd", "other"]
    assert [one["words"] for one in found] == ["herd", "serial", "other", "good", "broken"]
    assert "ZeroDivisionError" in found[-1]["trouble"]
    lines = claim_lines({"claims": found})
    assert sum(line.startswith("NOT REPRODUCED") for line in lines) == 2
