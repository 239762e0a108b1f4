"""What a CSV column's texts are taken for, and what stays text."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from astra.arenas.tables.load.counts import SAMPLE
from astra.arenas.tables.load.tables import load
from astra.arenas.tables.schema import ColumnKind, ColumnOptions, TableOptions, TablesOptions
from astra.errors import TableError


def read(
    folder: Path,
    values: list[str],
    *,
    name: str = "x",
    kind: ColumnKind | None = None,
    separator: str = ",",
) -> tuple[str, list[Any], tuple[str, ...]]:
    """Kind, values and notes of one CSV column."""
    path = folder / "t.csv"
    lines = [f'"{value}"{separator}z' for value in values]
    path.write_text("\n".join([f"{name}{separator}other", *lines]), encoding="utf-8")
    said = {"t": TableOptions(columns={name: ColumnOptions(kind=kind)})} if kind else {}
    with load([path], TablesOptions(tables=said)) as tables:
        column = tables.tables[0].columns[0]
        found = tables.connection.execute(f'SELECT "{column.name}" FROM t ORDER BY __row')
        return column.kind.value, [row[0] for row in found.fetchall()], tables.tables[0].notes


@pytest.mark.parametrize(
    ("values", "kind", "read_as"),
    [
        (["1", "-2", "0", "−3"], "integer", [1, -2, 0, -3]),
        (["1", "2.50", "-1e3", ".5", "5."], "number", [1.0, 2.5, -1000.0, 0.5, 5.0]),
        (["1,234", "5", "1,000,000"], "integer", [1234, 5, 1000000]),
        (["1,234.5", "5"], "number", [1234.5, 5.0]),
        (["true", "FALSE"], "boolean", [True, False]),
        (["Yes", "no", "yes"], "boolean", [True, False, True]),
        (["是", "否"], "boolean", [True, False]),
        (["true", "NA", "-"], "boolean", [True, None, None]),
        (["2020-02-29", "1999-12-31"], "date", [date(2020, 2, 29), date(1999, 12, 31)]),
        (["2020-01-02T23:59:59Z", "2020-01-03 01:00"], "date",
         [date(2020, 1, 2), date(2020, 1, 3)]),
        (["2020/1/2"], "date", [date(2020, 1, 2)]),
        (["2020年1月2日"], "date", [date(2020, 1, 2)]),
        (["2.1.2020", "31.12.2020"], "date", [date(2020, 1, 2), date(2020, 12, 31)]),
        (["2 January 2020", "3 Feb 2021"], "date", [date(2020, 1, 2), date(2021, 2, 3)]),
        (["January 2, 2020"], "date", [date(2020, 1, 2)]),
        (["31/1/2020", "2/1/2020"], "date", [date(2020, 1, 31), date(2020, 1, 2)]),
        (["1/31/2020", "2/1/2020"], "date", [date(2020, 1, 31), date(2020, 2, 1)]),
        (["1", "", "NA", "n/a", "NULL", "NaN", "-", "inf", "?"], "integer", [1] + [None] * 8),
        (["1.5", "Infinity", "-inf", "nan", "1e400"], "number", [1.5] + [None] * 4),
        (["a", "", "N/A", "null", "NaN", "--"], "text", ["a"] + [None] * 5),
    ],
)  # fmt: skip
def test_readings(tmp_path: Path, values: list[str], kind: str, read_as: list[Any]) -> None:
    found = read(tmp_path, values)
    assert found[:2] == (kind, read_as)


@pytest.mark.parametrize(
    ("values", "note"),
    [
        (["00123", "10115"], "leading zeros"),
        (["+4930123", "+4940321"], ""),
        (["1", "2", "three"], "row 4 holds 'three'"),
        (["1/2/2020", "3/4/2020"], "days and months"),
        (["2020-02-30", "2020-01-01"], "row 2 holds '2020-02-30'"),
        (["1/2/20", "3/4/21"], "years of two digits"),
        (["12345678901234567890", "2"], "row 2 holds"),
        (["1.2.3", "1.2.4"], ""),
        (["no", "no"], ""),
        (["NO", "SE", "DK"], ""),
        (["0x10", "0x11"], ""),
        (["1 2", "3 4"], ""),
        (["1_000"], ""),
        (["٣", "٤"], ""),
    ],
)
def test_what_stays_text(tmp_path: Path, values: list[str], note: str) -> None:
    kind, found, notes = read(tmp_path, values)
    assert (kind, found) == ("text", values)
    assert (note in notes[0]) if note else not notes


def test_codes_by_name_stay_text(tmp_path: Path) -> None:
    for name in ("zip", "phone_number", "Postal Code", "ISBN", "手机"):
        assert read(tmp_path, ["12345", "23456"], name=name)[:2] == ("text", ["12345", "23456"])


def test_na_is_namibia_among_codes_and_missing_among_words(tmp_path: Path) -> None:
    assert read(tmp_path, ["DE", "NA", ""])[1] == ["DE", "NA", None]
    assert read(tmp_path, ["DE", "NA", "Paris"])[1] == ["DE", None, "Paris"]
    assert read(tmp_path, ["Nan", "Null", "Inf", "None"])[1] == ["Nan", "Null", "Inf", "None"]


def test_decimal_commas_need_semicolons_and_certainty(tmp_path: Path) -> None:
    assert read(tmp_path, ["3,14", "1000,5"], separator=";")[:2] == ("number", [3.14, 1000.5])
    kind, _, notes = read(tmp_path, ["1,234", "5,678"], separator=";")
    assert kind == "text" and "commas" in notes[0]
    kind, _, notes = read(tmp_path, ["1.234", "5"], separator=";")
    assert kind == "text" and "points" in notes[0]
    assert read(tmp_path, ["1.234.567", "5"], separator=";")[:2] == ("integer", [1234567, 5])
    assert read(tmp_path, ["1.5", "0.123"], separator=";")[:2] == ("number", [1.5, 0.123])
    assert "grouping" in read(tmp_path, ["1,234"])[2][0]


def test_texts_are_put_in_normal_form(tmp_path: Path) -> None:
    values = ["  Zu\u0308rich ", "a\u00a0 b", "x\u200by", "tab\there", "line\u2028end"]
    kind, found, notes = read(tmp_path, values)
    assert (kind, found) == ("text", ["Zürich", "a b", "xy", "tab here", "line end"])
    assert "2 cells" in notes[0]


def test_a_late_value_decides_too(tmp_path: Path) -> None:
    many = ["7"] * (SAMPLE + 10)
    assert read(tmp_path, [*many, "7.5"])[0] == "number"
    kind, _, notes = read(tmp_path, [*many, "seven"])
    assert kind == "text" and f"row {SAMPLE + 12} holds 'seven'" in notes[0]
    empty = [""] * (SAMPLE + 10)
    assert read(tmp_path, [*empty, "2020-01-01"])[0] == "date"
    # Nothing among the first rows hints at a date.
    assert read(tmp_path, [*many, "2020-01-01"])[0] == "text"


@pytest.mark.parametrize(
    ("values", "kind", "read_as"),
    [
        (["1", "2"], ColumnKind.text, ["1", "2"]),
        (["007", "8"], ColumnKind.integer, [7, 8]),
        (["1", "2"], ColumnKind.number, [1.0, 2.0]),
        (["1", "0", ""], ColumnKind.boolean, [True, False, None]),
        (["no", "no"], ColumnKind.boolean, [False, False]),
        (["", ""], ColumnKind.date, [None, None]),
        (["12345", "1"], ColumnKind.other, ["12345", "1"]),
    ],
)
def test_the_users_kind_wins(
    tmp_path: Path, values: list[str], kind: ColumnKind, read_as: list[Any]
) -> None:
    assert read(tmp_path, values, kind=kind)[:2] == (kind.value, read_as)
    assert read(tmp_path, values, kind=kind, name="zip")[0] == kind.value


@pytest.mark.parametrize(
    ("values", "kind", "says"),
    [
        (["1", "x"], ColumnKind.integer, "row 3 holds 'x'"),
        (["1.5", "2"], ColumnKind.integer, "row 2 holds '1.5'"),
        (["soon"], ColumnKind.date, "row 2 holds 'soon'"),
        (["1/2/2020"], ColumnKind.date, "days and months"),
    ],
)
def test_the_users_kind_must_fit(
    tmp_path: Path, values: list[str], kind: ColumnKind, says: str
) -> None:
    with pytest.raises(TableError) as caught:
        read(tmp_path, values, kind=kind)
    assert says in str(caught.value) and "t.csv: column 'x'" in str(caught.value)


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    path = tmp_path / "typed.parquet"
    duckdb.connect().execute(
        "COPY (SELECT i AS id, 0.1::FLOAT AS weight, i % 2 = 0 AS sold, i::UTINYINT AS stars, "
        "TIMESTAMP '2020-01-31 23:00:00' AS made, 1000 + i AS zip, "
        "CASE WHEN i = 2 THEN 18446744073709551615 ELSE i END::UBIGINT AS far, "
        "CASE WHEN i = 1 THEN DATE '0044-03-15 (BC)' ELSE DATE '2000-01-01' END AS ides, "
        "CASE WHEN i = 0 THEN 'nan'::DOUBLE ELSE i END AS share FROM range(4) r(i)) "
        f"TO '{path}'"
    )
    with load([path]) as tables:
        (table,) = tables.tables
        kinds = {column.name: column.kind for column in table.columns}
        first = tables.connection.execute("SELECT * FROM typed WHERE __row = 0").fetchone()
    assert kinds == {
        "id": ColumnKind.integer,
        "weight": ColumnKind.number,
        "sold": ColumnKind.boolean,
        "stars": ColumnKind.integer,
        "made": ColumnKind.date,
        # Digits that are no number, and values that fit into no type of ours.
        "zip": ColumnKind.text,
        "far": ColumnKind.text,
        "ides": ColumnKind.text,
        # One is missing, and the others are whole: integers, as pandas stores them.
        "share": ColumnKind.integer,
    }
    assert first == (0, 0, 0.1, True, 0, date(2020, 1, 31), "1000", "0", "2000-01-01", None)
