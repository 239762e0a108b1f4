"""The equations of the reward, every matcher with what it must reject, and hostile results."""

import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astra.rewards import Reward, f1, matches, precision, recall, score, solves, stands_in_text
from astra.types import CallRecord, CallStatus, Goal, GoldCall, Matcher, Target

LIMIT = 10_000
"""Depth of hostile results: ten times Python's recursion limit."""


def target(matcher: str, value: Any, **fields: Any) -> Target:
    return Target(matcher=Matcher(matcher), value=value, **fields)


def goal(name: str, value: Any = None, *, tool: str = "tool") -> Goal:
    value = name if value is None else value
    return Goal(
        id=name,
        question=f"What is {name}?",
        answer=value,
        call=GoldCall(tool=tool, arguments={"of": name}),
        target=target("exact", value, field="value"),
    )


def call(
    result: Any, *, turn: int = 0, tool: str = "tool", status: str = "ok", id: str = "c"
) -> CallRecord:
    return CallRecord(
        id=id, turn=turn, tool=tool, arguments={}, status=CallStatus(status), result=result
    )


# --- the equations -----------------------------------------------------------------------------

COUNTS = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60)).map(
    # solved <= goals and solved <= calls
    lambda t: (t[0], t[0] + t[1], t[0] + t[2])
)


@given(COUNTS)
def test_recall_precision_and_f1_follow_their_equations(counts: tuple[int, int, int]):
    solved, goals, calls = counts
    r, p = recall(solved, goals), precision(solved, calls)
    assert r == (solved / goals if goals else 0)
    assert p == pytest.approx(solved / calls if calls else 0, abs=1e-15)
    assert all(0 <= value <= 1 for value in (r, p, f1(r, p)))
    # The harmonic mean, in the other form that it has for counts.
    assert f1(r, p) == pytest.approx(2 * solved / (goals + calls) if solved else 0, abs=1e-12)
    assert min(r, p) - 1e-12 <= f1(r, p) <= max(r, p) + 1e-12


@given(COUNTS)
def test_one_more_useless_call_never_pays(counts: tuple[int, int, int]):
    solved, goals, calls = counts
    r = recall(solved, goals)
    assert precision(solved, calls + 1) <= precision(solved, calls)
    assert f1(r, precision(solved, calls + 1)) <= f1(r, precision(solved, calls))


@pytest.mark.parametrize("goals", range(1, 12))
@pytest.mark.parametrize("reward", ["f1", "recall", "precision"])
def test_a_perfect_episode_is_exactly_one_and_none_exactly_zero(goals: int, reward: Reward):
    wanted = [goal(f"g{i}") for i in range(goals)]
    calls = [call({"value": f"g{i}"}, turn=i, id=f"c{i}") for i in range(goals)]
    assert score(calls, wanted, reward=reward).reward == 1.0
    assert score([], wanted, reward=reward).reward == 0.0


def test_no_goals_score_zero():
    assert score([call({"value": 1})], []).reward == 0.0
    assert score([], []).reward == 0.0


def test_an_answer_node_is_not_counted():
    node = Goal(id="sum", question="In all?", answer=3, call=None, target=None)
    found = score([call({"value": "a"})], [goal("a"), node])
    assert (found.goals, found.solved, found.reward) == (1, 1, 1.0)


def test_the_selected_reward():
    calls = [call({"value": "a"}), call({"value": "x"}), call({"value": "y"})]
    goals = [goal("a"), goal("b")]
    assert score(calls, goals).reward == pytest.approx(0.4)
    assert score(calls, goals, reward="recall").reward == 0.5
    assert score(calls, goals, reward="precision").reward == pytest.approx(1 / 3)


# --- episodes ----------------------------------------------------------------------------------

GOALS = [goal(name) for name in "abcde"]
# Answers of goals, repeated ones among them, and useless ones.
EPISODES = st.lists(
    st.tuples(st.sampled_from([*"abcde", "wrong", "other"]), st.integers(0, 6)), max_size=14
)
Episode = list[tuple[str, int]]


