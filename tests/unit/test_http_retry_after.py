"""Retry-After: whole seconds or a date of HTTP, and nothing else; whatever a server writes does no harm."""

from __future__ import annotations

import time
from calendar import timegm
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.http_lanes import LANES

from resilix.http.retry_after import FURTHEST, LONG_DAYS, LONGEST, MONTHS, MOST_LINES, parse_retry_after

NOW = float(timegm((2026, 11, 25, 12, 0, 0)))
DIGITS = "0123456789"


def parse(*lines: str, now: float = NOW) -> float | None:
    """As it stands in the lines of one answer, at noon of a day in 2026."""
    return parse_retry_after(lines, now)


def forms(moment: datetime) -> tuple[str, str, str]:
    """The three ways of RFC 9110 section 5.6.7 to write a moment."""
    day, month = LONG_DAYS.split("|")[moment.weekday()], MONTHS[moment.month - 1]
    clock = f"{moment:%H:%M:%S}"
    return (
        f"{day[:3]}, {moment.day:02} {month} {moment.year:04} {clock} GMT",
        f"{day}, {moment.day:02}-{month}-{moment.year % 100:02} {clock} GMT",
        f"{day[:3]} {month} {moment.day:2} {clock} {moment.year:04}",
    )


# -- whatever comes --------------------------------------------------------------------------------------------

HOSTILE = st.one_of(
    st.text(),
    st.text("0123456789 ,:-+._eEnaifGMTSuJ\t\n\u0663\u096b\uff10"),
    st.from_regex(r"\A[A-Z][a-z]{2,8},? ?[0-9]{1,2}[ -][A-Z][a-z]{2}[ -][0-9]{1,5} [0-9:]{8} ?(GMT)?\Z"),
    st.from_regex(r"\A[A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2} [0-9]{4}\Z"),
)


@given(st.lists(HOSTILE, max_size=3), st.floats(0, 4e9))
def test_no_text_raises_or_gives_a_wait_that_is_none(lines: list[str], now: float) -> None:
    """Absent, or a finite number of seconds from zero on."""
    seconds = parse_retry_after(lines, now)
    assert seconds is None or 0 <= seconds <= FURTHEST
    assert seconds is None or type(seconds) is float


@given(st.text(DIGITS, min_size=1, max_size=LONGEST))
def test_digits_mean_what_they_say(text: str) -> None:
    """Leading zeros too; beyond three hundred years it cannot be meant."""
    said = int(text)
    assert parse(text) == (said if said <= FURTHEST else None)


@given(st.integers(0, int(FURTHEST)), st.text(" \t", max_size=5), st.text(" \t", max_size=5))
def test_blanks_around_are_no_part_of_it(seconds: int, before: str, after: str) -> None:
    """Optional white space of RFC 9110 section 5.6.3; a line break is none."""
    assert parse(f"{before}{seconds}{after}") == seconds
    assert parse(f"{before}{seconds}{after}\n") is None


@pytest.mark.parametrize("text", [
    "", " ", "+5", "-5", "-0", "1.5", "5.", ".5", "1e3", "1_000", "1,000", "3, 5", "5;", "0x10", "5 s", "5s", "5 5",
    "nan", "NaN", "inf", "-inf", "Infinity", "None", "\u0663", "\u096b", "\uff15", "\xb2",
    "1\u0663", "\u200b5", "5\x00", "\x0b5", "\xa05",
    "5\r\n", "soon", "9999999999999999", "9" * 65,
])  # fmt: skip
def test_what_is_not_legal_is_absent(text: str) -> None:
    """RFC 9110 section 10.2.3 knows digits and dates only; Python's own ``int`` and ``float`` take many of these."""
    assert parse(text) is None


@pytest.mark.parametrize("text", ["9" * 65536, " " * 65536, "1" * 65536 + "x", "Sun, " * 13000, "0" * 65536])
def test_a_long_text_takes_no_longer(text: str) -> None:
    """64 kB, a thousand times, in less time than one such ``int`` would take."""
    before = time.perf_counter()
    assert all(parse(text) is None for _ in range(1000))
    assert time.perf_counter() - before < 0.5


# -- dates -----------------------------------------------------------------------------------------------------


@given(st.datetimes(datetime(1980, 1, 1), datetime(2076, 11, 25)))
def test_the_three_forms_of_a_date_mean_the_same(moment: datetime) -> None:
    """The one that is written today and the two obsolete ones that a recipient has to take."""
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    expected = max(0.0, moment.timestamp() - NOW)
    assert [parse(text) for text in forms(moment)] == [expected] * 3


def test_the_examples_of_the_rfc_are_in_the_past() -> None:
    """RFC 9110 section 5.6.7; no wait is left, and a second before there is one."""
    examples = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994")
    then = float(timegm((1994, 11, 6, 8, 49, 37)))
    assert [parse(text) for text in examples] == [0.0] * 3
    assert [parse(text, now=then - 1.5) for text in examples] == [1.5] * 3


@pytest.mark.parametrize("text", [
    "Tue, 31 Feb 2027 00:00:00 GMT", "Mon, 29 Feb 2027 00:00:00 GMT", "Mon, 00 Mar 2027 00:00:00 GMT",
    "Mon, 32 Jan 2027 00:00:00 GMT", "Mon, 01 Mar 2027 24:00:00 GMT", "Mon, 01 Mar 2027 00:60:00 GMT",
    "Mon, 01 Mar 2027 00:00:61 GMT", "Mon, 01 Mar 0000 00:00:00 GMT", "Mon Feb 31 00:00:00 2027",
    "Monday, 31-Feb-27 00:00:00 GMT", "Monday, 00-Mar-27 00:00:00 GMT",
])  # fmt: skip
def test_a_day_or_time_that_does_not_exist_is_absent(text: str) -> None:
    """It may not be moved to one that does."""
    assert parse(text) is None


