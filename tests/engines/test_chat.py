"""Conversations become ids whose policy part is exactly what the model writes, and come back."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import pytest

from astra.chat.families import find_family
from astra.chat.template import ChatTemplate
from astra.errors import ConfigError
from astra.types import Message, ToolCallRequest, ToolSchema
from tests.support.tokenizers import FAMILIES, tokenizer

TOOL = ToolSchema(
    name="get_city",
    description="Returns one attribute of a city.",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string"}, "year": {"type": "integer"}},
        "required": ["city"],
    },
)
SYSTEM = Message(role="system", content="Answer with the tools.")
USER = Message(role="user", content="How large is Zürich, 北京 in 2020?")
ONE_CALL = {"llama3", "llama3.1-real"}
"""Families whose messages hold one call, and nothing beside it."""


def calls(*arguments: str, first: int = 0, text: str = "") -> Message:
    made = [
        ToolCallRequest(id=f"call_{first}_{i}", tool="get_city", arguments=a)
        for i, a in enumerate(arguments)
    ]
    return Message(role="assistant", content=text, tool_calls=tuple(made))


def result(text: str, call: str) -> Message:
    return Message(role="tool", content=text, tool_call_id=call)


def conversation(family: str) -> list[Message]:
    if family in ONE_CALL:
        first = [calls('{"city": "Zürich", "year": 2020}'), result('{"value": 7}', "call_0_0")]
    else:
        first = [
            calls('{"city": "Zürich", "year": 2020}', '{"city": "北京"}', text="Both at once."),
            result('{"value": 7}', "call_0_0"),
            result('{"value": 8}', "call_0_1"),
        ]
    return [
        SYSTEM,
        USER,
        *first,
        calls('{"city": "2020"}', first=1),
        result("{}", "call_1_0"),
        Message(role="assistant", content="It is 7."),
    ]


def ids_of(chat: ChatTemplate, messages: Sequence[Message]) -> list[tuple[list[int], bool]]:
    return [(chat.encode(p.text), p.policy) for p in chat.pieces(messages, [TOOL])]


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return request.param


def test_pieces_make_up_the_rendered_conversation(family: str) -> None:
    chat, messages = ChatTemplate(tokenizer(family)), conversation(family)
    pieces = chat.pieces(messages, [TOOL])
    text = "".join(piece.text for piece in pieces)
    whole = chat.text(messages, [TOOL], prompt=False)
    assert text.removesuffix("<|endoftext|>") == whole.removesuffix("<|endoftext|>")
    assert [i for ids, _ in ids_of(chat, messages) for i in ids] == chat.encode(text)


def test_what_the_policy_wrote_parses_to_what_was_said(family: str) -> None:
    """The mask, derived again from the text: each marked piece is one assistant message."""
    chat, messages = ChatTemplate(tokenizer(family)), conversation(family)
    said = [m for m in messages if m.role == "assistant"]
    marked = [ids for ids, policy in ids_of(chat, messages) if policy]
    assert len(marked) == len(said)
    for ids, message in zip(marked, said, strict=True):
        assert ids[-1] in chat.stop_ids
        assert not set(ids[:-1]) & set(chat.stop_ids)
        read = chat.parse(ids, [TOOL])
        assert read.content == message.content
        assert [(c.tool, json.loads(c.arguments)) for c in read.tool_calls] == [
            (c.tool, json.loads(c.arguments)) for c in message.tool_calls
        ]


def test_nothing_else_is_marked(family: str) -> None:
    chat, messages = ChatTemplate(tokenizer(family)), conversation(family)
    rest = "".join(p.text for p in chat.pieces(messages, [TOOL]) if not p.policy)
    assert "It is 7." not in rest
    assert "Both at once." not in rest
    assert '{"value": 7}' in rest.replace('\\"', '"')
    assert USER.content in rest


def test_a_rollout_puts_together_the_ids_that_sft_trains_on(family: str) -> None:
    """Prompt, sampled ids and what follows, joined, are the conversation's ids."""
    chat, messages = ChatTemplate(tokenizer(family)), conversation(family)
    marked = [ids for ids, policy in ids_of(chat, messages) if policy]
    spots = [i for i, m in enumerate(messages) if m.role == "assistant"]
    ids = chat.render(messages[: spots[0]], [TOOL])
    for number, spot in enumerate(spots[:-1]):
        ids += marked[number]
        results = messages[spot + 1 : spots[number + 1]]
        ids += chat.following(messages[spot], results, marked[number][-1])
    ids += marked[-1]
    trained = [i for piece, _ in ids_of(chat, messages) for i in piece]
    assert ids == trained[: len(ids)]
    assert not any(policy for _, policy in ids_of(chat, messages)[2 * len(spots) :])


