"""State for each key: one state a key, bounded memory, the least recently used goes first, never one that is busy."""

from __future__ import annotations

import gc
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilix import ConfigurationError
from resilix.http.states import BATCH, LONGEST_KEY, OVERFLOW, KeyedStates, origin_of

LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda one: one.__name__)


class State:
    """A state that can be busy."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.busy = False


class Watch:
    """States of that kind, and what was made, asked and forgotten."""

    def __init__(self, limit: int, make: Callable[[str], State] = State) -> None:
        self.made: list[State] = []
        self.asked = 0
        self.forgotten: list[State] = []
        self.maker = make
        self.states: KeyedStates[State] = KeyedStates(
            self.make, limit=limit, busy=self.is_busy, evicted=self.forgotten.append
        )

    def make(self, key: str) -> State:
        """One more."""
        state = self.maker(key)
        self.made.append(state)
        return state

    def is_busy(self, state: State) -> bool:
        """Whether it is."""
        self.asked += 1
        return state.busy

    @property
    def kept(self) -> list[str]:
        """The keys."""
        return sorted(key for key, _ in self.states)


# -- against a model -------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(st.sampled_from(["get", "get", "get", "busy", "idle"]), st.sampled_from("abcdefgh")), max_size=60
)


@given(st.integers(1, 5), STEPS)
def test_it_does_what_a_list_in_order_of_use_would(limit: int, steps: list[tuple[str, str]]) -> None:
    """Hits, misses, recency, the limit, busy states and the one that is shared."""
    watch = Watch(limit)
    model: list[State] = []  # least recently used first
    shared: State | None = None
    for what, key in steps:
        held = next((one for one in model if one.key == key), None)
        if what != "get":
            if held is not None:
                held.busy = what == "busy"
            continue
        got = watch.states.get(key)
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
            assert watch.forgotten[-1] is victim
        assert got is watch.made[-1]
        assert got.key == key
        model.append(got)
    assert {id(state) for _, state in watch.states} == {id(one) for one in [*model, *([shared] if shared else [])]}
    assert len(watch.states) == len(model) + (shared is not None) <= limit + 1
    assert len(watch.made) == len(watch.forgotten) + len(watch.states)


def test_a_full_map_makes_room_for_many_at_once() -> None:
    """A flood of 5,000 keys sorts it eighty times, not four thousand; what was used last stays."""
    watch = Watch(1024)
    for number in range(5000):
        watch.states.get(f"host{number}")
        watch.states.get("mine")
    assert "mine" in watch.kept
    assert 1024 - 1024 // BATCH <= len(watch.states) <= 1024
    assert watch.asked == len(watch.forgotten), "each was asked once, when it went"
    assert [one.key for one in watch.forgotten[:3]] == ["host0", "host1", "host2"]


def test_a_flood_does_not_ask_a_busy_map_each_time() -> None:
    """All 1024 are busy: 5,000 other keys share one state, and few of them are looked for a place."""
    watch = Watch(1024)
    for number in range(1024):
        watch.states.get(f"busy{number}").busy = True
    others = {id(watch.states.get(f"host{number}")) for number in range(5000)}
    assert len(others) == 1
    assert len(watch.states) == 1025
    assert watch.forgotten == []
    assert watch.asked <= 1024 * (5000 // (1024 // BATCH) + 1)


def test_a_busy_state_is_remembered_however_old_it_is() -> None:
    """An open breaker must not be forgotten because an attacker has thought of many names."""
    watch = Watch(32)
    dead = watch.states.get("dead")
    dead.busy = True
    for number in range(1000):
        watch.states.get(f"host{number}")
    assert watch.states.get("dead") is dead
    assert len(watch.states) <= 32


def test_a_state_that_is_used_while_room_is_made_stays() -> None:
    """Between the look and the forgetting somebody needed it."""
    watch = Watch(2)
    old, new = watch.states.get("old"), watch.states.get("new")

    def used_meanwhile(state: State) -> bool:
        watch.states.get("old")
        return False

    watch.states._busy = used_meanwhile
    watch.states.get("third")
    assert watch.forgotten == [new]
    assert watch.states.get("old") is old


def test_once_there_is_room_again_keys_have_their_own_state() -> None:
    """The shared one was for the time of need."""
    watch = Watch(1)
    first = watch.states.get("a")
    first.busy = True
    assert watch.states.get("b").key == OVERFLOW
    first.busy = False
    assert watch.states.get("b").key == "b"


# -- making ----------------------------------------------------------------------------------------------------


def test_a_make_that_raises_leaves_nothing_behind() -> None:
    """The error comes through; the next one tries again."""
    broken = [True]

    def make(key: str) -> State:
        if broken[0]:
            raise LookupError(key)
        return State(key)

    watch = Watch(2, make)
    for _ in range(3):
        with pytest.raises(LookupError):
            watch.states.get("a")
    assert len(watch.states) == 0
    broken[0] = False
    assert watch.states.get("a") is watch.states.get("a")


def test_a_make_may_ask_for_another_key() -> None:
    """It is not under the lock."""

    def make(key: str) -> State:
        if key == "child":
            watch.states.get("parent")
        return State(key)

    watch = Watch(8, make)
    child = watch.states.get("child")
    assert watch.kept == ["child", "parent"]
    assert watch.states.get("child") is child


def test_a_make_that_asks_for_its_own_key_gets_one_state() -> None:
    """The inner one is kept, the outer one is forgotten as if it had been evicted."""
    depth = []

    def make(key: str) -> State:
        depth.append(key)
        if len(depth) == 1:
            assert watch.states.get(key).key == key
        return State(key)

    watch = Watch(8, make)
    state = watch.states.get("a")
    assert watch.states.get("a") is state
    assert state is watch.made[0]
    assert watch.forgotten == [watch.made[1]]


# -- threads ---------------------------------------------------------------------------------------------------


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Do that many at once, started together."""
    errors: list[BaseException] = []
    start = threading.Barrier(count)

    def run(number: int) -> None:
        start.wait()
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


