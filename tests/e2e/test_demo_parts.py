"""The parts of the demo by themselves: script, luck, measuring, views, command line."""

from __future__ import annotations

import asyncio
import io
import math
import subprocess
import sys
import time
from itertools import pairwise

import pytest
from rich.console import Console
from tests.support.demo import resilix, sound_record

from resilix.__main__ import main
from resilix.demo.live import screen
from resilix.demo.measure import Record, Side, figures_of, percentile
from resilix.demo.messages import FALLBACK, FRESH, Answered, Done, Gauges, Happened, Load, Ready, decode, encode
from resilix.demo.picture import draw, spells
from resilix.demo.plain import PlainView
from resilix.demo.processes import Cast, ProcessFailedError
from resilix.demo.script import OUTAGE, phase_at, phase_named, script_for
from resilix.demo.server import SickServer
from resilix.demo.settings import Settings
from resilix.demo.wording import percent, seconds

# -- script and server ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [5.0, 6.0, 25.0, 600.0])
def test_the_phases_cover_the_run_without_a_gap(length):
    """Each begins where the one before it ends, and the outage is longer than the breaker's first opening."""
    settings = Settings(seconds=length)
    script = script_for(settings)
    assert script[0].start == 0.0
    assert script[-1].end == length
    assert all(before.end == after.start for before, after in pairwise(script))
    assert phase_named(script, OUTAGE).length > settings.open_for + settings.attempt_timeout / 2


def test_a_moment_on_the_border_belongs_to_the_later_phase():
    """Before the start it is the first phase, after the end the last one."""
    script = script_for(Settings(seconds=20.0))
    names = [phase_at(script, at).name for at in (-1.0, 0.0, 3.999, 4.0, 10.0, 14.0, 99.0)]
    assert names == ["healthy", "healthy", "healthy", "outage", "brown-out", "healthy again", "healthy again"]


async def _answered_at_once(seed: int, *, into: float) -> set[int]:
    """Which of 100 calls a server answers without delay when it is so far into its script."""
    server = SickServer(Settings(seed=seed))
    server.begin(time.monotonic() - into)
    tasks = [asyncio.create_task(server.answer(str(number), "1")) for number in range(100)]
    for _ in range(5):
        await asyncio.sleep(0)
    done = {number for number, task in enumerate(tasks) if task.done()}
    assert all(tasks[number].result()[0] == 503 for number in done)
    assert server.calls[phase_at(script_for(Settings()), into).name] == 100
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (server.busy, server.waiting) == (0, 0)
    return done


def test_in_the_outage_about_half_of_the_calls_get_a_503_and_the_others_hang():
    """The script says 50 %; while healthy, none is answered at once, because each takes some work."""
    assert 30 <= len(asyncio.run(_answered_at_once(1, into=6.0))) <= 70
    assert asyncio.run(_answered_at_once(1, into=1.0)) == set()


def test_both_servers_deal_out_the_same_luck():
    """It hangs on seed, request and attempt alone, so neither side can be luckier."""
    first, second = (asyncio.run(_answered_at_once(5, into=6.0)) for _ in range(2))
    assert first == second
    assert first != asyncio.run(_answered_at_once(6, into=6.0))


def test_a_full_waiting_room_turns_calls_away():
    """Workers and waiting room have bounds: one more call is answered 503."""

    async def overrun() -> tuple[int, int, int]:
        settings = Settings()
        server = SickServer(settings)
        server.begin(time.monotonic() - 6.0)
        most = 4 * (settings.workers + settings.waiting_room)
        tasks = [asyncio.create_task(server.answer(str(number), "1")) for number in range(most)]
        for _ in range(5):
            await asyncio.sleep(0)
        full = sum(task.done() and task.result()[1] == b"full" for task in tasks)
        held = (server.busy, server.waiting)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return full, *held

    full, busy, waiting = asyncio.run(overrun())
    assert full > 0
    assert waiting == Settings().waiting_room
    assert busy <= Settings().workers


def test_a_server_that_cannot_live_is_an_error_and_not_a_wait(monkeypatch):
    """A process that ends at once is told with its last words, and the others are stopped."""
    monkeypatch.setattr("resilix.demo.processes.asdict", lambda settings: {"nonsense": 1})
    with (
        Cast(Settings()) as cast,
        pytest.raises(ProcessFailedError, match=r"server process ended with status 1: .*nonsense"),
    ):
        cast.begin()
    assert all(child.process.poll() is not None for child in cast._children.values())


