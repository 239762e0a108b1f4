"""Values written as people write them come back as they were, or stay text with a note."""

from __future__ import annotations

import csv
import json
import random
import sqlite3
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from astra.arenas.tables.load.tables import load
from astra.arenas.tables.profile.profiler import profile
from astra.arenas.tables.schema import ColumnKind

Write = Callable[[float], str]


def grouped(number: float, decimals: int, group: str, mark: str) -> str:
    text = f"{abs(number):,.{decimals}f}".replace(",", "\0").replace(".", mark)
    return ("-" if number < 0 else "") + text.replace("\0", group)


def bracketed(number: float, decimals: int) -> str:
    text = grouped(abs(number), decimals, ",", ".")
    return f"({text})" if number < 0 else text


FORMS: dict[str, Write] = {
    "plain": lambda x: f"{x:.2f}",
    "english": lambda x: grouped(x, 2, ",", "."),
    "english, whole": lambda x: grouped(x, 0, ",", "."),
    "german": lambda x: grouped(x, 2, ".", ","),
    "german, whole": lambda x: grouped(x, 0, ".", ","),
    "german, no groups": lambda x: f"{x:.2f}".replace(".", ","),
    "three decimals": lambda x: f"{x:.3f}",
    "three decimals, comma": lambda x: f"{x:.3f}".replace(".", ","),
    "french": lambda x: grouped(x, 2, " ", ","),
    "french, no-break space": lambda x: grouped(x, 2, "\u202f", ","),
    "swiss": lambda x: grouped(x, 2, "'", "."),
    "swiss, curly": lambda x: grouped(x, 2, "’", "."),
    "dollars": lambda x: "$" + grouped(x, 2, ",", "."),
    "dollars, minus first": lambda x: ("-$" if x < 0 else "$") + grouped(abs(x), 2, ",", "."),
    "dollars, brackets": lambda x: bracketed(x, 2).replace("(", "($") if x < 0 else f"${x:,.2f}",
    "euro behind": lambda x: grouped(x, 2, ".", ",") + " €",
    "euro before": lambda x: "€ " + grouped(x, 0, ",", "."),
    "euro, whole, german": lambda x: grouped(x, 0, ".", ",") + " €",
    "pounds": lambda x: "£" + grouped(x, 0, ",", "."),
    "francs": lambda x: "CHF " + grouped(x, 2, "’", "."),
    "yuan": lambda x: "¥" + grouped(x, 2, ",", "."),
    "yuan behind": lambda x: grouped(x, 0, ",", ".") + "元",
    "rupees": lambda x: "₹" + grouped(x, 0, ",", "."),
    "code": lambda x: "USD " + grouped(x, 2, ",", "."),
    "percent": lambda x: f"{x:.1f}%",
    "percent, space": lambda x: f"{x:.2f} %",
    "percent, german": lambda x: f"{x:.1f} %".replace(".", ","),
    "kilometres": lambda x: f"{x:.1f} km",
    "brackets": lambda x: bracketed(x, 2),
    "brackets, whole": lambda x: bracketed(x, 0),
    "minus behind": lambda x: grouped(abs(x), 2, ",", ".") + ("-" if x < 0 else ""),
    "minus sign": lambda x: grouped(x, 2, ",", ".").replace("-", "−"),
    "pandas": lambda x: f"{x:.0f}.0",
}
DECIMALS = {"three": 3, "percent, space": 2, "percent": 1, "kilo": 1, "whole": 0, "pounds": 0,
            "euro before": 0, "yuan behind": 0, "rupees": 0, "pandas": 0}  # fmt: skip
RANGES = [(-9, 9), (1, 999), (1000, 999_999), (-(10**6), 10**9)]
SHAPES = [(".csv", ","), (".csv", ";"), (".tsv", "\t"), (".csv", "|"), (".json", ""),
          (".db", "")]  # fmt: skip
