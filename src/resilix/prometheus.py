"""Metrics for Prometheus, through prometheus-client.

Example::

    import resilix.prometheus

    resilix.prometheus.install()  # once, where the program starts; every policy shows up by itself

What each metric means is in ``docs/observability.md``. The policies keep the counts anyway and are read when somebody
scrapes, so a call costs the same with and without it. Under gunicorn or with several uvicorn workers use :func:`push`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

try:
    import prometheus_client
except ImportError as missing:  # pragma: no cover - tested in an interpreter of its own
    raise ImportError(
        "resilix.prometheus needs prometheus-client: pip install 'resilix-toolkit[prometheus]'"
    ) from missing

from prometheus_client import CollectorRegistry

from resilix.core import options
from resilix.core.options import Seconds, checked
from resilix.errors import ConfigurationError
from resilix.telemetry.prom_collector import Collector
from resilix.telemetry.prom_push import PUSHING
from resilix.telemetry.prom_timed import Scope, Timed, durations
from resilix.telemetry.readings import MOST_NAMES

__all__ = ["install", "push", "timed"]


def install(registry: CollectorRegistry | None = None, *, most_names: int = MOST_NAMES) -> Callable[[], None]:
    """Show every live policy in a registry, from now on: those made later appear, those that are gone go.

    Example::

        resilix.prometheus.install()
        prometheus_client.start_http_server(9000)

    A policy that cannot be read (its ``clock`` raises, say) is left out and counted in ``resilix_hook_errors_total``.
    In prometheus-client's multiprocess mode nobody asks such a collector: use :func:`push` there.

    Args:
        registry: Where; ``None`` for ``prometheus_client.REGISTRY``.
        most_names: How many policies of one kind are told apart; the others share the name "other".

    Returns:
        A function that takes it out; calling it again does nothing.

    Raises:
        ConfigurationError: It is installed there already, or ``push()`` writes there.
    """
    chosen = _registry_of("install", registry)
    collector = Collector(_most("install", most_names))
    try:
        chosen.register(collector)
    except ValueError as error:
        raise ConfigurationError(
            "install(): the metrics of resilix are in this registry already, and everything would be there twice; "
            "call it once (with push() in the workers, not at all), or write install(CollectorRegistry())"
        ) from error
    installed = [collector]

    def uninstall() -> None:
        while installed:
            chosen.unregister(installed.pop())

    return uninstall


def push(
    interval: Seconds = 5.0, *, registry: CollectorRegistry | None = None, most_names: int = MOST_NAMES
) -> Callable[[], None]:
    """Write the metrics of this process at once and then every so often: for several workers behind one address.

    For prometheus-client's multiprocess mode, in which workers share the files in ``PROMETHEUS_MULTIPROC_DIR``. Names
    and labels are those of :func:`install`. Counts of all workers are added up, those of the dead too; of the gauges,
    ``…_state`` and the bulkheads' are added up over the live workers, of the ratios the worst one counts.

    Example::

        # gunicorn.conf.py
        def post_fork(server, worker):
            resilix.prometheus.push()

        def child_exit(server, worker):
            prometheus_client.multiprocess.mark_process_dead(worker.pid)

    It goes on by itself in a forked child, which counts from nothing. A worker that is killed loses what it counted in
    the last interval.

    Args:
        interval: Seconds between two times, more than zero.
        registry: Where the metrics are registered; ``None`` for ``prometheus_client.REGISTRY``.
        most_names: How many policies of one kind are ever told apart; the others share the name "other".

    Returns:
        A function that ends it: it writes once more and takes the gauges back. It is called when the interpreter ends.

    Raises:
        ConfigurationError: An option cannot mean anything sensible, this process does it already, or ``install()`` was
            called for this registry.
    """
    seconds = options.duration("push", "interval", interval)
    return PUSHING.start(seconds, _most("push", most_names), _registry_of("push", registry)).stop


@checked("timed", 'timed("quotes")', method=False)
def timed(
    name: str,
    *,
    scope: Scope = "call",
    buckets: Sequence[float] | None = None,
    registry: CollectorRegistry | None = None,
) -> Timed:
    """Measure how long calls or attempts take: a policy that changes nothing else.

    ``resilix_call_duration_seconds`` or ``resilix_attempt_duration_seconds``, with the labels ``policy`` (the name) and
    ``outcome``: success, failure, rejected, timeout, or cancelled. Put it outermost to measure calls. To measure
    attempts put it inside the retry, and outside the timeout, so that what ran into that counts as a timeout.

    Example::

        guard = pipeline(
            timed("quotes"),
            retry(on=ConnectionError),
            quotes,
            timed("quotes", scope="attempt"),
            timeout(2.0),
        )

    Over HTTP an answer with 5xx or 429 is a failure, and the time goes up to its head, if the body is streamed.

    Args:
        name: What operators see; never anything a request could choose. Beyond 1,024 names the rest shares "other".
        scope: "call" or "attempt": which histogram.
        buckets: Upper bounds in seconds; ``None`` for those that the histogram has already, or 5 ms to 30 s.
        registry: Where the histogram is; ``None`` for ``prometheus_client.REGISTRY``.

    Raises:
        ConfigurationError: An option cannot mean anything sensible, or the histogram has other buckets already.
    """
    label = options.name_of("timed", name)
    if scope not in ("call", "attempt"):
        raise options.refuse(
            "timed", "scope", scope, "it says which histogram", 'write scope="call" or scope="attempt"'
        )
    return Timed(label, scope, durations(scope, buckets, _registry_of("timed", registry)))


def _registry_of(owner: str, registry: object) -> CollectorRegistry:
    if registry is None:
        return prometheus_client.REGISTRY
    if not isinstance(registry, CollectorRegistry):
        raise options.refuse(
            owner, "registry", registry, "it is no registry of prometheus-client", "write registry=CollectorRegistry()"
        )
    return registry


def _most(owner: str, most_names: object) -> int:
    return options.whole(owner, "most_names", most_names, least=1, why="with no name at all there is nothing to see")
