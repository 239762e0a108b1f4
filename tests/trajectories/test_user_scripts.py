"""Simulated users: what they say in several turns, and that agents, judges and replays follow."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from astra.cli.main import run as astra
from astra.runs.folder import RunFolder
from astra.runs.jsonl import to_line
from astra.runs.runner import run
from astra.runs.stage import StageReport
from astra.teacher.prompts.chains import PlannedArgument, PlannedStep
from astra.teacher.prompts.emulation import PLAN_TALK, PlannedTalk, PlannedWish, UserBehaviour
from astra.testing.rule_teacher.trajectories import TrajectoryRules
from astra.trajectories.judge.judge import judge
from astra.trajectories.judge.rule_checks import outcome
from astra.trajectories.play.replay import difference, replay
from astra.trajectories.play.rollouts import episode_jobs
from astra.trajectories.play.simulated_user import SimulatedUser
from astra.trajectories.play.user_probes import probe_user, user_probes
from astra.trajectories.play.user_scripts import (
    TALKS,
    PlannedUserScript,
    TalkRequest,
    checked_script,
    drawn_behaviours,
    talks_stage,
)
from astra.trajectories.records import ArgumentSource, PlannedCall, UserScript, UserWish
from astra.trajectories.tasks.server_groups import group_of
from astra.types import Message

from .judged_rollouts import LIST, TRACK, played
from .services import config
from .test_rollouts import CALENDAR, DAY, rolled, task

GROUP = group_of([CALENDAR])


def asked(turns: int, name: str = "t1", **more: Any) -> TalkRequest:
    return TalkRequest(task(name, **more), 0, GROUP, turns)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", {})


async def scripts(
    folder: RunFolder, items: list[TalkRequest], teacher: Any = None
) -> tuple[dict[str, UserScript], StageReport]:
    report = await run(talks_stage(teacher or TrajectoryRules(), 0), items, folder, concurrency=4)
    return {row.key: row.script for row in folder.rows(TALKS, PlannedUserScript)}, report


async def test_users_speak_as_often_as_drawn_and_every_wish_is_carried_out(folder: RunFolder):
    found, _ = await scripts(folder, [asked(2 + n % 3, f"t{n}") for n in range(24)])
    rows, _ = await rolled(
        folder,
        [task(f"t{n}") for n in range(24)],
        scripts=found,
        emulated_failure_rate=0.0,
        user="simulated",
    )
    assert {b for s in found.values() for b in (w.behaviour for w in s.wishes)} == {
        UserBehaviour.missing_parameter,
        UserBehaviour.follow_up,
        UserBehaviour.changed_mind,
    }
    for number, row in enumerate(rows):
        assert row.script is not None and len(row.script.wishes) == 1 + number % 3
        said = [m.content for m in row.trajectory.messages if m.role == "user"]
        assert said == [row.script.opening, *(wish.message for wish in row.script.wishes)]
        planned = [*row.task.plan, *(call for wish in row.script.wishes for call in wish.plan)]
        assert [call.id for call in planned] == [f"c{n}" for n in range(1, len(planned) + 1)]
        assert [call.id for call in row.trajectory.calls] == [call.id for call in planned]
        if row.script.wishes[0].behaviour is UserBehaviour.missing_parameter:
            # Nothing is called before the missing value was asked for and told.
            first = next(m for m in row.trajectory.messages if m.role == "assistant")
            assert not first.tool_calls and "?" in first.content
            assert DAY not in said[0] or "work" not in said[0]
        assert difference(row.trajectory, await replay(row)) == ""
        judged = await judge(row, TrajectoryRules())
        assert {f.turn for f in judged.findings} == set(range(1, len(said) + 1))


async def test_a_refusal_is_of_tasks_that_change_something():
    change = PlannedCall(
        id="c1",
        tool="send_message",
        arguments={
            "email": ArgumentSource(value="ada@example.org"),
            "subject": ArgumentSource(value="Lunch"),
        },
    )
    request = "Write to ada@example.org about Lunch, please."
    drawn = [
        drawn_behaviours(asked(3, f"t{n}", plan=(change,), request=request), random.Random(n))[0]
        for n in range(60)
    ]
    assert {behaviour for each in drawn for behaviour in each} == set(UserBehaviour)
    # It comes on top, since it is said only if the assistant asks.
    assert all(len(each) == 2 + (UserBehaviour.refusal in each) for each in drawn)
    for n in range(60):
        assert UserBehaviour.refusal not in drawn_behaviours(asked(4, f"t{n}"), random.Random(n))[0]


async def test_a_refusal_is_said_only_where_something_is_asked():
    no = UserWish(behaviour=UserBehaviour.refusal, message="No, don't.")
    script = SCRIPT.model_copy(update={"wishes": (no, *SCRIPT.wishes)})
    user = SimulatedUser(task(), script, Asked(), max_turns=4)
    assert await user.reply(spoken("Cancel it.", "Cancelled.")) == "And where is it?"
    teacher = Asked(message="No, leave it.", wish_said=True)
    user = SimulatedUser(task(), script, teacher, max_turns=4)
    talk = spoken("Cancel it.", "Shall I cancel it?", "No, leave it.", "It stays.")
    assert await user.reply(talk[:2]) == "No, leave it."
    assert teacher.asked[0].wish == "No, don't."
    assert await user.reply(talk) == "And where is it?"


@pytest.mark.parametrize(
    ("answers", "reached"),
    [
        (("It is done.", "Fine."), 0.0),  # nothing was asked, so that nothing was refused
        (("Shall I cancel it?", "It stays."), None),
    ],
)
async def test_a_change_that_was_refused_is_not_wanted(answers: Any, reached: float | None):
    no = UserWish(behaviour=UserBehaviour.refusal, message="No, don't.")
    script = UserScript(
        opening="Cancel ord-7.",
        wishes=(no, UserWish(behaviour=UserBehaviour.changed_mind, message="Be brief.")),
    )
    teacher = Asked(message="No, leave it.", wish_said=True)
    user = SimulatedUser(task(), script, teacher, max_turns=3)
    row = await played(*answers, "All right.", request="Cancel ord-7.", user=user)
    plan = (PlannedCall(id="c1", tool="cancel_order"),)
    planned = row.task.model_copy(update={"plan": plan})
    row = row.model_copy(update={"task": planned, "script": script})
    assert outcome(row) == reached


def told(**changes: Any) -> tuple[PlannedTalk, list[UserBehaviour]]:
    """A good talk in which the day is told when it is asked for."""
    more = PlannedStep(tool="find_room", arguments={"people": PlannedArgument(value=4)}, needs=(1,))
    talk = PlannedTalk(
        opening="Who comes to the first event of my work calendar on that day?",
        wishes=(
            PlannedWish(message=f"On {DAY}.", plan=()),
            PlannedWish(message="And find a room for the four of us.", plan=(more,)),
        ),
    )
    return talk.model_copy(update=changes), [
        UserBehaviour.missing_parameter,
        UserBehaviour.follow_up,
    ]


def test_a_sound_talk():
    talk, behaviours = told()
    script = checked_script(talk, asked(3), behaviours, DAY)
    assert [call.tool for call in script.wishes[1].plan] == ["find_room"]
    assert script.wishes[1].plan[0].id == "c3"


GUESSED = PlannedStep(tool="find_room", arguments={"people": PlannedArgument(value=17)}, needs=())


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"opening": f"Who comes on {DAY} to the first event of my work calendar?"}, "leave out"),
        ({"opening": "Who comes to my first work event on 4 May 2026?"}, "in other words"),
        ({"opening": "Who comes to the first event of my calendar?"}, "lacks 'work'"),
        ({"opening": "谁来参加我工作日历上的第一个活动？"}, "not in 'en'"),
        (
            {
                "wishes": (
                    PlannedWish(message="On the day I mean.", plan=()),
                    told()[0].wishes[1],
                )
            },
            "does not say",
        ),
        (
            {"wishes": (told()[0].wishes[0], PlannedWish(message="And a room for us?", plan=()))},
            "needs no call",
        ),
        (
            {
                "wishes": (
                    told()[0].wishes[0],
                    PlannedWish(message="And a room for the four of us?", plan=(GUESSED,)),
                )
            },
            "does not state 17",
        ),
        (
            {"wishes": (told()[0].wishes[0].model_copy(update={"plan": (GUESSED,)}),) * 2},
            "asks for nothing new",
        ),
    ],
)
def test_talks_that_do_not_hold(changes: dict[str, Any], problem: str):
    talk, behaviours = told(**changes)
    with pytest.raises(ValueError, match=problem):
        checked_script(talk, asked(3), behaviours, DAY)


async def test_a_talk_that_can_not_be_planned_is_told_in_one_turn_or_left_out(folder: RunFolder):
    class Blunt(TrajectoryRules):
        async def ask(self, prompt: Any, task: Any, *, index: int = 0) -> Any:
            given = await super().ask(prompt, task, index=index)
            return given.model_copy(update={"opening": "?"}) if prompt is PLAN_TALK else given

    items = [asked(3, f"t{n}") for n in range(12)]
    found, report = await scripts(folder, items, Blunt())
    # Where nothing is withheld, the opening is the request as it is.
    assert 0 < len(found) < 12 and report.rejected == {"talk": 12 - len(found)}
    tasks = [task(f"t{n}") for n in range(12)]
    for least, number in ((1, 12), (2, len(found))):
        options = config(user="simulated", min_user_turns=least)
        jobs = list(episode_jobs(tasks, {CALENDAR.id: CALENDAR}, options, "m", found))
        assert len(jobs) == number


class Asked(TrajectoryRules):
    """Speaks for a user, and keeps what it was asked."""

    def __init__(self, **answer: Any) -> None:
        super().__init__()
        self.asked: list[Any] = []
        self._answer = {"done": False, "message": "As you like.", "wish_said": False} | answer

    async def ask(self, prompt: Any, task: Any, *, index: int = 0) -> Any:
        self.asked.append(task)
        return prompt.output_type(**self._answer)


SCRIPT = UserScript(
    opening="Which order of customer cust-1 cost most?",
    wishes=(UserWish(behaviour=UserBehaviour.follow_up, message="And where is it?"),),
)


def spoken(*texts: str) -> list[Message]:
    return [
        Message(role="assistant" if n % 2 else "user", content=text) for n, text in enumerate(texts)
    ]


async def test_a_user_answers_questions_and_keeps_their_wish_for_later():
    teacher = Asked()
    user = SimulatedUser(task(), SCRIPT, teacher, max_turns=4)
    # No question: the script's own words, and no request to the teacher.
    quiet = SimulatedUser(task(), SCRIPT, teacher, max_turns=4)
    assert await quiet.reply(spoken("Which?", "Order 9.")) == "And where is it?"
    assert await quiet.reply(spoken("Which?", "Order 9.", "And?", "There.")) is None
    assert teacher.asked == []
    talk = spoken("Which?", "Of which year?")
    assert await user.reply(talk) == "As you like."
    talk += spoken("As you like.", "Order 9.")
    assert await user.reply(talk) == "And where is it?"
    assert [given.wish for given in teacher.asked] == ["And where is it?"]
    assert (
        await SimulatedUser(task(), SCRIPT, Asked(done=True), max_turns=4).reply(talk[:2]) is None
    )


async def test_a_user_never_sees_calls_and_stops_talking():
    chatty = Asked(message="and more?")
    user = SimulatedUser(task(), SCRIPT, chatty, max_turns=3)
    row = await played(LIST, "Listed. More?", TRACK, "Tracked. More?", "Again?", user=user)
    assert [m.role for m in row.trajectory.messages].count("user") == 3
    seen = str([given.talk for given in chatty.asked])
    assert len(chatty.asked) == 2 and "More?" in seen
    assert "list_orders" not in seen and "310.25" not in seen


# --- probes ------------------------------------------------------------------------------------


class Faultless:
    """Answers each probe rightly, or with one fault."""

    name = "faultless"

    def __init__(self, fault: str = "") -> None:
        self._fault = fault

    async def ask(self, prompt: Any, task: Any, *, index: int = 0) -> Any:
        probe = next(each for each in user_probes() if each.question == task)
        scene = probe.scene
        right = {
            "invents": ("I don't know.", False),
            "reveals_early": ("Yes, fine.", False),
            "contradicts": (f"{scene.stated}.", False),
            "withholds": (scene.telling, True),
        }
        wrong = {
            "invents": ("It is K-4711.", False),
            "reveals_early": (f"Yes. {scene.later}", False),
            "contradicts": (f"{scene.other}.", False),
            "withholds": ("As you like.", False),
        }
        message, said = (wrong if self._fault == probe.kind else right)[probe.kind]
        return prompt.output_type(done=False, message=message, wish_said=said)


@pytest.mark.parametrize("fault", ["", "invents", "reveals_early", "contradicts", "withholds"])
async def test_probes_find_planted_faults_and_no_others(fault: str):
    rates = await probe_user(Faultless(fault), repeats=2)
    assert all(rate.probes >= 10 for rate in rates.values())
    assert {kind for kind, rate in rates.items() if rate.wrong} == ({fault} - {""})
    if fault:
        rate = rates[fault]
        assert rate.wrong == rate.probes and rate.examples


def test_the_command_says_whose_figures_they_are(capsys: pytest.CaptureFixture[str]):
    assert astra(["trajectories", "probe", "--teacher", "rules"]) == 0
    assert "figures of a rule" in capsys.readouterr().out
    assert astra(["trajectories", "probe", "--teacher", "rules", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["by_rule"] and report["faults"]["invents"]["wrong"] == 0
    assert astra(["trajectories", "probe", "--teacher", "rules", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["requests"] == report["probes"]


def test_the_whole_line_with_several_user_turns(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """From the command: talks, rollouts, judgements by turn, statistics, replay, data card."""
    tools = RunFolder.create(tmp_path / "tools", {})
    tools.replace("servers.jsonl", [to_line(CALENDAR)])
    made = ["trajectories", "make", "--tools", str(tools.path), "--count", "5", "--no-progress"]
    made += ["--teacher", "rules", "--model", "scripted", "--user", "simulated"]
    made += ["--min-user-turns", "2", "--max-user-turns", "3", "--out", str(tmp_path / "run")]
    assert astra(made) == 0
    assert astra(["trajectories", "replay", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    assert astra(["trajectories", "stats", str(tmp_path / "run"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["multi_turn"] == report["rows"] >= 3
    assert set(report["user_turns_histogram"]) <= {"2", "3", "4"}
    assert {"1", "2"} <= set(report["turn_scores"])
    assert astra(["trajectories", "stats", str(tmp_path / "run")]) == 0
    assert "user turn 2" in capsys.readouterr().out
