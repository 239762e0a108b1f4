"""Arenas in the row layout of the published ASTRA data (`--format astra-rl`), both ways.

A row is a JSON object of four columns: `prompt` (a list of one user message), and three columns of
JSON text: `tool_schema` (list of OpenAI tools), `tool_dict` (tool name -> Python source) and
`sub_qa_dict` (tool name -> answers that its calls must give). That is less than an arena: gold
calls, dependencies, targets, decoys and the main answer are not in it. What we write has a fifth
column, `astra`, with the whole arena, so that nothing is lost on the way back.

Published rows have no gold calls, so nothing of them can be replayed: `read` says so. Rows in which
two tools share a name are refused, for one of them would replace the other. Nothing that is read is
trusted: whoever imports certifies again. Schemas and sources are never executed here.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from astra.errors import ConfigError, Rejected
from astra.types import Arena, Json, Record, Scalar, Tool, canonical_json, content_hash

ROW_CHARACTERS = 32_000_000
COLUMNS = ("prompt", "tool_schema", "tool_dict", "sub_qa_dict")
OURS = "astra"
VERSION = 2


class AstraColumn(Record):
    """The column `astra`: what the published columns have no room for."""

    version: int
    arena: Arena


@dataclass(frozen=True, slots=True)
class ImportedRow:
    """One row of a file: an arena that may be certified, or why it was refused."""

    key: str
    outcome: Arena | Rejected


# --- writing ----------------------------------------------------------------------------------


def to_row(arena: Arena) -> dict[str, Json]:
    """An arena as a row; `Rejected` when two of its tools share a name."""
    # By name, so that the order does not tell the arena's own tools from the others.
    tools = sorted([*arena.tools, *arena.distractors], key=lambda tool: tool.name)
    _check_unique([tool.name for tool in tools], "the arena")
    answers: dict[str, list[Json]] = defaultdict(list)
    for goal in arena.goals:
        if goal.call is not None:
            answers[goal.call.tool].append(_spelled(goal.answer))
    whole = AstraColumn(version=VERSION, arena=arena)
    return {
        "prompt": [{"role": "user", "content": arena.question}],
        "tool_schema": _json([tool.document.openai() for tool in tools]),
        "tool_dict": _json({tool.name: standalone(tool) for tool in tools}),
        "sub_qa_dict": _json(dict(answers)),
        OURS: _json(whole.model_dump(mode="json")),
    }


def _spelled(answer: Scalar | tuple[Scalar, ...]) -> str:
    """An answer as the published data have it: text."""
    return ", ".join(map(str, answer)) if isinstance(answer, tuple) else str(answer)


def _json(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def standalone(tool: Tool) -> str:
    """A tool's source with its data in it, for whoever does not set `DATA`."""
    if tool.data is None:
        return tool.source
    data = canonical_json(tool.data)
    return f"import json\n\nDATA = json.loads({data!r})\n\n{tool.source}"


# --- reading ----------------------------------------------------------------------------------


def read(path: Path) -> Iterator[ImportedRow]:
    """The rows of a JSONL file, one at a time; ConfigError when the file is none.

    A row that can't be used is a `Rejected` with the reason, not an error of the file.
    """
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(ROW_CHARACTERS + 1):
                number += 1
                if line.strip():
                    yield _imported(line, f"{path.name}, line {number}", number)
    except OSError as error:
        raise ConfigError(f"can't read {str(path)!r}: {error.strerror}") from error


def _imported(line: bytes, where: str, number: int) -> ImportedRow:
    if len(line) > ROW_CHARACTERS:
        raise ConfigError(f"{where}: longer than {ROW_CHARACTERS} bytes: this is no such file")
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: no JSON ({error}): give a JSONL file") from error
    try:
        loaded = from_row(value)
    except Rejected as rejected:
        reason = Rejected(rejected.check, f"{where}: {rejected.reason}")
        digest = content_hash(line.decode("utf-8", "replace"))
        return ImportedRow(f"row-{number:06d}-{digest}", reason)
    return ImportedRow(loaded.id, loaded)


