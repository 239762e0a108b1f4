"""CSV and TSV files: encoding, separator, and rows of equal length, or an error with its line.

Python's csv module reads them, strictly; DuckDB's own reader names its errors less exactly and
drops a trailing empty column in silence.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from astra.arenas.tables.load.files import FileFormat, SourceFile
from astra.arenas.tables.load.raw import (
    ColumnContent,
    LoadLimits,
    LoadSession,
    RawColumn,
    RawTable,
    bounded_rows,
    check_repeated,
    check_width,
)
from astra.errors import TableError

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHUNK = 1 << 20
_NUMERIC = re.compile(r"[-+]?[0-9][0-9.,]*")
_HIGH_BYTES = re.compile(rb"[\x80-\xff]+")


def read_text(file: SourceFile, session: LoadSession) -> RawTable:
    """Read a CSV or TSV file into a raw table.

    Raises TableError naming file, line and column.
    """
    encoding, notes = text_encoding(file)
    try:
        with file.path.open(encoding=encoding, newline="") as stream:
            delimiter = "\t" if file.format is FileFormat.tsv else _delimiter(stream.read(_CHUNK))
            stream.seek(0)
            records = _records(stream, file.shown, delimiter)
            header = _header(next(records, None), file.shown, session.limits)
            empty: list[int] = []
            full = _rows(records, len(header), file.shown, delimiter, empty)
            rows = bounded_rows(file.shown, full, session.limits)
            relation, count = session.table_of_rows(len(header), rows)
            if empty:
                notes.append(
                    f"{len(empty)} rows without any value left out, first: line {empty[0]}"
                )
    except UnicodeError as error:
        raise TableError(f"{file.shown}: not valid {encoding} ({error}); save as UTF-8") from error
    except OSError as error:
        raise TableError(f"{file.shown}: can't be read ({error}); check the file") from error
    return RawTable(
        relation=relation,
        name=file.path.stem,
        path=file.path,
        source=file.shown,
        columns=tuple(RawColumn(name, ColumnContent.anything) for name in header),
        rows=count,
        first_row=2,
        decimal_comma=delimiter == ";",
        notes=tuple(notes),
    )


# --- records ---------------------------------------------------------------------------------


def _records(stream: Iterator[str], shown: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The line on which a record starts, and the record; blank lines are skipped."""
    reader = csv.reader(stream, delimiter=delimiter, strict=True)
    line = 1
    try:
        for record in reader:
            if record:
                yield line, record
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
    best, most = ",", (False, 1)
    for candidate in (",", ";", "\t", "|"):
        widths: list[int] = []
        try:
            reader = csv.reader(io.StringIO(sample, newline=""), delimiter=candidate)
            widths = [len(record) for record in itertools.islice(reader, 20) if record]
        except csv.Error:
            continue
        if widths and widths[0] > 1:
            score = (len(set(widths)) == 1, widths[0])
            if score > most:
                best, most = candidate, score
    return best


# --- encoding --------------------------------------------------------------------------------


def text_encoding(file: SourceFile) -> tuple[str, list[str]]:
    """The encoding of a text file, and a note where it had to be guessed."""
    with file.path.open("rb") as stream:
        head = stream.read(4)
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            return encoding, []
    if _decodes(file.path, "utf-8"):
        return "utf-8", []
    with file.path.open("rb") as stream:
        runs = [len(run) for run in _HIGH_BYTES.findall(stream.read(_CHUNK))]
    # Bytes above 127 come in pairs in GB 18030; Western accents stand alone.
    pairs = sum(1 for length in runs if length % 2 == 0)
    chinese = bool(runs) and pairs >= 0.9 * len(runs) and _decodes(file.path, "gb18030")
    guess = "gb18030" if chinese else "cp1252"
    if not _decodes(file.path, guess):
        guess = "latin-1"
    return guess, [f"{file.shown}: not UTF-8; read as {guess}. Save it as UTF-8 if names look odd"]


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)(errors="strict")
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
