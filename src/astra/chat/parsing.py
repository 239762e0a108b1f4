"""How models write tool calls: one parser per family of chat templates.

What a model writes is untrusted text. A call that can't be read is still a call: it comes back
with its raw text as arguments, so that the rollout answers it with an error and counts it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from astra.types import Json, ToolCallRequest, ToolSchema

Tools = Mapping[str, ToolSchema]


class ParsedMessage(NamedTuple):
    """A message's text and its calls, in the order in which they were written."""

    content: str
    calls: tuple[ToolCallRequest, ...]


class ChatParser(NamedTuple):
    """A family of templates and the parser of what its models write."""

    name: str
    marks: tuple[str, ...]
    """Texts of which a chat template of the family holds at least one."""
    parse: Callable[[str, Tools], ParsedMessage]


def find_parser(template: str) -> ChatParser | None:
    """The first family whose marks stand in the template; None: an unknown one."""
    for parser in PARSERS:
        if any(mark in template for mark in parser.marks):
            return parser
    return None


class _Call(NamedTuple):
    tool: str
    arguments: str
    id: str = ""
    """As the model wrote it; "": its family writes none."""


def _written(content: str, calls: Sequence[_Call]) -> ParsedMessage:
    return ParsedMessage(
        content.strip(),
        tuple(
            ToolCallRequest(id=call.id or f"call_{index}", tool=call.tool, arguments=call.arguments)
            for index, call in enumerate(calls)
        ),
    )


# --- objects in JSON -------------------------------------------------------------------------

_NAME = re.compile(r'"name"\s*:\s*"([^"\\]*)"')
_READER = json.JSONDecoder()


def _from_json(text: str) -> _Call:
    """Tool and arguments of `{"name": …, "arguments": …}`; the raw text where it is broken."""
    try:
        value: Json = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    call = _from_object(value)
    if call is not None:
        return call
    name = _NAME.search(text)
    return _Call(name.group(1) if name else "", text.strip())


def _from_object(value: Json) -> _Call | None:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    given: Json = value.get("arguments", value.get("parameters", {}))
    written = given if isinstance(given, str) else _dump(given)
    return _Call(value["name"], written, str(value.get("id", "")))


def _dump(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)


# --- the families ----------------------------------------------------------------------------

CALL = "<|call|>"
"""What opens a call in the nano template."""


def _nano(text: str, tools: Tools) -> ParsedMessage:
    del tools
    content, *blocks = text.split(CALL)
    calls: list[_Call] = []
    for block in blocks:
        name, brace, rest = block.strip().partition("{")
        calls.append(_Call(name.strip(), brace + rest))
    return _written(content, calls)


_TOOL_CALL = re.compile(r"<tool_call>(.*?)(?:</tool_call>|(?=<tool_call>)|\Z)", re.DOTALL)


def _hermes(text: str, tools: Tools) -> ParsedMessage:
    del tools
    calls = [_from_json(block) for block in _TOOL_CALL.findall(text)]
    return _written(_TOOL_CALL.sub("", text), calls)


_GLM_ARGUMENT = re.compile(
    r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)(?:</arg_value>|\Z)", re.DOTALL
)


def _glm(text: str, tools: Tools) -> ParsedMessage:
    calls: list[_Call] = []
    for block in _TOOL_CALL.findall(text):
        name = block.partition("<arg_key>")[0].strip()
        pairs = _GLM_ARGUMENT.findall(block)
        typed = _typed([(key.strip(), value) for key, value in pairs], name, tools)
        calls.append(_Call(name, typed))
    return _written(_TOOL_CALL.sub("", text), calls)


_FUNCTION = re.compile(r"<function=([^>]*)>(.*?)(?:</function>|\Z)", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([^>]*)>\n?(.*?)\n?(?:</parameter>|\Z)", re.DOTALL)


def _xml(text: str, tools: Tools) -> ParsedMessage:
    calls: list[_Call] = []
    for block in _TOOL_CALL.findall(text):
        found = _FUNCTION.search(block)
        if found is None:
            calls.append(_Call("", block.strip()))
            continue
        name = found.group(1).strip()
        pairs = [(key.strip(), value) for key, value in _PARAMETER.findall(found.group(2))]
        calls.append(_Call(name, _typed(pairs, name, tools)))
    return _written(_TOOL_CALL.sub("", text), calls)


def _typed(pairs: Sequence[tuple[str, str]], name: str, tools: Tools) -> str:
    """Arguments written as bare text, as JSON: the schema says which of them are strings."""
    document = tools.get(name)
    known = document.parameters.get("properties", {}) if document else {}
    return _dump({key: _value(text, known.get(key, {})) for key, text in pairs})


def _value(text: str, schema: Json) -> Json:
    if isinstance(schema, Mapping) and schema.get("type") == "string":
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


_MISTRAL = "[TOOL_CALLS]"
_MISTRAL_ARGUMENTS = "[ARGS]"


def _mistral(text: str, tools: Tools) -> ParsedMessage:
    """`[TOOL_CALLS][{…}, …]`, or the later `[TOOL_CALLS]name[ARGS]{…}` for each call."""
    del tools
    content, *blocks = text.split(_MISTRAL)
    calls: list[_Call] = []
    for block in blocks:
        name, arguments, rest = block.partition(_MISTRAL_ARGUMENTS)
        calls += [_Call(name.strip(), rest.strip())] if arguments else _listed(block)
    return _written(content, calls)


def _listed(text: str) -> list[_Call]:
    try:
        value: Json = json.loads(text)
    except (ValueError, RecursionError):
        return [_from_json(text)]
    items: list[Json] = value if isinstance(value, list) else [value]
    return [_from_object(item) or _Call("", _dump(item)) for item in items]


_PYTHON_TAG = "<|python_tag|>"


def _llama(text: str, tools: Tools) -> ParsedMessage:
    """Messages that consist of JSON objects, one after the other or set apart by `;`."""
    del tools
    body = text.replace(_PYTHON_TAG, "").strip()
    if not body.startswith("{") or '"name"' not in body:
        return _written(text, [])
    calls: list[_Call] = []
    while body:
        try:
            value, end = _READER.raw_decode(body)
        except (ValueError, RecursionError):
            calls.append(_from_json(body))
            break
        calls.append(_from_object(value) or _Call("", _dump(value)))
        body = body[end:].lstrip("; \n")
    return _written("", calls)


PARSERS = (
    ChatParser("nano", (CALL,), _nano),
    ChatParser("xml", ("<function=",), _xml),
    ChatParser("glm", ("<arg_key>",), _glm),
    ChatParser("hermes", ("<tool_call>",), _hermes),
    ChatParser("mistral", (_MISTRAL,), _mistral),
    ChatParser("llama", (_PYTHON_TAG, '"parameters": '), _llama),
)
"""In the order in which they are looked for: marks of the first stand in none of the later."""
