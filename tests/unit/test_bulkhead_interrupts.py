"""Interrupts: wherever the interpreter may deliver one, no place is lost."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import pytest
from tests.support import interrupts
from tests.support.attention import attending
from tests.support.bulkhead import bulkhead
from tests.support.bulkhead_time import StillTime, still_time

from resilix import Bulkhead, BulkheadFullError, deadline, events
from resilix.runtime import RUNTIME, Flag


def everywhere(slots: Bulkhead, work: Callable[[], Any], *, at_least: int) -> None:
    """Interrupt the work at every moment in turn; each time all places are free afterwards."""

    def check(moment: int) -> None:
        assert (slots.free, slots.waiting) == (slots.limit, 0), f"a place was lost at moment {moment}"

    interrupts.everywhere(work, check, at_least=at_least)


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> StillTime:
    """Waits end at once."""
    return still_time(monkeypatch)


@pytest.fixture(params=["quiet", "held", "listened to", "with a deadline"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """All the ways through the shells."""
    attending(monkeypatch, deadlines=False, held=request.param == "held")
    if request.param == "listened to":
        stop = events.subscribe(lambda event: None)
        yield
        stop()
    elif request.param == "with a deadline":
        with deadline(1000):
            yield
    else:
        yield


@pytest.mark.usefixtures("path")
def test_an_interrupted_call_gives_its_place_back() -> None:
    """From before the place is taken until after it was given back."""
    slots = bulkhead("interrupted", limit=1)
    everywhere(slots, slots(lambda: len("work")), at_least=2)


@pytest.mark.usefixtures("path")
def test_an_interrupted_async_call_gives_its_place_back() -> None:
    """The same for ``async def``."""
    slots = bulkhead("interrupted-async", limit=1)

    @slots
    async def body() -> None:
        len("work")

    def work() -> None:
        coroutine = body()
        try:
            with pytest.raises(StopIteration):
                coroutine.send(None)
        finally:
            coroutine.close()

    everywhere(slots, work, at_least=2)


def test_an_interrupted_acquire_takes_nothing() -> None:
    """Whoever did not get a permit holds no place."""
    slots = bulkhead("interrupted-acquire", limit=1)

    def work() -> None:
        permit = None
        try:
            permit = slots.acquire()
        finally:
            # Whatever was handed out is the caller's to settle; that is not interrupted here.
            sys.setprofile(None)
            if permit is not None:
                permit.release()

    everywhere(slots, work, at_least=5)


@pytest.mark.parametrize("granted", [True, False])
def test_an_interrupted_waiter_leaves_the_line_or_passes_its_place_on(granted: bool, still: StillTime) -> None:
    """On the way into the line, in it, and after the place was handed over."""
    slots = bulkhead("interrupted-waiter", limit=1, max_wait=1.0)
    guarded = slots(lambda: len("work"))

    def work() -> None:
        place = slots.acquire()

        def give() -> None:
            profile = sys.getprofile()
            sys.setprofile(None)  # whoever frees the place is another thread, which is not interrupted
            place.release()
            sys.setprofile(profile)

        still.meanwhile = give if granted else lambda: None
        try:
            guarded()
        except BulkheadFullError:
            assert not granted
        finally:
            give()

    everywhere(slots, work, at_least=20)


@pytest.mark.parametrize("mode", ["call", "acquire"])
def test_an_interrupt_while_parked_leaves_the_line(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The interrupt strikes in the wait itself."""
    slots = bulkhead("parked", limit=1, max_wait=None)
    seen: list[int] = []

    def struck(flag: Flag, seconds: float | None, *, on_worker: bool = False) -> bool:
        seen.append(slots.waiting)
        raise KeyboardInterrupt

    monkeypatch.setattr(RUNTIME.driver, "block", struck)
    with slots.acquire():
        with pytest.raises(KeyboardInterrupt):
            slots.acquire() if mode == "acquire" else slots.call(lambda: None)
        assert (seen, slots.waiting, slots.rejected) == ([1], 0, 0)
    assert slots.free == 1


def test_an_interrupt_while_parked_passes_a_place_on_that_had_just_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Handed over and interrupted in the same moment: the place is free again."""
    slots = bulkhead("parked-granted", limit=1, max_wait=None)
    place = slots.acquire()

    def struck(flag: Flag, seconds: float | None, *, on_worker: bool = False) -> bool:
        place.release()
        raise KeyboardInterrupt

    monkeypatch.setattr(RUNTIME.driver, "block", struck)
    with pytest.raises(KeyboardInterrupt):
        slots.call(lambda: None)
    assert (slots.free, slots.waiting) == (1, 0)


def test_ctrl_c_in_a_waiting_thread() -> None:
    """A real SIGINT in a real wait: the line is left, and the place that comes later is free."""
    script = """
    import os, signal, threading, time
    from resilix import Bulkhead

    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background of a shell it is ignored
    slots = Bulkhead("real", limit=1, max_wait=None)
    place = slots.acquire()

    def strike():
        while slots.waiting == 0:
            time.sleep(0.001)
        while slots.waiting:  # one that comes just before the thread blocks does not wake it: CPython, not us
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1.0)

    threading.Thread(target=strike, daemon=True).start()
    try:
        slots.call(lambda: print("must not run"))
    except KeyboardInterrupt:
        print("interrupted", slots.waiting, slots.free)
    place.release()
    print("free", slots.free, slots.call(lambda: "again"))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("interrupted 0 0\nfree 1 again\n", "", 0)
