"""What a woven function looks like: its parameters, and the quiet cases of its policies as one text."""

from __future__ import annotations

import functools
import inspect
import keyword
import re
import types
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from resilix.policies.functions import AnyCallable
from resilix.policies.quiet import Quiet

OWN: Final = "_rx"
"""All names in woven code begin with it, so that parameters can have any others."""
_SEVERAL: Final = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
MOST_WRITTEN: Final = 512
"""How many different lists of parameters are remembered."""
INNER_LINE: Final = "result = INNER"
PLAIN_LINE: Final = "result = PLAIN"
PARAMETERS_MARK: Final = f"{OWN} PARAMETERS"
ARGUMENTS_MARK: Final = f"{OWN} ARGUMENTS"
CALL_MARK: Final = f"{OWN} CALL"
INNERMOST_MARK: Final = f"{OWN} INNERMOST"
Mark = Literal[0, 1, 2, 3]
_MARKS: Final[dict[str, Mark]] = {PARAMETERS_MARK: 0, ARGUMENTS_MARK: 1, CALL_MARK: 2, INNERMOST_MARK: 3}
"""They stand for the parts of a shape until these are known; no name of a policy's own looks like them."""


class Shape(NamedTuple):
    """What a woven function takes.

    Attributes:
        parameters: As they stand in its ``def``.
        arguments: The same, handed on.
        packed: The same, as a tuple and a dict.
        call: How the innermost function is called with them.
        names: What the parameters are really called, where the text has stand-ins for them.
    """

    parameters: str
    arguments: str
    packed: str
    call: str
    names: tuple[str, ...] = ()


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
    """The parameters of a function, if it is a plain one.

    The text has stand-ins for their names, so it is made and compiled once for all functions with as many of each kind.
    """
    if not isinstance(fn, types.FunctionType):
        return None
    code = fn.__code__
    several = code.co_flags & _SEVERAL
    parameters, arguments, packed, call, stand_ins = _written(
        code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, several
    )
    return Shape(parameters, arguments, packed, call, code.co_varnames[: len(stand_ins)])


def named(code: types.CodeType, names: tuple[str, ...], like: types.FunctionType) -> types.CodeType:
    """The code of a woven function with the names of the function it stands for, and of that one's parameters."""
    constants = code.co_consts
    if like.__code__.co_kwonlyargcount:  # arguments handed on by name
        real = dict(zip(code.co_varnames, names, strict=False))  # locals follow the parameters
        constants = tuple([
            tuple([real.get(one, one) for one in constant]) if type(constant) is tuple else real.get(constant, constant)
            for constant in constants
        ])  # fmt: skip
    return code.replace(
        co_name=like.__name__,
        co_qualname=like.__qualname__,
        co_varnames=names + code.co_varnames[len(names) :],
        co_consts=constants,
    )


@functools.cache
def _stand_ins(count: int) -> tuple[str, ...]:
    return tuple(f"p{number}" for number in range(count))


@functools.lru_cache(MOST_WRITTEN)
def _written(positional: int, alone: int, by_name: int, several: int) -> Shape:
    """Parameters as text: so many positional ones, the first of them by position alone, then those by name alone.

    After them what ``several`` flags say: all further arguments by position, by name, or both.
    """
    names = _stand_ins(positional + by_name + several.bit_count())
    given, only, rest = names[:positional], names[positional : positional + by_name], names[positional + by_name :]
    more = [f"*{rest[0]}"] if several & inspect.CO_VARARGS else []
    named = [f"**{rest[-1]}"] if several & inspect.CO_VARKEYWORDS else []
    parameters = [*given[:alone], "/", *given[alone:]] if alone else [*given]
    parameters += more or (["*"] if only else [])
    parameters += [*only, *named]
    arguments = ", ".join([*given, *more, *(f"{name}={name}" for name in only), *named])
    packed = [*given, *more]
    as_tuple = f"({packed[0]},)" if len(packed) == 1 else f"({', '.join(packed)})"
    as_dict = "{" + ", ".join([*(f"{name!r}: {name}" for name in only), *named]) + "}"
    return Shape(", ".join(parameters), arguments, f"{as_tuple}, {as_dict}", f"{OWN}_fn({arguments})", names)


@functools.cache
def _word() -> re.Pattern[str]:
    """A name that is no attribute; not compiled at import."""
    return re.compile(r"(?<![\w.])[A-Za-z_]\w*")


def source_of(levels: Sequence[Quiet], shape: Shape, *, is_async: bool) -> str:
    """The text of a woven function, which is called ``woven``."""
    pieces, marks = _text(tuple([level.lines for level in levels]), is_async)
    fields, parts = shape[:4], [*pieces]
    for index, which in marks:
        parts[index] = fields[which]
    return "".join(parts)


