"""The judge: its equations, what it never sees, and faults that are planted for it to find."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from astra.configs.trajectories import JudgeTrajectoriesConfig
from astra.errors import Rejected, TeacherError
from astra.models.scripted import calling
from astra.runs.folder import RunFolder
from astra.runs.runner import run
from astra.teacher.prompt import Prompt
from astra.teacher.prompts.judging import (
    ANSWER as ANSWERED,
)
from astra.teacher.prompts.judging import (
    CALLS,
    OPENING,
    ROUND,
    CallVerdict,
    CallVerdicts,
    Grade,
    JudgedCallsIn,
)
from astra.teacher.render import PromptTemplates
from astra.testing.rule_teacher.trajectories import TrajectoryRules
from astra.trajectories.judge.agreement import agreement, agreements, ratings
from astra.trajectories.judge.conversation import judged_conversation
from astra.trajectories.judge.judge import judge
from astra.trajectories.judge.points import FAITHFULNESS_PLACE, judge_points
from astra.trajectories.judge.rule_checks import (
    other_language,
    repetitions,
    unknown_numbers,
    unknown_urls,
)
from astra.trajectories.judge.stage import JUDGEMENTS, judgements_stage
from astra.trajectories.make import judgements_name
from astra.trajectories.records import (
    Judgement,
    PlannedCall,
    RecordedRollout,
    TrajectoryScore,
)
from astra.types import CallRecord, CallStatus

from .judged_rollouts import AGAIN, ANSWER, GOOD, LIST, TRACK, Generous, played, raw

CANCEL = calling(("cancel_order", {"order_id": "ord-7"}), text="I cancel ord-7 too.")

# --- the equations -----------------------------------------------------------------------------


async def test_a_good_trajectory_and_its_seven_scores():
    good = await played(*GOOD)
    found = await judge(good, Generous())
    assert set(found.scores) == set(TrajectoryScore)
    # One call failed in passing and was made again, which is right.
    assert all(found.scores[m] == 1 for m in TrajectoryScore)
    assert found.reward == 1 and found.outcome is None
    assert (found.rollout, found.judge) == (good.id, "generous")
    assert (await judge(good, TrajectoryRules())).scores == found.scores


async def test_what_is_asked_and_where_it_stands():
    found = await judge(await played(*GOOD), Generous())
    places = [(f.measure.value, f.place, f.by) for f in found.findings]
    ids = [place for measure, place, _ in places if measure == "TCS"]
    called = [place for measure, place, _ in places if measure == "TC"]
    assert len(set(ids)) == 2 and len(set(called)) == 3 and set(ids) < set(called)
    assert places == [
        ("QU", "message 2", "teacher"),
        ("QP", "message 2", "teacher"),
        *((m, f"round {n}", "teacher") for n in (2, 3) for m in ("TCU", "TCP")),
        *(("TCS", place, "record") for place in ids),
        *(("TC", place, "teacher") for place in called),
        ("FA", "answer, to the request", "teacher"),
        ("FA", "answer, to the conversation", "teacher"),
    ]


async def test_half_grades_and_the_two_halves_of_the_final_answer():
    class Torn(Generous):
        async def ask(self, prompt: Any, task: Any, *, index: int = 0) -> Any:
            given = await super().ask(prompt, task, index=index)
            half = Grade(reason="half", grade="partly")
            changes = {OPENING: {"planning": half}, ANSWERED: {"relevance": half}}
            return given.model_copy(update=changes.get(prompt, {}))

    found = await judge(await played(*GOOD), Torn())
    assert found.scores[TrajectoryScore.QP] == 0.5
    assert found.scores[TrajectoryScore.FA] == 0.75


async def test_parallel_calls_are_one_round_and_one_round_has_no_tcu():
    both = calling(
        ("list_orders", {"customer_id": "cust-1"}), ("get_tracking", {"order_id": "ord-9"})
    )
    one = await played(both, ANSWER, busy=())
    assert len(judged_conversation(one).rounds) == 1
    found = await judge(one, Generous())
    assert set(found.scores) == set(TrajectoryScore) - {TrajectoryScore.TCU, TrajectoryScore.TCP}
    assert found.reward == 1
    two = await judge(await played(both, both, ANSWER, busy=()), Generous())
    assert [f.place for f in two.findings if f.measure is TrajectoryScore.TCU] == ["round 2"]


async def test_a_failure_that_is_not_made_good_costs():
    found = await judge(await played(LIST, TRACK, CANCEL, ANSWER), Generous())
    assert found.scores[TrajectoryScore.TCS] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("script", "busy", "reached"),
    [((LIST, CANCEL, ANSWER), (), 1.0), ((LIST, CANCEL, ANSWER), (1,), 0.0), ((ANSWER,), (), 0.0)],
)
async def test_whether_the_planned_change_was_made(
    script: tuple[Any, ...], busy: tuple[int, ...], reached: float
) -> None:
    rollout = await played(*script, busy=busy)
    plan = (PlannedCall(id="c1", tool="list_orders"), PlannedCall(id="c2", tool="cancel_order"))
    task = rollout.task.model_copy(update={"plan": plan})
    found = await judge(rollout.model_copy(update={"task": task}), Generous())
    assert found.outcome == reached


async def test_without_calls_there_is_no_score_of_calls():
    found = await judge(await played("I can't say."), Generous())
    assert set(found.scores) == {TrajectoryScore.QU, TrajectoryScore.QP, TrajectoryScore.FA}


async def test_nothing_said_is_nothing_to_judge():
    empty = await played("x")
    messages = empty.trajectory.messages[:2]
    none = empty.model_copy(
        update={"trajectory": empty.trajectory.model_copy(update={"messages": messages})}
    )
    with pytest.raises(Rejected, match="no_message"):
        await judge(none, Generous())


async def test_several_judges_are_averaged():
    teacher = Generous(("yes", "no", "partly"))
    found = await judge(await played(*GOOD), teacher, votes=3)
    assert found.scores[TrajectoryScore.QU] == 0.5
    assert found.scores[TrajectoryScore.TC] == pytest.approx(1 / 3)
    assert found.scores[TrajectoryScore.TCS] == 1
    assert [f.value for f in found.findings if f.measure is TrajectoryScore.QU] == [1, 0, 0.5]


# --- what judges see ---------------------------------------------------------------------------


def questions(rollout: RecordedRollout, prompt: Prompt[Any, Any]) -> list[tuple[str, Any]]:
    """(place, input) of all points that a prompt is asked about."""
    return [
        (point.place, point.question.input)
        for point in judge_points(rollout)
        if point.question is not None and point.question.prompt is prompt
    ]


def shown(prompt: Prompt[Any, Any], given: Any) -> str:
    return "\n".join(message.content for message in PromptTemplates().messages(prompt, given))


async def test_no_judge_sees_the_system_message():
    teacher = Generous()
    rollout = await played(*GOOD)
    assert "SECRET-SYSTEM" in rollout.trajectory.messages[0].content
    await judge(rollout, teacher)
    # One request for both scores of the opening, a later round, or the answer; one for all calls.
    assert [prompt for prompt, _ in teacher.asked] == [OPENING, ROUND, ROUND, CALLS, ANSWERED]
    for prompt, given in teacher.asked:
        assert "SECRET" not in shown(prompt, given)


async def test_rounds_see_the_past_and_not_the_future():
    asked = dict(questions(await played(*GOOD), ROUND))
    second, third = (shown(ROUND, asked[f"round {n}"]) for n in (2, 3))
    assert "Too many requests" in second and "track.example" not in second
    assert "I try again" in third and "Order ord-9 of customer" not in third


async def test_judges_see_the_tools_that_matter_and_the_names_of_the_others():
    rollout = await played(LIST, TRACK, AGAIN, CANCEL, ANSWER)
    plan = (PlannedCall(id="c1", tool="list_orders"),)
    rollout = rollout.model_copy(update={"task": rollout.task.model_copy(update={"plan": plan})})
    [(_, opening), *_] = questions(rollout, OPENING)
    assert [tool.name for tool in opening.tools] == ["list_orders"]
    assert opening.other_tools == ("get_tracking", "cancel_order")
    rounds = dict(questions(rollout, ROUND))
    # What is called later would tell the future.
    assert [tool.name for tool in rounds["round 2"].tools] == ["list_orders", "get_tracking"]
    assert rounds["round 4"].other_tools == ()
    [(_, calls), *_] = questions(rollout, CALLS)
    assert len(calls.tools) == 3


async def test_long_results_are_cut_where_they_are_not_judged():
    rollout = await played(*GOOD)
    long = json.dumps({"orders": ["x" * 50_000]})
    messages = [
        m.model_copy(update={"content": long}) if m.role == "tool" and "ord-7" in m.content else m
        for m in rollout.trajectory.messages
    ]
    trajectory = rollout.trajectory.model_copy(update={"messages": tuple(messages)})
    rollout = rollout.model_copy(update={"trajectory": trajectory})
    rounds = dict(questions(rollout, ROUND))
    # Round 2 has to understand it, round 3 another one; the answer rests on all of them.
    assert len(shown(ROUND, rounds["round 2"])) > 50_000 > len(shown(ROUND, rounds["round 3"]))
    assert "characters left out" in shown(ROUND, rounds["round 3"])
    [(_, calls), *_] = questions(rollout, CALLS)
    assert len(shown(CALLS, calls)) < 50_000
    [(_, answer), *_] = questions(rollout, ANSWERED)
    assert len(shown(ANSWERED, answer)) > 50_000


async def test_calls_that_a_teacher_cannot_judge_together_are_asked_about_in_halves():
    class OneAtATime(Generous):
        async def ask(self, prompt: Any, task: Any, *, index: int = 0) -> Any:
            if prompt is CALLS and len(task.calls) > 1:
                raise TeacherError("too much at once")
            return await super().ask(prompt, task, index=index)

    teacher = OneAtATime()
    rollout = await played(*GOOD)
    assert (await judge(rollout, teacher)) == (await judge(rollout, Generous()))
    assert sum(prompt is CALLS for prompt, _ in teacher.asked) == 3


@pytest.mark.parametrize("verdicts", [[], ["c1"], ["c2", "c1"], ["c1", "c2", "c2"], ["c1", "c3"]])
def test_verdicts_must_be_of_the_calls_that_were_asked_about(verdicts: list[str]):
    given = JudgedCallsIn(language="en", tools=(), messages=(), calls=("c1", "c2"))

    def answer(calls: list[str]) -> CallVerdicts:
        return CallVerdicts(
            verdicts=tuple(CallVerdict(call=call, reason="x", holds=True) for call in calls)
        )

    assert CALLS.problem is not None
    assert CALLS.problem(given, answer(verdicts)) and not CALLS.problem(given, answer(["c1", "c2"]))


# --- several user turns ------------------------------------------------------------------------


class Says:
    """A user with more to say."""

    def __init__(self, *messages: str) -> None:
        self._messages = messages

    async def reply(self, messages: Any) -> str | None:
        said = sum(message.role == "user" for message in messages) - 1
        return self._messages[said] if said < len(self._messages) else None


MORE = "Then cancel order ord-7, please."
TALK = (*GOOD, CANCEL, "Order ord-7 is cancelled.")


async def test_every_user_turn_has_scores_of_its_own():
    rollout = await played(*TALK, user=Says(MORE))
    found = await judge(rollout, Generous())
    places = [(f.measure.value, f.place, f.turn) for f in found.findings]
    assert [place for place in places if place[0] in ("QU", "FA")] == [
        ("QU", "message 2", 1),
        ("QU", "message 10", 2),
        ("FA", "answer 1, to the request", 1),
        ("FA", "answer 1, to the conversation", 1),
        ("FA", "answer 2, to the request", 2),
        ("FA", "answer 2, to the conversation", 2),
    ]
    # The first round of the second turn opens it, and is judged as such.
    assert [place for place in places if place[0] == "TCU"] == [
        ("TCU", "round 2", 1),
        ("TCU", "round 3", 1),
    ]
    assert [turn for measure, _, turn in places if measure == "TC"] == [1, 1, 1, 2]
    (_, (_, second), *_) = [q for i, q in enumerate(questions(rollout, OPENING)) if not i % 2]
    assert second.request == MORE and len(second.messages) == 8


async def test_a_fault_in_a_later_turn_costs_as_one_in_the_first_does():
    good = await judge(await played(*TALK, user=Says(MORE)), Generous())
    assert good.reward == 1

    class SecondTurnMisread(Generous):
        async def ask(self, prompt: Any, task: Any, *, index: int = 0) -> Any:
            given = await super().ask(prompt, task, index=index)
            if prompt is OPENING and task.request == MORE:
                no = Grade(reason="misread", grade="no")
                return given.model_copy(update={"understanding": no, "planning": no})
            return given

    misread = await judge(await played(*TALK, user=Says(MORE)), SecondTurnMisread())
    assert misread.scores[TrajectoryScore.QU] == misread.scores[TrajectoryScore.QP] == 0.5
    # What an earlier answer made up is found, too, though the last one is right.
    invented = (*GOOD[:3], ANSWER.replace("310.25", "340.75"), *TALK[4:])
    found = await judge(await played(*invented, user=Says(MORE)), Generous())
    assert found.scores[TrajectoryScore.FA] == 0.75
    (wrong,) = [f for f in found.findings if f.value == 0]
    assert (wrong.by, wrong.turn, wrong.place) == ("record", 1, "answer 1, to the conversation")
    # What a later result says supports no earlier answer.
    early = (LIST, "Order ord-9 comes on 17 July 2031.", TRACK, "It comes on 4 May 2026.")
    late = await judge(await played(*early, busy=(), user=Says("Look it up.")), Generous())
    assert [f.turn for f in late.findings if f.value == 0] == [1]


# --- planted faults that the record shows ------------------------------------------------------

VISIBLE: dict[str, tuple[TrajectoryScore, tuple[Any, ...], dict[str, Any]]] = {
    "redundant call": (TrajectoryScore.TC, (LIST, LIST, TRACK, ANSWER), {"busy": ()}),
    "repeated change": (TrajectoryScore.TC, (LIST, TRACK, CANCEL, CANCEL, ANSWER), {"busy": ()}),
    "failed call": (TrajectoryScore.TCS, (LIST, TRACK, AGAIN, ANSWER), {"busy": (1, 2)}),
    "unknown tool": (TrajectoryScore.TCS, (LIST, raw("track", "{}"), TRACK, AGAIN, ANSWER), {}),
    "malformed arguments": (TrajectoryScore.TCS, (raw("list_orders", "{"), *GOOD), {}),
    "wrong final number": (TrajectoryScore.FA, (*GOOD[:3], ANSWER.replace("310.25", "340.75")), {}),
    "URL from nowhere": (
        TrajectoryScore.FA,
        (*GOOD[:3], ANSWER.replace("track.example", "tracking.example")),
        {},
    ),
    "another language": (
        TrajectoryScore.FA,
        (*GOOD[:3], "订单 ord-9 最贵，金额为 310.25，可在 https://track.example/ord-9 查询。"),
        {},
    ),
    "English to a Chinese request": (
        TrajectoryScore.FA,
        GOOD,
        {"language": "zh", "request": "客户 cust-1 的哪个订单最贵，在哪里可以查到物流？"},
    ),
    "no final answer": (TrajectoryScore.FA, GOOD[:3], {"turns": 3}),
}


@pytest.mark.parametrize(("measure", "script", "how"), VISIBLE.values(), ids=VISIBLE)
async def test_what_the_record_shows_lowers_its_score_whatever_a_teacher_says(
    measure: TrajectoryScore, script: tuple[Any, ...], how: dict[str, Any]
):
    good = await judge(await played(*GOOD), Generous())
    bad = await judge(await played(*script, **how), Generous())
    assert bad.scores[measure] < good.scores[measure]
    found = [f for f in bad.findings if f.measure is measure and f.value == 0]
    assert found and all(f.by == "record" and f.reason for f in found)


# --- planted faults that a judge must understand -----------------------------------------------

INVENTED = calling(("list_orders", {"customer_id": "cust-777"}), text="I list the orders.")
AIMLESS = calling(("get_tracking", {"order_id": "ord-555"}), text="I look at ord-555.")
IGNORING = calling(("cancel_order", {"order_id": "ord-7"}), text="The tracking is known now.")
HIDDEN: dict[
    str, tuple[Prompt[Any, Any], str, tuple[Any, ...], list[str], TrajectoryScore | None]
] = {
    "ignored tool error": (
        ROUND,
        "round 3",
        (LIST, TRACK, IGNORING, ANSWER),
        ["Too many requests (429).", "The tracking is known now."],
        TrajectoryScore.TCU,
    ),
    "invented argument, at first": (
        OPENING,
        "message 2",
        (INVENTED, TRACK, AGAIN, ANSWER),
        ["cust-777", "customer cust-1"],
        TrajectoryScore.QP,
    ),
    "invented argument, later": (
        ROUND,
        "round 2",
        (LIST, AIMLESS, TRACK, ANSWER),
        ["ord-555", "ord-7", "ord-9"],
        TrajectoryScore.TCP,
    ),
    "plan never carried out": (
        ANSWERED,
        "answer, to the conversation",
        (
            calling(("list_orders", {"customer_id": "cust-1"}), text="I list, and cancel ord-7."),
            *GOOD[1:3],
            f"{ANSWER} I have cancelled ord-7.",
        ),
        ["I list, and cancel ord-7.", "I have cancelled ord-7."],
        None,
    ),
    "failure told as success": (
        ANSWERED,
        "answer, to the conversation",
        (LIST, TRACK, "Order ord-9 cost most, 310.25; its parcel has arrived."),
        ["Too many requests (429).", "its parcel has arrived"],
        None,
    ),
    "answer to something else": (
        ANSWERED,
        "answer, to the request",
        (*GOOD[:3], "Berlin enjoys mild summers."),
        ["Which order of customer cust-1 cost most", "mild summers"],
        TrajectoryScore.FA,
    ),
    "call that nobody needs": (
        CALLS,
        "",
        (LIST, TRACK, AGAIN, CANCEL, ANSWER),
        ["cancel_order", "Which order of customer cust-1 cost most", "cost most, 310.25"],
        None,
    ),
}


@pytest.mark.parametrize(
    ("prompt", "place", "script", "needed", "measure"), HIDDEN.values(), ids=HIDDEN
)
async def test_a_judge_is_shown_what_it_needs(
    prompt: Prompt[Any, Any],
    place: str,
    script: tuple[Any, ...],
    needed: list[str],
    measure: TrajectoryScore | None,
):
    """`measure`: the score that the rule judges lower; None: it takes understanding."""
    rollout = await played(*script)
    asked = [given for where, given in questions(rollout, prompt) if place in ("", where)]
    text = shown(prompt, asked[-1])
    assert all(part in text for part in needed)
    if measure is not None:
        good = await judge(await played(*GOOD), TrajectoryRules())
        bad = await judge(rollout, TrajectoryRules())
        assert bad.scores[measure] < good.scores[measure]


# --- mechanical checks by themselves -----------------------------------------------------------


def answering(answer: str, *results: str, request: str = "How many?") -> Any:
    async def made() -> RecordedRollout:
        one = await played(answer, request=request)
        start, (last,) = one.trajectory.messages[:2], one.trajectory.messages[2:]
        tools = tuple(
            last.model_copy(update={"role": "tool", "content": result, "tool_call_id": str(n)})
            for n, result in enumerate(results)
        )
        changed = one.trajectory.model_copy(update={"messages": (*start, *tools, last)})
        return one.model_copy(update={"trajectory": changed})

    return made()


FOUNDED = {
    "as it stands": ("It is 8849 m.", ['{"metres": 8849}']),
    "grouped": ("5,550,203 people.", ['{"people": 5550203}']),
    "rounded": ("About 12.35 kg.", ['{"kg": 12.3456}']),
    "rounded to thousands": ("Some 5,550,000 people.", ['{"people": 5550203}']),
    "millions": ("5.55 million people", ['{"people": 5550203}']),
    "per cent": ("45 % of them", ['{"share": 0.45}']),
    "negative": ("It is -12.5 degrees.", ['{"c": -12.5}']),
    "small": ("The 3 steps are done.", ["{}"]),
    "a list": ("11. First\n12. Second", ["{}"]),
    "from the request": ("Of your 4711 points", ["{}"]),
    "a date": ("On 4 May 2026", ['{"day": "2026-05-04T10:30:00Z"}']),
    "in an id": ("Order A-1042", ['{"id": "A-1042"}']),
}
COMPUTED = {
    "sum": ("Together 430.75.", ['{"a": 120.5, "b": 310.25}']),
    "difference": ("189.75 more", ['{"a": 120.5, "b": 310.25}']),
    "product": ("361.5 in all", ['{"price": 120.5, "n": 3}']),
    "sum of a list": ("60 in all", ['[{"n": 11}, {"n": 22}, {"n": 27}]']),
    "count": ("12 of them", [str(["x"] * 12).replace("'", '"')]),
    "share": ("25 per cent", ['{"a": 30, "b": 120}']),
}
UNFOUNDED = {
    "another number": ("It is 8852 m.", ['{"metres": 8848.8, "base": 2000}']),
    "digits swapped": ("It costs 42.13.", ['{"price": 42.31}']),
    "from nowhere": ("It costs 99.99.", ["{}"]),
    "rounded too far": ("About 12.4567 kg.", ['{"kg": 12.3456}']),
    "a year": ("In 1987.", ['{"year": 1978}']),
}


@pytest.mark.parametrize(("answer", "results"), FOUNDED.values(), ids=FOUNDED)
async def test_numbers_that_stand_somewhere(answer: str, results: list[str]):
    request = "I have 4711 points."
    assert unknown_numbers(await answering(answer, *results, request=request)) == ([], [])


@pytest.mark.parametrize(("answer", "results"), COMPUTED.values(), ids=COMPUTED)
async def test_numbers_that_follow_are_shown_to_the_judge(answer: str, results: list[str]):
    rollout = await answering(answer, *results)
    computed, unfounded = unknown_numbers(rollout)
    assert len(computed) == 1 and not unfounded
    (*_, (_, asked)) = questions(rollout, ANSWERED)
    assert computed[0] in shown(ANSWERED, asked)


@pytest.mark.parametrize(("answer", "results"), UNFOUNDED.values(), ids=UNFOUNDED)
async def test_numbers_from_nowhere(answer: str, results: list[str]):
    computed, unfounded = unknown_numbers(await answering(answer, *results))
    assert len(unfounded) == 1 and not computed


async def test_urls():
    result = '{"url": "https://a.example/x?y=1", "site": "http://B.example/"}'
    good = "See [it](https://a.example/x?y=1), and http://b.example."
    assert unknown_urls(await answering(good, result)) == []
    bad = "See https://a.example/x?y=2 or https://a.example/x?y=2!"
    assert unknown_urls(await answering(bad, result)) == ["https://a.example/x?y=2"]


@pytest.mark.parametrize(
    ("answer", "language", "other"),
    [
        ("8849", "en", False),
        ("8849", "zh", False),
        ("乞力马扎罗山高 5895 米。", "zh", False),
        ("它是 Kilimanjaro", "zh", False),
        ('返回：{"name": "one of the many things that came back"}', "zh", False),
        ("The mountain is high and far away.", "zh", True),
        ("乞力马扎罗山高 5895 米，很高。", "en", True),
        ("The city 北京 is large.", "en", False),
    ],
)
def test_languages_by_script(answer: str, language: Any, other: bool):
    assert other_language(answer, language) is other


def made(tool: str, result: Any, *, ok: bool = True, **arguments: Any) -> CallRecord:
    made.number = getattr(made, "number", 0) + 1  # type: ignore[attr-defined]
    return CallRecord(
        id=f"c{made.number}",  # type: ignore[attr-defined]
        turn=0,
        tool=tool,
        arguments=arguments,
        status=CallStatus.ok if ok else CallStatus.tool_error,
        result=result,
    )


@pytest.mark.parametrize(
    ("calls", "repeated"),
    [
        ([("get_a", 1), ("get_a", 1)], [1]),
        ([("get_a", 1), ("get_a", 2)], []),
        ([("get_a", 1), ("set_b", 1), ("get_a", 1)], []),
        ([("set_b", 1), ("set_b", 2)], [1]),
        ([("set_b", 1), ("set_c", 1), ("set_b", 1)], []),
        ([("get_a", 1), ("get_b", 1), ("get_a", 1), ("get_a", 1)], [2, 3]),
    ],
)
def test_repetitions(calls: list[tuple[str, int]], repeated: list[int]):
    records = [made(tool, result) for tool, result in calls]
    assert list(repetitions(records)) == [records[place].id for place in repeated]


def test_a_second_try_is_no_repetition():
    assert repetitions([made("get_a", 1, ok=False), made("get_a", 1)]) == {}


# --- agreement ---------------------------------------------------------------------------------


def test_agreement_by_hand():
    same = agreement([[1, 1], [0, 0], [0.5, 0.5]])
    assert (same.points, same.difference, same.alpha) == (3, 0, 1)
    # Two units: expected 2·(4·0.25)/3 = 2/3; observed (2·1 + 0)/4 = 1/2.
    some = agreement([[0, 1], [0, 1]])
    assert some.difference == 1
    assert some.alpha == pytest.approx(1 - 1 / (2 / 3))
    assert agreement([[1, 1], [1, 1]]).alpha is None
    three = agreement([[0, 0, 1], [1, 1, 1]])
    assert three.difference == pytest.approx((2 / 3 + 0) / 2)


async def test_agreement_of_judges_and_of_files():
    rollout = await played(*GOOD)
    torn = await judge(rollout, Generous(("yes", "no")), votes=2)
    found = agreements(ratings([torn]))
    assert set(found) == {"QU", "QP", "TCU", "TCP", "TC", "FA", "all"}  # TCS is no opinion
    assert all(each.difference == 1 for each in found.values())
    one, other = [await judge(rollout, Generous((grade,))) for grade in ("yes", "partly")]
    assert agreements(ratings([one])) == {}
    between = agreements(ratings([one], [other]))
    assert between["QU"].difference == 0.5 and between["TC"].difference == 1


# --- the stage ---------------------------------------------------------------------------------


class Broken(Generous):
    """Can't judge one measure, or anything."""

    def __init__(self, prompt: Any = None) -> None:
        super().__init__()
        self._prompt = prompt

    async def ask(self, prompt: Any, task: Any, *, index: int = 0) -> Any:
        if self._prompt in (None, prompt):
            raise TeacherError("no verdict")
        return await super().ask(prompt, task, index=index)