def calls_of(episode: Episode) -> list[CallRecord]:
    return [
        call({"value": value}, turn=turn, id=f"c{i}") for i, (value, turn) in enumerate(episode)
    ]


@given(EPISODES, st.sampled_from(["f1", "recall", "precision"]), st.integers(0, 9))
def test_increments_sum_to_the_reward(episode: Episode, reward: Reward, turns: int):
    found = score(calls_of(episode), GOALS, reward=reward, turns=turns)
    assert math.fsum(found.increments) == pytest.approx(found.reward, abs=1e-12)
    assert len(found.increments) == max([turns, *(turn + 1 for _, turn in episode)])
    assert 0 <= found.reward <= 1


def test_increments_per_turn():
    calls = [call({"value": "a"}, turn=0), call({"value": "x"}, turn=2)]
    found = score(calls, [goal("a"), goal("b")], turns=4)
    # After the turns: 1 of 2 by 1 call, the same, by 2 calls, the same.
    assert found.increments == pytest.approx((2 / 3, 0, 1 / 2 - 2 / 3, 0))


@given(EPISODES, st.randoms())
def test_the_order_of_calls_does_not_change_the_score(episode: Episode, random: Any):
    shuffled = list(episode)
    random.shuffle(shuffled)
    one, other = score(calls_of(episode), GOALS), score(calls_of(shuffled), GOALS)
    assert (one.solved, one.reward) == (other.solved, other.reward)
    assert one.solved_by.keys() == other.solved_by.keys()


@given(EPISODES, st.sampled_from("abcde"))
def test_solving_more_never_lowers_recall(episode: Episode, value: str):
    more = score(calls_of([*episode, (value, 9)]), GOALS)
    assert more.recall >= score(calls_of(episode), GOALS).recall


@given(EPISODES)
def test_a_useless_call_never_raises_a_reward(episode: Episode):
    before, after = (score(calls_of(e), GOALS) for e in (episode, [*episode, ("wrong", 9)]))
    assert after.precision <= before.precision
    assert after.f1 <= before.f1
    assert after.recall == before.recall


def test_a_goal_counts_once_and_a_call_solves_one_goal():
    twins = [goal("first", 7), goal("second", 7)]
    once = score([call({"value": 7}, id="c0")], twins)
    assert once.solved_by == {"first": "c0"}
    twice = score([call({"value": 7}, id="c0"), call({"value": 7}, id="c1")], twins)
    assert twice.solved_by == {"first": "c0", "second": "c1"}
    assert score([call({"value": 7})] * 3, twins[:1]).solved == 1


def test_only_a_successful_call_to_the_goals_own_tool_counts():
    right = {"value": "a"}
    assert score([call(right)], [goal("a")]).solved == 1
    assert score([call(right, tool="distractor")], [goal("a")]).solved == 0
    for status in set(CallStatus) - {CallStatus.ok}:
        failed = score([call(right, status=status)], [goal("a")])
        # A fault that passes is nobody's mistake: the call is as if it had not been made.
        counted = 0 if status is CallStatus.transient else 1
        assert (failed.solved, failed.calls) == (0, counted), status


def test_the_final_answer_is_judged_apart_from_the_reward():
    wanted = target("number", 1234.5, relative=1e-3)
    right = score([], [goal("a")], answer="It is 1,234 km.", answer_target=wanted)
    assert (right.answer_correct, right.reward) == (True, 0.0)
    assert score([], [], answer="It is 12 km.", answer_target=wanted).answer_correct is False
    assert score([], [], answer="", answer_target=wanted).answer_correct is False
    assert score([], [], answer_target=wanted).answer_correct is None


# --- matchers ----------------------------------------------------------------------------------