@functools.lru_cache(MOST_WRITTEN)
def _text(policies: tuple[str, ...], is_async: bool) -> tuple[tuple[str, ...], tuple[tuple[int, Mark], ...]]:
    """The same in pieces, and which of them stand for what a function takes: made once for policies in this order."""
    lines = [f"{OWN}_result = {'await ' if is_async else ''}{INNERMOST_MARK}"]
    if not is_async:
        # A function nearly always returns the same type, and to ask for the type of a result is what costs here.
        kind = f"type({OWN}_result)"
        lines += _go_on(len(policies), f"{kind} is not {OWN}_kind and {kind} not in {OWN}_plain and ")
    for depth in range(len(policies) - 1, -1, -1):
        lines = _level(policies[depth], depth, lines, is_async=is_async)
    head = f"{'async ' if is_async else ''}def woven({PARAMETERS_MARK}):"
    text = "\n".join([head, *_joined(_indented([*lines, f"return {OWN}_result"])), ""])
    pieces = tuple(re.split(f"({'|'.join(_MARKS)})", text))
    return pieces, tuple([(index, _MARKS[piece]) for index, piece in enumerate(pieces) if piece in _MARKS])


def forget() -> None:
    """Make every text anew from now on: a test has changed how they are made."""
    _text.cache_clear()


def _go_on(depth: int, unless: str = "") -> list[str]:
    """Where a sync function has handed back something to await, the policies around go on with it in their own way.

    Returning from the middle skips whatever they would have made of a result.
    """
    return [
        f"if {unless}{OWN}_hands({OWN}_result):",
        f"    return {OWN}_go_on({depth}, {OWN}_result, {ARGUMENTS_MARK})",
    ]


def _level(text: str, depth: int, inner: list[str], *, is_async: bool) -> list[str]:
    """The lines of one policy around those of the next."""
    wait = "await " if is_async else ""
    lines: list[str] = []
    for margin, bare in _renamed(text, depth, is_async):
        if bare == INNER_LINE:
            lines += [margin + one for one in inner]
        elif bare == PLAIN_LINE:
            lines += [margin + one for one in _plain(depth, wait)]
        else:
            lines.append(margin + bare)
    return lines


def _plain(depth: int, wait: str) -> list[str]:
    """The lines that leave a call to the shell of a policy; what the outermost makes of it is the answer."""
    answer = f"{wait}{OWN}{depth}_shell({ARGUMENTS_MARK})"
    if depth == 0:
        return [f"return {answer}"]
    return [f"{OWN}_result = {answer}", *([] if wait else _go_on(depth))]


@functools.lru_cache(MOST_WRITTEN)
def _renamed(text: str, depth: int, is_async: bool) -> list[tuple[str, str]]:
    """Each line of a policy, margin and rest, with the names it has at this place."""
    words = {
        "CALL": CALL_MARK,
        "AWAIT": "await" if is_async else "",
        "DONE": f"return {OWN}_result" if depth == 0 else "pass",
        "result": f"{OWN}_result",
    }

    def word(found: re.Match[str]) -> str:
        name = found[0]
        return words[name] if name in words else name if keyword.iskeyword(name) else f"{OWN}{depth}_{name}"

    lines: list[tuple[str, str]] = []
    for line in text.strip("\n").split("\n"):
        bare = line.lstrip()
        kept = bare in (INNER_LINE, PLAIN_LINE)
        lines.append((line[: len(line) - len(bare)], bare if kept else _word().sub(word, bare)))
    return lines


COMPOUND: Final = frozenset(("if", "elif", "else", "try", "except", "finally", "for", "while", "with"))


def _joined(lines: list[str]) -> list[str]:
    """The same in fewer lines: simple statements that follow each other in one, a block of them in that of its head.

    It is compiled sooner so, and a ``try`` has no step of its own where its block begins in the same line.
    """
    blocks: list[tuple[int, str, bool]] = []
    for line in lines:
        bare = line.lstrip()
        margin, simple = len(line) - len(bare), bare.partition(" ")[0].rstrip(":") not in COMPOUND
        if simple and blocks and blocks[-1][0] == margin and blocks[-1][2]:
            bare = f"{blocks.pop()[1]}; {bare}"
        blocks.append((margin, bare, simple))
    joined: list[str] = []
    before = after = 0
    for index, (margin, text, simple) in enumerate(blocks):
        after = blocks[index + 1][0] if index + 1 < len(blocks) else 0
        if simple and before < margin and after < margin and joined:
            joined[-1] += f" {text}"
        else:
            joined.append(" " * margin + text)
        before = margin
    return joined


def _indented(lines: list[str]) -> list[str]:
    return ["    " + line for line in lines]
