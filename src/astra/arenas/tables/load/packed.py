"""Compressed files, and folders whose tables are cut into parts by the values of columns."""

from __future__ import annotations

import dataclasses
import gzip
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

from astra.arenas.tables.load.files import SourceFile, find
from astra.arenas.tables.load.raw import ColumnContent, LoadSession, RawColumn, RawTable
from astra.arenas.tables.sql import literal
from astra.errors import TableError

_CHUNK = 1 << 20
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
_MOST_PARTS = 10_000


def unpacked(file: SourceFile, session: LoadSession) -> SourceFile:
    """The uncompressed file, in the folder of temporary files."""
    folder = session.folder / session.fresh()
    folder.mkdir()
    path, size = folder / file.path.stem, 0
    try:
        with gzip.open(file.path) as source, path.open("wb") as target:
            while chunk := source.read(_CHUNK):
                size += len(chunk)
                if size > session.limits.text_bytes:
                    raise TableError(
                        f"{file.shown}: unpacks to more than {session.limits.text_bytes} bytes; "
                        "give a smaller table"
                    )
                target.write(chunk)
    except (OSError, EOFError, zlib.error) as error:
        raise TableError(
            f"{file.shown}: can't be unpacked ({error}); unpack it with gunzip, and give the file"
        ) from error
    return dataclasses.replace(file, path=path, packed=False)


def read_parts(
    file: SourceFile,
    session: LoadSession,
    read: Callable[[SourceFile, LoadSession], list[RawTable]],
) -> list[RawTable]:
    """One raw table of a folder like `sales/year=2020/month=1/part.csv`; `read` reads a part."""
    parts: list[tuple[RawTable, dict[str, str]]] = []
    for folder, inside, names in os.walk(file.path):
        inside.sort()
        here = Path(folder).relative_to(file.path)
        values = dict(part.split("=", 1) for part in here.parts if "=" in part)
        if len(values) != len(here.parts):
            raise TableError(
                f"{file.shown}: {str(here)!r} is not called NAME=VALUE like the folders beside "
                "it; move it away"
            )
        for name in sorted(names):
            # Spark leaves `_SUCCESS` and checksums beside the parts.
            if name.startswith((".", "_")):
                continue
            for part in find([Path(folder) / name], within=file.path).files:
                parts += [(raw, values) for raw in read(part, session)]
                if len(parts) > _MOST_PARTS:
                    raise TableError(f"{file.shown}: more than {_MOST_PARTS} parts; give fewer")
    if not parts:
        raise TableError(f"{file.shown}: holds no tables in its folders; add some")
    (first, keys), *others = parts
    for raw, values in others:
        if list(values) != list(keys) or [c.original for c in raw.columns] != [
            c.original for c in first.columns
        ]:
            raise TableError(
                f"{raw.source}: has other columns than {first.source}; give parts of one table the "
                "same ones, in the same order"
            )
    columns: list[RawColumn] = []
    for same in zip(*(raw.columns for raw, _ in parts), strict=True):
        # Parts whose types differ meet as texts.
        holds = same[0].holds if len({c.holds for c in same}) == 1 else ColumnContent.anything
        typed = holds is same[0].holds and all(column.typed for column in same)
        columns.append(RawColumn(same[0].original, holds, typed))
    columns += [RawColumn(unquote(key), ColumnContent.anything) for key in keys]
    relation = session.fresh()
    for number, (raw, values) in enumerate(parts):
        cells = [
            f"c{n}" if column.typed else f"CAST(c{n} AS VARCHAR) AS c{n}"
            for n, column in enumerate(columns[: len(raw.columns)])
        ]
        for n, value in enumerate(values.values(), start=len(cells)):
            text = "NULL" if value == _NO_VALUE else literal(unquote(value))
            cells.append(f"CAST({text} AS VARCHAR) AS c{n}")
        what = f"CREATE TABLE {relation} AS" if number == 0 else f"INSERT INTO {relation}"
        session.connection.execute(f"{what} SELECT {', '.join(cells)} FROM {raw.relation}")
        session.connection.execute(f"DROP TABLE {raw.relation}")
    return [
        RawTable(
            relation=relation,
            name=file.path.name,
            path=file.path,
            source=file.shown,
            columns=tuple(columns),
            rows=session.count(relation),
            decimal_comma=first.decimal_comma,
            notes=tuple(dict.fromkeys(note for raw, _ in parts for note in raw.notes)),
        )
    ]
