"""Chat templates of real models: the ids of rollouts are those of the template, calls are read.

What can't work is refused with the reason. The table of docs/sft.md says what this finds.
"""

from __future__ import annotations

import json
import re
from copy import copy
from pathlib import Path
from typing import Any

import pytest

from astra.chat.template import ChatTemplate
from astra.engines.loading import load_tokenizer
from astra.errors import ConfigError
from astra.types import Message, ToolCallRequest, ToolSchema
from tests.support.real_templates import NAMES, real_tokenizer

PAGE = Path(__file__).parents[1] / "docs/sft.md"
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": "Its name."},
        "year": {"type": "integer"},
    },
    "required": ["name"],
}
TOOLS = [
    ToolSchema(name="find_town", description="Finds a town.", parameters=PARAMETERS),
    ToolSchema(name="find_lake", description="Finds a lake.", parameters=PARAMETERS),
]
SYSTEM, USER = Message(role="system", content="Be brief."), Message(role="user", content="Where?")
HARD: dict[str, Any] = {"name": 'Ålesund "x" <b> 奥勒松', "year": 1904}


def says(text: str, *calls: ToolCallRequest) -> Message:
    return Message(role="assistant", content=text, tool_calls=calls)


def call(number: int, tool: str, **arguments: object) -> ToolCallRequest:
    text = json.dumps(arguments, ensure_ascii=False)
    return ToolCallRequest(id=f"callid{number:03}", tool=tool, arguments=text)


def result(number: int, text: str = "{}") -> Message:
    return Message(role="tool", content=text, tool_call_id=f"callid{number:03}")


FIRST = [
    USER,
    says("", call(0, "find_town", **HARD)),
    result(0, '{"in": "Norway"}'),
    says("Norway."),
]
TALKS = {
    "one call": [SYSTEM, *FIRST],
    "several calls": [
        USER,
        says("", call(0, "find_town", name="A"), call(1, "find_lake", name="B", year=3)),
        result(0),
        result(1, "2"),
        says("Done."),
    ],
    "text and call": [
        USER,
        says("I look.", call(0, "find_town", name="A")),
        result(0),
        says("Ok."),
    ],
    "user again": [
        *FIRST,
        USER,
        says("", call(1, "find_lake", name="B")),
        result(1),
        says("There."),
    ],
}


def verdict(chat: ChatTemplate, talk: list[Message]) -> str:
    """`yes`, or what is not as it should be."""
    try:
        pieces = chat.pieces(talk, TOOLS)
    except ConfigError:
        return "refused"
    written = [piece.text for piece in pieces if piece.policy]
    places = [index for index, message in enumerate(talk) if message.role == "assistant"]
    assert len(written) == len(places)
    ids = chat.render(talk[: places[0]], TOOLS)
    for number, (place, text) in enumerate(zip(places, written, strict=True)):
        own = chat.encode(text)
        ids += own
        try:
            read = chat.parse(own, TOOLS)
        except ConfigError:
            return "calls can't be read"
        if read.content != talk[place].content:
            kept = talk[place].content in read.content and talk[place].content
            return "marks stay in the text" if kept else "text beside a call is lost"
        wanted, found = (
            [(each.tool, json.loads(each.arguments)) for each in message.tool_calls]
            for message in (talk[place], read)
        )
        assert found == wanted
        if number + 1 < len(places):
            ids += chat.following(talk[place], talk[place + 1 : places[number + 1]], own[-1])
    whole = chat.encode(chat.text(talk, TOOLS, prompt=False))
    # A template without an end of turn leaves the last message open; the model has to end it.
    if ids[-1:] == [chat.tokenizer.eos_token_id] and len(ids) == len(whole) + 1:
        ids.pop()
    assert ids == whole[: len(ids)]
    assert not str(chat.tokenizer.decode(whole[len(ids) :])).strip()
    return "yes"


ARGUMENTS: dict[str, dict[str, bool]] = {
    name: {"enable_thinking": False} for name in NAMES if name.startswith("nemotron")
}
"""Those without which a template does not preserve prefixes."""


def line(name: str) -> str:
    """A template's line of the table."""
    given = ARGUMENTS.get(name, {})
    try:
        chat = ChatTemplate(real_tokenizer(name, **given))
        chat.text([USER], TOOLS, prompt=False)
    except ConfigError as error:
        message = str(error)
        reasons = {
            "can't render": "refused: it can't render messages of plain text",
            "shows the model no tools": "refused: it shows the model no tools",
            "renders earlier messages otherwise": "refused: it renders earlier messages otherwise",
        }
        why = next(reason for part, reason in reasons.items() if part in message)
        return f"| `{name}` | {why} | | | | |"
    own = "its own" if chat.template == chat.tokenizer.chat_template else "TRL's twin"
    own += "".join(f", `{key}={json.dumps(value)}`" for key, value in given.items())
    return f"| `{name}` | {own} | {' | '.join(verdict(chat, talk) for talk in TALKS.values())} |"


@pytest.mark.parametrize("name", NAMES)
def test_a_template_does_what_the_table_says(name: str) -> None:
    assert line(name) in PAGE.read_text("utf-8").splitlines()


def test_the_table_has_no_other_lines() -> None:
    rows = re.findall(r"(?m)^\| `(\w+)` \| (?:its own|TRL's twin|refused)", PAGE.read_text("utf-8"))
    assert rows == NAMES


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_without_its_arguments_a_template_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="renders earlier messages otherwise"):
        ChatTemplate(real_tokenizer(name))


