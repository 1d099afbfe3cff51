"""Recorded calls: what a log may look like, what is said of one that is not, and what a replay makes of it."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.whatif import Screen, said

from resilix import Bulkhead, CircuitBreaker, ConfigurationError, pipeline, retry, timeout
from resilix.testing.simulation import Result, simulate
from resilix.whatif.intake import open_log
from resilix.whatif.log import Log, read_log
from resilix.whatif.play import Progress
from resilix.whatif.policies import Bare
from resilix.whatif.recording import ERROR, OK, TIMEOUT, Recording
from resilix.whatif.words import plain, weather

HEAD = "time,duration,outcome\n"


def read(text: str | bytes) -> Log:
    """Read a log."""
    return read_log(io.BytesIO(text.encode() if isinstance(text, str) else text), "calls.csv")


def recorded(rows: Sequence[tuple[float, float, str]]) -> Recording:
    """A recording of some calls."""
    return read(HEAD + "".join(f"{moment},{took},{outcome}\n" for moment, took, outcome in rows)).recording


def replayed(recording: Recording, policies: Any) -> Result:
    """What policies make of it."""
    return simulate(policies, load=recording.load(), dependency=recording, seconds=recording.seconds)


# -- reading -----------------------------------------------------------------------------------------------


def test_csv_and_json_lines_say_the_same() -> None:
    """In any order of columns, with others beside them, quoted or not, with blank lines and a byte order mark."""
    csv_text = '\ufeffOutcome , duration,id,time\n"ok",0.25,1,100\n\n503, 1e-1 ,2,101.5\r\nTimeoutError,2,3,102\n'
    lines = [
        {"time": 100, "duration": 0.25, "outcome": True, "id": 1},
        {"outcome": 503, "time": "101.5", "duration": "0.1"},
        {"outcome": "timeout", "time": "1970-01-01T00:01:42Z", "duration": 2},
    ]
    json_text = "\n".join(map(json.dumps, lines))
    for text in (csv_text, json_text):
        recording = read(text).recording
        assert list(recording.times) == [0.0, 1.5, 2.0]
        assert list(recording.durations) == [0.25, 0.1, 2.0]
        assert list(recording.outcomes) == [OK, ERROR, TIMEOUT]
        assert recording.seconds == 3.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:10", 10.0),
        ("1970-01-01T02:00:10.5+02:00", 10.5),
        ("19700101T000010Z", 10.0),
        ("10", 10.0),
        ("-3.5", -3.5),
        ("1.0e1", 10.0),
    ],
)
def test_time_is_seconds_or_iso_8601(text: str, seconds: float) -> None:
    """Without an offset it is UTC."""
    assert read(f"{HEAD}-100,0,ok\n{text},0,ok\n").recording.times[1] == 100 + seconds


def test_time_without_an_offset_is_utc_wherever_the_machine_stands() -> None:
    """A log says the same in Tokyo."""
    program = (
        "import io; from resilix.whatif.log import read_log; "
        "log = read_log(io.BytesIO(b'time,duration,outcome\\n1970-01-01,0,ok\\n10,0,ok\\n'), 'x'); "
        "print(list(log.recording.times))"
    )
    environment = {**os.environ, "TZ": "JST-9"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[0.0, 10.0]\n"


@pytest.mark.parametrize(
    ("outcome", "texts"),
    [
        (OK, "ok OK success Succeeded true 200 204 304 404 400 200.0"),
        (
            ERROR,
            "error failure failed FALSE exception 500 503 599 429 ConnectionError httpx.ReadError some.MyException",
        ),
        (TIMEOUT, "timeout Timed_Out 408 504 TimeoutError httpx.ReadTimeout asyncio.TimeoutError ConnectTimeout"),
    ],
)
def test_outcomes_are_words_statuses_or_names_of_exceptions(outcome: int, texts: str) -> None:
    """In small letters or capitals."""
    for text in texts.split():
        assert list(read(f"{HEAD}0,0,{text}\n").recording.outcomes) == [outcome], text


def test_calls_in_another_order_are_sorted_and_counted() -> None:
    """A log is often in the order in which calls ended."""
    log = read(f"{HEAD}3,0.3,ok\n1,0.1,error\n2,0.2,ok\n0,0.0,timeout\n")
    assert (log.disordered, read(f"{HEAD}1,0.1,ok\n1,0.2,ok\n").disordered) == (2, 0)
    assert list(log.recording.times) == [0.0, 1.0, 2.0, 3.0]
    assert list(log.recording.durations) == [0.0, 0.1, 0.2, 0.3]
    assert list(log.recording.outcomes) == [TIMEOUT, ERROR, OK, OK]


BAD: list[tuple[str | bytes, str]] = [
    ("", "calls.csv: there is not one call in it"),
    ("\n\n", "calls.csv: there is not one call in it"),
    (HEAD, "calls.csv: there is not one call in it"),
    ("time;duration;outcome\n1;2;ok\n", "calls.csv:1: the first line must name the columns time, duration, outcome"),
    ("1.0,0.2,ok\n", "time is missing in '1.0,0.2,ok'"),
    ("time,duration\n1,2\n", "outcome is missing in 'time,duration'"),
    (HEAD + "1,2,ok\n1,2\n", "calls.csv:3: there are 2 values, and the first line names 3 columns"),
    (HEAD + "\n\nnoon,2,ok\n", "calls.csv:4: time is 'noon': it must be seconds or ISO 8601"),
    (HEAD + "nan,2,ok\n", "calls.csv:2: time is 'nan'"),
    (HEAD + "1795662720250,2,ok\n", "divide milliseconds by 1000"),
    (HEAD + "1,fast,ok\n", "calls.csv:2: duration is 'fast': it must be seconds, 0 or more"),
    (HEAD + "1,-1,ok\n", "calls.csv:2: duration is '-1'"),
    (HEAD + "1,inf,ok\n", "calls.csv:2: duration is 'inf'"),
    (HEAD + "1,250000,ok\n", "at most a day"),
    (HEAD + "1,1,\n", "calls.csv:2: outcome is ''"),
    (HEAD + "1,1,maybe\n", "calls.csv:2: outcome is 'maybe': it must be ok, error, timeout, an HTTP status"),
    (HEAD + "1,1,99\n", "calls.csv:2: outcome is '99'"),
    (HEAD + "1,1,200.5\n", "calls.csv:2: outcome is '200.5'"),
    (HEAD + "1,1,not an Error\n", "calls.csv:2: outcome is 'not an Error'"),
    (HEAD.encode() + b"1,1,\xff\n", "calls.csv:2: the line is not UTF-8"),
    (HEAD + "x" * 70_000, "calls.csv:2: the line is longer than 65,536 bytes"),
    ('{"time": 1, "duration": 2}', "calls.csv:1: outcome is missing"),
    ('{"time": 1, "duration": 2, "outcome": "ok"}\n[]', "calls.csv:2: this must be an object with time, duration"),
    ('{"time": 1, "duration": 2, "outcome": "ok"}\nok', "calls.csv:2: this is no JSON object: Expecting value"),
    ('{"time": ' + "[" * 30_000, "calls.csv:1: this is no JSON object"),
    ('{"time": true, "duration": 2, "outcome": "ok"}', "calls.csv:1: time is True"),
    ('{"time": 1, "duration": null, "outcome": "ok"}', "calls.csv:1: duration is None"),
    ('{"time": 1, "duration": 1e999, "outcome": "ok"}', "calls.csv:1: duration is inf"),
    ('{"time": 1, "duration": 1, "outcome": {}}', "calls.csv:1: outcome is {}"),
    ('{"time": 1' + "0" * 400 + ', "duration": 1, "outcome": "ok"}', "calls.csv:1: time is 1000"),
    ('{"time": 1' + "0" * 9_000 + ', "duration": 1, "outcome": "ok"}', "calls.csv:1: "),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=range(len(BAD)))
def test_a_bad_line_is_named_by_its_number(text: str | bytes, message: str) -> None:
    """And what it should have been, in one line."""
    with pytest.raises(ConfigurationError) as told:
        read(text)
    assert message in str(told.value)
    assert str(told.value).startswith("calls.csv:")
    assert "\n" not in str(told.value)


FIELDS = st.one_of(
    st.sampled_from(
        ["1", "0.5", "-1", "ok", "timeout", "503", "nan", "1e999", "2026-11-26T00:00:00Z", '"', "", "Error"]
    ),
    st.text(max_size=6),
)
LINES = st.one_of(
    st.lists(FIELDS, max_size=4).map(",".join),
    st.dictionaries(
        st.sampled_from(["time", "duration", "outcome", "x"]),
        st.one_of(FIELDS, st.integers(), st.floats(), st.booleans(), st.none(), st.lists(st.integers(), max_size=2)),
    ).map(json.dumps),
)
ENDS = st.sampled_from(["\n", "\r\n", "\r", "\0", "\n\n"])


@given(
    st.one_of(
        st.binary(max_size=200),
        st.tuples(st.sampled_from(["", HEAD]), st.lists(st.tuples(LINES, ENDS), max_size=6)).map(
            lambda parts: (parts[0] + "".join(line + end for line, end in parts[1])).encode("utf-8", "surrogatepass")
        ),
    )
)
@example(b'time,duration,outcome\n"1,2,ok\n')
@example(b"time,duration,outcome\n0001-01-01T00:00:00+14:00,0,ok\n9999-12-31T23:59:59-14:00,0,ok\n")
def test_no_log_ends_in_a_traceback(data: bytes) -> None:
    """Whatever bytes there are, they are a sound recording or one sentence that begins with the file."""
    recording, said_of_it = None, "calls.csv:"
    try:
        recording = read(data).recording
    except ConfigurationError as error:
        said_of_it = str(error)
    assert said_of_it.startswith("calls.csv:")
    if recording is not None:
        assert len(recording.times) == len(recording.durations) == len(recording.outcomes) > 0
        assert recording.times[0] == 0.0 <= recording.times[-1] < recording.seconds
        assert all(earlier <= later for earlier, later in pairwise(recording.times))


def test_a_call_takes_17_bytes() -> None:
    """What the page says of memory."""
    recording = recorded([(moment, 0.1, "ok") for moment in range(100)])
    each = recording.times.itemsize + recording.durations.itemsize + 1
    assert (each, len(recording.outcomes)) == (17, 100)


# -- replaying ---------------------------------------------------------------------------------------------


def test_without_policies_a_replay_is_what_was_recorded() -> None:
    """Every call comes when it came, takes as long, and ends as it ended."""
    rows = [(0.5 * number, 0.01 * number, ("ok", "error", "timeout")[number % 3]) for number in range(30)]
    result = replayed(recorded(rows), Bare())
    assert result.endings["succeeded"] == result.endings["failed"] == result.endings["timed out"] == 10
    assert (result.attempts_per_call, result.latency.most) == (1.0, pytest.approx(0.29))
    assert result.dependency.arrived == 30


def test_a_first_attempt_meets_its_own_call_even_if_another_is_as_near() -> None:
    """Of two calls at one moment each ends as it did; and a call that had to wait for a place does too."""
    both = recorded([(0.0, 0.2, "error"), (0.0, 0.4, "ok"), (0.5, 0.1, "ok"), (0.6, 0.1, "error")])
    free = replayed(both, Bare())
    assert (free.endings["failed"], free.endings["succeeded"], free.latency.most) == (2, 2, pytest.approx(0.4))
    queued = replayed(both, Bulkhead("one at a time", limit=1, max_wait=5.0))
    assert (queued.endings["failed"], queued.endings["succeeded"]) == (2, 2)


def test_a_further_attempt_meets_the_call_nearest_in_time() -> None:
    """A call that failed at 10 s is tried again a second later, when calls succeeded."""
    rows = [(0.0, 0.0, "ok"), (10.0, 0.5, "error"), (11.4, 0.25, "ok"), (20.0, 0.0, "ok")]
    result = replayed(recorded(rows), retry(on=Exception, attempts=2, wait=1.0))
    assert (result.endings["succeeded"], result.dependency.arrived) == (4, 5)
    assert result.latency.most == pytest.approx(0.5 + 1.0 + 0.25)
    hopeless = replayed(recorded(rows), retry(on=Exception, attempts=2, wait=0.1))  # 10.6 s is nearer to 10 s
    assert (hopeless.endings["failed"], hopeless.dependency.arrived) == (1, 5)


def test_of_two_calls_as_near_the_earlier_is_met() -> None:
    """And before the first and after the last there is only one."""
    recording = recorded([(0.0, 0, "ok"), (2.0, 0, "ok"), (4.0, 0, "ok")])
    assert [recording.nearest(moment) for moment in (-1.0, 0.0, 1.0, 1.1, 2.0, 3.0, 3.5, 9.0)] == [
        0,
        0,
        0,
        1,
        1,
        1,
        2,
        2,
    ]


def test_a_shorter_timeout_cuts_what_took_longer() -> None:
    """And the recorded call is worked on for nobody."""
    result = replayed(recorded([(0.0, 3.0, "ok"), (1.0, 0.1, "ok")]), timeout(1.0))
    assert (result.endings["timed out"], result.endings["succeeded"], result.dependency.wasted) == (1, 1, 1)


def test_a_breaker_opens_on_recorded_failures_and_spares_the_dependency() -> None:
    """What it refuses did not arrive; the time to open counts from where failures were recorded."""
    rows = [(0.1 * number, 0.01, "error" if 300 <= number < 600 else "ok") for number in range(1000)]
    recording = recorded(rows)
    assert [repr(one) for one in recording.script] == ["recorded failures 30 to 60 s"]
    result = replayed(recording, pipeline(CircuitBreaker("dependency", open_for=5.0), timeout(1.0)))
    assert result.endings["refused"] > 250
    assert result.time_to_open == pytest.approx(0.91, abs=0.02)
    assert result.time_to_recover is not None
    assert result.time_to_recover < 6
    assert (result.false_opens, result.dependency.arrived) == (0, 1000 - result.endings["refused"])


@pytest.mark.parametrize(("failures", "found"), [(4, []), (5, ["recorded failures 10 to 11 s"]), (0, [])])
def test_a_few_failures_are_no_trouble(failures: int, found: list[str]) -> None:
    """Trouble takes five failures of a step, and a fifth of its calls."""
    rows = [(number, 0.1, "ok") for number in range(100)]
    rows += [(10.0 + 0.1 * number, 0.1, "error") for number in range(failures)]
    assert [repr(one) for one in recorded(rows).script] == found
    crowded = rows + [(10.0 + number / 100, 0.1, "ok") for number in range(100)]
    assert recorded(crowded).script == ()


def test_a_quote_that_is_not_closed_swallows_no_calls() -> None:
    """The line where it opens is named; a text of several lines, properly closed, is one value."""
    head = "time,duration,outcome,note\n"
    closed = read(f'{head}1,0.5,ok,"two\nlines"\n2,0.1,ok,"say ""x"""\n3,0.1,ok,a "b" c\n')
    assert list(closed.recording.times) == [0.0, 1.0, 2.0]
    for rest in ('1,0.5,ok,"open\n2,0.1,ok,x\n3,0.1,ok,x\n', '1,0.5,ok,"open\n2,0.1,ok,x\n3,0.1,ok,"x"\n'):
        with pytest.raises(ConfigurationError, match=r"calls.csv:3: a quote opens here and is not closed"):
            read(f"{head}0,0.1,ok,x\n{rest}")


