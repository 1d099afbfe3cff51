"""What is there in a package, and what is not, by its public names; and experiments with whole pipelines."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from typing import Any

from benchmarks.peers.peer import NEVER, Peer
from benchmarks.peers.probes.experiment import HERD, Probe


def nothing_called(*words: str) -> Probe:
    """No public name in the whole package has one of these words in it."""

    def probe(peer: Peer) -> str | None:
        module = peer.statement.split()[1].partition(".")[0].rstrip(",")
        found = sorted({name for name in _names(module) if any(word in name.lower() for word in words)})
        return None if found else f"no public name in {module} has {' or '.join(words)} in it"

    return probe


def something_called(*words: str) -> Probe:
    """Some public name in the package has one of these words in it."""
    nothing = nothing_called(*words)

    def probe(peer: Peer) -> str | None:
        return None if nothing(peer) else f"public names with {' or '.join(words)} in them"

    return probe


def whole(probe: Probe) -> Probe:
    """The same experiment with a whole pipeline, for stacks of several libraries."""

    def of(pipeline: Any) -> dict[str, Any]:
        if pipeline is None:
            return {"breaker": None, "retry": None}
        return {
            "breaker": lambda threshold, recovery: pipeline(threshold, HERD, None),
            "retry": lambda: pipeline(NEVER, HERD, None),
        }

    def probing(peer: Peer) -> str | None:
        sync, awaited = of(peer.pipeline), of(peer.apipeline)
        parts = {**sync, "abreaker": awaited["breaker"], "aretry": awaited["retry"]}
        return probe(dataclasses.replace(peer, **parts))

    return probing


def _names(root: str) -> set[str]:
    package = importlib.import_module(root)
    names: set[str] = set()
    modules = [root, *(found.name for found in pkgutil.walk_packages(getattr(package, "__path__", []), f"{root}."))]
    for name in modules:
        try:
            module = importlib.import_module(name)
        except Exception:  # an integration with something that is not installed
            names.add(name)
            continue
        names.update({name} | {attribute for attribute in vars(module) if not attribute.startswith("_")})
        for thing in list(vars(module).values()):
            if inspect.isclass(thing) and getattr(thing, "__module__", "").startswith(root):
                names.update(attribute for attribute in vars(thing) if not attribute.startswith("_"))
                names.update(_parameters(thing))
            elif inspect.isfunction(thing) and thing.__module__.startswith(root):
                names.update(_parameters(thing))
    return names


def _parameters(thing: Any) -> list[str]:
    try:
        return list(inspect.signature(thing).parameters)
    except (TypeError, ValueError):
        return []
