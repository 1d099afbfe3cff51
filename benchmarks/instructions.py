"""The gate on quiet paths: ``python -m benchmarks.instructions [--update] [--json]``.

Counts what a quiet call costs, in machine instructions (valgrind's callgrind) and in steps of the interpreter (bytecode
instructions, frames and calls of C functions, which needs no tool), divides by what the wrapper that does nothing costs
in the same process, and compares with ``results/instructions.json``. A path that has become dearer than the tolerance
allows fails: the exit status is 1, and ``tests/e2e/test_instruction_gate.py`` fails likewise.

Counts do not depend on how busy a machine is; they do depend on how the interpreter was built. So figures are kept for
each build. The tolerance is 3 % for the build that the figures are of, ``OTHER_BUILD`` for another of the same minor
version, ``OTHER_VERSION`` for another minor version. The last two are a little more than was measured between 3.11.7
without profile-guided optimisation and Debian's 3.11.2 with it (instructions up to 22 % apart, steps not at all),
and between 3.11, 3.12 and 3.13 (instructions up to 24 %, steps up to 27 %).

Steps are always counted, so the gate can fail on a machine without valgrind and with an unknown build too.

``--update`` writes the figures of this interpreter: that is how a dearer path is accepted, and it shows in the diff.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import platform
import re
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.counting import INSTRUCTIONS, STEPS, Counts, by_callgrind, by_steps, ratios, valgrind
from benchmarks.paths import PLANTED
from resilix.attention import GIL

BASELINES = Path(__file__).parent / "results" / "instructions.json"
ACCEPT = "python -m benchmarks.instructions --update"

SAME_BUILD = {INSTRUCTIONS: 0.03, STEPS: 0.03}
OTHER_BUILD = {INSTRUCTIONS: 0.30, STEPS: 0.03}
OTHER_VERSION = {INSTRUCTIONS: 0.50, STEPS: 0.35}
"""By how much a ratio may grow."""

UNUSED = 0.005
"""By how much a count may differ between a process that imported every module of ours and one that did not."""


@dataclass(frozen=True)
class Measured:
    """What was counted in this run.

    Attributes:
        kinds: For instructions, if they could be counted, and for steps: all paths, with every module imported.
        lean: The same in a process that imported none of the modules that are not used; without HTTP.
    """

    kinds: dict[str, Counts]
    lean: dict[str, Counts]


def measure() -> Measured:
    """Count everything; about half a minute with valgrind, two seconds without.

    Without a GIL only steps: there instructions hang on where objects lie, and differ by a percent from run to run.
    """
    counters = {STEPS: by_steps} | ({INSTRUCTIONS: by_callgrind} if GIL and valgrind() else {})
    with ThreadPoolExecutor(2) as pool:  # two processes at a time; counts do not mind
        kinds = {kind: pool.submit(count, "--everything") for kind, count in counters.items()}
        lean = {kind: pool.submit(count) for kind, count in counters.items()}
        return Measured(
            {kind: one.result() for kind, one in kinds.items()}, {kind: one.result() for kind, one in lean.items()}
        )


def build() -> dict[str, Any]:
    """How this interpreter was built, without the places it was built and installed in."""
    flags = " ".join(
        str(sysconfig.get_config_var(name)) for name in ("CONFIG_ARGS", "PY_CORE_CFLAGS", "PY_CORE_LDFLAGS")
    )
    return {
        "version": platform.python_version(),
        "compiler": platform.python_compiler(),
        "machine": platform.machine(),
        "abi": str(sysconfig.get_config_var("SOABI")),
        "flags": sorted({flag for flag in re.findall(r"[^\s']+", flags) if "/" not in flag and "=-" not in flag}),
    }


def key(one: dict[str, Any]) -> str:
    """The name of a build: its version, a ``t`` where it has no GIL, and a digest of the rest."""
    free = "t" if re.match(r"cpython-\d+t", one["abi"]) else ""
    return f"{one['version']}{free} {hashlib.sha256(json.dumps(one, sort_keys=True).encode()).hexdigest()[:8]}"


def entry(measured: Measured) -> dict[str, Any]:
    """What is kept of a run."""
    return {
        "build": build(),
        "libraries": {name: importlib.metadata.version(name) for name in ("anyio", "tenacity", "httpx2")},
        "c_library": " ".join(platform.libc_ver()),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        **{
            kind: {
                name: {"count": round(counts[name], 1), "ratio": round(ratio, 4)}
                for name, ratio in ratios(counts).items()
                if not name.startswith(PLANTED)
            }
            for kind, counts in measured.kinds.items()
        },
    }


def nearest(here: str, known: dict[str, Any], kind: str) -> tuple[str, dict[str, float]]:
    """The build to compare with, and the tolerances that go with it.

    Raises:
        LookupError: No figure of that kind is known at all.
    """
    candidates = [name for name, one in known.items() if kind in one]
    if not candidates:
        raise LookupError(f"benchmarks/results/instructions.json has no {kind} at all: run {ACCEPT}")
    if here in candidates:
        return here, SAME_BUILD
    # Without a GIL a quiet path has other lines.
    candidates = [name for name in candidates if _is_free(name) == _is_free(here)] or candidates
    best = min(candidates, key=lambda name: _distance(_version(here), _version(name)))
    same = _version(best)[:2] == _version(here)[:2] and _is_free(best) == _is_free(here)
    return best, OTHER_BUILD if same else OTHER_VERSION


def _is_free(name: str) -> bool:
    return name.partition(" ")[0].endswith("t")


def _version(name: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", name.partition(" ")[0])][:3]


def _distance(one: list[int], other: list[int]) -> list[int]:
    return [abs(mine - theirs) for mine, theirs in zip(one, other, strict=True)]


def complaints(kind: str, counts: Counts, known: dict[str, Any], here: str) -> list[str]:
    """What is wrong with the counts of one kind, path by path; nothing if they may pass.

    Args:
        kind: What was counted.
        counts: Path → count per call.
        known: Everything in the baseline file.
        here: This build.
    """
    base, tolerances = nearest(here, known, kind)
    old, tolerance = known[base][kind], tolerances[kind]
    now = {name: ratio for name, ratio in ratios(counts).items() if not name.startswith(PLANTED)}
    said = [f"{name}: counted, but no {kind} are known of it; accept with {ACCEPT}" for name in now.keys() - old.keys()]
    said += [
        f"{name}: {kind} are known of it, but it is gone; accept with {ACCEPT}" for name in old.keys() - now.keys()
    ]
    for name in now.keys() & old.keys():
        grown = now[name] / old[name]["ratio"] - 1
        if grown > tolerance:
            said.append(
                f"{name}: {now[name]:.3f} times the bare wrapper in {kind}, and it was {old[name]['ratio']:.3f} "
                f"({counts[name]:.0f} a call, and it was {old[name]['count']:.0f}): {grown:+.1%}, "
                f"allowed {tolerance:.0%} against {base}; make it cheaper, or accept with {ACCEPT}"
            )
    return sorted(said)


def added_by_unused(kind: str, measured: Measured) -> list[str]:
    """Paths that cost another number where everything was imported and nothing of it used."""
    lean, full = measured.lean[kind], measured.kinds[kind]
    return [
        f"{name}: {full[name]:.1f} {kind} a call with every module imported, {count:.1f} without"
        for name, count in lean.items()
        if abs(full[name] / count - 1) > UNUSED
    ]


def table(kind: str, counts: Counts, known: dict[str, Any], here: str) -> list[str]:
    """The counts beside those known."""
    base, _ = nearest(here, known, kind) if any(kind in one for one in known.values()) else (here, {})
    old = known.get(base, {}).get(kind, {})
    lines = [f"\n{kind} a call, and times the bare wrapper; known of {base}"]
    for name, ratio in ratios(counts).items():
        before = f"{old[name]['ratio']:8.3f} {ratio / old[name]['ratio'] - 1:+8.1%}" if name in old else ""
        lines.append(f"  {name:48}{counts[name]:10.1f}{ratio:9.3f}{before}")
    return lines


def update(measured: Measured, path: Path = BASELINES) -> str:
    """Write down the figures of this build; what other builds of the same version had stays. Its key."""
    known = json.loads(path.read_text()) if path.exists() else {}
    one = entry(measured)
    known[key(one["build"])] = one
    path.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")
    return key(one["build"])


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__.partition("\n")[0])
    parser.add_argument("--update", action="store_true", help="accept what is counted now, for this interpreter")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON and nothing else")
    options = parser.parse_args()
    measured = measure()
    if INSTRUCTIONS not in measured.kinds:
        print("valgrind is not here and could not be fetched: steps of the interpreter only", file=sys.stderr)
    if options.json:
        print(json.dumps(entry(measured), indent=1))
        return 0
    known = json.loads(BASELINES.read_text()) if BASELINES.exists() else {}
    here = key(build())
    for kind, counts in measured.kinds.items():
        print(*table(kind, counts, known, here), sep="\n")
    failed = [line for kind in measured.kinds for line in added_by_unused(kind, measured)]
    if options.update:
        if INSTRUCTIONS not in measured.kinds:
            parser.error("a baseline needs instructions too: apt-get install valgrind")
        print(f"\nkept as {update(measured)}")
    else:
        failed += [line for kind, counts in measured.kinds.items() for line in complaints(kind, counts, known, here)]
    print(*(f"\n{line}" for line in failed), sep="")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
