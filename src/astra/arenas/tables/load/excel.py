"""Excel and OpenDocument workbooks, read by calamine: every sheet is a table.

Formulas are read as the values that they had when the file was saved; nothing in a file is run.
"""

from __future__ import annotations

import datetime
import zipfile
from collections.abc import Iterable, Iterator, Sequence

import python_calamine

from astra.arenas.tables.load.files import SourceFile
from astra.arenas.tables.load.headers import LOOKED_AT, find_header
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


def read_excel(file: SourceFile, session: LoadSession) -> list[RawTable]:
    """Read every sheet that holds rows into a raw table.

    Raises TableError naming file, sheet and row.
    """
    try:
        with zipfile.ZipFile(file.path) as packed:
            size = sum(entry.file_size for entry in packed.infolist())
    except (zipfile.BadZipFile, OSError) as error:
        raise TableError(
            f"{file.shown}: is not an Excel workbook ({error}); save it anew, or as CSV"
        ) from error
    # A workbook is read whole, and XML takes about four times the room of JSON.
    if size > 4 * session.limits.json_bytes:
        raise TableError(
            f"{file.shown}: unpacks to {size} bytes, more than {4 * session.limits.json_bytes}; "
            "save its sheets as CSV"
        )
    tables: list[RawTable] = []
    try:
        with python_calamine.CalamineWorkbook.from_path(str(file.path)) as book:
            for name in book.sheet_names:
                rows = book.get_sheet_by_name(name).to_python()
                if raw := _sheet(file, name, [list(map(_value, row)) for row in rows], session):
                    tables.append(raw)
    except python_calamine.CalamineError as error:
        raise TableError(
            f"{file.shown}: can't be read as a workbook ({error}); save its sheets as CSV"
        ) from error
    if not tables:
        raise TableError(f"{file.shown}: holds no sheet with rows; save a table into it")
    return tables


def _value(cell: object) -> Json:
    """A cell as JSON has it. Empty ones are None, and whole numbers integers."""
    match cell:
        case None | "":
            return None
        case bool() | int() | str():
            return cell
        case float():
            return int(cell) if cell.is_integer() and abs(cell) < 2**53 else cell
        case datetime.datetime() | datetime.date():
            return cell.isoformat()[:10]
        case _:
            # Times of day and durations.
            return str(cell)


def _sheet(
    file: SourceFile, name: str, rows: Sequence[Sequence[Json]], session: LoadSession
) -> RawTable | None:
    """A sheet as a raw table. None if it holds nothing."""
    source = f"{file.shown} ({name})"
    numbered = [(n, row) for n, row in enumerate(rows, start=1) if any(v is not None for v in row)]
    if not numbered:
        return None
    head = [(n, ["" if v is None else str(v) for v in row]) for n, row in numbered[:LOOKED_AT]]
    place = find_header(head, source)
    line, header = head[place.skip]
    check_width(source, len(header), session.limits)
    names = [" ".join(text.split()) for text in header]
    check_repeated(source, names)
    data = [row for _, row in numbered[place.skip + 1 :]]
    kinds = [{value_kind(value) for value in values} for values in _columns(data, len(names))]
    columns = tuple(column_of(name, kind) for name, kind in zip(names, kinds, strict=True))
    records = (cells(columns, row) for row in data)
    relation, count = session.table_of_rows(source, columns, records)
    return RawTable(
        relation=relation,
        name=name if len(rows) and not name.lower().startswith("sheet") else file.path.stem,
        path=file.path,
        source=source,
        columns=columns,
        rows=count,
        first_row=line + 1,
        notes=tuple(place.notes),
    )


def _columns(rows: Iterable[Sequence[Json]], width: int) -> Iterator[list[Json]]:
    rows = list(rows)
    return ([row[position] for row in rows] for position in range(width))