UNITS = {"dollars": "$", "euro": "EUR", "pounds": "GBP", "francs": "CHF", "yuan": "¥",
         "yuan behind": "CNY", "rupees": "INR", "code": "USD", "percent": "%",
         "kilometres": "km"}  # fmt: skip


class Read(NamedTuple):
    """What a column was read as."""

    kind: ColumnKind
    values: list[Any]
    notes: str
    unit: str | None


def write(path: Path, separator: str, values: list[str], name: str) -> None:
    """A table of one name and one value a row, in the format of its suffix."""
    rows = [[f"Name {chr(65 + n % 26)}{n}", value] for n, value in enumerate(values)]
    if path.suffix == ".json":
        path.write_text(json.dumps([{"name": n, name: v} for n, v in rows]), encoding="utf-8")
    elif path.suffix == ".db":
        with sqlite3.connect(path) as database:
            database.execute(f'CREATE TABLE {path.stem} (name TEXT, "{name}" TEXT)')
            database.executemany(f"INSERT INTO {path.stem} VALUES (?, ?)", rows)
        database.close()
    else:
        with path.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream, delimiter=separator).writerows([["name", name], *rows])


def columns(folder: Path, name: str) -> list[Read]:
    """The column of every table of the folder, in the order of the files' names."""
    found: list[Read] = []
    with load([folder]) as tables:
        for table in profile(tables).tables:
            rows = tables.connection.execute(f'SELECT "{name}" FROM {table.name} ORDER BY __row')
            values = [value for (value,) in rows.fetchall()]
            column = table.column(name)
            found.append(Read(column.kind, values, "\n".join(table.notes), column.unit))
    return found


def column(folder: Path, values: list[str], name: str = "amount") -> Read:
    """The column of a CSV file."""
    write(folder / "t.csv", ",", values, name)
    return columns(folder, name)[0]


@pytest.mark.parametrize("form", FORMS)
def test_numbers_come_back_or_stay_text_with_a_note(tmp_path: Path, form: str) -> None:
    rng, written = random.Random(form), list[tuple[list[float], list[str]]]()
    decimals = next((d for word, d in DECIMALS.items() if word in form), 2)
    for low, high in RANGES:
        shapes = SHAPES if high == RANGES[-1][1] else SHAPES[:2]
        numbers = [round(rng.uniform(low, high), decimals) for _ in range(8)]
        texts = [FORMS[form](number) for number in numbers]
        for shape, (suffix, separator) in enumerate(shapes):
            # A file that separates by commas says that they are no decimal marks.
            if separator != "," or form not in ("german, whole", "three decimals, comma"):
                path = tmp_path / f"t{len(written):02}_{shape}{suffix}"
                write(path, separator, texts, "amount")
                written.append((numbers, texts))
    known = [name for name in UNITS if form.startswith(name)]
    unit = UNITS[max(known, key=len)] if known else None
    found = columns(tmp_path, "amount")
    for read, (numbers, texts) in zip(found, written, strict=True):
        if read.kind is ColumnKind.text:
            assert "'amount'" in read.notes, texts
        else:
            assert read.values == pytest.approx(numbers), texts
            assert read.unit == unit, texts
    assert sum(read.kind is not ColumnKind.text for read in found) >= len(RANGES)


DATES: dict[str, str] = {
    "iso": "%Y-%m-%d",
    "german": "%d.%m.%Y",
    "german, two digits": "%d.%m.%y",
    "british": "%d/%m/%Y",
    "american": "%m/%d/%Y",
    "american, two digits": "%m/%d/%y",
    "dashes": "%d-%m-%Y",
    "dashes, american": "%m-%d-%Y",
    "chinese": "%Y年%m月%d日",
    "with a time": "%d.%m.%Y %H:%M",
    "american, with a time": "%m/%d/%Y %I:%M:%S %p",
    "words": "%d %B %Y",
    "short words": "%d-%b-%Y",
    "short words, two digits": "%d-%b-%y",
}


