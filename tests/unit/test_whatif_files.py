"""Files for ``resilix simulate``: what they can say, and what an author hears who wrote something else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st
from tests.support.whatif import SOUND, said

from resilix import Bulkhead, CircuitBreaker, ConfigurationError, RejectedError, calls
from resilix.policies.fallback import Fallback
from resilix.policies.hazards import flatten
from resilix.policies.retry import Retry
from resilix.policies.timeout import Timeout
from resilix.testing.simulation import Dependency
from resilix.whatif import shipped
from resilix.whatif.policies import Bare
from resilix.whatif.scenario import Scenario, candidates_of, scenario_of


def read(text: str) -> Scenario:
    """Read a file."""
    return scenario_of(text.encode(), "mine.toml")


def changed(old: str, new: str) -> str:
    """The sound file with one mistake."""
    assert old in SOUND
    return SOUND.replace(old, new, 1)


def with_policies(text: str) -> str:
    """The sound file with other policies."""
    return changed("policies = [{ retry = { attempts = 2, wait = 0.1 } }, { timeout = 1.0 }]", f"policies = {text}")


def policies(text: str) -> Sequence[Any]:
    """Policies as a file has them."""
    return flatten((read(with_policies(text)).candidates[0].policy,))


# -- what a file can say -----------------------------------------------------------------------------------


def test_a_file_says_traffic_dependency_trouble_and_candidates() -> None:
    """Each of them is read as it was written."""
    scenario = read(SOUND)
    assert (scenario.title, scenario.seconds, scenario.seed, repr(scenario.load)) == ("sound", 20.0, 1, "poisson(20)")
    assert repr(scenario.dependency) == "Dependency(capacity=5, service=0.1)"
    assert [repr(one) for one in scenario.dependency.script] == ["outage 5 to 10 s"]
    assert [one.name for one in scenario.candidates] == ["retry"]
    retrying, limiting = flatten((scenario.candidates[0].policy,))
    assert (retrying.plan.attempts, retrying.plan.wait(1, None), limiting.seconds) == (2, 0.1, 1.0)


def test_what_a_file_leaves_out_is_as_in_python() -> None:
    """The dependency and the policies have the defaults of their Python namesakes."""
    scenario = read('[load]\nrate = 5\n[[candidate]]\nname = "x"\npolicies = ["breaker", { retry = true }]')
    assert repr(scenario.dependency) == repr(Dependency())
    breaking, retrying = flatten((scenario.candidates[0].policy,))
    assert breaking._all_options() == CircuitBreaker("as python has it")._all_options()
    assert (retrying.plan.attempts, retrying.plan.budget) == (3, None)
    assert (scenario.seconds, scenario.seed) == (180.0, 1)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rate = 20", "poisson(20)"),
        ('kind = "steady"\nrate = 20.5', "steady(20.5)"),
        ('kind = "bursts"\nrate = 20\nsize = 50\nevery = 10', "bursts(20, size=50, every=10)"),
        (
            '[[load.phase]]\nseconds = 5\nrate = 2\n[[load.phase]]\nseconds = 9\nkind = "steady"\nrate = 3',
            "phases((5, poisson(2)), (9, steady(3)))",
        ),
    ],
)
def test_traffic_comes_in_four_kinds(text: str, shown: str) -> None:
    """The functions that make loads in Python, by their names."""
    assert repr(read(changed("rate = 20", text)).load) == shown


@pytest.mark.parametrize(
    ("text", "episodes"),
    [
        ('kind = "outage"\nstart = 1\nseconds = 2\nafter = 0', ["outage 1 to 3 s"]),
        ('kind = "black_hole"\nstart = 1\nseconds = 2', ["black hole 1 to 3 s"]),
        ('kind = "brown_out"\nstart = 1\nseconds = 2\nslower = 3\nerrors = 0.5', ["brown-out 1 to 3 s"]),
        ('kind = "stall"\nstart = 1\nseconds = 2\nshard = 0', ["stall 1 to 3 s, shard 0"]),
        (
            'kind = "flapping"\nstart = 1\nseconds = 5\ndown = 1\nup = 2',
            ["flapping 1 to 2 s", "flapping 4 to 5 s"],
        ),
        (
            'kind = "cold_start"\nstart = 1\nseconds = 2\nslower = 4\nsteps = 2',
            ["cold start 1 to 2 s", "cold start 2 to 3 s"],
        ),
    ],
)
def test_trouble_comes_in_six_kinds(text: str, episodes: list[str]) -> None:
    """The functions that make episodes in Python, by their names."""
    scenario = read(changed('kind = "outage"\nstart = 5\nseconds = 5', text))
    assert [repr(one) for one in scenario.dependency.script] == episodes


def test_a_policy_takes_the_options_it_has_in_python() -> None:
    """All kinds of policy, and the ways in which a file writes what TOML has no word for."""
    retrying, breaking, places, limiting, answering = policies(
        "[{ retry = { attempts = false, within = 5, budget = { tokens = 100, cost = 10 }, on = 'timeout' } },"
        "{ breaker = { name = 'b', window = { calls = 50 }, failure_rate = false, slow_rate = 0.5, slow_after = 1,"
        "  on = ['error', 'timeout'], open_for = { exponential = { multiplier = 2, max = 60 } } } },"
        "{ bulkhead = { limit = 4, max_wait = inf, queue = 7 } },"
        "{ timeout = { seconds = 2 } }, { fallback = { on = ['refused', 'error'] } }]"
    )
    assert isinstance(retrying, Retry)
    assert (retrying.plan.attempts, retrying.plan.within) == (float("inf"), 5.0)
    assert retrying.plan.budget is not None
    assert (retrying.plan.budget.tokens, retrying.plan.budget.cost) == (100, 10)
    assert isinstance(breaking, CircuitBreaker)
    chosen = breaking._all_options()
    assert (breaking.name, chosen["window"], chosen["failure_rate"]) == ("b", calls(50), None)
    assert chosen["on"] == (ConnectionError, TimeoutError)
    assert chosen["open_for"].max == 60
    assert isinstance(places, Bulkhead)
    assert (places.limit, places.max_wait, places._queue.queue) == (4, float("inf"), 7)
    assert isinstance(limiting, Timeout)
    assert isinstance(answering, Fallback)
    assert "RejectedError" in repr(answering)


@pytest.mark.parametrize("name", ["fixed", "random", "incrementing", "exponential", "random_exponential"])
def test_waits_are_those_of_tenacity(name: str) -> None:
    """By their names, with or without ``wait_``, and with tenacity's own options."""
    options = "wait = 1" if name == "fixed" else "max = 3"
    for written in (name, f"wait_{name}"):
        (retrying,) = policies(f"[{{ retry = {{ wait = {{ {written} = {{ {options} }} }} }} }}]")
        assert type(retrying.plan._wait) is getattr(tenacity, f"wait_{name}")


