"""What users see changes only on purpose: names, signatures and defaults are held against a checked-in list."""

from __future__ import annotations

from tests.support.front_api import CHECKED_IN, describe

import resilix

REGENERATE = "if the change is meant: python -m tests.support.front_api > tests/unit/public_api.txt, and CHANGELOG.md"


def test_names_signatures_and_defaults_are_as_promised() -> None:
    """A default is a promise as much as a name."""
    promised = CHECKED_IN.read_text(encoding="utf-8").splitlines()
    found = describe()
    assert sorted(set(promised) - set(found)) == [], f"gone or changed; {REGENERATE}"
    assert sorted(set(found) - set(promised)) == [], f"new or changed; {REGENERATE}"
    assert found == promised, REGENERATE


def test_the_front_door_exports_what_the_design_lists() -> None:
    """The names of DESIGN section 4 that are built; what is not built yet is not exported."""
    errors = {
        "ResilixError", "RejectedError", "CircuitOpenError", "BulkheadFullError", "DeadlineExpiredError",
        "TimeoutExceededError", "ConfigurationError", "ResilixWarning",
    }  # fmt: skip
    nouns = {
        "CircuitBreaker",
        "CircuitState",
        "BreakerSnapshot",
        "Permit",
        "Verdict",
        "calls",
        "Bulkhead",
        "RetryBudget",
    }
    verbs = {"Policy", "retry", "timeout", "fallback", "pipeline", "deadline"}
    assert set(resilix.__all__) == errors | nouns | verbs | {"health"}
    assert resilix.__all__ == sorted(resilix.__all__)
    assert all(hasattr(resilix, name) for name in resilix.__all__)


def test_options_are_given_by_name() -> None:
    """Only names, values and policies are positional, so that a call says what each number is for."""
    allowed = {
        "CircuitBreaker": ["name"], "Bulkhead": ["name"], "RetryBudget": ["name"], "retry": [], "timeout": ["seconds"],
        "fallback": ["value"], "pipeline": ["policies"], "deadline": ["seconds"], "calls": ["n"],
    }  # fmt: skip
    import inspect

    for name, expected in allowed.items():
        signature = inspect.signature(getattr(resilix, name))
        positional = [one.name for one in signature.parameters.values() if one.kind is not one.KEYWORD_ONLY]
        assert positional == expected, name
