"""Which bodies can be sent again: every way to make a request, and what then goes over the wire the second time."""

from __future__ import annotations

import gc
import gzip
import io
import pickle
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import IO, Any

import httpx
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.http_lanes import Lane, lanes, unique

from resilix.http.bodies import replayable

URL = "http://quotes.test/"
LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda one: one.__name__)
FAT = bytes(range(256)) * 1024  # 256 KiB: several reads
Options = dict[str, Any]


def pieces() -> Iterator[bytes]:
    """A body that exists once."""
    yield b"one"
    yield b"two"


async def apieces() -> AsyncIterator[bytes]:
    """The same, async."""
    yield b"one"
    yield b"two"


class Pipe(io.BytesIO):
    """A file without a way back, as a pipe or a socket."""

    def seekable(self) -> bool:
        """No."""
        return False

    def seek(self, offset: int, whence: int = 0) -> int:
        """No."""
        raise io.UnsupportedOperation("seek")

    def tell(self) -> int:
        """No."""
        raise io.UnsupportedOperation("tell")

    def fileno(self) -> int:
        """No."""
        raise io.UnsupportedOperation("fileno")


class OnlySeek:
    """Something to read that goes back, but does not say so."""

    def __init__(self) -> None:
        self.file = io.BytesIO(b"some")
        self.read, self.seek, self.tell = self.file.read, self.file.seek, self.file.tell


class OnlySays:
    """Something to read that says it goes back, and cannot."""

    def __init__(self) -> None:
        self.read = io.BytesIO(b"some").read

    def seekable(self) -> bool:
        """A lie."""
        return True


class AsyncFile:
    """A file of an async library: its answers have to be awaited, and no library of ours does."""

    async def read(self, size: int = -1) -> bytes:
        """Never called."""
        return b""

    async def seekable(self) -> bool:
        """True enough, once it is awaited."""
        return True

    def seek(self, offset: int) -> None:
        """Nothing."""


def at(file: IO[bytes], place: int) -> IO[bytes]:
    """The file, standing there."""
    file.seek(place)
    return file


def closed() -> IO[bytes]:
    """A file that is no longer open."""
    file = io.BytesIO(b"some")
    file.close()
    return file


KEPT: dict[str, Callable[[], Options]] = {
    "nothing": dict,
    "empty bytes": lambda: {"content": b""},
    "bytes": lambda: {"content": FAT},
    "text": lambda: {"content": "Grüße"},
    "a form": lambda: {"data": {"a": "1", "b": ["2", "3"]}},
    "an empty form": lambda: {"data": {}},
    "json": lambda: {"json": {"a": [1, None, "ü"]}},
    "json null": lambda: {"json": None},
    "no files": lambda: {"files": {}},
    "a file as bytes": lambda: {"files": {"f": FAT}},
    "a file as text": lambda: {"files": {"f": ("f.txt", "text")}},
    "a file in memory": lambda: {"files": {"f": io.BytesIO(FAT)}},
    "a file that stands in its middle": lambda: {"files": {"f": ("f.bin", at(io.BytesIO(FAT), 1000))}},
    "a file that stands at its end": lambda: {"files": {"f": ("f.bin", at(io.BytesIO(FAT), len(FAT)), "x/y")}},
    "files and fields": lambda: {
        "data": {"a": "1", "b": ["2", b"3"], "n": 4},
        "files": [("f", io.BytesIO(b"one")), ("f", ("g", b"two", "text/plain", {"X-Y": "z"})), ("h", io.BytesIO(FAT))],
    },
    "a compressed file": lambda: {"files": {"f": ("z", gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(FAT))))}},
}
GONE: dict[str, Callable[[], Options]] = {
    "a generator": lambda: {"content": pieces()},
    "an async generator": lambda: {"content": apieces()},
    "a file in memory as content": lambda: {"content": io.BytesIO(b"some")},
    "an iterator": lambda: {"content": iter([b"one", b"two"])},
    "a list of pieces": lambda: {"content": [b"one", b"two"]},
    "a file without a way back": lambda: {"files": {"f": ("f", Pipe(b"some"))}},
    "one file of two without a way back": lambda: {"files": [("a", io.BytesIO(b"one")), ("b", ("b", Pipe(b"some")))]},
    "a generator as a file": lambda: {"files": {"f": ("f", pieces())}},
    "a file that does not say": lambda: {"files": {"f": ("f", OnlySeek())}},
    "a file that says so and cannot": lambda: {"files": {"f": ("f", OnlySays())}},
    "an async file": lambda: {"files": {"f": ("f", AsyncFile())}},
}