def test_numbers_stand_for_the_one_option_that_matters() -> None:
    """``timeout = 1`` and ``bulkhead = 5`` need no table."""
    limiting, places = policies("[{ timeout = 1 }, { bulkhead = 5 }]")
    assert (limiting.seconds, places.limit) == (1.0, 5)


def test_an_empty_list_is_no_policies() -> None:
    """Calls without any policy are a candidate too, the one to compare with."""
    assert isinstance(read(with_policies("[]")).candidates[0].policy, Bare)


def test_every_error_the_dependency_causes_is_retried_by_default() -> None:
    """Errors and timeouts are, and refusals by another policy are not."""
    (retrying,) = policies("[{ retry = { wait = 0 } }]")
    for error in (ConnectionError(), TimeoutError()):
        assert retrying.plan.judge_error(error, None).wanted
    assert retrying.plan.passes(RejectedError())


def test_a_candidate_may_say_otherwise_than_the_file() -> None:
    """Processes, clients and sharing are for all candidates, or for one."""
    top = "processes = 4\nclients = 8\nper_shard = true\n" + SOUND
    (one,) = read(top).candidates
    assert (one.processes, one.clients, one.shared, one.per_shard) == (4, 8, False, True)
    (one,) = read(f"{top}processes = 2\nshared = true\nper_shard = false\n").candidates
    assert (one.processes, one.clients, one.shared, one.per_shard) == (2, 8, True, False)


def test_an_order_that_is_nearly_always_wrong_is_played_and_remarked() -> None:
    """A candidate may be bad on purpose; that it is, is said."""
    (one,) = read(with_policies("['breaker', 'retry']")).candidates
    assert len(one.notes) == 1
    assert "put retry outside the breaker" in one.notes[0]


def test_a_recording_takes_only_the_candidates_of_a_file() -> None:
    """A file for simulate is good for replay too; what says nothing there is named."""
    candidates, seed, ignored = candidates_of(SOUND.encode(), "mine.toml")
    assert ([one.name for one in candidates], seed) == (["retry"], 1)
    assert ignored == ["load", "dependency", "trouble"]


