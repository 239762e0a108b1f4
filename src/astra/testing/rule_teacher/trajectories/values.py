"""Values for parameters, drawn by seed from what the tool document says: choices, examples,
formats, bounds; else plain words. Only values that a request can state letter for letter."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, timedelta

from astra.core.untrusted import odd_character
from astra.models.arguments import random_arguments
from astra.teacher.prompts.chains import ShownTool
from astra.trajectories.schemas import value_problem
from astra.trajectories.tasks.probing import PATHS, seen_values
from astra.trajectories.tasks.tool_fields import InputField, words_of
from astra.types import Json, Language, RecordedCall

LONGEST = 200
"""Characters of a value as it is written in a request."""
_NONE = object()

_WORDS: Mapping[Language, Mapping[str, Sequence[str]]] = {
    "en": {
        "city": ("Lisbon", "Montreal", "Nairobi", "Osaka", "Leeds"),
        "country": ("Portugal", "Canada", "Kenya", "Japan", "Chile"),
        "person": ("Ada Brook", "Tom Okafor", "Mina Sato", "Luis Prado", "Eve Lind"),
        "name": ("Northwind", "Bluebell", "Harbour", "Juniper", "Meridian"),
        "title": ("Weekly plan", "Field notes", "Spring budget", "Open questions"),
        "query": ("solar panels", "city gardens", "travel insurance", "bread recipes"),
        "path": ("plan.txt", "may.csv", "letter.md"),
        "directory": (".",),
        "currency": ("EUR", "USD", "JPY", "GBP"),
        "language": ("English", "French", "Spanish"),
        "id": ("A-1042", "B-2731", "C-3308", "D-4417"),
        "": ("apples", "a short walk", "green tea", "the second floor", "a quiet evening"),
    },
    "zh": {
        "city": ("杭州", "成都", "青岛", "昆明", "西安"),
        "country": ("葡萄牙", "加拿大", "肯尼亚", "智利"),
        "person": ("王晓明", "李静", "陈立", "赵雨", "周航"),
        "name": ("青松", "海棠", "北辰", "云帆"),
        "title": ("本周计划", "实地记录", "春季预算", "待办问题"),
        "query": ("太阳能板", "城市花园", "旅行保险", "面包做法"),
        "path": ("plan.txt", "may.csv", "letter.md"),
        "directory": (".",),
        "currency": ("CNY", "EUR", "USD", "JPY"),
        "language": ("中文", "法语", "西班牙语"),
        "id": ("A-1042", "B-2731", "C-3308", "D-4417"),
        "": ("苹果", "绿茶", "二楼", "安静的晚上", "短途散步"),
    },
}
_MEANT = {
    "town": "city",
    "location": "city",
    "place": "city",
    "nation": "country",
    "author": "person",
    "user": "person",
    "owner": "person",
    "recipient": "person",
    "subject": "title",
    "topic": "query",
    "keyword": "query",
    "search": "query",
    "text": "title",
    "file": "path",
    "folder": "directory",
    "uri": "path",
    "code": "id",
    "number": "id",
    "key": "id",
}
_MAKING = {"create", "add", "new", "register", "insert", "write"}
"""Words of tools whose arguments are of something that is not there yet."""
_OF_FOLDERS = {"directory", "directorie", "folder", "tree"}
"""Words of tools whose paths are of folders."""


def drawn_value(
    tool: ShownTool,
    parameter: InputField,
    rng: random.Random,
    language: Language,
    held: Sequence[RecordedCall] = (),
) -> Json:
    """A value that fits the parameter's schema; LookupError when none is found.

    `held`: calls that show what the service holds: what is not made anew is of that.
    """
    making = _MAKING & set(words_of(tool.name)) and not PATHS & set(words_of(parameter.name))
    seen = [] if making else list(seen_values(parameter.name, held, tool.name))
    grounded = [[value] for value in seen] if parameter.kind == "array" else seen
    options = [
        value
        for group in (grounded[:8], *_options(tool, parameter, rng, language))
        for value in rng.sample(group, len(group))
    ]
    for value in options:
        if statable(value) and not value_problem(value, parameter.schema):
            return value
    schema = {
        "type": "object",
        "properties": {parameter.name: dict(parameter.schema)},
        "required": [parameter.name],
    }
    made = random_arguments(schema, rng)
    if made is None or not statable(made[parameter.name]):
        raise LookupError(f"no value for {parameter.name!r} of {tool.name!r}")
    return made[parameter.name]


def _options(
    tool: ShownTool, parameter: InputField, rng: random.Random, language: Language
) -> Iterator[list[Json]]:
    """Values to try, the most telling first."""
    schema = parameter.schema
    if "const" in schema:
        yield [schema["const"]]
    for key in ("enum", "examples"):
        if isinstance(schema.get(key), list):
            yield list(schema[key])
    yield [each[parameter.name] for each in tool.examples if parameter.name in each]
    for key in ("example", "default"):
        if key in schema:
            yield [schema[key]]
    if parameter.kind == "number":
        low, high = schema.get("minimum", 1), schema.get("maximum", 100)
        # Bounds are what the document says: they may be anything.
        with suppress(TypeError, ValueError, OverflowError):
            first, last = int(low), int(high)
            within = [rng.randint(first, last) for _ in range(4)] if first <= last else [first]
            yield [*within, first, last]
    if parameter.kind in ("string", "any"):
        yield from _strings(tool, parameter, rng, language)
    if parameter.kind == "array":
        items = schema.get("items")
        inner = InputField(parameter.name, "string", True, items if isinstance(items, dict) else {})
        if isinstance(inner.schema.get("enum"), list):
            yield [[value] for value in inner.schema["enum"]]
        yield from ([[v] for v in group] for group in _strings(tool, inner, rng, language))


def _strings(
    tool: ShownTool, parameter: InputField, rng: random.Random, language: Language
) -> Iterator[list[Json]]:
    day = date(2026, 1, 5) + timedelta(days=rng.randrange(360))
    formats: dict[str, list[Json]] = {
        "date": [day.isoformat()],
        "date-time": [f"{day.isoformat()}T{rng.randrange(8, 19):02d}:30:00Z"],
        "time": [f"{rng.randrange(8, 19):02d}:30:00Z"],
        "email": ["ada.brook@example.org", "tom.okafor@example.com", "mina.sato@example.net"],
        "uri": ["https://example.org/start", "https://example.com/news"],
        "url": ["https://example.org/start", "https://example.com/news"],
        "uuid": ["7c9e6679-7425-40de-944b-e07fc1f90ae7"],
    }
    name = words_of(parameter.name)
    wanted = str(parameter.schema.get("format", ""))
    if wanted in formats:
        yield formats[wanted]
    for word in reversed(name):
        if word in formats:
            yield formats[word]
        kind = _MEANT.get(word, word)
        if kind == "path" and _OF_FOLDERS & set(words_of(tool.name)):
            kind = "directory"
        if kind in _WORDS[language]:
            yield list(_WORDS[language][kind])
    yield list(_WORDS[language][""])


def statable(value: Json) -> bool:
    """Whether a request can state a value letter for letter, in a few words."""
    if value is None:
        return False
    spelt = spelled(value)
    plain = json.dumps(value, ensure_ascii=False)
    return len(spelt) <= LONGEST and "\\" not in plain and not odd_character(spelt)


def spelled(value: Json) -> str:
    """A value as a request of the rule teacher writes it: as JSON."""
    return json.dumps(value, ensure_ascii=False)
