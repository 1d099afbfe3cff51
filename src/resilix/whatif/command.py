"""The commands ``resilix simulate`` and ``resilix replay``."""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from resilix.errors import ConfigurationError
from resilix.testing.simulation.picture import draw
from resilix.testing.simulation.result import Result
from resilix.whatif import help_texts as texts
from resilix.whatif import shipped
from resilix.whatif.intake import open_log
from resilix.whatif.output import NotWrittenError, complain, put, written
from resilix.whatif.play import Progress, play
from resilix.whatif.scenario import Candidate, candidates_of, refuse_late, scenario_of
from resilix.whatif.table import Place
from resilix.whatif.words import filled, plain, report, report_of, weather

Run = Callable[[argparse.Namespace], int]


def add_to(commands: Any) -> None:
    """Add both commands to the command line."""
    simulate = _parser(commands, "simulate", texts.SIMULATE_HELP, texts.SIMULATE, texts.SIMULATE_END)
    simulate.add_argument("case", nargs="?", metavar="CASE", help="a file, or the name of a shipped case")
    simulate.add_argument("--list", action="store_true", help="list the shipped cases, and end")
    simulate.add_argument("--show", action="store_true", help="print the file of the case, to begin your own with")
    _add_common(simulate, "for how long calls come (default: as the file says)")
    simulate.set_defaults(run=_reporting("simulate", _simulate))
    replay = _parser(commands, "replay", texts.REPLAY_HELP, texts.REPLAY, texts.REPLAY_END)
    replay.add_argument("log", metavar="LOG", help="CSV or JSON lines, also gzipped; - for standard input")
    replay.add_argument("--config", metavar="FILE.toml", help="what to try: its [[candidate]] tables")
    _add_common(replay, "only so much of the recording, from its beginning")
    replay.set_defaults(run=_reporting("replay", _replay))


def _parser(commands: Any, name: str, text: str, description: str, end: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=description, epilog=end, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    return made


def _add_common(parser: argparse.ArgumentParser, seconds: str) -> None:
    parser.add_argument("--seed", type=_whole, metavar="N", help="where chance begins; the same seed, the same result")
    parser.add_argument("--seconds", type=_seconds, metavar="S", help=seconds)
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw it: a .png or .svg (needs matplotlib)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures, those over time too")


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


def _reporting(name: str, run: Run) -> Run:
    """What goes wrong is one line on standard error, and an exit status."""

    def reporting(options: argparse.Namespace) -> int:
        try:
            return run(options)
        except ConfigurationError as error:
            complain(f"resilix {name}: error: {error}\n")
            return 2
        except KeyboardInterrupt:
            complain(f"\nresilix {name}: interrupted\n")
            return 130
        except NotWrittenError as error:
            if str(error):
                complain(f"resilix {name}: error: {error}\n")
            return 1

    return reporting


def _simulate(options: argparse.Namespace) -> int:
    if options.list:
        _list()
        return 0
    if not options.case:
        raise ConfigurationError(f"what is to be simulated? Give a file, or a shipped case: {', '.join(shipped.CASES)}")
    data, file = _case(options.case)
    if options.show:
        put(data.decode("utf-8", "replace"))
        return 0
    _check_output(options)
    scenario = scenario_of(data, file)
    seconds = options.seconds or scenario.seconds
    seed = scenario.seed if options.seed is None else options.seed
    refuse_late(scenario, seconds)
    _warn("simulate", scenario.candidates)
    results = play(
        scenario.candidates, scenario.load, scenario.dependency, seconds=seconds, seed=seed, progress=Progress()
    )
    put(report_of(scenario, results, seconds, seed) + "\n")
    return _write(options, scenario.title, results)


def _list() -> None:
    width = max(map(len, shipped.CASES))
    put("".join(f"{name.ljust(width)}  {scenario_of(shipped.read(name), name).title}\n" for name in shipped.CASES))


def _case(given: str) -> tuple[bytes, str]:
    """The bytes of a case, and what messages call it."""
    path = Path(given)
    if given in shipped.CASES and not path.is_file():
        return shipped.read(given), given
    if not path.exists() and path.name == given and path.suffix != ".toml":
        raise Place("").unknown("file, and no shipped case,", given, shipped.CASES)
    return _bytes(path), given


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def _replay(options: argparse.Namespace) -> int:
    _check_output(options)
    path = options.config
    data, file = (shipped.candidates(), shipped.REPLAYED) if path is None else (_bytes(Path(path)), path)
    candidates, seed, ignored = candidates_of(data, file)
    if ignored:
        there = " and ".join(f"[{one}]" for one in ignored)
        complain(f"resilix replay: note: {file}: not used: {there}; the recording stands for it\n")
    _warn("replay", candidates)
    progress = Progress()
    log = open_log(options.log, progress)
    if log.disordered:
        complain(
            f"resilix replay: note: {log.disordered:,} of {len(log.recording.times):,} calls were not in the order of "
            "time, and have been sorted\n"
        )
    recording = log.recording
    seconds = min(options.seconds or recording.seconds, recording.seconds)
    recording.cut(seconds)
    seed = seed if options.seed is None else options.seed
    results = play(candidates, recording.load(), recording, seconds=seconds, seed=seed, progress=progress)
    head = filled(f"{options.log}: {plain(seconds)} s of recorded calls; {weather(recording.script)}. {texts.CAVEAT}")
    put(report(head, candidates, results, math.inf) + "\n")
    return _write(options, options.log, results)


def _warn(command: str, candidates: Sequence[Candidate]) -> None:
    for one in candidates:
        for note in one.notes:
            complain(f"resilix {command}: note: {one.name}: {note}\n")


def _check_output(options: argparse.Namespace) -> None:
    """Say before the work what would fail after it."""
    if options.picture is not None:
        if options.picture.suffix not in (".png", ".svg"):
            raise ConfigurationError(f"--picture {options.picture}: it can be a .png or an .svg")
        if importlib.util.find_spec("matplotlib") is None:
            raise ConfigurationError('--picture needs matplotlib: pip install "resilix-toolkit[demo]" brings it')
    for name in ("picture", "json"):
        path: Path | None = getattr(options, name)
        if path is not None and not path.absolute().parent.is_dir():
            raise ConfigurationError(f"--{name} {path}: there is no directory {path.parent}")


def _write(options: argparse.Namespace, title: str, results: Sequence[Result]) -> int:
    if options.json is not None:
        whole = {"title": title, "results": [json.loads(one.to_json()) for one in results]}
        with written(options.json):
            options.json.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    if options.picture is not None:
        with written(options.picture):
            draw(results, options.picture)
    return 0
