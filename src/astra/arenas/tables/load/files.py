"""Finds the table files under a user's paths, and refuses those that must not be opened.

Folders are read one level deep, but for tables in parts (`sales/year=2020/part.csv`). Only regular
files are opened: devices, pipes and sockets are refused before anything could wait on them, and so
is a link in a folder that leads out of it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from astra.errors import TableError

OPTIONS_FILE = "tables.toml"


class FileFormat(StrEnum):
    """How a file is read; the values are for messages."""

    csv = "CSV"
    tsv = "TSV"
    json = "JSON"
    lines = "JSON lines"
    """One object per line."""
    parquet = "Parquet"
    sqlite = "SQLite"
    duckdb = "DuckDB"
    excel = "Excel"
    parts = "parts"
    """A folder of folders called NAME=VALUE, which hold the parts of one table."""


SUFFIXES: dict[str, FileFormat] = {
    ".csv": FileFormat.csv,
    ".tsv": FileFormat.tsv,
    ".tab": FileFormat.tsv,
    ".json": FileFormat.json,
    ".jsonl": FileFormat.lines,
    ".ndjson": FileFormat.lines,
    ".parquet": FileFormat.parquet,
    ".pq": FileFormat.parquet,
    ".db": FileFormat.sqlite,
    ".sqlite": FileFormat.sqlite,
    ".sqlite3": FileFormat.sqlite,
    ".duckdb": FileFormat.duckdb,
    ".ddb": FileFormat.duckdb,
    ".xlsx": FileFormat.excel,
    ".xlsm": FileFormat.excel,
    ".ods": FileFormat.excel,
}
_PACKABLE = (FileFormat.csv, FileFormat.tsv, FileFormat.json, FileFormat.lines)
"""Formats that may be compressed: `.csv.gz`."""
_DUMPS = (".sql", ".dump")


_CREDENTIALS = re.compile(r":[^/]*@|passw|pwd", re.I)
"""What stands in addresses and connection texts of databases that hold a password."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A regular file to read."""

    path: Path
    """Absolute."""
    shown: str
    """As the user gave it, for messages."""
    format: FileFormat
    packed: bool = False
    """Compressed by gzip."""


@dataclass(frozen=True, slots=True)
class SourceFiles:
    """What the given paths come to."""

    files: tuple[SourceFile, ...]
    options: tuple[Path, ...]
    """`tables.toml` files of the given folders."""
    notes: tuple[str, ...]


def find(paths: Sequence[Path], *, within: Path | None = None) -> SourceFiles:
    """The files that `paths` stand for, in the given order, a folder's sorted by name.

    `within`: a folder that links among the paths must not lead out of.

    Raises TableError for what can't be read as a table.
    """
    if not paths:
        raise TableError("no tables given; name a folder or files (CSV, JSON, Parquet, SQLite, …)")
    files: list[SourceFile] = []
    options: list[Path] = []
    notes: list[str] = []
    for path in paths:
        if within is not None:
            _inside(path, within)
        if _mode(path) == stat.S_IFDIR:
            if _in_parts(path):
                files.append(SourceFile(path.resolve(), str(path), FileFormat.parts))
                continue
            inside, toml, skipped = _walk(path)
            files += inside
            options += toml
            notes += skipped
        else:
            files.append(_file(path))
    # Resolved paths: a link and its target are one file.
    by_path: dict[Path, SourceFile] = {}
    for file in files:
        # A file may be named alone and with its folder; the first mention counts.
        by_path.setdefault(file.path, file)
    return SourceFiles(tuple(by_path.values()), tuple(options), tuple(notes))


def _mode(path: Path) -> int:
    """The type bits of what the path leads to."""
    try:
        return stat.S_IFMT(path.stat().st_mode)
    except FileNotFoundError:
        if _CREDENTIALS.search(str(path)):
            raise TableError(
                "a table is given as something that is no file and looks like an address with a "
                "password, so it is not shown; databases are read from addresses like "
                "postgresql://USER@HOST/DATABASE, with the password in PGPASSWORD"
            ) from None
        raise TableError(f"{str(path)!r} does not exist; check the path") from None
    except (OSError, ValueError) as error:
        raise TableError(f"{str(path)!r} can't be looked at ({error}); check the path") from error


