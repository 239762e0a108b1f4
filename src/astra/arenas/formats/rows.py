"""Row layout of the published ASTRA data (`--format astra-rl`): arenas to rows and back.

A row is a JSON object of four columns: `prompt` (a list of one user message), and three columns of
JSON text: `tool_schema` (list of OpenAI tools), `tool_dict` (tool name -> Python source) and
`sub_qa_dict` (tool name -> answers that its calls must give). That is less than an arena: gold
calls, dependencies, targets, decoys and the main answer are missing. Rows written here have a fifth
column, `astra`, with the whole arena, so that nothing is lost on the way back.

Published rows have no gold calls, so they can't be replayed: `read` says so. A row in which two
tools share a name is refused, because one of them would replace the other. Nothing that is read is
trusted: the importer certifies every arena again. Schemas and sources are never executed here.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from astra.configs.spelling import option_name
from astra.errors import ConfigError, Rejected
from astra.models.closings import answer_text
from astra.types import Arena, Json, Record, Tool, canonical_json, content_hash

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
    # By name, so that the order does not distinguish the arena's own tools from distractors.
    tools = sorted([*arena.tools, *arena.distractors], key=lambda tool: tool.name)
    _check_unique([tool.name for tool in tools], "the arena")
    # The published data have answers as text, and a list as one text with commas.
    answers: dict[str, list[Json]] = defaultdict(list)
    for goal in arena.goals:
        if goal.call is not None:
            answers[goal.call.tool].append(answer_text(goal.answer))
    whole = AstraColumn(version=VERSION, arena=arena)
    return {
        "prompt": [{"role": "user", "content": arena.question}],
        "tool_schema": _json([tool.document.openai() for tool in tools]),
        "tool_dict": _json({tool.name: standalone(tool) for tool in tools}),
        "sub_qa_dict": _json(dict(answers)),
        OURS: _json(whole.model_dump(mode="json")),
    }


def _json(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def standalone(tool: Tool) -> str:
    """A tool's source with its data in it, for programs that do not set `DATA`."""
    if tool.data is None:
        return tool.source
    # As text in a literal: JSON's true, false and null are not Python.
    data = canonical_json(tool.data)
    return f"import json\n\nDATA = json.loads({data!r})\n\n{tool.source}"


# --- reading ----------------------------------------------------------------------------------


def read(path: Path) -> Iterator[ImportedRow]:
    """The rows of a JSONL file, one at a time. Raises ConfigError if the file does not hold rows.

    A row that can't be used is a `Rejected` with the reason, not an error of the file.
    """
    number = 0
    try:
        with path.open("rb") as file:
            # Bounded: a file without line ends must not be read into memory as one line.
            while line := file.readline(ROW_CHARACTERS + 1):
                number += 1
                if not line.strip():
                    continue
                where = f"{path.name}, line {number}"
                if len(line) > ROW_CHARACTERS:
                    raise ConfigError(
                        f"{where}: longer than {ROW_CHARACTERS} bytes: give a JSONL file of rows"
                    )
                try:
                    value = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise ConfigError(
                        f"{where}: not JSON ({error}): give a JSONL file of rows"
                    ) from error
                try:
                    arena = from_row(value)
                    yield ImportedRow(arena.id, arena)
                except Rejected as rejected:
                    reason = Rejected(rejected.check, f"{where}: {rejected.reason}")
                    digest = content_hash(line.decode("utf-8", "replace"))
                    yield ImportedRow(f"row-{number:06d}-{digest}", reason)
    except OSError as error:
        raise ConfigError(f"can't read {str(path)!r}: {error.strerror}") from error


def from_row(row: Json) -> Arena:
    """The arena of a row. Raises `Rejected` with what is wrong with the row."""
    if not isinstance(row, dict) or any(name not in row for name in COLUMNS):
        if isinstance(row, dict) and "responses_create_params" in row:
            raise Rejected(
                "layout",
                "a row of NeMo Gym, whose tools and rewards are code of its resources server: "
                "without gold calls nothing of it can be certified. The arenas of rows that "
                "`arenas export` wrote stand beside them: import the folder "
                f"({option_name('format')} published)",
            )
        have = sorted(row)[:8] if isinstance(row, dict) else type(row).__name__
        raise Rejected("layout", f"not the columns {', '.join(COLUMNS)}: {have!r:.300}")
    question = _question(row["prompt"])
    documents = [_function(entry) for entry in _parsed(row, "tool_schema", list)]
    names = [str(document.get("name")) for document in documents]
    _check_unique(names, "tool_schema")
    sources = _parsed(row, "tool_dict", dict)
    answers = _parsed(row, "sub_qa_dict", dict)
    if odd := sorted(set(names) ^ set(sources)):
        raise Rejected("names", f"{odd[:3]!r} stand in only one of tool_schema and tool_dict")
    if odd := sorted(set(answers) - set(names)):
        raise Rejected("names", f"sub_qa_dict names {odd[:3]!r}, which are not tools of the row")
    if row.get(OURS) is None:
        raise Rejected(
            "calls",
            "the row has no gold calls, so nothing of it can be replayed: only rows that "
            "`astra arenas export` wrote can be imported",
        )
    try:
        whole = AstraColumn.model_validate_json(row[OURS])
    except (ValidationError, TypeError) as error:
        detail = error.errors(include_url=False)[0] if isinstance(error, ValidationError) else error
        raise Rejected("layout", f"the column {OURS!r} holds no arena: {detail!s:.300}") from error
    if whole.version != VERSION:
        raise Rejected("layout", f"the column {OURS!r} is of version {whole.version}: upgrade")
    # Whoever edits the published columns means the arena, too: two versions of it are refused.
    ours = to_row(whole.arena)
    schemas = json.loads(ours["tool_schema"])
    pairs: dict[str, tuple[Json, Json]] = {
        "prompt": (question, whole.arena.question),
        "tool_schema": (documents, [_function(entry) for entry in schemas]),
        "tool_dict": (sources, json.loads(ours["tool_dict"])),
        "sub_qa_dict": (answers, json.loads(ours["sub_qa_dict"])),
    }
    for column, (published, own) in pairs.items():
        if published != own:
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
    raise Rejected("layout", "prompt is not a list with a user message")


def _function(entry: Json) -> dict[str, Json]:
    function = entry.get("function") if isinstance(entry, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise Rejected("layout", f"tool_schema holds {entry!r:.200}, which is not an OpenAI tool")
    return function


def _parsed(row: dict[str, Json], column: str, kind: type[list[Json] | dict[str, Json]]) -> Json:
    """A column of JSON text. A name that stands twice in an object is refused."""

    def unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        # `json` keeps the last of two values: one tool would silently replace the other. In
        # schemas the same key may stand at many places, and `from_row` compares them as a whole.
        if column != "tool_schema":
            _check_unique([name for name, _ in pairs], column)
        return dict(pairs)

    value = row[column]
    if isinstance(value, str):
        try:
            value = json.loads(value, object_pairs_hook=unique)
        except (ValueError, RecursionError) as error:
            raise Rejected("layout", f"{column} is not JSON: {error!s:.200}") from error
    if not isinstance(value, kind):
        raise Rejected("layout", f"{column} is not {'a list' if kind is list else 'an object'}")
    return value


def _check_unique(names: Sequence[str], where: str) -> None:
    repeated = next((name for name, count in Counter(names).items() if count > 1), None)
    if repeated is not None:
        raise Rejected(
            "names", f"{where} has two tools called {repeated!r}: one would replace the other"
        )
