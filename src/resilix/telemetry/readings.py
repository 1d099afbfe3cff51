"""Everything there is to read of the live policies at one moment, under the names operators see.

One list for Prometheus, OpenTelemetry, health and whatever comes: names, help texts, labels and values stand here once.
Nothing is counted for it: the policies keep these integers anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from resilix.core.era import CircuitState, Mode
from resilix.core.snapshot import BreakerSnapshot
from resilix.events import hook_errors
from resilix.injection import INJECTION
from resilix.policies.breaker import CircuitBreaker
from resilix.policies.budget import RetryBudget
from resilix.policies.bulkhead import Bulkhead
from resilix.policies.registry import REGISTRY
from resilix.tally import TALLY

Kind: TypeAlias = Literal["counter", "gauge"]
MOST_NAMES: Final = 1024
"""How many names of one kind are told apart by default."""
OTHER: Final = "other"
"""The name that all further ones share."""


class Sample(NamedTuple):
    """One value.

    Attributes:
        labels: The values of the labels, in the order of the family's names.
        value: Counters only grow while the policy lives.
    """

    labels: tuple[str, ...]
    value: float


class Family(NamedTuple):
    """All samples of one name.

    Attributes:
        name: With its unit; counters end in ``_total``.
        kind: Counter or gauge.
        help: One sentence.
        labels: The names of the labels.
        samples: At this moment.
        merge: How values that share a label are put together: "sum", "max" or "min".
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...]
    samples: tuple[Sample, ...]
    merge: str = "sum"


def readings(*, most_names: int = MOST_NAMES) -> list[Family]:
    """Read every live policy.

    Example::

        for family in readings():
            for labels, value in family.samples:
                print(family.name, dict(zip(family.labels, labels)), value)

    Args:
        most_names: How many policies of one kind are told apart; what comes after them is put together under "other".
    """
    return [bounded(family, most_names) for family in families_of(REGISTRY.live(), REGISTRY.counted())]


def families_of(policies: Sequence[object], sources: Sequence[Any]) -> list[Family]:
    """Every family, read of these alone.

    Args:
        policies: Breakers, bulkheads and budgets; others have nothing to tell.
        sources: HTTP policies.
    """
    breakers = [one for one in policies if isinstance(one, CircuitBreaker)]
    bulkheads = [one for one in policies if isinstance(one, Bulkhead)]
    budgets = [one for one in policies if isinstance(one, RetryBudget)]
    return [
        *_of_breakers(breakers),
        *_of_bulkheads(bulkheads),
        *_of_budgets(budgets),
        *_of_verbs(breakers, bulkheads),
        *_of_http(sources),
        *_of_faults(),
        Family(
            "resilix_hook_errors_total", "counter", "Errors raised by user code given to a policy.", (),
            (Sample((), hook_errors()),),
        ),
    ]  # fmt: skip


def _of_breakers(breakers: list[CircuitBreaker]) -> Iterable[Family]:
    shots = [(one, one.snapshot()) for one in breakers]
    yield Family(
        "resilix_calls_total", "counter", "Calls under a breaker, by what became of them.", ("policy", "outcome"),
        tuple(
            Sample((one.name, outcome), count)
            for one in breakers
            for outcome, count in one.totals()._asdict().items()
        ),
    )  # fmt: skip
    yield Family(
        "resilix_circuit_breaker_state", "gauge", "1 for the state a breaker is in, else 0.", ("breaker", "state"),
        tuple(Sample((one.name, state.value), shot.state is state) for one, shot in shots for state in CircuitState),
    )  # fmt: skip
    yield Family(
        "resilix_circuit_breaker_mode", "gauge", "1 for who is in charge of a breaker, else 0.", ("breaker", "mode"),
        tuple(Sample((one.name, mode.value), shot.mode == mode.value) for one, shot in shots for mode in Mode),
    )  # fmt: skip
    yield Family(
        "resilix_circuit_breaker_transitions_total", "counter", "How often a breaker went from one state to another.",
        ("breaker", "from_state", "to_state"),
        tuple(Sample((one.name, *step), count) for one in breakers for step, count in one.transitions.items()),
    )  # fmt: skip
    yield _ratio("failure_ratio", "Share of failed calls in the window.", shots, lambda shot: shot.failure_rate)
    yield _ratio("slow_ratio", "Share of slow calls in the window.", shots, lambda shot: shot.slow_rate)
    yield Family(
        "resilix_circuit_breaker_failure_threshold_ratio", "gauge", "The share of failed calls that opens a breaker.",
        ("breaker",),
        tuple(Sample((one.name,), one.failure_rate) for one in breakers if one.failure_rate is not None), "max",
    )  # fmt: skip


