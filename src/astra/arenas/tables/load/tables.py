"""Loads a user's tables into one in-process DuckDB, typed, in file order, and then sealed.

Accepts CSV, TSV, JSON, JSON lines, Parquet, Excel, SQLite and DuckDB files, and folders.
What can't be read as a table raises a `TableError` that names file, row and column, and the fix.

What this does not guarantee: that a column means what its name says. A file is read as it is,
and `Tables.notes` says what was doubtful in it.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb

from astra.arenas.tables.load.column_types import make_typed
from astra.arenas.tables.load.columnar import read_duckdb, read_parquet
from astra.arenas.tables.load.databases import is_address, read_database, sqlite_path
from astra.arenas.tables.load.files import FileFormat, SourceFile, SourceFiles, find
from astra.arenas.tables.load.json_files import read_json
from astra.arenas.tables.load.names import column_identifiers, identifier, unique
from astra.arenas.tables.load.options import kinds, merge, read_options, resolve
from astra.arenas.tables.load.packed import read_parts, unpacked
from astra.arenas.tables.load.raw import LoadLimits, LoadSession, RawTable
from astra.arenas.tables.load.sqlite import read_sqlite
from astra.arenas.tables.load.text_files import read_text
from astra.arenas.tables.load.totals import set_totals_aside
from astra.arenas.tables.schema import ColumnKind, TablesOptions
from astra.errors import TableError


def _read_excel(file: SourceFile, session: LoadSession) -> list[RawTable]:
    # Its library is needed by nobody else.
    from astra.arenas.tables.load.excel import read_excel

    return read_excel(file, session)


def _read(file: SourceFile, session: LoadSession) -> list[RawTable]:
    if file.packed:
        file = unpacked(file, session)
    return READERS[file.format](file, session)


READERS: dict[FileFormat, Callable[[SourceFile, LoadSession], list[RawTable]]] = {
    FileFormat.csv: read_text,
    FileFormat.tsv: read_text,
    FileFormat.json: read_json,
    FileFormat.lines: read_json,
    FileFormat.parquet: read_parquet,
    FileFormat.sqlite: read_sqlite,
    FileFormat.duckdb: read_duckdb,
    FileFormat.excel: _read_excel,
    FileFormat.parts: lambda file, session: read_parts(file, session, _read),
}
"""Format -> what reads it. A reader may raise TableError or `duckdb.Error`."""


@dataclass(frozen=True, slots=True)
class LoadedColumn:
    """A column of a loaded table."""

    name: str
    """Identifier; also the DuckDB column."""
    original: str
    """As the file names it."""
    kind: ColumnKind
    unit: str | None = None
    """Unit that every number has in the file, e.g. "$" or "%"."""


@dataclass(frozen=True, slots=True)
class DeclaredKey:
    """A foreign key that a database file declares, under identifiers."""

    column: str
    table: str
    references: str


@dataclass(frozen=True, slots=True)
class LoadedTable:
    """A table in DuckDB. Beside its columns it has `__row`, 0 … rows - 1 in file order."""

    name: str
    """Identifier; also the DuckDB table."""
    source: str
    rows: int
    columns: tuple[LoadedColumn, ...]
    key: str | None
    """Declared primary key of one column."""
    foreign_keys: tuple[DeclaredKey, ...]
    notes: tuple[str, ...]


@dataclass(slots=True)
class Tables:
    """A user's tables in DuckDB. A context: leaving it closes the connection."""

    connection: duckdb.DuckDBPyConnection
    """Sealed: no files, no network, no settings can be reached through it."""
    tables: tuple[LoadedTable, ...]
    options: TablesOptions
    """Options of the folders and the caller's, merged, under identifiers."""
    notes: tuple[str, ...]
    """What concerns no table that was loaded: files and tables left out, links, …"""
    columns_of: Mapping[str, Sequence[str]]
    """Column identifiers of every table in the files, those without rows too."""
    _folder: tempfile.TemporaryDirectory[str] = field(repr=False)

    def table(self, name: str) -> LoadedTable:
        """The table of that name; KeyError if there is none."""
        for table in self.tables:
            if table.name == name:
                return table
        raise KeyError(name)

    def close(self) -> None:
        """Close the connection and remove its temporary files."""
        self.connection.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def load(
    paths: Sequence[Path | str],
    options: TablesOptions = TablesOptions(),  # noqa: B008  (a frozen record)
    *,
    temporary: Path | None = None,
    limits: LoadLimits = LoadLimits(),  # noqa: B008  (a frozen dataclass)
) -> Tables:
    """Load every table in `paths`: files, folders, and addresses of databases.

    A folder's `tables.toml` is read too; `options` win over it. `temporary` is where temporary
    files go (None: the system's place). Raises TableError, and ConfigError for options.
    """
    sources = [sqlite_path(path) or path for path in paths]
    addresses = [path for path in sources if is_address(path)]
    others = [Path(path) for path in sources if path not in addresses]
    files = find(others) if others or not addresses else SourceFiles((), (), ())
    for path in files.options:
        options = merge(read_options(path), options)
    folder = tempfile.TemporaryDirectory(prefix="astra-tables-", dir=temporary)
    spill = Path(folder.name) / "spill"
    spill.mkdir()
    connection = duckdb.connect(
        ":memory:",
        config={
            # A missing extension would be downloaded at the first file that wants it.
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            # Else SQL could name Python variables of its caller as tables.
            "python_enable_replacements": "false",
            "memory_limit": limits.memory,
            "threads": str(limits.threads),
            "temp_directory": str(spill),
            "max_temp_directory_size": limits.temporary,
        },
    )
    try:
        # Times with a zone become dates; which day that is must not depend on the computer.
        connection.execute("SET TimeZone = 'UTC'")
        session = LoadSession(connection, Path(folder.name), limits)
        notes = list(files.notes)
        raws: list[RawTable] = []
        for file in files.files:
            try:
                raws += _read(file, session)
            except duckdb.Error as error:
                what = f"{file.shown}: can't be read as {file.format}"
                raise _table_error(what, error) from error
        for address in addresses:
            raws += read_database(address, session)
        tables, columns_of = _typed(raws, options, session, notes)
        resolved = resolve(options, columns_of)
        # No SQL from here on reaches files, the network or the settings.
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
    except BaseException:
        connection.close()
        folder.cleanup()
        raise
    return Tables(connection, tuple(tables), resolved, tuple(notes), columns_of, folder)