@pytest.fixture
def impatient() -> Any:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("impatient")
def test_threads_share_one_state_for_a_key() -> None:
    """Eight threads, random keys out of more than there is room for: never more than the limit, nothing lost."""
    watch = Watch(20)

    def work(number: int) -> None:
        chance = random.Random(number)
        for _ in range(2000):
            key = f"k{chance.randrange(40)}"
            assert watch.states.get(key).key == key
            assert len(watch.states) <= 20

    in_threads(8, work)
    kept = {id(state) for _, state in watch.states}
    gone = {id(state) for state in watch.forgotten}
    assert not kept & gone
    assert len(watch.made) == len(kept) + len(gone) == len(kept) + len(watch.forgotten)


@pytest.mark.usefixtures("impatient")
def test_a_state_is_made_by_one_thread_only() -> None:
    """Two breakers of one name would be warned of, although nobody made a mistake."""
    for _ in range(50):
        watch = Watch(8, lambda key: (time.sleep(0), State(key))[1])
        got: list[State] = []
        in_threads(8, lambda number, watch=watch, got=got: got.append(watch.states.get("a")))  # type: ignore[misc]
        assert len({id(state) for state in got}) == len(watch.made) == 1
        assert watch.forgotten == []


def test_when_a_make_fails_the_next_in_line_makes_it() -> None:
    """Who waits for a thread that fails is not left without."""
    first, at_it = [True], threading.Event()

    def make(key: str) -> State:
        if first.pop() if first else False:
            at_it.set()
            while not waiting():
                time.sleep(0)
            raise LookupError(key)
        return State(key)

    def waiting() -> bool:
        frames = sys._current_frames()
        return any("wait" in repr(frame.f_code) for ident, frame in frames.items() if ident == threads[1].ident)

    watch, got = Watch(8, make), []

    def fail() -> None:
        with pytest.raises(LookupError):
            watch.states.get("a")

    def wait() -> None:
        at_it.wait()
        got.append(watch.states.get("a"))

    threads = [threading.Thread(target=fail), threading.Thread(target=wait)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [state.key for state in got] == ["a"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_does_not_wait_for_a_thread_it_has_not() -> None:
    """One was making a state, and had the lock, when the process forked."""
    watch = Watch(8)
    watch.states._lock.acquire()
    watch.states._making["a"] = type("Making", (), {"maker": -1, "done": threading.Event()})()
    pid = os.fork()
    if pid == 0:
        got = ""
        try:
            got = watch.states.get("a").key
        finally:
            os._exit(7 if got == "a" else 1)
    _, status = os.waitpid(pid, 0)
    watch.states._lock.release()
    assert os.waitstatus_to_exitcode(status) == 7


# -- keys ------------------------------------------------------------------------------------------------------


@given(st.text(min_size=1), st.integers(0, 400), st.integers(0, 400))
def test_long_keys_are_bounded_and_told_apart(end: str, one: int, other: int) -> None:
    """However alike their beginnings are."""
    watch = Watch(8)
    keys = ["x" * one + end, "x" * other + end, "x" * one + end + "y", "x" * 1000 + end]
    states = {key: watch.states.get(key) for key in keys}
    assert len({id(state) for state in states.values()}) == len(states) == len(watch.states)
    assert all(watch.states.get(key) is state for key, state in states.items())
    for key, state in watch.states:
        assert len(key) <= LONGEST_KEY
        assert state.key == key


def test_a_key_need_not_be_valid_unicode() -> None:
    """Half of a pair, of any length."""
    watch = Watch(8)
    assert watch.states.get("\udc80" * 999) is watch.states.get("\udc80" * 999) is not watch.states.get("\udc80" * 998)


async def akey() -> str:
    """A key nobody awaits."""
    return "k"


@pytest.mark.parametrize("key", [None, 3, b"host", ("a", "b"), ["a"], {"a": 1}, object()], ids=repr)
def test_a_key_that_is_no_text_is_refused(key: Any) -> None:
    """Even one that no table could hold; nothing is made for it."""
    watch = Watch(8)
    with pytest.raises(ConfigurationError) as caught:
        watch.states.get(key)
    assert "the function must give the key as a text; return a str" in str(caught.value)
    assert str(caught.value).startswith("standard(per=")
    assert watch.made == []


def test_a_key_of_an_async_function_is_refused() -> None:
    """Without a second complaint about a coroutine that was never awaited."""
    with pytest.raises(ConfigurationError, match="per="):
        Watch(8).states.get(akey())  # type: ignore[arg-type]
    gc.collect()


# -- origins ---------------------------------------------------------------------------------------------------


@LIBRARIES
@pytest.mark.parametrize(("url", "origin"), [
    ("https://user:secret@api.example.com:443/v1?key=secret#secret", "https://api.example.com"),
    ("http://api.example.com", "http://api.example.com"),
    ("http://api.example.com:80/", "http://api.example.com"),
    ("http://api.example.com:443/", "http://api.example.com:443"),
    ("https://api.example.com:80/", "https://api.example.com:80"),
    ("https://api.example.com:0443/", "https://api.example.com"),
    ("HTTPS://API.Example.COM:8443/Path", "https://api.example.com:8443"),
    ("http://[::1]/", "http://[::1]"),
    ("http://[::1]:80/", "http://[::1]"),
    ("http://[2001:DB8::80]:8080/", "http://[2001:db8::80]:8080"),
    ("http://user@[::1]:81/", "http://[::1]:81"),
    ("https://bücher.example/", "https://xn--bcher-kva.example"),
    ("https://xn--bcher-kva.example:443/", "https://xn--bcher-kva.example"),
    ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
    ("http://example.com./", "http://example.com."),
    ("http://a%40b:c%2F@h/", "http://h"),
    ("wss://h:443/", "wss://h"),
    ("ws://h:443/", "ws://h:443"),
])  # fmt: skip
def test_the_origin_is_scheme_host_and_port(library: Any, url: str, origin: str) -> None:
    """RFC 6454 section 4: lower case, ASCII, without the port that is meant anyway, and nothing secret."""
    assert origin_of(library.URL(url)) == origin


@LIBRARIES
def test_a_url_without_a_host_has_an_origin_too(library: Any) -> None:
    """The transport will refuse it; finding its state must not fail before."""
    assert origin_of(library.URL("/only/a/path")) == "://"


@given(
    st.sampled_from([httpx, httpx2]), st.sampled_from(["http", "https"]), st.text("abc-.0", max_size=9),
    st.integers(1, 65535), st.text("sechtr%4:", max_size=9),
)  # fmt: skip
def test_userinfo_and_path_do_not_matter(library: Any, scheme: str, host: str, port: int, secret: str) -> None:
    """Two URLs of one origin have one state, and it is the one a request goes to."""
    plain = library.URL(f"{scheme}://h{host}h:{port}/")
    other = plain.copy_with(username="SECRET" + secret, password=secret, path="/SECRET", query=b"SECRET")
    assert origin_of(plain) == origin_of(other) == f"{scheme}://{plain.netloc.decode()}"
    assert "SECRET" not in origin_of(other)
