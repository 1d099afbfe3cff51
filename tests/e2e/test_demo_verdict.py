"""The verdict of the demo can fail: each broken promise fails its check, and the exit status with it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.support.demo import sound_record

from resilix.demo.measure import Record
from resilix.demo.messages import FAILED, FALLBACK, FRESH, Happened
from resilix.demo.report import lines_of, meaning
from resilix.demo.script import OUTAGE, phase_at
from resilix.demo.verdict import verdict


def broken(record: Record) -> list[str]:
    """The promises that were not kept."""
    return [check.promise for check in verdict(record.settings, record.unguarded, record.guarded) if not check.kept]


def change_requests(record: Record, phase: str, **changes: object) -> None:
    """Change every guarded request that was due in a phase."""
    requests = record.guarded.requests
    requests[:] = [
        replace(one, **changes) if phase_at(record.script, one.at).name == phase else one for one in requests
    ]


def one_error(record: Record) -> None:
    record.guarded.requests[100] = replace(record.guarded.requests[100], outcome=FAILED)


def one_request_missing(record: Record) -> None:
    record.guarded.requests.pop()


def a_surprise(record: Record) -> None:
    record.guarded.done = replace(record.guarded.done, surprises=["KeyError: 'price'"])


def too_late(record: Record) -> None:
    record.guarded.requests[50] = replace(record.guarded.requests[50], latency=3.2)


def no_bound(record: Record) -> None:
    record.guarded.done = replace(record.guarded.done, bound=None)


def costly_while_healthy(record: Record) -> None:
    change_requests(record, "healthy", outcome=FALLBACK)


def opened_too_late(record: Record) -> None:
    record.guarded.happened[0] = replace(record.guarded.happened[0], at=9.5)


def opened_before_the_outage(record: Record) -> None:
    record.guarded.happened.insert(0, Happened(1.0, "breaker", "open"))


def never_opened(record: Record) -> None:
    record.guarded.happened.clear()


def still_open(record: Record) -> None:
    record.guarded.happened.pop()
    record.guarded.done = replace(record.guarded.done, state="open")


def closed_too_late(record: Record) -> None:
    record.guarded.happened[-1] = replace(record.guarded.happened[-1], at=19.0)


def amplified(record: Record) -> None:
    change_requests(record, OUTAGE, attempts=3)


def not_spared(record: Record) -> None:
    load = record.guarded.loads[-1]
    record.guarded.loads[-1] = replace(load, calls={**load.calls, OUTAGE: 120})


def no_recovery(record: Record) -> None:
    change_requests(record, "healthy again", outcome=FALLBACK)


def a_place_is_lost(record: Record) -> None:
    record.guarded.done = replace(record.guarded.done, free=19)


def connections_are_stuck(record: Record) -> None:
    record.guarded.done = replace(record.guarded.done, last=FALLBACK)


def a_hook_raised(record: Record) -> None:
    record.guarded.done = replace(record.guarded.done, hook_errors=1)


def strawman(record: Record) -> None:
    requests = record.unguarded.requests
    requests[:] = [replace(one, outcome=FAILED) if one.at < 1.0 else one for one in requests]


WAYS: list[tuple[Callable[[Record], None], list[str]]] = [
    (one_error, ["every request got an answer"]),
    (one_request_missing, ["every request got an answer"]),
    (a_surprise, ["every request got an answer"]),
    (too_late, ["every answer came within"]),
    (no_bound, ["every answer came within"]),
    (costly_while_healthy, ["before the outage the guard took no fresh"]),
    (opened_too_late, ["the breaker opened within"]),
    (opened_before_the_outage, ["the breaker opened within"]),
    (never_opened, ["the breaker opened within", "it closed after the outage"]),
    (still_open, ["it closed after the outage"]),
    (closed_too_late, ["it closed after the outage"]),
    (amplified, ["retries did not amplify"]),
    (not_spared, ["the server that was down"]),
    (no_recovery, ["it recovered"]),
    (a_place_is_lost, ["nothing is stuck"]),
    (connections_are_stuck, ["nothing is stuck"]),
    (a_hook_raised, ["nothing is stuck"]),
    (strawman, ["the comparison is sound"]),
]


def test_a_sound_run_passes():
    """Every promise kept, every check ticked."""
    assert broken(sound_record()) == []


@pytest.mark.parametrize(("breaking", "promises"), WAYS, ids=[breaking.__name__ for breaking, _ in WAYS])
def test_a_broken_promise_fails_its_check_and_no_other(breaking, promises):
    """One thing goes wrong, and the check that is about it says so."""
    record = sound_record()
    breaking(record)
    failed = broken(record)
    assert len(failed) == len(promises)
    assert all(one.startswith(start) for one, start in zip(failed, promises, strict=True))


def test_a_run_that_told_nothing_keeps_no_promise():
    """Missing figures are not good figures."""
    record = Record(sound_record().settings)
    checks = verdict(record.settings, record.unguarded, record.guarded)
    assert not any(check.kept for check in checks)


def test_the_exit_status_is_the_verdict(monkeypatch, tmp_path, capsys):
    """One broken promise and the command ends with 1; the cross and its figures are shown."""
    from resilix.demo import run

    def observe(record: Record, console: object) -> None:
        told = sound_record()
        a_place_is_lost(told)
        record.unguarded, record.guarded = told.unguarded, told.guarded

    monkeypatch.setattr(run, "_observe", observe)
    assert run.play(sound_record().settings, tmp_path) == 1
    shown = capsys.readouterr().out
    assert "9 of 10 kept" in shown
    assert "bulkhead 19 of 20 free" in shown


def test_the_sentences_follow_the_figures():
    """They say what was measured, also when it is not to our honour."""
    record = sound_record()
    outage = meaning(record)
    assert len(outage) == 3
    assert "failed 100% of its callers" in outage[0]
    assert "180 calls of the unguarded side and 12 of the guarded" in outage[1]
    assert "the breaker closed 0.7 s after the outage" in outage[2]
    change_requests(record, OUTAGE, outcome=FAILED)
    still_open(record)
    assert "guarded side failed 100% and gave 0%" in meaning(record)[0]
    assert "the breaker did not close again" in meaning(record)[2]


def test_sentences_and_checks_survive_a_run_without_figures():
    """Nothing was measured: no crash, and no number that looks measured."""
    record = Record(sound_record().settings)
    assert all("nan" not in sentence for sentence in meaning(record))
    lines = lines_of(verdict(record.settings, record.unguarded, record.guarded))
    assert all("nan" not in line.plain for line in lines)


def test_the_record_of_these_tests_is_plausible():
    """The sound record is a run as the processes could have told it."""
    record = sound_record()
    assert record.guarded.count(FRESH) + record.guarded.count(FALLBACK) == record.settings.requests
    assert not math.isnan(record.unguarded.whole().p99)
