"""Relations that files do not declare: by names, by values, within one table, through `5.0`."""

from __future__ import annotations

import csv
import random
import sqlite3
from pathlib import Path

import duckdb

from astra.arenas.tables.load.tables import load
from astra.arenas.tables.profile.profiler import profile
from astra.arenas.tables.schema import Schema

Rows = list[list[object]]


def schema_of(folder: Path, **tables: tuple[str, Rows]) -> Schema:
    for name, (header, rows) in tables.items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([header.split(","), *rows])
    with load([folder]) as loaded:
        return profile(loaded)


def keys(schema: Schema, table: str) -> dict[str, str]:
    return {k.column: f"{k.table}.{k.references}" for k in schema.table(table).foreign_keys}


def codes(number: int, length: int = 3) -> list[str]:
    rng = random.Random(number)
    found: set[str] = set()
    while len(found) < number:
        found.add("".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=length)))
    return sorted(found)


def test_flights(tmp_path: Path) -> None:
    rng = random.Random(3)
    airports, planes = codes(60), [f"N{n}UA" for n in range(100, 140)]
    carriers = ["AA", "DL", "UA", "WN"]
    flights: Rows = [
        [
            rng.choice(carriers),
            n + 100,
            # One aeroplane in ten is not in the register, one destination in fifty no airport.
            "N999XX" if n % 10 == 0 else rng.choice(planes),
            airports[n % 3],
            "ZZ9" if n % 50 == 0 else rng.choice(airports),
            rng.randint(80, 2500),
        ]
        for n in range(400)
    ]
    schema = schema_of(
        tmp_path,
        airlines=("carrier,name", [[c, f"{c} Air Lines"] for c in carriers]),
        airports=("faa,name,alt", [[c, f"{c} Field", 7 * i] for i, c in enumerate(airports)]),
        planes=("tailnum,year,seats", [[t, 1990 + i % 20, 50 + i] for i, t in enumerate(planes)]),
        flights=("carrier,flight,tailnum,origin,dest,distance", flights),
    )
    assert keys(schema, "flights") == {
        "carrier": "airlines.carrier",
        "tailnum": "planes.tailnum",
        "origin": "airports.faa",
        "dest": "airports.faa",
    }
    assert any("'dest': 8 values are not in" in note for note in schema.table("flights").notes)


def test_ship_via_and_reports_to(tmp_path: Path) -> None:
    employees: Rows = [[n, f"Name {chr(64 + n)}", "" if n == 1 else n // 2] for n in range(1, 10)]
    orders: Rows = [[1000 + n, n % 9 + 1, n % 3 + 1, 5 + n % 7] for n in range(40)]
    schema = schema_of(
        tmp_path,
        employees=("employee_id,name,reports_to", employees),
        shippers=("shipper_id,company_name", [[n, f"Ship {chr(64 + n)}"] for n in (1, 2, 3)]),
        orders=("order_id,employee_id,ship_via,order_count", orders),
    )
    assert keys(schema, "orders") == {
        "employee_id": "employees.employee_id",
        "ship_via": "shippers.shipper_id",
    }
    assert keys(schema, "employees") == {"reports_to": "employees.employee_id"}
    assert not schema.table("orders").column("ship_via").quantity


def test_relations_through_floats_with_gaps(tmp_path: Path) -> None:
    songs: Rows = [[f"Song {n}", "" if n % 7 == 0 else f"{n % 5 + 1}.0"] for n in range(40)]
    schema = schema_of(
        tmp_path,
        albums=("album_id,title", [[n, f"Album {chr(64 + n)}"] for n in range(1, 6)]),
        songs=("name,album_id", songs),
    )
    assert keys(schema, "songs") == {"album_id": "albums.album_id"}


def test_parents_within_one_table(tmp_path: Path) -> None:
    rows: Rows = [[f"C{n:02}", f"Topic {chr(65 + n)}", f"C{n // 2:02}"] for n in range(20)]
    schema = schema_of(tmp_path, categories=("code,name,parent_code", rows))
    assert keys(schema, "categories") == {"parent_code": "categories.code"}


def test_what_is_not_a_relation(tmp_path: Path) -> None:
    rng = random.Random(5)
    rows: Rows = [[f"Firm {n}", rng.randint(1, 9), rng.choice("ABC"), n % 4 + 1] for n in range(60)]
    schema = schema_of(
        tmp_path,
        orders=("order_id,name", [[n, f"Order {chr(64 + n)}"] for n in range(1, 20)]),
        grades=("grade,meaning", [["A", "good"], ["B", "fair"], ["C", "poor"]]),
        firms=("firm,order_count,class,floors", rows),
    )
    assert keys(schema, "firms") == {}


def test_keys_of_several_columns_are_told(tmp_path: Path) -> None:
    batting: Rows = [
        [f"player{n:02}", year, stint, 5 * n + stint]
        for n in range(12)
        for year in (2001, 2002)
        for stint in (1, 2)
    ]
    schema = schema_of(tmp_path, batting=("player,year,stint,hits", batting))
    table = schema.table("batting")
    assert any("player, year, stint" in note and "together" in note for note in table.notes)


def test_declared_keys_of_several_columns_are_told(tmp_path: Path) -> None:
    declared = (
        "CREATE TABLE a (x INTEGER, y INTEGER, name TEXT, PRIMARY KEY (x, y));"
        "CREATE TABLE b (x INTEGER, y INTEGER, name TEXT, FOREIGN KEY (x, y) REFERENCES a(x, y));"
        "INSERT INTO a VALUES (1, 1, 'one'), (1, 2, 'two');"
        "INSERT INTO b VALUES (1, 1, 'uno'), (1, 2, 'dos')"
    )
    with sqlite3.connect(tmp_path / "s.db") as database:
        database.executescript(declared)
    database.close()
    with duckdb.connect(str(tmp_path / "d.duckdb")) as other:
        other.execute(declared)
    for name in ("s.db", "d.duckdb"):
        with load([tmp_path / name]) as tables:
            assert any("several columns, not used: x, y" in n for n in tables.table("a").notes)
            assert any("several columns to 'a'" in n for n in tables.table("b").notes)


def test_a_table_with_each_player_once_points_to_the_players(tmp_path: Path) -> None:
    players: Rows = [[f"p{n:02}x", f"Player {chr(65 + n)}"] for n in range(20)]
    awards: Rows = [[f"p{n:02}x", "Best", 10 + n % 3] for n in range(0, 20, 2)]
    fame: Rows = [[f"p{n:02}x", 2000 + year] for n in range(0, 12, 4) for year in (1, 2)]
    schema = schema_of(
        tmp_path,
        # The first table by name, and each of its players once: it is not that of the players.
        awards=("player_id,award,votes", awards),
        fame=("player_id,year", fame),
        people=("player_id,name", players),
    )
    for table in ("awards", "fame"):
        assert keys(schema, table) == {"player_id": "people.player_id"}
    # Its rows are no players, and have no name.
    assert schema.table("awards").naming is None


def test_tables_of_the_same_rows_do_not_point_to_one_another(tmp_path: Path) -> None:
    rows: Rows = [[f"C{n:02}", f"Place {chr(65 + n)}", n * n] for n in range(20)]
    schema = schema_of(
        tmp_path,
        areas=("geo_code,name,area", rows),
        people=("geo_code,name,number_of_people", rows),
    )
    assert keys(schema, "areas") == keys(schema, "people") == {}