@pytest.mark.parametrize("form", DATES)
def test_dates_come_back_or_stay_text_with_a_note(tmp_path: Path, form: str) -> None:
    rng, written = random.Random(form), list[list[date]]()
    for span in (10, 30_000):
        days = [date(2001, 1, 1) + timedelta(days=rng.randrange(span)) for _ in range(9)]
        for shape, (suffix, separator) in enumerate(SHAPES if span > 10 else SHAPES[:2]):
            path = tmp_path / f"t{len(written):02}_{shape}{suffix}"
            write(path, separator, [day.strftime(DATES[form]) for day in days], "since")
            written.append(days)
    for read, days in zip(columns(tmp_path, "since"), written, strict=True):
        assert read.values == days if read.kind is ColumnKind.date else "'since'" in read.notes


@pytest.mark.parametrize(
    ("values", "note"),
    [
        (["02:41:53", "03:10:00"], "times or durations"),
        (["9:54", "10:43"], "times or durations"),
        (["3:00 PM", "4:15 am"], "times or durations"),
        (["90 m", "45 m"], "numbers in a form that is not known"),
        (["31.12.21", "1.2.20"], "years of two digits"),
        (["3 Dezember 2020", "4 März 2021"], "dates in a form that is not known"),
        (["Q1 2020", "Q2 2021"], "quarters"),
        (["$5", "€5"], "several units ('$', '€')"),
        (["$5", "5"], "several units (none, '$')"),
        (["(1)", "(2)"], "brackets"),
        (["1.2M", "3M"], "numbers in a form that is not known"),
        (["1.2M kg", "3M kg"], "'M' behind its numbers may mean several things"),
        (["1.234 Mio", "2.500 Mio"], "may mean two things"),
        (["1.5 million", "2,5 million"], "may mean two things"),
        (["$1.2M", "€3M"], "several units ('$', '€')"),
        (["1,23,456", "12,34"], "row 2 holds '1,23,456'"),
        (["€1.000", "€2.000"], "points may group thousands or mark decimals"),
        (["$1,200.50", "$3", "soon"], "row 4 holds 'soon'"),
    ],
)
def test_what_is_not_read_is_told(tmp_path: Path, values: list[str], note: str) -> None:
    kind, found, notes, _ = column(tmp_path, values)
    assert (kind, found) == (ColumnKind.text, values)
    assert "column 'amount'" in notes and note in notes


@pytest.mark.parametrize(
    ("values", "read", "unit"),
    [
        (["1,23,456", "12,34,567", "1,234", "-999"], [123456, 1234567, 1234, -999], None),
        (["₹1,23,456.50", "₹2,000"], [123456.5, 2000], "INR"),
        (["1.2M", "340K", "7B", "950"], [1_200_000, 340_000, 7_000_000_000, 950], None),
        (["$1.2M", "($3M)", "$0"], [1_200_000, -3_000_000, 0], "$"),
        (["1,2 Mio. €", "0,5 Mrd. €"], [1_200_000, 500_000_000], "EUR"),
        (["1.5 million", "750 thousand", "2.25 billion"], [1_500_000, 750_000, 2.25e9], None),
        (["1.5 lakh", "2 crore"], [150_000, 20_000_000], None),
        (["3万", "1.5万", "2亿", "8000"], [30_000, 15_000, 200_000_000, 8000], None),
        (["1.15万元", "0.07万元"], [11_500, 700], "CNY"),
        (["1h 20m", "2h 5m", "45 min"], [4800, 7500, 2700], "s"),
        (["PT1H30M", "P1DT2H", "PT0.5S", ""], [5400, 93_600, 0.5, None], "s"),
        (["30:00:05", "02:41:53"], [108_005, 9713], "s"),
    ],
)
def test_magnitudes_lakhs_and_durations(
    tmp_path: Path, values: list[str], read: list[float], unit: str | None
) -> None:
    found = column(tmp_path, values)
    assert found.values == read and found.unit == unit and "column 'amount'" in found.notes


