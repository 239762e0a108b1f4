"""Foreign conversations: read without loss, or refused with the reason; used like our own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from astra.cli.main import run
from astra.configs.trajectories import (
    ConversationFormat,
    ExportTrajectoriesConfig,
    ImportTrajectoriesConfig,
    JudgeTrajectoriesConfig,
)
from astra.errors import ConfigError
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow, to_line
from astra.trajectories.export.dataset import export_dataset
from astra.trajectories.make import import_trajectories, judge_trajectories
from astra.trajectories.play.replay import replay_differences
from astra.trajectories.records import CollectedTool, CollectedToolServer, RecordedRollout
from astra.types import Json, Message
from tests.trajectories import foreign
from tests.trajectories.foreign import MESSAGES, STATUSES, TOOLS, file_of, openai_row, plain
from tests.trajectories.rollouts import folder_of, rollout

FORMATS: dict[ConversationFormat, tuple[str, Callable[..., Json]]] = {
    "openai": ("rows.jsonl", foreign.openai_row),
    "trl": ("rows.jsonl", foreign.trl_row),
    "sharegpt": ("rows.jsonl", foreign.hermes_row),
    "inspect": ("log.json", foreign.inspect_log),
    "atif": ("trajectory.json", foreign.atif_trajectory),
}


async def imported(file: Path, **options: Any) -> list[RecordedRollout]:
    out = options.pop("out", file.parent / "run")
    trajectories = await import_trajectories(ImportTrajectoriesConfig(file, out=out, **options))
    return [each.rollout for each in trajectories]


def refused(out: Path) -> list[FailureRow]:
    return list(RunFolder.open(out).rows("rollouts.failed", FailureRow))


async def refusal(tmp_path: Path, row: Json, form: ConversationFormat = "openai") -> FailureRow:
    """Why a row is refused, beside one that is taken."""
    file = file_of(tmp_path / "rows.jsonl", openai_row(MESSAGES[:6]), row)
    if form != "openai":
        file = file_of(tmp_path / "rows.jsonl", row)
    taken = await imported(file, format=form)
    assert len(taken) == (form == "openai")
    (failure,) = refused(tmp_path / "run")
    assert f"rows.jsonl, line {1 + (form == 'openai')}" in failure.message
    return failure


# --- what comes in -------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("told", [True, False])
async def test_every_format_gives_the_same_conversation(
    tmp_path: Path, form: ConversationFormat, told: bool
) -> None:
    name, write = FORMATS[form]
    file = file_of(tmp_path / name, write())
    (made,) = await imported(file, format=form if told else "auto")
    assert plain(made.trajectory.messages) == plain(MESSAGES)
    assert made.tools == TOOLS
    assert [call.status.value for call in made.trajectory.calls] == list(STATUSES)
    assert [call.turn for call in made.trajectory.calls] == [0, 0, 2]
    assert made.trajectory.stop.value == "answered" and made.host == "recorded"
    assert made.model == {"inspect": "openai/gpt-x", "atif": "gpt-x"}.get(form, "unknown")
    assert await replay_differences(tmp_path / "run") == {made.id: ""}


@pytest.mark.parametrize("layout", ["trl", "sharegpt", "astra"])
@pytest.mark.parametrize("json_columns", [True, False])
async def test_what_we_export_comes_back(tmp_path: Path, layout: Any, json_columns: bool) -> None:
    source = await imported(file_of(tmp_path / "rows.jsonl", openai_row()))
    rows = [
        *source,
        rollout(0, calls=("weather", "mayor")),
        rollout(1, arguments="{}", tools=("weather",)),
        rollout(2, answer='<b>12 °C</b>\n\n- 温度 "x"'),
    ]
    run_folder = folder_of(tmp_path / "made", [(row, 0.9) for row in rows])
    export_dataset(
        ExportTrajectoriesConfig(
            run_folder.path,
            out=tmp_path / "out",
            format=layout,
            json_columns=json_columns,
            test_fraction=0,
            keep_disproved=True,
        )
    )
    form: ConversationFormat = "openai" if layout == "astra" else layout
    back = await imported(tmp_path / "out/train.jsonl", format=form)
    assert [plain(row.trajectory.messages) for row in back] == [
        plain(row.trajectory.messages) for row in rows
    ]
    assert [row.tools for row in back] == [row.tools for row in rows]
    assert [[c.status for c in row.trajectory.calls] for row in back] == [
        [c.status for c in row.trajectory.calls] for row in rows
    ]
    assert await imported(tmp_path / "out/train.jsonl", out=tmp_path / "auto") == back


async def test_a_changed_column_of_our_rows_is_refused(tmp_path: Path) -> None:
    run_folder = folder_of(tmp_path / "made", [(rollout(0), 0.9)])
    export_dataset(
        ExportTrajectoriesConfig(
            run_folder.path, out=tmp_path / "out", format="sharegpt", test_fraction=0
        )
    )
    row = json.loads((tmp_path / "out/train.jsonl").read_text())
    row["conversations"][-1]["value"] = "13 degrees."
    failure = await refusal(tmp_path, row, "sharegpt")
    assert "'conversations' and 'messages' disagree" in failure.message


async def test_llama_factory_rows_of_others_are_read(tmp_path: Path) -> None:
    calls = [{"name": "weather", "arguments": {"city": city}} for city in ("Oslo", "Rome")]
    turns = [
        ("human", "How warm are Oslo and Rome?"),
        ("function_call", json.dumps(calls)),
        ("observation", json.dumps([{"t": 12}, "unknown"])),
        ("gpt", "Oslo 12."),
        ("human", "And Bergen?"),
        (
            "function_call",
            '<think>\nMore.\n</think>\n\n{"name": "weather", "arguments": "{}"}',
        ),
        ("observation", "[1, 2]"),
        ("gpt", "Between 1 and 2."),
    ]
    tools = [{"name": "weather", "description": "Weather.", "parameters": {"city": "string"}}]
    row = {"conversations": [{"from": a, "value": b} for a, b in turns], "tools": json.dumps(tools)}
    (made,) = await imported(file_of(tmp_path / "rows.jsonl", row), format="sharegpt")
    assert [call.result for call in made.trajectory.calls] == [{"t": 12}, "unknown", [1, 2]]
    assert made.trajectory.messages[6].reasoning == "More."
    assert made.tools[0].parameters["properties"] == {"city": {"type": "string"}}


async def test_earlier_spellings_of_the_openai_form(tmp_path: Path) -> None:
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": "Be "}, "brief."]},
        {"role": "user", "content": "How warm is Oslo?"},
        {"role": "assistant", "content": None, "function_call": {"name": "w", "arguments": "{}"}},
        {"role": "function", "name": "w", "content": "12"},
        {"role": "assistant", "content": "<think>\neasy\n</think>\n\n12."},
    ]
    row = {"messages": messages, "functions": [{"name": "w", "description": "Weather."}]}
    (made,) = await imported(file_of(tmp_path / "rows.jsonl", row), format="openai")
    first, *_, last = made.trajectory.messages
    assert (first.role, first.content) == ("system", "Be brief.")
    assert (last.content, last.reasoning) == ("12.", "easy")
    assert made.trajectory.calls[0].result == 12


async def test_ids_that_repeat_are_told_apart(tmp_path: Path) -> None:
    row = openai_row()
    for message in row["messages"]:
        for number, call in enumerate(message.get("tool_calls", ())):
            call["id"] = f"call_{number}"
    results = [message for message in row["messages"] if message["role"] == "tool"]
    for message, name in zip(results, ("call_0", "call_1", "call_0"), strict=True):
        message["tool_call_id"] = name
    (made,) = await imported(file_of(tmp_path / "rows.jsonl", row))
    assert len({call.id for call in made.trajectory.calls}) == 3
    assert [call.status.value for call in made.trajectory.calls] == list(STATUSES)


async def test_a_conversation_without_an_answer_hit_a_limit(tmp_path: Path) -> None:
    log = foreign.inspect_log(MESSAGES[:5], limit={"type": "token", "limit": 100})
    (made,) = await imported(file_of(tmp_path / "log.json", log))
    assert made.trajectory.stop.value == "length_limit"
    (other,) = await imported(
        file_of(tmp_path / "rows.jsonl", openai_row(MESSAGES[:3])), out=tmp_path / "b"
    )
    assert other.trajectory.stop.value == "turn_limit" and not other.trajectory.calls


@pytest.mark.parametrize(
    ("result", "status"),
    [
        ('{"error": null, "t": 1}', "ok"),
        ('{"isError": true}', "tool_error"),
        ("Error executing tool find_flights: timeout", "tool_error"),
        ("Error rate: 0.5 %", "ok"),
        ("Traceback (most recent call last):\n  x", "tool_error"),
        ('{"error": {"code": "schema_violation", "message": "m"}}', "schema_violation"),
    ],
)
async def test_results_say_whether_a_call_failed(tmp_path: Path, result: str, status: str) -> None:
    first, second = MESSAGES[2].tool_calls
    messages = [
        *MESSAGES[1:2],
        Message(role="assistant", tool_calls=(first, second)),
        Message(role="tool", content=result, tool_call_id="c1"),
        Message(role="tool", content="12", tool_call_id="c2"),
        MESSAGES[5],
    ]
    (made,) = await imported(file_of(tmp_path / "rows.jsonl", openai_row(messages)))
    assert [call.status.value for call in made.trajectory.calls] == [status, "ok"]


async def test_agents_inside_a_trajectory_are_conversations_of_their_own(tmp_path: Path) -> None:
    outer = foreign.atif_trajectory()
    inner = {**foreign.atif_trajectory(MESSAGES[1:6]), "trajectory_id": "t1"}
    outer["subagent_trajectories"] = [inner]
    made = await imported(file_of(tmp_path / "trajectory.json", outer))
    assert [len(each.trajectory.messages) for each in made] == [10, 5]


# --- tools from elsewhere ------------------------------------------------------------------------


def tools_folder(path: Path) -> RunFolder:
    folder = RunFolder.create(path, {})
    servers = [
        CollectedToolServer(
            id=f"s{number}",
            name=f"Server {number}",
            domain="travel",
            source="functions",
            tools=tuple(CollectedTool(document=tool, original_name=tool.name) for tool in tools),
        )
        for number, tools in enumerate((TOOLS, TOOLS[:0]))
    ]
    with folder.lock():
        folder.replace("servers.jsonl", map(to_line, servers))
    return folder


async def test_tools_are_taken_from_a_folder(tmp_path: Path) -> None:
    folder = tools_folder(tmp_path / "tools")
    rows = [{"messages": openai_row()["messages"]}, {**openai_row(), "tools": []}]
    rows[1]["messages"] = rows[1]["messages"][:6]
    made = await imported(file_of(tmp_path / "rows.jsonl", *rows), tools=folder.path)
    assert [each.task.servers for each in made] == [("s0",), ("s0",)]
    assert [each.tools for each in made] == [TOOLS, TOOLS]


async def test_calls_without_any_tools_are_refused(tmp_path: Path) -> None:
    failure = await refusal(tmp_path, {"messages": openai_row()["messages"]})
    assert failure.check == "no_tools" and "'find_flights'" in failure.message
    strange = json.loads(json.dumps(openai_row()).replace("find_flights", "find_trains"))
    file = file_of(tmp_path / "b.jsonl", {"messages": strange["messages"]})
    folder = tools_folder(tmp_path / "tools")
    assert not await imported(file, tools=folder.path, out=tmp_path / "b")
    assert "'find_trains', which no server" in refused(tmp_path / "b")[0].message


# --- what is refused -----------------------------------------------------------------------------


def changed(**fields: Any) -> dict[str, Json]:
    return {**openai_row(), **fields}


def messages_with(index: int, value: Json) -> dict[str, Json]:
    row = openai_row()
    row["messages"][index] = value
    return row


@pytest.mark.parametrize(
    ("row", "check", "said"),
    [
        ({"text": "hello"}, "layout", "it has no messages, but ['text']"),
        ([1], "layout", "not an object"),
        (changed(messages="{}"), "layout", "messages is not a list"),
        (changed(messages=[]), "no_request", "no user"),
        (changed(messages=openai_row()["messages"][1:2]), "no_message", "nothing to judge"),
        (messages_with(1, {"role": "critic", "content": "x"}), "message", "message 2"),
        (messages_with(1, {"role": "user", "content": {"a": 1}}), "message", "message 2"),
        (messages_with(1, "hello"), "message", "message 2 is not an object"),
        (
            messages_with(
                1, {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}
            ),
            "media",
            "'image_url'",
        ),
        (messages_with(3, {"role": "tool", "tool_call_id": "zz", "content": "1"}), "results", "zz"),
        (messages_with(3, MESSAGES[1].model_dump()), "results", "'find_flights' has no result"),
        (changed(tools={"a": 1}), "tools", "not a list of functions"),
        (changed(tools="[{"), "layout", "tools is not JSON"),
        (changed(tools=openai_row()["tools"] * 2), "tools", "two tools are called"),
        (
            changed(tools=[{"name": "x", "parameters": {"type": "object", "$ref": "#/z"}}]),
            "tools",
            "",
        ),
    ],
)
async def test_rows_of_other_shapes_are_refused(
    tmp_path: Path, row: Json, check: str, said: str
) -> None:
    failure = await refusal(tmp_path, row)
    assert failure.check == check and said in failure.message


@pytest.mark.parametrize(
    ("row", "form", "said"),
    [
        ({"prompt": "a", "completion": "b"}, "trl", "not lists of messages"),
        ({"prompt": [], "chosen": [], "rejected": []}, "trl", "preference"),
        ({"conversations": [{"from": "alien", "value": "x"}]}, "sharegpt", "turn 1"),
        ({"conversations": [{"from": "function_call", "value": "{"}]}, "sharegpt", "not JSON"),
        ({"conversations": [{"from": "gpt", "value": "<functioncall> {}"}]}, "sharegpt", "dialect"),
        ({"conversations": [{"from": "gpt", "value": "<tool_call> {}"}]}, "sharegpt", "not closed"),
        ({"messages": 3}, "inspect", "not a sample"),
        ({"messages": [], "error": {"message": "boom"}}, "inspect", "boom"),
        ({"messages": [{"role": "user", "content": "attachment://q"}]}, "inspect", "attachment"),
        ({"schema_version": "ATIF-v2.0", "steps": []}, "atif", "ATIF-v2.0"),
        ({"schema_version": "ATIF-v1.7", "steps": [{"step_id": 2}]}, "atif", "step 1"),
        ({"x": 1}, "auto", "no known format"),
        ({**foreign.atif_trajectory(), "conversations": []}, "auto", "atif and sharegpt"),
    ],
)
async def test_other_formats_refuse_what_they_are_not(
    tmp_path: Path, row: Json, form: ConversationFormat, said: str
) -> None:
    failure = await refusal(tmp_path, row, form)
    assert said in failure.message


def copied_step() -> Json:
    value = foreign.atif_trajectory()
    value["steps"][0]["is_copied_context"] = True
    return value


def unnamed_result() -> Json:
    value = foreign.atif_trajectory()
    value["steps"][2]["observation"]["results"][0]["source_call_id"] = None
    return value


@pytest.mark.parametrize(
    ("row", "check"), [(copied_step(), "copied_context"), (unnamed_result(), "results")]
)
async def test_trajectories_that_can_not_be_told(tmp_path: Path, row: Json, check: str) -> None:
    assert (await refusal(tmp_path, row, "atif")).check == check


async def test_cut_and_doubled_lines_are_told(tmp_path: Path) -> None:
    line = json.dumps(openai_row()).encode()
    (tmp_path / "rows.jsonl").write_bytes(line + b"\n\n" + line + b"\n{\n" + line[:500])
    assert len(await imported(tmp_path / "rows.jsonl")) == 1
    said = [(row.check, row.message) for row in refused(tmp_path / "run")]
    assert [check for check, _ in said] == ["repeated", "layout", "cut_off"]
    assert "line 3: the same conversation as rows.jsonl, line 1" in said[0][1]
    assert "line 4: not JSON" in said[1][1] and "line 5: it ends after 500 bytes" in said[2][1]


@pytest.mark.parametrize(
    "text",
    [
        '{"messages": ' + "[" * 100_000,
        '{"messages": [{"role": "user", "content": "\\ud800"}]}',
        '{"messages": [{"role": "user", "content": NaN}]}',
        json.dumps(changed(messages=[{"role": "user", "content": "x"}] * 3000)),
        json.dumps(messages_with(1, {"role": "user", "content": "x" * 4_000_001})),
        json.dumps(messages_with(3, {"role": "tool", "tool_call_id": ["c1"], "content": "1"})),
        json.dumps(changed(tools=[{"name": "x", "parameters": {"type": "object"}}] * 3000)),
    ],
)
async def test_hostile_rows_are_refused_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "rows.jsonl").write_text(f"{text}\n{json.dumps(openai_row())}\n")
    assert len(await imported(tmp_path / "rows.jsonl")) == 1
    assert len(refused(tmp_path / "run")) == 1


@pytest.mark.parametrize("marks", ["</tool_call>{0}<tool_call>{0}", "<tool_response>{0}"])
async def test_marks_without_end_take_no_time(tmp_path: Path, marks: str) -> None:
    for role in ("gpt", "tool"):
        value = "".join(part * 200_000 for part in marks.split("{0}"))
        row = {"conversations": [{"from": "human", "value": "x"}, {"from": role, "value": value}]}
        started = time.process_time()
        file = file_of(tmp_path / f"{role}.jsonl", row)
        await imported(file, out=tmp_path / role, format="sharegpt")
        assert time.process_time() - started < 10


MUTATIONS: tuple[Json, ...] = (
    *(None, True, -1, 10**400, "", "x", "\ud800", [], {}, [[]], {"a": None}, "<tool_call>"),
    *("attachment://d1", "null", '{"a":', "Error: x", "<think></think>"),
)


def mutated(value: Json, random: Random, share: float) -> Json:
    """The value with parts replaced, left out and doubled."""
    if random.random() < share:
        return random.choice(MUTATIONS)
    if isinstance(value, dict):
        kept = {name: child for name, child in value.items() if random.random() > share / 2}
        return {name: mutated(child, random, share) for name, child in kept.items()}
    if isinstance(value, list):
        items = [mutated(child, random, share) for child in value if random.random() > share / 2]
        return items * 2 if random.random() < share / 4 else items
    return value


@pytest.mark.parametrize("form", FORMATS)
async def test_a_changed_row_is_read_or_refused(tmp_path: Path, form: ConversationFormat) -> None:
    random = Random(form)
    row = FORMATS[form][1]()
    row = row["samples"][0] if form == "inspect" else row
    rows = [mutated(row, random, random.choice((0.005, 0.02, 0.08))) for _ in range(150)]
    file = file_of(tmp_path / "rows.jsonl", *rows)
    taken = len(await imported(file, format=form))
    failures = refused(tmp_path / "run")
    assert taken + len(failures) == 150 and taken and failures
    assert {failure.kind for failure in failures} == {"rejected"}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("log.eval", b"PK\x03\x04zip", "inspect log convert"),
        ("rows.json", b"{", "is not JSON"),
        ("rows.json", b"\xff\xfe", "is not JSON"),
        ("rows.jsonl", b"", "holds no conversations"),
        ("big.json", b'{"a": "' + b"x" * 2**20 + b'"}', "max_document_mib"),
        ("rows.jsonl", b'{"a": "' + b"x" * (32 * 2**20), "longer than"),
    ],
)
async def test_files_that_hold_none_leave_no_run(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        await imported(tmp_path / name, max_document_mib=1)
    assert not (tmp_path / "run").exists()


# --- afterwards ----------------------------------------------------------------------------------


def test_the_commands_take_an_imported_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = openai_row(MESSAGES[:6])
    file = file_of(tmp_path / "rows.jsonl", openai_row(), good, {"x": 1})
    folder = tmp_path / "run"
    command = ["trajectories", "import", str(file), "--from", "openai", "--out", str(folder)]
    assert run(command) == 1
    said = capsys.readouterr().out
    assert "2 conversations" in said and "rows.jsonl, line 3: it has no messages" in said
    assert run([*command, "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["conversations"], report["rejected"]) == (2, {"layout": 1})
    # Who judges first fills the file that the other commands read; again is a resume.
    for _ in range(2):
        assert run(["trajectories", "judge", str(folder), "--teacher", "rules", "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert (report["file"], report["judged"]) == ("judgements.jsonl", 2)
        assert report["agreement"] == {}
    assert run(["trajectories", "stats", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["judged"] == 2
    assert run(["trajectories", "show", str(folder), "--json"]) == 0
    assert all(row["reward"] is not None for row in json.loads(capsys.readouterr().out))
    out = tmp_path / "sft"
    assert run(["trajectories", "export", str(folder), "--keep-disproved", "--out", str(out)]) == 0
    rows = [json.loads(line) for line in (out / "train.jsonl").read_text("utf-8").splitlines()]
    assert [plain(MESSAGES)[:6], plain(MESSAGES)] == sorted(
        ([_plain_row(m) for m in row["messages"]] for row in rows), key=len
    )
    card = (out / "README.md").read_text("utf-8")
    assert "imported" in card and "synthesized from tool documents" not in card


def _plain_row(message: Json) -> Json:
    calls = [call["function"] for call in message.get("tool_calls", ())]
    return [
        message["role"],
        message["content"],
        message.get("reasoning_content", ""),
        [[call["name"], call["arguments"]] for call in calls],
    ]


async def test_another_judge_writes_beside_the_first(tmp_path: Path) -> None:
    await imported(file_of(tmp_path / "rows.jsonl", openai_row()))
    config = JudgeTrajectoriesConfig(tmp_path / "run", teacher="rules")
    assert (await judge_trajectories(config)).judgements == "judgements"
    file = tmp_path / "run/judgements.jsonl"
    file.write_text(file.read_text().replace('"judge":"rules"', '"judge":"someone"'))
    assert (await judge_trajectories(config)).judgements == "judgements-rules"


async def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    file = file_of(tmp_path / "rows.jsonl", openai_row(), openai_row(MESSAGES[:6]), {"x": 1})
    for name in ("a", "b"):
        await imported(file, out=tmp_path / name)
    for name in ("rollouts.jsonl", "rollouts.failed.jsonl"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    file.write_text(json.dumps(openai_row()))
    with pytest.raises(ConfigError, match="sha256"):
        await imported(file, out=tmp_path / "a")
