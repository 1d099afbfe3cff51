"""The sentences below the table, and the line that says how far a run is."""

from __future__ import annotations

import gc
import io
import os
import signal
from collections.abc import Iterable
from itertools import count
from typing import Any

import pytest
from tests.support.whatif import SOUND, Screen

from resilix.runtime import RUNTIME
from resilix.testing.simulation import Change, Episode, Result, brown_out, flapping, outage, stall
from resilix.whatif.play import EVERY, PATIENCE, Progress, play
from resilix.whatif.scenario import Scenario, scenario_of
from resilix.whatif.words import WIDTH, report_of, weather

TROUBLE = 'kind = "outage"\nstart = 5\nseconds = 5'
POLICIES = "[{ retry = { attempts = 2, wait = 0.1 } }, { timeout = 1.0 }]"


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """One with a cursor, wherever the tests run."""
    monkeypatch.setenv("TERM", "xterm")


def played(text: str, progress: Progress | None = None) -> tuple[Scenario, list[Result]]:
    """What is found of a file."""
    scenario = scenario_of(text.encode(), "mine.toml")
    found = play(
        scenario.candidates, scenario.load, scenario.dependency,
        seconds=scenario.seconds, seed=scenario.seed, progress=progress or Progress(io.StringIO()),
    )  # fmt: skip
    return scenario, found


def sentences(*changes: tuple[str, str]) -> str:
    """What is said of a candidate, in one line."""
    text = SOUND
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    scenario, results = played(text)
    return " ".join(report_of(scenario, results, scenario.seconds, scenario.seed).split("\n\n")[-1].split())


def test_it_says_what_users_and_the_dependency_got() -> None:
    """A retry in an outage: all calls of five seconds fail, and each of them is two requests."""
    text = sentences()
    assert text.startswith("retry: recovers at once when the trouble is over. ")
    assert "% of the calls succeeded (" in text
    assert "% failed); 99 of 100 took no more than" in text
    assert "The dependency got 1.2" in text
    assert text.endswith("/s at the peak, where 50/s can be answered.")
    assert "breaker" not in text


def test_a_breaker_is_said_to_have_opened_or_not() -> None:
    """How often, and how long after the trouble began."""
    quiet = (TROUBLE, "kind = 'brown_out'\nstart = 5\nseconds = 5\nslower = 1.1")
    assert "No breaker opened." in sentences((POLICIES, "['breaker']"), quiet)
    once = sentences((POLICIES, "['breaker']"))
    assert "Its breaker opened once, 0." in once
    assert "s into the trouble." in once
    often = sentences((POLICIES, "[{ breaker = { open_for = 1 } }]"))
    assert "Its breaker opened 5 times, first 0." in often
    several = sentences((POLICIES, "[{ breaker = { consecutive = 3 } }]\nprocesses = 2"))
    assert "2 breakers opened 2 times, first" in several


def test_without_trouble_nothing_recovers() -> None:
    """An opening is then told by its moment."""
    calm = ("[[trouble]]\n" + TROUBLE + "\n", "")
    assert sentences(calm).startswith("retry: 100.0% of the calls succeeded; 99 of 100")
    touchy = sentences(calm, (POLICIES, "[{ breaker = { consecutive = 1 } }, { timeout = 0.05 }]"))
    assert "Its breaker opened once, at 0." in touchy


def test_what_never_recovers_is_told_with_its_reason() -> None:
    """More arrives than can be answered; or what is answered is for nobody; or the trouble does not end."""
    naive = (POLICIES, "[{ retry = { attempts = 4, wait = 0.05 } }, { timeout = 1.0 }]")
    long, crowded = ("seconds = 20", "seconds = 60"), ("rate = 20", "rate = 40")
    standstill = (TROUBLE, "kind = 'stall'\nstart = 5\nseconds = 5")
    text = sentences(naive, long, crowded, standstill)
    assert text.startswith("retry: never recovers: 1")
    assert "requests/s arrive where 50 can be answered." in text
    # A line that is never worked off, of as many calls as come.
    slow = (TROUBLE, "kind = 'stall'\nstart = 5\nseconds = 20")
    alone = sentences((POLICIES, "[{ timeout = 1.0 }]"), long, ("rate = 20", "rate = 48"), slow)
    assert alone.startswith(
        "retry: never recovers: at the end 0% of the calls succeed, and the dependency works for nobody."
    )
    endless = sentences(("seconds = 5\n", "seconds = 15\n"))
    assert endless.startswith("retry: the trouble lasts to the end. ")


def test_who_never_came_back_is_not_said_to_have_been_quick() -> None:
    """One of a hundred is enough to say so."""
    hole = (TROUBLE, 'kind = "black_hole"\nstart = 5\nseconds = 5')
    text = sentences(hole, (POLICIES, "[]"))
    assert "never came back); more than one of 100 had not come back a minute after the end." in text


def test_a_share_that_would_be_zero_is_a_number() -> None:
    """Nobody reads 0.0% failed."""
    brief = ("start = 5\nseconds = 5", "start = 5\nseconds = 0.12\nafter = 0")
    steady = ("rate = 20", "kind = 'steady'\nrate = 20")
    text = sentences(("seconds = 20", "seconds = 400"), brief, steady, (POLICIES, "[]"))
    assert "100.0% of the calls succeeded (3 failed);" in text