def from_row(row: Json) -> Arena:
    """The arena of a row; `Rejected` with what is wrong with the row."""
    if not isinstance(row, dict) or any(name not in row for name in COLUMNS):
        have = sorted(row)[:8] if isinstance(row, dict) else type(row).__name__
        raise Rejected("layout", f"not the columns {', '.join(COLUMNS)}: {have!r:.300}")
    question = _question(row["prompt"])
    documents = [_function(entry) for entry in _list(row, "tool_schema")]
    names = [str(document.get("name")) for document in documents]
    _check_unique(names, "tool_schema")
    sources = _pairs(row, "tool_dict")
    answers = _pairs(row, "sub_qa_dict")
    if odd := sorted(set(names) ^ set(sources)):
        raise Rejected("names", f"{odd[:3]!r} stand in only one of tool_schema and tool_dict")
    if odd := sorted(set(answers) - set(names)):
        raise Rejected("names", f"sub_qa_dict names {odd[:3]!r}, which are no tools of the row")
    if row.get(OURS) is None:
        raise Rejected(
            "calls",
            "the row has no gold calls, so nothing of it can be replayed: only rows that "
            "`astra arenas export` wrote can be imported",
        )
    given = {
        "prompt": question,
        "tool_schema": documents,
        "tool_dict": sources,
        "sub_qa_dict": answers,
    }
    return _agreeing(_whole(row[OURS]), given)


def _whole(text: Json) -> AstraColumn:
    try:
        whole = AstraColumn.model_validate_json(text)
    except (ValidationError, TypeError) as error:
        said = error.errors(include_url=False)[0] if isinstance(error, ValidationError) else error
        raise Rejected("layout", f"the column {OURS!r} holds no arena: {said!s:.300}") from error
    if whole.version != VERSION:
        raise Rejected("layout", f"the column {OURS!r} is of version {whole.version}: upgrade")
    return whole


def _agreeing(whole: AstraColumn, given: dict[str, Json]) -> Arena:
    """The arena, if the published columns say the same as ours."""
    ours = to_row(whole.arena)
    expected = {
        "prompt": whole.arena.question,
        "tool_schema": [_function(entry) for entry in json.loads(ours["tool_schema"])],
        "tool_dict": json.loads(ours["tool_dict"]),
        "sub_qa_dict": json.loads(ours["sub_qa_dict"]),
    }
    for column in COLUMNS:
        if given[column] != expected[column]:
            raise Rejected("layout", f"the columns {column!r} and {OURS!r} disagree")
    return whole.arena


def _question(prompt: Json) -> str:
    """The text of the last user message."""
    if isinstance(prompt, list):
        for message in reversed(prompt):
            if isinstance(message, dict) and message.get("role") == "user":
                content = message.get("content")
                if isinstance(content, str) and content.strip():
                    return content
    raise Rejected("layout", "prompt is no list with a user message")


def _function(entry: Json) -> dict[str, Json]:
    function = entry.get("function") if isinstance(entry, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise Rejected("layout", f"tool_schema holds {entry!r:.200}, no OpenAI tool")
    return function


def _list(row: dict[str, Json], column: str) -> list[Json]:
    value = _parsed(row, column)
    if not isinstance(value, list):
        raise Rejected("layout", f"{column} is no list")
    return value


def _pairs(row: dict[str, Json], column: str) -> dict[str, Json]:
    value = _parsed(row, column)
    if not isinstance(value, dict):
        raise Rejected("layout", f"{column} is no object")
    return value


def _parsed(row: dict[str, Json], column: str) -> Json:
    """A column of JSON text; a name that stands twice in an object is refused."""

    def unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        if column != "tool_schema":
            _check_unique([name for name, _ in pairs], column)
        return dict(pairs)

    text = row[column]
    try:
        return json.loads(text, object_pairs_hook=unique) if isinstance(text, str) else text
    except (ValueError, RecursionError) as error:
        raise Rejected("layout", f"{column} is no JSON: {error!s:.200}") from error


def _check_unique(names: Sequence[str], where: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise Rejected(
                "names", f"{where} has two tools called {name!r}: one would replace the other"
            )
        seen.add(name)