# -- messages and measuring ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        Ready(port=8080),
        Load(at=0.1, calls={"healthy": 3}, busy=1, waiting=0),
        Answered(at=0.1, latency=0.2, outcome=FRESH, attempts=2, age=0.0),
        Gauges(at=0.1, state="open", in_use=1, limit=2, budget=0.5, refused={"circuit_open": 3}),
        Happened(at=0.1, text="breaker: closed → open", to_state="open"),
        Done(latest=0.1, surprises=["x\ny"], bound=2.8),
    ],
)
def test_a_message_comes_over_unchanged_in_one_line(message):
    """What one process says is what the other hears."""
    line = encode(message)
    assert line.count("\n") == 1
    assert decode(line) == message


@pytest.mark.parametrize("line", ["", "[]", "{}", '{"is": "Nothing"}', "Traceback"])
def test_what_is_no_message_is_refused(line):
    """Garbage is a ValueError."""
    with pytest.raises(ValueError):
        decode(line)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([1], 0.99, 1), ([3, 1, 2], 0.5, 2), (range(1, 101), 0.99, 99), (range(1, 101), 0.5, 50), ([1, 2], 0.5, 1)],
)
def test_percentiles_are_values_that_occurred(values, share, expected):
    """Nearest rank: at least that share of the values is not larger."""
    assert percentile(values, share) == expected


def test_figures_of_nothing_are_no_figures():
    """No request: no share, no latency, instead of a nought that looks measured."""
    nothing = figures_of([])
    assert nothing.requests == 0
    assert all(math.isnan(one) for one in (nothing.fresh, nothing.failed, nothing.p99, nothing.attempts))


def test_figures_sum_up():
    """Shares are of all requests; attempts are a mean."""
    figures = figures_of(
        [Answered(0, 0.1, FRESH, 1), Answered(1, 0.3, FALLBACK, 0, age=2.0), Answered(2, 0.2, "failed", 3)]
    )
    assert figures.fresh == pytest.approx(1 / 3)
    assert figures.answered == pytest.approx(2 / 3)
    assert (figures.p50, figures.longest) == (0.2, 0.3)
    assert figures.attempts == pytest.approx(4 / 3)
    assert figures.oldest == 2.0


def test_load_between_two_moments_is_the_servers_count():
    """Differences of its running totals; before the first report there was nothing."""
    side = Side()
    for at, calls in ((0.1, 4), (1.0, 40), (1.9, 50)):
        side.take(Load(at, {"healthy": calls - 1, "outage": 1}, 0, 0))
    assert side.borne_between(0.0, 1.0) == 40
    assert side.borne_between(1.0, 2.0) == 10
    assert (side.borne(), side.borne("outage"), Side().borne()) == (50, 1, 0)


def test_requests_are_binned_by_when_they_were_due():
    """However long they took: an outage does not move them into a better second."""
    side = Side([Answered(0.4, 9.0, FRESH, 1), Answered(1.0, 0.1, FALLBACK, 0), Answered(2.4, 0.1, FRESH, 1)])
    bins = side.by_time(2.5)
    assert [one.requests for one in bins] == [1, 1, 1]
    assert [one.fresh for one in bins] == [1.0, 0.0, 1.0]
    assert [one.requests for one in side.by_time(2.0, 0.5)] == [1, 0, 1, 0]


def test_lately_means_by_when_they_ended():
    """The figures of the moment are of what callers just got."""
    side = Side([Answered(1.0, 5.0, "failed", 3), Answered(3.0, 0.1, FRESH, 1)])
    assert side.lately(6.5, 2.0).failed == 1.0
    assert side.lately(6.5, 2.0).requests == 1


def test_percentages_are_not_rounded_to_all_or_nothing():
    """One error in a thousand is not 100 % success."""
    assert [percent(one) for one in (1.0, 0.9996, 0.999, 0.5, 0.001, 0.0, math.nan)] == [
        "100%", "99.9%", "99.9%", "50%", "0.1%", "0%", "-",
    ]  # fmt: skip
    assert [seconds(one) for one in (0.0123, 0.9999, 2.5)] == ["12 ms", "1.00 s", "2.50 s"]


# -- views -------------------------------------------------------------------------------------------------------


def _drawn(record: Record, now: float, lines: int) -> list[str]:
    console = Console(file=io.StringIO(), width=80, height=lines, force_terminal=True, color_system=None)
    console.print(screen(record, now, lines))
    return console.file.getvalue().rstrip("\n").split("\n")