def _walk(folder: Path) -> tuple[list[SourceFile], list[Path], list[str]]:
    """Tables, option files and notes of one folder."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise TableError(f"{str(folder)!r} can't be listed ({error}); check its rights") from error
    files: list[SourceFile] = []
    options: list[Path] = []
    skipped: list[str] = []
    for name in names:
        path = folder / name
        if name == OPTIONS_FILE:
            _inside(path, folder)
            regular(path)
            options.append(path)
        elif name.startswith("."):
            continue
        elif path.is_dir() and _in_parts(path):
            _inside(path, folder)
            files.append(SourceFile(path.resolve(), str(path), FileFormat.parts))
        elif _format(path) is not None:
            _inside(path, folder)
            files.append(_file(path))
        else:
            skipped.append(name)
    if not files:
        raise TableError(
            f"{str(folder)!r} holds no tables (folders inside it are not searched); "
            f"put files there that end in {', '.join(SUFFIXES)}"
        )
    shown = ", ".join(repr(name[:60]) for name in skipped[:5])
    more = f" and {len(skipped) - 5} more" if len(skipped) > 5 else ""
    notes = [f"{folder}: no tables: {shown}{more}"] if skipped else []
    dumps = [folder / name for name in skipped if Path(name).suffix.lower() in _DUMPS]
    return files, options, notes + [_dump_advice(path) for path in dumps]


def _in_parts(folder: Path) -> bool:
    """Whether a folder holds folders called NAME=VALUE."""
    try:
        with os.scandir(folder) as entries:
            return any("=" in entry.name and entry.is_dir() for entry in entries)
    except OSError:
        return False


def _format(path: Path) -> FileFormat | None:
    """The format that a file's name says, compressed or not."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if suffixes[-1:] == [".gz"]:
        form = SUFFIXES.get(suffixes[0]) if len(suffixes) == 2 else None
        return form if form in _PACKABLE else None
    return SUFFIXES.get(suffixes[-1]) if suffixes else None


def _dump_advice(path: Path) -> str:
    """How to load a dump of a database, which is a program and not a table."""
    try:
        with path.open("rb") as stream:
            head = stream.read(4096)
    except OSError:
        head = b""
    database, load = "a database", "load it into its database"
    if b"MySQL dump" in head or b"MariaDB dump" in head or b"ENGINE=" in head:
        database = "MySQL"
        load = f"load it with `mysql NAME < {path.name}`, and give mysql://USER@HOST/NAME"
    elif head.startswith(b"PGDMP"):
        database = "PostgreSQL"
        load = f"load it with `pg_restore -d NAME {path.name}`, and give postgresql://HOST/NAME"
    elif b"PostgreSQL database dump" in head or b"SET client_encoding" in head:
        database = "PostgreSQL"
        load = f"load it with `psql NAME < {path.name}`, and give postgresql://HOST/NAME"
    elif b"PRAGMA foreign_keys" in head or b"BEGIN TRANSACTION" in head:
        database = "SQLite"
        load = f"load it with `sqlite3 tables.db < {path.name}`, and give tables.db"
    return f"{path}: is a dump of {database}, not a table; {load}, or export its tables as CSV"


def _inside(path: Path, folder: Path) -> None:
    """TableError where a link leads out of its folder: a downloaded folder must not reach out."""
    if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(folder.resolve()):
        raise TableError(
            f"{str(path)!r} is a link to a file outside the folder; "
            "copy the file into the folder, or name it by itself"
        )


def _file(path: Path) -> SourceFile:
    shown = str(path)
    form = _format(path)
    if form is None and path.suffix.lower() in _DUMPS:
        raise TableError(_dump_advice(path))
    if form is None and path.suffix.lower() == ".xls":
        raise TableError(f"{shown!r} is a workbook of before 2007; save it as .xlsx")
    if form is None:
        raise TableError(
            f"{shown!r} has a suffix that names no table format; use one of {', '.join(SUFFIXES)}"
        )
    regular(path)
    absolute = path.resolve()
    if form in (FileFormat.sqlite, FileFormat.duckdb):
        # SQLite or DuckDB by what the file says: both are often called `.db`.
        try:
            with absolute.open("rb") as stream:
                head = stream.read(16)
        except OSError as error:
            raise TableError(f"{shown!r} can't be read ({error})") from error
        if head.startswith(b"SQLite format 3\0"):
            form = FileFormat.sqlite
        elif head[8:12] == b"DUCK":
            form = FileFormat.duckdb
        else:
            raise TableError(
                f"{shown!r} is neither an SQLite nor a DuckDB file (or a damaged one); "
                "export its tables as CSV or Parquet"
            )
    return SourceFile(absolute, shown, form, packed=path.suffix.lower() == ".gz")


def regular(path: Path) -> None:
    """TableError unless the path leads to a regular, readable, non-empty file."""
    kind = _mode(path)
    if kind == stat.S_IFDIR:
        raise TableError(f"{str(path)!r} is a folder where a file is expected; rename it")
    if kind != stat.S_IFREG:
        raise TableError(
            f"{str(path)!r} is not a regular file (a pipe, device or socket); "
            "write its content to a file first"
        )
    if not os.access(path, os.R_OK):
        raise TableError(f"{str(path)!r} can't be read; check its rights")
    if path.stat().st_size == 0:
        raise TableError(f"{str(path)!r} is empty; take it away or fill it")
