"""Published arenas: a folder that plays anywhere, with `astra-arenas` as its only need.

    arenas/          a run folder: arenas with tools, databases, goals and certificates
    rows/            train.jsonl, test.jsonl: what an agent may see (id, messages, tool documents)
    manifest.json    what was exported, and the SHA-256 of every file
    README.md        how its reader runs it; beside it the reader's own files

Playing them needs pydantic, jsonschema and google-re2. Rows, and so the traces of those who read
them, hold no goal, answer or gold call: these stand in `arenas/` alone.

What this does not guarantee: hashes find damage and careless edits. Whoever can write the folder
can write its manifest, too; `astra arenas certify FOLDER/arenas` examines the arenas themselves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from astra.arenas.sets import ArenaSet, load_arenas
from astra.core.files import read_bounded
from astra.core.untrusted import read_json
from astra.errors import ConfigError, StoreError
from astra.types import Arena, Record

ARENAS = "arenas"
ROWS = "rows"
MANIFEST = "manifest.json"
_MANIFEST_BYTES = 64 * 2**20
_BLOCK = 2**20
_ROW_CHARACTERS = 32_000_000


class LeftOut(Record):
    """Arenas that a reader can't play."""

    reason: str
    count: int


class PublishedManifest(Record):
    """`manifest.json` of a published folder."""

    format: Literal[1] = 1
    reader: str
    """Name of the export, e.g. `trl`."""
    version: str
    """Version of this package."""
    arenas: int
    uncertified: bool = False
    """Whether arenas without a good certificate were let in."""
    left_out: tuple[LeftOut, ...] = ()
    lost_keywords: dict[str, int] = {}
    """Schema keyword that the reader does not show to a model -> tools that use it."""
    files: dict[str, str]
    """Path in the folder -> SHA-256."""


class PublishedArenas:
    """The arenas of a published folder. Raises StoreError for one that was changed or damaged."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.manifest = _manifest(self.path)
        self._check_files()
        self.arenas: ArenaSet = load_arenas(
            self.path / ARENAS, uncertified=self.manifest.uncertified
        )

    def _check_files(self) -> None:
        root = self.path.resolve()
        for name, digest in self.manifest.files.items():
            path = self.path / name
            # A name or a link that leads out of the folder is nobody's export.
            inside = ".." not in Path(name).parts and path.resolve() == root / name
            if not inside or not path.is_file() or file_digest(path) != digest:
                what = "is missing" if inside and not path.exists() else "was changed"
                raise StoreError(
                    f"{str(path)!r} {what} since it was exported: restore it, or export the arenas "
                    "again"
                )
        required = {f"{ARENAS}/arenas.jsonl", f"{ARENAS}/certificates.jsonl"}
        if missing := sorted(required - self.manifest.files.keys()):
            raise StoreError(
                f"{str(self.path / MANIFEST)!r} lists no {missing[0]!r}: export the arenas again"
            )
        # Modules beside the reader's own would be imported, rows would be read.
        for path in (*self.path.glob("*.py"), *self.path.glob(f"{ARENAS}/*.jsonl")):
            if path.relative_to(self.path).as_posix() not in self.manifest.files:
                raise StoreError(f"{str(path)!r} was not exported: take it away")

    def __len__(self) -> int:
        return len(self.arenas)

    def __getitem__(self, arena_id: str) -> Arena:
        """The arena of an id. Raises StoreError if there is none."""
        if arena_id not in self.arenas:
            raise StoreError(f"{str(self.path)!r} holds no arena {arena_id!r}: read ids from rows")
        return self.arenas[arena_id]

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """The splits that have rows."""
        return tuple(s for s in ("train", "test") if f"{ROWS}/{s}.jsonl" in self.manifest.files)

    def rows(self, split: str | None = None) -> Iterator[dict[str, Any]]:
        """What an agent may see of each arena: `id`, `split`, `language`, `messages`, `tools`.

        `split` None: of all splits. Raises ConfigError for a split without rows.
        """
        if split is not None and split not in self.splits:
            raise ConfigError(
                f"split {split!r}: {str(self.path)!r} has {', '.join(self.splits) or 'no rows'}"
            )
        for name in self.splits if split is None else (split,):
            with (self.path / ROWS / f"{name}.jsonl").open("rb") as file:
                for line in file:
                    yield _object(line)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, read block by block."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _manifest(folder: Path) -> PublishedManifest:
    path = folder / MANIFEST
    if not path.is_file():
        raise StoreError(
            f"{str(folder)!r} holds no published arenas (it has no {MANIFEST}): give a folder that "
            "`astra arenas export` wrote"
        )
    try:
        text = read_bounded(path, _MANIFEST_BYTES, "export the arenas again").decode()
        return PublishedManifest.model_validate(read_json(text, most=_MANIFEST_BYTES))
    except (ValidationError, ValueError) as error:
        raise StoreError(
            f"{str(path)!r} is not the manifest of published arenas ({str(error)[:200]!r}): export "
            "the arenas again"
        ) from error


def _object(line: bytes) -> dict[str, Any]:
    value = read_json(line.decode(), most=_ROW_CHARACTERS)
    if not isinstance(value, dict):
        raise StoreError(f"a row of published arenas is not an object: {line[:80]!r}")
    return value
