"""``RetryBudget``: retries that cannot amplify an outage."""

from __future__ import annotations

from resilix.core import options
from resilix.core.budget import BudgetCore
from resilix.core.options import checked
from resilix.locks import Lock
from resilix.policies.registry import REGISTRY


class RetryBudget:
    """A purse that all retries towards one dependency pay from, and that only success fills.

    A retry takes ``cost`` tokens; a call that succeeds at once puts 1 back; a call that succeeds after a retry puts
    back what its last retry cost. While retries work they are nearly free; in a total outage the purse runs empty
    after ``tokens // cost`` retries (35 by default), and from then on a call is one attempt.

    Example::

        budget = RetryBudget("quotes")

        @retry(on=ConnectionError, budget=budget)
        def price(symbol: str) -> int: ...

    A purse that was emptied fills slowly on a quiet service (one token per success): watch ``remaining_ratio``.

    Args:
        name: What operators see.
        tokens: How many there are when it is full; at least ``cost``.
        cost: What one retry takes; at least 1.

    Raises:
        ConfigurationError: An option cannot mean anything sensible.

    The figures are those of the AWS SDKs' standard retry mode (November 2026).
    """

    @checked("RetryBudget", 'RetryBudget("quotes")')
    def __init__(self, name: str, *, tokens: int = 500, cost: int = 14) -> None:
        self._name = options.name_of("RetryBudget", name)
        options.whole("RetryBudget", "cost", cost, least=1, why="a retry that costs nothing is not bounded")
        options.whole(
            "RetryBudget",
            "tokens",
            tokens,
            least=cost,
            why=f"with cost={cost} not even one retry could be paid",
        )
        self.core = BudgetCore(tokens, cost)
        REGISTRY.add("RetryBudget", self, stacklevel=3)

    def __repr__(self) -> str:
        return f"RetryBudget({self._name!r}, {self.core.level}/{self.core.tokens})"

    @property
    def name(self) -> str:
        """The name it was given."""
        return self._name

    @property
    def remaining(self) -> int:
        """Tokens left."""
        return self.core.level

    @property
    def remaining_ratio(self) -> float:
        """Tokens left as a share of a full purse, 0 to 1."""
        return self.core.level / self.core.tokens

    @property
    def denied(self) -> int:
        """Retries that were not granted so far."""
        return self.core.denied

    def _attend(self) -> None:
        """It is asked where something has failed already, so it has no quiet path."""

    def _renew(self) -> None:
        self.core.renew()

    def _after_fork(self) -> None:
        self.core.lock = Lock()
