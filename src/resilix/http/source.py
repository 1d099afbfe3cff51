"""Where a transport finds the policies of a request: one set for all, or one set for each key."""

from __future__ import annotations

from typing import Any, Protocol

from resilix.core.options import refuse
from resilix.errors import ConfigurationError
from resilix.http.conduct import LABEL, Conduct, Counters
from resilix.http.routes import Route, Routes
from resilix.policies.base import Policy
from resilix.policies.hazards import flatten, kind_of


class Source(Protocol):
    """Finds the policies of a request.

    Attributes:
        conduct: How the transport behaves besides the policies.
        counters: What happened so far.
        retries: The most attempts of one call; 1 without a retry.
        routes: Where the quiet path of a request is looked for first.
    """

    conduct: Conduct
    counters: Counters
    retries: float
    routes: Routes

    def route(self, request: Any) -> Route:
        """The policies of a request."""
        ...


class PlainSource:
    """One policy, for whatever goes through the transport."""

    def __init__(self, policy: Policy[Any]) -> None:
        flat = flatten((policy,))
        self.policy = policy
        self.conduct = Conduct(timed=any(kind_of(one) == "timeout" for one in flat))
        self.counters = Counters()
        self.retries = 1.0
        for one in flat:
            if kind_of(one) == "retry":
                self.retries *= one.plan.attempts
        label = getattr(policy, "name", None) if kind_of(policy) == "pipeline" else None
        self._route = Route(label or LABEL, flat, self.conduct, names=_names(policy))
        self.routes = Routes(self._route)

    def __repr__(self) -> str:
        return repr(self.policy)

    def route(self, request: Any) -> Route:
        """The same policies for every request."""
        return self._route


def _names(policy: Any) -> tuple[str, ...]:
    """Those of all pipelines that it comes down to."""
    if kind_of(policy) != "pipeline":
        return ()
    own = () if policy.name is None else (policy.name,)
    return own + tuple(name for one in policy.policies for name in _names(one))


def source_of(owner: str, policy: Any) -> Source:
    """Read the ``policy`` option of a transport or client.

    Raises:
        ConfigurationError: It is no policy.
    """
    if isinstance(policy, Policy):
        return PlainSource(policy)
    if isinstance(getattr(policy, "conduct", None), Conduct):
        source: Source = policy
        return source
    if policy is None:
        raise ConfigurationError(
            f'{owner}(policy=None): it guards nothing without one; write policy=standard("quotes")'
        )
    raise refuse(
        owner,
        "policy",
        policy,
        "it is neither standard(…) nor a policy",
        'write policy=standard("quotes"), or policy=pipeline(retry(on=…), CircuitBreaker("quotes"))',
    )
