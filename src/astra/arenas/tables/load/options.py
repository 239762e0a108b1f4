"""The user's word on tables: reading `tables.toml`, merging, and resolving names in it."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from astra.arenas.tables.load.names import identifier
from astra.arenas.tables.schema import ColumnKind, TableOptions, TablesOptions
from astra.errors import ConfigError

_LONGEST_FILE = 1 << 20


def read_options(path: Path, *, section: str | None = None) -> TablesOptions:
    """The options in a `tables.toml`, or those under `section` in a file with other keys, too.

    Raises ConfigError naming the file and the key.
    """
    try:
        if path.stat().st_size > _LONGEST_FILE:
            raise ConfigError(f"{path}: larger than {_LONGEST_FILE} bytes; this is no options file")
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: can't be read as TOML ({error}); correct it there") from error
    if section is not None:
        if section not in content:
            raise ConfigError(f"{path}: there is no [{section}.NAME] for a table: add one")
        content = {"tables": content[section]}
    try:
        return TablesOptions.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=True)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"{path}: {key or 'the file'}: {first['msg']}, not {str(first.get('input'))[:80]!r}; "
            "see docs/tables.md for the keys"
        ) from error


def merge(base: TablesOptions, over: TablesOptions) -> TablesOptions:
    """Both options; where both say something, `over` wins."""
    both = _merged(base.model_dump(exclude_unset=True), over.model_dump(exclude_unset=True))
    return TablesOptions.model_validate(both)


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = dict(base)
    for key, value in over.items():
        inner = both.get(key)
        both[key] = (
            _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
        )
    return both


# --- names -----------------------------------------------------------------------------------


def resolve(options: TablesOptions, known: Mapping[str, Sequence[str]]) -> TablesOptions:
    """The options with every table and column under its identifier.

    `known` maps tables to their columns. Raises ConfigError for a name that is not there.
    """
    tables: dict[str, TableOptions] = {}
    for written, table in options.tables.items():
        name = _known(written, known, "tables", "table")
        tables[name] = _resolved(table, name, known)
    return TablesOptions(tables=tables)


def _known(written: str, names: Iterable[str], where: str, what: str) -> str:
    """The identifier that a written name means; ConfigError if there is none."""
    names = list(names)
    made = identifier(written, fallback="")
    plain = identifier(written, fallback="", ascii_letters=True)
    for candidate in (written, made, plain):
        if candidate in names:
            return candidate
    near = difflib.get_close_matches(made, names, n=1, cutoff=0.0)
    fix = f"did you mean {near[0]!r}?" if near else "there are none"
    raise ConfigError(f"options, {where}: no {what} is called {written!r}; {fix}")


def _resolved(table: TableOptions, name: str, known: Mapping[str, Sequence[str]]) -> TableOptions:
    where = f"tables.{name}"

    def column(written: str, key: str) -> str:
        return _known(written, known[name], f"{where}.{key}", "column")

    changes: dict[str, Any] = {}
    if table.key is not None:
        changes["key"] = column(table.key, "key")
    if table.naming is not None:
        changes["naming"] = column(table.naming, "naming")
    changes["ignore"] = tuple(column(written, "ignore") for written in table.ignore)
    changes["columns"] = {column(w, "columns"): said for w, said in table.columns.items()}
    changes["foreign_keys"] = {
        column(written, "foreign_keys"): _target(to, f"{where}.foreign_keys.{written}", known)
        for written, to in table.foreign_keys.items()
    }
    return table.model_copy(update=changes)


def _target(written: str, where: str, known: Mapping[str, Sequence[str]]) -> str:
    """`table.column` under identifiers; "" stays."""
    if not written:
        return ""
    table, dot, column = written.partition(".")
    if not dot:
        raise ConfigError(
            f'options, {where}: {written!r} names no column; write "table.column", or "" for none'
        )
    table = _known(table, known, where, "table")
    return f"{table}.{_known(column, known[table], where, 'column')}"


def kinds(options: TablesOptions, table: str) -> dict[str, ColumnKind]:
    """The kinds that the user gave to columns of a table, by the names as written."""
    said = options.tables.get(table)
    return {} if said is None else {n: c.kind for n, c in said.columns.items() if c.kind}
