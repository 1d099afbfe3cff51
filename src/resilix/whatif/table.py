"""Tables of a TOML file, read key by key, and the sentences their author gets back: where, what, why, what instead."""

from __future__ import annotations

import difflib
import inspect
import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from resilix.errors import ConfigurationError

T = TypeVar("T")
AT_LINE: Final = re.compile(r" \(at line (\d+), column (\d+)\)$")
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
AT_END: Final = " (at end of document)"


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file something was written.

    Attributes:
        file: What the file is called.
        table: The table in it, as its head is written; empty at the top.
    """

    file: str
    table: str = ""

    def inside(self, table: str) -> Place:
        """A place inside this one."""
        return Place(self.file, f"{self.table} {table}".strip())

    def error(self, text: str) -> ConfigurationError:
        """Build the error about something here."""
        return ConfigurationError(": ".join(part for part in (self.file, self.table, text) if part))

    def wrong(self, key: str, value: object, why: str, instead: str) -> ConfigurationError:
        """Build the error for one bad key."""
        return self.error(f"{key} = {shown(value)}: {why}; {instead}")

    def unknown(self, what: str, name: str, known: Iterable[str]) -> ConfigurationError:
        """Build the error for a name that is none of those there are."""
        there = list(known)
        near = difflib.get_close_matches(name, there, 1)
        hint = f"did you mean {near[0]}?" if near else f"there is: {', '.join(there)}"
        return self.error(f"there is no {what} {name!r}; {hint}")

    def make(self, function: Callable[..., T], values: dict[str, Any]) -> T:
        """Call what checks its options itself, and say where they were written when it refuses them."""
        try:
            return function(**values)
        except ConfigurationError as error:
            raise self.error(str(error)) from None


def shown(value: object) -> str:
    """A value, as TOML writes it or nearly so."""
    text = str(value).lower() if isinstance(value, bool) else f"{value!r}"
    return text if len(text) <= 60 else text[:57] + "..."


def parse(data: bytes, file: str) -> dict[str, Any]:
    """The tables of a file.

    Raises:
        ConfigurationError: It is not TOML; the text says in which line.
    """
    place = Place(file)
    try:
        return tomllib.loads(data.decode("utf-8-sig"))  # with the mark that editors on Windows put in front
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{file}:{line}: this is not UTF-8, as TOML has to be") from None
    except ValueError as error:
        text = str(error)
        at = AT_LINE.search(text)
        if at is not None:
            raise ConfigurationError(f"{file}:{at[1]}: it is not TOML: {text[: at.start()]} (column {at[2]})") from None
        if text.endswith(AT_END):
            line = data.rstrip().count(b"\n") + 1
            raise ConfigurationError(f"{file}:{line}: it is not TOML: {text.removesuffix(AT_END)}") from None
        raise place.error(f"it is not TOML: {text}") from None
    except RecursionError:
        raise place.error("its brackets are nested too deeply; no key needs more than four levels") from None


class Table:
    """A table of a file, of which every key must be known.

    Attributes:
        place: Where it stands.
        values: What is in it.
    """

    def __init__(self, values: object, place: Place, keys: Iterable[str]) -> None:
        """Look at a table.

        Args:
            values: What stands there.
            place: Where.
            keys: Those it may have.

        Raises:
            ConfigurationError: It is no table, or has a key that is not known.
        """
        if not isinstance(values, dict):
            raise place.error(f"this must be a table, and it is {shown(values)}")
        self.values: dict[str, Any] = values
        self.place = place
        allowed = list(keys)
        for key in self.values:
            if key not in allowed:
                raise place.unknown("key", key, allowed)

    def table(self, key: str, keys: Iterable[str]) -> Table:
        """A table inside it; an empty one where it has none."""
        return Table(self.values.get(key, {}), self.place.inside(f"[{key}]"), keys)

    def tables(self, key: str) -> list[tuple[Any, Place]]:
        """The tables of an array of tables, each with its place; none where there is no such array.

        Raises:
            ConfigurationError: It is no array.
        """
        values = self.values.get(key, [])
        if not isinstance(values, list):
            raise self.place.error(f"there are several of [{key}]: write its head with two brackets, [[{key}]]")
        return [(one, self.place.inside(f"[[{key}]] {number}")) for number, one in enumerate(values, 1)]

    def text(self, key: str, default: str | None = None, *, lines: bool = False) -> str:
        """A text.

        Args:
            key: Which.
            default: What it is where there is none.
            lines: Whether it may have several lines.

        Raises:
            ConfigurationError: It is none, or there is none and it has no default; or it has control characters, which
                would do to a terminal what they are for.
        """
        value = self.values.get(key, default)
        if not isinstance(value, str) or not value.strip():
            if key not in self.values and default is not None:
                return default
            what = f"{key} = {shown(value)}" if key in self.values else f"{key} is missing"
            raise self.place.error(f'{what}: it must be a text; write {key} = "…"')
        if CONTROL.search(" ".join(value.split()) if lines else value.strip()):
            why = "control characters are not shown" if lines else "it is shown in one line, without control characters"
            raise self.place.wrong(key, value, why, f'write {key} = "…"')
        return value.strip()

    def flag(self, key: str, default: bool) -> bool:
        """A switch.

        Raises:
            ConfigurationError: It is none.
        """
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self.place.wrong(key, value, "it is a switch", f"write {key} = true or {key} = false")
        return value

    def whole(self, key: str, default: int, least: int, most: int) -> int:
        """A whole number.

        Raises:
            ConfigurationError: It is none, or too small, or too large.
        """
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            why = f"it must be a whole number from {least:,} to {most:,}"
            raise self.place.wrong(key, value, why, f"write {key} = {default}")
        return value


def names_of(function: Callable[..., Any], without: Iterable[str] = ()) -> list[str]:
    """The options of a function, by its signature: what a table for it may have as keys."""
    return [name for name in inspect.signature(function).parameters if name not in (*without, "self")]


def needed_of(function: Callable[..., Any], without: Iterable[str] = ()) -> list[str]:
    """Those of its options that have no default."""
    parameters = inspect.signature(function).parameters
    return [name for name in names_of(function, without) if parameters[name].default is inspect.Parameter.empty]