def _ratio(
    name: str,
    text: str,
    shots: list[tuple[CircuitBreaker, BreakerSnapshot]],
    pick: Callable[[BreakerSnapshot], float | None],
) -> Family:
    picked = [(one.name, pick(shot)) for one, shot in shots]
    samples = tuple(Sample((name,), value) for name, value in picked if value is not None)
    return Family(f"resilix_circuit_breaker_{name}", "gauge", text, ("breaker",), samples, "max")


def _of_bulkheads(bulkheads: list[Bulkhead]) -> Iterable[Family]:
    for name, text, attribute in (
        ("in_use", "Places taken now.", "in_use"),
        ("limit", "Places there are.", "limit"),
        ("queued", "Callers in line for a place.", "waiting"),
    ):
        samples = tuple(Sample((one.name,), getattr(one, attribute)) for one in bulkheads)
        yield Family(f"resilix_bulkhead_{name}", "gauge", text, ("bulkhead",), samples)


def _of_budgets(budgets: list[RetryBudget]) -> Iterable[Family]:
    yield Family(
        "resilix_retry_budget_remaining_ratio", "gauge", "What is left of a retry budget, 0 to 1.", ("budget",),
        tuple(Sample((one.name,), one.remaining_ratio) for one in budgets), "min",
    )  # fmt: skip
    yield Family(
        "resilix_retry_budget_denied_total", "counter", "Retries that a budget did not grant.", ("budget",),
        tuple(Sample((one.name,), one.denied) for one in budgets),
    )  # fmt: skip


def _of_verbs(breakers: list[CircuitBreaker], bulkheads: list[Bulkhead]) -> Iterable[Family]:
    counts = TALLY.counts()

    def counted(what: str) -> list[Sample]:
        return [Sample((label, detail), count) for (kind, label, detail), count in counts.items() if kind == what]

    yield Family(
        "resilix_retries_total", "counter", "Further attempts, by what the one before ended with.",
        ("policy", "reason"), tuple(counted("retries")),
    )  # fmt: skip
    yield Family(
        "resilix_retries_exhausted_total", "counter", "Calls that were given up, by why.", ("policy", "reason"),
        tuple(counted("exhausted")),
    )  # fmt: skip
    refused = counted("rejections")
    refused += [Sample((one.name, "circuit_open"), one.snapshot().rejected) for one in breakers]
    refused += [Sample((one.name, "bulkhead_full"), one.rejected - one.late) for one in bulkheads]
    yield Family(
        "resilix_rejections_total", "counter", "Calls that were refused before they ran.", ("policy", "kind"),
        tuple(refused),
    )  # fmt: skip
    yield Family(
        "resilix_timeouts_total", "counter", "Calls that took too long, cancelled or abandoned.", ("policy", "scope"),
        tuple(counted("timeouts")),
    )  # fmt: skip
    yield Family(
        "resilix_fallbacks_total", "counter", "Calls that a fallback answered.", ("policy",),
        tuple(Sample(labels[:1], value) for labels, value in counted("fallbacks")),
    )  # fmt: skip


def _of_faults() -> Iterable[Family]:
    yield Family(
        "resilix_faults_enabled", "gauge", "1 while faults may be injected into calls on purpose, else 0.", (),
        (Sample((), INJECTION.enabled),), "max",
    )  # fmt: skip
    counts = TALLY.counts()
    yield Family(
        "resilix_faults_injected_total", "counter", "Calls that a fault plan befell, by what it did to them.",
        ("policy", "fault"),
        tuple(Sample((label, detail), count) for (kind, label, detail), count in counts.items() if kind == "faults"),
    )  # fmt: skip


def _of_http(sources: Sequence[Any]) -> Iterable[Family]:
    for name, text in (
        ("calls", "Requests that came to an HTTP policy."),
        ("attempts", "Requests that an HTTP policy sent."),
    ):
        samples = tuple(Sample((one.name,), getattr(one, f"{name}_total")) for one in sources)
        yield Family(f"resilix_http_{name}_total", "counter", text, ("policy",), samples)


MERGES: Final[dict[str, Callable[[float, float], float]]] = {"sum": lambda a, b: a + b, "max": max, "min": min}


def bounded(family: Family, most: int) -> Family:
    """Put together what shares its labels, and all names beyond the bound."""
    if not family.labels:
        return family
    merge, known = MERGES[family.merge], dict.fromkeys(labels[0] for labels, _ in family.samples)
    told_apart = set(list(known)[:most])
    merged: dict[tuple[str, ...], float] = {}
    for labels, value in family.samples:
        if labels[0] not in told_apart:
            labels = (OTHER, *labels[1:])
        merged[labels] = merge(merged[labels], float(value)) if labels in merged else float(value)
    return family._replace(samples=tuple(Sample(labels, value) for labels, value in merged.items()))
