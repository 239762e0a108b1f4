"""Names of types as tool documents have them, as JSON Schema.

JSON Schema's own, those of Python (`List[int]`, `Optional[str]`, `str | None`), of other languages
(`int64`, `Map<String, Integer>`, `string[]`), of catalogues (`ENUM`, `DATE (YYYY-MM-DD)`), and
remarks beside them (`str, optional`).
"""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

from astra.types import Json

_JSON_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")

_NAMES = {
    other: kind
    for kind, others in (
        ("string", "str text char enum binary bytes bytestring file password html markdown"),
        ("string", "currency phone color path filepath"),
        ("integer", "int long short int32 int64 uint uint32 uint64 bigint"),
        ("number", "float double decimal numeric real float32 float64 percentage"),
        ("boolean", "bool"),
        ("object", "dict map hashmap mapping record struct json ordereddict defaultdict"),
        ("array", "list tuple set frozenset sequence iterable collection vector"),
        ("null", "none nonetype nil void"),
    )
    for other in others.split()
} | {kind: kind for kind in _JSON_TYPES}
_FORMATS = {
    "date": "date",
    "datetime": "date-time",
    "date-time": "date-time",
    "time": "time",
    "url": "uri",
    "uri": "uri",
    "link": "uri",
    "email": "email",
    "uuid": "uuid",
}
_ANYTHING = ("any", "unknown", "mixed", "object?", "")
_REMARK = re.compile(r"[,;(]?\s*\b(?P<word>optional|required)\b\s*\)?$", re.I)
_IN_BRACKETS = re.compile(r"\s*\((?P<text>[^()]*)\)$")
_OF = re.compile(r"(?P<kind>list|array|set|tuple|sequence)s?\s+of\s+(?P<item>.+)", re.I)
_OR = re.compile(r"\s+or\s+|(?<=\w)/(?=\w)")
_PLURAL = re.compile(r"(?<=[a-z])s$")


class NamedType(NamedTuple):
    """What the name of a type says."""

    schema: dict[str, Json]
    """Empty: any value."""
    required: bool | None = None
    """What a remark beside the name says. None: there is none."""


def named_type(name: str) -> NamedType:
    """The type of that name. Raises ValueError for one that is not known."""
    text, required = name.strip(), None
    while (remark := _REMARK.search(text)) and remark.start():
        required = remark["word"].casefold() == "required"
        text = text[: remark.start()].strip()
    if not (text.startswith("(") and text.endswith(")")):
        # "DATE (YYYY-MM-DD)", "integer (int64)": the brackets describe the type before them.
        text = _IN_BRACKETS.sub("", text)
    if text.endswith("?") and len(text) > 1:
        return NamedType(_nullable(_schema(text[:-1], 0)), False if required is None else required)
    schema = _schema(text, 0)
    if required is None and text.casefold().startswith("optional["):
        required = False
    return NamedType(schema, required)


def _schema(text: str, depth: int) -> dict[str, Json]:
    text = text.strip()
    if depth > 8:
        raise ValueError(f"{text!r:.60} nests too many types")
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1].strip()
    if len(members := _parts(_OR.sub("|", text), "|")) > 1:
        return union_of([_schema(member, depth + 1) for member in members])
    if text.endswith("[]"):
        return _array(text[:-2], depth)
    if of := _OF.fullmatch(text):
        return _array(_PLURAL.sub("", of["item"]), depth)
    word, arguments = text, ""
    for opening, closing in ("[]", "<>"):
        if text.endswith(closing) and opening in text:
            word, arguments = text[:-1].split(opening, 1)
            break
    word = word.strip().rpartition(".")[2].casefold()
    if word == "literal":
        try:
            values = ast.literal_eval(f"[{arguments}]")
        except (ValueError, SyntaxError) as error:
            raise ValueError(f"{text!r:.60} is not a type of JSON Schema") from error
        return {"enum": values}
    inner = _parts(arguments, ",") if arguments.strip() else []
    if word in ("optional", "union", "annotated"):
        if not inner:
            return {}
        shown = inner[:1] if word == "annotated" else inner
        schema = union_of([_schema(each, depth + 1) for each in shown])
        return _nullable(schema) if word == "optional" else schema
    if word in _ANYTHING:
        return {}
    if word in _FORMATS:
        return {"type": "string", "format": _FORMATS[word]}
    kind = _NAMES.get(word)
    if kind is None:
        raise ValueError(f"{text!r:.60} is not a type of JSON Schema")
    if kind == "array":
        # A tuple of several types is described as a list: what it holds stays in its description.
        alike = inner if len(set(inner) - {"..."}) == 1 else []
        return _array(alike[0], depth) if alike else {"type": "array"}
    if kind == "object" and len(inner) == 2 and (values := _schema(inner[1], depth + 1)):
        return {"type": "object", "additionalProperties": values}
    return {"type": kind}


def _array(item: str, depth: int) -> dict[str, Json]:
    items = _schema(item, depth + 1)
    return {"type": "array", "items": items} if items else {"type": "array"}


def union_of(schemas: list[dict[str, Json]]) -> dict[str, Json]:
    """A value of any of the schemas, written as shortly as JSON Schema can."""
    if len(schemas) == 1:
        return schemas[0]
    if {} in schemas:
        return {}
    if all(set(schema) == {"type"} and isinstance(schema["type"], str) for schema in schemas):
        kinds = list(dict.fromkeys(schema["type"] for schema in schemas))
        return {"type": kinds[0] if len(kinds) == 1 else kinds}
    null: dict[str, Json] = {"type": "null"}
    others = [schema for schema in schemas if schema != null]
    if len(others) == 1:
        return _nullable(others[0])
    return {"anyOf": schemas}


def _nullable(schema: dict[str, Json]) -> dict[str, Json]:
    kind = schema.get("type")
    if isinstance(kind, str) and kind != "null":
        return schema | {"type": [kind, "null"]}
    if not schema or "null" in (kind or ()):
        return schema
    return {"anyOf": [schema, {"type": "null"}]}


def _parts(text: str, separator: str) -> list[str]:
    """The text split where the separator stands outside brackets and quotes."""
    parts, level, quote, start = list[str](), 0, "", 0
    for place, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "[<({":
            level += 1
        elif character in "]>)}":
            level -= 1
        elif character == separator and not level:
            parts.append(text[start:place].strip())
            start = place + 1
    return [*parts, text[start:].strip()]
