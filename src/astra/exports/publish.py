"""Writes published arenas: the arenas, their rows, a reader's own files, and a manifest of hashes.

The same arenas and reader give the same bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from string import Template
from typing import Any, BinaryIO, NamedTuple, overload

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
from astra.rollouts.user_tool import USER_TOOL, has_user, user_tool_problem
from astra.runs.folder import RunFolder
from astra.types import Arena, Json

TEMPLATES = Path(__file__).parent / "templates"


@dataclass
class CertificateCounts:
    """What the certificates of published arenas say, counted while they are written."""

    certified: int = 0
    """Arenas whose certificate is good."""
    first_without: str = ""
    """Id of the first arena without a good one. Empty if all have one."""
    versions: Counter[str] = field(default_factory=Counter[str])
    passed: Counter[str] = field(default_factory=Counter[str])
    """Check id -> certificates that passed it."""

    def add(self, arena_id: str, certificate: Certificate | None) -> None:
        """Count an arena. None: without a certificate."""
        if certificate is not None:
            self.versions[certificate.version] += 1
            self.passed.update(check.check for check in certificate.checks if check.passed)
        if certificate is not None and certificate.certified:
            self.certified += 1
        elif not self.first_without:
            self.first_without = arena_id


class ExportContents(NamedTuple):
    """What a reader's files are made from."""

    rows: Mapping[str, Sequence[dict[str, Json]]]
    """Split -> its rows, none of them empty."""
    arenas: int
    certificates: CertificateCounts
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
    files: Callable[[ExportContents], Mapping[str, bytes | Iterable[bytes]]]
    """Its own files, by their path in the folder; README.md among them."""
    refuses: Callable[[Arena], str] = lambda _: ""
    """Why it can't play an arena. Empty if it can."""
    user_tool: bool = False
    """Whether the user of a conversation is reached by a tool there, for nothing else answers."""
    write_arena: Callable[[Arena, Certificate | None, Path], None] | None = None
    """Writes what it needs of a single arena into the folder. None: nothing."""
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
    out.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(out.parent) as folder:
        publication = _Publication(arenas, reader, folder)
        # Without the options of the run: paths and addresses of whoever made it.
        run = RunFolder.create(folder / ARENAS, {})
        write_arenas(run, publication.played(), (), publication.given_certificates())
        (folder / ARENAS / ".lock").unlink(missing_ok=True)
        for path, content in reader.files(publication.contents(license)).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            write_file(folder / path, content)
        manifest = PublishedManifest(
            reader=name,
            version=version("astra-arenas"),
            arenas=publication.rows.total(),
            uncertified=uncertified,
            left_out=publication.left_out(),
            lost_keywords=dict(sorted(publication.lost.items())),
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
    return ExportedFolder(out, manifest.arenas, manifest.left_out, manifest.lost_keywords)


class RowsOfSplit(Sequence[dict[str, Any]]):
    """The rows of a split, read from their file each time: they may be more than memory holds."""

    def __init__(self, path: Path, count: int) -> None:
        self._path = path
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[dict[str, Any]]:
        with self._path.open("rb") as file:
            yield from map(json.loads, file)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> Any:
        places = range(self._count)[index]
        if isinstance(places, int):
            return next(islice(self, places, None))
        return [self[place] for place in places]


class _Publication:
    """Goes through arenas once, one in memory at a time: writes rows, counts what they hold."""

    def __init__(self, arenas: ArenaSet, reader: ExportFormat, folder: Path) -> None:
        self._arenas = arenas
        self._reader = reader
        self._folder = folder
        self._refused = Counter[str]()
        self._refused_ids = set[str]()
        self.rows = Counter[str]()
        """Split -> its arenas that the reader can play."""
        self._languages = Counter[str]()
        self._kinds = Counter[str]()
        self.lost = Counter[str]()
        self._certificates = CertificateCounts()

    def played(self) -> Iterator[Arena]:
        """The arenas that the reader can play. Raises ConfigError at the end if there are none."""
        (self._folder / ROWS).mkdir()
        with ExitStack() as stack:
            files: dict[str, BinaryIO] = {}
            for arena in self._arenas:
                with_tool = self._reader.user_tool
                reason = user_tool_problem(arena) if with_tool else ""
                if reason := reason or self._reader.refuses(arena):
                    self._refused[reason] += 1
                    self._refused_ids.add(arena.id)
                    continue
                row = _row(arena, user_tool=with_tool and has_user(arena))
                if arena.split not in files:
                    files[arena.split] = stack.enter_context(self._path(arena.split).open("wb"))
                files[arena.split].write(json_line(row))
                certificate = self._certificate(arena.id)
                self._count(arena, row, certificate)
                if self._reader.write_arena is not None:
                    self._reader.write_arena(arena, certificate, self._folder)
                yield arena
        if not self.rows:
            told = "; ".join(f"{each.count}: {each.reason}" for each in self.left_out())
            raise ConfigError(
                f"{self._reader.title} can play none of these arenas ({told}): choose others"
            )

    def _certificate(self, arena_id: str) -> Certificate | None:
        try:
            return self._arenas.certificate(arena_id)
        except StoreError:
            return None

    def _count(self, arena: Arena, row: Mapping[str, Any], certificate: Certificate | None) -> None:
        self._certificates.add(arena.id, certificate)
        self.rows[arena.split] += 1
        self._languages[arena.language] += 1
        self._kinds["stateful"] += arena.state is not None
        self._kinds["conversations"] += arena.state is not None and bool(arena.state.turns)
        for tool in row["tools"]:
            used = set(keywords_of(tool["function"]["parameters"]))
            self.lost.update(self._reader.loses & used)

    def given_certificates(self) -> Iterator[Certificate]:
        """The certificates of the arenas that were played, once these are through."""
        # Read again: all of them together may be more than memory holds.
        played = (each for each in self._arenas.ids if each not in self._refused_ids)
        yield from filter(None, map(self._certificate, played))

    def left_out(self) -> tuple[LeftOut, ...]:
        return tuple(LeftOut(reason=r, count=c) for r, c in sorted(self._refused.items()))

    def contents(self, license: str) -> ExportContents:
        """What the reader's own files are made from."""
        return ExportContents(
            rows={
                split: RowsOfSplit(self._path(split), self.rows[split])
                for split in ("train", "test")
                if self.rows[split]
            },
            arenas=self.rows.total(),
            certificates=self._certificates,
            languages=self._languages,
            stateful=self._kinds["stateful"],
            conversations=self._kinds["conversations"],
            license=license,
        )

    def _path(self, split: str) -> Path:
        return self._folder / ROWS / f"{split}.jsonl"


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


def _row(arena: Arena, *, user_tool: bool) -> dict[str, Any]:
    """What an agent may see of an arena at the start, and its id."""
    tools = [*shown_tools(arena), *([USER_TOOL] if user_tool else [])]
    return {
        "id": arena.id,
        "split": arena.split,
        "language": arena.language,
        "messages": [
            {"role": message.role, "content": message.content} for message in arena_messages(arena)
        ],
        "tools": [document.openai() for document in tools],
    }
