"""What happens to the checkout when the price service dies: each test takes milliseconds, and is the same every time.

The plugin of resilix brings ``resilix_clock`` (waits take no time), ``resilix_faults`` (what befalls the calls) and
``resilix_events`` (what the policies did). Before each test all policies are as they were made.
"""

from collections.abc import AsyncGenerator
from types import ModuleType

import httpx2
import pytest
from shop import Checkout, Price, Quotes, service

from resilix.testing import EventRecording, FaultServer, VirtualTime, event, steps
from resilix.testing.simulation import Dependency, Episode, brown_out, exponential, outage, poisson, simulate, stall

pytestmark = pytest.mark.anyio

YESTERDAY = {"ACME": 4100, "BETA": 900}


@pytest.fixture
def anyio_backend() -> str:
    """The shop runs on asyncio."""
    return "asyncio"


@pytest.fixture
async def quotes() -> AsyncGenerator[Quotes]:
    """The price service answers at once, without a network."""
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, text="4217"))
    async with httpx2.AsyncClient(transport=transport, base_url="http://quotes") as client:
        yield Quotes(client, YESTERDAY)


# -- one fault ---------------------------------------------------------------------------------------------------


async def test_a_lost_connection_is_tried_again(quotes: Quotes, resilix_faults: ModuleType) -> None:
    """The customer does not notice."""
    with resilix_faults.inject("quotes", resilix_faults.sequence(httpx2.ConnectError("lost"), resilix_faults.ok)):
        assert await quotes.price("ACME") == Price(4217, fresh=True)


async def test_a_hang_costs_no_more_than_its_time(
    quotes: Quotes, resilix_faults: ModuleType, resilix_clock: VirtualTime, resilix_events: EventRecording
) -> None:
    """Two attempts of 60 ms and the wait between them: then yesterday's price."""
    with resilix_faults.inject("quotes", resilix_faults.hang()):
        assert await quotes.price("ACME") == Price(4100, fresh=False)
    assert resilix_clock.now() == pytest.approx(0.14)
    resilix_events.assert_sequence("timed out", "retry", "timed out", "gave up", "fallback")


# -- an outage ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["refused", "hangs", "slow"])
async def test_when_quotes_is_down_for_30_s_the_checkout_still_answers_within_200_ms(
    quotes: Quotes, resilix_faults: ModuleType, resilix_clock: VirtualTime, resilix_events: EventRecording, kind: str
) -> None:
    """Whatever being down means; and half a minute later prices are fresh again."""
    faults = resilix_faults
    fault = {
        "refused": faults.error(httpx2.ConnectError("refused")),
        "hangs": faults.hang(),
        "slow": faults.latency(3.0),
    }[kind]
    checkout = Checkout(quotes)
    slowest, fresh = 0.0, list[bool]()
    with faults.inject("quotes", fault.during(start=10, seconds=30)) as plan:
        while resilix_clock.now() < 50:
            began = resilix_clock.now()
            fresh.append((await checkout.total({"ACME": 2})).fresh)
            slowest = max(slowest, resilix_clock.now() - began)
            resilix_clock.advance(0.5)
    assert slowest <= 0.2
    assert (fresh[0], fresh[-1]) == (True, True), "before the outage, and ten seconds after it"
    assert plan.counts.calls < len(fresh), "the dead service is mostly left alone"
    resilix_events.only("opened", "half-open", "closed").assert_sequence("opened", ..., "half-open", "closed")


# -- over a real socket ------------------------------------------------------------------------------------------


async def test_over_a_real_socket_a_dead_server_means_yesterday_s_price() -> None:
    """The whole service, through its front door, against a server that resets connections and then refuses them."""
    with FaultServer() as server:
        server.script("/price/ACME", steps.reply(200, b"4217"), steps.reset("head"), steps.reset("head"))
        shop = httpx2.ASGITransport(app=service(server.url, YESTERDAY))
        async with httpx2.AsyncClient(transport=shop, base_url="http://shop") as customer:
            assert (await customer.get("/checkout/ACME?count=2")).json() == {"cents": 8434, "fresh": True}
            assert (await customer.get("/checkout/ACME")).json() == {"cents": 4100, "fresh": False}
            server.refuse()
            assert (await customer.get("/checkout/ACME")).json() == {"cents": 4100, "fresh": False}


# -- before production -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble", [outage(30, 30), stall(30, 3), brown_out(30, 30, slower=10)], ids=["outage", "stall", "brown-out"]
)
async def test_the_shop_neither_loads_a_sick_price_service_nor_stays_down_after_it(
    quotes: Quotes, trouble: Episode
) -> None:
    """Two minutes of traffic at 70 % of what the price service can answer, with these policies, in about a second."""
    there = Dependency(capacity=4, service=exponential(0.02), script=[trouble], error=httpx2.ConnectError)
    result = simulate(quotes.guard, load=poisson(140), dependency=there, seconds=120, seed=7)
    assert result.recovered, str(result)
    assert result.attempts_per_call < 1.2, str(result)
    assert result.latency.most <= 0.2, str(result)


async def test_the_breaker_says_why_it_opened(
    quotes: Quotes, resilix_faults: ModuleType, resilix_events: EventRecording
) -> None:
    """For the operator: five failures in a row."""
    with resilix_faults.inject("quotes", resilix_faults.error(httpx2.ConnectError("refused"))):
        for _ in range(5):
            await quotes.price("BETA")
    resilix_events.only(name="quotes").assert_counts(opened=1)
    resilix_events.assert_sequence(event("opened", reason="consecutive failures"))
