# pyright: reportPrivateUsage=false
"""State for each key: one state a key, bounded memory, the least recently used goes first, never one that is busy."""

from __future__ import annotations

import gc
import random
import sys
import threading
import time
from collections.abc import Generator
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.http_rules_states import Map, State, threads

from resilix import ConfigurationError
from resilix.http.states import BATCH, LONGEST_KEY, OVERFLOW

# -- against a model -------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(st.sampled_from(["get", "get", "get", "busy", "idle"]), st.sampled_from("abcdefgh")), max_size=60
)


@given(st.integers(1, 5), STEPS)
def test_it_does_what_a_list_in_order_of_use_would(limit: int, steps: list[tuple[str, str]]) -> None:
    """Hits, misses, recency, the limit, busy states and the one that is shared."""
    map_ = Map(limit)
    model: list[State] = []  # least recently used first
    shared: State | None = None
    for what, key in steps:
        held = next((one for one in model if one.key == key), None)
        if what != "get":
            if held is not None:
                held.busy = what == "busy"
            continue
        got = map_.get(key)
        if held is not None:
            assert got is held
            model.remove(held)
            model.append(held)
            continue
        victim = next((one for one in model if not one.busy), None)
        if len(model) == limit and victim is None:
            shared = shared or got
            assert got is shared
            assert got.key == OVERFLOW
            continue
        if len(model) == limit:
            assert victim is not None
            model.remove(victim)
            assert map_.gone[-1] is victim
        assert got is map_.made[-1]
        assert got.key == key
        model.append(got)
    assert {id(state) for _, state in map_.states} == {id(one) for one in [*model, *([shared] if shared else [])]}
    assert len(map_.states) == len(model) + (shared is not None) <= limit + 1
    assert len(map_.made) == len(map_.gone) + len(map_.states)


def test_a_full_map_makes_room_for_many_at_once() -> None:
    """A flood of 5,000 keys sorts it eighty times, not four thousand; what was used last stays."""
    map_ = Map(1024)
    mine = map_.get("mine")
    for number in range(5000):
        map_.get(f"host{number}")
        map_.get("mine")
    assert map_.get("mine") is mine
    assert 1024 - 1024 // BATCH <= len(map_.states) <= 1024
    assert map_.asked == len(map_.gone), "each was asked once, when it went"
    assert [one.key for one in map_.gone[:3]] == ["host0", "host1", "host2"]