NUMBER = target("number", 100, absolute=0.5, relative=0.0)
DATE = target("date", "2020-01-05")
NAMES = target("set", ("Bonn", "Köln"))
ACCEPTED = [
    (target("exact", "São Paulo"), "  sa\u0303o PAULO "),
    (target("exact", 3), 3.0),
    (target("exact", 1999), "1999"),
    (target("exact", "1999"), 1999),
    (target("exact", True), True),
    (target("exact", "北京"), "北京"),
    (target("exact", 2**53 + 1), 2**53 + 1),
    (NUMBER, 100.5),
    (NUMBER, "99.5"),
    (target("number", 1_000_000, relative=1e-3), "1,000,900"),
    (target("number", 0.1 + 0.2), 0.3),
    (target("number", "12"), 12),
    (DATE, "2020-01-05T23:00:00+08:00"),
    (DATE, "2020年1月5日"),
    (DATE, "2020-01-05"),
    (NAMES, ["köln", "BONN", "Bonn"]),
    (target("set", (1, 2.0)), [2, 1, "1.0"]),
    (target("set", (True, "x")), ["X", True]),
    (target("text", "euro"), "The Euro (EUR)"),
    (target("text", "人民币"), "货币是人民币。"),
    (target("text", 42), "It is 42."),
    (target("text", ("Rhine", "Main")), "main, rhine"),
]
REJECTED = [
    (target("exact", "Paris"), "Paris, France"),
    (target("exact", 3), 3.0000001),
    (target("exact", "007"), "7"),
    (target("exact", 1), True),
    (target("exact", True), 1),
    (target("exact", True), "true"),
    (target("exact", 2**53), 2**53 + 1),
    (target("exact", "x"), None),
    (target("exact", "x"), ["x"]),
    (target("exact", ("x",)), ["x"]),
    (NUMBER, 100.51),
    (NUMBER, "about 100"),
    (NUMBER, math.nan),
    (NUMBER, math.inf),
    (NUMBER, "1e999"),
    (NUMBER, 10**400),
    (NUMBER, None),
    (NUMBER, [100]),
    (target("number", 1), True),
    (target("number", "x"), "x"),
    (target("number", 1, relative=1.0), -1),
    (target("number", math.inf), math.inf),
    (target("number", math.nan), math.nan),
    (DATE, "2020-01-06"),
    (DATE, 1578182400),
    (DATE, "born on 2020-01-05"),
    (target("date", "x"), "x"),
    (NAMES, ["Bonn"]),
    (NAMES, ["Bonn", "Köln", "Mainz"]),
    (NAMES, "Bonn, Köln"),
    (NAMES, ["Bonn", "Köln", None]),
    (NAMES, ["Bonn", "Köln", ["Bonn"]]),
    (target("set", ()), []),
    (target("set", ("007",)), ["7"]),
    (target("set", (1,)), [True]),
    (target("set", (math.nan,)), [math.nan]),
    (target("set", "Bonn"), ["Bonn"]),
    (target("text", "euro"), "neuron"),
    (target("text", "Rome"), {"city": "Rome"}),
    (target("text", 5), "15.5"),
    (target("text", ""), "anything"),
    (target("text", ()), "anything"),
    (target("text", ("Rhine", "Main")), "Rhine"),
]


@pytest.mark.parametrize(("wanted", "found"), ACCEPTED)
def test_matches(wanted: Target, found: Any):
    assert matches(wanted, found)
    assert solves(wanted.model_copy(update={"field": "x"}), {"rows": [{"x": found}]})


@pytest.mark.parametrize(("wanted", "found"), REJECTED)
def test_does_not_match(wanted: Target, found: Any):
    assert not matches(wanted, found)
    assert not solves(wanted.model_copy(update={"field": "x"}), {"rows": [{"x": found}]})


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (DATE, "Founded on 5 January 2020."),
        (DATE, "成立于2020年1月5日。"),
        (NUMBER, "about 100.2 km, since 1999"),
        (target("number", -5), "between \u22125 and 5"),
        (NAMES, "Köln and Bonn, of 12"),
        (target("exact", "007"), "agent 007"),
        (target("exact", 1234567), "1,234,567 people"),
    ],
)
def test_stands_in_text(wanted: Target, text: str):
    assert stands_in_text(wanted, text)


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (DATE, "Founded on 6 January 2020."),
        (target("date", "never"), "never"),
        (NUMBER, "1,100 km"),
        (target("number", -5), "1990-5"),
        (NAMES, "Köln"),
        (target("exact", "007"), "agent 7"),
        (target("exact", 3), "3.14"),
        (target("number", math.nan), "nan"),
        (target("set", ()), ""),
    ],
)
def test_does_not_stand_in_text(wanted: Target, text: str):
    assert not stands_in_text(wanted, text)