# -- what an author hears ----------------------------------------------------------------------------------

WRONG: list[tuple[str, str, str]] = [
    # (what is wrong, where the message says it is, what else it says)
    (changed("[load]\nrate = 20", ""), "mine.toml: [load] is missing", "rate = 70"),
    (changed("rate = 20", ""), "mine.toml: [load]: rate is missing", "write rate = 70"),
    (changed("rate = 20", "rate = -1"), "mine.toml: [load]: poisson(rate=-1)", "0 to 1,000,000"),
    (changed("rate = 20", "rate = nan"), "mine.toml: [load]: poisson(rate=nan)", "0 to 1,000,000"),
    (changed("rate = 20", 'rate = "20"'), "mine.toml: [load]: poisson(rate='20')", "calls per second"),
    (changed("rate = 20", "rate = true"), "mine.toml: [load]: poisson(rate=True)", "calls per second"),
    (changed("rate = 20", "rates = 20"), "mine.toml: [load]", "did you mean rate?"),
    (changed("rate = 20", 'rate = 1\nkind = "poison"'), "mine.toml: [load]", "did you mean poisson?"),
    (changed("rate = 20", "rate = 1\nkind = 3"), "mine.toml: [load]", "there is no kind of load '3'"),
    (changed("rate = 20", "rate = 1\nsize = 3"), "mine.toml: [load]", "no key (for kind = \"poisson\") 'size'"),
    (changed("rate = 20", 'rate = 1\nkind = "bursts"'), "mine.toml: [load]: size is missing", "write size = 200"),
    (
        changed("rate = 20", 'rate = 1\nkind = "bursts"\nsize = 10000000\nevery = 1'),
        "mine.toml: [load]: size = 10000000",
        "from 1 to 1,000,000",
    ),
    (changed("rate = 20", "rate = 1\n[[load.phase]]\nrate = 2"), "mine.toml: [load]: rate and [[load.phase]]", "each"),
    (changed("rate = 20", "[[load.phase]]\nrate = 2"), "mine.toml: [[load.phase]] 1: seconds is missing", "60"),
    (changed("rate = 20", "phase = 3"), "mine.toml: [[load.phase]] 1", "must be a table"),
    (changed("rate = 20", "phase = []"), "mine.toml: [load]: phases()", "there is none"),
    (changed("rate = 20", "[[load.phase]]\nseconds = -1\nrate = 2"), "mine.toml: [load]: phases(phase=-1)", "more"),
    (changed("[load]", "[[load]]"), "mine.toml: [load]: this must be a table", "and it is [{'rate': 20}]"),
    (changed("seconds = 20", "seconds = 0"), "mine.toml: seconds = 0", "write seconds = 180"),
    (changed("seconds = 20", "seconds = '20'"), "mine.toml: seconds = '20'", "write seconds = 180"),
    (changed("seconds = 20", "seed = 1.5"), "mine.toml: seed = 1.5", "whole number"),
    (changed("seconds = 20", "secconds = 20"), "mine.toml: there is no key 'secconds'", "did you mean seconds?"),
    (changed('"sound"', "3"), "mine.toml: title = 3", "it must be a text"),
    (
        changed("[dependency]", "[dependencies]"),
        "mine.toml: there is no key 'dependencies'",
        "did you mean dependency?",
    ),
    (changed("capacity = 5", "capacity = 0"), "mine.toml: [dependency]: capacity = 0", "from 1 to"),
    (changed("capacity = 5", "capcity = 5"), "mine.toml: [dependency]: there is no key 'capcity'", "mean capacity?"),
    (changed("capacity = 5", "queue = -1"), "mine.toml: [dependency]: Dependency(queue=-1)", "write queue=0"),
    (changed("capacity = 5", "shards = 1000000000"), "mine.toml: [dependency]: shards = 1000000000", "1,000"),
    (changed("capacity = 5", 'notices = "yes"'), "mine.toml: [dependency]: Dependency(notices='yes')", "switch"),
    (changed("service = 0.1", "service = -1"), "mine.toml: [dependency]: Dependency(service=-1)", "zero or more"),
    (
        changed("service = 0.1", 'service = "gamma(1)"'),
        "mine.toml: [dependency]: Dependency(service='gamma(1)')",
        'write "exponential(0.2)"',
    ),
    (changed("[[trouble]]", "[trouble]"), "mine.toml", "write its head with two brackets, [[trouble]]"),
    (changed('kind = "outage"', ""), "mine.toml: [[trouble]] 1: kind is missing", 'write kind = "outage"'),
    (changed('kind = "outage"', 'kind = "brownout"'), "mine.toml: [[trouble]] 1", "did you mean brown_out?"),
    (changed('kind = "outage"', 'kind = "x"'), "mine.toml: [[trouble]] 1", "there is: outage, black_hole, brown_out"),
    (changed("start = 5", ""), "mine.toml: [[trouble]] 1: start is missing", "write start = 60"),
    (changed("start = 5", "start = -5"), "mine.toml: [[trouble]] 1: outage(start=-5)", "zero or more"),
    (changed("start = 5", "start = 5\nslower = 2"), "mine.toml: [[trouble]] 1", 'for kind = "outage"'),
    (changed("start = 5", "start = 5\nshard = 4"), "mine.toml: [dependency]: Dependency(script=", "there are 1 shards"),
    (
        changed('kind = "outage"', 'kind = "brown_out"\nerrors = 30'),
        "mine.toml: [[trouble]] 1: brown_out(errors=30)",
        "write errors=0.3",
    ),
    (
        changed('kind = "outage"', 'kind = "flapping"\ndown = 1e-7\nup = 1e-7'),
        "mine.toml: [[trouble]] 1: flapping(): it would go down",
        "write a longer down",
    ),
    (changed('kind = "outage"', 'kind = "cold_start"\nsteps = 0'), "mine.toml: [[trouble]] 1: steps = 0", "from 1"),
    (SOUND.split("[[candidate]]")[0], "mine.toml: there is no [[candidate]]", "policies = "),
    (changed("[[candidate]]", "[candidate]"), "mine.toml", "[[candidate]]"),
    (changed("[[candidate]]", "[[candidates]]"), "mine.toml: there is no key 'candidates'", "did you mean candidate?"),
    (changed('name = "retry"', ""), "mine.toml: [[candidate]] 1: name is missing", 'write name = "…"'),
    (changed('name = "retry"', 'name = " "'), "mine.toml: [[candidate]] 1: name = ' '", "it must be a text"),
    (SOUND + '[[candidate]]\nname = "retry"\npolicies = []', "mine.toml: two candidates are named 'retry'", "apart"),
    (SOUND + '[[candidate]]\nname = "b"', "mine.toml: [[candidate]] 2: policies is missing", "policies = []"),
    (SOUND + "processes = 0", "mine.toml: [[candidate]] 1: processes = 0", "from 1 to 1,000"),
    (SOUND + "processes = 4\nclients = 2", "mine.toml: [[candidate]] 1: clients = 2", "from 4 to"),
    (SOUND + "shared = 1", "mine.toml: [[candidate]] 1: shared = 1", "write shared = true or shared = false"),
    (SOUND + "seconds = 1", "mine.toml: [[candidate]] 1: there is no key 'seconds'", "there is: name, policies"),
    (with_policies('"retry"'), "mine.toml: [[candidate]] 1: policies = 'retry'", "outermost first"),
    (with_policies("[3]"), "mine.toml: [[candidate]] 1 policies 1: it is 3", "one policy with its options"),
    (with_policies("[{ retry = true, timeout = 1 }]"), "mine.toml: [[candidate]] 1 policies 1", "must be one policy"),
    (with_policies("['hedge']"), "mine.toml: [[candidate]] 1 policies 1", "there is: retry, breaker, bulkhead"),
    (with_policies("['retries']"), "mine.toml: [[candidate]] 1 policies 1", "did you mean retry?"),
    (with_policies("[{ retry = 3 }]"), "mine.toml: [[candidate]] 1 policies 1: retry = 3", "write retry = { … }"),
    (with_policies("[{ retry = false }]"), "mine.toml: [[candidate]] 1 policies 1: retry = false", "retry = true"),
    (with_policies("[{ retry = { attempt = 3 } }]"), "mine.toml: [[candidate]] 1 policies 1 retry", "mean attempts?"),
    (with_policies("[{ retry = { attempts = 0 } }]"), "policies 1 retry: retry(attempts=0)", "at least 1"),
    (with_policies("[{ retry = { attempts = false } }]"), "policies 1 retry: retry(attempts=None)", "within=30.0"),
    (with_policies("[{ retry = { wait = -1 } }]"), "policies 1 retry: retry(wait=-1)", "zero or more"),
    (with_policies("[{ retry = { wait = 'exponential' } }]"), "policies 1 retry: wait = 'exponential'", "multiplier"),
    (
        with_policies("[{ retry = { wait = { expo = {} } } }]"),
        "policies 1 retry: there is no wait 'expo'",
        "is: fixed, random",
    ),
    (with_policies("[{ retry = { wait = { fixed = {} } } }]"), "retry wait.fixed: it needs wait", "wait = 0.1"),
    (with_policies("[{ retry = { wait = { random = 3 } } }]"), "retry wait.random: this must be a table", "it is 3"),
    (with_policies("[{ retry = { wait = { random = { max = 'x' } } } }]"), "wait.random: max = 'x'", "not less than"),
    (with_policies("[{ retry = { wait = {} } }]"), "policies 1 retry: wait = {}", "it is one wait"),
    (with_policies("[{ retry = { on = [] } }]"), "policies 1 retry: on = []", "error, timeout, refused"),
    (with_policies("[{ retry = { on = 'timeouts' } }]"), "policies 1 retry", "did you mean timeout?"),
    (with_policies("[{ retry = { stop = 3 } }]"), "policies 1 retry: there is no key 'stop'", "attempts"),
    (with_policies("[{ retry = { budget = 5 } }]"), "policies 1 retry: budget = 5", "budget = true or budget = {"),
    (with_policies("[{ retry = { budget = { cost = 0 } } }]"), "retry budget: RetryBudget(cost=0)", "cost=1"),
    (with_policies("[{ retry = { budget = { price = 0 } } }]"), "retry budget: there is no key 'price'", "cost"),
    (
        with_policies("[{ breaker = { failure_rate = 50 } }]"),
        "breaker: CircuitBreaker(failure_rate=50)",
        "0.5 for 50 %",
    ),
    (with_policies("[{ breaker = { window = { call = 3 } } }]"), "breaker window: there is no key 'call'", "calls?"),
    (with_policies("[{ breaker = { window = { calls = 0 } } }]"), "breaker window: calls = 0", "from 1"),
    (with_policies("[{ breaker = { on = 'refused' } }]"), "policies 1 breaker: on = 'refused'", "never counts"),
    (with_policies("[{ breaker = { slow_rate = 0.5 } }]"), "policies 1 breaker: CircuitBreaker(", "slow_after"),
    (with_policies("['bulkhead']"), "policies 1 bulkhead: it needs limit", "write bulkhead = 20"),
    (with_policies("[{ bulkhead = 0 }]"), "policies 1 bulkhead: Bulkhead(limit=0)", "limit=1"),
    (with_policies("[{ bulkhead = true }]"), "policies 1 bulkhead: it needs limit", "write bulkhead = 20"),
    (with_policies("[{ timeout = -1 }]"), "policies 1 timeout: timeout(seconds=-1)", "more than zero"),
    (with_policies("[{ timeout = '1s' }]"), "policies 1: timeout = '1s'", "timeout = 1"),
    (with_policies("[{ timeout = nan }]"), "policies 1 timeout: timeout(seconds=nan)", "finite"),
    (with_policies("[{ fallback = { value = 1 } }]"), "policies 1 fallback: there is no key 'value'", "there is: on"),
    ("seconds = 20\nrate 20", "mine.toml:2: it is not TOML", "column 6"),
    ('title = "open', "mine.toml", "it is not TOML"),
    ("seconds = 1\nseconds = 2", "mine.toml:2: it is not TOML", "Cannot overwrite a value"),
    ("a = " + "[" * 5000, "mine.toml", "nested too deeply"),
]


