"""CSV and TSV files: encoding, separator, and rows of equal length, or an error with its line.

Python's csv module reads them, strictly: DuckDB's own reader refuses files whose lines end in
different ways, and takes a quote that is never closed for the rest of the file.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator

from astra.arenas.tables.load.encodings import text_encoding
from astra.arenas.tables.load.files import FileFormat, SourceFile
from astra.arenas.tables.load.headers import LOOKED_AT, find_header
from astra.arenas.tables.load.raw import (
    ColumnContent,
    LoadLimits,
    LoadSession,
    RawColumn,
    RawTable,
    check_repeated,
    check_width,
)
from astra.errors import TableError

_CHUNK = 1 << 20
_NUMERIC = re.compile(r"[-+]?[0-9][0-9.,]*")


def read_text(file: SourceFile, session: LoadSession) -> list[RawTable]:
    """Read a CSV or TSV file into one raw table.

    Raises TableError naming file, line and column.
    """
    encoding, notes = text_encoding(file)
    try:
        with file.path.open(encoding=encoding, newline="") as stream:
            delimiter = "\t" if file.format is FileFormat.tsv else _delimiter(stream.read(_CHUNK))
            stream.seek(0)
            records = _records(stream, file.shown, delimiter)
            head = list(itertools.islice(records, LOOKED_AT))
            place = find_header(head, file.shown)
            notes += place.notes
            records = itertools.chain(head[place.skip :], records)
            header = _header(next(records, None), file.shown, session.limits)
            columns = tuple(RawColumn(name, ColumnContent.anything) for name in header)
            empty: list[int] = []
            full = _rows(records, len(header), file.shown, delimiter, empty)
            relation, count = session.table_of_rows(file.shown, columns, full)
            if empty:
                notes.append(
                    f"{len(empty)} rows without any value left out, first: line {empty[0]}"
                )
    except UnicodeError as error:
        raise TableError(f"{file.shown}: not valid {encoding} ({error}); save as UTF-8") from error
    except OSError as error:
        raise TableError(f"{file.shown}: can't be read ({error}); check the file") from error
    raw = RawTable(
        relation=relation,
        name=file.path.stem,
        path=file.path,
        source=file.shown,
        columns=columns,
        rows=count,
        first_row=2 + place.skip,
        # Semicolons separate where commas mark decimals: spreadsheets set to German, French, …
        # Tabs say nothing.
        decimal_comma={";": True, ",": False}.get(delimiter),
        notes=tuple(notes),
    )
    return [raw]


# --- records ---------------------------------------------------------------------------------


def _records(stream: Iterator[str], shown: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The line on which a record starts, and the record; blank lines are skipped."""
    reader = csv.reader(stream, delimiter=delimiter, strict=True)
    line = 1
    try:
        for record in reader:
            if record:
                yield line, record
            # After the record: one with line breaks in quotes ends further down than it begins.
            line = reader.line_num + 1
    except csv.Error as error:
        raise TableError(
            f"{shown}: line {line}: {error}; close the quotes of this record, "
            'double quotes inside quotes (""), and shorten very long cells'
        ) from error


def _header(first: tuple[int, list[str]] | None, shown: str, limits: LoadLimits) -> list[str]:
    """The column names, checked."""
    if first is None:
        raise TableError(f"{shown}: is empty; write the column names in line 1")
    check_width(shown, len(first[1]), limits)
    header = [" ".join(name.split()) for name in first[1]]
    check_repeated(shown, header)
    named = [name for name in header if name]
    if all(_NUMERIC.fullmatch(name) for name in named):
        raise TableError(
            f"{shown}: line 1 holds {', '.join(named[:3])!r}, not column names; "
            "write a header line above the data"
        )
    return header


def _rows(
    records: Iterator[tuple[int, list[str]]],
    width: int,
    shown: str,
    delimiter: str,
    empty: list[int],
) -> Iterator[list[str]]:
    """Records of the right length. Lines of those that hold nothing go to `empty` instead:
    spreadsheets leave them below the data, where they would count as rows."""
    for line, record in records:
        if len(record) != width:
            raise TableError(
                f"{shown}: line {line}, column {min(len(record), width) + 1}: "
                f"{len(record)} values where the header has {width} columns; "
                f"quote values that hold {delimiter!r}, or fill in what is missing"
            )
        if any(record):
            yield record
        else:
            empty.append(line)


def _delimiter(sample: str) -> str:
    """The separator that cuts the first records most often and equally; a comma in doubt."""
    best, most = ",", (False, False, 1)
    for candidate in (",", ";", "\t", "|"):
        widths: list[int] = []
        try:
            reader = csv.reader(io.StringIO(sample, newline=""), delimiter=candidate)
            widths = [len(record) for record in itertools.islice(reader, LOOKED_AT) if record]
        except csv.Error:
            continue
        # A preamble above the column names is narrower than they are. So is a header for another
        # separator than its own, where the values hold that one: `amount`, then `1,200`.
        all_lines = len(widths)
        while len(widths) > 2 and widths[0] < 3 and 2 * widths[0] <= max(widths):
            del widths[0]
        if widths and widths[0] > 1:
            score = (len(set(widths)) == 1, len(widths) == all_lines, widths[0])
            if score > most:
                best, most = candidate, score
    return best
