"""Tasks: the whole of it by rule, resumed, over HTTP with faults, with teachers that are wrong."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from astra.configs.base import identity
from astra.configs.tools import CollectToolsConfig
from astra.configs.trajectories import MakeTrajectoriesConfig
from astra.core.language import in_language
from astra.errors import BudgetExceeded, ConfigError, StoreError
from astra.models.openai import OpenAIModel, Retries
from astra.protocols import Sampling, ToolResult
from astra.rollouts import loop
from astra.rollouts.loop import RolloutLimits
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow, to_line
from astra.teacher.catalogue import ALL
from astra.teacher.model import ModelTeacher
from astra.teacher.prompt import In, Out, Prompt
from astra.teacher.prompts.chains import ShownTool
from astra.testing.rule_teacher.faults import FaultRates
from astra.testing.rule_teacher.scripted_agent import ScriptedAgent
from astra.testing.rule_teacher.trajectories import TrajectoryRules
from astra.testing.rule_teacher.trajectories.agent import RuleAgent, read_plan
from astra.testing.rule_teacher.trajectories.planning import in_order, plan_of
from astra.testing.rule_teacher.trajectories.tasks import OTHER_LANGUAGE
from astra.testing.teacher_faults import FaultPlan, TeacherServerFault
from astra.testing.teacher_server import TeacherServer
from astra.trajectories.collect.stages import collect, read_servers
from astra.trajectories.near_duplicates import NearDuplicates, character_shingles
from astra.trajectories.records import ArgumentSource, PlannedCall, TaskOrigin, TrajectoryTask
from astra.trajectories.tasks import scoring
from astra.trajectories.tasks.personas import read_personas
from astra.trajectories.tasks.records import VerifiedChain
from astra.trajectories.tasks.stated import statement
from astra.trajectories.tasks.task_maker import make_tasks, tasks_per_axis
from astra.trajectories.tasks.variations import kept_words, variation_problem
from astra.trajectories.toolset import ToolSet
from astra.types import CallStatus, Json, Message, StopReason, ToolSchema
from tests.support.spoiled_files import huge

from .services import calendar, config, notes, shop

SERVERS = {server.id: server for server in (calendar(), shop(), notes())}
OPTIONS = config(count=24)


def tools(path: Path) -> RunFolder:
    folder = RunFolder.create(path / "tools", {})
    folder.replace("servers.jsonl", [to_line(server) for server in SERVERS.values()])
    return folder


async def made(
    path: Path, teacher: Any = None, options: MakeTrajectoriesConfig = OPTIONS, name: str = "run"
) -> RunFolder:
    folder = RunFolder.create(path / name, identity(options))
    await make_tasks(tools(path), folder, teacher or TrajectoryRules(), options)
    return folder


def tasks(folder: RunFolder) -> list[TrajectoryTask]:
    return list(folder.rows("tasks", TrajectoryTask))


def content(folder: RunFolder, name: str = "tasks") -> bytes:
    return (folder.path / f"{name}.jsonl").read_bytes()


def failures(folder: RunFolder, stage: str) -> Counter[str | None]:
    return Counter(row.check for row in folder.rows(f"{stage}.failed", FailureRow))


async def test_tasks_by_rule(tmp_path: Path) -> None:
    folder = await made(tmp_path)
    found = tasks(folder)
    assert Counter(task.axis for task in found) == tasks_per_axis(OPTIONS)
    assert {task.kind for task in found} == {"chain", "server"}
    assert {task.language for task in found} == {"en", "zh"}
    assert len({task.id for task in found}) == len(found)
    originals = {task.id: task for task in found if task.axis is TaskOrigin.original}
    for task in found:
        shown = ToolSet([SERVERS[one] for one in task.servers])
        assert task.plan and all(call.tool in shown for call in task.plan)
        for call in task.plan:
            for source in call.arguments.values():
                assert source.call or statement(source.value, task.request).known == "stated"
        if task.axis is not TaskOrigin.original:
            parent = originals[task.parent or ""]
            assert (task.plan, task.language) == (parent.plan, parent.language)
            assert task.request != parent.request
        assert (task.persona is not None) == (task.axis is TaskOrigin.persona)
        # The agent of the server reads the same plan out of the words alone.
        assert read_plan([task.request], shown.documents())[0] == task.plan
    for server in SERVERS:
        assert (folder.path / f"graph-{server}.graphml").exists()


async def test_same_bytes_whatever_the_order_of_answers_and_after_a_stop(tmp_path: Path) -> None:
    whole = await made(tmp_path)

    class Stops(TrajectoryRules):
        left = 25

        async def ask(self, prompt: Prompt[In, Out], task: In, *, index: int = 0) -> Out:
            self.left -= 1
            if self.left < 0:
                raise BudgetExceeded("spent")
            return await super().ask(prompt, task, index=index)

    for _ in range(2):
        with pytest.raises(BudgetExceeded):
            await made(tmp_path, Stops(), name="stopped")
    resumed = await made(tmp_path, name="stopped")
    sequential = await made(tmp_path, options=config(count=24, concurrency=1), name="one-by-one")
    for name in ("tasks", "chains", "scored"):
        assert content(whole, name) == content(resumed, name) == content(sequential, name)


_SLOW = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from astra.testing.rule_teacher.trajectories import TrajectoryRules
from tests.trajectories.test_tasks import made

class Slow(TrajectoryRules):
    async def ask(self, prompt, given, *, index=0):
        await asyncio.sleep(0.03)
        return await super().ask(prompt, given, index=index)

asyncio.run(made(Path(sys.argv[2]), Slow(), name="killed"))
"""


