"""The worker threads of sync timeouts: made when needed, used again, gone after a while."""

from __future__ import annotations

import threading
import time
import weakref
from contextvars import copy_context
from typing import Any

import pytest

from resilix.workers import AbandonedCalls, Job, WorkerPool

PATIENCE = 30.0


def eventually(condition: Any, what: str) -> None:
    """Wait for something that another thread is about to do."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"still waiting for {what}"
        time.sleep(0.001)


def job(fn: Any = threading.current_thread) -> Job:
    return Job(copy_context(), fn, (), {})


def run(pool: WorkerPool, fn: Any = threading.current_thread) -> Any:
    """Run a function on a pool and wait for it."""
    one = job(fn)
    pool.submit(one)
    assert one.wait(PATIENCE)
    return one.take()


def test_a_worker_is_used_again() -> None:
    """One after the other, calls need one thread."""
    pool = WorkerPool()
    first = run(pool)
    eventually(lambda: pool.rests(first), "the rest of the worker")
    assert run(pool) is first
    assert first.daemon


def test_calls_at_the_same_time_have_a_worker_each() -> None:
    """None waits for another to end."""
    pool = WorkerPool()
    together = threading.Barrier(8)
    jobs = [job(lambda: (together.wait(PATIENCE), threading.current_thread())[1]) for _ in range(8)]
    for one in jobs:
        pool.submit(one)
    assert all(one.wait(PATIENCE) for one in jobs)
    assert len({one.take() for one in jobs}) == 8


def test_idle_workers_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the next call makes a new one."""
    monkeypatch.setattr("resilix.workers.IDLE_SECONDS", 0.01)
    pool = WorkerPool()
    first = run(pool)
    first.join(PATIENCE)
    assert not first.is_alive()
    assert not pool.rests(first)
    assert run(pool) is not first


def test_a_worker_that_was_picked_while_it_went_idle_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The job that is on its way to it is run."""
    monkeypatch.setattr("resilix.workers.IDLE_SECONDS", 0.01)
    pool = WorkerPool()
    retired = threading.Event()
    retire = pool.retire

    def slow_retire(worker: Any) -> bool:
        answer = retire(worker)
        if not answer:
            retired.set()
        return answer

    monkeypatch.setattr(pool, "retire", slow_retire)
    first = run(pool)
    eventually(lambda: pool.rests(first) or not first.is_alive(), "the rest of the worker")
    if not first.is_alive():  # a slow machine: it went before it could be picked
        return
    try:
        worker = pool._idle.pop()  # picked, as by submit()
    except IndexError:
        return
    assert retired.wait(PATIENCE)
    one = job()
    worker.inbox.put(one)
    assert one.wait(PATIENCE)
    assert one.take() is worker


def test_a_resting_worker_holds_nothing_of_its_last_call() -> None:
    """Neither arguments nor result."""

    class Heavy:
        pass

    pool = WorkerPool()
    heavy = Heavy()
    gone = weakref.ref(heavy)
    one = Job(copy_context(), lambda heavy: heavy, (heavy,), {})
    pool.submit(one)
    assert one.wait(PATIENCE)
    assert one.take() is heavy
    del one, heavy
    eventually(lambda: gone() is None, "the end of the argument")


def test_an_abandoned_job_says_when_it_ends_and_an_ended_one_cannot_be_abandoned() -> None:
    """Exactly one of both happens."""
    pool = WorkerPool()
    gate, ended = threading.Event(), threading.Event()
    one = job(lambda: gate.wait(PATIENCE))
    pool.submit(one)
    assert not one.wait(0.001)
    assert one.abandon(ended.set)
    assert not ended.is_set()
    gate.set()
    assert ended.wait(PATIENCE)
    assert not one.abandon(ended.set)


def test_racing_ends_are_counted_once() -> None:
    """However close the end of the call and the end of the wait are."""
    pool = WorkerPool()
    for _ in range(200):
        told: list[int] = []
        one = job(lambda: None)
        pool.submit(one)
        abandoned = one.abandon(lambda told=told: told.append(1))  # type: ignore[misc]
        if abandoned:
            eventually(lambda told=told: told, "the end")
        assert told == [1] * abandoned


def test_another_process_knows_nothing_of_abandoned_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a fork the set is empty, and one that ends there harms nothing."""
    pool = WorkerPool()
    monkeypatch.setattr("resilix.workers.POOL", pool)
    calls = AbandonedCalls()
    first, second = job(), job()
    calls.add(first)
    assert len(calls) == 1
    pool.after_fork()
    assert len(calls) == 0
    calls.add(second)
    calls.discard(first)
    assert len(calls) == 1
    calls.discard(second)
    assert len(calls) == 0
