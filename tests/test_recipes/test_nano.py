"""A nano model is a normal folder whose template carries what a model must know of tools."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from astra.chat.template import ChatTemplate
from astra.errors import ConfigError
from astra.training.sft.rows import read_rows
from astra.types import Message, ToolCallRequest
from recipes.nano.model import make_nano
from recipes.nano.options import NanoOptions
from tests.training.sft_made import TINY, tiny, write_rows


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    rows = list(read_rows(write_rows(tmp_path / "rows.jsonl", 8)))
    for name in ("a", "b"):
        make_nano(rows, tmp_path / name, TINY)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= {*files}
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_the_default_size_is_a_million_parameters(tmp_path: Path) -> None:
    rows = list(read_rows(write_rows(tmp_path / "rows.jsonl", 8)))
    report = make_nano(rows, tmp_path / "nano", NanoOptions())
    assert 0.8e6 < report.parameters < 3e6


def test_the_folder_loads_and_its_template_carries_tools_and_calls(tmp_path: Path) -> None:
    rows, folder = tiny(tmp_path)
    chat = ChatTemplate(AutoTokenizer.from_pretrained(folder))
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.config.model_type == "qwen3"
    (row, *_) = read_rows(rows)
    text = chat.text(row.messages, row.tools, prompt=True)
    for part in ("get_city", "Looks a city up", "city", "country|river", "year", "In which"):
        assert part in text, part
    assert text.endswith("<|assistant|>")
    ids = chat.encode(text)
    assert chat.tokenizer.decode(ids) == text
    assert chat.encode(row.messages[0].content) != []
    assert len(chat.encode(row.messages[0].content)) == 1  # instructions that all rows share


def test_names_are_split_alike_wherever_they_stand(tmp_path: Path) -> None:
    """What has to be copied is the same tokens in the question, a call and a result."""
    _, folder = tiny(tmp_path)
    chat = ChatTemplate(AutoTokenizer.from_pretrained(folder))
    name = chat.encode("Qua Zuvo 1904")
    for around in ("is Qua Zuvo 1904?", '{"city":"Qua Zuvo 1904"}', '{"a": "Qua Zuvo 1904"}'):
        ids = chat.encode(around)
        assert any(ids[i : i + len(name)] == name for i in range(len(ids))), around


@pytest.mark.parametrize(
    ("text", "content", "calls"),
    [
        ("Oslo", "Oslo", []),
        ('<|call|>f{"a":1}', "", [("f", '{"a":1}')]),
        ('why<|call|>f{"a":1}<|call|>g{}', "why", [("f", '{"a":1}'), ("g", "{}")]),
        ('<|call|>f{"a":', "", [("f", '{"a":')]),
        ("<|call|>f", "", [("f", "")]),
        ("<|call|>", "", [("", "")]),
    ],
)
def test_calls_are_read_back(
    tmp_path: Path, text: str, content: str, calls: list[tuple[str, str]]
) -> None:
    _, folder = tiny(tmp_path, 8)
    chat = ChatTemplate(AutoTokenizer.from_pretrained(folder))
    read = chat.parse(chat.encode(text + "<|end|>"))
    assert read.content == content
    assert [(call.tool, call.arguments) for call in read.tool_calls] == calls


def test_rendering_a_prefix_gives_a_prefix(tmp_path: Path) -> None:
    rows, folder = tiny(tmp_path, 8)
    chat = ChatTemplate(AutoTokenizer.from_pretrained(folder))
    (row, *_) = read_rows(rows)
    call = ToolCallRequest(id="c", tool="f", arguments='{"b":[1,"x"],"a":null}')
    talk = [*row.messages, Message(role="assistant", tool_calls=(call, call))]
    whole = chat.encode(chat.text(talk, row.tools, prompt=False))
    for index, message in enumerate(talk):
        prompt = message.role == "assistant"
        part = chat.encode(chat.text(talk[:index], row.tools, prompt=prompt)) if index else []
        assert whole[: len(part)] == part


def test_sizes_that_fit_together_are_asked_for() -> None:
    with pytest.raises(ConfigError, match="multiple"):
        NanoOptions(width=100, heads=3)
    with pytest.raises(ConfigError, match="300"):
        NanoOptions(vocabulary=20)