@pytest.mark.parametrize(("calls", "apart"), [(30, 0.1), (100, 0.1), (100, 3600.0), (500, 2.0)])
def test_a_total_outage_in_a_short_or_sparse_log_is_trouble(calls: int, apart: float) -> None:
    """Thirty calls are enough to see that the ten in the middle failed, however far apart they are."""
    third = calls // 3
    rows = [(number * apart, 0.05, "error" if third <= number < 2 * third else "ok") for number in range(calls)]
    (found,) = recorded(rows).script
    assert found.start == pytest.approx(third * apart, abs=calls * apart / 50)
    assert found.end == pytest.approx(2 * third * apart, abs=calls * apart / 50)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[\n {"time": 1}\n]\n', "calls.csv:1: this is a JSON array; a log has one object a line, as jq"),
        ("time,duration,outcome\r1,0.5,ok\r", "calls.csv:1: the lines end with a carriage return alone"),
    ],
)
def test_a_log_of_another_kind_is_told_what_it_is(text: str, said: str) -> None:
    """Not what Python's reader of CSV makes of it."""
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    assert str(caught.value).startswith(said)


# -- on the command line -----------------------------------------------------------------------------------

LOG = HEAD + "".join(f"{number / 10},0.05,{'error' if 100 <= number < 200 else 'ok'}\n" for number in range(400))


