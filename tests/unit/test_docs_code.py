"""The code in the documents runs and type-checks, and their links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/guide.md", "docs/reference.md", "docs/faults.md")
STAND_INS = (ROOT / "tests" / "support" / "docs_stand_ins.py").read_text(encoding="utf-8")


def blocks() -> dict[str, str]:
    """Each block of Python in the documents, by a name that is good for a module too."""
    found: dict[str, str] = {}
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for match in re.finditer(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL):
            line = text[: match.start()].count("\n") + 1
            found[f"{Path(page).stem.lower()}_line_{line}"] = match[1]
    return found


BLOCKS = blocks()


def test_the_documents_have_code_on_every_page() -> None:
    """The search for blocks finds them: as many as there are fences that say Python."""
    fences = sum((ROOT / page).read_text(encoding="utf-8").count("```python") for page in PAGES)
    assert len(BLOCKS) == fences
    assert {name.split("_line_")[0] for name in BLOCKS} == {Path(page).stem.lower() for page in PAGES}


@pytest.mark.parametrize("name", BLOCKS)
def test_block_runs(name: str) -> None:
    """Each block runs by itself, in a process of its own, without an error or a warning."""
    program = f"{STAND_INS}\n\n{BLOCKS[name]}"
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert done.returncode == 0, f"{name}:\n{done.stderr}"


def test_blocks_and_examples_pass_mypy_strict(tmp_path: Path) -> None:
    """What readers copy satisfies a strict type checker, and so do the examples."""
    files = [str(path) for path in sorted((ROOT / "examples").glob("*.py"))]
    for name, block in BLOCKS.items():
        path = tmp_path / f"{name}.py"
        path.write_text(f"{STAND_INS}\n\n{block}", encoding="utf-8")
        files.append(str(path))
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml"), *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_first_example_is_twelve_lines() -> None:
    """The block that newcomers read first stays short, and answers what it says it answers."""
    first = next(iter(BLOCKS.values()))
    assert len(first.splitlines()) == 12
    space: dict[str, object] = {}
    exec(compile(f"{STAND_INS}\n\n{first}", "README.md", "exec"), space)
    price = space["price"]
    assert callable(price)
    assert price("ACME") == 4217

    def refuse(symbol: str) -> int:
        raise ConnectionRefusedError(symbol)

    space["fetch"] = refuse
    assert price("ACME") is None


EVERY_PAGE = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """What a link may name after the #, for each heading of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", EVERY_PAGE, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file of this repository, and a heading that is there."""
    for link in LINK.findall(re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.is_relative_to(ROOT), link
        assert target.exists(), f"{page.name} links to {link}, which is not there"
        if anchor:
            assert anchor in anchors(target), f"{page.name} links to {link}: there is no such heading"


def test_nobody_is_sent_to_the_wrong_distribution() -> None:
    """The name on the index is resilix-toolkit: the import name must never be given to an installer."""
    for page in EVERY_PAGE:
        assert not re.search(r"install\s+['\"]?resilix(?!-toolkit)\b", page.read_text(encoding="utf-8")), page.name
