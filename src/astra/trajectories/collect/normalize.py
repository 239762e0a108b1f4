"""Normalizes a server to a `CollectedToolServer`: names, descriptions, schemas; and filters it.

The filter is the paper's: a minimum number of tools, descriptions that say what the tools do, and
schemas that convert (spec 1.1).
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from astra.errors import Rejected
from astra.trajectories.collect.descriptions import says_something
from astra.trajectories.collect.drafts import TASK_ONLY, BrokenTool, RawServer, RawTool, ToolNote
from astra.trajectories.collect.duplicates import ToolDeduplicator
from astra.trajectories.collect.result_schemas import result_schema
from astra.trajectories.collect.schemas import accepts, characters, parameters
from astra.trajectories.records import CollectedTool, CollectedToolServer
from astra.types import Json, Language, ToolSchema, canonical_json, content_hash

LONGEST_DESCRIPTION = 4000
LONGEST_ORIGINAL = 500
SERVER_CHARACTERS = 16_000_000
"""Longest server as JSON: one row of a run folder has to hold it."""

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}")
_LONGEST_NAME = 64
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_CHINESE = re.compile("[\u3400-\u9fff]")
_HARMLESS = ("duplicate", TASK_ONLY)
"""Checks that leave out only their tool, whatever the filter: its document is in order."""
# Text that addresses the model that reads it, instead of describing the tool.
_INJECTION = re.compile(
    r"(ignore|disregard|forget)\s+(all\s+|any\s+)?(of\s+)?(the\s+|your\s+)?(previous|prior|above|earlier)"
    r"|<\s*/?\s*(important|system|secret|instructions?)\s*>|<\|[a-z_]+\|>|\[/?INST\]"
    r"|(do\s+not|don't|never)\s+(tell|inform|mention\s+(this|it)\s+to|let)\s+the\s+user"
    r"|(reveal|print|send|exfiltrate)\b.{0,40}\b(system\s+prompt|ssh\s+key|id_rsa|credentials)"
    r"|忽略(之前|以上|上述|前面)的?(所有)?(指令|指示|说明)|不要告诉用户",
    re.I,
)


class NormalizedServer(NamedTuple):
    """A normalized server, with notes on tools that were left out or changed."""

    server: CollectedToolServer
    notes: tuple[ToolNote, ...]


def normalize_server(
    raw: RawServer, *, min_tools: int = 3, strict: bool = False
) -> NormalizedServer:
    """Normalize a server. Raises Rejected with the check that it, or one of its tools, failed.

    `strict`: as in the paper, one tool that fails rejects its server. Otherwise, the server is kept
    with the tools that pass.
    """
    tools: list[CollectedTool] = []
    notes: list[tuple[str, bool, str, str]] = []
    names: set[str] = set()
    originals: set[str] = set()
    earlier = ToolDeduplicator()
    for one in raw.tools:
        try:
            if isinstance(one, BrokenTool):
                raise one.rejected
            if one.name in originals:
                raise Rejected("duplicate", "a second tool of that name: it could never be called")
            tool, changes = _normalize_tool(one, names)
            if (other := earlier.duplicate_of(tool.document)) is not None:
                raise Rejected("duplicate", f"says the same as {other!r}, of the same arguments")
        except Rejected as rejected:
            if strict and rejected.check not in _HARMLESS:
                reason = f"tool {one.name[:80]!r}: {rejected.reason}"
                raise Rejected(rejected.check, reason) from rejected
            notes.append((one.name, False, rejected.check, rejected.reason))
            continue
        originals.add(one.name)
        names.add(tool.document.name)
        tools.append(tool)
        notes += [(one.name, True, "changed", change) for change in (*one.notes, *changes)]
    if len(tools) < min_tools:
        left_out = len(raw.tools) - len(tools)
        suffix = f", {left_out} left out" if left_out else ""
        raise Rejected("min_tools", f"{len(tools)} tools{suffix}; the least is {min_tools}")
    server = with_id(
        CollectedToolServer(
            id="",
            name=clean(raw.name, 200) or "unnamed",
            description=clean(raw.description, LONGEST_DESCRIPTION),
            domain=clean(raw.domain, 100),
            language=language(tools),
            source=raw.source,
            tools=tuple(tools),
            connection=raw.connection,
        )
    )
    if (size := len(server.model_dump_json())) > SERVER_CHARACTERS:
        raise Rejected("size", f"{size} characters of tools; the most is {SERVER_CHARACTERS}")
    return NormalizedServer(
        server,
        tuple(
            ToolNote(
                server=server.id,
                tool=clean(tool, 200),
                kept=kept,
                check=check,
                reason=clean(reason, 2000),
            )
            for tool, kept, check, reason in notes
        ),
    )


def with_id(server: CollectedToolServer) -> CollectedToolServer:
    """The server with its id, the hash of its content."""
    content = server.model_dump(mode="json", exclude={"id", "connection"})
    return server.model_copy(update={"id": content_hash(content)})


# --- tools ------------------------------------------------------------------------------------


def _normalize_tool(raw: RawTool, taken: set[str]) -> tuple[CollectedTool, list[str]]:
    """A normalized tool, and what was changed in it. Raises Rejected."""
    notes: list[str] = []
    try:
        raw.name.encode()  # live servers are called by the original name, so it can't be repaired
    except UnicodeEncodeError as error:
        raise Rejected("name", f"the name {raw.name[:80]!r} holds half a character") from error
    if len(raw.name) > LONGEST_ORIGINAL:
        reason = f"a name of {len(raw.name)} characters; the most is {LONGEST_ORIGINAL}"
        raise Rejected("name", reason)
    characters(raw.parameters)  # bounds the depth before anything recurses into it
    description = clean(raw.description, LONGEST_DESCRIPTION)
    if len(raw.description) > LONGEST_DESCRIPTION:
        notes.append(f"the description was cut at {LONGEST_DESCRIPTION} characters")
    cleaned = _cleaned(raw.parameters)
    if not says_something(raw.name, description, cleaned):
        raise Rejected("description", f"{description[:80]!r} does not say what the tool does")
    if injection := _INJECTION.search(f"{description}\n{canonical_json(cleaned)}"):
        reason = f"addresses the model instead of describing the tool: {injection[0][:80]!r}"
        raise Rejected("injection", reason)
    schema, changes = parameters(cleaned)
    notes += changes
    output = result_schema(raw.output_schema, notes)
    name = tool_name(raw.name, taken)
    if name != raw.name:
        notes.append(f"shown as {name!r}")
    tool = CollectedTool(
        document=ToolSchema(name=name, description=description, parameters=schema),
        original_name=raw.name,
        output_schema=None if output is None else _cleaned(output),
        read_only=raw.read_only,
        examples=_examples(raw, schema, notes),
    )
    return tool, notes


def _examples(raw: RawTool, schema: Json, notes: list[str]) -> tuple[dict[str, Json], ...]:
    """The examples that fit the schema; the others are noted."""
    kept: list[dict[str, Json]] = []
    for example in raw.examples:
        try:
            characters(example)
        except Rejected as rejected:
            notes.append(f"an example is left out: {rejected.reason}")
            continue
        example = _cleaned(example)
        if not isinstance(example, dict) or not accepts(schema, example):
            notes.append(f"an example is left out: {canonical_json(example):.100} does not fit")
        elif example not in kept:
            kept.append(example)
    return tuple(kept)


def tool_name(original: str, taken: set[str]) -> str:
    """A valid identifier that is not taken: the original name if it is one."""
    name = re.sub(r"[^a-zA-Z0-9_-]+", "_", unicodedata.normalize("NFKD", original)).strip("_")
    name = re.sub(r"__+", "_", name) if name != original else name
    # Distinguishes names that differ only in characters that are dropped.
    digest = hashlib.sha256(original.encode("utf-8", "replace")).hexdigest()[:8]
    if not re.search("[a-zA-Z]", name):
        name = f"tool_{name}_{digest}" if name else f"tool_{digest}"
    elif not re.match("[a-zA-Z_]", name):
        name = f"tool_{name}"
    if len(name) > _LONGEST_NAME:
        name = f"{name[: _LONGEST_NAME - 9]}_{digest}"
    unique, number = name, 2
    while unique in taken:
        unique = f"{name[: _LONGEST_NAME - 5]}_{number}"
        number += 1
    assert _NAME.fullmatch(unique), unique
    return unique


# --- text -------------------------------------------------------------------------------------


def clean(text: str, longest: int) -> str:
    """Text that can be stored and shown: without control, direction and invisible characters."""
    text = _ESCAPE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = _INVISIBLE.sub("", _CONTROL.sub(" ", text))
    text = re.sub(r"[ \t]+", " ", text)
    text = re.sub(r" ?\n ?", "\n", text)
    text = re.sub(r"\n{3,}", "\n\n", text).strip()
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"


def _cleaned(value: Json) -> Json:
    """A schema with clean descriptions, and without lone surrogates in any text."""
    if isinstance(value, dict):
        return {
            str(name): clean(child, LONGEST_DESCRIPTION)
            if name in ("description", "title") and isinstance(child, str)
            else _cleaned(child)
            for name, child in value.items()
        }
    if isinstance(value, list):
        return [_cleaned(child) for child in value]
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def language(tools: Sequence[CollectedTool]) -> Language:
    """Chinese if a tenth of the descriptions' letters is, else English."""
    text = "".join(tool.document.description for tool in tools)
    letters = sum(map(str.isalpha, text))
    return "zh" if letters and len(_CHINESE.findall(text)) / letters > 0.1 else "en"
