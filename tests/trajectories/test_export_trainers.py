"""Rows as trainers read them: LLaMA-Factory's and axolotl's rules give the source conversation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from astra.configs.trajectories import ExportTrajectoriesConfig
from astra.trajectories.export.dataset import ExportResult, export_dataset
from astra.trajectories.export.rows import conversation
from astra.trajectories.records import RecordedRollout
from astra.types import Json, Message, StopReason
from tests.trajectories.foreign import MESSAGES, called
from tests.trajectories.foreign import TOOLS as FLIGHT_TOOLS
from tests.trajectories.rollouts import folder_of, rollout
from tests.trajectories.trainers import axolotl, llama_factory, qwen_observation


def of_messages(number: int, messages: tuple[Message, ...]) -> RecordedRollout:
    made = rollout(number)
    trajectory = made.trajectory.model_copy(
        update={"messages": messages, "stop": StopReason.answered}
    )
    return made.model_copy(update={"trajectory": trajectory, "tools": FLIGHT_TOOLS})


NULL = called("c9", "book_seat", {"flight": "SK1", "seats": None})
ROLLOUTS = (
    of_messages(0, MESSAGES),
    of_messages(1, MESSAGES[1:6]),
    of_messages(
        2,
        (
            MESSAGES[1],
            Message(role="assistant", tool_calls=(NULL,)),
            Message(role="tool", content="[1, 2]", tool_call_id="c9"),
            Message(role="assistant", content="<b>Done</b>\n"),
        ),
    ),
    rollout(3, calls=("weather", "mayor")),
    rollout(4, arguments="{}"),
)


def exported(tmp_path: Path, rows: Any, **options: Any) -> tuple[ExportResult, list[Json]]:
    run = folder_of(tmp_path / "run", [(row, 0.9) for row in rows])
    config = {"test_fraction": 0, "keep_disproved": True, **options}
    done = export_dataset(ExportTrajectoriesConfig(run.path, out=tmp_path / "out", **config))
    text = (tmp_path / "out/train.jsonl").read_text("utf-8")
    return done, [json.loads(line) for line in text.splitlines()]


def test_llama_factory_reads_the_conversation(tmp_path: Path) -> None:
    _, rows = exported(tmp_path, ROLLOUTS, format="sharegpt")
    assert len(rows) == len(ROLLOUTS)
    for row, source in zip(rows, ROLLOUTS, strict=True):
        system, functions, turns = llama_factory(row)
        messages = source.trajectory.messages
        assert system == (messages[0].content if messages[0].role == "system" else "")
        assert functions == [tool.model_dump() for tool in source.tools]
        results: list[str] = []
        expected: list[Json] = []
        for message in [m for m in messages if m.role != "system"]:
            if message.role == "tool":
                results.append(message.content)
                continue
            if results:
                several = json.dumps(results, ensure_ascii=False)
                expected.append(("observation", "", several if len(results) > 1 else results[0]))
                results = []
            if message.role == "user":
                expected.append(("human", "", message.content))
            elif message.tool_calls:
                thought = "\n".join(filter(None, (message.reasoning, message.content)))
                calls = [(call.tool, json.loads(call.arguments)) for call in message.tool_calls]
                expected.append(("function_call", thought, calls))
            else:
                said = f"<think>\n{message.reasoning}\n</think>\n\n" if message.reasoning else ""
                expected.append(("gpt", "", said + message.content))
        assert turns == expected
        shown = "".join(qwen_observation(v) for role, _, v in turns if role == "observation")
        assert shown.count("<tool_response>") == sum(t[0] == "observation" for t in turns)


@pytest.mark.parametrize("options", [{"format": "sharegpt"}, {}, {"json_columns": True}])
def test_axolotl_reads_the_conversation(tmp_path: Path, options: dict[str, Any]) -> None:
    _, rows = exported(tmp_path, ROLLOUTS, **options)
    for row, source in zip(rows, ROLLOUTS, strict=True):
        turns, tools = axolotl(row)
        messages, documents = conversation(source)
        if not options:  # axolotl drops nulls, also those of arguments that are objects
            messages = json.loads(json.dumps(messages).replace(', "seats": null', ""))
        assert turns == messages
        assert tools == documents


@pytest.mark.parametrize(
    "messages",
    [
        (MESSAGES[1], *MESSAGES[1:6]),
        (*MESSAGES[1:6], Message(role="assistant", content="And a second word.")),
        MESSAGES[5:6],
        (
            MESSAGES[1],
            MESSAGES[2].model_copy(update={"content": "I write <tool_call> x </tool_call>."}),
            *MESSAGES[3:6],
        ),
        (
            MESSAGES[1],
            MESSAGES[2].model_copy(update={"content": "It ends by\n</think>\n\nhere."}),
            *MESSAGES[3:6],
        ),
    ],
)
def test_what_llama_factory_can_not_read_is_left_out(
    tmp_path: Path, messages: tuple[Message, ...]
) -> None:
    bad = of_messages(7, messages)
    done, rows = exported(tmp_path, [ROLLOUTS[1], bad], format="sharegpt")
    assert [row["id"] for row in rows] == [ROLLOUTS[1].id]
    assert done.excluded == {"unrenderable": 1}


def test_the_rules_refuse_a_broken_row(tmp_path: Path) -> None:
    """The oracle itself: a row with a turn too many, and calls that are no JSON."""
    _, (row, *_) = exported(tmp_path, ROLLOUTS[1:2], format="sharegpt")
    with pytest.raises(ValueError, match="odd number"):
        llama_factory({**row, "conversations": row["conversations"][1:]})
    turns = json.loads(json.dumps(row["conversations"]))
    turns[1]["value"] += "x"
    with pytest.raises(ValueError, match="Extra data"):
        llama_factory({**row, "conversations": turns})
