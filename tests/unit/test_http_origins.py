"""The key of a request by default: its origin, the same for every way to write it, and never a secret."""

from __future__ import annotations

import itertools
from typing import Any

import httpx
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilix.http.states import origin_of

LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda one: one.__name__)

ORIGINS = {
    "https://api.example.com/v1?key=x#y": "https://api.example.com",
    "HTTPS://API.Example.COM": "https://api.example.com",
    "https://api.example.com:8443/": "https://api.example.com:8443",
    "https://api.example.com:443/": "https://api.example.com",
    "https://api.example.com:0443/": "https://api.example.com",
    "http://api.example.com:80": "http://api.example.com",
    "http://api.example.com:443": "http://api.example.com:443",
    "https://api.example.com:80": "https://api.example.com:80",
    "http://api.example.com:8080": "http://api.example.com:8080",
    "https://user:hunter2@api.example.com/": "https://api.example.com",
    "https://hunter2@api.example.com:8443/": "https://api.example.com:8443",
    "http://Bücher.example/": "http://xn--bcher-kva.example",
    "http://127.0.0.1:8000/": "http://127.0.0.1:8000",
    "http://[::1]/": "http://[::1]",
    "http://[2001:db8::80]:80/": "http://[2001:db8::80]",
    "http://[2001:DB8::8A]:8080/": "http://[2001:db8::8a]:8080",
    "http://example.com./": "http://example.com.",
    "/only/a/path": "://",
    "https://[::443]:8443/": "https://[::443]:8443",
    "ws://example.com/feed": "ws://example.com",
}


@LIBRARIES
@pytest.mark.parametrize("url", ORIGINS)
def test_an_origin_is_scheme_host_and_port(library: Any, url: str) -> None:
    """RFC 6454 section 4, written as in section 6.2; the same for every way to write it."""
    assert origin_of(library.URL(url)) == ORIGINS[url]


@LIBRARIES
@given(
    user=st.text("abc:@/%20é", max_size=8),
    password=st.text("abc:@/%20é", max_size=8),
    host=st.sampled_from(["a.example", "127.0.0.1", "[::1]", "xn--bcher-kva.example"]),
    port=st.sampled_from(["", ":80", ":443", ":8080"]),
)
def test_an_origin_never_holds_a_secret(library: Any, user: str, password: str, host: str, port: str) -> None:
    """Whatever stands before the host; and reading it as a URL again gives the same origin."""
    url = library.URL(f"https://{host}{port}/path?key=secret").copy_with(username=user, password=password)
    origin = origin_of(url)
    assert origin == f"https://{host}{'' if port == ':443' else port}"
    assert origin_of(library.URL(origin)) == origin


def test_both_libraries_name_an_origin_alike() -> None:
    """Every combination of scheme, host and port."""
    for scheme, host, port in itertools.product(
        ("http", "https", "ws"), ("a.b", "[::1]", "1.2.3.4"), ("", ":80", ":1")
    ):
        url = f"{scheme}://{host}{port}/x"
        assert origin_of(httpx.URL(url)) == origin_of(httpx2.URL(url))
