"""Where the commands write to: a disk that is full, a stream that is closed, an encoding that knows few letters."""

from __future__ import annotations

import errno
import io
import os
import sys
from pathlib import Path

import pytest
from tests.support.whatif import SOUND, said

from resilix.__main__ import main


class Full(io.StringIO):
    """A disk without any room; its descriptor is that of a file of the test's."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def flush(self) -> None:
        """There is no room."""
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def case(tmp_path: Path) -> str:
    """A file without a mistake, in which a name has letters that not every encoding has."""
    file = tmp_path / "mine.toml"
    file.write_text(SOUND.replace('"retry"', '"rétry"'), encoding="utf-8")
    return str(file)


@pytest.mark.parametrize("arguments", [["--list"], ["CASE"], ["CASE", "--show"]])
def test_a_full_disk_is_one_line_and_status_1(
    arguments: list[str], case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is printed: no traceback, and no second complaint when the interpreter ends."""
    complaints = io.StringIO()
    with (tmp_path / "out").open("w") as file:
        monkeypatch.setattr(sys, "stdout", Full(file.fileno()))
        monkeypatch.setattr(sys, "stderr", complaints)
        status = main(["simulate", *(case if one == "CASE" else one for one in arguments)])
    assert status == 1
    assert complaints.getvalue() == "resilix simulate: error: standard output: No space left on device\n"


def test_an_output_file_on_a_full_disk_is_named(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system does not say which file it was."""

    def full(*arguments: object, **options: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    status, out, complaints = said("simulate", case, "--json", str(tmp_path / "out.json"))
    assert (status, "succeeded" in out) == (1, True)
    assert complaints == f"resilix simulate: error: {tmp_path / 'out.json'}: No space left on device\n"


def test_letters_that_the_terminal_lacks_are_escaped(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table with an escape in it is better than none."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    assert main(["simulate", case]) == 0
    assert main(["simulate", case, "--show"]) == 0
    assert raw.getvalue().count(b"r\\xe9try") == 3


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_stream_that_was_closed_is_no_traceback(stream: str, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python has None where a process was started without it."""
    other = io.StringIO()
    monkeypatch.setattr(sys, "stderr" if stream == "stdout" else "stdout", other)
    monkeypatch.setattr(sys, stream, None)
    status = main(["simulate", case])
    if stream == "stdout":
        assert (status, other.getvalue()) == (1, "resilix simulate: error: standard output is closed\n")
    else:
        assert (status, "succeeded" in other.getvalue()) == (0, True)
        assert main(["simulate", "nowhere.toml"]) == 2


def test_standard_input_that_was_closed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that is empty would be."""
    monkeypatch.setattr(sys, "stdin", None)
    status, out, complaints = said("replay", "-")
    assert (status, out) == (2, "")
    assert complaints.startswith("resilix replay: error: standard input is closed")


@pytest.mark.parametrize(("command", "asked"), [("simulate", "what is to be simulated?"), ("replay", "be replayed?")])
def test_an_empty_name_is_no_directory(command: str, asked: str) -> None:
    """It is what a shell makes of a variable that nobody has set."""
    status, _, complaints = said(command, "")
    assert (status, asked in complaints) == (2, True)