async def test_same_bytes_after_kill_nine(tmp_path: Path) -> None:
    whole = await made(tmp_path)
    command = [sys.executable, "-c", _SLOW, str(Path(__file__).parents[2]), str(tmp_path)]
    for stage in ("chains", "scored"):
        process = subprocess.Popen(command)
        rows = tmp_path / "killed" / f"{stage}.jsonl"
        until = time.monotonic() + 60
        while not (rows.exists() and rows.stat().st_size):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)
        process.kill()
        process.wait()
    assert not (tmp_path / "killed" / "tasks.jsonl").exists()
    resumed = await made(tmp_path, name="killed")
    for name in ("tasks", "chains", "varied", "scored"):
        assert content(whole, name) == content(resumed, name)


async def test_over_http_with_faults_the_same_tasks(tmp_path: Path) -> None:
    options = config(count=8, chain_check="both")
    direct = await made(tmp_path, options=options)
    plan = FaultPlan(
        0.2,
        kinds=(
            TeacherServerFault.server_error,
            TeacherServerFault.malformed_json,
            TeacherServerFault.empty,
        ),
    )
    with TeacherServer(TrajectoryRules(), faults=plan, prompts=ALL) as server:
        retries = Retries(6, first_wait=0.01)
        async with OpenAIModel("rules", server.url, retries=retries) as model:
            teacher = ModelTeacher(model, sampling=Sampling(seed=0))
            over_http = await made(tmp_path, teacher, options, name="http")
        assert server.served().faults
    assert content(over_http) == content(direct)
    assert content(over_http, "chains") == content(direct, "chains")


@pytest.mark.parametrize(
    ("rates", "stage", "check"),
    [
        ({"invented_value": 1.0}, "chains", "votes"),
        ({"verdict_flipped": 1.0}, "chains", "votes"),
        ({"low_score": 1.0}, "scored", "scores"),
        ({"lost_value": 1.0}, "varied", "variation"),
        ({"other_language": 1.0}, "varied", "variation"),
        ({"verdict_flipped": 1.0}, "varied", "intent"),
    ],
)
async def test_what_a_wrong_teacher_says_falls_out(
    tmp_path: Path, rates: dict[str, float], stage: str, check: str
) -> None:
    share = 0.0 if stage == "varied" else 1.0
    options = config(count=3, chain_fraction=share)
    teacher = TrajectoryRules(faults=FaultRates(rates))
    folder = await made(tmp_path, teacher, options)
    assert failures(folder, stage)[check] > 0
    if stage == "varied":
        assert {task.axis for task in tasks(folder)} == {TaskOrigin.original}
    if stage == "chains":
        assert not list(folder.rows("chains", VerifiedChain))


async def test_invented_tools_in_proposals_change_no_edge(tmp_path: Path) -> None:
    teacher = TrajectoryRules(faults=FaultRates({"invented_tool": 1.0}))
    folder = await made(tmp_path, teacher, config(count=4))
    assert b"tool_that_is_not_there" in content(folder, "proposals")
    assert b"tool_that_is_not_there" not in content(folder, "chains")


async def test_thresholds_and_the_mix_of_tasks_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mix = {"original": 1.0, "persona": 3.0}
    options = config(count=8, task_mix=mix, chain_fraction=0.0)
    found = tasks(await made(tmp_path, options=options))
    assert Counter(task.axis for task in found) == {TaskOrigin.original: 2, TaskOrigin.persona: 6}
    assert {task.kind for task in found} == {"server"}
    monkeypatch.setattr(scoring, "THRESHOLDS", scoring.THRESHOLDS | {"scenario_realism": 1.01})
    assert tasks(await made(tmp_path, options=config(count=4), name="strict")) == []


