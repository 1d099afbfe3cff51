"""Everything resilix raises or warns with.

::

    ResilixError
    ├── RejectedError                 your function did not run: safe to try elsewhere
    │   ├── CircuitOpenError          .name .retry_after .reason
    │   ├── BulkheadFullError         .name .limit .waited
    │   └── DeadlineExpiredError      no time was left to start
    ├── TimeoutExceededError          also a TimeoutError; .seconds
    └── ConfigurationError            also a ValueError; raised where the mistake was written

Every error carries its facts as attributes for machines and one sentence for people, survives pickling,
and is a fresh instance for each raise. The sentence is made when somebody reads it: a breaker may refuse a hundred
thousand calls a second. For the same reason the two errors of a refusal keep their facts in ``args``, and have a second
maker each, below them, which does what their class does in half the time.
"""

from __future__ import annotations

from typing import Any, Final


class ResilixError(Exception):
    """Base of everything resilix raises.

    Example::

        try:
            price("ACME")
        except ResilixError as error:
            log.warning("guarded call failed: %s", error)
    """

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own __reduce__ would call the class with args, but most facts are keyword arguments.
        return (_rebuild, (type(self), self.args, self.__dict__.copy()))


def _rebuild(cls: type[ResilixError], args: tuple[Any, ...], state: dict[str, Any]) -> ResilixError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


_NEW: Final = Exception.__new__


class RejectedError(ResilixError):
    """Your function did not run, so it is safe to try elsewhere.

    Example::

        try:
            price("ACME")
        except RejectedError:
            ...  # nothing was sent: ask another replica
    """


class CircuitOpenError(RejectedError):
    """The circuit breaker is open, or half-open with all its probes out.

    Example::

        except CircuitOpenError as error:
            return 503, {"Retry-After": str(math.ceil(error.retry_after or 1))}

    Attributes:
        name: The breaker's name.
        retry_after: Seconds until the next probe is possible; ``None`` when forced open.
        reason: Why it opened, in a few words ("consecutive failures", "manual", …).
    """

    def __init__(self, name: str, *, retry_after: float | None, reason: str) -> None:
        self.args = (name, retry_after, reason)

    @property
    def name(self) -> str:
        """The breaker's name."""
        return str(self.args[0])

    @property
    def retry_after(self) -> float | None:
        """Seconds until the next probe is possible; ``None`` when forced open."""
        after: float | None = self.args[1]
        return after

    @property
    def reason(self) -> str:
        """Why it opened, in a few words."""
        return str(self.args[2])

    def __str__(self) -> str:
        after = self.retry_after
        when = "until it is closed by hand" if after is None else f"next probe in {after:.3g} s"
        return f"circuit {self.name!r} is open ({self.reason}): {when}; the call was not made"


def circuit_open(name: str, retry_after: float | None, reason: str) -> CircuitOpenError:
    """Make a ``CircuitOpenError``, fast: the base of all exceptions keeps the arguments, without a step of ours."""
    return _NEW(CircuitOpenError, name, retry_after, reason)


class BulkheadFullError(RejectedError):
    """All places of a bulkhead are taken, and so is its queue or the time to wait.

    Example::

        except BulkheadFullError as error:
            log.info("%s is at its limit of %d", error.name, error.limit)

    Attributes:
        name: The bulkhead's name.
        limit: How many calls may run at once.
        waited: Seconds this caller waited for a place.
    """

    def __init__(self, name: str, *, limit: int, waited: float = 0.0) -> None:
        self.args = (name, limit, waited)

    @property
    def name(self) -> str:
        """The bulkhead's name."""
        return str(self.args[0])

    @property
    def limit(self) -> int:
        """How many calls may run at once."""
        return int(self.args[1])

    @property
    def waited(self) -> float:
        """Seconds this caller waited for a place."""
        return float(self.args[2])

    def __str__(self) -> str:
        after = f" after waiting {self.waited:.3g} s" if self.waited else ""
        return f"bulkhead {self.name!r} is full (limit {self.limit}){after}; the call was not made"


def bulkhead_full(name: str, limit: int, waited: float) -> BulkheadFullError:
    """Make a ``BulkheadFullError``, fast, like :func:`circuit_open`."""
    return _NEW(BulkheadFullError, name, limit, waited)


class DeadlineExpiredError(RejectedError):
    """No time was left to start: the deadline around the call has passed, or would pass in the queue.

    Example::

        with deadline(0.5):
            ...
            price("ACME")  # DeadlineExpiredError once the half second is over

    Attributes:
        label: What could not start: a function's qualified name, or its pipeline's name.
    """

    def __init__(self, label: str) -> None:
        self.label = label

    def __str__(self) -> str:
        return f"no time left before the deadline to start {self.label}; the call was not made"


class TimeoutExceededError(ResilixError, TimeoutError):
    """The call started and did not finish in time. It is a ``TimeoutError`` as well.

    ``TimeoutError`` is a subclass of ``OSError`` in Python, so ``except OSError`` in your code sees it too.

    Example::

        except TimeoutExceededError as error:
            log.warning("gave up after %s s", error.seconds)

    Attributes:
        seconds: How long the call was given.
        label: What did not finish: a function's qualified name, or its pipeline's name.
    """

    def __init__(self, seconds: float, label: str = "call") -> None:
        self.seconds = seconds
        self.label = label

    def __str__(self) -> str:
        return f"{self.label} did not finish within {self.seconds:.6g} s"


class ConfigurationError(ResilixError, ValueError):
    """Something was written that cannot mean anything sensible; raised where it was written.

    The message says what was wrong, why, and what to write instead.

    Example::

        retry(on=ValueError, attempts=0)
        # ConfigurationError: retry(attempts=0): attempts counts the first one too, so it must be at
        # least 1; write attempts=1 for a single attempt without retries
    """


class ResilixWarning(UserWarning):
    """Nothing is broken yet, but this is nearly always a mistake (an odd order, a name used twice).

    Example::

        warnings.simplefilter("error", ResilixWarning)  # in a test suite: let mistakes fail
    """
