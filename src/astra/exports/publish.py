"""Writes published arenas: the arenas, their rows, a reader's own files, and a manifest of hashes.

The same arenas and reader give the same bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

from astra.arenas.certificates import Certificate
from astra.arenas.folder import write_arenas
from astra.arenas.sets import ArenaSet
from astra.core.files import replace_folder, temporary_folder, write_file
from astra.errors import ConfigError, StoreError
from astra.exports.published import (
    ARENAS,
    MANIFEST,
    ROWS,
    LeftOut,
    PublishedManifest,
    file_digest,
)
from astra.hosts.arena import arena_messages, shown_tools
from astra.runs.folder import RunFolder
from astra.types import Arena, Json

TEMPLATES = Path(__file__).parent / "templates"


class ExportContents(NamedTuple):
    """What a reader's files are made from."""

    rows: Mapping[str, Sequence[dict[str, Json]]]
    """Split -> its rows, none of them empty."""
    certificates: Mapping[str, Certificate | None]
    """By the id of the arena. None: without one."""
    languages: Mapping[str, int]
    stateful: int
    """Arenas whose tools change a database."""
    conversations: int
    """Arenas in which a user answers."""
    license: str
    """Of the data, for a data card."""


@dataclass(frozen=True)
class ExportFormat:
    """One reader of published arenas."""

    title: str
    """Its name and version, for people."""
    files: Callable[[ExportContents], Mapping[str, bytes]]
    """Its own files, by their path in the folder; README.md among them."""
    refuses: Callable[[Arena], str] = lambda _: ""
    """Why it can't play an arena. Empty if it can."""
    loses: frozenset[str] = frozenset()
    """Keywords of JSON Schema that it doesn't show to a model."""


class ExportedFolder(NamedTuple):
    """What an export wrote, and what it could not."""

    path: Path
    arenas: int
    left_out: tuple[LeftOut, ...]
    lost_keywords: dict[str, int]
    """Schema keyword that the reader doesn't show to a model -> tools that use it."""


def publish(
    arenas: ArenaSet,
    out: Path,
    name: str,
    reader: ExportFormat,
    *,
    uncertified: bool = False,
    license: str = "other",
) -> ExportedFolder:
    """Write the arenas that a reader can play to a folder, replacing what was there.

    `uncertified`: the arenas may be without certificates, and are read so. Raises ConfigError if
    the reader can play none of them, or if the folder holds something else.
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / ROWS).is_dir()):
        raise ConfigError(f"{str(out)!r} is not a folder of published arenas: choose another")
    reasons = [reader.refuses(arena) for arena in arenas]
    left_out = tuple(
        LeftOut(reason=reason, count=count)
        for reason, count in sorted(Counter(filter(None, reasons)).items())
    )
    played = [arena for arena, reason in zip(arenas, reasons, strict=True) if not reason]
    if not played:
        told = "; ".join(f"{each.count}: {each.reason}" for each in left_out)
        raise ConfigError(f"{reader.title} can play none of these arenas ({told}): choose others")
    rows = [_row(arena) for arena in played]
    certificates = {arena.id: _certificate(arenas, arena) for arena in played}
    contents = ExportContents(
        rows={
            split: some
            for split in ("train", "test")
            if (some := [row for row in rows if row["split"] == split])
        },
        certificates=certificates,
        languages=Counter(arena.language for arena in played),
        stateful=sum(arena.state is not None for arena in played),
        conversations=sum(arena.state is not None and bool(arena.state.turns) for arena in played),
        license=license,
    )
    lost = Counter(
        keyword
        for row in rows
        for tool in row["tools"]
        for keyword in reader.loses & set(keywords_of(tool["function"]["parameters"]))
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(out.parent) as folder:
        # Without the options of the run: paths and addresses of whoever made it.
        run = RunFolder.create(folder / ARENAS, {})
        write_arenas(run, played, {}, filter(None, certificates.values()))
        files = dict(reader.files(contents))
        for split, some in contents.rows.items():
            files[f"{ROWS}/{split}.jsonl"] = b"".join(map(json_line, some))
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            write_file(folder / path, content)
        (folder / ARENAS / ".lock").unlink(missing_ok=True)
        manifest = PublishedManifest(
            reader=name,
            version=version("astra-arenas"),
            arenas=len(played),
            uncertified=uncertified,
            left_out=left_out,
            lost_keywords=dict(sorted(lost.items())),
            files={
                path.relative_to(folder).as_posix(): file_digest(path)
                for path in sorted(folder.rglob("*"))
                if path.is_file()
            },
        )
        text = json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False)
        write_file(folder / MANIFEST, text.encode() + b"\n")
        folder.chmod(0o755)  # a temporary folder is nobody else's
        replace_folder(folder, out)
    return ExportedFolder(out, len(played), left_out, manifest.lost_keywords)


def template(name: str, **values: object) -> bytes:
    """A file of `exports/templates` with `$name` replaced by values."""
    text = (TEMPLATES / name).read_text("utf-8")
    return Template(text).substitute(values).encode() if values else text.encode()


def json_line(row: Mapping[str, Json]) -> bytes:
    """A row as a line of JSONL."""
    return json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def keywords_of(schema: Json) -> Iterator[str]:
    """The keywords that a JSON Schema and its parts use, without names of properties."""
    if isinstance(schema, list):
        for part in schema:
            yield from keywords_of(part)
    if not isinstance(schema, dict):
        return
    for keyword, value in schema.items():
        yield keyword
        if keyword in ("properties", "$defs", "definitions", "patternProperties"):
            for part in value.values() if isinstance(value, dict) else ():
                yield from keywords_of(part)
        elif keyword not in ("enum", "const", "default", "examples", "required"):
            yield from keywords_of(value)


def _row(arena: Arena) -> dict[str, Any]:
    """What an agent may see of an arena at the start, and its id."""
    return {
        "id": arena.id,
        "split": arena.split,
        "language": arena.language,
        "messages": [
            {"role": message.role, "content": message.content} for message in arena_messages(arena)
        ],
        "tools": [document.openai() for document in shown_tools(arena)],
    }


def _certificate(arenas: ArenaSet, arena: Arena) -> Certificate | None:
    try:
        return arenas.certificate(arena)
    except StoreError:
        return None
