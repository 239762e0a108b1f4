"""From a model's text to the requested record, or to what is wrong with the text.

Tolerant of text around the answer (reasoning, fences, prose), strict about the answer itself: one
JSON object, no key twice, all fields and no others, no value of another type. Nothing is defaulted,
guessed or run. All problems are `ValueError`s whose text can be sent back to the model.

What this does not guarantee: that the answer is true, or in the requested language.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import TypeVar

from pydantic import ValidationError

from astra.core.untrusted import REPLY_CHARACTERS, read_json_at
from astra.protocols import Reply
from astra.types import FinishReason, Json, Record, canonical_json

Out = TypeVar("Out", bound=Record)

_PROBLEMS = 5
"""Most problems that are named at once."""
_OBJECT = re.compile(r'\{\s*"')
"""Start of an object with keys. Braces in prose seldom look so."""
_OPENING, _CLOSING = "<think>", "</think>"


def read_reply(reply: Reply, output_type: type[Out]) -> tuple[Json, Out]:
    """The JSON in a reply, and the record it makes. ValueError says what is wrong."""
    if reply.finish is FinishReason.filtered:
        text = reply.message.content.strip()
        raise ValueError(f"the reply was refused: {text[:200]!r}" if text else "it was refused")
    content, reasoning = reply.message.content, reply.message.reasoning.strip()
    # Some servers put the whole answer under reasoning. A draft inside reasoning does not count.
    whole_in_reasoning = reasoning.startswith("{") and reasoning.endswith("}")
    try:
        if not content.strip() and reply.message.tool_calls:
            raise ValueError("the reply calls a tool; it must be the JSON object itself")
        if not content.strip() and not whole_in_reasoning:
            raise ValueError("the reply is empty")
        value = find_object(content if content.strip() else reasoning)
    except ValueError as error:
        if reply.finish is FinishReason.length:
            raise ValueError(f"the reply was cut off at its token limit ({error})") from None
        raise
    return value, as_record(value, output_type)


def find_object(text: str) -> dict[str, Json]:
    """The first JSON object in a text, after its reasoning. ValueError if it is broken.

    A broken object is not skipped: what follows may be a part of it.
    """
    if len(text) > REPLY_CHARACTERS:
        raise ValueError(
            f"the reply has {len(text)} characters; at most {REPLY_CHARACTERS} are read"
        )
    text = text.strip()
    if text.startswith("{") and _CLOSING in text:
        with suppress(ValueError):  # a text that is all JSON may contain the mark in its strings
            value, end = read_json_at(text, 0)
            if end == len(text):
                return value
    # Reasoning ends at its last closing mark; its opening mark is sometimes missing.
    end = text.rfind(_CLOSING)
    if end >= 0:
        text = text[end + len(_CLOSING) :]
    elif text.startswith(_OPENING):
        raise ValueError("the reply ends before its reasoning does; give the JSON object")
    start = _OBJECT.search(text)
    if start is None:
        raise ValueError("the reply contains no JSON object")
    try:
        return read_json_at(text, start.start())[0]
    except json.JSONDecodeError as error:
        near = text[max(start.start(), error.pos - 30) : error.pos + 30]
        raise ValueError(f"invalid JSON: {error.msg}, near {near!r}") from None


def as_record(value: dict[str, Json], output_type: type[Out]) -> Out:
    """The record with exactly these fields and types; ValueError for any other."""
    try:
        # In JSON mode, where a list is a tuple; strict, so that "yes" does not pass for a boolean.
        record = output_type.model_validate_json(canonical_json(value), strict=True)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        texts: list[str] = []
        for problem in problems[:_PROBLEMS]:
            where = ".".join(str(part)[:80] for part in problem["loc"])
            message = problem["msg"][:300]
            texts.append(f"{where}: {message}" if where else message)
        more = f" (and {len(problems) - _PROBLEMS} more)" if len(problems) > _PROBLEMS else ""
        raise ValueError(f"the JSON does not fit the schema: {'; '.join(texts)}{more}") from None
    missing = list(_missing(record, ""))
    if missing:
        raise ValueError(f"the JSON lacks the field {', '.join(missing[:_PROBLEMS])}")
    return record


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
