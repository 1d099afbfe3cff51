"""What a woven function looks like: its parameters, and the quiet cases of its policies as one text."""

from __future__ import annotations

import ast
import inspect
import keyword
import re
import types
from collections.abc import Sequence
from typing import Final, NamedTuple

from resilix.policies.functions import AnyCallable
from resilix.policies.quiet import Quiet

OWN: Final = "_rx"
"""All names in woven code begin with it, so that parameters can have any others."""


class Shape(NamedTuple):
    """What a woven function takes.

    Attributes:
        parameters: As they stand in its ``def``.
        arguments: The same, handed on.
        packed: The same, as a tuple and a dict.
        call: How the innermost function is called with them.
    """

    parameters: str
    arguments: str
    packed: str
    call: str


GENERIC: Final = Shape("*args, **kwargs", "*args, **kwargs", "args, kwargs", f"{OWN}_fn(*args, **kwargs)")
MANY: Final = Shape(
    f"{OWN}_first, /, *args, **kwargs",
    f"{OWN}_first, *args, **kwargs",
    f"({OWN}_first, *args), kwargs",
    f"{OWN}_first(*args, **kwargs)",
)
"""For functions that each call brings along; the innermost one only calls it, so it is called directly."""
MANY_THROUGH: Final = MANY._replace(call=f"{OWN}_fn({OWN}_first, *args, **kwargs)")
"""The same where the innermost function does more than that."""


def shape_of(fn: AnyCallable) -> Shape | None:
    """The parameters of a function, if it is a plain one and they can be written down."""
    if not isinstance(fn, types.FunctionType):
        return None
    code = fn.__code__
    names = code.co_varnames
    positional, keywords = code.co_argcount, code.co_argcount + code.co_kwonlyargcount
    given, only = list(names[:positional]), names[positional:keywords]
    rest = iter(names[keywords:])
    more = [f"*{next(rest)}"] if code.co_flags & inspect.CO_VARARGS else []
    named = [f"**{next(rest)}"] if code.co_flags & inspect.CO_VARKEYWORDS else []
    for name in (*given, *only, *(one.lstrip("*") for one in (*more, *named))):
        if not name.isidentifier() or keyword.iskeyword(name) or name.startswith(OWN):
            return None
    parameters = list(given)
    if code.co_posonlyargcount:
        parameters.insert(code.co_posonlyargcount, "/")
    parameters += more or (["*"] if only else [])
    parameters += [*only, *named]
    arguments = ", ".join([*given, *more, *(f"{name}={name}" for name in only), *named])
    packed = [*given, *more]
    as_tuple = f"({packed[0]},)" if len(packed) == 1 else f"({', '.join(packed)})"
    as_dict = "{" + ", ".join([*(f"{name!r}: {name}" for name in only), *named]) + "}"
    return Shape(", ".join(parameters), arguments, f"{as_tuple}, {as_dict}", f"{OWN}_fn({arguments})")


WORD: Final = re.compile(r"(?<![\w.])[A-Za-z_]\w*")


def source_of(levels: Sequence[Quiet], shape: Shape, *, is_async: bool) -> str:
    """The text of a woven function, which is called ``woven``."""
    wait = "await " if is_async else ""
    lines = [f"{OWN}_result = {wait}{shape.call}"]
    if not is_async:
        lines += _look_at_result(
            len(levels), f"{OWN}_result is not None and {OWN}_type({OWN}_result) is not {OWN}_kind and "
        )
    for depth in range(len(levels) - 1, -1, -1):
        lines = _level(levels[depth].lines, depth, lines, shape, is_async=is_async)
    if not is_async:
        lines = [
            "try:",
            *_indented(lines),
            f"except {OWN}_Handed as {OWN}_handed:",
            f"    return {OWN}_go_on({OWN}_handed, {shape.packed})",
        ]
    head = f"{'async ' if is_async else ''}def woven({shape.parameters}):"
    return "\n".join([head, *_indented(lines), f"    return {OWN}_result", ""])


def _look_at_result(depth: int, unless: str = "") -> list[str]:
    """Where a sync function has handed back something to await, the rest is for the shells around."""
    if depth == 0:
        return [f"return {OWN}_result"]
    return [f"if {unless}{OWN}_hands({OWN}_result):", f"    raise {OWN}_Handed({OWN}_result, {depth})"]


def _level(text: str, depth: int, inner: list[str], shape: Shape, *, is_async: bool) -> list[str]:
    """The lines of one policy around those of the next."""
    wait = "await " if is_async else ""
    words = {
        "CALL": shape.packed,
        "AWAIT": "await" if is_async else "",
        "DONE": f"return {OWN}_result" if depth == 0 else "pass",
        "result": f"{OWN}_result",
    }

    def word(found: re.Match[str]) -> str:
        name = found[0]
        return words[name] if name in words else name if keyword.iskeyword(name) else f"{OWN}{depth}_{name}"

    lines: list[str] = []
    for line in text.strip("\n").split("\n"):
        bare = line.lstrip()
        margin = line[: len(line) - len(bare)]
        if bare == "result = INNER":
            lines += [margin + one for one in inner]
        elif bare == "result = PLAIN":
            aside = [f"{OWN}_result = {wait}{OWN}{depth}_shell({shape.arguments})"]
            aside += [] if is_async else _look_at_result(depth)
            lines += [margin + one for one in aside]
        else:
            if bare.startswith("except BaseException") and not is_async:
                lines += [f"{margin}except {OWN}_Handed:", f"{margin}    raise"]
            lines.append(margin + WORD.sub(word, bare))
    return lines


def _indented(lines: list[str]) -> list[str]:
    return ["    " + line for line in lines]


def parsed(source: str) -> ast.Module:
    """Parse a source so that ``try:`` is no line of its own: for each such line the interpreter takes a step."""
    tree = ast.parse(source)

    def begin_with_body(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            begin_with_body(child)
        if isinstance(node, ast.Try):
            node.lineno = node.body[0].lineno

    begin_with_body(tree)
    return tree
