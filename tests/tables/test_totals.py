"""Rows of totals are set aside; entities that are called like totals are not."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pytest

from astra.arenas.tables.load.tables import load
from astra.arenas.tables.load.totals import total_of
from astra.arenas.tables.schema import TableOptions, TablesOptions

NAMES = ["Alpine", "Baltic", "Crown", "Delta", "Ember", "Fjord"]


def read(folder: Path, rows: list[list[object]], options: TablesOptions = TablesOptions()):  # type: ignore[no-untyped-def]  # noqa: B008
    path = folder / "sheet.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([["company", "city", "q1", "q2"], *rows])
    with load([path], options) as tables:
        table = tables.tables[0]
        found = tables.connection.execute("SELECT __row, company FROM sheet ORDER BY 1").fetchall()
        assert [row for row, _ in found] == list(range(table.rows))
        return [name for _, name in found], "\n".join(table.notes)


@pytest.mark.parametrize(
    ("form", "grand"),
    [
        ("{} Total", "Grand Total"),
        ("Total {}", "Total"),
        ("Subtotal: {}", "TOTAL"),
        ("Total for {}", "Totals"),
        ("Summe {}", "Gesamtsumme"),
        ("{} gesamt", "Insgesamt"),
        ("{} Ergebnis", "Gesamtergebnis"),
        ("Sous-total {}", "Total général"),
        ("Subtotal {}", "Suma"),
        ("{}合计", "总计"),
        ("{} 小计", "合计"),
        ("Subtotal", "Total"),
        ("Итого {}", "Всего"),
    ],
)
@pytest.mark.parametrize("group_first", [False, True])
def test_totals_and_subtotals_are_set_aside(
    tmp_path: Path, form: str, grand: str, group_first: bool
) -> None:
    rng = random.Random(form)
    rows: list[list[object]] = []
    for city in ("Berlin", "Dresden", "Köln"):
        block = [[f"{name} {city}", city, rng.randint(9, 900), rng.randint(9, 900)]
                 for name in NAMES]  # fmt: skip
        label = form.format(city)
        total = [label, city if "{}" in form else "", sum(r[2] for r in block), sum(r[3] for r in block)]  # type: ignore[misc]  # fmt: skip  # noqa: E501
        rows += [total, *block] if group_first else [*block, total]
    sums = [sum(int(str(row[c])) for row in rows) // 2 for c in (2, 3)]
    rows.append([grand, "", *sums])
    names, notes = read(tmp_path, rows)
    assert len(names) == 18 and not [name for name in names if total_of(name) is not None]
    assert "4 rows of totals set aside" in notes and "row" in notes


@pytest.mark.parametrize("name", ["Total", "Total Recall", "Sum 41", "Summe", "Totale Bank"])
def test_entities_called_like_totals_stay(tmp_path: Path, name: str) -> None:
    rows: list[list[object]] = [[n, "Paris", 500 + 7 * i, 90 - i] for i, n in enumerate(NAMES)]
    rows.insert(3, [name, "Lyon", 507, 41])
    names, notes = read(tmp_path, rows)
    assert name in names and "totals" not in notes


def test_a_total_of_rounded_or_missing_numbers(tmp_path: Path) -> None:
    rows: list[list[object]] = [[n, "Paris", 500.4 + i, ""] for i, n in enumerate(NAMES)]
    total = sum(float(str(row[2])) for row in rows)
    assert "Total" not in read(tmp_path, [*rows, ["Total", "", round(total), ""]])[0]
    # Not the sum, but above all others, and called nothing but a total.
    assert "Total" not in read(tmp_path, [*rows, ["Total", "", 9_000, ""]])[0]


def test_the_user_may_keep_totals(tmp_path: Path) -> None:
    rows: list[list[object]] = [[n, "Paris", 5 + i, i] for i, n in enumerate(NAMES)]
    rows.append(["Total", "", sum(range(5, 11)), sum(range(6))])
    assert "Total" not in read(tmp_path, rows)[0]
    kept = TablesOptions(tables={"sheet": TableOptions(keep_totals=True)})
    assert "Total" in read(tmp_path, rows, kept)[0]