@pytest.mark.parametrize("text", [
    "mon, 01 Mar 2027 00:00:00 GMT", "Mon, 01 mar 2027 00:00:00 GMT", "MON, 01 MAR 2027 00:00:00 GMT",
    "Mon, 01 Mar 2027 00:00:00 gmt", "Mon, 01 Mar 2027 00:00:00", "Mon, 01 Mar 2027 00:00:00 UTC",
    "Mon, 01 Mar 2027 00:00:00 +0000", "Mon, 01 Mar 2027 00:00:00 +0100", "Mon, 1 Mar 2027 00:00:00 GMT",
    "01 Mar 2027 00:00:00 GMT", "Mon, 01-Mar-2027 00:00:00 GMT", "Mon, 01 Mar 27 00:00:00 GMT",
    "Mon, 01 Mar 10000 00:00:00 GMT", "Mon,  01 Mar 2027 00:00:00 GMT", "Mon, 01 Mar 2027 00:00 GMT",
    "Mon Mar 1 00:00:00 2027", "Mon Mar  1 00:00:00 2027 GMT", "2027-03-01T00:00:00Z",
    "Mon, \u0660\u0661 Mar 2027 00:00:00 GMT",
])  # fmt: skip
def test_a_date_in_another_form_is_absent(text: str) -> None:
    """Names are written as in the RFC, letter by letter, and the zone is GMT."""
    assert parse(text) is None


def test_a_leap_second_is_the_second_after() -> None:
    """23:59:60 exists, RFC 9110 section 5.6.7."""
    assert parse("Thu, 31 Dec 2026 23:59:60 GMT") == parse("Fri, 01 Jan 2027 00:00:00 GMT") == 36.5 * 86400


def test_the_first_year_is_long_ago_and_the_last_cannot_be_meant() -> None:
    """Both are dates; the year 9999 asks for a wait of millennia."""
    assert parse("Mon, 01 Jan 0001 00:00:00 GMT") == 0.0
    assert parse("Fri, 31 Dec 9999 23:59:59 GMT") is None
    assert parse("Fri, 31 Dec 2322 23:59:59 GMT") == timegm((2322, 12, 31, 23, 59, 59)) - NOW


@pytest.mark.parametrize(("digits", "today", "year"), [
    (94, 2026, 1994), (26, 2026, 2026), (27, 2026, 2027), (75, 2026, 2075), (77, 2026, 1977), (0, 2026, 2000),
    (3, 2098, 2103), (98, 2098, 2098), (99, 2001, 1999), (50, 1999, 1950), (5, 1999, 2005),
])  # fmt: skip
def test_two_digits_mean_a_year_at_most_fifty_ahead(digits: int, today: int, year: int) -> None:
    """RFC 9110 section 5.6.7: more than 50 years in the future means the latest year in the past with those digits."""
    now = float(timegm((today, 6, 15, 12, 0, 0)))
    expected = max(0.0, timegm((year, 6, 15, 12, 0, 0)) - now)
    assert parse(f"Monday, 15-Jun-{digits:02} 12:00:00 GMT", now=now) == expected


def test_fifty_years_are_counted_to_the_second() -> None:
    """At fifty years it is the future still; a second later it is half a century ago."""
    assert parse("Wednesday, 25-Nov-76 12:00:00 GMT") == timegm((2076, 11, 25, 12, 0, 0)) - NOW
    assert parse("Wednesday, 25-Nov-76 12:00:01 GMT") == 0.0


def test_without_a_clock_it_is_now() -> None:
    """The wall clock is read: a date is a moment of the wall clock."""
    moment = datetime.now(UTC) + timedelta(seconds=90)
    seconds = parse_retry_after([forms(moment)[0]])
    assert seconds is not None
    assert 85 < seconds <= 90


# -- lines -----------------------------------------------------------------------------------------------------


def test_of_two_lines_the_longer_wait_counts_if_both_are_legal() -> None:
    """A proxy may have added one; a wait is never undercut. One that is illegal makes all of it absent."""
    assert parse("3", "5") == parse("5", "3") == 5
    assert parse("3", "Wed, 25 Nov 2026 12:00:07 GMT") == 7
    assert parse("3", "soon") is parse("nan", "3") is None
    assert parse() is None


def test_a_header_that_stands_there_a_hundred_times_is_absent() -> None:
    """Eight may be a mistake; more are an attempt to have us work."""
    assert parse(*["3"] * MOST_LINES) == 3
    assert parse(*["3"] * (MOST_LINES + 1)) is parse(*["3"] * 100_000) is None


def test_what_is_absent_is_not_zero() -> None:
    """Zero is a wish of the server: at once."""
    assert [parse("0"), parse("00"), parse("Wed, 25 Nov 2026 12:00:00 GMT")] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("library", [LANES[0].library, LANES[3].library], ids=lambda one: one.__name__)
def test_both_libraries_hand_over_the_lines_one_by_one(library: object) -> None:
    """A list made by commas stays one line, and so is not legal."""
    response = library.Response  # type: ignore[attr-defined]
    two = response(503, headers=[("Retry-After", "3"), ("retry-after", "5")])
    assert parse(*two.headers.get_list("retry-after")) == 5
    one = response(503, headers=[("Retry-After", "3, 5")])
    assert parse(*one.headers.get_list("retry-after")) is None
