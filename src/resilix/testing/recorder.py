"""``record_events``: what the policies did, to be asserted in words and shown as a timeline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import EllipsisType, TracebackType
from typing import Any, Final, Self

from resilix import events
from resilix.clock import SYSTEM
from resilix.core import options
from resilix.errors import ConfigurationError
from resilix.event_types import Event
from resilix.locks import RLock
from resilix.policies.functions import local_name
from resilix.runtime import RUNTIME
from resilix.testing.event_kinds import ROUTINE, Expected, Pattern, check_policy, pattern_of
from resilix.testing.event_lines import Recorded, describe, timeline
from resilix.testing.event_sequence import breach

MOST_EVENTS: Final = 10_000


class EventRecord:
    """Events that happened, oldest first, and assertions about them; ``str()`` is their timeline.

    Made by :func:`record_events`, where an example is, and by :meth:`only`. An assertion that fails shows the timeline
    with a mark where the expectation broke. What an event may be expected as is in :func:`event`.
    """

    def __init__(self, entries: Sequence[Recorded], dropped: int = 0) -> None:
        self._entries = entries
        self._dropped = dropped

    def __repr__(self) -> str:
        return f"<{len(self)} events>"

    def __str__(self) -> str:
        return timeline(self.entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Event]:
        return iter([one.event for one in self.entries])

    @property
    def entries(self) -> tuple[Recorded, ...]:
        """The events with their moments."""
        return tuple(self._entries)

    def only(self, *kinds: Expected, name: str | None = None, policy: str | None = None) -> EventRecord:
        """Those of some kinds, of one name, or of one kind of policy, as a record of their own.

        Example::

            events.only("opened", "closed", name="quotes").assert_sequence("opened", "closed")

        Args:
            kinds: Any of these; none means all.
            name: The name of a breaker or bulkhead, or the label of a verb: for a function defined in a test the part
                after ``<locals>.`` is enough.
            policy: "breaker", "retry", …

        Raises:
            ConfigurationError: There is no such kind of event or of policy; or the record was never begun.
        """
        patterns = [pattern_of(kind) for kind in kinds]
        entries = self._begun()
        if policy is not None:
            check_policy(policy, (one.event for one in entries))
        kept = [
            one
            for one in entries
            if (not patterns or _any(patterns, one.event))
            and (name is None or name in (one.event.name, local_name(one.event.name)))
            and (policy is None or one.event.policy == policy)
        ]
        return EventRecord(kept, self._dropped)

    # -- assertions ----------------------------------------------------------------------------------------

    def assert_sequence(self, *expected: Expected | EllipsisType) -> None:
        """Exactly these happened, in this order. Only the kinds of event that are named here are looked at.

        Example::

            events.assert_sequence("attempt failed", "retry", "attempt failed", "opened")
            events.assert_sequence(..., "half-open", "closed")

        Args:
            expected: What happened; ``...`` for any number of events of these kinds, none included.

        Raises:
            AssertionError: It was otherwise.
            ConfigurationError: Nothing is expected, or something that is no kind of event.
        """
        __tracebackhide__ = True
        patterns = [one if isinstance(one, EllipsisType) else pattern_of(one) for one in expected]
        named = [one for one in patterns if isinstance(one, Pattern)]
        if not named:
            raise ConfigurationError(
                'assert_sequence(): it says nothing about any event; write assert_sequence("retry", "gave up"), or '
                "assert_none() when nothing should have happened"
            )
        entries = self._whole()
        seen = [index for index, one in enumerate(entries) if any(each.kind.has(one.event) for each in named)]
        broken = breach(patterns, [entries[index].event for index in seen])
        if broken is None:
            return
        at = len(entries) if broken.at == len(seen) else seen[broken.at]
        wanted = ", ".join("..." if isinstance(one, EllipsisType) else repr(one) for one in patterns)
        raise AssertionError(
            f"{broken.what}\n\n{timeline(entries, {at: broken.note})}\n\nexpected: {wanted}\n"
            "(other kinds of event were not looked at)"
        )

    def assert_counts(self, counts: Mapping[Any, int] | None = None, /, **by_word: int) -> None:
        """So many of these happened; a word is written with underscores.

        Example::

            events.assert_counts(attempt_failed=3, retry=2, opened=0)
            events.assert_counts({event("refused", kind="bulkhead_full"): 5})

        Raises:
            AssertionError: There were more or fewer.
            ConfigurationError: Nothing is counted, something is no kind of event, or a count is no number of them.
        """
        __tracebackhide__ = True
        wanted = [(pattern_of(one), _number(one, number)) for one, number in {**(counts or {}), **by_word}.items()]
        if not wanted:
            raise ConfigurationError(
                "assert_counts(): it says nothing about any event; write assert_counts(retry=2, opened=0), or "
                "assert_none() when nothing should have happened"
            )
        entries, wrong, marks = self._whole(), list[str](), dict[int, str]()
        for pattern, number in wanted:
            found = [index for index, one in enumerate(entries) if pattern.fits(one.event)]
            if len(found) != number:
                wrong.append(f"{pattern!r}: expected {number}, found {len(found)}")
                marks.update(dict.fromkeys(found, ""))
        if wrong:
            raise AssertionError("\n".join(wrong) + f"\n\n{timeline(entries, marks)}")

    def assert_none(self, *kinds: Expected) -> None:
        """None of these happened; without any, nothing at all did but that calls were admitted.

        Example::

            events.assert_none("refused", "opened")

        Raises:
            AssertionError: Something did.
            ConfigurationError: Something is no kind of event.
        """
        __tracebackhide__ = True
        patterns = [pattern_of(kind) for kind in kinds]
        if not patterns:
            self.assert_no_other()
        else:
            self._none(lambda event: _any(patterns, event), f"expected no {' or '.join(map(repr, patterns))}")

    def assert_no_other(self, *kinds: Expected) -> None:
        """Nothing happened but these, and that calls were admitted.

        Example::

            events.assert_no_other("attempt failed", "retry")

        Raises:
            AssertionError: Something else did.
            ConfigurationError: Something is no kind of event.
        """
        __tracebackhide__ = True
        patterns = [pattern_of(kind) for kind in kinds]
        self._none(
            lambda event: not isinstance(event, ROUTINE) and not _any(patterns, event),
            f"expected nothing but {', '.join(map(repr, patterns)) or 'admitted calls'}",
        )

    def _none(self, unwanted: Callable[[Event], bool], expected: str) -> None:
        __tracebackhide__ = True
        entries = self._whole()
        marks = {index: "" for index, one in enumerate(entries) if unwanted(one.event)}
        if marks:
            first = describe(entries[min(marks)].event)
            raise AssertionError(f"{expected}; found {len(marks)}, first: {first}\n\n{timeline(entries, marks)}")

    def _whole(self) -> tuple[Recorded, ...]:
        """The record, if nothing is missing in it."""
        __tracebackhide__ = True
        if self._dropped:
            raise AssertionError(
                f"the record is full: {self._dropped} later events were not kept, so nothing can be said about all of "
                f"them; record fewer calls, or write record_events(limit=…) above {len(self) + self._dropped}"
            )
        return self._begun()

    def _begun(self) -> tuple[Recorded, ...]:
        """What is in the record, if one is kept."""
        return self.entries


class EventRecording(EventRecord):
    """A record that is being written; made by :func:`record_events`, where it is described."""

    def __init__(self, limit: int) -> None:
        super().__init__([])
        self._limit = limit
        self._lock = RLock()  # a coroutine that is collected anywhere may cause an event
        self._stop: Callable[[], None] | None = None
        self._ever = False
        self._clock = SYSTEM.now
        self._zero = 0.0
        self._last = 0.0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Begin an empty record; where there is no block to do it in, as in ``setUp``.

        Raises:
            ConfigurationError: It is being written already.
        """
        with self._lock:
            if self._stop is not None:
                raise ConfigurationError(
                    "record_events(): this record is being written already; stop() it first, or make another one"
                )
            self._ever = True
            self._written: list[Recorded] = []
            self._entries, self._dropped, self._last = self._written, 0, 0.0
            self._clock = SYSTEM.now
            self._zero = 0.0 if RUNTIME.driver.virtual else self._clock()
            self._stop = events.subscribe(self._note)

    def stop(self) -> None:
        """Write no more; what was recorded stays. Again does nothing."""
        with self._lock:
            stop, self._stop = self._stop, None
        if stop is not None:
            stop()

    def _begun(self) -> tuple[Recorded, ...]:
        """The same; one that was never begun knows of nothing, and a forgotten ``with`` would make a test pass."""
        __tracebackhide__ = True
        if not self._ever:
            raise ConfigurationError(
                "record_events(): this record was never begun; write with record_events() as events: …, or start()"
            )
        return self.entries

    def _note(self, event: Event) -> None:
        clock = SYSTEM.now
        now = clock()  # before the lock: a clock may be anybody's
        with self._lock:
            if len(self._written) >= self._limit:
                self._dropped += 1
            else:
                self._written.append(Recorded(self._moment(clock, now), event))

    def _moment(self, clock: Callable[[], float], now: float) -> float:
        if clock is not self._clock:  # virtual time has begun or ended meanwhile
            self._clock = clock
            self._zero = 0.0 if RUNTIME.driver.virtual else now - self._last
        self._last = now - self._zero
        return self._last


