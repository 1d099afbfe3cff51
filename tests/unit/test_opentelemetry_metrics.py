"""``resilix.opentelemetry.install``: the readings as observable instruments, under names decided once."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import metrics as api
from opentelemetry.metrics import _internal as api_internals
from opentelemetry.util._once import Once
from tests.support.front import fresh
from tests.support.otel_sdk import Labels, Metrics, labels

from resilix import Bulkhead, CircuitBreaker, ConfigurationError, RejectedError, pipeline, retry
from resilix.opentelemetry import install
from resilix.telemetry import otel_metrics, otel_names
from resilix.telemetry.prom_reading import shapes
from resilix.telemetry.readings import Family, Sample, readings


def down() -> None:
    """Fail."""
    raise ConnectionError("https://user:hunter2@quotes.example/")


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    """A provider with everything of ours in it."""
    gc.collect()  # policies of other tests must not die between two readings
    made = Metrics()
    stop = install(made.provider)
    yield made
    stop()


def trouble(name: str) -> tuple[CircuitBreaker, Bulkhead]:
    """A breaker that has opened after a retry, and a bulkhead with a place taken."""
    quotes, slots = CircuitBreaker(name, consecutive=2, open_for=60.0), Bulkhead(name, limit=3)
    guard = pipeline(retry(on=ConnectionError, attempts=2, wait=0.0), quotes, slots, name=name)
    for _ in range(2):
        with pytest.raises((ConnectionError, RejectedError)):
            guard.call(down)
    return quotes, slots


def test_the_numbers_are_those_of_the_readings(metrics: Metrics) -> None:
    """Every family, every label, every value: the same list as Prometheus is given."""
    quotes, slots = trouble(fresh("otel"))
    with slots.acquire():
        seen = metrics.points()
        expected: dict[str, dict[Labels, float]] = {
            otel_names.name_of(family): {
                labels(dict(zip(family.labels, values, strict=True))): value for values, value in family.samples
            }
            for family in readings()
            if family.samples
        }
    assert quotes.name in str(expected)
    assert seen == expected


def test_what_an_operator_sees_of_one_dependency(metrics: Metrics) -> None:
    """Names, attributes and values, written out."""
    name = fresh("otel")
    kept = trouble(name)
    assert metrics.of("resilix.calls", name) == {("success",): 0, ("failure",): 2, ("ignored",): 0, ("late",): 0}
    assert metrics.of("resilix.circuit_breaker.state", name) == {("closed",): 0, ("open",): 1, ("half_open",): 0}
    assert metrics.of("resilix.circuit_breaker.transitions", name)[("closed", "open")] == 1
    assert metrics.of("resilix.rejections", name)[("circuit_open",)] == 1
    assert metrics.of("resilix.retries", name) == {("error",): 1}
    assert metrics.of("resilix.bulkhead.limit", name) == {(): 3}
    del kept


def test_a_reader_knows_what_is_counted_and_in_what(metrics: Metrics) -> None:
    """Counters are monotonic sums, gauges are gauges; ratios are "1", counts say what they count."""
    name = fresh("otel")
    kept = trouble(name)
    seen = metrics.collect()
    calls, ratio = seen["resilix.calls"], seen["resilix.circuit_breaker.failure_threshold_ratio"]
    assert (calls.unit, calls.data.is_monotonic) == ("{call}", True)
    assert calls.description == "Calls under a breaker, by what became of them."
    assert (ratio.unit, type(ratio.data).__name__) == ("1", "Gauge")
    del kept


def test_every_reading_has_a_name_and_a_unit_of_its_own() -> None:
    """A new reading has to be given its unit; no two share a name; no name is a namespace of another."""
    names = [otel_names.name_of(family) for family in shapes()]
    assert len(set(names)) == len(names)
    for family in shapes():
        name, unit = otel_names.name_of(family), otel_names.unit_of(family)
        assert name in otel_names.COUNTED or unit in ("s", "1"), f"{name}: say in otel_names.COUNTED what it counts"
        assert not any(other.startswith(f"{name}.") for other in names)
        assert "total" not in name
        assert name.replace(".", "_") == family.name.removesuffix("_total").removesuffix("_seconds")
    assert set(otel_names.COUNTED) <= set(names)


def test_policies_made_later_appear_and_dead_ones_go(metrics: Metrics) -> None:
    """Nothing is registered by hand, and nothing that is gone is told of."""
    name = fresh("otel")
    metrics.collect()
    slots = Bulkhead(name, limit=7)
    assert metrics.of("resilix.bulkhead.limit", name) == {(): 7}
    del slots
    gc.collect()
    assert metrics.of("resilix.bulkhead.limit", name) == {}


@pytest.mark.parametrize("delta", [False, True])
@pytest.mark.parametrize("seen_dead", [False, True])
def test_a_counter_never_goes_down_when_a_name_is_used_again(delta: bool, seen_dead: bool) -> None:
    """Observable counters know no resets: a reader of differences would be told minus four."""
    made, name = Metrics(delta=delta), fresh("otel")
    stop = install(made.provider)
    seen = []
    for calls in (5, 1, 2 if seen_dead else 0):
        quotes = CircuitBreaker(name)
        for _ in range(calls):
            quotes.call(len, "")
        seen.append(made.of("resilix.calls", name)[("success",)])
        del quotes
        gc.collect()
        if seen_dead:
            assert made.of("resilix.calls", name) == {}
    stop()
    last = 2 if seen_dead else 0
    assert seen == ([5, 1, last] if delta else [5, 6, 6 + last])


def test_counters_of_the_dead_are_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that come and go do not fill the memory, and the living are never forgotten for it."""
    monkeypatch.setattr(otel_metrics.Source, "MOST_KEPT", 10)
    made, lasting = Metrics(), CircuitBreaker(fresh("otel"))
    lasting.call(len, "")
    stop = install(made.provider)
    for _ in range(30):
        quotes = CircuitBreaker(fresh("otel"))
        quotes.call(len, "")
        made.collect()
        del quotes
        gc.collect()
    (source,) = [one for one in otel_metrics.INSTALLATION._sources.values() if one.on]
    living = next(len(family.samples) for family in readings() if family.name == "resilix_calls_total")
    assert len(source._counts["resilix_calls_total"]) <= max(10, living + 4)
    assert (lasting.name, "success") in source._counts["resilix_calls_total"]
    stop()