# -- decided before the first attempt --------------------------------------------------------------------------


@LIBRARIES
@pytest.mark.parametrize("name", KEPT)
def test_what_is_kept_can_be_sent_again(library: Any, name: str) -> None:
    """And asking changes nothing."""
    request = library.Request("POST", URL, **KEPT[name]())
    assert replayable(request) is replayable(request) is True


@LIBRARIES
@pytest.mark.parametrize("name", GONE)
def test_what_is_read_once_cannot(library: Any, name: str) -> None:
    """Nor what does not say how it is: one attempt is better than half a body."""
    assert replayable(library.Request("POST", URL, **GONE[name]())) is False
    gc.collect()  # a coroutine that nobody awaited would warn now


@LIBRARIES
def test_a_file_that_was_closed_since_cannot(library: Any) -> None:
    """It cannot be sent once."""
    with io.BytesIO(b"some") as file:
        request = library.Request("POST", URL, files={"f": ("f", file)})
        assert replayable(request)
    assert not replayable(request)


@LIBRARIES
def test_a_body_that_was_read_into_the_request_can(library: Any) -> None:
    """``request.read()`` keeps what it read, as signing code does."""
    request = library.Request("POST", URL, content=pieces())
    request.read()
    assert replayable(request)


@LIBRARIES
def test_a_request_that_was_pickled_unread_cannot(library: Any) -> None:
    """Its body stayed behind."""
    request = library.Request("POST", URL, content=pieces())
    assert not replayable(pickle.loads(pickle.dumps(request)))


@LIBRARIES
def test_a_stream_of_somebody_elses_cannot(library: Any) -> None:
    """Whatever it is called, and whatever it is derived from."""

    class ByteStream(library.SyncByteStream, library.AsyncByteStream):  # type: ignore[misc]
        def __iter__(self) -> Iterator[bytes]:
            yield from ()

        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b""

    class Once(library.ByteStream):  # type: ignore[misc]
        def __iter__(self) -> Iterator[bytes]:
            yield from ()

    multipart: Any = type(library.Request("POST", URL, files={"f": b""}).stream)

    class MultipartStream(multipart):  # type: ignore[misc]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b""

    for stream in (ByteStream(), Once(b"x"), MultipartStream({}, {"f": b"x"}), object()):
        assert not replayable(library.Request("POST", URL, stream=stream)), stream


@LIBRARIES
def test_a_multipart_body_that_hides_its_fields_cannot(library: Any) -> None:
    """As a later version of a library may."""
    request = library.Request("POST", URL, files={"f": b"x"})
    del request.stream.fields
    assert not replayable(request)


# -- byte for byte ---------------------------------------------------------------------------------------------


def sent(lane: Lane, options: Options, answers: list[int]) -> tuple[int, list[bytes], list[str]]:
    """Send a PUT, past those answers: the last one, and the bodies and lengths that arrived."""
    bodies: list[bytes] = []
    lengths: list[str] = []

    def note(request: Any, body: bytes) -> Any:
        bodies.append(body)
        lengths.append(request.headers.get("content-length", ""))
        return lane.library.Response(answers[len(bodies) - 1])

    # Not MockTransport: that reads the request, and keeps what it has read.
    class Wire(lane.library.BaseTransport, lane.library.AsyncBaseTransport):  # type: ignore[name-defined, misc]
        def handle_request(self, request: Any) -> Any:
            return note(request, b"".join(request.stream))

        async def handle_async_request(self, request: Any) -> Any:
            return note(request, b"".join([chunk async for chunk in request.stream]))

    policy = lane.door.standard(unique(lane), wait=0, attempt_timeout=None, within=None)
    with lane.guarded(policy, transport=Wire()) as there:
        return there.request("PUT", URL, **options).status_code, bodies, lengths


