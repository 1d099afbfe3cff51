"""The verdict on an outcome, from a breaker's ``on``, ``ignore`` and ``on_result``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tenacity import RetryCallState

from resilix.core.options import refuse
from resilix.core.verdict import Matcher, OnHookError, Verdict, asks_results, refuse_async
from resilix.errors import RejectedError

NOTHING_COUNTS = "write on=ConnectionError, say, and ignore= only for some of what it covers"


class Judge:
    """Says what an outcome means.

    ``ignore`` wins over ``on``. A refusal by one of our own policies is ignored whatever they say. A predicate that
    raises makes the verdict *ignored*: its error goes to ``hook_error`` and the caller's own outcome stands.

    Attributes:
        judges_results: Whether a result can be anything but a success.
    """

    __slots__ = ("_hook_error", "_ignore", "_on", "_on_result", "_on_state", "_types", "judges_results")

    def __init__(
        self,
        owner: str,
        *,
        on: Any,
        ignore: Any,
        on_result: Callable[[Any], object] | None,
        hook_error: OnHookError,
    ) -> None:
        for option, value in (("on", on), ("ignore", ignore), ("on_result", on_result)):
            refuse_async(owner, option, value)
        if on_result is not None and not callable(on_result):
            raise refuse(
                owner,
                "on_result",
                on_result,
                "it judges a result, so it must be a function",
                "write on_result=lambda response: response.status_code >= 500",
            )
        self._on = Matcher(owner, "on", on)
        self._ignore = None if isinstance(ignore, tuple) and not ignore else Matcher(owner, "ignore", ignore)
        self._on_result = on_result
        self._on_state = self._on.predicate if self._on.tenacity and asks_results(on) else None
        self.judges_results = on_result is not None or self._on_state is not None
        self._hook_error = hook_error
        # Where types alone decide, there is nothing to ask.
        self._types = self._on.types if _all_types(on) and self._ignore is None else None
        if self._ignore is not None:
            _check_contradiction(owner, self._on, self._ignore, ignore)
        if not self.judges_results:
            _check_something_counts(owner, self._on, self._ignore, on)

    def error(self, error: BaseException) -> Verdict:
        """Judge an exception. Runs user code: never call it under a lock."""
        if self._types is not None:
            counts = isinstance(error, self._types) and not isinstance(error, RejectedError)
            return Verdict.FAILURE if counts else Verdict.IGNORED
        if not isinstance(error, Exception) or isinstance(error, RejectedError):
            return Verdict.IGNORED
        if self._ignore is not None:
            ignored = self._ask("ignore", self._ignore.ask, error)
            if ignored is None or ignored:
                return Verdict.IGNORED
        return Verdict.FAILURE if self._ask("on", self._on.ask, error) else Verdict.IGNORED

    def result(self, result: object) -> Verdict:
        """Judge a result. Runs user code: never call it under a lock."""
        if self._on_result is not None:
            failed = self._ask("on_result", self._on_result, result)
            if failed is None or failed:
                return Verdict.IGNORED if failed is None else Verdict.FAILURE
        if self._on_state is not None:
            failed = self._ask("on", self._on_state, _state_with(result))
            if failed is None or failed:
                return Verdict.IGNORED if failed is None else Verdict.FAILURE
        return Verdict.SUCCESS

    def _ask(self, option: str, question: Callable[[Any], object], about: object) -> bool | None:
        """Yes, no, or ``None`` when the user's code gave no usable answer."""
        try:
            answer = question(about)
            if hasattr(answer, "__await__"):
                raise TypeError(f"the predicate gave back {type(answer).__name__}, which nobody awaits here")
            return bool(answer)
        except Exception as broken:
            self._hook_error(option, broken)
            return None


def judge_of(
    owner: str, *, on: Any, ignore: Any, on_result: Callable[[Any], object] | None, hook_error: OnHookError
) -> Judge:
    """A judge for these options; the same one for all breakers that only name types, which is most of them."""
    if on_result is None and _all_types(on) and _all_types(ignore):
        return _of_types(owner, on, ignore)
    return Judge(owner, on=on, ignore=ignore, on_result=on_result, hook_error=hook_error)


def _all_types(named: Any) -> bool:
    # Those of another metaclass may run code of their own when they are asked.
    return all(type(one) is type for one in (named if isinstance(named, tuple) else (named,)))


@functools.lru_cache(64)
def _of_types(owner: str, on: Any, ignore: Any) -> Judge:
    return Judge(owner, on=on, ignore=ignore, on_result=None, hook_error=_no_hook)


def _no_hook(hook: str, error: Exception) -> None:
    """No code of a user's is asked."""


def _state_with(result: object) -> RetryCallState:
    state = RetryCallState(None, None, (), {})  # type: ignore[arg-type]
    state.set_result(result)
    return state


def _check_contradiction(owner: str, on: Matcher, ignore: Matcher, shown: object) -> None:
    both = set(on.types) & set(ignore.types)
    if both:
        names = ", ".join(sorted(t.__name__ for t in both))
        raise refuse(
            owner,
            "ignore",
            shown,
            f"{names} stands in both on and ignore, which contradict each other",
            "write it in one of them",
        )
    if on.types and all(issubclass(t, ignore.types) for t in on.types):
        raise refuse(owner, "ignore", shown, "it covers all that on names, so nothing could count", NOTHING_COUNTS)


def _check_something_counts(owner: str, on: Matcher, ignore: Matcher | None, shown: object) -> None:
    if on.predicate is not None:
        return
    if not on.types:
        raise refuse(owner, "on", shown, "it names nothing, so nothing could count", NOTHING_COUNTS)
    if all(issubclass(t, RejectedError) for t in on.types):
        raise refuse(
            owner,
            "on",
            shown,
            "a refusal by one of our own policies says nothing about the dependency, so a breaker never counts it",
            NOTHING_COUNTS,
        )
