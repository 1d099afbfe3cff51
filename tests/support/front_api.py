"""Describe the public names and their signatures, one per line.

``python -m tests.support.front_api`` prints the description; write it to ``tests/unit/public_api.txt`` when a change of
what users see is meant, and say so in the changelog.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import resilix
import resilix.asgi
import resilix.httpx
import resilix.httpx2
import resilix.opentelemetry
import resilix.prometheus
import resilix.starlette
import resilix.testing
import resilix.testing.simulation
import resilix.wsgi
from resilix import events
from resilix.policies.fallback import Fallback
from resilix.policies.pipeline import Explanation, Pipeline
from resilix.policies.retry import Retry
from resilix.policies.timeout import Timeout
from resilix.telemetry import logs

CHECKED_IN = Path(__file__).parents[1] / "unit" / "public_api.txt"


def describe() -> list[str]:
    """Every public name with its signature, defaults included."""
    lines: list[str] = []
    for name in sorted(resilix.__all__):
        lines += _describe(f"resilix.{name}", getattr(resilix, name))
    for kind in (Retry, Timeout, Fallback, Pipeline, Explanation):  # what the verbs make
        lines += _describe(f"{kind.__module__}.{kind.__name__}", kind, constructor=False)
    for name, value in sorted(vars(events).items()):
        if (isinstance(value, type) and issubclass(value, events.Event)) or value in (
            events.subscribe,
            events.hook_errors,
        ):
            lines += _describe(f"resilix.events.{name}", value)
    lines += _describe("resilix.telemetry.logs.log_events", logs.log_events)
    doors = (resilix.httpx, resilix.httpx2, resilix.starlette, resilix.prometheus, resilix.opentelemetry)
    for module in (resilix.testing, resilix.testing.simulation, *doors, resilix.asgi, resilix.wsgi):
        for name in sorted(module.__all__):
            lines += _described(f"{module.__name__}.{name}", getattr(module, name))
    return lines


def _described(name: str, value: Any) -> Iterator[str]:
    """A name, or each public name of a module."""
    if not inspect.ismodule(value):
        yield from _describe(name, value)
        return
    for own in sorted(value.__all__):
        found = getattr(value, own)
        if inspect.isfunction(found) or isinstance(found, type):
            yield from _describe(f"{name}.{own}", found)
        else:
            yield f"{name}.{own}: {type(found).__name__}"


def _describe(name: str, value: Any, *, constructor: bool = True) -> Iterator[str]:
    if not isinstance(value, type):
        yield f"{name}{_signature(value)}"
        return
    bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
    yield f"class {name}({bases})" if bases else f"class {name}"
    if issubclass(value, enum.Enum):
        yield from (f"{name}.{member.name} = {member.value!r}" for member in value)
        return
    if dataclasses.is_dataclass(value):
        yield from (f"{name}.{_field(field)}" for field in dataclasses.fields(value))
    elif constructor and "__init__" in vars(value):
        yield f"{name}{_signature(value.__init__, method=True)}"
    for member in sorted(dir(value)):
        if member.startswith("_") and member != "__call__":
            continue
        found = inspect.getattr_static(value, member)
        owner = next(kind for kind in value.__mro__ if member in vars(kind))
        if not owner.__module__.startswith("resilix"):
            continue
        if isinstance(found, property):
            yield f"{name}.{member}: {_shown(inspect.signature(found.fget).return_annotation)}"  # type: ignore[arg-type]
        elif isinstance(found, staticmethod):
            yield f"{name}.{member}{_signature(found.__func__)}"
        elif callable(found):
            yield f"{name}.{member}{_signature(found, method=True)}"


def _field(field: dataclasses.Field[Any]) -> str:
    default = "" if field.default is dataclasses.MISSING else f" = {field.default!r}"
    return f"{field.name}: {_shown(field.type)}{default}"


def _signature(fn: Any, *, method: bool = False) -> str:
    signature = inspect.signature(fn)
    parameters = list(signature.parameters.values())[int(method) :]
    shown: list[str] = []
    for index, one in enumerate(parameters):
        before = parameters[index - 1] if index else None
        if before is not None and before.kind is one.POSITIONAL_ONLY and one.kind is not one.POSITIONAL_ONLY:
            shown.append("/")
        if one.kind is one.KEYWORD_ONLY and (
            before is None or before.kind not in (one.KEYWORD_ONLY, one.VAR_POSITIONAL)
        ):
            shown.append("*")
        star = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
        annotation = "" if one.annotation is one.empty else f": {_shown(one.annotation)}"
        default = "" if one.default is one.empty else f" = {_default(one.default)}"
        shown.append(f"{star}{one.name}{annotation}{default}")
    if parameters and parameters[-1].kind is inspect.Parameter.POSITIONAL_ONLY:
        shown.append("/")
    returned = signature.return_annotation
    arrow = "" if returned is signature.empty else f" -> {_shown(returned)}"
    return f"({', '.join(shown)}){arrow}"


def _shown(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", repr(annotation))


def _default(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else repr(value)


if __name__ == "__main__":
    print("\n".join(describe()))  # noqa: T201 - this is what it is for
