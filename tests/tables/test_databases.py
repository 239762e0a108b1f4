"""Live databases: addresses, secrets in them, and extensions that are not there."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from astra.arenas.tables.load.columnar import KeyConstraint
from astra.arenas.tables.load.databases import is_address, key_constraints
from astra.arenas.tables.load.tables import load
from astra.arenas.tables.profile.profiler import profile
from astra.errors import TableError


def test_sqlite_by_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.executescript("CREATE TABLE t (name TEXT); INSERT INTO t VALUES ('a'), ('b')")
    database.close()
    monkeypatch.chdir(tmp_path)
    for address in (f"sqlite:///{tmp_path}/shop.db", "sqlite:///shop.db"):
        # The command line makes a `Path` of it, which has one slash where two were.
        for given in (address, Path(address)):
            with load([given]) as tables:
                assert tables.table("t").rows == 2


def test_keys_that_a_database_declares_are_relations(tmp_path: Path) -> None:
    """Where neither names nor values tell them."""
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.executescript(
            """
            CREATE TABLE vessel (hull INTEGER PRIMARY KEY, title TEXT);
            CREATE TABLE trip (no INTEGER PRIMARY KEY, aboard INTEGER REFERENCES vessel);
            INSERT INTO vessel VALUES (1, 'Ada'), (2, 'Bea');
            INSERT INTO trip VALUES (7, 1), (8, 1), (9, 2);
            """
        )
    database.close()
    with load([f"sqlite:///{tmp_path}/shop.db"]) as tables:
        (key,) = profile(tables).table("trip").foreign_keys
    assert (key.column, key.table, key.references, key.origin) == (
        *("aboard", "vessel", "hull", "declared"),
    )


def test_keys_as_servers_say_them() -> None:
    """A row for each column; the rows are those of a PostgreSQL server."""
    tables = [("old", "country"), ("old", "town"), ("public", "country"), ("public", "line"),
              ("public", "part"), ("public", "place"), ("public", "shed")]  # fmt: skip
    keys, notes = key_constraints(
        [
            ("old", "town", "town_pkey", "id", None, None, None),
            ("pg_catalog", "pg_am", "pg_am_oid_index", "oid", None, None, None),
            ("public", "line", "line_pkey", "order_no", None, None, None),
            ("public", "line", "line_pkey", "item", None, None, None),
            ("public", "part", "part_order_no_item_fkey", "order_no", "line", "public", "order_no"),
            ("public", "part", "part_order_no_item_fkey", "item", "line", "public", "item"),
            ("public", "part", "part_pkey", "id", None, None, None),
            ("public", "part", "part_town_fkey", "town", "town", "old", "id"),
            ("public", "place", "place_hidden_fkey", "hidden", "secret", "public", "id"),
            ("public", "place", "place_nation_fkey", "nation", "country", "public", "code"),
        ],
        tables,
    )
    assert keys == {
        ("old", "town"): [KeyConstraint(["id"], None, [])],
        ("public", "line"): [KeyConstraint(["order_no", "item"], None, [])],
        ("public", "part"): [
            KeyConstraint(["order_no", "item"], "line", ["order_no", "item"]),
            KeyConstraint(["id"], None, []),
            KeyConstraint(["town"], "town", ["id"]),
        ],
    }
    # One table isn't read, and two are called `country`.
    assert [note.partition(" in schema")[0] for note in notes] == [
        "foreign key of 'place' to 'secret'",
        "foreign key of 'place' to 'country'",
    ]


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://ann:geheim@db.example/shop",
        "mysql://ann:geheim@db.example:3306/shop",
        "postgresql://db.example/shop?password=geheim",
    ],
)
def test_addresses_with_secrets_are_refused_unshown(address: str) -> None:
    for given in (address, Path(address)):
        with pytest.raises(TableError) as caught:
            load([given]).close()
        said = str(caught.value)
        assert "PGPASSWORD" in said or "MYSQL_PWD" in said
        assert "geheim" not in said and "ann" not in said


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("oracle://db/shop", "is not a database that can be read"),
        ("postgresql://db:port/shop", "not an address"),
        ("postgresql://db/", "names no database"),
        ("postgresql://db/sh op' dbname=x", "names no database"),
    ],
)
def test_other_addresses_are_refused(address: str, says: str) -> None:
    with pytest.raises(TableError, match=says):
        load([address]).close()


def test_without_a_server_or_an_extension_the_message_says_what_to_do() -> None:
    for address in ("postgresql://127.0.0.1:9/shop", "mysql://127.0.0.1:9/shop"):
        with pytest.raises(TableError) as caught:
            load([address]).close()
        assert "INSTALL" in str(caught.value) or "can't be opened" in str(caught.value)


def test_paths_are_not_addresses(tmp_path: Path) -> None:
    assert not is_address(tmp_path) and not is_address("data/t.csv") and not is_address("a:b")
    assert is_address("mysql://h/d") and is_address(Path("postgresql://h/d"))
