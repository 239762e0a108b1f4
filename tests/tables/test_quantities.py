"""Numbers that are not quantities: codes, keys, flags, parts of dates and times."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from astra.arenas.tables.load.counts import SAMPLE
from astra.arenas.tables.load.tables import load
from astra.arenas.tables.profile.profiler import profile
from astra.arenas.tables.schema import (
    Column,
    ColumnKind,
    ColumnOptions,
    TableOptions,
    TablesOptions,
)
from astra.arenas.tables.source import TableSourceOptions
from tests.tables.made import arenas, candidates

ROWS = 60


def column(
    folder: Path, name: str, values: list[object], options: TablesOptions | None = None
) -> tuple[Column, tuple[str, ...]]:
    path = folder / "firms.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        rows = [[f"Firm {n}", value] for n, value in enumerate(values)]
        csv.writer(stream).writerows([["company", name], *rows])
    with load([path], options or TablesOptions()) as tables:
        table = profile(tables).tables[0]
        return table.columns[1], table.notes


def drawn(low: int, high: int) -> list[object]:
    rng = random.Random(low + high)
    return [rng.randint(low, high) for _ in range(ROWS)]


CODED: list[tuple[str, list[object]]] = [
    ("month", drawn(1, 12)),
    ("Monat", drawn(1, 12)),
    ("birth_month", drawn(1, 12)),
    ("mois", drawn(1, 12)),
    ("月份", drawn(1, 12)),
    ("day", drawn(1, 31)),
    ("day_of_week", drawn(1, 7)),
    ("weekday", drawn(0, 6)),
    ("hour", drawn(0, 23)),
    ("Stunde", drawn(0, 23)),
    ("minute", drawn(0, 59)),
    ("quarter", drawn(1, 4)),
    ("half", drawn(1, 2)),
    ("yearid", drawn(1950, 2020)),
    ("starting_pos", drawn(0, 9)),
    ("dep_time", [hour * 100 + minute for hour in range(5, 17) for minute in (0, 17, 29, 43, 59)]),
    ("is_active", drawn(0, 1)),
    ("smoker", drawn(0, 1)),
    ("plz", drawn(10_000, 99_999)),
    ("zip_code", drawn(10_000, 99_999)),
    ("codigo_postal", drawn(10_000, 52_999)),
    ("code_postal", drawn(10_000, 95_999)),
    ("Telefonnummer", drawn(10**10, 10**11)),
    ("phone", drawn(10**10, 10**11)),
    ("Kundennummer", drawn(100_000, 999_999)),
    ("customer_number", drawn(100_000, 999_999)),
    ("客户编号", drawn(100_000, 999_999)),
    ("tax_number", drawn(10**9, 10**10)),
    ("siret", drawn(10**13, 10**14)),
    ("nif", drawn(10**8, 10**9)),
    ("license", [10_000 + 7 * n for n in range(ROWS)]),
    ("hired_date", drawn(36_000, 45_000)),
    ("Datum", drawn(36_000, 45_000)),
    ("date", [20_200_101 + n % 28 for n in range(ROWS)]),
    ("month", [202_001 + n % 12 for n in range(ROWS)]),
    ("created_at", drawn(1_500_000_000, 1_700_000_000)),
    ("pclass", drawn(1, 3)),
    ("nr", list(range(1, ROWS + 1))),
    ("row", list(range(1, ROWS + 1))),
]
QUANTITIES: list[tuple[str, list[object]]] = [
    ("employees", drawn(1, 9_000)),
    ("Mitarbeiter", drawn(1, 9_000)),
    ("monthly_visitors", drawn(1, 12)),
    ("sales_per_month", drawn(1, 12)),
    ("days", drawn(1, 31)),
    ("air_time", drawn(20, 690)),
    ("founded_year", drawn(1900, 2020)),
    ("price_usd", drawn(10_000, 99_999)),
    ("order_count", drawn(10_000, 99_999)),
    ("number_of_rooms", drawn(1, 31)),
    ("visitor_numbers", drawn(10_000, 99_999)),
    ("numero_empleados", drawn(1, 9_000)),
    ("market_cap", drawn(10_000, 99_999)),
    ("population", drawn(10_000, 10**7)),
    ("goals", drawn(0, 4)),
]


@pytest.mark.parametrize(("name", "values"), CODED)
def test_codes_are_not_quantities(tmp_path: Path, name: str, values: list[object]) -> None:
    found, _ = column(tmp_path, name, values)
    assert not found.quantity or found.kind in (ColumnKind.text, ColumnKind.date)


@pytest.mark.parametrize(("name", "values"), QUANTITIES)
def test_counts_and_measures_are_quantities(
    tmp_path: Path, name: str, values: list[object]
) -> None:
    found, _ = column(tmp_path, name, values)
    assert found.quantity and found.kind is ColumnKind.integer


def test_the_user_decides(tmp_path: Path) -> None:
    said = ColumnOptions(kind=ColumnKind.integer)
    options = TablesOptions(tables={"firms": TableOptions(columns={"month": said})})
    assert column(tmp_path, "month", drawn(1, 12), options)[0].quantity


def test_dates_written_as_numbers_are_told(tmp_path: Path) -> None:
    _, notes = column(tmp_path, "hired_date", drawn(36_000, 45_000))
    assert any("'hired_date'" in note and "save them as dates" in note for note in notes)


def test_no_arithmetic_on_codes(tmp_path: Path) -> None:
    """No goal of an arena subtracts, sums, averages, ranks or compares codes."""
    rng = random.Random(1)
    codes: dict[str, Callable[[], object]] = {
        "is_active": lambda: rng.randint(0, 1),
        "phone": lambda: rng.randint(10**10, 10**11),
        "plz": lambda: rng.randint(10_000, 99_999),
        "kundennummer": lambda: rng.randint(10**5, 10**6),
        "month": lambda: rng.randint(1, 12),
    }
    path = tmp_path / "customers.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["company", "city", "employees", *codes])
        for number in range(ROWS):
            row = [f"Firm {number}", f"City {chr(65 + number % 6)}", rng.randint(1, 900)]
            writer.writerow([*row, *(value() for value in codes.values())])
    found = arenas(candidates([path], 120, TableSourceOptions(seed=5)))
    assert len(found) > 50
    numbers = [
        goal
        for arena in found
        for goal in arena.goals
        if goal.call is not None
        and isinstance(goal.answer, int | float)
        # To look a number up is no arithmetic: such a call names one row and one of its columns.
        and not (len(goal.call.arguments) == 2 and "attribute" in goal.call.arguments)
    ]
    assert len(numbers) > 20
    asked = {word for goal in numbers for word in codes if word in goal.question.split()}
    assert not asked


def test_columns_without_values_in_a_large_table(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = "\n".join(f"Row {n},,{n}" for n in range(SAMPLE + 5))
    path.write_text(f"name,empty,size\n{rows}\n", encoding="utf-8")
    with load([path]) as tables:
        schema = profile(tables)
        assert schema.tables[0].column("empty").distinct == 0
        assert any("'empty': holds no values" in note for note in schema.tables[0].notes)
