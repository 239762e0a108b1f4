"""Exported rows through `datasets` and real chat templates: nothing is added, lost or changed.

The templates are those of the models, as TRL ships them: Qwen 3, Llama 3.1 and GLM-4.5.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from astra.chat import CHAT_FAMILIES
from astra.configs.trajectories import RowFormat
from astra.trajectories.export.rows import conversation
from astra.trajectories.records import RecordedRollout
from astra.types import Json, Message
from tests.trajectories.foreign import MESSAGES
from tests.trajectories.rollouts import rollout
from tests.trajectories.test_export_trainers import ROLLOUTS, exported, of_messages
from tests.trajectories.trainers import llama_factory

TEMPLATES = {"qwen3": "qwen3", "llama3": "llama3_1", "glm": "glm4moe"}
"""Family -> name of its template in TRL."""
# Llama 3 makes one call in a message, and says nothing beside it.
SINGLE = of_messages(
    9,
    (
        *MESSAGES[:2],
        Message(role="assistant", tool_calls=MESSAGES[2].tool_calls[:1]),
        MESSAGES[3],
        *MESSAGES[5:],
    ),
)
SOURCES = (*ROLLOUTS, SINGLE, rollout(10), rollout(11, arguments='{"city": "Ōsaka \\"x\\" </a>"}'))
ONE_CALL = tuple(
    number
    for number, source in enumerate(SOURCES)
    if not any(
        m.tool_calls and (m.content or len(m.tool_calls) > 1) for m in source.trajectory.messages
    )
)
LAYOUTS: tuple[RowFormat, ...] = ("trl", "sharegpt", "astra")


@cache
def template(family: str) -> str:
    spec = find_spec("trl")
    assert spec is not None and spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / "chat_templates"
    return (folder / f"{TEMPLATES[family]}.jinja").read_text("utf-8")


def rendered(family: str, messages: list[Json], tools: list[Json]) -> str:
    from transformers.utils.chat_template_utils import render_jinja_template

    texts, _ = render_jinja_template(
        conversations=[messages], tools=tools, chat_template=template(family), bos_token="<s>"
    )
    return texts[0]


def read(row: dict[str, Json]) -> tuple[list[Json], list[Json]]:
    """Messages and tools of a row: text columns parsed, keys without a value dropped."""
    tools = row["tools"]
    messages: list[Json] = []
    for message in row["messages"]:
        message = {name: child for name, child in message.items() if child is not None}
        for call in message.get("tool_calls", ()):
            arguments = call["function"]["arguments"]
            if isinstance(arguments, str):
                call["function"]["arguments"] = json.loads(arguments)
        messages.append(message)
    return messages, json.loads(tools) if isinstance(tools, str) else tools


def check(rows: Iterable[dict[str, Json]], sources: tuple[RecordedRollout, ...]) -> None:
    """Every loaded row is its source, field by field, and every template shows it so."""
    count = 0
    for number, (row, source) in enumerate(zip(rows, sources, strict=True)):
        count += 1
        messages, tools = read(row)
        expected, documents = conversation(source)
        assert messages == expected and tools == documents
        assert row["id"] == source.id and row["reward"] == 0.9
        assert row["scores"] == {
            name: None if name in ("TCU", "TCP") else 0.9
            for name in ("QU", "QP", "TCU", "TCP", "TCS", "TC", "FA")
        }
        if "conversations" in row:
            assert llama_factory(row)[1] == [tool["function"] for tool in documents]
        for family in TEMPLATES:
            if family == "llama3" and number not in ONE_CALL:
                continue
            text = rendered(family, messages, tools)
            assert text == rendered(family, expected, documents)
            shown(family, text, source)
    assert count == len(sources)


def shown(family: str, text: str, source: RecordedRollout) -> None:
    """What a template made of a conversation holds all of it, and calls read back as they were."""
    for tool in source.tools:
        assert tool.name in text and json.dumps(tool.description, ensure_ascii=False) in text
    for message in source.trajectory.messages:
        assert message.role == "tool" or message.content.strip() in text
    spelling = CHAT_FAMILIES[family]
    assert spelling.turn is not None
    turns = [spelling.read(turn, source.tools) for turn in spelling.turn.findall(text)]
    said = [m for m in source.trajectory.messages if m.role == "assistant"]
    assert [
        [(call.tool, json.loads(call.arguments)) for call in turn.tool_calls] for turn in turns
    ] == [[(call.tool, json.loads(call.arguments)) for call in turn.tool_calls] for turn in said]


def loaded(tmp_path: Path, file: Path) -> list[dict[str, Json]]:
    import datasets

    kind = "parquet" if file.suffix == ".parquet" else "json"
    rows = datasets.load_dataset(
        kind, data_files=str(file), split="train", cache_dir=str(tmp_path / "cache")
    )
    return list(rows)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("json_columns", [True, False])
@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_rows_are_loaded_and_rendered_as_they_were(
    tmp_path: Path, layout: RowFormat, json_columns: bool, ending: str
) -> None:
    exported(tmp_path, SOURCES, format=layout, json_columns=json_columns, parquet=True)
    check(loaded(tmp_path, tmp_path / f"out/train.{ending}"), SOURCES)


def test_the_check_sees_what_a_null_does(tmp_path: Path) -> None:
    """The oracle itself: rows as earlier versions fill them are refused."""
    exported(tmp_path, SOURCES)
    rows = loaded(tmp_path, tmp_path / "out/train.jsonl")
    call = rows[0]["messages"][2]["tool_calls"][0]["function"]
    call["arguments"]["city"] = None
    with pytest.raises(AssertionError):
        check(rows, SOURCES)


# --- an earlier version --------------------------------------------------------------------------

_LOAD = """
import json, sys, datasets
for kind, file, target in json.loads(sys.stdin.read()):
    rows = datasets.load_dataset(kind, data_files=file, split="train", cache_dir=file + ".cache")
    with open(target, "w") as out:
        json.dump(list(rows), out, default=str)  # it makes dates of texts, too
print(datasets.__version__)
"""


@pytest.mark.integrations
def test_datasets_4_0_reads_json_columns_as_they_are(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    base = tmp_path_factory.mktemp("datasets")
    subprocess.run([sys.executable, "-m", "venv", base / "env"], check=True)
    python = str(base / "env/bin/python")
    subprocess.run([python, "-m", "pip", "install", "-q", "datasets==4.0.*"], check=True)
    jobs: list[Any] = []
    for layout in LAYOUTS:
        for json_columns in (True, False):
            folder = base / f"{layout}-{json_columns}"
            folder.mkdir()
            exported(folder, SOURCES, format=layout, json_columns=json_columns, parquet=True)
            endings = {"jsonl": "json", "parquet": "parquet"} if json_columns else {"jsonl": "json"}
            for ending, kind in endings.items():
                file = str(folder / f"out/train.{ending}")
                jobs.append((kind, file, f"{file}.loaded"))
    done = subprocess.run(
        [python, "-c", _LOAD], input=json.dumps(jobs), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().startswith("4.0.")
    for _, file, target in jobs:
        rows = json.loads(Path(target).read_text("utf-8"))
        # ShareGPT rows have text in both cases.
        if "-True" in file or "sharegpt" in file:
            check(rows, SOURCES)
        else:  # what the card says: these need a later version
            with pytest.raises(AssertionError):
                check(rows, SOURCES)
