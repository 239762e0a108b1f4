"""From a file to the servers it names. Its kind follows from the content, not from the name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from astra.configs.spelling import option_name
from astra.core.documents import read_document
from astra.core.openapi.operations import is_openapi
from astra.errors import ConfigError, Rejected
from astra.hosts.mcp_entries import section
from astra.trajectories.collect.drafts import DraftServer, RawServer
from astra.trajectories.collect.function_lists import (
    astra_server,
    function_server,
    functions_of,
    is_astra_row,
)
from astra.trajectories.collect.function_shapes import is_function
from astra.trajectories.collect.openapi import openapi_server
from astra.trajectories.records import Connection
from astra.types import Json

MOST_BYTES = 64 * 2**20
"""Of a JSON or YAML document, where nothing else is said."""
MOST_LINE_BYTES = 32 * 2**20
"""Of a row of a JSONL file."""
MOST_ENTRY_BYTES = 4 * 2**20
"""Of an `mcpServers` file."""

_SUFFIXES = (".json", ".jsonl", ".yaml", ".yml")
_OVERRIDES = ("name", "description", "domain")


def source_files(sources: Sequence[Path]) -> list[Path]:
    """The files of the sources, those of a folder ordered by name. Raises ConfigError."""
    paths: list[Path] = []
    for source in sources:
        if source.is_dir():
            inside = sorted(p for p in source.iterdir() if p.suffix in _SUFFIXES and p.is_file())
            if not inside:
                raise ConfigError(f"{str(source)!r} holds no {', '.join(_SUFFIXES)} files")
            paths += inside
        elif source.is_file():
            paths.append(source)
        else:
            raise ConfigError(f"there is no file or folder {str(source)!r}: correct the path")
    return paths


def source_digest(path: Path) -> str:
    """Identifies a source's content in `config.toml`."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    try:
        small = path.stat().st_size < MOST_ENTRY_BYTES
        entries = section(json.loads(path.read_bytes())) if small else None
    except (ValueError, RecursionError):
        entries = None
    if entries is not None:
        # The names of the entries only: their content holds keys, and keys change.
        digest = hashlib.sha256(json.dumps(sorted(entries)).encode())
    return digest.hexdigest()[:16]


def all_drafts(paths: Iterable[Path], *, most_bytes: int = MOST_BYTES) -> Iterator[DraftServer]:
    """The servers of all files. A file that can't be read is one rejected draft, check `file`."""
    for path in paths:
        try:
            yield from drafts(path, most_bytes=most_bytes)
        except ConfigError as error:
            yield DraftServer(f"{path.name}#{path.stem}", Rejected("file", str(error)))


def drafts(path: Path, *, most_bytes: int = MOST_BYTES) -> Iterator[DraftServer]:
    """The servers of a file, in its order. Raises ConfigError for a file of no known kind."""
    with path.open("rb") as file:
        first, second = (file.readline(MOST_LINE_BYTES + 1) for _ in range(2))
    if is_object_line(first) and (is_object_line(second) or path.suffix == ".jsonl"):
        yield from _jsonl_drafts(path)
        return
    remedy = f"the {most_bytes // 2**20} of {option_name('max_document_mib')}: raise it"
    value = read_document(path, most_bytes, remedy=remedy)
    if (entries := section(value)) is not None:
        for name, entry in entries.items():
            overrides = {k: v for k in _OVERRIDES if isinstance(v := entry.get(k), str)}
            connection = Connection(file=str(path.resolve()), entry=name)
            yield DraftServer(f"{path.name}#{name}", connection, overrides)
    elif is_openapi(value):
        yield _draft(path, "", partial(openapi_server, value, path.stem))
    elif isinstance(value, list) and any(map(is_astra_row, value)):
        for number, row in enumerate(value, start=1):
            yield _draft(path, f"row {number}", partial(astra_server, row))
    elif is_astra_row(value):
        yield _draft(path, "row 1", partial(astra_server, value))
    elif functions_of(value) is not None:
        yield _draft(path, "", partial(function_server, value, path.stem))
    elif isinstance(value, list) and any(functions_of(row) is not None for row in value):
        # A data set: each row holds the functions of one task.
        for number, row in enumerate(value, start=1):
            yield _draft(path, f"row {number}", partial(function_server, row, path.stem))
    else:
        if isinstance(value, dict):
            content = f"the keys {sorted(map(str, value))[:6]!r}"
        else:
            content = type(value).__name__ if value else "nothing"
        raise ConfigError(
            f"{str(path)!r} is of no known kind (it holds {content}): give an mcpServers file, an "
            "OpenAPI document, a list of functions, or rows of mcp_servers.jsonl"
        )


def _draft(path: Path, name: str, read: Callable[[], RawServer]) -> DraftServer:
    """What `read` gives as a draft, or the reason why it can't be read."""
    try:
        server = read()
        return DraftServer(f"{path.name}#{name or server.name}", server)
    except Rejected as rejected:
        reason = rejected
    except (RecursionError, TypeError, ValueError, KeyError, AttributeError) as error:
        # Documents are wrong in more ways than can be foreseen, and one must not end the others.
        reason = Rejected("layout", f"can't be read: {type(error).__name__}: {error!s:.200}")
    return DraftServer(f"{path.name}#{name or path.stem}", reason)


def _jsonl_drafts(path: Path) -> Iterator[DraftServer]:
    """Rows that are servers, and functions on lines of their own, which together are one server."""
    functions: list[Json] = []
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MOST_LINE_BYTES + 1):
            number += 1
            key = f"{path.name}#row {number}"
            if len(line) > MOST_LINE_BYTES:
                raise ConfigError(f"{str(path)!r}, line {number}: over {MOST_LINE_BYTES} bytes")
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                reason = f"line {number} is not JSON: {error!s:.200}"
                yield DraftServer(key, Rejected("layout", reason))
                continue
            if is_astra_row(value):
                yield _draft(path, f"row {number}", partial(astra_server, value))
            elif is_function(value):
                functions.append(value)
            elif functions_of(value) is not None:
                yield _draft(path, f"row {number}", partial(function_server, value, path.stem))
            else:
                reason = f"neither a server nor a function: {value!r:.200}"
                yield DraftServer(key, Rejected("layout", reason))
    if functions:
        yield _draft(path, "", partial(function_server, functions, path.stem))


def is_object_line(line: bytes) -> bool:
    """Whether a line holds a whole JSON object, as every line of a JSONL file does."""
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