def test_no_line_is_longer_than_promised() -> None:
    """Whatever the terminal: what is printed can be compared."""
    described = ('title = "sound"', 'title = "sound"\ndescription = "' + "so it goes " * 40 + '"')
    scenario, results = played(SOUND.replace(*described))
    text = report_of(scenario, results, scenario.seconds, scenario.seed)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert text.splitlines()[0] == "sound"
    assert "Traffic poisson(20) for 20 s, seed 1. Dependency(capacity=5, service=0.1), 50 requests/s" in text


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ([], "no trouble"),
        ([outage(1, 2)], "outage from 1 to 3 s"),
        (flapping(60, 20, down=4, up=6), "flapping from 60 to 74 s"),
        ([stall(1, 2, shard=3), stall(5, 2)], "stall of shard 3 from 1 to 3 s, stall from 5 to 7 s"),
        ([stall(5, 2), brown_out(8, 1)], "stall from 5 to 7 s, brown-out from 8 to 9 s"),
    ],
)
def test_episodes_of_one_kind_are_told_as_one(script: Iterable[Episode], told: str) -> None:
    """Twelve outages in a row are flapping."""
    assert weather(list(script)) == told


def test_progress_fits_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that wraps cannot be changed in place: its beginning is left out, for the figures are at its end."""
    screen = Screen()
    monkeypatch.setattr("os.get_terminal_size", lambda descriptor: os.terminal_size((30, 10)))
    monkeypatch.setattr(screen, "fileno", lambda: 2)
    progress = Progress(screen)
    progress.say("reading /a/long/way/to/calls.csv: 78%, 156,416 calls")
    assert screen.getvalue() == "\r...ls.csv: 78%, 156,416 calls"
    progress.clear()
    assert screen.getvalue().endswith("\r" + " " * 29 + "\r")


def test_a_terminal_without_a_cursor_gets_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """An editor's shell would show a line for each change."""
    monkeypatch.setenv("TERM", "dumb")
    assert not Progress(Screen(), lambda: 1e9).due()


def test_progress_is_a_line_that_changes_and_goes_away() -> None:
    """Nothing for a second, then now and then, and at the end an empty line."""
    screen, now = Screen(), [0.0]

    def clock() -> float:
        now[0] += EVERY / 2
        return now[0]

    progress = Progress(screen, clock)
    _, results = played(SOUND.replace("rate = 20", "rate = 400"), progress)
    assert results[0].calls > 7_000
    shown = screen.getvalue().split("\r")
    assert shown[0] == ""
    assert shown[1].startswith("simulating retry (1 of 1): ")
    assert now[0] > PATIENCE
    assert len(shown) > 3
    assert shown[-2].strip() == shown[-1] == ""


def test_progress_is_silent_where_there_is_no_terminal() -> None:
    """And costs no look at the clock."""
    stream = io.StringIO()
    asked: list[Any] = []
    progress = Progress(stream, lambda: asked.append(None) or 1e9)  # type: ignore[func-returns-value]
    asked.clear()
    played(SOUND, progress)
    progress.clear()
    assert (stream.getvalue(), asked) == ("", [])


class Pressed(Screen):
    """A terminal at which somebody presses Ctrl-C, once, as soon as there is something to read."""

    pressed = False

    def write(self, text: str, /) -> int:
        """Send the signal."""
        if not self.pressed:
            self.pressed = True
            signal.raise_signal(signal.SIGINT)
        return super().write(text)


def test_ctrl_c_ends_a_run_at_the_next_call_and_what_handled_it_before_does_so_again() -> None:
    """It cannot be lost where Python only prints what is raised; and policies get their own clock back."""
    now = count()
    driver = RUNTIME.driver
    screen = Pressed()
    with pytest.raises(KeyboardInterrupt):
        played(SOUND.replace("rate = 20", "rate = 400"), Progress(screen, lambda: float(next(now))))
    gc.collect()  # a call that was left hanging would be heard of here
    assert screen.getvalue().count("simulating") == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert RUNTIME.driver is driver
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_run_that_comes_to_its_end_leaves_ctrl_c_as_it_was() -> None:
    """Whoever plays candidates in a program of their own can interrupt it afterwards."""
    played(SOUND)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_where_policies_run_is_as_the_file_says() -> None:
    """Processes, shared or not, clients and shards make a difference; breakers are named by them."""

    def changes(more: str) -> list[Change]:
        sharded = SOUND.replace(POLICIES, "['breaker']").replace("capacity = 5", "capacity = 5\nshards = 2")
        return list(played(sharded + more)[1][0].changes)

    def breakers(more: str) -> set[str]:
        return {one.breaker for one in changes(more)}

    assert breakers("") == {"dependency"}
    assert breakers("processes = 2") == {"dependency, process 0", "dependency, process 1"}
    assert breakers("processes = 2\nshared = true") == {"dependency"}
    assert breakers("per_shard = true") == {"dependency, shard 0", "dependency, shard 1"}
    assert changes("processes = 2") == changes("processes = 2\nclients = 2") != changes("processes = 2\nclients = 3")


def test_a_handler_of_somebody_elses_is_left_alone() -> None:
    """A program that has its own way with Ctrl-C keeps it while candidates are played."""
    got: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: got.append(number))
    try:
        now = count()
        _, results = played(SOUND.replace("rate = 20", "rate = 400"), Progress(Pressed(), lambda: float(next(now))))
    finally:
        signal.signal(signal.SIGINT, before)
    assert (results[0].calls > 7_000, set(got)) == (True, {signal.SIGINT})
