"""``standard``: each origin has its own state, which is bounded, whatever hosts an attacker thinks of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from tests.support.http_lanes import LANES, Lane, lanes, unique

import resilix.httpx
import resilix.httpx2
from resilix import Bulkhead, CircuitBreaker, CircuitState, ConfigurationError, RetryBudget
from resilix.http.states import OVERFLOW
from resilix.policies.registry import REGISTRY

DOORS = pytest.mark.parametrize("door", [resilix.httpx, resilix.httpx2], ids=["httpx", "httpx2"])


# -- one set of state per key ----------------------------------------------------------------------------------


def serving(lane: Lane, dead: str = "dead.test") -> Callable[[Any], Any]:
    """A world in which one host is dead."""

    def serve(request: Any) -> Any:
        if request.url.host == dead:
            raise lane.library.ConnectError("refused")
        return lane.library.Response(200)

    return serve


@lanes
def test_a_dead_origin_does_not_touch_the_others(lane: Lane) -> None:
    """Its breaker opens, its budget is spent, its refusals are its own."""
    policy = lane.door.standard(unique(lane), wait=0, breaker={"consecutive": 3}, budget={"tokens": 28, "cost": 14})
    with lane.guarded(policy, transport=lane.mock(serving(lane))) as there:
        errors: list[type[BaseException]] = []
        for _ in range(4):
            with pytest.raises(lane.library.TransportError) as caught:
                there.get("http://dead.test/")
            errors.append(caught.type)
        assert errors[-1] is lane.door.CircuitOpenError
        assert there.get("http://well.test/").status_code == 200
        assert there.get("http://dead.test.:8080/").status_code == 200
        assert there.get("https://well.test/").status_code == 200
    states = policy.states()
    assert {key: (state.breaker.state, state.budget.remaining) for key, state in states.items()} == {
        "http://dead.test": (CircuitState.OPEN, 0),
        "http://well.test": (CircuitState.CLOSED, 28),
        "http://dead.test.:8080": (CircuitState.CLOSED, 28),
        "https://well.test": (CircuitState.CLOSED, 28),
    }
    assert all(state.key == key for key, state in states.items())
    assert len({id(state.breaker) for state in states.values()}) == 4


def first_of_path(request: Any) -> str:
    """One key for each endpoint."""
    path: str = request.url.path
    return path.split("/")[1]


def url_itself(request: Any) -> Any:
    """No text."""
    return request.url


@lanes
def test_a_function_may_split_the_state_otherwise(lane: Lane) -> None:
    """By endpoint, say."""
    policy = lane.door.standard(unique(lane), per=first_of_path)
    with lane.guarded(policy, transport=lane.mock(serving(lane))) as there:
        for path in ("/search/a", "/search/b", "/pay"):
            there.get(f"http://well.test{path}")
    assert sorted(policy.states()) == ["pay", "search"]
    assert policy.states()["search"].breaker.snapshot().calls == 2
    assert policy.states()["pay"].breaker.name == f"{policy.name} pay"


@lanes
def test_a_function_that_gives_no_text_stops_the_call(lane: Lane) -> None:
    """Before anything is sent, and with a sentence."""
    policy = lane.door.standard(unique(lane), per=url_itself)
    with (
        lane.guarded(policy, transport=lane.mock(serving(lane))) as there,
        pytest.raises(ConfigurationError, match="the function must give the key as a text; return a str"),
    ):
        there.get("http://well.test/")
    assert (policy.attempts_total, policy.states()) == (0, {})


@lanes
def test_one_state_for_everything(lane: Lane) -> None:
    """With ``per=None`` a dead host does take the others down: that is what was asked for."""
    policy = lane.door.standard(unique(lane), per=None, attempts=1, breaker={"consecutive": 2})
    with lane.guarded(policy, transport=lane.mock(serving(lane))) as there:
        for _ in range(2):
            with pytest.raises(lane.library.ConnectError):
                there.get("http://dead.test/")
        with pytest.raises(lane.door.CircuitOpenError):
            there.get("http://well.test/")
    assert list(policy.states()) == [""]
    assert policy.states()[""].breaker.name == policy.name


# -- bounded ---------------------------------------------------------------------------------------------------

SYNC = LANES[0]


def flood(policy: Any, count: int) -> None:
    """Requests to hosts an attacker chose."""
    for number in range(count):
        policy.route(httpx.Request("GET", f"http://host-{number}.evil.test/"))


def test_a_flood_of_hosts_fills_no_memory_and_closes_no_breaker() -> None:
    """5,000 hosts and 1,024 keys: the breaker that opened, and the one a person took over, are remembered."""
    policy = SYNC.door.standard("flooded")
    kept = {}
    for name, take_over in (("dead", "open"), ("forced", "force_open"), ("off", "disable"), ("watched", "observe")):
        policy.route(httpx.Request("GET", f"http://{name}.test/"))
        kept[name] = policy.states()[f"http://{name}.test"]
        getattr(kept[name].breaker, take_over)()
    flood(policy, 5000)
    assert len(policy.states()) <= 1024
    for name, state in kept.items():
        assert policy.states()[f"http://{name}.test"] is state, name
        assert policy.route(httpx.Request("GET", f"http://{name}.test/")) is state.route
    assert OVERFLOW not in policy.states()


def test_calls_under_way_are_remembered_where_they_are_counted() -> None:
    """A place that is taken is given back to the bulkhead it came from; a probe reports to its breaker."""
    policy = SYNC.door.standard("under way", limit=2, most_keys=16)
    (state,) = states_of(policy, "busy")
    with state.bulkhead.acquire():
        flood(policy, 100)
        assert policy.states()["http://busy"] is state
    flood(policy, 100)
    assert "http://busy" not in policy.states()
    time = [0.0]
    policy = SYNC.door.standard("probed", most_keys=16, breaker={"clock": lambda: time[0]})
    (state,) = states_of(policy, "probed")
    state.breaker.open(for_=1.0)
    time[0] = 1.0
    with state.breaker.acquire():
        assert state.breaker.state is CircuitState.HALF_OPEN
        flood(policy, 100)
        assert policy.states()["http://probed"] is state


def test_hosts_that_died_long_ago_do_not_keep_others_out() -> None:
    """An opening that is over, with nobody calling, is forgotten: or dead hosts would fill the map for good."""
    time = [0.0]
    policy = SYNC.door.standard("graveyard", most_keys=16, breaker={"open_for": 10.0, "clock": lambda: time[0]})
    flood(policy, 16)
    for state in policy.states().values():
        state.breaker.open(for_=10.0)
    policy.route(httpx.Request("GET", "http://first.test/"))
    assert OVERFLOW in policy.states(), "while they refuse, all of them are remembered"
    time[0] = 10.0
    policy.route(httpx.Request("GET", "http://second.test/"))
    policy.route(httpx.Request("GET", "http://third.test/"))
    assert {"http://second.test", "http://third.test"} & set(policy.states())


def test_when_nothing_can_be_forgotten_all_others_share_one_state() -> None:
    """One more than the limit, and no more."""
    policy = SYNC.door.standard("crowded", most_keys=4)
    flood(policy, 4)
    for state in policy.states().values():
        state.breaker.force_open()
    routes = {id(policy.route(httpx.Request("GET", f"http://other-{number}.test/"))) for number in range(50)}
    assert len(routes) == 1
    assert len(policy.states()) == 5
    assert policy.states()[OVERFLOW].breaker.name == f"crowded {OVERFLOW}"


def test_a_key_that_was_forgotten_comes_back_without_a_warning() -> None:
    """Its names were given up; those of what is shared were not."""
    shared = RetryBudget("shared by the forgotten")
    made: dict[str, CircuitBreaker] = {}

    def one_each(key: str) -> CircuitBreaker:
        if key not in made:
            made[key] = CircuitBreaker(f"mine {key}")
        return made[key]

    for options in ({}, {"budget": shared, "breaker": one_each, "limit": 3}):
        policy = SYNC.door.standard(f"comes back {len(options)}", most_keys=1, **options)
        held = []
        for _ in range(3):
            for host in ("a", "b"):
                policy.route(httpx.Request("GET", f"http://{host}.test/"))
                held.extend(policy.states().values())  # so that nothing is collected
        assert len({id(state.route) for state in held}) == 6
    assert REGISTRY.find("RetryBudget", "shared by the forgotten") is shared
    assert REGISTRY.find("CircuitBreaker", "mine http://a.test") is made["http://a.test"]


# -- breaker, budget, limit ------------------------------------------------------------------------------------


def my_own(key: str) -> CircuitBreaker:
    """A breaker with a name of the user's."""
    return CircuitBreaker(f"my {key}")