def test_a_flood_does_not_ask_a_busy_map_each_time() -> None:
    """All 1024 are busy: 5,000 other keys share one state, and few of them are looked for a place."""
    map_ = Map(1024)
    for number in range(1024):
        map_.get(f"busy{number}").busy = True
    others = {id(map_.get(f"host{number}")) for number in range(5000)}
    assert len(others) == 1
    assert len(map_.states) == 1025
    assert map_.gone == []
    assert map_.asked <= 1024 * (5000 // (1024 // BATCH) + 1)


def test_a_busy_state_is_remembered_however_old_it_is() -> None:
    """An open breaker must not be forgotten because an attacker has thought of many names."""
    map_ = Map(32)
    dead = map_.get("dead")
    dead.busy = True
    for number in range(1000):
        map_.get(f"host{number}")
    assert map_.get("dead") is dead
    assert len(map_.states) <= 32


def test_a_state_that_is_used_while_room_is_made_stays() -> None:
    """Between the look and the forgetting somebody needed it."""
    map_ = Map(2)
    old, new = map_.get("old"), map_.get("new")

    def used_meanwhile(state: State) -> bool:
        map_.get("old")
        return False

    map_.states._busy = used_meanwhile
    map_.get("third")
    assert map_.gone == [new]
    assert map_.get("old") is old


def test_once_there_is_room_again_keys_have_their_own_state() -> None:
    """The shared one was for the time of need."""
    map_ = Map(1)
    first = map_.get("a")
    first.busy = True
    assert map_.get("b").key == OVERFLOW
    first.busy = False
    assert map_.get("b").key == "b"


# -- making ----------------------------------------------------------------------------------------------------


def test_a_make_that_raises_leaves_nothing_behind() -> None:
    """The error comes through; the next one tries again."""
    broken = [True]

    def make(key: str) -> State:
        if broken[0]:
            raise LookupError(key)
        return State(key)

    map_ = Map(2, make)
    for _ in range(3):
        with pytest.raises(LookupError):
            map_.get("a")
    assert len(map_.states) == 0
    broken[0] = False
    assert map_.get("a") is map_.get("a")


def test_a_make_may_ask_for_another_key() -> None:
    """It is not under the lock."""

    def make(key: str) -> State:
        if key == "child":
            map_.get("parent")
        return State(key)

    map_ = Map(8, make)
    child = map_.get("child")
    assert sorted(map_.keys()) == ["child", "parent"]
    assert map_.get("child") is child


# -- threads ---------------------------------------------------------------------------------------------------


@pytest.fixture
def impatient() -> Generator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("impatient")
def test_threads_share_one_state_for_a_key() -> None:
    """Eight threads, random keys out of more than there is room for: never more than the limit, nothing lost."""
    map_ = Map(20)

    def work(number: int) -> None:
        chance = random.Random(number)
        for _ in range(2000):
            key = f"k{chance.randrange(40)}"
            assert map_.get(key).key == key
            assert len(map_.states) <= 20

    threads(*[partial(work, number) for number in range(8)])
    kept = {id(state) for _, state in map_.states}
    gone = {id(state) for state in map_.gone}
    assert not kept & gone
    assert len(map_.made) == len(kept) + len(gone) == len(kept) + len(map_.gone)


def test_when_a_make_fails_the_next_in_line_makes_it() -> None:
    """Who waits for a thread that fails is not left without."""
    failing, got = [True], list[State]()

    def make(key: str) -> State:
        if failing:
            failing.clear()
            time.sleep(0.02)  # the others come and wait meanwhile
            raise LookupError(key)
        return State(key)

    def ask() -> None:
        try:
            got.append(map_.get("a"))
        except LookupError:
            errors.append(threading.get_ident())

    map_, errors = Map(8, make), list[int]()
    threads(*[ask] * 8)
    assert (len(errors), len(got)) == (1, 7)
    assert set(got) == set(map_.made)
    assert len(map_.made) == 1


# -- keys ------------------------------------------------------------------------------------------------------


@given(st.text(min_size=1), st.integers(0, 400), st.integers(0, 400))
def test_long_keys_are_bounded_and_told_apart(end: str, one: int, other: int) -> None:
    """However alike their beginnings are."""
    map_ = Map(8)
    keys = ["x" * one + end, "x" * other + end, "x" * one + end + "y", "x" * 1000 + end]
    states = {key: map_.get(key) for key in keys}
    assert len({id(state) for state in states.values()}) == len(states) == len(map_.states)
    assert all(map_.get(key) is state for key, state in states.items())
    for key, state in map_.states:
        assert len(key) <= LONGEST_KEY
        assert state.key == key


def test_a_key_need_not_be_valid_unicode() -> None:
    """Half of a pair, of any length."""
    map_ = Map(8)
    assert map_.get("\udc80" * 999) is map_.get("\udc80" * 999) is not map_.get("\udc80" * 998)


async def akey() -> str:
    """A key nobody awaits."""
    return "k"


@pytest.mark.parametrize("key", [None, 3, b"host", ("a", "b"), ["a"], {"a": 1}, object()], ids=repr)
def test_a_key_that_is_no_text_is_refused(key: Any) -> None:
    """Even one that no table could hold; nothing is made for it."""
    map_ = Map(8)
    with pytest.raises(ConfigurationError) as caught:
        map_.get(key)
    assert "the function must give the key as a text; return a str" in str(caught.value)
    assert str(caught.value).startswith("standard(per=")
    assert map_.made == []


def test_a_key_of_an_async_function_is_refused() -> None:
    """Without a second complaint about a coroutine that was never awaited."""
    with pytest.raises(ConfigurationError, match="per="):
        Map(8).states.get(akey())  # type: ignore[arg-type]
    gc.collect()
