"""The tables of the invented shop: written by their script, and true to each other."""

from __future__ import annotations

import csv
import re
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from astra.arenas.tables.load.tables import load
from astra.arenas.tables.profile.profiler import profile

ROOT = Path(__file__).parent.parent
SHOP = ROOT / "examples" / "shop"
sys.path.insert(0, str(ROOT / "tools"))

import make_shop  # noqa: E402 - a script, not a package

Row = dict[str, str]


def read(name: str) -> list[Row]:
    with (SHOP / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


TABLES = {name: read(name) for name in make_shop.COLUMNS}


def by_key(name: str) -> dict[str, Row]:
    key = next(iter(TABLES[name][0]))
    return {row[key]: row for row in TABLES[name]}


def test_the_script_writes_these_bytes(tmp_path: Path) -> None:
    make_shop.write(tmp_path)
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert written == {path.name: path.read_bytes() for path in SHOP.glob("*.csv")}


def test_keys_and_relations_hold() -> None:
    assert 1_500 <= sum(map(len, TABLES.values())) <= 1_700
    keys = {next(iter(rows[0])): name for name, rows in TABLES.items()}
    for name, rows in TABLES.items():
        assert len(by_key(name)) == len(rows), name
        for column in rows[0].keys() & keys.keys():
            assert {row[column] for row in rows} <= by_key(keys[column]).keys(), (name, column)


@pytest.mark.parametrize("column", ["name", "name_zh", "email"])
def test_names_are_whole_names_of_one(column: str) -> None:
    people = [row[column] for row in TABLES["customers"] + TABLES["staff"]]
    assert len(set(people)) == len(people)
    assert len({re.split("[ ·.@]", name)[0] for name in people}) < len(people)
    if column != "email":
        products = [row[column] for row in TABLES["products"]]
        assert len(set(products)) == len(products)
        begun = [a for a in products for b in products if b != a and b.startswith(a)]
        assert len(begun) > 10, "names that are the start of others"


def test_amounts_are_exact() -> None:
    products, totals = by_key("products"), dict.fromkeys(by_key("orders"), Decimal(0))
    for line in TABLES["order_lines"]:
        assert line["unit_price"] == products[line["product_id"]]["price"]
        assert 1 <= int(line["quantity"]) <= 6
        assert line["amount"] == str(int(line["quantity"]) * Decimal(line["unit_price"]))
        totals[line["order_id"]] += Decimal(line["amount"])
    assert {row["order_id"]: row["total"] for row in TABLES["orders"]} == {
        order: str(total) for order, total in totals.items()
    }
    assert all(re.fullmatch(r"\d+\.\d\d", row["price"]) for row in TABLES["products"])
    assert any(row["quantity"] == "0" for row in TABLES["stock"])


def test_dates_stand_where_a_status_says_so() -> None:
    customers, orders = by_key("customers"), by_key("orders")
    for order in orders.values():
        shipped = order["status"] in ("shipped", "delivered")
        assert bool(order["shipped_on"]) is shipped
        assert not shipped or order["ordered_on"] < order["shipped_on"]
        assert "2025-01-02" <= order["ordered_on"] <= "2026-02-27"
        assert customers[order["customer_id"]]["joined"] < order["ordered_on"]
    bought = {(line["order_id"], line["product_id"]): line for line in TABLES["order_lines"]}
    for row in TABLES["returns"]:
        line = bought[row["order_id"], row["product_id"]]
        assert orders[row["order_id"]]["ordered_on"] < row["requested_on"]
        assert bool(row["refund"]) is (row["status"] == "refunded")
        assert not row["refund"] or Decimal(row["refund"]) <= Decimal(line["amount"])
    for ticket in TABLES["tickets"]:
        assert bool(ticket["closed_on"]) is (ticket["status"] == "closed")
        assert not ticket["closed_on"] or ticket["opened_on"] <= ticket["closed_on"]
    statuses = {
        (name, row["status"]) for name, rows in TABLES.items() for row in rows if "status" in row
    }
    assert len(statuses) == 5 + 4 + 3


def test_the_tables_are_read_without_doubts() -> None:
    with load([SHOP]) as tables:
        schema = profile(tables)
    assert [note.split(": ", 1)[1] for note in schema.notes] == ["no tables: 'README.md'"]
    assert not any(table.notes for table in schema.tables)
    assert {table.name: len(table.foreign_keys) for table in schema.tables} == {
        "customers": 0, "products": 0, "warehouses": 0, "staff": 0,
        "stock": 2, "orders": 1, "order_lines": 2, "returns": 2, "tickets": 2,
    }  # fmt: skip