def test_prompt_of_a_prefix_is_a_prefix(family: str) -> None:
    chat, messages = ChatTemplate(tokenizer(family)), conversation(family)
    whole = chat.text(messages, [TOOL], prompt=False)
    for index, message in enumerate(messages):
        if message.role == "assistant":
            assert whole.startswith(chat.text(messages[:index], [TOOL], prompt=True))


def test_the_published_qwen3_template_is_replaced() -> None:
    made = tokenizer("qwen3-real")
    assert ChatTemplate(made).template != made.chat_template


def test_a_template_without_stable_prefixes_is_refused() -> None:
    made = tokenizer("hermes")
    template = made.chat_template
    try:
        made.chat_template = "{{ messages | length }}" + str(template)
        with pytest.raises(ConfigError, match="prefix-preserving"):
            ChatTemplate(made)
        made.chat_template = None
        with pytest.raises(ConfigError, match="no chat template"):
            ChatTemplate(made)
    finally:
        made.chat_template = template


def test_ids_and_names_of_calls_reach_the_template() -> None:
    """Mistral's template refuses ids of another length than nine."""
    chat = ChatTemplate(tokenizer("mistral"))
    text = chat.text([USER, calls("{}"), result("x", "call_0_0")], [TOOL], prompt=False)
    assert len(set(re.findall(r'"(?:call_)?id": "([0-9a-f]{9})"', text))) == 1


@pytest.mark.parametrize(
    ("family", "text", "tool", "arguments"),
    [
        ("hermes", '<tool_call>\n{"name": "f", "arguments": {"a": 1', "f", '{"name"'),
        ("hermes", "<tool_call>nonsense</tool_call>", "", "nonsense"),
        ("hermes", '<tool_call>{"name": "f", "arguments": "raw"}</tool_call>', "f", "raw"),
        ("mistral", '[TOOL_CALLS][{"name": "f", "arguments": {]', "f", '[{"name"'),
        ("mistral", '[TOOL_CALLS]f[ARGS]{"a": ', "f", '{"a":'),
        ("llama3", '{"name": "f", "parameters": {"a": 1', "f", '{"name"'),
        ("glm", "<tool_call>f\n<arg_key>a</arg_key>\n<arg_value>x", "f", '{"a": "x"}'),
        ("qwen3.5-real", "<tool_call>\n<function=f>\n<parameter=a>\n1\n", "f", '{"a": 1}'),
        ("qwen3.5-real", "<tool_call>f()", "", "f()"),
    ],
)
def test_broken_calls_stay_calls(family: str, text: str, tool: str, arguments: str) -> None:
    read = ChatTemplate(tokenizer(family)).parse_text(text, [TOOL])
    assert [call.tool for call in read.tool_calls] == [tool]
    assert read.tool_calls[0].arguments.startswith(arguments)


def test_reasoning_is_kept_apart() -> None:
    chat = ChatTemplate(tokenizer("qwen3"))
    read = chat.parse_text("<think>\nhm <tool_call>\n</think>\n\nDone.")
    assert (read.reasoning, read.content, read.tool_calls) == ("hm <tool_call>", "Done.", ())


def test_bare_strings_are_typed_by_the_schema() -> None:
    text = (
        "<tool_call>get_city\n<arg_key>city</arg_key>\n<arg_value>2020</arg_value>\n"
        "<arg_key>year</arg_key>\n<arg_value>2020</arg_value>\n</tool_call>"
    )
    read = ChatTemplate(tokenizer("glm")).parse_text(text, [TOOL])
    assert json.loads(read.tool_calls[0].arguments) == {"city": "2020", "year": 2020}


def test_an_unknown_family_is_an_error_and_not_text() -> None:
    assert find_family("{{ messages }}") is None