@pytest.mark.parametrize("lines", [24, 30, 31, 50])
@pytest.mark.parametrize("now", [0.0, 0.3, 7.5, 20.0, 23.0])
def test_the_screen_fits_the_terminal(lines, now):
    """No line is cut off at the bottom, at any moment of a run."""
    drawn = _drawn(sound_record(), now, lines)
    assert len(drawn) < lines
    assert max(map(len, drawn)) <= 80


def test_the_screen_can_be_drawn_before_anything_happened():
    """At the very beginning there are no figures, and no crash."""
    drawn = "\n".join(_drawn(Record(Settings()), 0.0, 40))
    assert "nan" not in drawn
    assert "guarded side: starting" in drawn


def test_the_screen_shows_what_matters():
    """State, shares, latency, attempts, load, fallbacks, phase and log."""
    record = sound_record()
    record.guarded.take(Gauges(7.5, "half_open", 1, 20, 0.93, {"circuit_open": 31}))
    drawn = "\n".join(_drawn(record, 7.5, 40))
    for word in ("HALF-OPEN", "1 of 20", "93%", "refused 31", "outage: 50%", "fallbacks served", "breaker: half_open"):
        assert word in drawn


def test_plain_lines_tell_each_event_once(capsys):
    """However often it is updated."""
    view = PlainView(sound_record())
    for now in (0.1, 0.2, 1.1, 4.6, 4.7, 5.8):
        view.update(now)
    lines = capsys.readouterr().out.splitlines()
    assert sum("breaker: open" in line for line in lines) == 2
    assert sum("* server: outage" in line for line in lines) == 1
    assert sum("unguarded: " in line for line in lines) == 3


def test_the_spells_of_the_breaker_cover_the_run():
    """The band in the picture has no gap and ends with the run."""
    found = spells(sound_record())
    assert [state for state, _, _ in found] == ["closed", "open", "half_open", "open", "half_open", "closed"]
    assert found[0][1] == 0.0
    assert found[-1][2] == 20.0
    assert all(before[2] == after[1] for before, after in pairwise(found))


def test_a_picture_can_be_drawn_of_a_run_without_figures(tmp_path):
    """Gaps are gaps."""
    draw(Record(Settings(seconds=6.0)), tmp_path / "demo.png")
    assert (tmp_path / "demo.png").stat().st_size > 10_000


# -- command line --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["fly"], "there is no command 'fly'; there is: demo"),
        (["demo", "--rate", "0"], "'0' is not a number of requests per second from 10 to 100"),
        (["demo", "--seconds", "-3"], "'-3' is not a number of seconds from 5 to 600"),
        (["demo", "--seconds", "nan"], "'nan' is not a number of seconds"),
        (["demo", "--seconds", "inf"], "'inf' is not a number of seconds"),
        (["demo", "--rate", "many"], "'many' is not a number"),
        (["demo", "--seed", "1.5"], "'1.5' is not a whole number"),
        (["demo", "--bogus"], "unrecognized arguments: --bogus"),
    ],
)
def test_nonsense_is_refused_with_a_sentence_and_status_2(arguments, complaint, capsys):
    """One line on stderr that says what is wrong and where help is."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1


def test_a_directory_that_cannot_be_made_is_refused_before_the_run(tmp_path, capsys):
    """Not after 25 seconds."""
    (tmp_path / "file").write_text("")
    assert main(["demo", "--out", str(tmp_path / "file" / "sub")]) == 2
    assert "--out" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["httpx", "matplotlib", "rich"])
def test_a_missing_library_is_one_sentence_that_names_the_extra(missing, monkeypatch, capsys):
    """What is missing and what brings it, with status 2."""
    monkeypatch.setitem(sys.modules, missing, None)
    assert main(["demo"]) == 2
    said = capsys.readouterr().err
    assert said == f'resilix demo needs {missing}: pip install "resilix-toolkit[demo]" brings everything\n'


def test_resilix_alone_and_help_explain_themselves():
    """Through a real command line: exit status 0, the command there is, and its options."""
    alone = resilix()
    assert alone.returncode == 0
    assert "demo" in alone.stdout
    about = resilix("demo", "--help")
    assert about.returncode == 0
    assert all(option in about.stdout for option in ("--seconds", "--rate", "--seed", "--out", "exit status"))


def test_importing_resilix_does_not_import_the_demo():
    """Nor what only the demo needs; and the command line starts without it too."""
    code = (
        "import sys, resilix\n"
        "assert not [name for name in sys.modules if name.startswith('resilix.demo')]\n"
        "import resilix.__main__\n"
        "assert not {'httpx', 'rich', 'matplotlib'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)
