"""The promises of the guarded side, checked against the figures."""

from __future__ import annotations

from dataclasses import dataclass

from resilix.demo.measure import Side
from resilix.demo.messages import FAILED, FRESH
from resilix.demo.script import AGAIN, HEALTHY, OUTAGE, phase_at, phase_named, script_for
from resilix.demo.settings import Settings
from resilix.demo.wording import percent, ratio, seconds

GRACE = 0.25
"""Seconds on top of every bound for what no policy has a say in: the scheduling of the machine."""


@dataclass(frozen=True, slots=True)
class Check:
    """A promise, whether it was kept, and the figures that say so."""

    promise: str
    kept: bool
    figures: str


def verdict(settings: Settings, unguarded: Side, guarded: Side) -> list[Check]:
    """Check every promise. A figure that is missing keeps none."""
    return [
        _fair(settings, unguarded),
        _everyone_answered(settings, guarded),
        _in_time(guarded),
        _no_cost_while_healthy(settings, unguarded, guarded),
        _opened(settings, guarded),
        _closed(settings, guarded),
        _attempts(settings, unguarded, guarded),
        _spared(unguarded, guarded),
        _recovered(settings, guarded),
        _nothing_stuck(guarded),
    ]


def _fair(settings: Settings, unguarded: Side) -> Check:
    phase = phase_named(script_for(settings), HEALTHY)
    made, fresh = len(unguarded.requests), unguarded.in_phase(phase).fresh
    surprises = unguarded.done.surprises if unguarded.done else ["its client did not finish"]
    figures = f"{made} of {settings.requests} requests made, {percent(fresh)} fresh while the server was healthy"
    if surprises:
        figures += f" ({surprises[0]})"
    kept = made == settings.requests and fresh >= 0.9 and not surprises
    return Check("the comparison is sound: the unguarded side works as long as its server does", kept, figures)


def _everyone_answered(settings: Settings, guarded: Side) -> Check:
    made, failed = len(guarded.requests), guarded.count(FAILED)
    surprises = guarded.done.surprises if guarded.done else ["the client did not finish"]
    figures = f"{made} of {settings.requests} requests over, {failed} errors"
    if surprises:
        figures += f" ({surprises[0]})"
    kept = made == settings.requests and failed == 0 and not surprises
    return Check("every request got an answer, no caller saw an error", kept, figures)


def _in_time(guarded: Side) -> Check:
    bound = guarded.done.bound if guarded.done else None
    longest = guarded.whole().longest
    promise = "every answer came within the pipeline's own worst case"
    if guarded.done is None or bound is None:
        why = "the client did not finish" if guarded.done is None else "the pipeline has no worst case"
        return Check(promise, False, why)
    allowed = bound + GRACE + guarded.done.latest
    figures = f"longest {seconds(longest)}, explain() says {seconds(bound)} at most"
    return Check(promise, longest <= allowed, figures)


def _no_cost_while_healthy(settings: Settings, unguarded: Side, guarded: Side) -> Check:
    phase = phase_named(script_for(settings), HEALTHY)
    bare, ours = unguarded.in_phase(phase), guarded.in_phase(phase)
    figures = f"fresh {percent(ours.fresh)} (unguarded {percent(bare.fresh)})"
    return Check("before the outage the guard took no fresh answer away", ours.fresh >= bare.fresh - 0.05, figures)


def _opened(settings: Settings, guarded: Side) -> Check:
    outage = phase_named(script_for(settings), OUTAGE)
    allowed = settings.attempt_timeout + 4 * GRACE
    early = guarded.first_change("open", 0.0, outage.start)
    opened = guarded.first_change("open", outage.start, outage.end)
    promise = f"the breaker opened within {allowed:.1f} s of the outage, and not before"
    if opened is None:
        return Check(promise, False, "it did not open in the outage")
    figures = f"after {opened - outage.start:.2f} s" + ("" if early is None else f", but first at {early:.2f} s")
    return Check(promise, early is None and opened - outage.start <= allowed, figures)


def _closed(settings: Settings, guarded: Side) -> Check:
    script = script_for(settings)
    outage, again = phase_named(script, OUTAGE), phase_named(script, AGAIN)
    # One opening may have begun just before the server was well; then one probe decides.
    allowed = settings.open_for + settings.attempt_timeout + 4 * GRACE
    promise = f"it closed after the outage, at the latest {allowed:.1f} s after the server was well"
    closed = guarded.last_change("closed", outage.start)
    state = guarded.done.state if guarded.done else "unknown"
    if closed is None:
        return Check(promise, False, f"it never closed again; at the end it is {state}")
    figures = f"for the last time at {closed:.2f} s ({phase_at(script, closed).name}); at the end it is {state}"
    kept = outage.end <= closed <= again.start + allowed and state == "closed"
    return Check(promise, kept, figures)


def _attempts(settings: Settings, unguarded: Side, guarded: Side) -> Check:
    outage = phase_named(script_for(settings), OUTAGE)
    bare, ours = unguarded.in_phase(outage).attempts, guarded.in_phase(outage).attempts
    figures = f"{ratio(ours)} calls per request (unguarded {ratio(bare)})"
    kept = ours <= 1.2 and ours <= bare / 2
    return Check("retries did not amplify the outage: at most about 1, half of unguarded", kept, figures)


def _spared(unguarded: Side, guarded: Side) -> Check:
    bare, ours = unguarded.borne(OUTAGE), guarded.borne(OUTAGE)
    figures = f"{ours} calls in the outage (unguarded {bare}), by the servers' count"
    return Check("the server that was down bore at most half the calls", bare > 0 and ours <= bare / 2, figures)


def _recovered(settings: Settings, guarded: Side) -> Check:
    again = phase_named(script_for(settings), AGAIN)
    ours = guarded.during(again.start + again.length / 2, again.end)
    figures = f"fresh {percent(ours.fresh)} of the last {again.length / 2:.1f} s"
    return Check("it recovered: at least 90% fresh answers at the end", ours.fresh >= 0.9, figures)


def _nothing_stuck(guarded: Side) -> Check:
    promise = "nothing is stuck: all places free, connections work"
    done = guarded.done
    if done is None:
        return Check(promise, False, "the client did not finish")
    figures = f"bulkhead {done.free} of {done.limit} free, one more request: {done.last}"
    if done.hook_errors:
        figures += f", {done.hook_errors} errors in hooks"
    return Check(promise, done.free == done.limit > 0 and done.last == FRESH and not done.hook_errors, figures)
