"""Make the Grafana dashboard: ``python docs/dashboard/make.py > src/resilix/telemetry/data/dashboard.json``.

With Grafana's own library (grafana-foundation-sdk), so that the JSON is what Grafana expects. A test makes it again and
compares.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable, QueryVariable, Row
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.statetimeline import Panel as Timeline
from grafana_foundation_sdk.builders.timeseries import Panel as Series
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef, ValueMap, ValueMappingResult

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
WHERE = 'job=~"$job", instance=~"$instance"'
POLICY = f'{WHERE}, policy=~"$policy"'
BREAKER = f'{WHERE}, breaker=~"$policy"'
JUDGED = 'outcome=~"success|failure"'
RATE = "$__rate_interval"


STATES = {
    "0": ValueMappingResult(text="closed", color="green"),
    "1": ValueMappingResult(text="half-open", color="yellow"),
    "2": ValueMappingResult(text="open", color="red"),
}


class Panel(NamedTuple):
    """One panel.

    Attributes:
        title: Above it.
        queries: Expressions with what their lines are called.
        unit: Grafana's name of the unit.
        kind: "series", "stat" or "timeline".
        text: What it is for.
        width: Of 24.
    """

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "series"
    text: str = ""
    width: int = 12


def count(state: str) -> tuple[str, str]:
    """How many breakers are in a state, in any worker."""
    return (
        f'count(max by (job, breaker) (resilix_circuit_breaker_state{{{BREAKER}, state="{state}"}}) > 0) or vector(0)',
        state,
    )


def share(quantile: float, name: str) -> tuple[str, str]:
    """A quantile of a duration."""
    metric = f"resilix_{name}_duration_seconds_bucket{{{POLICY}}}"
    return f"histogram_quantile({quantile}, sum by (le) (rate({metric}[{RATE}])))", f"{name} p{quantile * 100:g}"


ROWS: dict[str, list[Panel]] = {
    "Summary": [
        Panel("Breakers", (count("open"), count("half_open"), count("closed")), kind="stat", width=8),
        Panel(
            "Calls that went well",
            ((
                (f'sum(rate(resilix_calls_total{{{POLICY}, outcome="success"}}[{RATE}])) '
                f"/ sum(rate(resilix_calls_total{{{POLICY}, {JUDGED}}}[{RATE}]))"), "success",
            ),), "percentunit", "stat", "Of the calls that ran.", 5,
        ),
        Panel(
            "Refused",
            ((f"sum(rate(resilix_rejections_total{{{POLICY}}}[{RATE}]))", "refused/s"),), "reqps", "stat", width=5,
        ),
        Panel(
            "Retries per call",
            ((
                (f"sum(rate(resilix_retries_total{{{WHERE}}}[{RATE}])) "
                f"/ sum(rate(resilix_calls_total{{{WHERE}, {JUDGED}}}[{RATE}]))"), "retries/call",
            ),), "short", "stat", "Above 0.5 retries make the trouble worse.", 6,
        ),
    ],
    "Circuit breakers": [
        Panel(
            "State",
            ((
                ("max by (job, instance, breaker) ("
                f'resilix_circuit_breaker_state{{{BREAKER}, state="open"}} * 2 '
                f'or resilix_circuit_breaker_state{{{BREAKER}, state="half_open"}} * 1 '
                f'or resilix_circuit_breaker_state{{{BREAKER}, state="closed"}} * 0)'), "{{breaker}} {{instance}}",
            ),), kind="timeline", text="2 is open, 1 half-open, 0 closed.", width=24,
        ),
        Panel(
            "Failure ratio against its threshold",
            (
                (f"max by (breaker) (resilix_circuit_breaker_failure_ratio{{{BREAKER}}})", "{{breaker}}"),
                (
                    f"max by (breaker) (resilix_circuit_breaker_failure_threshold_ratio{{{BREAKER}}})",
                    "{{breaker}} opens at",
                ),
            ), "percentunit", text="No line while there are too few calls to judge.",
        ),
        Panel(
            "Calls by outcome",
            ((f"sum by (policy, outcome) (rate(resilix_calls_total{{{POLICY}}}[{RATE}]))", "{{policy}} {{outcome}}"),),
            "reqps",
        ),
        Panel(
            "Transitions",
            ((
                ("sum by (breaker, to_state) "
                f"(increase(resilix_circuit_breaker_transitions_total{{{BREAKER}}}[{RATE}]))"),
                "{{breaker}} to {{to_state}}",
            ),),
        ),
        Panel(
            "Refused by kind",
            ((f"sum by (policy, kind) (rate(resilix_rejections_total{{{POLICY}}}[{RATE}]))", "{{policy}} {{kind}}"),),
            "reqps",
        ),
    ],
    "Latency": [
        Panel(
            "Calls, retries included", (share(0.5, "call"), share(0.95, "call"), share(0.99, "call")), "s",
            text="Needs resilix.prometheus.timed(…) outermost.",
        ),
        Panel(
            "Attempts", (share(0.5, "attempt"), share(0.95, "attempt"), share(0.99, "attempt")), "s",
            text="Needs resilix.prometheus.timed(…, scope='attempt') innermost.",
        ),
    ],
    "Retries": [
        Panel(
            "Retries by reason",
            ((f"sum by (policy, reason) (rate(resilix_retries_total{{{POLICY}}}[{RATE}]))", "{{policy}} {{reason}}"),),
            "reqps",
        ),
        Panel(
            "Given up, by reason",
            ((
                f"sum by (policy, reason) (rate(resilix_retries_exhausted_total{{{POLICY}}}[{RATE}]))",
                "{{policy}} {{reason}}",
            ),), "reqps",
        ),
        Panel(
            "Retry budget left",
            ((f'min by (budget) (resilix_retry_budget_remaining_ratio{{{WHERE}, budget=~"$policy"}})', "{{budget}}"),),
            "percentunit",
        ),
        Panel(
            "HTTP attempts per call",
            ((
                (f"sum by (policy) (rate(resilix_http_attempts_total{{{POLICY}}}[{RATE}])) "
                f"/ sum by (policy) (rate(resilix_http_calls_total{{{POLICY}}}[{RATE}]))"), "{{policy}}",
            ),),
        ),
    ],
    "Bulkheads, timeouts, fallbacks": [
        Panel(
            "In use against the limit",
            (
                (f'sum by (bulkhead) (resilix_bulkhead_in_use{{{WHERE}, bulkhead=~"$policy"}})', "{{bulkhead}}"),
                (f'sum by (bulkhead) (resilix_bulkhead_limit{{{WHERE}, bulkhead=~"$policy"}})', "{{bulkhead}} limit"),
            ),
        ),
        Panel(
            "Waiting for a place",
            ((f'sum by (bulkhead) (resilix_bulkhead_queued{{{WHERE}, bulkhead=~"$policy"}})', "{{bulkhead}}"),),
        ),
        Panel(
            "Timeouts",
            ((f"sum by (policy, scope) (rate(resilix_timeouts_total{{{POLICY}}}[{RATE}]))", "{{policy}} {{scope}}"),),
            "reqps",
        ),
        Panel(
            "Fallbacks served",
            ((f"sum by (policy) (rate(resilix_fallbacks_total{{{POLICY}}}[{RATE}]))", "{{policy}}"),), "reqps",
        ),
        Panel(
            "Errors in hooks",
            ((f"sum by (job) (increase(resilix_hook_errors_total{{{WHERE}}}[{RATE}]))", "{{job}}"),),
        ),
        Panel(
            "Faults injected on purpose",
            (
                (f"sum by (job) (resilix_faults_enabled{{{WHERE}}})", "{{job}}: processes where they may be"),
                (
                    f"sum by (policy, fault) (rate(resilix_faults_injected_total{{{POLICY}}}[{RATE}]))",
                    "{{policy}} {{fault}}",
                ),
            ),
        ),
    ],
}  # fmt: skip


def build() -> str:
    """The dashboard as JSON."""
    board = (
        Dashboard("resilix")
        .uid("resilix")
        .tags(["resilix"])
        .refresh("10s")
        .time("now-1h", "now")
        .with_variable(DatasourceVariable("datasource").type("prometheus"))
    )
    for name, label in (("job", "job"), ("instance", "instance")):
        board = board.with_variable(_variable(name, f"label_values(resilix_circuit_breaker_state, {label})"))
    board = board.with_variable(
        _variable("policy", 'query_result(count by (policy) (resilix_calls_total{job=~"$job"}))')
    )
    for title, panels in ROWS.items():
        board = board.with_row(Row(title))
        for panel in panels:
            board = board.with_panel(_panel(panel))
    return str(JSONEncoder(sort_keys=True, indent=1).encode(board.build())) + "\n"


def _variable(name: str, query: str) -> QueryVariable:
    made = QueryVariable(name).query(query).datasource(SOURCE).multi(True).include_all(True).all_value(".*")
    return made.regex('/policy="([^"]+)"/') if name == "policy" else made


def _panel(panel: Panel) -> Any:
    made: Any = {"series": Series, "stat": Stat, "timeline": Timeline}[panel.kind]()
    made = (
        made.title(panel.title).description(panel.text).unit(panel.unit).datasource(SOURCE).span(panel.width).height(8)
    )
    if panel.kind == "timeline":
        made = made.mappings([ValueMap(options=STATES)])
    for index, (expression, legend) in enumerate(panel.queries):
        query = Dataquery().expr(expression).legend_format(legend).ref_id(chr(ord("A") + index))
        made = made.with_target(query)
    return made


if __name__ == "__main__":
    sys.stdout.write(build())
