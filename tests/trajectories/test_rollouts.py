"""Rollouts of tasks: hosts, users, what is set aside; and that each plays again bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from astra.errors import BudgetExceeded, HostError, ModelUnavailable, TeacherError
from astra.hosts.joined import JoinedHost
from astra.models.scripted import calling
from astra.protocols import Reply, ToolResult
from astra.rollouts.loop import RolloutLimits
from astra.runs.folder import RunFolder
from astra.runs.runner import run
from astra.runs.stage import StageReport
from astra.teacher.cache import AnswerCache
from astra.teacher.cost import Price
from astra.testing.rule_teacher.scripted_agent import ScriptedAgent
from astra.testing.rule_teacher.trajectories import TrajectoryRules
from astra.trajectories.play.hosts import EpisodeHosts
from astra.trajectories.play.recording_model import AGENT, RecordingModel
from astra.trajectories.play.replay import difference, replay
from astra.trajectories.play.rollouts import (
    ROLLOUTS,
    SYSTEM_PROMPTS,
    EpisodeJob,
    episode_jobs,
    rollouts_stage,
)
from astra.trajectories.records import (
    ArgumentSource,
    CollectedToolServer,
    Connection,
    PlannedCall,
    RecordedRollout,
    TrajectoryTask,
)
from astra.types import CallStatus, FinishReason, Message, StopReason, Usage
from tests.support.fakes import FakeHost, FakeModel, document

from .judged_rollouts import AGAIN, ANSWER, LIST, TOOLS, TRACK, played, raw
from .services import calendar, config

CALENDAR = calendar()
DAY = "2026-05-04"


def task(name: str = "t1", **more: Any) -> TrajectoryTask:
    fields: dict[str, Any] = {
        "id": name,
        "servers": (CALENDAR.id,),
        "kind": "chain",
        "request": f"Who comes to the first event of my work calendar on {DAY}?",
        "language": "en",
        "plan": (
            PlannedCall(
                id="c1",
                tool="list_events",
                arguments={
                    "calendar": ArgumentSource(value="work"),
                    "day": ArgumentSource(value=DAY),
                },
            ),
            PlannedCall(
                id="c2",
                tool="get_event",
                arguments={"event_id": ArgumentSource(call="c1", field="events.0.id")},
                depends_on=("c1",),
            ),
        ),
    }
    return TrajectoryTask(**fields | more)


def agent(job: EpisodeJob) -> Any:
    return ScriptedAgent(job.task.plan, job.task.language, "scripted", job.script)


async def rolled(
    folder: RunFolder,
    tasks: list[TrajectoryTask],
    *,
    teacher: Any = None,
    model: Any = agent,
    host: Any = None,
    scripts: Any = None,
    **options: Any,
) -> tuple[list[RecordedRollout], StageReport]:
    wanted = config(**options)
    servers = {CALENDAR.id: CALENDAR}
    stage = rollouts_stage(
        teacher or TrajectoryRules(),
        model,
        host or EpisodeHosts(servers, failure_rate=wanted.emulated_failure_rate, seed=wanted.seed),
        wanted,
    )
    report = await run(
        stage, episode_jobs(tasks, servers, wanted, "scripted", scripts), folder, concurrency=4
    )
    return list(folder.rows(ROLLOUTS, RecordedRollout)), report


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", {})


async def test_a_plan_is_carried_out_on_emulated_tools(folder: RunFolder):
    (one,), report = await rolled(folder, [task()], emulated_failure_rate=0.0)
    assert report.accepted == 1
    assert [call.tool for call in one.trajectory.calls] == ["list_events", "get_event"]
    assert all(call.status is CallStatus.ok for call in one.trajectory.calls)
    event = one.recording[0].content["events"][0]
    assert one.recording[1].arguments == {"event_id": event["id"]}
    assert one.trajectory.messages[0].content == SYSTEM_PROMPTS["en"]
    assert one.trajectory.messages[1].content == task().request
    assert one.host == "emulator"
    assert [tool.name for tool in one.tools] == [t.document.name for t in CALENDAR.tools]


async def test_samples_are_independent_and_the_same_seed_gives_the_same_rows(tmp_path: Path):
    made = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        folder = RunFolder.create(tmp_path / name, {})
        rows, _ = await rolled(folder, [task()], samples=12, seed=seed, emulated_failure_rate=0.4)
        assert len({row.id for row in rows}) == 12
        made.append([[call.status for call in row.trajectory.calls] for row in rows])
    assert made[0] == made[1] != made[2]
    assert len({tuple(each) for each in made[0]}) > 1


async def test_the_system_message_is_an_option(folder: RunFolder):
    empty = folder.path / "empty.txt"
    empty.write_text("")
    (one,), _ = await rolled(folder, [task()], system_prompt=empty)
    assert one.trajectory.messages[0].role == "user"


def test_where_tools_run():
    live = CALENDAR.model_copy(update={"connection": Connection(file="/x.json", entry="x")})

    def host(task: TrajectoryTask, servers: dict[str, CollectedToolServer], hosts: Any) -> str:
        (job,) = episode_jobs([task], servers, config(hosts=hosts), "scripted")
        return job.host

    assert host(task(), {CALENDAR.id: CALENDAR}, "auto") == "emulator"
    assert host(task(), {CALENDAR.id: live}, "auto") == "live"
    assert host(task(), {CALENDAR.id: live}, "emulator") == "emulator"
    assert host(task(servers=("?",)), {}, "auto") == "emulator"


async def test_what_breaks_on_our_side_is_an_error_row_and_tried_again(folder: RunFolder):
    class Broken(TrajectoryRules):
        async def ask(self, prompt: Any, task: Any, *, index: int = 0) -> Any:
            raise TeacherError("no answer")

    rows, report = await rolled(folder, [task()], teacher=Broken(), emulated_failure_rate=0.0)
    assert rows == [] and report.errors == {"HostError": 1}
    down = FakeModel(lambda *_: HostError("odd"))
    rows, report = await rolled(folder, [task()], model=lambda job: down)
    assert rows == [] and report.errors == {"HostError": 1}
    rows, report = await rolled(folder, [task(servers=("gone",))])
    assert report.errors == {"HostError": 1}
    rows, report = await rolled(folder, [task()])
    assert len(rows) == 1 and report.errors == {}


async def test_a_spent_budget_ends_the_run(folder: RunFolder):
    class Poor(TrajectoryRules):
        async def ask(self, prompt: Any, task: Any, *, index: int = 0) -> Any:
            raise BudgetExceeded("all spent")

    with pytest.raises(BudgetExceeded):
        await rolled(folder, [task()], teacher=Poor(), emulated_failure_rate=0.0)
    assert list(folder.rows(ROLLOUTS, RecordedRollout)) == []


async def test_what_the_agent_costs_is_counted(folder: RunFolder):
    spent = Usage(prompt_tokens=1_000_000, completion_tokens=500_000)
    model = FakeModel(
        lambda *_: Reply(Message(role="assistant", content="done"), FinishReason.stop, spent)
    )
    price = Price(input=2.0, output=4.0)
    await rolled(folder, [task()], model=lambda job: RecordingModel(model, None, job.key, price))
    counts = folder.manifest().stages[ROLLOUTS]
    assert (counts.usage, counts.dollars) == (spent, 4.0)


async def test_a_resumed_run_costs_what_an_unbroken_one_does(tmp_path: Path):
    """The endpoint fails in the middle of an episode; the next run replays what was paid for."""
    price = Price(input=2.0, output=4.0)
    costs = []
    for name, failures in (("unbroken", 0), ("resumed", 1)):
        folder = RunFolder.create(tmp_path / name, {})
        asked = []

        def model(job: EpisodeJob, asked: Any = asked, failures: int = failures) -> Any:
            def reply(messages: Any, *_: Any) -> Any:
                asked.append(messages)
                if len(asked) == 2 and failures:
                    return ModelUnavailable("down")
                calls = LIST.tool_calls if messages[-1].role == "user" else ()
                message = Message(
                    role="assistant", content="" if calls else "Dr.", tool_calls=calls
                )
                return Reply(message, FinishReason.stop, Usage(prompt_tokens=len(messages) * 1000))

            return RecordingModel(FakeModel(reply), record, job.key, price)

        for attempt in range(1 + failures):
            with AnswerCache(folder, AGENT) as record:
                rows, _ = await rolled(folder, [task()], model=model)
            assert len(rows) == attempt + 1 - failures
        counts = folder.manifest().stages[ROLLOUTS]
        costs.append((counts.usage, counts.dollars))
        assert len(asked) == 2 + failures
    assert costs[0] == costs[1] == (Usage(prompt_tokens=6000), 0.012)


# --- replay ------------------------------------------------------------------------------------

ENDINGS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "answered": ((LIST, TRACK, AGAIN, ANSWER), {}),
    "errors of all kinds": ((raw("none", "{}"), raw("list_orders", "{"), LIST, ANSWER), {}),
    "turn limit": ((LIST, TRACK, AGAIN), {"turns": 3}),
    "cut off": ((LIST, Reply(Message(role="assistant", content="We"), FinishReason.length)), {}),
    "refused": ((Reply(Message(role="assistant"), FinishReason.filtered),), {}),
    "like calls at once": (
        (calling(*[("get_tracking", {"order_id": "ord-9"})] * 3), ANSWER),
        {"busy": (1,)},
    ),
}


@pytest.mark.parametrize(("script", "how"), ENDINGS.values(), ids=ENDINGS)
async def test_every_ending_plays_again(script: tuple[Any, ...], how: dict[str, Any]):
    row = await played(*script, **how)
    again = await replay(row)
    assert difference(row.trajectory, again) == ""


async def test_tokens_and_time_that_ran_out_play_again(monkeypatch: pytest.MonkeyPatch):
    from astra.trajectories.play import replay as module

    monkeypatch.setattr(module, "TIME_LIMIT", 0.3)
    row = await played(LIST, TRACK, turns=2)
    for stop in (StopReason.length_limit, StopReason.time_limit):
        changed = row.trajectory.model_copy(update={"stop": stop})
        again = await replay(row.model_copy(update={"trajectory": changed}))
        assert difference(changed, again) == ""


async def test_a_recording_that_was_changed_is_found():
    row = await played(LIST, TRACK, AGAIN, ANSWER)
    first = row.recording[0].model_copy(update={"content": {"orders": []}})
    other = await replay(row.model_copy(update={"recording": (first, *row.recording[1:])}))
    assert difference(row.trajectory, other) == "message 3 (tool) differs"
    less = await replay(row.model_copy(update={"recording": row.recording[:-1]}))
    assert difference(row.trajectory, less)
    messages = row.trajectory.messages[:-1]
    cut = row.trajectory.model_copy(update={"messages": messages})
    assert "messages" in difference(row.trajectory, cut)


# --- several hosts as one ----------------------------------------------------------------------


async def act(name: str, arguments: dict[str, Any]) -> ToolResult:
    return ToolResult(name)


async def test_joined_hosts():
    one, other = FakeHost([document("b"), document("c")], act), FakeHost([document("a")], act)
    joined = JoinedHost([one, other], ["a", "b"])
    async with joined:
        assert [tool.name for tool in joined.tools()] == ["a", "b", "c"]
        assert (await joined.call("a", {})).content == "a"
        with pytest.raises(HostError, match="'z'"):
            await joined.call("z", {})
    assert (one.entered, one.left, other.left) == (1, 1, 1)
    assert other.called == [("a", {})]
    with pytest.raises(HostError, match="two hosts"):
        async with JoinedHost([one, one]):
            pass
    assert one.entered == one.left


async def test_hosts_that_were_entered_are_left_when_another_breaks():
    class Broken(FakeHost):
        async def __aenter__(self) -> Any:
            raise HostError("no start")

    one = FakeHost(TOOLS, act)
    with pytest.raises(HostError, match="no start"):
        async with JoinedHost([one, Broken([], act)]):
            pass
    assert (one.entered, one.left) == (1, 1)


# --- the agent's record ------------------------------------------------------------------------


async def test_an_agents_replies_are_paid_for_once(folder: RunFolder):
    spent = Usage(completion_tokens=7)
    said = Message(role="assistant", content="half \ud800", tool_calls=LIST.tool_calls)
    model = FakeModel(lambda *_: Reply(said, FinishReason.tool_calls, spent))
    asked = (Message(role="user", content="?"),)
    limits = RolloutLimits().sampling
    replies = []
    for _ in range(2):
        with AnswerCache(folder, AGENT) as record:
            for episode in ("a", "b"):
                remembering = RecordingModel(model, record, episode)
                replies.append(await remembering.generate(asked, TOOLS, limits))
    assert len(model.asked) == 2
    assert replies[2] == replies[3]
    assert replies[2].usage == spent and replies[2].message.tool_calls == LIST.tool_calls
    assert replies[2].message.content == "half ?"