@pytest.mark.parametrize(("text", "where", "instead"), WRONG, ids=range(len(WRONG)))
def test_a_mistake_is_named_with_its_place_and_what_to_write(text: str, where: str, instead: str) -> None:
    """File, table and key, what is wrong, and what would be right, all in one line."""
    with pytest.raises(ConfigurationError) as told:
        read(text)
    message = str(told.value)
    assert message.startswith("mine.toml")
    assert where in message
    assert instead in message
    assert "\n" not in message


def test_a_byte_order_mark_is_no_mistake() -> None:
    """Editors on Windows put one in front, where nobody sees it; lines may end as they do there."""
    assert scenario_of(b"\xef\xbb\xbf" + SOUND.replace("\n", "\r\n").encode(), "mine.toml").title == "sound"


@pytest.mark.parametrize("text", [r"a\nb", r"\u001b[31mred", r"a\tb", r"a\u0085b"])
def test_a_name_cannot_break_the_table_or_talk_to_the_terminal(text: str) -> None:
    """A line break, or a sequence that colours all that follows; a description may have lines, and only those."""
    for key, usual in (("title", "sound"), ("name", "retry")):
        given = SOUND.replace(f'{key} = "{usual}"', f'{key} = "{text}"')
        with pytest.raises(ConfigurationError, match=rf"{key} = .*: it is shown in one line"):
            scenario_of(given.encode(), "mine.toml")
    assert scenario_of(f'description = """a\r\n\tb"""\n{SOUND}'.encode(), "mine.toml").description == "a b"
    with pytest.raises(ConfigurationError, match=r"description = .*: control characters"):
        scenario_of(f'description = "\\u001bc"\n{SOUND}'.encode(), "mine.toml")


