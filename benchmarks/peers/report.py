"""Figures as tables for a terminal and as Markdown; beside each figure what its peer is known to lack."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.peers.jobs import JOBS, Job
from benchmarks.peers.peer import ALL_PARTS
from benchmarks.peers.shortcomings import CONTROL, beside
from benchmarks.report import headline

Results = dict[str, Any]

SHOWN_WITH = {
    "breaker": ("breaker",),
    "retry": ("retry",),
    "pipeline": ("pipeline", "breaker"),
    "http": ("http",),
}
"""The part that is timed → the parts whose shortcomings stand beside it."""

COLUMNS = ["variant", "ratio", "±", "ns", "without", "known shortcomings, reproduced"]


def job_of(name: str) -> Job:
    """The job of that name."""
    return next(job for job in JOBS if job.name == name)


def rows_of(results: Results, name: str) -> list[list[str]]:
    """The cells of a job's table, the cheapest first after the yardstick."""
    job, table = job_of(name), results["groups"][name]
    form = "async" if job.awaited else "sync"
    first, *rest = table["rows"]
    cells = []
    for row in [first, *sorted(rest, key=lambda row: row["ratio"])]:
        known = beside(results["claims"], row["name"], SHOWN_WITH[job.part], form)
        figures = [f"{row['ratio']:.2f}", f"{row['spread']:.2f}", f"{row['nanoseconds']:.0f}"]
        cells.append([row["name"], *figures, ", ".join(without(results, job, row["name"])), "; ".join(known)])
    return cells


def without(results: Results, job: Job, name: str) -> list[str]:
    """What of the pipeline a peer cannot build."""
    if job.part != "pipeline" or name not in results["parts"]:
        return []
    wanted = [part for part in ALL_PARTS if part != "timeout" or job.needs == "timeout"]
    return [part for part in wanted if part not in results["parts"][name]]


def notes(results: Results, name: str) -> list[str]:
    """Below a table: who is cheaper than resilix there, who is not in it and why."""
    table, lines = results["groups"][name], []
    ratios = {row["name"]: row["ratio"] for row in table["rows"][1:]}
    if CONTROL in ratios:
        faster = sorted(one for one, ratio in ratios.items() if ratio < ratios[CONTROL] and not one.startswith(CONTROL))
        lines.append(f"Cheaper than resilix here: {', '.join(faster) or 'nobody'}.")
    return lines + left_out(results, table)


def left_out(results: Results, table: dict[str, Any]) -> list[str]:
    """Who has no figure in a table, and why."""
    lines = []
    if table["excluded"]:
        lines.append("No figure, for it did not do the job: " + _reasons(table["excluded"]) + ".")
    if absent := table["absent"] | dict.fromkeys(results["missing"], "not installed"):
        lines.append("Not here: " + _reasons(absent) + ".")
    return lines


def _reasons(reasons: dict[str, str]) -> str:
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        by_reason.setdefault(reason, []).append(name)
    return "; ".join(f"{', '.join(names)} ({reason})" for reason, names in by_reason.items())


def threads_rows(results: Results) -> list[list[str]]:
    """The cells of thread scaling."""
    rows = []
    for name, shares in results["groups"]["threads"]["rows"].items():
        paces = [
            f"{one['share']:.2f} ± {one['spread']:.2f}, {one['calls_per_second'] / 1e6:.2f} M"
            for one in shares.values()
        ]
        rows.append([name, *paces, "; ".join(beside(results["claims"], name, ("breaker",), "sync"))])
    return rows


def memory_rows(results: Results) -> list[list[str]]:
    """The cells of memory, the smallest first."""
    sizes = sorted(results["groups"]["memory"].items(), key=lambda item: item[1])
    return [[name, f"{size:.0f}", "; ".join(beside(results["claims"], name, ("breaker",)))] for name, size in sizes]


def import_rows(results: Results) -> list[list[str]]:
    """The cells of imports, the cheapest first."""
    times = sorted(results["groups"]["import"].items(), key=lambda item: item[1]["seconds"])
    return [
        [
            name,
            f"{one['seconds'] * 1e3:.0f} ± {one['spread'] * 1e3:.0f}",
            "; ".join(beside(results["claims"], name, ("whole",))),
        ]
        for name, one in times
    ]


