"""``docs/http.md`` says what the code does: its table, its figures, and its programs."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest

import resilix.httpx
import resilix.testing
from resilix import Verdict
from resilix.http import dropping, retry_after, shells, states
from resilix.http.rules import IDEMPOTENT_METHODS, Exchange, Failure, classify, failure_of

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")
WORDS = {"yes": True, "no": False, "failure": Verdict.FAILURE, "nothing": Verdict.IGNORED, "success": Verdict.SUCCESS}
OFFLINE = """
import httpx, httpx2

def answer(self, request):
    library = httpx if isinstance(request, httpx.Request) else httpx2
    return library.Response(200, json={"price": 4217})

httpx.HTTPTransport.handle_request = httpx2.HTTPTransport.handle_request = answer
"""


def section(heading: str) -> str:
    """What stands under a heading."""
    return TEXT.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def table(heading: str) -> list[list[str]]:
    """The rows of the first table under a heading, without its head."""
    lines = [line for line in section(heading).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


ROWS = {row[0]: row[1:] for row in table("What happens when")}
REST = {"any other exception", "other 4xx", "other 5xx, and 600 to 999"}


def statuses_of(what: str) -> list[int]:
    """The statuses a row names."""
    if "xx" in what:
        return [
            status
            for first in re.findall("([1-5])xx", what)
            for status in range(int(first) * 100, int(first) * 100 + 100)
        ]
    return [int(status) for status in re.findall("[1-5][0-9][0-9]", what)]


def rulings(**outcome: Any) -> list[Any]:
    """Ours, for an idempotent request and for another."""
    return [
        classify(Exchange(request=None, method="M", idempotent=idempotent, **outcome)) for idempotent in (True, False)
    ]


def check(what: str, outcomes: list[dict[str, Any]]) -> None:
    """Hold a row of the table against what the code makes of these outcomes."""
    again, others, heard, why = ROWS[what]
    assert why
    assert outcomes
    for outcome in outcomes:
        idempotent, other = rulings(**outcome)
        assert (idempotent.retry, other.retry) == (WORDS[again], WORDS[others]), outcome
        assert idempotent.verdict is other.verdict is WORDS[heard], outcome


def test_every_row_of_the_table_is_what_classify_says() -> None:
    """For every status and every class it names; the rest of them in the rows that say so."""
    named: set[int] = set()
    for what in ROWS:
        if what in REST:
            continue
        kinds = re.findall(r"`(\w+)`", what)
        outcomes: list[dict[str, Any]] = [
            {"failure": failure_of(getattr(library, kind).__new__(getattr(library, kind)), library)}
            for kind in kinds
            for library in (httpx, httpx2)
        ]
        outcomes += [{"status": status} for status in ([] if kinds else statuses_of(what))]
        named |= {outcome["status"] for outcome in outcomes if "status" in outcome}
        check(what, outcomes)
    check("any other exception", [{"failure": Failure.OTHER}])
    check("other 4xx", [{"status": status} for status in range(400, 500) if status not in named])
    check("other 5xx, and 600 to 999", [{"status": status} for status in range(500, 1000) if status not in named])


def test_the_table_names_every_class_that_a_transport_raises() -> None:
    """But for the general ones that these are derived from."""
    named = {kind for what in ROWS for kind in re.findall(r"`(\w+)`", what)}
    for library in (httpx, httpx2):
        raised = {one.__name__ for one in set(library._transports.default.HTTPCORE_EXC_MAP.values())}
        if not raised:
            raised = {one.__name__ for one in library._transports.default._load_httpcore_exceptions().values()}
        assert raised - named == {"TimeoutException", "NetworkError", "ProtocolError"}


def test_the_methods_are_those_of_the_code() -> None:
    """In the paragraph before the table."""
    listed = re.search(r"by its method \(([A-Z,\s]+);", section("What happens when"))
    assert listed is not None
    assert set(re.split(r",\s+", listed[1])) == IDEMPOTENT_METHODS


def test_the_figures_are_those_of_the_code() -> None:
    """Defaults and bounds that the page gives away."""
    options = {name: one.default for name, one in inspect.signature(resilix.httpx.standard).parameters.items()}
    said = re.sub(r"\s+", " ", TEXT)
    for figure in (
        f"`attempt_timeout` ({options['attempt_timeout']:g} s)",
        f"`within` ({options['within']:g} s)",
        f"`retry_after_cap` ({options['retry_after_cap']:g} s)",
        f"At most {options['most_keys']} keys are remembered",
        f"share one state, `{states.OVERFLOW}`",
        f"A key is cut at {states.LONGEST_KEY} characters",
        f"more than {retry_after.LONGEST} characters",
        f"at most {dropping.MOST_BYTES // 1024} KiB and {dropping.MOST_SECONDS * 1000:g} ms",
        f"at least up to {shells.LEAST_SPREAD:g} s",
    ):
        assert figure in said, figure
    assert shells.SPREAD == 0.1, "a tenth"
    assert retry_after.FURTHEST > 300 * 365.25 * 86400, "three hundred years"


def test_what_the_page_names_is_there() -> None:
    """Options of ``standard`` and names of the doors; a list at the top leads to every heading."""
    options = set(inspect.signature(resilix.httpx.standard).parameters)
    for option in re.findall(r"`(\w+)=", TEXT):
        assert option in options | FOREIGN, option
    for name in ("Client", "AsyncClient", "Transport", "AsyncTransport", "install", "Exchange", "Ruling"):
        assert f"`{name}" in TEXT
        assert hasattr(resilix.httpx, name)
    assert hasattr(resilix.testing, "FaultServer")
    headings = re.findall(r"^## (.+)$", TEXT, flags=re.MULTILINE)
    assert re.findall(r"^\d+\. \[(.+)\]\(#", TEXT, flags=re.MULTILINE) == headings


FOREIGN = {
    "extensions",
    "content",
    "data",
    "json",
    "files",
    "timeout",
    "http_client",
    "max_retries",
    "extra_headers",
    "retry",
}
"""Options of the libraries, of SDKs, and of a Ruling."""
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_its_programs_run(number: int) -> None:
    """Each by itself, with a network that always answers, without a warning."""
    command = [sys.executable, "-W", "error", "-c", f"{OFFLINE}\n{BLOCKS[number]}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert done.returncode == 0, f"{BLOCKS[number]}\n{done.stderr}"


def test_its_programs_pass_mypy_strict(tmp_path: Path) -> None:
    """What readers copy is well typed."""
    assert len(BLOCKS) == TEXT.count("```python") > 5
    files = [tmp_path / f"block_{number}.py" for number in range(len(BLOCKS))]
    for file, block in zip(files, BLOCKS, strict=True):
        file.write_text(block, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file",
        str(ROOT / "pyproject.toml"),
        *map(str, files),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