def test_a_file_that_is_no_text_says_in_which_line() -> None:
    """Bytes that are not UTF-8 are found."""
    with pytest.raises(ConfigurationError, match=r"^mine\.toml:2: this is not UTF-8"):
        scenario_of(b"seconds = 1\ntitle = '\xff'\n", "mine.toml")


TOKENS = (
    "retry breaker timeout load rate name policies candidate trouble kind start seconds on wait = [ ] { } . , # ' \" "
    "\n [[candidate]] [load] [dependency] 1 -1 0.5 nan inf true 1979-05-27"
)
WORDS = st.sampled_from(TOKENS.split(" "))


def complaint(text: str | bytes) -> str:
    """What is said of a file; of a sound one, only its name."""
    try:
        scenario_of(text.encode() if isinstance(text, str) else text, "mine.toml")
    except ConfigurationError as error:
        return str(error)
    return "mine.toml"


@given(st.one_of(st.binary(max_size=200), st.lists(WORDS, max_size=60).map(lambda words: " ".join(words).encode())))
def test_no_file_ends_in_a_traceback(data: bytes) -> None:
    """Whatever bytes there are, they are a scenario or one sentence about a mistake."""
    assert complaint(data).startswith("mine.toml")


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just(10**400)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["kind", "calls", "fixed", "max", "x"]), inner)
    ),
    max_leaves=5,
)
PLACES = re.findall(r"^(\w+) = (.+)$", SOUND, flags=re.MULTILINE)