def test_the_command_compares_what_was_recorded_with_two_others(tmp_path: Path) -> None:
    """Without a file of candidates, they are those that come with the package."""
    log = tmp_path / "calls.csv"
    log.write_text(LOG)
    status, out, complaints = said("replay", str(log))
    assert (status, complaints) == (0, "")
    assert f"{log}: 40 s of recorded calls; recorded failures from 10 to 20 s." in " ".join(out.split())
    assert "as recorded  naive retries  resilix" in out
    assert "as recorded: recovers at once when the trouble is over. 75.0% of the calls succeeded" in " ".join(
        out.split()
    )


def test_a_gzipped_log_and_json_lines_print_the_same(tmp_path: Path) -> None:
    """However the calls are written down, the figures are the same."""
    plain, packed, lines = (tmp_path / name for name in ("calls", "calls.gz", "calls.jsonl"))
    plain.write_text(LOG)
    packed.write_bytes(gzip.compress(LOG.encode()))
    rows = [line.split(",") for line in LOG.splitlines()[1:]]
    lines.write_text("\n".join(json.dumps({"time": float(a), "duration": float(b), "outcome": c}) for a, b, c in rows))
    texts = {said("replay", str(path))[1].split("\n\n", 1)[1] for path in (plain, packed, lines)}
    assert len(texts) == 1
    assert "naive retries" in texts.pop()