def states_of(policy: Any, *hosts: str) -> list[Any]:
    """The states of these hosts, once they were called."""
    for host in hosts:
        policy.route(httpx.Request("GET", f"http://{host}/"))
    return [policy.states()[f"http://{host}"] for host in hosts]


def test_a_breaker_is_made_from_options_or_by_a_function_or_not_at_all() -> None:
    """Each key has its own, named after both."""
    one, other = states_of(SYNC.door.standard("options", breaker={"consecutive": 2, "open_for": 7.0}), "a", "b")
    assert one.breaker is not other.breaker
    assert one.breaker.name == "options http://a"
    one.breaker.open()
    assert one.breaker.snapshot().retry_after == pytest.approx(7.0, abs=0.5)
    one, other = states_of(SYNC.door.standard("made", breaker=my_own), "a", "b")
    assert (one.breaker.name, other.breaker.name) == ("my http://a", "my http://b")
    (off,) = states_of(SYNC.door.standard("no breaker", breaker=None), "a")
    assert off.breaker is None
    assert [type(one).__name__ for one in off.policies] == ["Retry"]


@pytest.mark.parametrize("made", [None, "breaker", 3, Bulkhead], ids=repr)
def test_a_function_that_makes_no_breaker_is_named(made: Any) -> None:
    """With the key it was asked for."""

    def give(key: str) -> Any:
        return made

    policy = SYNC.door.standard("makes none", breaker=give)
    with pytest.raises(
        ConfigurationError, match=r"for 'http://a' it gave .*, which is no breaker; write breaker=lambda"
    ):
        policy.route(httpx.Request("GET", "http://a/"))