@pytest.mark.parametrize("name", ["gemma4_v2", "gemma4_v3", "qwen3"])
@pytest.mark.parametrize("thinking", [False, True])
def test_thinking_on_and_off_is_token_exact(name: str, thinking: bool) -> None:
    chat = ChatTemplate(real_tokenizer(name, enable_thinking=thinking))
    assert verdict(chat, TALKS["one call"]) == verdict(chat, TALKS["several calls"]) == "yes"
    other = ChatTemplate(real_tokenizer(name, enable_thinking=not thinking))
    assert chat.render([USER], TOOLS) != other.render([USER], TOOLS)


def test_thinking_that_leaves_marks_of_its_own_after_results_is_refused() -> None:
    """Gemma 4's later templates open a thought after results and forget it afterwards."""
    assert ChatTemplate(real_tokenizer("gemma4_v5", enable_thinking=False)).render([USER], TOOLS)
    with pytest.raises(ConfigError, match="renders earlier messages otherwise"):
        ChatTemplate(real_tokenizer("gemma4_v5", enable_thinking=True))


def test_arguments_go_along_with_a_saved_model(tmp_path: Path) -> None:
    real_tokenizer("qwen3", enable_thinking=False).save_pretrained(tmp_path)
    wanted = ChatTemplate(real_tokenizer("qwen3", enable_thinking=False)).render([USER], TOOLS)
    assert ChatTemplate(load_tokenizer(str(tmp_path))).render([USER], TOOLS) == wanted
    changed = load_tokenizer(str(tmp_path), template_args={"enable_thinking": True})
    assert ChatTemplate(changed).render([USER], TOOLS) != wanted


@pytest.mark.parametrize("given", [{"enable_thinkng": False}, {"tokenize": True}, {"messages": ""}])
def test_arguments_that_a_template_does_not_have_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="has no argument"):
        ChatTemplate(real_tokenizer("qwen3", **given))


@pytest.mark.parametrize("given", [["enable_thinking"], {"enable_thinking": []}])
def test_arguments_of_a_stranger_are_read_with_care(given: Any) -> None:
    tokenizer = copy(real_tokenizer("qwen3"))
    tokenizer.init_kwargs = {"template_args": given}
    with pytest.raises(ConfigError, match="template_args"):
        ChatTemplate(tokenizer)


CALLS = [
    (
        "gemma4_v5",
        '<|channel>thought\nHm.<channel|><|tool_call>call:f{a:<|"|>{"b": 1}, c:<|"|>,n:None,'
        "l:[1.5,true],d:{e:[]}}<tool_call|><|tool_call>call:g{}<tool_call|>",
        [("f", {"a": '{"b": 1}, c:', "n": None, "l": [1.5, True], "d": {"e": []}}), ("g", {})],
    ),
    (
        "gptoss",
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary "
        'to=functions.f <|constrain|>json<|message|>{"a": "x"}',
        [("f", {"a": "x"})],
    ),
]


@pytest.mark.parametrize(("name", "text", "calls"), CALLS)
def test_reasoning_and_calls_are_read(name: str, text: str, calls: list[Any]) -> None:
    read = ChatTemplate(real_tokenizer(name)).parse_text(text)
    assert (read.reasoning, read.content) == ("Hm.", "")
    assert [(each.tool, json.loads(each.arguments)) for each in read.tool_calls] == calls


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("gemma4_v5", '<|tool_call>call:f{a:<|"|>open}<tool_call|>'),
        ("gemma4_v5", "<|tool_call>call:f{a:bare words}<tool_call|>"),
        ("gemma4_v5", "<|tool_call>call:f{a:1"),
        ("gemma4_v5", "<|tool_call>call:f<tool_call|>"),
        ("gptoss", '<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"a": '),
        ("gptoss", "<|channel|>commentary to=functions.f"),
    ],
)
def test_a_broken_call_stays_a_call_that_is_no_json(name: str, text: str) -> None:
    (call,) = ChatTemplate(real_tokenizer(name)).parse_text(text).tool_calls
    assert call.tool == "f"
    with pytest.raises(ValueError):
        json.loads(call.arguments)


def test_gpt_oss_writes_one_call_a_message_and_ends_it_by_its_own_token() -> None:
    chat = ChatTemplate(real_tokenizer("gptoss"))
    with pytest.raises(ConfigError, match="one call a message"):
        chat.pieces(TALKS["several calls"], TOOLS)
    assert {"<|call|>", "<|return|>"} == {chat.tokenizer.decode([i]) for i in chat.stop_ids}


def test_an_id_that_differs_is_seen() -> None:
    chat = ChatTemplate(real_tokenizer("qwen2_5"))
    chat.following = lambda said, results, last: [1]  # type: ignore[method-assign]
    with pytest.raises(AssertionError):
        verdict(chat, TALKS["one call"])


def test_tools_and_calls_that_a_template_leaves_out_are_refused() -> None:
    """Else a model would be trained on prompts without tools, or on messages without calls."""
    with pytest.raises(ConfigError, match="shows the model no tools"):
        ChatTemplate(real_tokenizer("phi3_5")).render([USER], TOOLS)
    with pytest.raises(ConfigError, match="leaves out the calls"):
        ChatTemplate(real_tokenizer("lfm2")).pieces(TALKS["one call"], TOOLS)
    assert ChatTemplate(real_tokenizer("phi3_5")).render([USER], ())