# --- tables ----------------------------------------------------------------------------------


def _table_error(what: str, error: duckdb.Error) -> TableError:
    """DuckDB's complaint as one of ours; its first line is the one that says something."""
    if isinstance(error, duckdb.OutOfMemoryException):
        return TableError(f"{what}: too large for the memory limit; give a smaller table")
    first = (str(error).strip().splitlines() or ["no reason given"])[0]
    return TableError(f"{what} ({first[:300]}); write the file anew, or export it as CSV")


def _typed(
    raws: Sequence[RawTable], options: TablesOptions, session: LoadSession, notes: list[str]
) -> tuple[list[LoadedTable], dict[str, list[str]]]:
    """The typed tables, and the columns of all tables, those without rows too."""
    names: list[str] = []
    for number, raw in enumerate(raws, start=1):
        name = identifier(raw.name, fallback=f"table_{number}", ascii_letters=True)
        if name in names:
            suffix = raw.path.suffix.removeprefix(".").lower()
            other = unique(f"{name}_{suffix}", names)
            notes.append(f"{raw.source}: a table {name!r} is there already; called {other!r}")
            name = other
        names.append(name)
    columns_of = {
        name: column_identifiers([column.original for column in raw.columns])
        for name, raw in zip(names, raws, strict=True)
    }
    tables: list[LoadedTable] = []
    for name, raw in zip(names, raws, strict=True):
        if raw.rows == 0:
            notes.append(f"{raw.source}: no rows; left out")
            session.connection.execute(f"DROP TABLE {raw.relation}")
            continue
        tables.append(_table(name, columns_of[name], raw, options, session))
    if not tables:
        raise TableError(
            f"no table has rows: {', '.join(raw.source for raw in raws)}; add rows below the header"
        )
    # Declared keys come last: they may name tables and columns of any file read above.
    by_name = dict(zip(names, raws, strict=True))
    for position, table in enumerate(tables):
        raw, columns = by_name[table.name], columns_of[table.name]
        tables[position] = dataclasses.replace(
            table,
            key=_column(raw, raw.key, columns),
            foreign_keys=tuple(_declared_keys(raw, columns, by_name, columns_of)),
        )
    return tables, columns_of


def _table(
    name: str,
    columns: Sequence[str],
    raw: RawTable,
    options: TablesOptions,
    session: LoadSession,
) -> LoadedTable:
    forced: dict[str, ColumnKind] = {}
    keep_totals = False
    for written in options.tables:
        if written == name or identifier(written, fallback="", ascii_letters=True) == name:
            keep_totals = keep_totals or options.tables[written].keep_totals
            for column, kind in kinds(options, written).items():
                forced[column if column in columns else identifier(column, fallback="")] = kind
    try:
        typed = make_typed(raw, name, columns, forced, session)
    except duckdb.Error as error:
        raise _table_error(f"{raw.source}: its columns can't be typed", error) from error
    by_kind = list(zip(columns, typed.kinds, strict=True))
    set_aside, totals = 0, list[str]()
    if not keep_totals:
        set_aside, totals = set_totals_aside(
            name,
            [column for column, kind in by_kind if kind is ColumnKind.text],
            [c for c, kind in by_kind if kind in (ColumnKind.integer, ColumnKind.number)],
            raw.first_row,
            session.connection,
        )
    renamed = [
        f"column {position} has no name; called {name!r}"
        for position, (name, column) in enumerate(zip(columns, raw.columns, strict=True), start=1)
        if not column.original.strip()
    ]
    return LoadedTable(
        name=name,
        source=raw.source,
        rows=raw.rows - set_aside,
        columns=tuple(
            LoadedColumn(name, column.original, kind, unit)
            for name, column, kind, unit in zip(
                columns, raw.columns, typed.kinds, typed.units, strict=True
            )
        ),
        key=None,
        foreign_keys=(),
        notes=(*raw.notes, *renamed, *typed.notes, *totals),
    )


def _column(raw: RawTable, original: str | None, columns: Sequence[str]) -> str | None:
    """The identifier of a column by its name in the file; databases don't mind capitals."""
    if original is None:
        return None
    for name, column in zip(columns, raw.columns, strict=True):
        if column.original.casefold() == original.casefold():
            return name
    return None


def _declared_keys(
    raw: RawTable,
    columns: Sequence[str],
    raws: Mapping[str, RawTable],
    columns_of: Mapping[str, Sequence[str]],
) -> Iterator[DeclaredKey]:
    """Declared foreign keys to tables of the same file."""
    for foreign in raw.foreign_keys:
        for other, target in raws.items():
            if target.path != raw.path or target.name.casefold() != foreign.table.casefold():
                continue
            column = _column(raw, foreign.column, columns)
            references = _column(target, foreign.references or target.key, columns_of[other])
            if column and references and target.rows:
                yield DeclaredKey(column, other, references)