def test_reading_says_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The share of the bytes, the calls, and how many a second; then the line is empty again."""
    monkeypatch.setenv("TERM", "xterm")
    log = tmp_path / "calls.csv"
    log.write_text(HEAD + "".join(f"{number},0.05,ok\n" for number in range(20_000)))
    screen, now = Screen(), count()
    open_log(str(log), Progress(screen, lambda: float(next(now))))
    shown = screen.getvalue().split("\r")
    assert re.fullmatch(rf"reading {log}: \d+%, [\d,]+ calls, [\d,]+/s *", shown[1])
    shares = [int(text.split("%")[0].rsplit(" ", 1)[1]) for text in shown[1:-2]]
    assert shares == sorted(shares)
    assert 0 <= shares[0] < 50 < shares[-1] <= 100
    assert shown[-2].strip() == shown[-1] == ""


def test_only_so_much_of_a_recording_is_played(tmp_path: Path) -> None:
    """From its beginning."""
    log, out = tmp_path / "calls.csv", tmp_path / "out.json"
    log.write_text(LOG)
    status, _, _ = said("replay", str(log), "--seconds", "15", "--json", str(out))
    results = json.loads(out.read_text())["results"]
    assert (status, [sum(one["endings"].values()) for one in results]) == (0, [150] * 3)


def test_a_part_before_the_trouble_has_none(tmp_path: Path) -> None:
    """What failed later is not played, so it is no trouble of what is; a trouble that is cut lasts to the end."""
    log = tmp_path / "calls.csv"
    log.write_text(LOG)
    status, out, complaints = said("replay", str(log), "--seconds", "8.5")
    assert (status, complaints) == (0, "")
    assert " ".join(out.split()).startswith(f"{log}: 8.5 s of recorded calls; no trouble.")
    assert "from 10 to 15 s" in " ".join(said("replay", str(log), "--seconds", "15")[1].split())


def test_the_seconds_of_a_long_recording_are_written_out() -> None:
    """Twenty days are not 1.728e+06 s."""
    rows = [(86400.0 * day + 0.1 * number, 0.1, "error") for day in range(21) for number in range(10)]
    rows += [(86400.0 * day + 864 * number, 0.1, "ok") for day in range(20) for number in range(20, 100)]
    assert weather(recorded(rows).script) == "recorded failures 21 times from 0 to 1,728,001 s"
    assert plain(1_728_001.0) == "1,728,001"
    assert plain(8.5) == "8.5"


def test_what_is_noted_goes_to_standard_error(tmp_path: Path) -> None:
    """Calls in another order, tables that say nothing here, and an order of policies that is nearly always wrong."""
    log, config = tmp_path / "calls.csv", tmp_path / "mine.toml"
    log.write_text(HEAD + "2,0.1,ok\n1,0.1,ok\n")
    config.write_text('[load]\nrate = 1\n[[candidate]]\nname = "odd"\npolicies = ["breaker", "retry"]\n')
    status, out, complaints = said("replay", str(log), "--config", str(config))
    assert status == 0
    first, second, third = complaints.splitlines()
    assert first == f"resilix replay: note: {config}: not used: [load]; the recording stands for it"
    assert second.startswith("resilix replay: note: odd: ")
    assert third.endswith("note: 1 of 2 calls were not in the order of time, and have been sorted")
    assert "odd" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.csv"], "nowhere.csv: No such file or directory"),
        (["."], ".: Is a directory"),
        (["bad.csv"], "bad.csv:2: duration is 'fast'"),
        (["torn.gz"], "torn.gz: it begins like gzip, and cannot be unpacked"),
        (["empty.csv"], "empty.csv: there is not one call in it"),
        (["good.csv", "--config", "nowhere.toml"], "nowhere.toml: No such file or directory"),
        (["good.csv", "--config", "bad.toml"], "bad.toml:1: it is not TOML"),
        (["good.csv", "--picture", "out.jpg"], "--picture out.jpg: it can be a .png or an .svg"),
        (["good.csv", "--json", "no/where.json"], "--json no/where.json: there is no directory no"),
        (["good.csv", "--seconds", "0"], "'0' is not a number of seconds above 0"),
        (["good.csv", "--seed", "x"], "'x' is not a whole number"),
        ([], "the following arguments are required: LOG"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_2(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any work is done."""
    monkeypatch.chdir(tmp_path)
    Path("good.csv").write_text(LOG)
    Path("bad.csv").write_text(HEAD + "1,fast,ok\n")
    Path("torn.gz").write_bytes(gzip.compress(LOG.encode())[:-20])
    Path("empty.csv").write_text("")
    Path("bad.toml").write_text("seconds 1")
    status, out, complaints = said("replay", *arguments)
    assert (status, out) == (2, "")
    assert message in complaints
    assert complaints.count("\n") == 1
