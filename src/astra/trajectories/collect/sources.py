"""From a file to the services it speaks of. Its kind is seen from what it holds, not its name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from astra.errors import ConfigError, Rejected
from astra.hosts.mcp_entries import section
from astra.trajectories.collect.drafts import DraftServer, RawServer, draft_key
from astra.trajectories.collect.function_lists import (
    astra_server,
    function_server,
    functions_of,
    is_astra_row,
    is_function,
)
from astra.trajectories.collect.openapi import is_openapi, openapi_server
from astra.trajectories.collect.yaml_text import parse_yaml
from astra.trajectories.records import Connection
from astra.types import Json

LARGEST = 64 * 2**20
"""Bytes of a document."""
LONGEST_LINE = 32 * 2**20
"""Bytes of a row of a JSONL file."""

_SUFFIXES = (".json", ".jsonl", ".yaml", ".yml")
_GIVEN = ("name", "description", "domain")


class SourceItem(NamedTuple):
    """A source as it is named in `config.toml`."""

    path: Path
    digest: str
    """Of its content; of an `mcpServers` file, which holds keys, of the names of its entries."""


def source_files(sources: Sequence[Path]) -> list[Path]:
    """The files of the sources, those of a folder in the order of their names; ConfigError."""
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


def source_digest(path: Path) -> SourceItem:
    """A source with a digest that tells whether it is still the same."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        entries = section(json.loads(path.read_bytes())) if path.stat().st_size < 2**22 else None
    except (ValueError, RecursionError):
        entries = None
    if entries is not None:
        digest = hashlib.sha256(json.dumps(sorted(entries)).encode()).hexdigest()
    return SourceItem(path, digest[:16])


def all_drafts(paths: Iterable[Path]) -> Iterator[DraftServer]:
    """The services of all files. A file that can't be read is set aside, by check `file`."""
    for path in paths:
        try:
            yield from drafts(path)
        except ConfigError as error:
            yield DraftServer(draft_key(path.name, path.stem), Rejected("file", str(error)))


def drafts(path: Path) -> Iterator[DraftServer]:
    """The services of a file, in its order; ConfigError when it is of no known kind."""
    value = _parsed(path)
    if isinstance(value, _Lines):
        yield from _of_lines(path)
        return
    if (entries := section(value)) is not None:
        yield from _of_entries(path, entries)
    elif is_openapi(value):
        yield _draft(path, "", partial(openapi_server, value, path.stem))
    elif isinstance(value, list) and any(map(is_astra_row, value)):
        yield from _of_rows(path, enumerate(value, start=1))
    elif is_astra_row(value):
        yield from _of_rows(path, [(1, value)])
    elif functions_of(value) is not None:
        yield _draft(path, "", partial(function_server, value, path.stem))
    else:
        raise _unknown(path, value)


def _unknown(path: Path, value: Json) -> ConfigError:
    if isinstance(value, dict):
        has = f"the keys {sorted(map(str, value))[:6]!r}"
    else:
        has = type(value).__name__ if value else "nothing"
    return ConfigError(
        f"{str(path)!r} is of no known kind (it holds {has}): give an mcpServers file, an OpenAPI "
        "3 document, a list of functions, or rows of mcp_servers.jsonl"
    )


def _draft(path: Path, name: str, make: Callable[[], RawServer]) -> DraftServer:
    """A draft from a function that makes its server, or from why it can't."""
    try:
        server = make()
        return DraftServer(draft_key(path.name, name or server.name), server)
    except Rejected as rejected:
        return DraftServer(draft_key(path.name, name or path.stem), rejected)
    except (RecursionError, TypeError, ValueError, KeyError, AttributeError) as error:
        # Documents are wrong in more ways than can be foreseen; one must not take the rest along.
        reason = Rejected("layout", f"can't be read: {type(error).__name__}: {error!s:.200}")
        return DraftServer(draft_key(path.name, name or path.stem), reason)


def _of_entries(path: Path, entries: Mapping[str, Json]) -> Iterator[DraftServer]:
    for name, entry in entries.items():
        given = {k: v for k in _GIVEN if isinstance(v := entry.get(k), str)}
        connection = Connection(file=str(path.resolve()), entry=name)
        yield DraftServer(draft_key(path.name, name), connection, given)


def _of_rows(path: Path, rows: Iterable[tuple[int, Json]]) -> Iterator[DraftServer]:
    for number, row in rows:
        yield _draft(path, f"row {number}", partial(astra_server, row))


def _of_lines(path: Path) -> Iterator[DraftServer]:
    """Rows of servers, or functions that together are one server."""
    functions: list[Json] = []
    for number, value in _lines(path):
        if isinstance(value, Rejected):
            yield DraftServer(draft_key(path.name, f"row {number}"), value)
        elif is_astra_row(value):
            yield from _of_rows(path, [(number, value)])
        elif functions_of(value) is not None and not is_function(value):
            yield _draft(path, f"row {number}", partial(function_server, value, path.stem))
        elif is_function(value):
            functions.append(value)
        else:
            reason = Rejected("layout", f"neither a server nor a function: {value!r:.200}")
            yield DraftServer(draft_key(path.name, f"row {number}"), reason)
    if functions:
        yield _draft(path, "", partial(function_server, functions, path.stem))


# --- files ------------------------------------------------------------------------------------


class _Lines:
    """Stands for a JSONL file, which is read line by line."""


def _parsed(path: Path) -> Json:
    """The value of a JSON or YAML document, or `_Lines`; ConfigError when it is neither."""
    with path.open("rb") as file:
        first = file.readline(LONGEST_LINE + 1)
        second = file.readline(LONGEST_LINE + 1)
    if _is_object(first) and (_is_object(second) or path.suffix == ".jsonl"):
        return _Lines()
    if path.stat().st_size > LARGEST:
        raise ConfigError(f"{str(path)!r} is over {LARGEST} bytes: split it, or give JSONL")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{str(path)!r} is no UTF-8 text: save it as such") from error
    if text.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            if path.suffix in (".json", ".jsonl"):
                raise ConfigError(f"{str(path)!r} is no JSON ({error}): mend it") from error
    try:
        return parse_yaml(text)
    except Rejected as rejected:
        raise ConfigError(f"{str(path)!r}: {rejected.reason}") from rejected


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _lines(path: Path) -> Iterator[tuple[int, Json]]:
    """(number, value) of each line; a Rejected for one that is no JSON."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LONGEST_LINE + 1):
            number += 1
            if len(line) > LONGEST_LINE:
                raise ConfigError(f"{str(path)!r}, line {number}: over {LONGEST_LINE} bytes")
            if not line.strip():
                continue
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                yield number, Rejected("layout", f"line {number} is no JSON: {error!s:.200}")