def test_what_is_called_a_duration_is_none_of_the_day(tmp_path: Path) -> None:
    values = ["02:41:53", "03:10:00"]
    assert column(tmp_path, values, "duration").values == [9713, 11_400]
    assert column(tmp_path, values, "start").values == values
    # These may be minutes or hours.
    assert column(tmp_path, ["9:54", "10:43"], "duration").values == ["9:54", "10:43"]


@pytest.mark.parametrize(
    "values",
    [
        ["12M", "14M"],
        ["5B", "7A", "2K"],
        ["3K", "4K"],
        ["A12", "B7"],
        ["192.168.1.1", "10.0.0.1"],
        ["1.2.3", "1.2.4"],
        ["1990-1995", "2001-2004"],
        ["Route 66", "Route 1"],
        ["12a", "14b"],
        ["Main St. 5", "High St. 7"],
    ],
)
def test_names_with_digits_are_texts(tmp_path: Path, values: list[str]) -> None:
    kind, found, notes, _ = column(tmp_path, values)
    assert (kind, found) == (ColumnKind.text, values) and "amount" not in notes


def test_other_columns_of_a_file_say_what_commas_mean(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    for sure, values, kind in (
        ("12.5", ["8,544", "1,200"], ColumnKind.integer),
        ("12,5", ["8,544", "1,200"], ColumnKind.text),
        ("12,5", ["8.544", "1.200"], ColumnKind.text),
        ("12.5", ["8.544", "1.200"], ColumnKind.number),
    ):
        rows = "\n".join(f"Name\t{sure}\t{value}" for value in values)
        path.write_text(f"name\tsure\tamount\n{rows}\n", encoding="utf-8")
        with load([path]) as tables:
            assert tables.tables[0].columns[2].kind is kind, (sure, values)


def test_the_unit_in_the_cells_wins_over_that_in_the_name(tmp_path: Path) -> None:
    values = ["€5.50", "€6.25"]
    assert column(tmp_path, values, "price_eur").unit == "EUR"
    _, _, notes, unit = column(tmp_path, values, "price_usd")
    assert unit == "EUR" and "its name says USD" in notes
    assert column(tmp_path, ["$5.50", "$6.25"], "price_usd").unit == "USD"


def test_columns_without_a_name_are_told_by_their_place(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("name,n,\na,1,\nb,2,\n", encoding="utf-8")
    with load([path]) as tables:
        notes = tables.tables[0].notes
    assert "column 3: holds no values" in notes and "''" not in str(notes)


def test_integers_with_gaps_as_pandas_writes_them(tmp_path: Path) -> None:
    kind, values, _, _ = column(tmp_path, ["5.0", "", "17.0"])
    assert (kind, values) == (ColumnKind.integer, [5, None, 17])
    path = tmp_path / "gaps.json"
    path.write_text('[{"n": 5.0, "x": 1.5}, {"x": 2.0}, {"n": 17.0}]', encoding="utf-8")
    with load([path]) as tables:
        assert [c.kind.value for c in tables.tables[0].columns] == ["integer", "number"]


def test_declared_keys_stay_as_they_are_stored(tmp_path: Path) -> None:
    path = tmp_path / "keys.db"
    with sqlite3.connect(path) as database:
        database.executescript(
            "CREATE TABLE a (code TEXT PRIMARY KEY, name TEXT);"
            "CREATE TABLE b (name TEXT, a TEXT REFERENCES a(code), n TEXT);"
            "INSERT INTO a VALUES ('1', 'one'), ('2b', 'two');"
            "INSERT INTO b VALUES ('x', '1', '5'), ('y', '1', '6')"
        )
    database.close()
    with load([path]) as tables:
        kinds = {c.name: c.kind.value for c in tables.table("b").columns}
        assert kinds == {"name": "text", "a": "text", "n": "integer"}
        assert profile(tables).table("b").foreign_keys[0].origin == "declared"
