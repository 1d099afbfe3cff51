# pyright: reportPrivateUsage=false
"""State by key with many threads, signal handlers and forks: made once, bounded always, and nobody waits for ever."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Generator
from functools import partial
from typing import Any

import httpx
import pytest
from tests.support.http_rules_states import Map, State, threads

import resilix.httpx
from resilix.http import states as module
from resilix.http.states import OVERFLOW, KeyedStates


@pytest.fixture
def hectic() -> Generator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_threads_that_miss_the_same_key_get_the_same_state_and_it_is_made_once() -> None:
    """Two breakers of one name, even for a moment, would be warned of."""

    def slowly(key: str) -> State:
        time.sleep(0.01)
        return State(key)

    map_, found = Map(64, slowly), []
    threads(*[lambda: found.append(map_.get("a"))] * 8)
    assert len(found) == 8
    assert set(found) == set(map_.made)
    assert len(map_.made) == 1
    assert map_.gone == []


@pytest.mark.usefixtures("hectic")
def test_the_real_policies_of_an_origin_are_made_once(recwarn: pytest.WarningsRecorder) -> None:
    """Eight threads send their first request at once, round after round: no name is taken twice."""
    policy = resilix.httpx.standard("states at once", limit=100, most_keys=100)

    def ask(request: httpx.Request, routes: list[Any]) -> None:
        routes.append(policy.route(request))

    for number in range(20):
        request = httpx.Request("GET", f"http://host-{number}.test/")
        routes: list[Any] = []
        threads(*[partial(ask, request, routes)] * 8)
        assert len(routes) == 8
        assert all(one is routes[0] for one in routes)
    assert len(policy.states()) == 20
    assert [str(one.message) for one in recwarn] == []


@pytest.mark.usefixtures("hectic")
def test_the_bound_holds_with_many_threads() -> None:
    """At every look; nothing is lost, nothing told twice, and a busy state stays."""
    limit, map_ = 16, Map(16)
    pinned = map_.get("pinned")
    pinned.busy = True
    over: list[int] = []

    def work(seed: int) -> None:
        for number in range(300):
            state = map_.get(f"key {(seed * 37 + number * 11) % 40}")
            assert state.key.startswith("key") or state.key == OVERFLOW
            assert map_.get("pinned") is pinned
            count = len(map_.states)
            if count > limit + 1:
                over.append(count)

    threads(*[partial(work, seed) for seed in range(6)])
    assert over == []
    here = [state for _, state in map_.states]
    assert sorted(map(id, map_.made)) == sorted(map(id, [*map_.gone, *here]))


def test_no_user_code_runs_under_the_lock() -> None:
    """Making, asking whether it is busy, and telling that it is gone: each may use the map itself."""
    seen: list[str] = []

    def make(key: str) -> State:
        if not key.startswith("inner"):
            seen.append(states.get(f"inner {key}").key)
        return State(key)

    def busy(state: State) -> bool:
        seen.append(f"asked by {len(states)}")
        return False

    def evicted(state: State) -> None:
        states.get("inner b")
        seen.append(f"gone {state.key}")

    states: KeyedStates[State] = KeyedStates(make, limit=2, busy=busy, evicted=evicted)
    threads(lambda: [states.get(key) for key in ("a", "b")])
    assert states.get("b").key == "b"
    assert {"inner a", "inner b", "gone inner a"} <= set(seen)
    assert "asked by 2" in seen


def test_a_function_that_asks_for_its_own_key_gets_one_state_in_the_end() -> None:
    """As a signal handler might, in the middle of making. It does not wait for itself."""
    depth = 0

    def make(key: str) -> State:
        nonlocal depth
        depth += 1
        if depth == 1:
            inner.append(map_.get(key))
        return State(key)

    inner: list[State] = []
    map_ = Map(4, make)
    before = time.perf_counter()
    assert map_.get("a") is inner[0] is map_.get("a")
    assert time.perf_counter() - before < 0.5
    assert [state.key for state in map_.gone] == ["a"]
    assert map_.gone[0] is not inner[0]


def test_two_threads_that_wait_for_each_other_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each makes a state whose making needs the other's."""
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    gate = threading.Barrier(2)
    first = {"a": True, "b": True}

    def crossing(key: str) -> State:
        if first.pop(key, False):
            gate.wait(10)
            crossed.get("b" if key == "a" else "a")
        return State(key)

    crossed = Map(4, crossing)
    threads(lambda: crossed.get("a"), lambda: crossed.get("b"))
    assert sorted(crossed.keys()) == ["a", "b"]
    assert crossed.get("a").key == "a"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_while_a_state_is_made_leaves_a_map_that_works() -> None:
    """The child has no thread that would ever finish it, and nobody who would give the lock back."""
    inside, go_on = threading.Event(), threading.Event()

    def make(key: str) -> State:
        if key == "slow" and threading.current_thread() is not threading.main_thread():
            inside.set()
            go_on.wait(10)
        return State(key)

    map_ = Map(4, make)
    maker = threading.Thread(target=map_.get, args=("slow",))
    maker.start()
    assert inside.wait(10)
    with map_.states._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(10)
            before = time.perf_counter()
            good = map_.get("slow").key == "slow" and map_.get("new").key == "new"
            os._exit(0 if good and time.perf_counter() - before < 0.5 else 1)
    go_on.set()
    maker.join(10)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_map_that_is_gone_is_not_kept() -> None:
    """Not by the register for forks either."""
    map_ = Map(4)
    map_.get("a")
    kept = weakref.ref(map_.states)
    del map_
    gc.collect()
    assert kept() is None