def _number(of: object, number: object) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise ConfigurationError(f"assert_counts({of!r}: {number!r}): it is so many of them; write 0 or more")
    return number


def _any(patterns: Sequence[Pattern], event: Event) -> bool:
    return any(one.fits(event) for one in patterns)


def record_events(*, limit: int = MOST_EVENTS) -> EventRecording:
    """Record what all policies do, in all threads and event loops, with the moment by the policies' clock.

    Example::

        with virtual_time(), record_events() as events:
            assert price("ACME") is None
        events.assert_sequence("attempt failed", "retry", "attempt failed", "gave up", "fallback")
        events.assert_none("opened")

    ``print(events)`` shows the timeline::

             0.000  retry price      attempt 1 failed: ConnectionError
             0.000  retry price      waits 0.100
             0.100  retry price      attempt 2 failed: ConnectionError
             0.100  retry price      gave up after 2 attempts (attempts): ConnectionError
             0.100  fallback price   fallback answered for ConnectionError

    Outside a block, ``start()`` and ``stop()`` do the same. The moments are those of ``virtual_time()`` where it runs,
    else seconds since the record began. A breaker with a ``clock=`` of its own is recorded by the common clock too.

    Args:
        limit: How many events are kept, at least 1. Later ones are only counted, and then assertions fail and say so.

    Raises:
        ConfigurationError: ``limit`` is no number that can be meant.
    """
    options.whole("record_events", "limit", limit, least=1, why="a record of nothing says nothing")
    return EventRecording(limit)