@lanes
def test_a_budget_is_one_each_or_shared_or_none(lane: Lane) -> None:
    """Two retries are paid for; shared, they are two in all; without one there is no end but ``attempts``."""

    def attempts(budget: Any) -> list[int]:
        policy = lane.door.standard(unique(lane), attempts=3, wait=0, breaker=None, budget=budget)
        seen = []
        with lane.guarded(policy, transport=lane.mock(lambda _: lane.library.Response(503))) as there:
            for host in ("a", "b"):
                before = policy.attempts_total
                for _ in range(2):
                    there.get(f"http://{host}.test/")
                seen.append(policy.attempts_total - before)
        return seen

    assert attempts({"tokens": 28, "cost": 14}) == [4, 4]
    assert attempts(RetryBudget(unique(lane), tokens=28, cost=14)) == [4, 2]
    assert attempts(None) == [6, 6]
    assert attempts({}) == [6, 6]


def test_limit_and_max_wait_make_a_bulkhead_for_each_key() -> None:
    """Named as the breaker is."""
    one, other = states_of(SYNC.door.standard("limited", limit=2, max_wait=timedelta(seconds=0.5)), "a", "b")
    assert one.bulkhead is not other.bulkhead
    assert (one.bulkhead.name, one.bulkhead.limit) == ("limited http://a", 2)
    assert [type(policy).__name__ for policy in one.policies] == ["Retry", "CircuitBreaker", "Bulkhead"]


@DOORS
def test_everything_may_be_switched_off(door: Any) -> None:
    """And durations may be timedeltas."""
    policy = door.standard(
        "off", per=None, attempts=1, attempt_timeout=None, within=None, limit=None, budget=None, breaker=None
    )
    state = policy.states()[""]
    assert (state.breaker, state.bulkhead, state.budget, state.policies) == (None, None, None, ())
    door.standard("td", attempt_timeout=timedelta(seconds=2), within=timedelta(minutes=1), limit=3, max_wait=0.5)


# -- reading ---------------------------------------------------------------------------------------------------


@lanes
def test_the_counters_are_exact(lane: Lane) -> None:
    """Calls that came, attempts that went, calls that were refused."""
    answers: list[Any] = [503, 200, 404, 503, 503, 503]
    policy = lane.door.standard(unique(lane), wait=0, breaker={"consecutive": 3})
    with lane.guarded(policy, transport=lane.mock(lambda _: lane.library.Response(answers.pop(0)))) as there:
        assert (policy.calls_total, policy.attempts_total, policy.rejected_total) == (0, 0, 0)
        assert there.get("http://a.test/").status_code == 200
        assert there.get("http://a.test/").status_code == 404
        assert (policy.calls_total, policy.attempts_total, policy.rejected_total) == (2, 3, 0)
        assert there.get("http://a.test/").status_code == 503
        with pytest.raises(lane.door.CircuitOpenError):
            there.get("http://a.test/")
    assert (policy.calls_total, policy.attempts_total, policy.rejected_total) == (4, 6, 1)


@DOORS
def test_its_repr_says_what_to_write_and_no_more(door: Any) -> None:
    """Keys and headers may be telling."""
    name = f"shown {door.__name__}"
    policy = door.standard(name, attempt_header="x-attempt")
    policy.route(httpx.Request("GET", "http://user:secret@host.test/?secret"))
    assert repr(policy) == f"standard({name!r})"
    state = policy.states()["http://host.test"]
    assert repr(state).startswith("KeyState(key='http://host.test', breaker=CircuitBreaker(")
    assert "secret" not in repr(policy.states())


def test_looking_at_the_states_changes_nothing() -> None:
    """A dict of one's own."""
    policy = SYNC.door.standard("looked at")
    states_of(policy, "a")
    policy.states().clear()
    assert list(policy.states()) == ["http://a"]
