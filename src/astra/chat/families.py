"""How families of models spell tool calls: one declaration each, to render and to read.

What a model writes is untrusted text. A call that can't be read is still a call: it comes back
with its raw text as arguments, so that the rollout answers it with an error and counts it.

The templates are small ones of our own that keep each family's markers and restrictions (Llama 3
makes one call a message and says nothing beside it; Mistral's ids have nine characters; GLM writes
strings bare). They are for finding conversations that a family can't express, not for prompting a
real model: its own tokenizer brings its own template.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from astra.chat.channels import GEMMA_THOUGHT, HARMONY_THOUGHT, gemma4, harmony
from astra.chat.written import Tools, WrittenCall, WrittenMessage
from astra.core.untrusted import read_json
from astra.types import Json, Message, ToolCallRequest, ToolSchema

_THOUGHT = re.compile(r"\A(.*?)</think>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ChatFamily:
    """A family of chat templates, and how its models write tool calls."""

    name: str
    marks: tuple[str, ...]
    """Texts of which a chat template of the family holds at least one."""
    parse: Callable[[str, Tools], WrittenMessage]
    turn: re.Pattern[str] | None = None
    """Finds each assistant turn in a conversation that the family's template in `templates/`
    renders; group 1 is what was said. None: there is no such template."""
    thought: re.Pattern[str] = _THOUGHT
    """Finds the reasoning at the beginning of what was written, marks included; group 1."""

    def read(self, text: str, tools: Sequence[ToolSchema]) -> Message:
        """What a model of the family wrote, as a message. Never raises for what it wrote."""
        thought = self.thought.match(text)
        content, calls = self.parse(
            text[thought.end() :] if thought else text,
            {document.name: document for document in tools},
        )
        return Message(
            role="assistant",
            content=content.strip(),
            reasoning=thought.group(1).split("<think>", 1)[-1].strip() if thought else "",
            tool_calls=tuple(
                ToolCallRequest(
                    id=call.id or f"call_{index}", tool=call.tool, arguments=call.arguments
                )
                for index, call in enumerate(calls)
            ),
        )

    def render(self, messages: Sequence[Json], tools: Sequence[ToolSchema]) -> str:
        """A conversation (OpenAI messages, arguments as objects) by the family's template.

        Raises ValueError when the family can't express it.
        """
        documents = [document.openai() for document in tools]
        try:
            return _template(self.name).render(messages=messages, tools=documents)
        except (TemplateError, TypeError, ValueError) as error:
            raise ValueError(f"{self.name}: {error}") from error

    def problem(self, messages: Sequence[Json], tools: Sequence[ToolSchema]) -> str:
        """Why a conversation does not survive being rendered and read. Empty if it does."""
        assert self.turn is not None, self.name
        try:
            turns = self.turn.findall(self.render(messages, tools))
        except ValueError as error:
            return str(error)
        sent = [message for message in messages if message["role"] == "assistant"]
        if len(turns) != len(sent):
            return f"{self.name}: {len(sent)} assistant turns come back as {len(turns)}"
        for number, (turn, message) in enumerate(zip(turns, sent, strict=True)):
            functions = [call["function"] for call in message.get("tool_calls") or ()]
            read = self.read(turn, tools)
            try:
                calls = [(call.tool, read_json(call.arguments)) for call in read.tool_calls]
            except ValueError:
                calls = None
            if read.content != message["content"].strip() or calls != [
                (function["name"], function["arguments"]) for function in functions
            ]:
                return f"{self.name}: assistant turn {number} comes back changed"
        return ""


@cache
def _template(name: str) -> Any:
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    # Jinja's own filter escapes `<` and `&` for HTML, which the families' real templates do not.
    environment.filters["tojson"] = _dump

    def refuse(message: str) -> NoReturn:
        raise TemplateError(message)

    text = (Path(__file__).parent / "templates" / f"{name}.jinja").read_text("utf-8")
    return environment.from_string(text, globals={"raise_exception": refuse})


# --- calls as JSON -----------------------------------------------------------------------------

_NAME = re.compile(r'"name"\s*:\s*"([^"\\]*)"')


def _call_of_json(text: str) -> WrittenCall:
    """A call written as `{"name": …, "arguments": …}`, with the raw text where it is broken."""
    try:
        call = _call_of_object(read_json(text))
    except ValueError:
        call = None
    if call is not None:
        return call
    name = _NAME.search(text)
    return WrittenCall(name.group(1) if name else "", text.strip())


def _call_of_object(value: Json) -> WrittenCall | None:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    arguments: Json = value.get("arguments", value.get("parameters", {}))
    written = arguments if isinstance(arguments, str) else _dump(arguments)
    return WrittenCall(value["name"], written, str(value.get("id", "")))


def _dump(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)


def _typed(pairs: Sequence[tuple[str, str]], name: str, tools: Tools) -> str:
    """Arguments written as bare text, as JSON: the schema says which of them are strings."""
    document = tools.get(name)
    known = document.parameters.get("properties", {}) if document else {}
    arguments: dict[str, Json] = {}
    for key, text in pairs:
        schema = known.get(key)
        arguments[key] = text
        if not (isinstance(schema, Mapping) and schema.get("type") == "string"):
            try:
                arguments[key] = read_json(text)
            except ValueError:
                continue  # a string of a tool, or a parameter, that no schema describes
    return _dump(arguments)


# --- the families ------------------------------------------------------------------------------

_CALL_TAGS = re.compile(r"<tool_call>(.*?)(?:</tool_call>|(?=<tool_call>)|\Z)", re.DOTALL)
_GLM_ARGUMENT = re.compile(
    r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)(?:</arg_value>|\Z)", re.DOTALL
)
_XML_FUNCTION = re.compile(r"<function=([^>]*)>(.*?)(?:</function>|\Z)", re.DOTALL)
_XML_PARAMETER = re.compile(r"<parameter=([^>]*)>\n?(.*?)\n?(?:</parameter>|\Z)", re.DOTALL)
_MISTRAL = "[TOOL_CALLS]"
_PYTHON_TAG = "<|python_tag|>"
_OBJECTS = json.JSONDecoder()
_LFM_OPEN, _LFM_CLOSE = "<|tool_call_start|>", "<|tool_call_end|>"
_NANO = "<|call|>"
"""What opens a call in the template of the nano model (recipes/nano)."""


def _nano(text: str, _tools: Tools) -> WrittenMessage:
    content, *blocks = text.split(_NANO)
    calls: list[WrittenCall] = []
    for block in blocks:
        name, brace, rest = block.strip().partition("{")
        calls.append(WrittenCall(name.strip(), brace + rest))
    return content, calls


def _lfm2(text: str, _tools: Tools) -> WrittenMessage:
    """Calls as a list in Python: `<|tool_call_start|>[f(a='x'), g(b=1)]<|tool_call_end|>`."""
    content, *blocks = text.split(_LFM_OPEN)
    calls: list[WrittenCall] = []
    for block in blocks:
        inside, _, after = block.partition(_LFM_CLOSE)
        content += after
        calls += _python_calls(inside.strip())
    return content, calls


def _python_calls(text: str) -> list[WrittenCall]:
    """Calls with constants as keyword arguments. What is anything else comes back as it is."""
    try:
        # A list without its brackets is a tuple.
        tree = ast.parse(text, mode="eval").body
        nodes = tree.elts if isinstance(tree, ast.List | ast.Tuple) else [tree]
        return [_python_call(node) for node in nodes]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        name = re.match(r"\W*(\w+)\s*\(", text)
        return [WrittenCall(name.group(1) if name else "", text)]


def _python_call(node: ast.expr) -> WrittenCall:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.args:
        raise ValueError("not a call by keywords")
    arguments: dict[str, Json] = {}
    for keyword in node.keywords:
        if keyword.arg is None:
            raise ValueError("not a keyword")
        arguments[keyword.arg] = ast.literal_eval(keyword.value)
    return WrittenCall(node.func.id, json.dumps(arguments, ensure_ascii=False, allow_nan=False))


def _tagged(text: str, _tools: Tools) -> WrittenMessage:
    return _CALL_TAGS.sub("", text), [_call_of_json(block) for block in _CALL_TAGS.findall(text)]


def _glm(text: str, tools: Tools) -> WrittenMessage:
    calls: list[WrittenCall] = []
    for block in _CALL_TAGS.findall(text):
        name = block.partition("<arg_key>")[0].strip()
        pairs = [(key.strip(), value) for key, value in _GLM_ARGUMENT.findall(block)]
        calls.append(WrittenCall(name, _typed(pairs, name, tools)))
    return _CALL_TAGS.sub("", text), calls


def _xml(text: str, tools: Tools) -> WrittenMessage:
    calls: list[WrittenCall] = []
    for block in _CALL_TAGS.findall(text):
        function = _XML_FUNCTION.search(block)
        if function is None:
            calls.append(WrittenCall("", block.strip()))
            continue
        name = function.group(1).strip()
        pairs = [(key.strip(), value) for key, value in _XML_PARAMETER.findall(function.group(2))]
        calls.append(WrittenCall(name, _typed(pairs, name, tools)))
    return _CALL_TAGS.sub("", text), calls


def _mistral(text: str, _tools: Tools) -> WrittenMessage:
    """`[TOOL_CALLS][{…}, …]`, or the later `[TOOL_CALLS]name[ARGS]{…}` for each call."""
    content, *blocks = text.split(_MISTRAL)
    calls: list[WrittenCall] = []
    for block in blocks:
        name, arguments, rest = block.partition("[ARGS]")
        # The mark may also stand inside an argument of the earlier form.
        if arguments and not name.lstrip().startswith(("[", "{")):
            calls.append(WrittenCall(name.strip(), rest.strip()))
            continue
        try:
            value = read_json(block)
        except ValueError:
            calls.append(_call_of_json(block))
            continue
        items: list[Json] = value if isinstance(value, list) else [value]
        calls += [_call_of_object(item) or WrittenCall("", _dump(item)) for item in items]
    return content, calls


def _llama(text: str, _tools: Tools) -> WrittenMessage:
    """A message of calls consists of JSON objects alone, perhaps set apart by `;`."""
    body = text.replace(_PYTHON_TAG, "").strip()
    # The family marks no calls: their form alone distinguishes them from text.
    if not body.startswith("{") or '"name"' not in body:
        return text, ()
    calls: list[WrittenCall] = []
    while body:
        try:
            _, end = _OBJECTS.raw_decode(body)
        except (ValueError, RecursionError):
            end = len(body)
        calls.append(_call_of_json(body[:end]))
        body = body[end:].lstrip("; \n")
    return "", calls


_CHATML_TURN = re.compile(r"<\|im_start\|>assistant\n(.*?)<\|im_end\|>", re.DOTALL)
_LLAMA_TURN = re.compile(
    r"<\|start_header_id\|>assistant<\|end_header_id\|>\n\n(.*?)<\|eot_id\|>", re.DOTALL
)
# A closing mark that another opening follows ends a turn of the user or of a tool.
_MISTRAL_TURN = re.compile(
    r"\[/(?:INST|TOOL_RESULTS)\](?!\[(?:INST|TOOL_RESULTS)\])(.*?)</s>", re.DOTALL
)
_GLM_TURN = re.compile(
    r"<\|assistant\|>\n(.*?)(?=<\|(?:user|observation|assistant)\|>|\Z)", re.DOTALL
)

# The marks of a family must not stand in templates of those after it: Qwen 3.5 and GLM also write
# `<tool_call>`, and the first match wins.
_ALL = (
    ChatFamily("lfm2", (_LFM_OPEN,), _lfm2),
    ChatFamily("gemma4", ("<|tool_call>call:",), gemma4, thought=GEMMA_THOUGHT),
    ChatFamily("harmony", ("<|channel|>commentary",), harmony, thought=HARMONY_THOUGHT),
    ChatFamily("nano", (f"{_NANO}{{{{",), _nano),
    ChatFamily("xml", ("<function=",), _xml),
    ChatFamily("glm", ("<arg_key>",), _glm, _GLM_TURN),
    ChatFamily("qwen3", ("<tool_call>",), _tagged, _CHATML_TURN),
    ChatFamily("hermes", ("<tool_call>",), _tagged, _CHATML_TURN),
    ChatFamily("mistral", (_MISTRAL,), _mistral, _MISTRAL_TURN),
    ChatFamily(
        "llama3",
        (_PYTHON_TAG, '"parameters": dictionary', '"parameters": {argument'),
        _llama,
        _LLAMA_TURN,
    ),
)

CHAT_FAMILIES = {family.name: family for family in _ALL if family.turn is not None}
"""Families with a template of ours, by name."""


def find_family(template: str) -> ChatFamily | None:
    """The family of a tokenizer's chat template. None if it is unknown."""
    for family in _ALL:
        if any(mark in template for mark in family.marks):
            return family
    return None
