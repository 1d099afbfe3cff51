"""Options of a ``FaultServer`` that scripts use now and then, and its page in the documents held against the code."""

from __future__ import annotations

import inspect
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.fault_client import RawClient

from resilix.errors import ConfigurationError
from resilix.testing import FaultServer, Seen, steps

PAGE = (Path(__file__).parents[2] / "docs" / "fault-server.md").read_text(encoding="utf-8")


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server that runs, and whose scripts had no bug."""
    with FaultServer() as server:
        yield server
        assert not server.errors


def statuses(server: FaultServer, path: str, count: int) -> list[int]:
    """What so many requests for a path are answered with, on one connection."""
    found: list[int] = []
    with RawClient(server) as client:
        for _ in range(count):
            client.ask(path)
            found.append(int(client.reply()[0].split()[1]))
    return found


def test_a_repeated_script_begins_again(server: FaultServer) -> None:
    """The steps that do not repeat come once, in their place, and other paths are as they were."""
    server.script("/a", 500)
    server.script("/a", 501, 502, repeat=True)
    server.script("/b", 404, repeat=False)
    assert statuses(server, "/a", 6) == [500, 501, 502, 501, 502, 501]
    assert statuses(server, "/b", 2) == [404, 200]


def test_a_repeated_script_is_forgotten(server: FaultServer) -> None:
    """After forget() the default answers."""
    server.script("/a", 503, repeat=True)
    assert statuses(server, "/a", 2) == [503, 503]
    server.forget()
    assert statuses(server, "/a", 1) == [200]


def test_informational_answers_come_at_once_and_the_answer_after_the_delay(server: FaultServer) -> None:
    """They are answers before the answer: the request is answered once."""
    step = steps.reply(200, b"x", delay=0.15, informational=[(103, {"Link": "</a>"}), 102])
    assert repr(step) == "reply(200, body=b'x', delay=0.15, informational=[(103, {'Link': '</a>'}), 102])"
    server.script("/a", step)
    with RawClient(server) as client:
        began = time.monotonic()
        client.ask("/a")
        assert client.until(b"\r\n\r\n") == b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        assert client.until(b"\r\n\r\n") == b"HTTP/1.1 102 Processing\r\n\r\n"
        assert not server.seen[0].finished
        assert client.reply()[1] == b"x"
        assert time.monotonic() - began >= 0.15
    assert [seen.finished for seen in server.seen] == [True]


@pytest.mark.parametrize(
    "bad", [[200], [99], [101], [True], ["103"], [(103,)], [(103, {"Link": "a\r\nb"})], 103, "103"]
)
def test_what_is_no_informational_answer_is_refused(bad: object) -> None:
    """101 would change the protocol, and from 200 on an answer is the answer."""
    with pytest.raises(ConfigurationError, match=r"^steps\.reply\(\w+="):
        steps.reply(informational=bad)  # type: ignore[arg-type]  # nonsense is the test


def test_repeat_is_a_switch_and_a_name_is_text(server: FaultServer) -> None:
    """Mistakes are named where they are written."""
    with pytest.raises(ConfigurationError, match=r"^FaultServer\.script\(repeat=3\)"):
        server.script("/a", 503, repeat=3)  # type: ignore[arg-type]  # nonsense is the test
    with pytest.raises(ConfigurationError, match=r"^FaultServer\(name=''\)"):
        FaultServer(name="")


def test_its_thread_has_its_name() -> None:
    """Two servers in one test are told apart in a dump of threads."""
    with FaultServer(name="prices"), FaultServer():
        names = {thread.name for thread in threading.enumerate()}
    assert {"resilix-fault-server-prices", "resilix-fault-server-faults"} <= names


def rows(heading: str) -> list[str]:
    """The first cells of the table under a heading of the page."""
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]


def test_the_page_shows_every_step_with_options_that_exist() -> None:
    """Each call in the table of steps can be written like that, and no step is missing."""
    calls = [call for cell in rows("Steps") for call in re.findall(r"`(\w+)\((.*?)\)`", cell)]
    assert {name for name, _ in calls} == set(steps.__all__)
    for name, options in calls:
        taken = inspect.signature(getattr(steps, name)).parameters
        assert set(re.findall(r"(\w+)=", options)) <= set(taken), (name, options)
        assert len([one for one in options.split(", ") if one and "=" not in one]) <= len(taken), (name, options)


def test_the_page_shows_every_member_with_the_options_it_has() -> None:
    """The table of the server is the public face of the class, signatures included."""
    shown = {
        name: options for cell in rows("The server") for name, options in re.findall(r"`(\w+)(?:\((.*?)\))?`", cell)
    }
    members = {name for name in vars(FaultServer) if not name.startswith("_")}
    assert set(shown) == members | {"FaultServer"}
    for name, options in shown.items():
        found = FaultServer if name == "FaultServer" else vars(FaultServer)[name]
        taken = [] if isinstance(found, property) else [*inspect.signature(found).parameters]
        named = [one.partition("=")[0].lstrip("*") for one in options.split(", ") if one]
        assert named == [one for one in taken if one != "self"], name


def test_the_page_shows_every_field_of_what_was_seen() -> None:
    """No more and no fewer."""
    names = [name for cell in rows("What it saw") for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(names) == sorted(Seen.__dataclass_fields__)
