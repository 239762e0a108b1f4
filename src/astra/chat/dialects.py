"""One family's spelling: a chat template, and what it takes to read an assistant's turns back.

The templates are small ones of our own that keep each family's markers and restrictions (Llama 3
makes one call a message and says nothing beside it; Mistral's ids have nine characters; GLM writes
strings bare). They are for finding conversations that a family can't express, not for prompting a
real model: its own tokenizer brings its own template.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from astra.types import Json

_FOLDER = Path(__file__).parent / "templates"

Calls = list[tuple[str, dict[str, Json]]]


class AssistantTurn(NamedTuple):
    """What an assistant said in one turn: text, and (tool, arguments) of its calls."""

    text: str
    calls: Calls


class UnreadableTurn(ValueError):
    """A turn does not follow the family's spelling."""


Types = Mapping[tuple[str, str], Json]
"""(tool, argument) -> its `type` in the schema, for families that write strings bare."""


@dataclass(frozen=True, slots=True)
class ChatDialect:
    """A family's spelling of conversations with tools."""

    name: str
    turn: re.Pattern[str]
    """Finds each assistant turn in a rendered conversation; group 1 is what was said."""
    read_turn: Callable[[str, Types], AssistantTurn]

    def render(self, messages: Sequence[Json], tools: Sequence[Json]) -> str:
        """The conversation as text; ValueError when the family can't express it."""
        try:
            return _template(self.name).render(messages=messages, tools=tools)
        except (TemplateError, TypeError, ValueError) as error:
            raise ValueError(f"{self.name}: {error}") from error

    def read(self, text: str, tools: Sequence[Json]) -> list[AssistantTurn]:
        """The assistant's turns in a rendered conversation; ValueError for one that is none."""
        types = _types(tools)
        try:
            return [self.read_turn(found, types) for found in self.turn.findall(text)]
        except (KeyError, TypeError, ValueError) as error:
            raise UnreadableTurn(f"{self.name}: {error}") from error

    def problem(self, messages: Sequence[Json], tools: Sequence[Json]) -> str:
        """Why the conversation does not survive being rendered and read back; "": it does."""
        try:
            read = self.read(self.render(messages, tools), tools)
        except ValueError as error:
            return str(error)
        meant = [_said(message) for message in messages if message["role"] == "assistant"]
        if len(read) != len(meant):
            return f"{self.name}: {len(meant)} assistant turns come back as {len(read)}"
        for number, (had, has) in enumerate(zip(meant, read, strict=True)):
            if had != has:
                return f"{self.name}: assistant turn {number} comes back changed"
        return ""


def _said(message: Json) -> AssistantTurn:
    calls = message.get("tool_calls") or ()
    named: Calls = [(c["function"]["name"], c["function"]["arguments"]) for c in calls]
    return AssistantTurn(message["content"].strip(), named)


def _types(tools: Sequence[Json]) -> Types:
    return {
        (tool["function"]["name"], name): schema.get("type")
        for tool in tools
        for name, schema in tool["function"]["parameters"].get("properties", {}).items()
        if isinstance(schema, dict)
    }


# --- templates ---------------------------------------------------------------------------------


@cache
def _template(name: str) -> Any:
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = _tojson
    text = (_FOLDER / f"{name}.jinja").read_text("utf-8")
    return environment.from_string(text, globals={"raise_exception": _raise})


def _tojson(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)


# --- reading -----------------------------------------------------------------------------------

_TAGGED = re.compile(r"\n?<tool_call>\n(.*?)\n</tool_call>", re.DOTALL)
_THINKING = re.compile(r"^<think>.*?</think>\s*", re.DOTALL)
_GLM_CALL = re.compile(r"\n?<tool_call>([^\n]*)\n(.*?)</tool_call>", re.DOTALL)
_GLM_ARGUMENT = re.compile(r"<arg_key>(.*?)</arg_key>\n<arg_value>(.*?)</arg_value>\n", re.DOTALL)


def _call(value: Json, arguments: str = "arguments") -> tuple[str, dict[str, Json]]:
    return value["name"], value[arguments]


def _tagged(text: str, types: Types) -> AssistantTurn:
    del types
    text = _THINKING.sub("", text)
    calls = [_call(json.loads(found)) for found in _TAGGED.findall(text)]
    return AssistantTurn(_TAGGED.sub("", text).strip(), calls)


def _llama3(text: str, types: Types) -> AssistantTurn:
    """A call when it is one: the family tells a call from text by its form alone."""
    del types
    if not text.startswith('{"name":'):
        return AssistantTurn(text.strip(), [])
    return AssistantTurn("", [_call(json.loads(text), "parameters")])


def _mistral(text: str, types: Types) -> AssistantTurn:
    del types
    said, _, calls = text.partition("[TOOL_CALLS]")
    return AssistantTurn(said.strip(), [_call(call) for call in json.loads(calls or "[]")])


def _glm(text: str, types: Types) -> AssistantTurn:
    text = _THINKING.sub("", text)
    calls: Calls = []
    for name, body in _GLM_CALL.findall(text):
        pairs = _GLM_ARGUMENT.findall(body)
        calls.append((name, {key: _bare(value, types.get((name, key))) for key, value in pairs}))
    return AssistantTurn(_GLM_CALL.sub("", text).strip(), calls)


def _bare(text: str, kind: Json) -> Json:
    """A value that was written bare when it was a string: the schema tells which it was."""
    if kind == "string":
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


_CHATML = re.compile(r"<\|im_start\|>assistant\n(.*?)<\|im_end\|>", re.DOTALL)

DIALECTS: dict[str, ChatDialect] = {
    dialect.name: dialect
    for dialect in (
        ChatDialect("qwen3", _CHATML, _tagged),
        ChatDialect("hermes", _CHATML, _tagged),
        ChatDialect(
            "llama3",
            re.compile(
                r"<\|start_header_id\|>assistant<\|end_header_id\|>\n\n(.*?)<\|eot_id\|>", re.DOTALL
            ),
            _llama3,
        ),
        ChatDialect(
            "mistral",
            re.compile(
                r"\[/(?:INST|TOOL_RESULTS)\](?!\[(?:INST|TOOL_RESULTS)\])(.*?)</s>", re.DOTALL
            ),
            _mistral,
        ),
        ChatDialect(
            "glm",
            re.compile(
                r"<\|assistant\|>\n(.*?)(?=<\|(?:user|observation|assistant)\|>|\Z)", re.DOTALL
            ),
            _glm,
        ),
    )
}
"""The families by name."""