# --- where the answer stands -------------------------------------------------------------------

EURO = target("exact", "euro", field="currency", key={"country": "Germany"})


@pytest.mark.parametrize(
    "result",
    [
        {"country": "Germany", "currency": "euro"},
        {"country": "GERMANY", "facts": {"money": [{"currency": "Euro"}]}},
        [{"country": "Peru", "currency": "sol"}, {"country": "Germany", "currency": "euro"}],
        {"country": "France", "neighbours": [{"country": "Germany", "currency": "euro"}]},
    ],
)
def test_the_euro_of_germany(result: Any):
    assert solves(EURO, result)


@pytest.mark.parametrize(
    "result",
    [
        {"country": "France", "currency": "euro"},
        {"currency": "euro"},
        {"country": "Germany", "money": "euro"},
        {"country": "Germany", "currency": ["euro"]},
        {"country": ["Germany"], "currency": "euro"},
        {"country": "Germany", "neighbours": [{"country": "France", "currency": "euro"}]},
        [{"country": "Germany"}, {"currency": "euro"}],
        "Germany: euro",
        None,
    ],
)
def test_the_euro_of_france_is_not_the_euro_of_germany(result: Any):
    assert not solves(EURO, result)


def test_without_a_field_the_answer_stands_anywhere_among_the_values():
    wanted = target("exact", "euro")
    for result in ("euro", ["x", {"a": ["The euro"]}], {"currency": "euro", "n": 1}):
        assert solves(wanted, result)
    # Keys are no values, and neighbouring values never run together.
    for result in ({"euro": 1}, ["eu", "ro"], None, [], {"x": None}):
        assert not solves(wanted, result)
    assert solves(target("number", 12), {"n": 12, "m": 3})
    assert not solves(target("number", 123), {"n": 12, "m": 3})


# --- hostile results ---------------------------------------------------------------------------


def nested(inner: Any, *, as_list: bool) -> Any:
    for i in range(LIMIT):
        inner = [inner] if as_list else {f"k{i}": inner, "country": "France"}
    return inner


@pytest.mark.parametrize("as_list", [True, False])
def test_a_deep_result_is_scored(as_list: bool):
    right = nested({"country": "Germany", "currency": "euro"}, as_list=as_list)
    wrong = nested({"country": "France", "currency": "euro"}, as_list=as_list)
    assert solves(EURO, right)
    assert not solves(EURO, wrong)
    assert solves(target("exact", "euro"), right)


HOSTILE: list[Any] = [
    10**5000,
    [math.nan, math.inf, -math.inf, "1e999", "½", "²", "\ud800", "\x00"],
    {"value": {"value": {"value": []}}},
    {"value": [["value"]]},
    {"": None, "value": None},
]


@pytest.mark.parametrize("matcher", list(Matcher))
@pytest.mark.parametrize("field", [None, "value"])
@pytest.mark.parametrize("value", ["x", 7, ("x", "y"), True])
def test_hostile_results_never_crash_and_never_solve(
    matcher: Matcher, field: str | None, value: Any
):
    wanted = Target(matcher=matcher, value=value, field=field, key={"value": "x"} if field else {})
    for hostile in HOSTILE:
        assert not solves(wanted, hostile)
        assert not solves(wanted, {"value": hostile})


@pytest.mark.parametrize("matcher", list(Matcher))
def test_a_large_result_is_scored_in_a_moment(matcher: Matcher):
    value = "2020-01-05" if matcher is Matcher.date else "7"
    wanted = Target(matcher=matcher, value=(value,) if matcher is Matcher.set else value)
    rows = [{"value": f"{i} 中国 1,000"} for i in range(8, 50_000)]
    start = time.process_time()
    assert not solves(wanted, rows)
    assert not solves(wanted.model_copy(update={"field": "value", "key": {"k": 1}}), rows)
    assert not matches(wanted, [row["value"] for row in rows])
    assert time.process_time() - start < 10
