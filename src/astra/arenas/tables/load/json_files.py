"""JSON files: a list of objects, columns as lists, objects by key, or one object per line.

Python's json reads them: DuckDB's reader turns integers beyond 64 bits into rounded numbers and
texts that look like dates or UUIDs into those, and lets a comma before a bracket pass.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import cast

from astra.arenas.tables.load.encodings import text_encoding
from astra.arenas.tables.load.files import FileFormat, SourceFile
from astra.arenas.tables.load.raw import (
    LoadSession,
    RawTable,
    cells,
    check_repeated,
    check_width,
    column_of,
    value_kind,
)
from astra.errors import TableError
from astra.types import Json

_SHAPES = (
    "write a list of objects ([{...}, {...}]), one object per line, "
    'or one list per column ({"name": [...], ...})'
)
Rows = Sequence[Mapping[str, Json]]


def read_json(file: SourceFile, session: LoadSession) -> list[RawTable]:
    """Read a JSON or JSON-lines file into raw tables.

    Nested values stay as JSON text in columns that are never asked about.
    Raises TableError naming file and line.
    """
    try:
        encoding, notes = text_encoding(file)
        encoding = "utf-8-sig" if encoding == "utf-8" else encoding
        if file.format is FileFormat.lines:
            return [_table(file, "", lambda: _lines(file, encoding, session), notes, session)]
        size = file.path.stat().st_size
        if size > session.limits.json_bytes:
            raise TableError(
                f"{file.shown}: {size} bytes, but a JSON document is read whole up to "
                f"{session.limits.json_bytes}; write one object per line into a .jsonl file"
            )
        try:
            text = file.path.read_text(encoding=encoding)
        except UnicodeError as error:
            raise TableError(
                f"{file.shown}: not valid {encoding} ({error}); save as UTF-8"
            ) from error
        tables = _tables(_parse(text, file.shown), file)
    except OSError as error:
        raise TableError(f"{file.shown}: can't be read ({error}); check the file") from error
    alone = len(tables) == 1
    return [
        _table(file, "" if alone else name, lambda rows=rows: rows, notes, session)
        for name, rows in tables.items()
    ]


# --- reading ---------------------------------------------------------------------------------


def _parse(text: str, shown: str, line: int = 1) -> Json:
    """The JSON value of a text that starts on `line`. NaN and infinities become null."""
    try:
        # Python writes NaN and Infinity, which JSON does not have: no value in a table.
        return json.loads(text, parse_constant=lambda _: None)
    except json.JSONDecodeError as error:
        raise TableError(
            f"{shown}: line {line + error.lineno - 1}, column {error.colno}: {error.msg}; "
            "correct it there (lines of JSON belong into a .jsonl file)"
        ) from error
    except RecursionError:
        raise TableError(f"{shown}: line {line}: nested too deeply; {_SHAPES}") from None
    except ValueError as error:
        # Python refuses integers of more than 4300 digits, whose conversion takes quadratic time.
        raise TableError(
            f"{shown}: line {line}: a number with too many digits; quote it"
        ) from error


def _lines(file: SourceFile, encoding: str, session: LoadSession) -> Iterator[Mapping[str, Json]]:
    shown, longest = file.shown, 4 * session.limits.row
    try:
        with file.path.open(encoding=encoding) as stream:
            number = 0
            while line := stream.readline(longest):
                number += 1
                if len(line) == longest:
                    raise TableError(f"{shown}: line {number} is too long; shorten its texts")
                if not line.strip():
                    continue
                value = _parse(line.strip(), shown, number)
                if not isinstance(value, dict):
                    raise TableError(f"{shown}: line {number} is not an object; {_SHAPES}")
                yield value
    except UnicodeError as error:
        raise TableError(f"{shown}: not valid {encoding} ({error}); save as UTF-8") from error


# --- shapes ----------------------------------------------------------------------------------


def _tables(value: Json, file: SourceFile) -> dict[str, Rows]:
    """The tables in a JSON document, by name."""
    if isinstance(value, list):
        return {file.path.stem: _objects(value, file.shown)}
    if not isinstance(value, dict) or not value:
        raise TableError(f"{file.shown}: holds no table; {_SHAPES}")
    entries = cast("dict[str, Json]", value)
    parts = list(entries.values())
    if all(isinstance(part, list) for part in parts):
        if all(_is_rows(part) for part in parts):
            return {name: _objects(part, file.shown) for name, part in entries.items()}
        lengths = {len(part) for part in parts}
        if len(lengths) != 1:
            raise TableError(
                f"{file.shown}: the columns' lists have different lengths {sorted(lengths)}"
            )
        rows = [dict(zip(entries, row, strict=True)) for row in zip(*parts, strict=True)]
        return {file.path.stem: rows}
    if all(isinstance(part, dict) for part in parts):
        if any("key" in part for part in parts):
            raise TableError(f"{file.shown}: objects by key that hold a 'key' too; {_SHAPES}")
        return {file.path.stem: [{"key": name, **part} for name, part in entries.items()]}
    if inner := {name: part for name, part in entries.items() if _is_rows(part) and part}:
        return {name: _objects(part, file.shown) for name, part in inner.items()}
    raise TableError(f"{file.shown}: holds no table; {_SHAPES}")


def _is_rows(value: Json) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _objects(values: Iterable[Json], shown: str) -> Rows:
    rows = list(values)
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise TableError(f"{shown}: item {number} of the list is not an object; {_SHAPES}")
    return cast("Rows", rows)


# --- raw tables ------------------------------------------------------------------------------


def _table(
    file: SourceFile,
    name: str,
    rows: Callable[[], Iterable[Mapping[str, Json]]],
    notes: Sequence[str],
    session: LoadSession,
) -> RawTable:
    """Two passes: the columns with what they hold, then the rows."""
    source = f"{file.shown} ({name})" if name else file.shown
    kinds: dict[str, set[str]] = {}
    for row in rows():
        for key, value in row.items():
            kinds.setdefault(key, set()).add(value_kind(value))
        check_width(source, len(kinds), session.limits)
    if not kinds:
        raise TableError(f"{source}: holds no rows with columns; {_SHAPES}")
    check_repeated(source, list(kinds))
    columns = tuple(column_of(key, values) for key, values in kinds.items())
    records = (cells(columns, map(row.get, kinds)) for row in rows())
    relation, count = session.table_of_rows(source, columns, records)
    return RawTable(
        relation=relation,
        name=name or file.path.stem,
        path=file.path,
        source=source,
        columns=columns,
        rows=count,
        notes=tuple(notes),
    )
