"""A user's options for tables: reads `tables.toml`, merges options, and resolves names in them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from astra.arenas.tables.load.names import identifier
from astra.arenas.tables.schema import (
    CancelOptions,
    ColumnKind,
    TableOptions,
    TablesOptions,
    WriteOptions,
)
from astra.configs.files import read_toml
from astra.errors import ConfigError


def read_options(path: Path, *, section: str | None = None) -> TablesOptions:
    """The options in a `tables.toml`, or those under `section` in a file with other keys, too.

    Raises ConfigError naming the file and the key.
    """
    content = read_toml(path)
    if section is not None:
        if section not in content:
            raise ConfigError(f"{path}: there is no [{section}.NAME] for a table: add one")
        content = {"tables": content[section]}
    try:
        if "files" in content:
            raise ConfigError(f"{path}: files: no such key; see docs/tables.md for the keys")
        return TablesOptions.model_validate({**content, "files": (str(path),)})
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
    files = tuple(dict.fromkeys((*base.files, *over.files)))
    return TablesOptions.model_validate({**both, "files": files})


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = dict(base)
    for key, value in over.items():
        inner = both.get(key)
        both[key] = (
            _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
        )
    return both


# --- names -----------------------------------------------------------------------------------


def resolve(options: TablesOptions, columns_of: Mapping[str, Sequence[str]]) -> TablesOptions:
    """The options with every table and column under its identifier.

    `columns_of` maps tables to their columns. Raises ConfigError for a name that is not there.
    """
    tables: dict[str, TableOptions] = {}
    for written, table in options.tables.items():
        name = _resolve_name(written, columns_of, "tables", "table")
        tables[name] = _resolve_table(table, name, columns_of)
    return TablesOptions(tables=tables, files=options.files)


def _resolve_name(written: str, names: Iterable[str], where: str, what: str) -> str:
    """The identifier that a written name means; ConfigError if there is none."""
    names = list(names)
    name = identifier(written, fallback="")
    plain = identifier(written, fallback="", ascii_letters=True)
    for candidate in (written, name, plain):
        if candidate in names:
            return candidate
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
    fix = f"did you mean {near[0]!r}?" if near else "there are none"
    raise ConfigError(f"options, {where}: no {what} is called {written!r}; {fix}")


def _resolve_table(
    table: TableOptions, name: str, columns_of: Mapping[str, Sequence[str]]
) -> TableOptions:
    where = f"tables.{name}"

    def column(written: str, key: str) -> str:
        return _resolve_name(written, columns_of[name], f"{where}.{key}", "column")

    def target(written: str, key: str) -> str:
        if not written:  # "" switches a found key off
            return ""
        other, dot, referenced = written.partition(".")
        if not dot:
            raise ConfigError(
                f'options, {key}: {written!r} names no column; write "table.column", or "" for none'
            )
        other = _resolve_name(other, columns_of, key, "table")
        return f"{other}.{_resolve_name(referenced, columns_of[other], key, 'column')}"

    changes: dict[str, Any] = {}
    if table.key is not None:
        changes["key"] = column(table.key, "key")
    if table.naming is not None:
        changes["naming"] = column(table.naming, "naming")
    changes["ignore"] = tuple(column(written, "ignore") for written in table.ignore)
    changes["columns"] = {column(w, "columns"): c for w, c in table.columns.items()}
    changes["foreign_keys"] = {
        column(written, "foreign_keys"): target(to, f"{where}.foreign_keys.{written}")
        for written, to in table.foreign_keys.items()
    }
    if isinstance(table.write, WriteOptions):
        changes["write"] = _resolve_write(table.write, lambda w, key: column(w, f"write.{key}"))
    return table.model_copy(update=changes)


def _resolve_write(write: WriteOptions, column: Callable[[str, str], str]) -> WriteOptions:
    changes: dict[str, Any] = {}
    if write.update:
        changes["update"] = tuple(column(written, "update") for written in write.update)
    if isinstance(write.cancel, CancelOptions):
        name = column(write.cancel.column, "cancel.column")
        changes["cancel"] = write.cancel.model_copy(update={"column": name})
    if write.owner:
        changes["owner"] = column(write.owner, "owner")
    return write.model_copy(update=changes)


def kinds(options: TablesOptions, table: str) -> dict[str, ColumnKind]:
    """The kinds that the user gave to columns of a table, by the names as written."""
    columns = options.tables[table].columns if table in options.tables else {}
    return {name: column.kind for name, column in columns.items() if column.kind}
