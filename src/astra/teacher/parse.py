"""From a model's text to the record that was asked for, or to what is wrong with it.

Tolerant of what stands around the answer (reasoning, fences, prose), strict in the answer itself:
one JSON object, no key twice, every field given, no other, no value of another type. Nothing is
defaulted, guessed or run. All problems are `ValueError`s whose text can be sent back to the model.

What this does not guarantee: that the answer is true, or in the language that was asked for.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

from pydantic import ValidationError

from astra.protocols import Reply
from astra.types import FinishReason, Json, Record, canonical_json, depth

Out = TypeVar("Out", bound=Record)

LONGEST_REPLY = 2**20
"""Characters; an answer has no business being longer."""
DEEPEST = 64
"""Levels of nesting."""

_PROBLEMS = 5
"""Most problems that are named at once."""
_OBJECT = re.compile(r'\{\s*"')
"""How an object with keys begins; braces in prose seldom do."""
_OPENING, _CLOSING = "<think>", "</think>"


def read_reply(reply: Reply, wanted: type[Out]) -> tuple[Json, Out]:
    """The JSON that a reply holds, and the record it makes; ValueError says what is wrong."""
    if reply.finish is FinishReason.filtered:
        said = reply.message.content.strip()
        raise ValueError(f"the reply was refused: {said[:200]!r}" if said else "it was refused")
    try:
        value = find_object(_content(reply))
    except ValueError as error:
        if reply.finish is FinishReason.length:
            raise ValueError(f"the reply was cut off at its token limit ({error})") from None
        raise
    return value, as_record(value, wanted)


def _content(reply: Reply) -> str:
    content = reply.message.content
    if content.strip():
        return content
    if reply.message.tool_calls:
        raise ValueError("the reply calls a tool; it must be the JSON object itself")
    reasoning = reply.message.reasoning.strip()
    # Some servers file the whole answer under reasoning. A draft inside reasoning is no answer.
    if reasoning.startswith("{") and reasoning.endswith("}"):
        return reasoning
    raise ValueError("the reply is empty")


def find_object(text: str) -> dict[str, Json]:
    """The first JSON object in a text, after its reasoning. One that is broken is not passed over,
    since what comes next may be a part of it."""
    if len(text) > LONGEST_REPLY:
        raise ValueError(f"the reply has {len(text)} characters; at most {LONGEST_REPLY} are read")
    text = text.strip()
    if text.startswith("{") and _CLOSING in text:
        with suppress(ValueError):  # a text that is all JSON may hold the mark in its strings
            value, end = _decoded(text, 0)
            if end == len(text):
                return _plain(value)
    text = _spoken(text)
    start = _OBJECT.search(text)
    if start is None:
        raise ValueError("the reply holds no JSON object")
    return _plain(_decoded(text, start.start())[0])


def _spoken(text: str) -> str:
    """The text without the reasoning before it, whose opening mark may have been swallowed."""
    end = text.rfind(_CLOSING)
    if end >= 0:
        return text[end + len(_CLOSING) :]
    if text.startswith(_OPENING):
        raise ValueError("the reply ends before its reasoning does; give the JSON object")
    return text


def _decoded(text: str, at: int) -> tuple[Json, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except RecursionError:
        raise ValueError(f"the JSON is nested deeper than {DEEPEST} levels") from None
    except json.JSONDecodeError as error:
        near = text[max(at, error.pos - 30) : error.pos + 30]
        raise ValueError(f"no valid JSON: {error.msg}, near {near!r}") from None


def _plain(value: Json) -> dict[str, Json]:
    """The value, if it can be stored: bounded depth, finite numbers, whole characters."""
    if depth(value, DEEPEST) > DEEPEST:
        raise ValueError(f"the JSON is nested deeper than {DEEPEST} levels")
    try:
        canonical_json(value).encode()
    except UnicodeEncodeError:
        raise ValueError("a text in the JSON holds half a surrogate pair") from None
    except ValueError:
        raise ValueError("a number in the JSON is too large") from None
    return value


def as_record(value: dict[str, Json], wanted: type[Out]) -> Out:
    """The record with exactly these fields and types; ValueError for any other."""
    try:
        # In JSON mode, where a list is a tuple; strict, so that "yes" is no boolean.
        record = wanted.model_validate_json(canonical_json(value), strict=True)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        told = "; ".join(_told(item) for item in found[:_PROBLEMS])
        more = f" (and {len(found) - _PROBLEMS} more)" if len(found) > _PROBLEMS else ""
        raise ValueError(f"the JSON does not fit the schema: {told}{more}") from None
    missing = list(_missing(record, ""))
    if missing:
        raise ValueError(f"the JSON lacks the field {', '.join(missing[:_PROBLEMS])}")
    return record


def _told(problem: Any) -> str:
    where = ".".join(str(part)[:80] for part in problem["loc"])
    return f"{where}: {problem['msg'][:300]}" if where else str(problem["msg"])[:300]


def _missing(value: object, where: str) -> Iterator[str]:
    """Paths of the fields that would have been defaulted."""
    if isinstance(value, Record):
        for name in type(value).model_fields:
            path = f"{where}.{name}" if where else name
            if name not in value.model_fields_set:
                yield repr(path)
            else:
                yield from _missing(getattr(value, name), path)
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _missing(item, f"{where}.{index}")
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _missing(item, f"{where}.{name}")


def _pairs(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    value = dict(pairs)
    if len(value) != len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the JSON has the key {twice[:80]!r} twice in one object")
    return value


def _constant(name: str) -> NoReturn:
    raise ValueError(f"the JSON holds {name}, which is no JSON value")


# Line breaks inside texts are let pass: models write code so, and there is one way to read it.
_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant, strict=False)
