"""Idempotency keys: how they look, that nobody can guess or meet one again, and which are refused."""

from __future__ import annotations

import gc
import random
import re
import uuid
from typing import Any

import httpx
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.http_lanes import Lane, lanes, unique

from resilix import ConfigurationError
from resilix.http.idempotency import HEADER, KeyForm, has_key, new_key
from resilix.http.rules import IDEMPOTENT_METHODS

URL = "http://quotes.test/"
UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
VISIBLE = "".join(chr(code) for code in range(0x21, 0x7F))
LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda one: one.__name__)


def keys_of(lane: Lane, form: KeyForm | None, method: str = "POST", headers: Any = None) -> list[str | None]:
    """The keys that arrive with the three attempts of one call."""
    seen: list[str | None] = []

    def serve(request: Any) -> Any:
        seen.append(request.headers.get(HEADER))
        return lane.library.Response(503 if len(seen) < 3 else 200)

    policy = lane.door.standard(unique(lane), wait=0, idempotency_key=form)
    with lane.guarded(policy, transport=lane.mock(serve)) as there:
        there.request(method, URL, headers=headers)
    return seen


# -- forms -----------------------------------------------------------------------------------------------------


def test_a_bare_key_is_a_random_uuid() -> None:
    """Version 4: 122 bits of chance."""
    assert UUID.fullmatch(new_key("bare"))


def test_a_quoted_key_is_a_string_of_structured_fields() -> None:
    """RFC 9651 section 3.3.3, as the draft wants it: the same in quotes."""
    key = new_key("quoted")
    assert key[0] == key[-1] == '"'
    assert UUID.fullmatch(key[1:-1])


def test_a_key_of_a_function_is_taken_as_it_is() -> None:
    """The whole value, so quotes are up to the function."""
    assert new_key(lambda: "order-17") == "order-17"


@given(st.text(VISIBLE, min_size=1, max_size=255))
def test_any_visible_ascii_can_be_a_key(text: str) -> None:
    """Up to 255 characters, which is what services allow."""
    assert new_key(lambda: text) == text


# -- nobody guesses them ---------------------------------------------------------------------------------------


def test_no_key_comes_twice() -> None:
    """Ten thousand of each form."""
    assert len({new_key("quoted") for _ in range(10_000)}) == len({new_key("bare") for _ in range(10_000)}) == 10_000


def test_a_seed_of_the_program_does_not_foretell_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """They come from the system's own chance; a program that seeds ``random``, or forks, repeats nothing."""
    keys = []
    for _ in range(2):
        random.seed(7)
        keys.append(new_key("bare"))
    assert keys[0] != keys[1]
    monkeypatch.setattr("os.urandom", bytes)  # that many zeros
    assert new_key("bare") == str(uuid.UUID(bytes=bytes(16), version=4)), "and from nowhere else"


# -- refused ---------------------------------------------------------------------------------------------------


async def akey() -> str:
    """A key nobody awaits."""
    return "k"


REFUSED: dict[str, Any] = {
    "nothing": lambda: None,
    "empty": lambda: "",
    "bytes": lambda: b"key",
    "a number": lambda: 17,
    "a uuid object": uuid.uuid4,
    "too long": lambda: "k" * 256,
    "a blank inside": lambda: "my key",
    "a header of its own": lambda: "k\r\nX-Evil: 1",
    "a line at its end": lambda: "k\n",
    "a tab": lambda: "k\t",
    "a null": lambda: "k\0",
    "no ascii": lambda: "schlüssel",
    "async": akey,
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_header_can_hold_is_refused(name: str) -> None:
    """The error names the option and says what to write."""
    with pytest.raises(ConfigurationError) as caught:
        new_key(REFUSED[name])
    gc.collect()  # a coroutine that nobody awaited would warn now
    said = str(caught.value)
    assert said.startswith("standard(idempotency_key=")
    assert 'write idempotency_key="quoted", or return a str' in said


@lanes
def test_a_bad_function_stops_the_call_before_anything_is_sent(lane: Lane) -> None:
    """An order without the key it was promised is worse than none."""
    with pytest.raises(ConfigurationError, match="idempotency_key"):
        keys_of(lane, lambda: "two\nlines")
    with pytest.raises(ZeroDivisionError):
        keys_of(lane, lambda: str(1 // 0))


# -- who gets one ----------------------------------------------------------------------------------------------


@lanes
@pytest.mark.parametrize("form", ["quoted", "bare"])
def test_all_attempts_of_a_call_carry_one_key(lane: Lane, form: KeyForm) -> None:
    """And a call that was not idempotent is retried because of it."""
    keys = keys_of(lane, form)
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert UUID.search(keys[0] or "")


@lanes
def test_a_function_is_asked_once_a_call(lane: Lane) -> None:
    """Its answers are not spent on attempts."""
    numbers = iter(range(9))
    assert keys_of(lane, lambda: f"k{next(numbers)}") == ["k0"] * 3
    assert keys_of(lane, lambda: f"k{next(numbers)}") == ["k1"] * 3


@lanes
def test_the_callers_own_key_is_left_alone(lane: Lane) -> None:
    """In whatever case its header is written."""
    assert keys_of(lane, "quoted", headers={"IDEMPOTENCY-KEY": "mine"}) == ["mine"] * 3
    assert keys_of(lane, None, headers={"idempotency-key": "mine"}) == ["mine"] * 3


@lanes
def test_an_empty_key_is_none(lane: Lane) -> None:
    """It proves nothing, so the request goes once; and with the option it gets a real one."""
    for empty in ("", " "):
        assert len(keys_of(lane, None, headers={HEADER: empty})) == 1
        assert UUID.fullmatch(keys_of(lane, "bare", headers={HEADER: empty})[2] or "")


@lanes
def test_who_is_idempotent_by_itself_gets_none(lane: Lane) -> None:
    """RFC 9110 section 9.2.2; the others do."""
    for method in sorted(IDEMPOTENT_METHODS):
        assert keys_of(lane, "bare", method) == [None] * 3
    for method in ("POST", "PATCH", "PURGE"):
        assert len({*keys_of(lane, "bare", method), None}) == 2


@LIBRARIES
def test_a_key_is_found_in_the_headers_of_both_libraries(library: Any) -> None:
    """By name, without regard to case."""
    assert has_key(library.Headers({"idempotency-KEY": "k"}))
    assert has_key(library.Headers([("a", "b"), ("Idempotency-Key", '"k"')]))
    assert not has_key(library.Headers({"Idempotency": "k", "x-idempotency-key": "k"}))
    assert not has_key(library.Headers({HEADER: " "}))