@lanes
@pytest.mark.parametrize("name", KEPT)
def test_the_same_bytes_go_again(lane: Lane, name: str) -> None:
    """Three times, each as long as its head says."""
    status, bodies, lengths = sent(lane, KEPT[name](), [503, 503, 200])
    assert (status, len(bodies)) == (200, 3)
    assert len(set(bodies)) == len(set(lengths)) == 1
    assert lengths[0] == str(len(bodies[0])) or not bodies[0]


@lanes
def test_a_file_on_disk_goes_again_from_its_start(lane: Lane, tmp_path: Path) -> None:
    """Both libraries begin at the start, wherever it stood; so it does not matter where the attempt before ended."""
    path = tmp_path / "big.bin"
    path.write_bytes(FAT)
    with path.open("rb") as file:
        file.seek(100_000)
        status, bodies, lengths = sent(lane, {"files": {"f": file}}, [503, 503, 200])
    assert (status, len(bodies)) == (200, 3)
    assert bodies[0] == bodies[1] == bodies[2]
    assert FAT in bodies[0]
    assert set(lengths) == {str(len(bodies[0]))}


@lanes
def test_a_file_in_a_spool_goes_again(lane: Lane) -> None:
    """Still in memory, or on disk already."""
    for most in (10, 0):
        with tempfile.SpooledTemporaryFile(max_size=most) as file:
            file.write(FAT)
            status, bodies, _ = sent(lane, {"files": {"f": ("f", file)}}, [503, 200])
        assert (status, len(bodies), len(set(bodies))) == (200, 2, 1)
        assert FAT in bodies[0]


@lanes
@pytest.mark.parametrize("name", ["a generator", "an iterator", "a file in memory as content"])
def test_what_is_gone_goes_once_and_the_answer_is_the_servers(lane: Lane, name: str) -> None:
    """One attempt, and no error about the stream hides what the server said."""
    options = GONE[name]() if lane.backend is None else {"content": apieces()}
    status, bodies, _ = sent(lane, options, [503])
    assert status == 503
    assert bodies[0] in (b"onetwo", b"some")


@lanes
def test_a_file_without_a_way_back_goes_once(lane: Lane) -> None:
    """In a multipart body too."""
    status, bodies, lengths = sent(lane, {"files": {"f": ("f", Pipe(b"some"))}}, [503])
    assert (status, len(bodies), lengths) == (503, 1, [""])
    assert b"some" in bodies[0]


@given(
    st.sampled_from([httpx, httpx2]),
    st.dictionaries(st.text(min_size=1), st.text(), max_size=3),
    st.lists(st.tuples(st.binary(max_size=2000), st.integers(0, 2000), st.integers(0, 5000)), min_size=1, max_size=4),
)
def test_a_multipart_body_is_the_same_wherever_the_first_sending_stopped(
    library: Any, fields: dict[str, str], files: list[tuple[bytes, int, int]]
) -> None:
    """An attempt may die in the middle of a file; the next begins at the beginning of them all."""
    parts = [("f", (f"{number}.bin", at(io.BytesIO(data), place))) for number, (data, place, _) in enumerate(files)]
    request = library.Request("PUT", URL, data=fields, files=parts)
    assert replayable(request)
    whole = b"".join(request.stream)
    assert len(whole) == int(request.headers["content-length"])
    for _, _, most in files:
        size = 0
        for chunk in request.stream:
            size += len(chunk)
            if size > most:
                break
        assert b"".join(request.stream) == whole