def tables(results: Results) -> Iterator[tuple[str, list[str], list[list[str]], list[str]]]:
    """Title, columns, rows and notes of every table."""
    for name in results["groups"]:
        if name == "threads":
            some = next(iter(results["groups"]["threads"]["rows"].values()))
            columns = ["threads on one shared breaker", *some, COLUMNS[-1]]
            title = "threads: share of one thread's throughput ± spread, calls a second"
            yield title, columns, threads_rows(results), left_out(results, results["groups"]["threads"])
        elif name == "memory":
            yield "memory of one idle breaker", ["", "bytes", COLUMNS[-1]], memory_rows(results), []
        elif name == "import":
            yield "a fresh interpreter that imports it", ["", "ms", COLUMNS[-1]], import_rows(results), []
        else:
            yield name, COLUMNS, rows_of(results, name), notes(results, name)


def table_lines(results: Results, name: str) -> list[str]:
    """One group for the terminal."""
    only = {**results, "groups": {name: results["groups"][name]}}
    lines = []
    for title, columns, rows, below in tables(only):
        widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns) - 1)]
        lines += ["", title]
        for row in [columns, *rows]:
            cells = [
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=False))
            ]
            lines.append(("  " + "  ".join([*cells, row[-1]])).rstrip())
        lines += [f"  {line}" for line in below]
    return lines


def who(results: Results) -> list[str]:
    """Who took part in which version, and who could not."""
    lines = ["Versions: " + ", ".join(f"{name} {version}" for name, version in results["versions"].items()) + "."]
    lines += [f"Not installed: {name} ({reason})." for name, reason in results["missing"].items()]
    return lines


def claim_lines(results: Results) -> list[str]:
    """Every experiment and what came of it."""
    lines = []
    for one in results["claims"]:
        verdict = "reproduced    " if one["evidence"] else "NOT REPRODUCED"
        form = f" ({one['form']})" if one["form"] else ""
        better = "better: " if one["better"] else ""
        seen = one["evidence"] or one["trouble"] or "no sign of it"
        lines.append(f"{verdict} {one['peer']}{form}: {better}{one['words']} - {seen}")
        if one["resilix"]:
            lines.append(f"               the same with resilix: {one['resilix']}")
    return lines


def claims_table(results: Results) -> list[list[str]]:
    """The experiments for the README: what, of whom, what was seen, what was seen with resilix."""
    merged: dict[tuple[str, str], list[str]] = {}
    for one in results["claims"]:
        if not one["evidence"]:
            continue
        control = one["resilix"] or ("not so" if one["resilix_tried"] else "cannot be made")
        words = f"better than resilix: {one['words']}" if one["better"] else one["words"]
        merged.setdefault((one["peer"], words), [one["peer"], words, one["evidence"], control])
    return list(merged.values())


def markdown(results: Results) -> str:
    """All tables of one run."""
    lines = [*headline(results), *who(results)]
    for title, columns, rows, below in tables(results):
        lines += ["", f"**{title}**", "", *_grid(columns, rows)]
        lines += [""] * bool(below) + [line + "  " * (line != below[-1]) for line in below]
    lines += ["", "**what the experiments showed**", ""]
    lines += _grid(["peer", "shortcoming", "seen", "the same with resilix"], claims_table(results))
    failed = [one for one in results["claims"] if not one["evidence"]]
    if failed:
        lines += ["", "Not reproduced, and so not claimed above: "]
        lines[-1] += "; ".join(f"{one['peer']}: {one['words']}" for one in failed) + "."
    return "\n".join(line.rstrip() if not line.endswith("  ") else line for line in lines)


def _grid(columns: list[str], rows: list[list[str]]) -> list[str]:
    def line(cells: list[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return [line(columns), "|---" * len(columns) + "|", *(line(row) for row in rows)]


def section(stem: str) -> tuple[str, str]:
    """The markers around the tables of a results file."""
    return f"<!-- {stem}: written by --write-readme -->", f"<!-- end of {stem} -->"


def rewritten(readme: str, results: dict[str, Results]) -> str:
    """The README with the tables of these results between its markers.

    Raises:
        ValueError: It has no markers for one of them.
    """
    for stem, one in results.items():
        begin, end = section(stem)
        if begin not in readme or end not in readme:
            raise ValueError(f"the README has no place for {stem}: put {begin} and {end} there")
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        text = f"{begin}\n\n{markdown(one)}\n\n{end}"
        readme = pattern.sub(lambda _, text=text: text, readme)
    return readme


def write_readme(readme: Path, files: list[Path]) -> None:
    """Put the tables of these results files into the README."""
    import json

    results = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in files}
    readme.write_text(rewritten(readme.read_text(encoding="utf-8"), results), encoding="utf-8")