@pytest.mark.parametrize("prompt", [None, OPENING, ROUND, CALLS, ANSWERED])
async def test_a_judge_that_breaks_scores_nothing(prompt: Any, tmp_path: Path):
    rollouts = [await played(*GOOD, busy=busy) for busy in ((1,), ())]
    folder = RunFolder.create(tmp_path / "run", {})
    report = await run(judgements_stage(Broken(prompt), 1), rollouts, folder, concurrency=2)
    assert report.accepted == 0 and report.errors == {"TeacherError": 2}
    assert list(folder.rows(JUDGEMENTS, Judgement)) == []
    again = await run(judgements_stage(Generous(), 1), rollouts, folder, concurrency=2)
    assert again.accepted == 2 and again.errors == {}


@pytest.mark.parametrize(
    ("script", "busy", "value"),
    [
        (GOOD, (1,), 1.0),
        ((LIST, TRACK, "ord-9 cost most, 310.25; the tracking failed."), (1,), 0.5),
        ((LIST, "It failed: too many requests."), (0,), 0.0),
    ],
)
async def test_by_rule_an_answer_rests_on_calls_that_succeeded(
    script: Any, busy: tuple[int, ...], value: float
):
    judged = await judge(await played(*script, busy=busy), TrajectoryRules())
    (found,) = [f for f in judged.findings if f.place == FAITHFULNESS_PLACE]
    assert (found.value, found.by) == (value, "teacher")


def test_files_of_other_judges():
    def name(teacher: str, judgements: str | None = None) -> str:
        return judgements_name(
            JudgeTrajectoriesConfig(
                "run", teacher=teacher, teacher_url="http://x", judgements=judgements
            )
        )

    assert name("Qwen/Qwen3-32B") == "judgements-qwen-qwen3-32b"
    assert name("规则") == "judgements-model"
    assert name("rules", "Strict 1") == name("rules", "judgements-strict-1")
