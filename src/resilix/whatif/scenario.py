"""What a file for ``resilix simulate`` says: one traffic, one dependency, several candidates."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from resilix.errors import ConfigurationError
from resilix.policies.base import Policy
from resilix.testing.simulation.dependency import Dependency
from resilix.testing.simulation.load import Load, bursts, phases, poisson, steady
from resilix.testing.simulation.trouble import (
    Episode,
    black_hole,
    brown_out,
    cold_start,
    flapping,
    outage,
    stall,
)
from resilix.whatif.policies import policies_of
from resilix.whatif.table import Place, Table, names_of, needed_of, parse

T = TypeVar("T")

SECONDS: Final = 180.0
SEED: Final = 1
MOST: Final = 1_000
"""Shards, or processes: each has policies and a line of its own."""
MOST_CLIENTS: Final = 1_000_000

LOADS: Final[dict[str, Callable[..., Load]]] = {"poisson": poisson, "steady": steady, "bursts": bursts}
TROUBLES: Final[dict[str, Callable[..., Episode | list[Episode]]]] = {
    "outage": outage,
    "black_hole": black_hole,
    "brown_out": brown_out,
    "stall": stall,
    "flapping": flapping,
    "cold_start": cold_start,
}
PLACING: Final = ("processes", "clients", "shared", "per_shard")
"""Keys that a file has for all its candidates, or a candidate for itself."""
TOP: Final = ("title", "description", "seconds", "seed", *PLACING, "load", "dependency", "trouble", "candidate")
ABOUT_DEPENDENCY: Final = ("capacity", "service", "queue", "shards", "notices")


@dataclass(frozen=True, slots=True)
class Candidate:
    """Policies, and where they run.

    Attributes:
        name: What tables call it.
        policy: The policies, as one.
        notes: What is nearly always wrong about their order.
        processes: How many processes have them.
        clients: How many clients make the calls; ``None`` for one in each process.
        shared: All processes have the same.
        per_shard: Each shard of the dependency has its own.
    """

    name: str
    policy: Policy[Any]
    notes: tuple[str, ...]
    processes: int
    clients: int | None
    shared: bool
    per_shard: bool


@dataclass(frozen=True, slots=True)
class Scenario:
    """All that a file says.

    Attributes:
        place: The file.
        title: In one line; empty without one.
        description: What it shows; empty without one.
        seconds: For how long calls come.
        seed: Where chance begins.
        load: When they come.
        dependency: What is called.
        candidates: What is tried.
    """

    place: Place
    title: str
    description: str
    seconds: float
    seed: int
    load: Load
    dependency: Dependency
    candidates: tuple[Candidate, ...]


def scenario_of(data: bytes, file: str) -> Scenario:
    """Read a file.

    Args:
        data: What is in it.
        file: What messages call it.

    Raises:
        ConfigurationError: It cannot mean anything sensible; the text says where, what, why and what instead.
    """
    top = Table(parse(data, file), Place(file), TOP)
    if "load" not in top.values:
        raise top.place.error("[load] is missing, and without it no call comes; write [load] and, below it, rate = 70")
    seconds = top.values.get("seconds", SECONDS)
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds <= 1e9:
        raise top.place.wrong("seconds", seconds, "it is for how many seconds calls come", "write seconds = 180")
    return Scenario(
        place=top.place,
        title=top.text("title", ""),
        description=" ".join(top.text("description", "", lines=True).split()),
        seconds=float(seconds),
        seed=_seed(top),
        load=_load(top.table("load", ["kind", "rate", "size", "every", "phase"])),
        dependency=_dependency(top),
        candidates=_candidates(top),
    )


def candidates_of(data: bytes, file: str) -> tuple[tuple[Candidate, ...], int, list[str]]:
    """Read only what a file says about candidates: for a recording, in which all else is given.

    Args:
        data: What is in the file.
        file: What messages call it.

    Returns:
        The candidates, the seed, and which other tables it has.

    Raises:
        ConfigurationError: As above.
    """
    top = Table(parse(data, file), Place(file), TOP)
    return _candidates(top), _seed(top), [one for one in ("load", "dependency", "trouble") if one in top.values]


def _seed(top: Table) -> int:
    return top.whole("seed", SEED, -(2**63), 2**63)


def _load(table: Table) -> Load:
    if "phase" not in table.values:
        return _one_load(table.values, table.place)
    if len(table.values) > 1:
        other = next(key for key in table.values if key != "phase")
        raise table.place.error(f"{other} and [[load.phase]] cannot stand together; write {other} into each phase")
    several: list[tuple[float, Load]] = []
    for number, one in enumerate(table.values["phase"] if isinstance(table.values["phase"], list) else [None], 1):
        place = Place(table.place.file, f"[[load.phase]] {number}")
        phase = Table(one, place, ["seconds", "kind", "rate", "size", "every"])
        if "seconds" not in phase.values:
            raise place.error("seconds is missing; write seconds = 60, for how long it goes on")
        load = _one_load({key: value for key, value in phase.values.items() if key != "seconds"}, place)
        several.append((phase.values["seconds"], load))
    return table.place.make(partial(phases, *several), {})


def _one_load(values: dict[str, Any], place: Place) -> Load:
    make, options = _kind("load", LOADS, values, place, "poisson")
    if "size" in options:
        Table(values, place, values).whole("size", 200, 1, 1_000_000)
    return place.make(make, options)


def _dependency(top: Table) -> Dependency:
    table = top.table("dependency", ABOUT_DEPENDENCY)
    options = dict(table.values)
    for key in ("capacity", "shards"):
        if key in options:
            options[key] = table.whole(key, 10, 1, MOST if key == "shards" else 1_000_000)
    script = [_trouble(values, place) for values, place in top.tables("trouble")]
    return table.place.make(Dependency, {**options, "script": script})


def _trouble(values: object, place: Place) -> Episode | list[Episode]:
    table = Table(values, place, _keys_of(TROUBLES))
    make, options = _kind("trouble", TROUBLES, table.values, place)
    if "steps" in options:
        table.whole("steps", 10, 1, MOST)
    return place.make(make, options)


def _keys_of(makers: dict[str, Callable[..., Any]]) -> list[str]:
    return ["kind", *dict.fromkeys(name for make in makers.values() for name in names_of(make))]


def _kind(
    what: str, makers: dict[str, Callable[..., T]], values: dict[str, Any], place: Place, default: str = ""
) -> tuple[Callable[..., T], dict[str, Any]]:
    """The function that a table is for, and its options, of which those it needs are there and no others."""
    kind = values.get("kind", default)
    if not kind:
        raise place.error(f'kind is missing; write kind = "{next(iter(makers))}", say, of {", ".join(makers)}')
    if not isinstance(kind, str) or kind not in makers:
        raise place.unknown(f"kind of {what}", str(kind), makers)
    make = makers[kind]
    options = {key: value for key, value in values.items() if key != "kind"}
    known = names_of(make)
    for key in options:
        if key not in known:
            raise place.unknown(f'key (for kind = "{kind}")', key, known)
    for key in needed_of(make):
        if key not in options:
            raise place.error(f'{key} is missing, which kind = "{kind}" needs; write {key} = {FIGURES.get(key, 10)}')
    return make, options


FIGURES: Final = {"rate": 70, "start": 60, "seconds": 30, "size": 200, "every": 60, "down": 4, "up": 6}
"""An example of each key that a table must have."""


def _candidates(top: Table) -> tuple[Candidate, ...]:
    found = [_candidate(values, place, top) for values, place in top.tables("candidate")]
    if not found:
        raise top.place.error(
            "there is no [[candidate]], so there is nothing to try; write [[candidate]] and, below it, "
            'name = "…" and policies = [{ retry = { attempts = 3 } }, { timeout = 1.0 }]'
        )
    names = [one.name for one in found]
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise top.place.error(f"two candidates are named {twice!r}, and the table could not tell them apart")
    return tuple(found)


def _candidate(values: object, place: Place, top: Table) -> Candidate:
    table = Table(values, place, ["name", "policies", *PLACING])
    name = table.text("name")
    if "policies" not in table.values:
        raise place.error("policies is missing; write policies = [] for calls without any, or [{ timeout = 1.0 }]")
    policy, notes = policies_of(table.values["policies"], place)
    own = _over(top, table, PLACING)
    processes = own.whole("processes", 1, 1, MOST)
    clients = own.whole("clients", processes, processes, MOST_CLIENTS) if "clients" in own.values else None
    return Candidate(
        name, policy, tuple(notes), processes, clients, own.flag("shared", False), own.flag("per_shard", False)
    )


def _over(top: Table, table: Table, keys: Iterable[str]) -> Table:
    """The same keys of both; those of the inner one count."""
    both = {**top.values, **table.values}
    return Table({key: both[key] for key in keys if key in both}, table.place, keys)


def refuse_late(scenario: Scenario, seconds: float) -> None:
    """Say where it was written that something would happen after the end.

    Raises:
        ConfigurationError: Something would.
    """
    late = next((one for one in scenario.dependency.script if one.start >= seconds), None)
    if late is not None:
        raise ConfigurationError(
            f"{scenario.place.file}: [[trouble]]: {late!r} would begin after the end, at {seconds:g} s; "
            f"write seconds = {late.end + 60:g}"
        )