@pytest.mark.parametrize(
    "options",
    [
        {"count": 0},
        {"task_mix": {"persona": 1.0}},
        {"chain_fraction": 1.5},
        {"min_chain": 4, "max_chain": 3},
        {"chain_votes": 0},
    ],
)
def test_impossible_options(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        config(**options)


async def test_a_folder_without_servers_is_named(tmp_path: Path) -> None:
    empty = RunFolder.create(tmp_path / "none", {})
    with pytest.raises(StoreError, match="no servers"):
        await make_tasks(empty, empty, TrajectoryRules(), OPTIONS)


def test_near_duplicates() -> None:
    seen = NearDuplicates(0.8, character_shingles)
    request = "Please list the events of the work calendar on Monday and tell me who is invited."
    assert seen.add("a", request) is None
    assert (
        seen.add("b", "How many notes are there about the garden, and which is the oldest?") is None
    )
    again = seen.add("c", request.replace("Please list", "please  list"))
    assert again == ("a", 1.0)
    assert seen.add("d", request.replace("Monday", "Sunday")) is not None
    assert seen.add("e", "请帮我查询一下北京门店里雨伞的库存情况。") is None
    assert seen.add("f", "请帮我查询一下北京门店里雨伞的库存情况") is not None
    assert seen.add("g", "列出成都的全部门店，再告诉我哪一家最大。") is None


NONE = ToolSet([])
"""Tools whose documents are not known."""


def test_variations_that_must_be_rejected() -> None:
    task = TrajectoryTask(
        id="t",
        servers=("s",),
        kind="server",
        request='Read the note with the title "Field notes" to me, at most 3 lines of it.',
        language="en",
        plan=(
            PlannedCall(
                id="c1",
                tool="read_note",
                arguments={
                    "title": ArgumentSource(value="Field notes"),
                    "lines": ArgumentSource(value=3),
                },
            ),
        ),
    )
    assert variation_problem(task, f"Kindly: {task.request}", NONE) == ""
    assert "the old one" in variation_problem(task, task.request.upper(), NONE)
    for value in ("Field notes", "3"):
        assert "lacks" in variation_problem(task, task.request.replace(value, "some"), NONE)
    assert "not in 'en'" in variation_problem(
        task, "请把标题为 Field notes 的笔记读给我听，最多3行。", NONE
    )
    assert "U+200B" in variation_problem(task, task.request + "\u200b", NONE)


def test_the_order_of_arguments_changes_no_prompt() -> None:
    given = {
        "title": ArgumentSource(value="Field notes"),
        "lines": ArgumentSource(value=3),
        "after": ArgumentSource(value="2026-03-13"),
    }
    told = [
        kept_words(
            TrajectoryTask(
                id="t",
                servers=("s",),
                kind="server",
                request='3 lines of "Field notes" of 2026-03-13, please.',
                language="en",
                plan=(PlannedCall(id="c1", tool="read_note", arguments=arguments),),
            ),
            NONE,
        )
        for arguments in (given, dict(reversed(given.items())))
    ]
    assert told[0] == told[1] == ["2026-03-13", "3", "Field notes"]


# --- personas ------------------------------------------------------------------------------------


def test_our_personas() -> None:
    personas = read_personas()
    assert len(personas) == len({each.text for each in personas}) == 200
    assert Counter(each.language for each in personas) == {"en": 100, "zh": 100}
    assert len({each.profile.occupation for each in personas}) == 200
    assert all(each.profile.skills and each.profile.hobbies for each in personas)
    assert {each.profile.age // 10 for each in personas} >= set(range(1, 8))


@pytest.mark.parametrize(
    "row", ["", "{}", "[]", "nothing", '{"age":"old","occupation":"","education":"","skills":[]}']
)
def test_a_wrong_file_of_personas_is_named(tmp_path: Path, row: str) -> None:
    path = tmp_path / "personas.jsonl"
    path.write_text(row)
    with pytest.raises(ConfigError, match=r"personas\.jsonl"):
        read_personas(path)
    with pytest.raises(ConfigError):
        read_personas(tmp_path / "none.jsonl")


def test_a_file_of_personas_is_read_up_to_a_bound(tmp_path: Path) -> None:
    huge(tmp_path / "personas.jsonl")
    for endless in (Path("/dev/zero"), tmp_path / "personas.jsonl"):
        with pytest.raises(ConfigError, match="more than 16777216 bytes: give a file of personas"):
            read_personas(endless)


async def test_few_tasks_are_of_as_many_servers_as_they_can_be(tmp_path: Path) -> None:
    found = tasks(await made(tmp_path, options=config(count=8)))
    originals = [task.servers for task in found if task.axis is TaskOrigin.original]
    assert len(originals) == 3 and len(set(originals)) == 3


async def test_no_more_is_paid_for_than_is_missing(tmp_path: Path) -> None:
    asked: Counter[str] = Counter()

    class Counting(TrajectoryRules):
        async def ask(self, prompt: Prompt[In, Out], task: In, *, index: int = 0) -> Out:
            asked[prompt.name] += 1
            return await super().ask(prompt, task, index=index)

    folder = await made(tmp_path, Counting(), config(count=8))
    set_aside = failures(folder, "scored").total()
    assert len(tasks(folder)) == 8
    assert asked["score_task"] <= 8 + set_aside
    assert asked["vary_task"] <= 8 + failures(folder, "varied").total() + set_aside


def test_what_is_read_was_written_before() -> None:
    text = {"type": "string"}
    write = shown_tool("write_file", {"path": text, "content": text})
    read, tree = shown_tool("read_file", {"path": text}), shown_tool("show_tree", {"path": text})
    chain = in_order([read, write])
    assert [tool.name for tool in chain] == ["write_file", "read_file"]
    for seed in range(20):
        first, second = plan_of(chain, random.Random(seed), "en")
        assert second.arguments["path"] == first.arguments["path"]
        (alone,) = plan_of([tree], random.Random(seed), "en")
        assert alone.arguments["path"].value == "."


def shown_tool(name: str, parameters: dict[str, Json]) -> ShownTool:
    schema = {"type": "object", "properties": parameters, "required": list(parameters)}
    return ShownTool(name=name, description="", parameters=schema, returns={})


async def test_chinese_tools_make_chinese_tasks(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "examples/tools/library-zh.json"
    collected = RunFolder.create(tmp_path / "tools", {})
    await collect(CollectToolsConfig(example, out=collected.path), collected)
    (server,) = read_servers(collected.path)
    assert server.language == "zh" and len(server.tools) == 5
    options = config(count=10)
    folder = RunFolder.create(tmp_path / "run", identity(options))
    await make_tasks(collected, folder, TrajectoryRules(), options)
    found = tasks(folder)
    assert len(found) == 10 and {task.axis for task in found} == set(TaskOrigin)
    for task in found:
        assert task.language == "zh" and in_language(task.request, "zh")
        assert not in_language(task.request, "en")
    folder = RunFolder.create(tmp_path / "wrong", identity(options))
    wrong = TrajectoryRules(faults=FaultRates({OTHER_LANGUAGE: 1.0}))
    await make_tasks(collected, folder, wrong, options)
    assert {task.axis for task in tasks(folder)} == {TaskOrigin.original}


# --- the agent -----------------------------------------------------------------------------------


async def test_the_rule_agent_calls_nothing_by_guess() -> None:
    said = [Message(role="user", content="Please delete everything.")]
    reply = await RuleAgent().generate(said, ToolSet([calendar()]).documents(), Sampling())
    assert not reply.message.tool_calls


class Sampled:
    """Answers any call with a value of the tool's output schema; every third call times out, and
    succeeds when it is made again."""

    def __init__(self, shown: ToolSet) -> None:
        self._shown = shown
        self._calls = 0
        self._failed: list[object] = []

    async def __aenter__(self) -> Sampled:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass

    def tools(self) -> tuple[ToolSchema, ...]:
        return self._shown.documents()

    async def call(self, name: str, arguments: dict[str, Json]) -> ToolResult:
        self._calls += 1
        if self._calls % 3 == 0 and (name, arguments) not in self._failed:
            self._failed.append((name, arguments))
            return ToolResult({"error": {"code": "timeout", "message": "slow"}}, is_error=True)
        schema = self._shown[name].tool.output_schema or {}
        return ToolResult(sampled(schema, name))


def sampled(schema: Any, name: str) -> Json:
    match schema.get("type"):
        case "object":
            return {key: sampled(inner, key) for key, inner in schema["properties"].items()}
        case "array":
            return [sampled(schema["items"], name)]
        case "string":
            return "ada@example.org" if "email" in name else f"{name} 7"
        case None:
            return "done"
        case _:
            return 7


async def test_plans_are_carried_out_alike_in_process_and_over_the_wire(tmp_path: Path) -> None:
    found = tasks(await made(tmp_path, options=config(count=12)))
    with TeacherServer(TrajectoryRules(), agent=RuleAgent(), prompts=ALL) as server:
        async with OpenAIModel("rules", server.url) as model:
            for task in found:
                shown = ToolSet([SERVERS[one] for one in task.servers])
                start = loop.RolloutTask(task.id, (Message(role="user", content=task.request),))
                scripted = ScriptedAgent(task.plan, task.language)
                here = await loop.rollout(start, scripted, Sampled(shown), RolloutLimits())
                there = await loop.rollout(start, model, Sampled(shown), RolloutLimits())
                assert here.stop is there.stop is StopReason.answered
                assert [(c.tool, c.arguments, c.status) for c in here.calls] == [
                    (c.tool, c.arguments, c.status) for c in there.calls
                ]
                assert here.answer == there.answer
                done = [c.tool for c in here.calls if c.status is CallStatus.ok]
                assert Counter(done) == Counter(call.tool for call in task.plan)
