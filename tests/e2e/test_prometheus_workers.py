"""Several workers behind one address, as under gunicorn: what a scrape shows is the sum of what they did."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from prometheus_client.multiprocess import mark_process_dead
from tests.support.prom_workers import Series, eventually, scraped, workers

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

SUCCESS: Series = ("resilix_calls_total", ("success", "quotes"))
FAILURE: Series = ("resilix_calls_total", ("failure", "quotes"))
OPENED: Series = ("resilix_circuit_breaker_transitions_total", ("quotes", "closed", "open"))
REFUSED: Series = ("resilix_rejections_total", ("circuit_open", "quotes"))
RETRIES: Series = ("resilix_retries_total", ("quotes", "error"))
CLOSED: Series = ("resilix_circuit_breaker_state", ("quotes", "closed"))
OPEN: Series = ("resilix_circuit_breaker_state", ("quotes", "open"))
FAILURE_RATIO: Series = ("resilix_circuit_breaker_failure_ratio", ("quotes",))
IN_USE: Series = ("resilix_bulkhead_in_use", ("slots",))
LIMIT: Series = ("resilix_bulkhead_limit", ("slots",))
PURSE: Series = ("resilix_retry_budget_remaining_ratio", ("purse",))
OWN: Series = ("own_things_total", ())
TIMED: Series = ("resilix_call_duration_seconds_count", ("success", "quotes"))


def dead(directory: Path, pid: int) -> None:
    """What gunicorn's child_exit does."""
    mark_process_dead(pid, path=str(directory))


def test_three_workers_add_up_exactly_and_still_do_when_one_is_killed(tmp_path: Path) -> None:
    """Counts of the dead stay, their gauges go; nothing is counted twice, however often it is pushed."""
    with workers(tmp_path, 3) as (one, two, three):
        for number, worker in enumerate((one, two, three), start=1):
            worker.tell("push", 5)
            worker.tell("succeed", 10 * number)
            worker.tell("take", number)
        two.tell("fail", 2)  # three attempts fail and open it; the fourth, a retry, is refused
        counts: dict[Series, float] = {
            SUCCESS: 60, FAILURE: 3, OPENED: 1, REFUSED: 1, RETRIES: 2, TIMED: 60,
        }  # fmt: skip
        gauges: dict[Series, float] = {
            CLOSED: 2, OPEN: 1, IN_USE: 6, LIMIT: 30, PURSE: 0.8, FAILURE_RATIO: 3 / 23,
        }  # fmt: skip
        eventually(tmp_path, {**counts, **gauges})
        time.sleep(0.2)  # some more pushes
        eventually(tmp_path, {**counts, **gauges})

        two.kill()
        dead(tmp_path, two.pid)
        left: dict[Series, float] = {CLOSED: 2, OPEN: 0, IN_USE: 4, LIMIT: 20, PURSE: 1.0, FAILURE_RATIO: 0.0}
        eventually(tmp_path, {**counts, **left})

        one.tell("succeed", 5)
        eventually(tmp_path, {**counts, SUCCESS: 65, TIMED: 65})


def test_a_worker_that_leaves_writes_its_last_counts_and_takes_its_gauges_along(tmp_path: Path) -> None:
    """An interval of ten minutes: what is there was written at the start and at the end."""
    with workers(tmp_path, 2) as (one, two):
        for worker in (one, two):
            worker.tell("push", 60_000)
            worker.tell("succeed", 7)
            worker.tell("take", 2)
        assert scraped(tmp_path)[SUCCESS] == 0
        one.leave()
        seen = scraped(tmp_path)
        assert (seen[SUCCESS], seen[IN_USE], seen[LIMIT], seen[CLOSED], seen[PURSE]) == (7, 0, 10, 1, 1.0)
        two.leave()
        seen = scraped(tmp_path)
        assert (seen[SUCCESS], seen[IN_USE], seen[LIMIT], seen[CLOSED], seen[PURSE]) == (14, 0, 0, 0, 1.0)


def test_workers_forked_from_one_that_pushes_go_on_by_themselves(tmp_path: Path) -> None:
    """Gunicorn's preload: what the parent counted is not counted again by its children, and all of them push."""
    with workers(tmp_path, 1) as (parent,):
        parent.tell("push", 5)
        parent.tell("succeed", 100)
        parent.tell("fail", 1)  # two attempts; the purse is not full any more
        children = parent.tell("fork", 3)
        try:
            everything: dict[Series, float] = {
                SUCCESS: 160, FAILURE: 2, RETRIES: 1, OWN: 3, IN_USE: 6, LIMIT: 40, CLOSED: 4, PURSE: 0.9,
            }  # fmt: skip
            eventually(tmp_path, everything)
            os.kill(children[2], signal.SIGKILL)
            os.kill(children[1], signal.SIGTERM)
            dead(tmp_path, children[2])
            eventually(tmp_path, {**everything, IN_USE: 1, LIMIT: 20, CLOSED: 2})
            parent.tell("succeed", 1)
            eventually(tmp_path, {**everything, SUCCESS: 161, IN_USE: 1, LIMIT: 20, CLOSED: 2, PURSE: 0.91})
        finally:
            for child in children:
                os.kill(child, signal.SIGKILL)  # zombies too, until the parent ends


def test_a_short_lived_child_leaves_files_only_if_it_counted_something(tmp_path: Path) -> None:
    """A pool of processes must not fill the directory; but what a child did counts, as short as it lives."""
    with workers(tmp_path, 1) as (parent,):
        parent.tell("push", 60_000)
        made = parent.tell("short", 2)
        wrote = {pid for pid in made if list(tmp_path.glob(f"*_{pid}.db"))}
        assert wrote == set(made[1::2])
        assert scraped(tmp_path)[SUCCESS] == 2
