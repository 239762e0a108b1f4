"""Tasks for live servers: what servers hold is read and shown, and plans are tried."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import pytest

from astra.errors import HostError
from astra.protocols import ToolResult
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow, to_line
from astra.runs.runner import StageRunner
from astra.teacher.prompts.chains import (
    JUDGE_CHAIN,
    PROPOSE_CHAINS,
    TELL_CHAIN,
    ChainIn,
    PlannedArgument,
    PlannedStep,
    ProposeChainsIn,
    ShownResult,
)
from astra.teacher.prompts.tasks import (
    PROPOSE_TASKS,
    SCORE_TASK,
    ProposedTask,
    ProposedTasks,
    ProposeTasksIn,
    TaskMarks,
)
from astra.teacher.render import PromptTemplates
from astra.testing.rule_teacher.trajectories import TrajectoryRules
from astra.trajectories.records import (
    ArgumentSource,
    CollectedToolServer,
    Connection,
    PlannedCall,
    TrajectoryTask,
)
from astra.trajectories.tasks.plan_trials import PlanTrial, TriedPlan, live_task, trials_stage
from astra.trajectories.tasks.probing import ServerProbe, probes_stage, seen_values
from astra.trajectories.tasks.server_groups import RESULT_CHARACTERS, STATE_CHARACTERS, group_of
from astra.trajectories.tasks.task_maker import make_tasks
from astra.trajectories.toolset import ToolSet
from astra.types import Json, RecordedCall, ToolSchema

from .services import config, server, text, tool

NOTES: dict[str, Json] = {"n-7": "Milk", "n-8": "Eggs"}


class NotesHost:
    """The notes of `services`, in memory. Counts what is called."""

    def __init__(self, documents: Sequence[ToolSchema], called: list[str] | None = None) -> None:
        self._documents = documents
        self.called = [] if called is None else called
        self.notes = dict(NOTES)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def tools(self) -> Sequence[ToolSchema]:
        return self._documents

    async def call(self, name: str, arguments: dict[str, Json]) -> ToolResult:
        self.called.append(name)
        match name:
            case "list_notes":
                rows = [{"note_id": key, "title": title} for key, title in self.notes.items()]
                return ToolResult({"notes": rows})
            case "get_note" if arguments["note_id"] in self.notes:
                return ToolResult({"note_id": arguments["note_id"], "body": "x" * 3000})
            case "delete_note" if self.notes.pop(str(arguments["note_id"]), None):
                return ToolResult({"deleted": True})
            case "break":
                raise HostError("the server is gone")
            case _:
                return ToolResult({"error": {"message": "there is no such note"}}, is_error=True)


def note_server(**read_only: bool | None) -> CollectedToolServer:
    """Notes that can be listed, read, deleted and broken, live."""
    by_id = {"note_id": text("Id of a note.")}
    made = server(
        "notes",
        (
            tool("get_note", "Gives a note in full.", by_id, ("note_id",)),
            tool("list_notes", "Lists the notes that there are.", {}),
            tool("delete_note", "Deletes a note for good.", by_id, ("note_id",)),
        ),
    )
    tools = tuple(
        each.model_copy(update={"read_only": read_only.get(each.document.name)})
        for each in made.tools
    )
    connection = Connection(file="/nowhere/mcp.json", entry="notes")
    return made.model_copy(update={"tools": tools, "connection": connection})


READING = {"list_notes": True, "get_note": True, "delete_note": False}


def hosts_of(one: CollectedToolServer, called: list[str]) -> Any:
    documents = [each.document for each in one.tools]
    return lambda task: NotesHost(documents, called)


# --- probing ------------------------------------------------------------------------------------


async def probed(path: Path, one: CollectedToolServer, host: Any) -> ServerProbe:
    folder = RunFolder.create(path / "run", {})
    await StageRunner(folder).run(probes_stage(host, 0), [one], total=1)
    (row,) = folder.rows("probes", ServerProbe)
    return row


async def test_reading_tools_are_called_with_what_others_returned(tmp_path: Path) -> None:
    called: list[str] = []
    one = note_server(**READING)
    row = await probed(tmp_path, one, hosts_of(one, called))
    assert called == ["list_notes", "get_note"]
    assert row.calls[1].arguments == {"note_id": "n-7"} and not row.calls[1].is_error


async def test_what_may_keep_its_state_is_called_only_if_its_source_says_so(tmp_path: Path) -> None:
    called: list[str] = []
    one = note_server(list_notes=True)  # the others are not said to read
    await probed(tmp_path, one, hosts_of(one, called))
    assert called == ["list_notes"]


async def test_a_server_that_breaks_is_known_by_what_it_said_before(tmp_path: Path) -> None:
    one = note_server(list_notes=True, get_note=True)
    broken = one.tools[0].model_copy(
        update={"document": one.tools[0].document.model_copy(update={"name": "break"})}
    )
    one = one.model_copy(update={"tools": (broken, *one.tools[1:])})
    row = await probed(tmp_path, one, hosts_of(one, []))
    assert [call.tool for call in row.calls] == ["list_notes"]


# --- what a teacher sees ------------------------------------------------------------------------


def test_the_state_that_is_shown_is_bounded() -> None:
    one = note_server(**READING)
    calls = [
        RecordedCall(tool="get_note", arguments={"note_id": str(n)}, content="y" * 3000)
        for n in range(20)
    ]
    wrong = RecordedCall(tool="get_note", arguments={}, content="no", is_error=True)
    state = group_of([one], None, {one.id: [wrong, *calls]}).state
    assert 1 < len(state) < 20
    assert all(len(each.result) <= RESULT_CHARACTERS + 1 for each in state)
    assert sum(len(each.result) for each in state) <= STATE_CHARACTERS
    assert group_of([one]).state == ()


def test_of_two_servers_each_is_shown_by_the_names_that_the_agent_sees() -> None:
    first = note_server(**READING)
    second = first.model_copy(update={"id": "other", "name": "more notes"})
    calls = [RecordedCall(tool="list_notes", arguments={}, content={"notes": []})]
    group = group_of([first, second], None, {first.id: calls, "other": calls})
    assert {each.tool for each in group.state} == {"notes_list_notes", "more_notes_list_notes"}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_prompts_show_the_state_and_are_as_ever_without(language: Any) -> None:
    shown = ShownResult(tool="list_notes", arguments={}, result="Ferry times")
    renderer = PromptTemplates()
    common = {"language": language, "service": "notes", "tools": ()}
    chain = {**common, "chain": ("a", "b")}
    for prompt, given in (
        (PROPOSE_TASKS, ProposeTasksIn(**common, wanted=1, fewest=1, most=2, number=1)),
        (PROPOSE_CHAINS, ProposeChainsIn(**common, wanted=1, shortest=1, longest=2, number=1)),
        (JUDGE_CHAIN, ChainIn(**chain)),
        (TELL_CHAIN, ChainIn(**chain)),
    ):
        without = str(renderer.messages(prompt, given))
        assert "state" not in given.model_dump(mode="json")
        assert "`state`" not in without
        grounded = given.model_copy(update={"state": (shown,)})
        said = str(renderer.messages(prompt, grounded))
        assert "`state`" in said and "Ferry times" in said
        assert type(given).model_validate(grounded.model_dump(mode="json")) == grounded


@pytest.mark.parametrize(
    ("parameter", "of", "content", "expected"),
    [
        ("path", "read_file", "[DIR] notes\n[FILE] plan.txt     19 B", "/data/plan.txt"),
        ("path", "list_directory", "[FILE] plan.txt", "/data"),
        ("table_name", "describe_table", "[{'name': 'orders'}]", None),
        ("note_id", "get_note", {"notes": [{"note_id": "n-7"}]}, "n-7"),
    ],
)
def test_values_are_found_in_what_was_returned(
    parameter: str, of: str, content: Json, expected: Json
) -> None:
    calls = [
        RecordedCall(tool="list_allowed", arguments={}, content="Allowed:\n/data"),
        RecordedCall(tool="list_notes", arguments={}, content=content),
    ]
    assert next(iter(seen_values(parameter, calls, of)), None) == expected
    if parameter == "table_name":
        tables = [RecordedCall(tool="list_tables", arguments={}, content=content)]
        assert list(seen_values(parameter, tables, of)) == ["orders"]


# --- trying plans -------------------------------------------------------------------------------


def planned(*calls: tuple[str, str]) -> tuple[PlannedCall, ...]:
    return tuple(
        PlannedCall(id=f"c{n}", tool=name, arguments={"note_id": ArgumentSource(value=note)})
        for n, (name, note) in enumerate(calls, start=1)
    )


@pytest.mark.parametrize(
    ("plan", "failure"),
    [
        ([("get_note", "n-7")], ""),
        ([("get_note", "n-9")], "get_note (c1): .*no such note"),
        # It changes something, and the host does not say that it is a fresh copy: not tried.
        ([("delete_note", "n-9")], ""),
    ],
)
async def test_a_plan_is_tried(tmp_path: Path, plan: Any, failure: str) -> None:
    one = note_server(**READING)
    folder = RunFolder.create(tmp_path / "run", {})
    task = live_task("k", [one.id], "en", planned(*plan))
    tools = ToolSet([one])
    stage = trials_stage(hosts_of(one, []))
    await StageRunner(folder).run(stage, [TriedPlan("k", task, tools)], total=1)
    (row,) = folder.rows("tried", PlanTrial)
    pattern = failure.replace("(", r"\(").replace(")", r"\)")
    assert re.fullmatch(f"{pattern}.*", row.failure) if failure else row.failure == ""


REQUESTS = (
    "What does it say in",
    "Could you read out to me the text of the note with the id",
    "My colleague asks for the whole of what we wrote down under",
    "Before lunch I need the body of one of our notes, namely",
    "Which words did I put into",
    "For the report: is there anything about prices in the note called",
)


class Careless(TrajectoryRules):
    """Proposes, of two tasks, one for a note that is not there."""

    async def ask(self, prompt: Any, task: Any, *, index: int = 0) -> Any:
        if prompt.name != PROPOSE_TASKS.name:
            return await super().ask(prompt, task, index=index)
        proposed = [
            ProposedTask(
                request=f'{REQUESTS[(2 * task.number + second) % len(REQUESTS)]} "{note}"?',
                plan=(
                    PlannedStep(
                        tool="get_note",
                        arguments={"note_id": PlannedArgument(value=note)},
                        needs=(),
                    ),
                ),
            )
            for second, note in enumerate(("n-7", f"n-10{task.number}"))
        ]
        return ProposedTasks(tasks=tuple(proposed))


class Approving(Careless):
    """Finds every task good."""

    async def ask(self, prompt: Any, task: Any, *, index: int = 0) -> Any:
        if prompt.name != SCORE_TASK.name:
            return await super().ask(prompt, task, index=index)
        return TaskMarks(
            reason="Fine.", question_quality=1, scenario_realism=1, tool_necessity=1, unfounded=()
        )


async def made(path: Path, fraction: float, hosts: str = "live") -> RunFolder:
    one = note_server(**READING)
    tools = RunFolder.create(path / "tools", {})
    tools.replace("servers.jsonl", [to_line(one)])
    folder = RunFolder.create(path / "run", {})
    options = config(
        count=10,
        hosts=hosts,
        failing_fraction=fraction,
        chain_fraction=0.0,
        task_mix={"original": 1.0},
    )
    host = hosts_of(one, [])
    await make_tasks(tools, folder, Approving(), options, host=host)
    return folder


async def test_tasks_that_can_not_succeed_are_left_out(tmp_path: Path) -> None:
    folder = await made(tmp_path, 0.0)
    tasks = list(folder.rows("tasks", TrajectoryTask))
    assert tasks and not any(task.failure for task in tasks)
    assert all("n-7" in task.request for task in tasks)
    rejected = [row for row in folder.rows("scored.failed", FailureRow) if row.check == "tried"]
    assert rejected and "no such note" in rejected[0].message


async def test_a_share_of_them_is_kept_on_request_and_marked(tmp_path: Path) -> None:
    folder = await made(tmp_path, 0.3)
    failing = [t for t in folder.rows("tasks", TrajectoryTask) if t.failure]
    assert 0 < len(failing) <= 3
    assert all("n-10" in task.request and "no such note" in task.failure for task in failing)


async def test_emulated_services_are_not_asked(tmp_path: Path) -> None:
    folder = await made(tmp_path, 0.0, "emulator")
    assert not folder.exists("probes.jsonl") and not folder.exists("tried.jsonl")
    assert any("n-10" in task.request for task in folder.rows("tasks", TrajectoryTask))
