"""What a simulation found, in a few plain sentences for each candidate."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from resilix.policies.hazards import flatten
from resilix.testing.simulation.result import Ending, Result, Step, table
from resilix.testing.simulation.trouble import Episode
from resilix.whatif.scenario import Candidate, Scenario

WIDTH: Final = 100
"""Columns of a line, whatever the terminal: what is printed can be compared."""
LAST: Final = 10
"""Steps at the end that say how it goes on."""


def report_of(scenario: Scenario, results: Sequence[Result], seconds: float, seed: int) -> str:
    """All that is printed of a scenario.

    Args:
        scenario: What was played.
        results: What was found, for each candidate.
        seconds: For how long calls came.
        seed: Where chance began.
    """
    dependency = scenario.dependency
    best = "any number of" if dependency.most == math.inf else f"{dependency.most:.0f}"
    traffic = (
        f"Traffic {scenario.load!r} for {plain(seconds)} s, seed {seed}. {dependency!r}, "
        f"{best} requests/s at best; {weather(dependency.script)}."
    )
    head = [part for part in (scenario.title, filled(scenario.description), filled(traffic)) if part]
    return report("\n\n".join(head), scenario.candidates, results, dependency.most)


def report(head: str, candidates: Sequence[Candidate], results: Sequence[Result], most: float) -> str:
    """A head, the table, and a few sentences for each candidate.

    Args:
        head: What was played.
        candidates: What was tried.
        results: What was found, for each candidate.
        most: Requests per second that the dependency can answer at best; infinite when nobody knows.
    """
    sentences = [_told(one, result, most) for one, result in zip(candidates, results, strict=True)]
    return "\n\n".join([head, table(results), "\n".join(sentences)])


def _told(candidate: Candidate, result: Result, most: float) -> str:
    sentences = [_recovery(result, most), _opening(candidate, result), _users(result), _load(result, most)]
    return filled(f"{result.name}: {' '.join(one for one in sentences if one)}", "  ")


def filled(text: str, indent: str = "") -> str:
    """A paragraph, in lines of a fixed width."""
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def plain(seconds: float) -> str:
    """Seconds as people write them, however many: a recording may last for weeks."""
    return f"{seconds:,.10g}"


def weather(script: Sequence[Episode]) -> str:
    """What happens to a dependency: of each kind, from when to when, and how often where it was well in between."""
    kinds: dict[tuple[str, int | None], list[Episode]] = {}
    for one in script:
        kinds.setdefault((one.kind, one.shard), []).append(one)
    return ", ".join(_spell(*kind, own) for kind, own in kinds.items()) or "no trouble"


def _spell(kind: str, shard: int | None, own: Sequence[Episode]) -> str:
    ends = list(accumulate((one.end for one in own), max))
    times = 1 + sum(one.start > end for one, end in zip(own[1:], ends, strict=False))
    where = "" if shard is None else f" of shard {shard}"
    often = "" if times == 1 or kind == "flapping" else f" {times} times"
    return f"{kind}{where}{often} from {plain(own[0].start)} to {plain(ends[-1])} s"


def _recovery(result: Result, most: float) -> str:
    if not result.trouble:
        return ""
    after = result.time_to_recover
    if after is not None:
        text = "at once when the trouble is over" if after < 0.05 else f"{after:.1f} s after the trouble"
        return f"recovers {text}."
    if result.trouble_lasts:
        return "the trouble lasts to the end."
    end = result.steps[-LAST:]
    rate = _rate(result, end)
    if rate > most:
        return f"never recovers: {rate:.0f} requests/s arrive where {most:.0f} can be answered."
    calls = sum(one.calls for one in end)
    share = sum(one.succeeded for one in end) / calls if calls else 1.0
    nobody = sum(one.wasted for one in end)
    and_so = ", and the dependency works for nobody" if nobody and not share else ""
    return f"never recovers: at the end {share:.0%} of the calls succeed{and_so}."


def _rate(result: Result, steps: Sequence[Step]) -> float:
    return sum(one.arrived for one in steps) / (result.seconds - steps[0].at)


def _opening(candidate: Candidate, result: Result) -> str:
    if not any(one.kind == "breaker" for one in flatten((candidate.policy,))):
        return ""
    opened = [one for one in result.changes if one.state == "open"]
    if not opened:
        return "No breaker opened."
    breakers = len({one.breaker for one in opened})
    whose = "Its breaker" if breakers == 1 else f"{breakers} breakers"
    times = f"{len(opened)} times, first" if len(opened) > 1 else "once,"
    if not result.trouble:
        return f"{whose} opened {times} at {opened[0].at:.1f} s."
    if result.time_to_open is None:
        return f"{whose} opened {times} at {opened[0].at:.1f} s, when there was no trouble."
    false = f", {result.false_opens} of them while the dependency was well" if result.false_opens else ""
    return f"{whose} opened {times} {result.time_to_open:.1f} s into the trouble{false}."


def _users(result: Result) -> str:
    calls = max(1, result.calls)
    others = [
        f"{_part(result.endings[kind], calls)} {words}"
        for kind, words in (
            (Ending.FALLBACK, "were answered by the fallback"),
            (Ending.REFUSED, "were refused"),
            (Ending.TIMED_OUT, "timed out"),
            (Ending.FAILED, "failed"),
            (Ending.UNFINISHED, "never came back"),
        )
        if result.endings[kind]
    ]
    rest = f" ({', '.join(others)})" if others else ""
    slow = result.latency.p99
    took = "99 of 100 took no more than " + (f"{slow * 1000:.0f} ms" if slow < 1 else f"{slow:.2f} s")
    if result.endings[Ending.UNFINISHED] * 100 > calls:
        took = "more than one of 100 had not come back a minute after the end"
    return f"{result.success_share:.1%} of the calls succeeded{rest}; {took}."


def _part(count: int, calls: int) -> str:
    """A share; where it would be 0.0% of something that was there, the number."""
    share = count / calls
    return f"{share:.1%}" if share >= 0.0005 else f"{count:,}"


def _load(result: Result, most: float) -> str:
    there = result.dependency
    best = "" if most == math.inf else f", where {most:.0f}/s can be answered"
    nobody = f", {there.wasted:,} of them worked on for nobody" if there.wasted else ""
    each = f"{result.attempts_per_call:.2f} requests per call{nobody}"
    return f"The dependency got {each}; {there.peak:.0f}/s at the peak{best}."
