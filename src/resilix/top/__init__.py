"""``resilix top``: the breakers, bulkheads and budgets of running services, refreshing in the terminal."""
