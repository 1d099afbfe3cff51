"""Compare resilix with its peers: the same job for everyone, interleaved in one process.

``make bench-peers`` installs the peers, pinned, into an environment of their own and runs this. A benchmark is no gate:
the exit status is 0.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.peers import run
from benchmarks.peers.install import known_reasons
from benchmarks.peers.peer import muster
from benchmarks.peers.picture import draw
from benchmarks.peers.report import claim_lines, markdown, table_lines, who, write_readme
from benchmarks.report import headline, machine, say

ROUNDS, QUICK = 200, 20
HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "results" / "peers"


def beginning(rounds: int) -> dict[str, Any]:
    """Results without figures: where, when, who."""
    roster = muster(reasons=known_reasons())
    return {
        "machine": machine(),
        "rounds": rounds,
        "versions": roster.versions(),
        "missing": roster.missing,
        "parts": {peer.name: list(peer.parts) for peer in roster.peers if peer.pipeline or peer.apipeline},
        "claims": [],
        "groups": {},
    }


def everything(rounds: int, groups: list[str]) -> dict[str, Any]:
    """Try out the claims, measure these groups, and print it as it comes."""
    results = beginning(rounds)
    say(*headline(results), *who(results), "\ntrying out the known shortcomings …")
    results["claims"] = run.claims()
    reproduced = sum(bool(one["evidence"]) for one in results["claims"])
    say(f"  {reproduced} of {len(results['claims'])} reproduced; --probe shows them")
    measures = run.measures(rounds)
    for number, name in enumerate(groups, 1):
        say(f"\n[{number}/{len(groups)}] {name} …")
        results["groups"][name] = measures[name]()
        say(*table_lines(results, name))
    return results


def options_of(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: about a minute")
    parser.add_argument("--rounds", type=int, help=f"rounds a group (default {ROUNDS}, with --quick {QUICK})")
    parser.add_argument("--only", choices=run.GROUPS, metavar="GROUP", help="one group: " + "; ".join(run.GROUPS))
    parser.add_argument("--probe", action="store_true", help="only show which known shortcomings can be reproduced")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write all tables there")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the quiet calls there (.png, .svg)")
    parser.add_argument(
        "--write-readme", action="store_true", help="measure nothing; put the tables of results/peers/ into README.md"
    )
    parser.add_argument("--raw", action="store_true", help="with --only or --probe: print JSON, and nothing else")
    options = parser.parse_args(arguments)
    if options.rounds is None:
        options.rounds = QUICK if options.quick else ROUNDS
    if options.rounds < 1:
        parser.error(f"--rounds {options.rounds}: at least one round is needed")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says."""
    options = options_of(arguments)
    if options.write_readme:
        files = sorted(RESULTS.glob("*.json"))
        write_readme(HERE / "README.md", files)
        say(*(f"tables of {path.name}: {HERE.name}/README.md" for path in files))
        return 0
    if options.probe:
        return probe(raw=options.raw)
    if options.raw and options.only:
        job = next(job for job in run.JOBS if job.name == options.only)
        say(json.dumps(run.measure(job, muster(), options.rounds)))
        return 0
    results = everything(options.rounds, [options.only] if options.only else run.GROUPS)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        say(f"figures: {options.json}")
    if options.markdown:
        options.markdown.write_text(markdown(results) + "\n", encoding="utf-8")
        say(f"tables: {options.markdown}")
    if options.picture:
        draw(results, options.picture)
        say(f"picture: {options.picture}")
    return 0


def probe(*, raw: bool) -> int:
    """Show which shortcomings were reproduced."""
    results = beginning(0) if not raw else {}
    results["claims"] = run.claims_here() if raw else run.claims()
    if raw:
        say(json.dumps(results["claims"]))
    else:
        say(*who(results), "", *claim_lines(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