def toml(value: object) -> str:
    """A value as TOML writes it; what TOML has no word for, as a text."""
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case float():
            return f"{value!r}"
        case list():
            return f"[{', '.join(map(toml, value))}]"
        case dict():
            return "{" + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + "}"
        case _:
            return '"x"'


@given(st.sampled_from(PLACES), VALUES)
def test_any_value_in_any_place_is_taken_or_refused(place: tuple[str, str], value: object) -> None:
    """One key of a sound file gets something else: that is a scenario, or one sentence."""
    key, before = place
    text = SOUND.replace(f"{key} = {before}", f"{key} = {toml(value)}", 1)
    assert complaint(text).startswith("mine.toml")


OPTIONS = (
    "attempts wait within budget on window open_for probes limit max_wait queue seconds failure_rate slow_rate "
    "slow_after min_calls name ignore consecutive"
)


@given(
    st.sampled_from(["retry", "breaker", "bulkhead", "timeout", "fallback"]),
    st.dictionaries(st.sampled_from(OPTIONS.split()), VALUES, max_size=3),
)
def test_any_options_of_any_policy_are_taken_or_refused(kind: str, options: dict[str, object]) -> None:
    """The same for what a policy is given."""
    assert complaint(with_policies(f"[{{ {kind} = {toml(options)} }}]")).startswith("mine.toml")


def test_the_shipped_cases_have_a_title_and_say_what_to_see() -> None:
    """Each of them is read without a remark, and so are the candidates for recordings."""
    assert len(shipped.CASES) == 7
    for name in shipped.CASES:
        scenario = scenario_of(shipped.read(name), name)
        assert scenario.title
        assert len(scenario.description) > 200
        assert [one.notes for one in scenario.candidates] == [()] * len(scenario.candidates)
    candidates, _, ignored = candidates_of(shipped.candidates(), shipped.REPLAYED)
    assert ([one.name for one in candidates], ignored) == (["as recorded", "naive retries", "resilix"], [])


def test_every_file_among_the_cases_is_listed() -> None:
    """A case that is not named in the list would never be shown."""
    there = {path.name for path in shipped.files("resilix.whatif").joinpath("cases").iterdir()}
    assert there == {f"{name}.toml" for name in shipped.CASES}
    status, out, _ = said("simulate", "--list")
    assert (status, [line.split()[0] for line in out.splitlines()]) == (0, list(shipped.CASES))
