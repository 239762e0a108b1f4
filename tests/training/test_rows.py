"""Rows are read in the forms that are about, and their labels are what the model writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from astra.chat.template import ChatTemplate
from astra.errors import ConfigError
from astra.training.sft.encode import IGNORED, encode, encode_rows
from astra.training.sft.rows import ConversationRow, read_rows
from tests.support.spoiled_files import huge
from tests.support.tokenizers import tokenizer

from .sft_made import row

FAMILIES = ("qwen3", "hermes", "llama3", "mistral", "glm", "qwen3-real", "llama3.1-real")


def read(tmp_path: Path, *lines: object) -> list[ConversationRow]:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines), "utf-8")
    return list(read_rows(path))


def test_arguments_may_be_objects_or_text_and_tools_json(tmp_path: Path) -> None:
    plain, other = row("Oslo", "Norway"), row("Oslo", "Norway")
    function = other["messages"][2]["tool_calls"][0]["function"]
    function["arguments"] = json.dumps(function["arguments"])
    other["tools"] = json.dumps([other["tools"][0]["function"]])
    first, second = read(tmp_path, plain, "", other)
    assert first == second
    assert first.tools[0].name == "get_city"
    assert json.loads(first.messages[2].tool_calls[0].arguments)["city"] == "Oslo"


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("{", "line 2"),
        ({"messages": [{"role": "user"}]}, "without an assistant"),
        ({"tools": []}, "KeyError"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "role"),
        ([], "line 2"),
        ({"messages": [{"role": "assistant", "content": "x", "weight": 0}]}, "weight 0 throughout"),
        ({"messages": [{"role": "assistant", "content": "x", "weight": 0.5}]}, "must be 0 or 1"),
    ],
)
def test_a_broken_row_is_named(tmp_path: Path, line: object, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        read(tmp_path, row("Oslo", "Norway"), line)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_message_of_weight_0_is_read_and_not_learned(tmp_path: Path, family: str) -> None:
    chat = ChatTemplate(tokenizer(family))
    plain, weighted = row("Oslo", "Norway"), row("Oslo", "Norway")
    turns = [m for m in weighted["messages"] if m["role"] == "assistant"]
    turns[0]["weight"], turns[1]["weight"] = 0, 1
    whole, part = (encode(chat, read(tmp_path, each)[0]) for each in (plain, weighted))
    assert part.input_ids == whole.input_ids
    learned = {i for i, label in enumerate(part.labels) if label != IGNORED}
    everything = {i for i, label in enumerate(whole.labels) if label != IGNORED}
    assert learned < everything
    assert everything - learned == part.unlearned
    left_out = chat.tokenizer.decode([whole.input_ids[i] for i in sorted(part.unlearned)])
    assert "get_city" in left_out
    assert "Norway" not in left_out


def test_a_file_without_rows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no rows"):
        read(tmp_path, "")


def test_a_file_without_line_ends_is_not_read_as_one_line(tmp_path: Path) -> None:
    huge(tmp_path / "rows.jsonl")
    with pytest.raises(ConfigError, match=r"rows\.jsonl', line 1: over 67108864 bytes"):
        list(read_rows(tmp_path / "rows.jsonl"))


def test_what_is_no_utf8_and_no_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with pytest.raises(ConfigError, match=r"can't read '.*rows\.jsonl': No such file"):
        list(read_rows(path))
    path.write_bytes(json.dumps(row("Oslo", "Norway")).encode() + b'\n{"a": "\xff"}\n')
    with pytest.raises(ConfigError, match=r"line 2: not UTF-8"):
        list(read_rows(path))


@pytest.mark.parametrize("family", FAMILIES)
def test_labels_are_the_assistant_and_nothing_else(tmp_path: Path, family: str) -> None:
    """Derived again from the labels: decoded, they are the assistant's messages."""
    chat = ChatTemplate(tokenizer(family))
    (one,) = read(tmp_path, row("Zürich 北京", "Norway"))
    ids, labels, _ = encode(chat, one)
    assert len(ids) == len(labels)
    assert all(label in (IGNORED, token) for token, label in zip(ids, labels, strict=True))
    runs: list[list[int]] = [[]]
    for label in labels:
        if label != IGNORED:
            runs[-1].append(label)
        elif runs[-1]:
            runs.append([])
    said = [chat.parse(run, one.tools) for run in runs if run]
    assert [m.content for m in said] == ["", "Norway"]
    assert json.loads(said[0].tool_calls[0].arguments) == {
        "attribute": "country",
        "city": "Zürich 北京",
    }
    untrained = chat.tokenizer.decode([t for t, x in zip(ids, labels, strict=True) if x == IGNORED])
    assert "In which country is Zürich 北京?" in untrained


def test_long_rows_are_cut_and_counted(tmp_path: Path) -> None:
    chat = ChatTemplate(tokenizer("hermes"))
    rows = read(tmp_path, row("Oslo", "Norway"), row("Oslo", "Norway" * 100))
    whole = encode_rows(chat, rows, None)
    assert (whole.cut, whole.dropped) == (0, 0)
    longest = len(whole.rows[0].input_ids)
    cut = encode_rows(chat, rows, longest)
    assert (cut.cut, cut.dropped) == (1, 0)
    assert len(cut.rows[1].input_ids) == longest
    with pytest.raises(ConfigError, match="raise max_length"):
        encode_rows(chat, rows, 10)
