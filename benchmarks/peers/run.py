"""Measure everything, job by job; who does not do a job is named there, with the reason, and not timed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from benchmarks.costs import import_seconds, memory_per_breaker, scaling_of
from benchmarks.measure import compare
from benchmarks.parts import bare, identity
from benchmarks.peers.checks import problems, still_does
from benchmarks.peers.jobs import JOBS, Job
from benchmarks.peers.peer import Function, Peer, Roster, muster
from benchmarks.peers.shortcomings import try_out

Table = dict[str, Any]
"""``rows`` of figures, ``excluded`` (who → why no figure), ``absent`` (who → what part it lacks)."""

EACH_SECONDS = 0.2
"""About how long one thread alone takes for its calls: each of eight outlasts the switch interval of 5 ms."""


def measure(job: Job, roster: Roster, rounds: int) -> Table:
    """Check, time, and check again."""
    table: Table = {"rows": [], "excluded": {}, "absent": {}}
    with job.around():
        variants = _variants(job, roster, table)
        # What each may raise is checked before and after: one type keeps the loop's own cost the same for all.
        expects = () if job.outcome == 1 else (Exception,)
        rows = [asdict(one) for one in compare(variants, rounds, awaited=job.awaited, expects=expects, clock=job.clock)]
        for row in rows[1:]:
            if found := still_does(job, roster.named(row["name"]), variants[row["name"]]):
                table["excluded"][row["name"]] = "; ".join(found)
    table["rows"] = [row for row in rows if row["name"] not in table["excluded"]]
    return table


def _variants(job: Job, roster: Roster, table: Table) -> dict[str, Function]:
    name, yardstick = job.yardstick
    variants = {name: yardstick()}
    for peer in roster.peers:
        make = job.offered(peer)
        if make is None:
            if peer.statement:  # a library; a stack or another setting of ours is made for its own tables
                table["absent"][peer.name] = lacking(job, peer)
            continue
        try:
            found = problems(job, peer)
            if not found:
                variants[peer.name] = make()
        except Exception as error:
            found = [f"{type(error).__name__}: {error}"]
        if found:
            table["excluded"][peer.name] = "; ".join(found)
    return variants


def lacking(job: Job, peer: Peer) -> str:
    """Why a peer has no place in a job's table."""
    part = {"http": "retrying transport for httpx"}.get(job.part, job.part)
    if part == "pipeline" and job.needs is not None and peer.offers("pipeline", awaited=job.awaited):
        return f"no {job.needs}"
    if peer.offers(job.part, awaited=not job.awaited):
        return f"no {'async' if job.awaited else 'sync'} {part}"
    return f"no {part}"


def threads(roster: Roster, rounds: int, seconds: float = EACH_SECONDS) -> Table:
    """Throughput of 1, 2, 4 and 8 threads on one shared breaker."""
    job = next(one for one in JOBS if one.name == "sync, breaker, quiet")
    table: Table = {"rows": {}, "excluded": {}, "absent": {}}
    variants = _variants(job, roster, table)
    variants[job.yardstick[0]] = bare(identity)
    calls = {name: _calls(variant, seconds) for name, variant in variants.items()}
    table["rows"] = scaling_of(variants, calls, rounds)
    return table


def _calls(variant: Function, seconds: float) -> int:
    count = 64
    while True:
        begin = time.perf_counter()
        for _ in range(count):
            variant(1)
        took = time.perf_counter() - begin
        if took > seconds / 10:
            return max(8, int(count * seconds / took))
        count *= 2


def memory(roster: Roster) -> dict[str, float]:
    """Bytes of an idle breaker of each."""
    return {peer.name: memory_per_breaker(500, peer.idle) for peer in roster.peers if peer.idle is not None}


def imports(roster: Roster, rounds: int) -> dict[str, dict[str, float]]:
    """Seconds of a fresh interpreter that imports it."""
    statements = {"nothing": "pass", "asyncio": "import asyncio"}
    statements |= {peer.name: peer.statement for peer in roster.peers if peer.statement}
    return import_seconds(rounds, statements)


def apart(*options: str) -> Any:
    """What this program measures in a process of its own, with these options."""
    command = [sys.executable, "-m", "benchmarks.peers", *options, "--raw"]
    # Its errors go where ours go.
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def one_table(name: str, rounds: int) -> Table:
    """A job's table, in a process of its own if the job asks for one."""
    job = next(one for one in JOBS if one.name == name)
    if job.alone:
        table: Table = apart("--only", name, "--rounds", str(rounds))
        return table
    return measure(job, muster(), rounds)


def claims() -> list[dict[str, Any]]:
    """The experiments, apart from everything else: some leave damage behind."""
    found: list[dict[str, Any]] = apart("--probe")
    return found


def claims_here() -> list[dict[str, Any]]:
    """The experiments in this process."""
    return try_out(muster())


GROUPS: list[str] = [*(job.name for job in JOBS), "threads", "memory", "import"]

Measure = Callable[[], Any]


def measures(rounds: int) -> dict[str, Measure]:
    """What measures each group."""
    roster = muster()
    quick = rounds < 10
    own: dict[str, Measure] = {
        "threads": lambda: threads(roster, min(9, max(1, rounds // 15)), EACH_SECONDS / 20 if quick else EACH_SECONDS),
        "memory": lambda: memory(roster),
        "import": lambda: imports(roster, min(15, max(1, rounds // 10))),
    }
    return {job.name: (lambda name=job.name: one_table(name, rounds)) for job in JOBS} | own