@pytest.mark.parametrize("room", range(12))
def test_a_dead_counter_is_remembered_while_there_is_room(room: int) -> None:
    """Just below the bound nothing is forgotten."""
    source, name = otel_metrics.Source(), ("resilix_fallbacks_total", "counter", "", ("policy",))
    source.MOST_KEPT = 10
    dead = tuple(Sample((f"dead-{number}",), 5.0) for number in range(room))
    source._rising(Family(*name, dead))
    source._rising(Family(*name, ()))
    risen = source._rising(Family(*name, tuple(Sample(one.labels, 1.0) for one in dead)))
    assert [one.value for one in risen.samples] == [1.0] * max(0, room - 10) + [6.0] * min(room, 10)


def test_one_collection_reads_the_policies_once(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    """All values of one collection are of one moment, and twenty instruments do not read twenty times."""
    times: list[int] = []
    real = otel_metrics.sound_readings

    def counting(most_names: int) -> Any:
        times.append(most_names)
        return real(most_names)

    monkeypatch.setattr(otel_metrics, "sound_readings", counting)
    for collections in (1, 2, 3):
        metrics.collect()
        assert len(times) == collections


def test_two_readers_and_many_threads_read_nothing_wrong() -> None:
    """A reading that is overtaken by a later one is not taken for a reset."""
    made, name = Metrics(), fresh("otel")
    stop = install(made.provider)
    quotes, seen, over = CircuitBreaker(name), list[float](), threading.Event()

    def read() -> None:
        while not over.is_set():
            seen.append(made.of("resilix.calls", name)[("success",)])

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for _ in range(2000):
        quotes.call(len, "")
    over.set()
    for reader in readers:
        reader.join()
    assert made.of("resilix.calls", name) == {("success",): 2000, ("failure",): 0, ("ignored",): 0, ("late",): 0}
    assert max(seen) <= 2000
    stop()


def test_names_are_bounded(metrics: Metrics) -> None:
    """A hundred policies with most_names=2 are two and "other"."""
    metrics.collect()
    bounded = Metrics()
    end = otel_metrics.Installation().start(bounded.provider, 2)
    kept = [Bulkhead(fresh("otel"), limit=1) for _ in range(100)]
    limits = bounded.points()["resilix.bulkhead.limit"]
    end()
    assert len(limits) == 3
    assert limits[frozenset({("bulkhead", "other")})] >= len(kept) - 2


def test_installing_twice_is_refused_and_ending_makes_room(metrics: Metrics) -> None:
    """Everything would be counted twice; the function that ends it may be called twice."""
    for provider in (None, metrics.provider, Metrics().provider):
        with pytest.raises(ConfigurationError, match=r"are installed already, .* call it once"):
            install(provider)


def test_after_the_end_nothing_is_shown_and_it_may_begin_again() -> None:
    """On the same provider too, whose instruments cannot be taken back."""
    made, name = Metrics(), fresh("otel")
    slots = Bulkhead(name, limit=2)
    for _ in range(2):
        stop = install(made.provider)
        assert made.of("resilix.bulkhead.limit", slots.name) == {(): 2}
        stop()
        stop()
        assert made.points() == {}
    later = Metrics()
    again = install(later.provider)
    stop()  # of one that has ended: it does not end another
    assert later.of("resilix.bulkhead.limit", name) == {(): 2}
    assert made.points() == {}
    again()


def test_the_global_provider_may_be_set_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library may install before the program has set up its SDK; ended and begun again it is found there too."""
    monkeypatch.setattr(api_internals, "_METER_PROVIDER", None)
    monkeypatch.setattr(api_internals, "_METER_PROVIDER_SET_ONCE", Once())
    monkeypatch.setattr(api_internals, "_PROXY_METER_PROVIDER", api_internals._ProxyMeterProvider())
    monkeypatch.delenv("OTEL_PYTHON_METER_PROVIDER", raising=False)
    slots, made = Bulkhead(fresh("otel"), limit=4), Metrics()
    stop = install()
    api.set_meter_provider(made.provider)
    assert made.of("resilix.bulkhead.limit", slots.name) == {(): 4}
    stop()
    stop = install(made.provider)
    assert made.of("resilix.bulkhead.limit", slots.name) == {(): 4}
    stop()


@pytest.mark.parametrize("wrong", [3, "otlp", Metrics, Metrics().provider.get_meter("x")])
def test_it_is_given_a_meter_provider(wrong: Any) -> None:
    """Refused where it is written."""
    with pytest.raises(ConfigurationError, match=r"meter_provider=.*it gives meters; write install\(\)"):
        install(wrong)
    with pytest.raises(ConfigurationError, match="most_names=0"):
        install(most_names=0)


def test_a_policy_that_cannot_be_read_does_not_hide_the_others(metrics: Metrics) -> None:
    """A broken clock of the user's is counted as a hook error."""
    broken = [False]

    def clock() -> float:
        if broken[0]:
            raise RuntimeError("no time")
        return 0.0

    bad, good = CircuitBreaker(fresh("otel"), clock=clock), CircuitBreaker(fresh("otel"))
    broken[0] = True
    assert metrics.of("resilix.circuit_breaker.state", good.name)[("closed",)] == 1
    assert metrics.of("resilix.circuit_breaker.state", bad.name) == {}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_child_can_collect() -> None:
    """Even if another thread of the parent was reading."""
    code = """if True:
        import os, sys
        from tests.support.otel_sdk import Metrics
        from resilix import Bulkhead
        from resilix.opentelemetry import install
        from resilix.telemetry.otel_metrics import INSTALLATION
        made = Metrics(); install(made.provider); slots = Bulkhead("forked", limit=9)
        (source,) = INSTALLATION._sources.values()
        with source._lock, INSTALLATION._lock:
            child = os.fork()
            if not child:
                os._exit(int(made.of("resilix.bulkhead.limit", "forked")[()]))
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    ran = subprocess.run([sys.executable, "-c", code], timeout=30, check=False)
    assert ran.returncode == 9


def test_imported_and_installed_it_costs_no_call_anything(metrics: Metrics) -> None:
    """Nobody subscribes for metrics: the quiet path stays the quiet path."""
    code = (
        "import resilix.opentelemetry, resilix.telemetry.logs; from resilix.events import HUB; "
        "resilix.opentelemetry.install(); assert HUB.listeners == ()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_the_api_it_says_what_to_install() -> None:
    """An ImportError with the extra's name."""
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "try:\n    import resilix.opentelemetry\n"
        "except ImportError as error:\n    print(error)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "resilix.opentelemetry needs opentelemetry-api: pip install 'resilix-toolkit[otel]'"
