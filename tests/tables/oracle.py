"""Answers to goals over CSV files with plain Python, written without a look at the planner.

Raises `Ambiguous` where the files don't give exactly one answer.
"""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

METRES = {"m": 1, "km": 1000, "cm": 0.01, "mm": 0.001, "ft": 0.3048, "mi": 1609.344}
SQUARE_METRES = {"m2": 1, "km2": 1e6, "ha": 1e4, "mi2": 1609.344**2}
HOURS = {"h": 1, "min": 1 / 60, "s": 1 / 3600}


class Ambiguous(AssertionError):
    """The files give no answer, or several."""


def fold(text: object) -> str:
    return " ".join(str(text).casefold().split())


class Oracle:
    """One folder of CSV files in one language."""

    def __init__(self, folder: Path, language: str) -> None:
        self.folder = folder
        self.language = language
        config = folder / "tables.toml"
        self.tables: dict[str, Any] = tomllib.loads(config.read_text("utf-8"))["tables"]
        self.rows = cache(self._rows)

    def _raw(self, table: str) -> list[dict[str, str]]:
        with (self.folder / f"{table}.csv").open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))

    def _local(self, row: Mapping[str, str], column: str) -> str:
        return row.get(f"{column}_{self.language}", row[column])

    def _rows(self, table: str) -> list[dict[str, Any]]:
        """Rows with "" as None, foreign keys as names, numbers as numbers."""
        options = self.tables[table]
        keys = {c: ref.split(".") for c, ref in options.get("foreign_keys", {}).items()}
        raw = self._raw(table)
        numeric = {
            column
            for column in raw[0]
            if column not in keys and all(_is_number(row[column]) for row in raw if row[column])
        }
        found = []
        for row in raw:
            fields: dict[str, Any] = {"__name": self._local(row, options["naming"]) or None}
            for column in row:
                if column in keys:
                    fields[column] = self._referenced(row[column], *keys[column])
                else:
                    text = self._local(row, column)
                    fields[column] = (
                        (_number(text) if column in numeric else text) if text else None
                    )
            found.append(fields)
        return found

    def _referenced(self, value: str, table: str, column: str) -> str | None:
        naming = self.tables[table]["naming"]
        names = [
            self._local(row, naming) for row in self._raw_cached(table) if row[column] == value
        ]
        return names[0] if value and len(names) == 1 else None

    @cache  # noqa: B019  (a test's object)
    def _raw_cached(self, table: str) -> list[dict[str, str]]:
        return self._raw(table)

    def column(self, table: str, attribute: str) -> str:
        """The column behind an attribute: foreign keys lose `_code` and the like."""
        columns = self._raw_cached(table)[0]
        if attribute in columns:
            return attribute
        (found,) = [
            c
            for c in self.tables[table].get("foreign_keys", {})
            if c.rpartition("_")[0] == attribute
        ]
        return found

    # --- one row -------------------------------------------------------------------------------

    def named(self, table: str, name: str) -> dict[str, Any]:
        rows = [r for r in self.rows(table) if r["__name"] and fold(r["__name"]) == fold(name)]
        if len(rows) != 1:
            raise Ambiguous(f"{len(rows)} rows of {table} are called {name!r}")
        return rows[0]

    def value(self, table: str, name: str, attribute: str) -> Any:
        value = self.named(table, name)[self.column(table, attribute)]
        if value is None:
            raise Ambiguous(f"{name!r} has no {attribute}")
        return value

    def found(self, table: str, attribute: str, value: str) -> str:
        column = self.column(table, attribute)
        rows = [r for r in self.rows(table) if r[column] and fold(str(r[column])) == fold(value)]
        if len(rows) != 1:
            raise Ambiguous(f"{len(rows)} rows of {table} have {attribute} {value!r}")
        self.named(table, rows[0]["__name"])
        return rows[0]["__name"]

    # --- groups --------------------------------------------------------------------------------

    def group(self, table: str, by: str, value: str) -> list[dict[str, Any]]:
        column = self.column(table, by)
        same = {r[column] for r in self.rows(table) if r[column] and fold(r[column]) == fold(value)}
        if same != {value}:
            raise Ambiguous(f"{by} {value!r} of {table} is written {same!r}")
        return [r for r in self.rows(table) if r[column] == value]

    def names(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        names = [row["__name"] for row in rows]
        if None in names or len({fold(name) for name in names}) != len(names):
            raise Ambiguous(f"names are missing or repeated: {names!r}")
        return names

    def numbers(self, table: str, rows: Sequence[Mapping[str, Any]], attribute: str) -> list[Any]:
        values = [row[self.column(table, attribute)] for row in rows]
        if None in values:
            raise Ambiguous(f"{attribute} is missing in a row of the group")
        return values

    def kept(self, table: str, rows: list[dict[str, Any]], a: Mapping[str, Any]) -> list[Any]:
        values = self.numbers(table, rows, a["attribute"])
        if a["threshold"] in values:
            raise Ambiguous("a value lies on the threshold")
        above = a["comparison"] == "above"
        return [
            row
            for row, value in zip(rows, values, strict=True)
            if (value > a["threshold"]) == above
        ]

    # --- every operation -----------------------------------------------------------------------

    def answer(self, operation: str, table: str, a: Mapping[str, Any]) -> Any:
        """The answer of one call."""
        match operation:
            case "lookup":
                (name,) = (v for k, v in a.items() if k != "attribute")
                return self.value(table, name, a["attribute"])
            case "find":
                return self.found(table, a["attribute"], a["value"])
            case "compare":
                x, y = (self.value(table, a[k], a["attribute"]) for k in ("first", "second"))
                return x - y
            case "difference":
                return a["minuend"] - a["subtrahend"]
            case "days_between":
                return (date.fromisoformat(a["end"]) - date.fromisoformat(a["start"])).days
            case "convert":
                (factors,) = (f for f in (METRES, SQUARE_METRES, HOURS) if a["from_unit"] in f)
                return a["value"] * factors[a["from_unit"]] / factors[a["to_unit"]]
            case _:
                return self._of_group(operation, table, a)

    def _of_group(self, operation: str, table: str, a: Mapping[str, Any]) -> Any:
        rows = self.group(table, a["by"], a["value"])
        match operation:
            case "count":
                return len(rows)
            case "count_where":
                return len(self.kept(table, rows, a))
            case "list":
                return set(self.names(rows))
            case "filter":
                self.names(rows)
                return set(self.names(self.kept(table, rows, a)))
            case "rank":
                return self._first(table, rows, a)
            case "aggregate":
                values = self.numbers(table, rows, a["attribute"])
                return {
                    "sum": sum,
                    "mean": lambda v: sum(v) / len(v),
                    "minimum": min,
                    "maximum": max,
                }[a["function"]](values)
        raise AssertionError(operation)

    def _first(self, table: str, rows: list[dict[str, Any]], a: Mapping[str, Any]) -> str:
        values = self.numbers(table, rows, a["attribute"])
        best = max(values) if a["order"] == "highest" else min(values)
        if values.count(best) > 1:
            raise Ambiguous(f"{values.count(best)} rows share the {a['order']} value")
        return self.names(rows)[values.index(best)]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdigit() else float(text)
