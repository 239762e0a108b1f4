"""Loading: formats, options files, names, keys, and the promises of the DuckDB tables."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from astra.arenas.tables.load import raw
from astra.arenas.tables.load.names import column_identifiers, identifier
from astra.arenas.tables.load.tables import DeclaredKey, Tables, load
from astra.arenas.tables.schema import ColumnKind, ColumnOptions, TableOptions, TablesOptions
from astra.errors import ConfigError, TableError


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def rows(tables: Tables, name: str) -> list[tuple[Any, ...]]:
    return tables.connection.execute(f'SELECT * FROM "{name}"').fetchall()


def kinds(tables: Tables, name: str) -> dict[str, str]:
    return {column.name: column.kind.value for column in tables.table(name).columns}


# --- formats ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "name,n\nAnn,1\nBob,2\n"),
        ("t.csv", "name;n\nAnn;1\nBob;2\n"),
        ("t.csv", "name|n\nAnn|1\nBob|2\n"),
        ("t.csv", "name\tn\nAnn\t1\nBob\t2\n"),
        ("t.tsv", "name\tn\nAnn\t1\nBob\t2\n"),
        ("t.json", '[{"name": "Ann", "n": 1}, {"n": 2, "name": "Bob"}]'),
        ("t.json", '{"name": ["Ann", "Bob"], "n": [1, 2]}'),
        ("t.json", '{"count": 2, "rows": [{"name": "Ann", "n": 1}, {"name": "Bob", "n": 2}]}'),
        ("t.jsonl", '{"name": "Ann", "n": 1}\n\n{"name": "Bob", "n": 2}\n'),
        ("t.ndjson", '{"name": "Ann", "n": 1}\n{"name": "Bob", "n": 2}'),
    ],
)
def test_text_formats(tmp_path: Path, name: str, text: str) -> None:
    with load([write(tmp_path, name, text)]) as tables:
        assert rows(tables, "t") == [(0, "Ann", 1), (1, "Bob", 2)]
        assert kinds(tables, "t") == {"name": "text", "n": "integer"}


def test_json_objects_by_key_and_several_tables(tmp_path: Path) -> None:
    write(tmp_path, "by_key.json", '{"DE": {"name": "Germany"}, "FR": {"name": "France"}}')
    write(tmp_path, "both.json", '{"as": [{"x": 1}], "bs": [{"y": "2"}]}')
    with load([tmp_path]) as tables:
        assert rows(tables, "by_key") == [(0, "DE", "Germany"), (1, "FR", "France")]
        assert rows(tables, "as") == [(0, 1)]
        assert rows(tables, "bs") == [(0, 2)]


@pytest.mark.parametrize(
    "value",
    [3, {}, [1, 2], [{"a": 1}, 2], {"a": 1}, {"a": [1], "b": [1, 2]}, {"a": {"key": 1}}],
)
def test_json_that_is_no_table(tmp_path: Path, value: object) -> None:
    path = write(tmp_path, "t.json", json.dumps(value))
    with pytest.raises(TableError, match=r"t\.json"):
        load([path])


def test_json_kinds(tmp_path: Path) -> None:
    values = [
        {"i": 1, "f": 1, "b": True, "s": "007", "d": "2020-01-02", "l": [1], "m": 1, "e": None},
        {"i": 2, "f": 1.5e-7, "b": False, "s": "8", "d": None, "l": None, "m": "x", "e": None},
        {"f": float("nan")},
    ]
    with load([write(tmp_path, "t.json", json.dumps(values))]) as tables:
        assert kinds(tables, "t") == {
            "i": "integer", "f": "number", "b": "boolean", "s": "text", "d": "date",
            "l": "other", "m": "text", "e": "text",
        }  # fmt: skip
        found = rows(tables, "t")
        assert [row[2] for row in found] == [1.0, 1.5e-7, None]
        assert [row[4] for row in found] == ["007", "8", None]
        assert any("'m'" in note for note in tables.table("t").notes)
        assert any("'e': holds no values" in note for note in tables.table("t").notes)


def database(path: Path, statements: Sequence[str]) -> Path:
    if path.suffix == ".duckdb":
        with duckdb.connect(path) as connection:
            for statement in statements:
                connection.execute(statement)
    else:
        other = sqlite3.connect(path)
        for statement in statements:
            other.execute(statement)
        other.commit()
        other.close()
    return path


STATEMENTS = (
    'CREATE TABLE "Big Countries" ("Code" VARCHAR PRIMARY KEY, name VARCHAR)',
    'CREATE TABLE cities (id INTEGER PRIMARY KEY, "Land" VARCHAR REFERENCES "Big Countries")',
    "INSERT INTO \"Big Countries\" VALUES ('DE', 'Germany'), ('FR', 'France')",
    "INSERT INTO cities VALUES (1, 'DE'), (2, 'FR'), (3, 'DE')",
    "CREATE VIEW v AS SELECT 1 AS one",
)


@pytest.mark.parametrize("name", ["d.duckdb", "d.sqlite", "d.db"])
def test_databases_with_declared_keys(tmp_path: Path, name: str) -> None:
    path = database(tmp_path / name, STATEMENTS)
    before = path.read_bytes()
    with load([path]) as tables:
        assert [table.name for table in tables.tables] == ["big_countries", "cities"]
        assert tables.table("big_countries").key == "code"
        assert tables.table("cities").foreign_keys == (
            DeclaredKey("land", "big_countries", "code"),
        )
        assert rows(tables, "cities") == [(0, 1, "DE"), (1, 2, "FR"), (2, 3, "DE")]
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_sqlite_values_decide_not_declared_types(tmp_path: Path) -> None:
    path = database(
        tmp_path / "t.db",
        (
            "CREATE TABLE t (a INTEGER, b, c REAL, d BOOLEAN, e BLOB, f TEXT)",
            "INSERT INTO t VALUES ('x', 1, 1, 1, x'00', '12'), (2, 2.5, 2.5, 0, NULL, '13')",
        ),
    )
    with load([path]) as tables:
        assert kinds(tables, "t") == {
            "a": "text", "b": "number", "c": "number", "d": "boolean", "e": "other", "f": "integer",
        }  # fmt: skip
        assert any("'a': values of several types" in note for note in tables.table("t").notes)


def test_numbers_of_json_and_sqlite_are_kept_to_the_last_digit(tmp_path: Path) -> None:
    largest = 2**63 - 1
    values = [
        {"i": largest, "wide": largest, "f": 0.1 + 0.2, "inf": 1.5},
        {"i": -largest - 1, "wide": largest + 1, "f": 3, "inf": math.inf},
    ]
    text = json.dumps(values).replace("Infinity", "1e999")
    stored = database(
        tmp_path / "s.db",
        ("CREATE TABLE t (i, f)", f"INSERT INTO t VALUES ({largest}, 0.1), (NULL, 9e999)"),
    )
    with load([write(tmp_path, "t.json", text), stored]) as tables:
        assert kinds(tables, "t") == {
            "i": "integer",
            "wide": "text",
            "f": "number",
            "inf": "number",
        }
        assert rows(tables, "t") == [
            (0, largest, str(largest), 0.1 + 0.2, 1.5),
            (1, -largest - 1, str(largest + 1), 3.0, None),
        ]
        assert rows(tables, "t_db") == [(0, largest, 0.1), (1, None, None)]


def test_rows_keep_their_order_over_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw, "_CHUNK_CELLS", 14)
    values = [{"i": n if n % 3 else None, "s": f"n{n}"} for n in range(100)]
    with load([write(tmp_path, "t.json", json.dumps(values))]) as tables:
        assert rows(tables, "t") == [(n, v["i"], v["s"]) for n, v in enumerate(values)]


def test_parquet_and_duckdb_types(tmp_path: Path) -> None:
    query = (
        "SELECT * FROM (VALUES (1::UTINYINT, 3.14::FLOAT, 1.20::DECIMAL(9,2), "
        "TIMESTAMP '2020-01-02 23:59:00', DATE 'infinity', true, 'x'::ENUM('x','y'), [1], "
        "170141183460469231731687303715884105727::HUGEINT, TIMESTAMPTZ '2020-01-02 23:59:00+00'), "
        "(2, 'nan', NULL, NULL, '2021-01-01', false, 'y', [], 1, NULL)) "
        "t(i, f, dec, ts, inf, b, e, l, h, tz)"
    )
    path = tmp_path / "t.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({query}) TO '{path}'")
    with load([path]) as tables:
        assert kinds(tables, "t") == {
            "i": "integer", "f": "number", "dec": "number", "ts": "date", "inf": "date",
            "b": "boolean", "e": "text", "l": "other", "h": "number", "tz": "date",
        }  # fmt: skip
        first, second = rows(tables, "t")
        assert first[2] == 3.14 and second[2] is None
        assert str(first[4]) == "2020-01-02" and str(first[10]) == "2020-01-02"
        assert first[5] is None and str(second[5]) == "2021-01-01"


def test_a_path_that_looks_like_a_pattern(tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT 7 AS a) TO '{tmp_path / 'x.parquet'}'")
    (tmp_path / "x.parquet").rename(tmp_path / "we[i]rd*'.parquet")
    with load([tmp_path / "we[i]rd*'.parquet"]) as tables:
        assert rows(tables, "we_i_rd") == [(0, 7)]


def test_typed_columns_and_row_numbers(tmp_path: Path) -> None:
    lines = "".join(f"n{i},{i},{i}.5,2020-01-{1 + i % 28:02},true\n" for i in range(30_000))
    with load([write(tmp_path, "t.csv", f"s,i,f,d,b\n{lines}")]) as tables:
        described = tables.connection.execute("DESCRIBE t").fetchall()
        assert [(row[0], row[1]) for row in described] == [
            ("__row", "BIGINT"), ("s", "VARCHAR"), ("i", "BIGINT"), ("f", "DOUBLE"),
            ("d", "DATE"), ("b", "BOOLEAN"),
        ]  # fmt: skip
        off = tables.connection.execute("SELECT count(*) FROM t WHERE __row <> i").fetchone()
        assert off == (0,)


def test_rows_without_a_value_are_left_out_with_a_note(tmp_path: Path) -> None:
    with load([write(tmp_path, "t.csv", 'a,b\nx,1\n,\n"",""\ny,2\n,\n')]) as tables:
        assert rows(tables, "t") == [(0, "x", 1), (1, "y", 2)]
        assert tables.table("t").notes == ("3 rows without any value left out, first: line 3",)


# --- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("Area (km²)", "area_km2"), ("countryCode", "country_code"), 
        ("GDPPerCapita", "gdp_per_capita"),
        ("人口", "人口"), ("  a--b  ", "a_b"), ("2020", "x_2020"), ("", "x"), ("😀", "x"),
        ("user ID", "user_id"), ("ISO2", "iso2"), ("Größe", "grösse"),
        ("teamIDwinner", "team_id_winner"), ("lgIDLoser", "lg_id_loser"), ("userIDs", "user_ids"),
    ],
)  # fmt: skip
def test_identifiers(name: str, made: str) -> None:
    assert identifier(name, fallback="x") == made


def test_long_names_that_begin_alike_keep_their_ends() -> None:
    asked = "Overall, how satisfied were you with the following aspects of your last purchase?"
    made = column_identifiers(["Country", *(f"{asked} [{end}]" for end in ("Price", "Product"))])
    assert made == [
        "country", "overall_how_satisfied_price", "overall_how_satisfied_product"
    ]  # fmt: skip


def test_column_identifiers_are_unique() -> None:
    names = ["a b", "a-b", "A_B", "", "a b 2", "x" * 100, "x" * 101]
    made = column_identifiers(names)
    assert made[:5] == ["a_b", "a_b_2", "a_b_3", "column_4", "a_b_2_2"]
    assert len(set(made)) == len(names)


def test_tables_of_one_name(tmp_path: Path) -> None:
    write(tmp_path, "data.csv", "a\nx\n")
    write(tmp_path, "data.json", '[{"a": "y"}]')
    write(tmp_path, "Dáta.json", '[{"a": "z"}]')
    with load([tmp_path]) as tables:
        assert sorted(table.name for table in tables.tables) == ["data", "data_csv", "data_json"]
        assert sum("there already" in note for note in tables.notes) == 2


def test_files_given_twice_and_other_files(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "a\nx\n")
    write(tmp_path, "README.md", "hello")
    write(tmp_path, ".hidden.csv", "broken\n1,2,3\n")
    with load([path, tmp_path]) as tables:
        assert [table.name for table in tables.tables] == ["a"]
        assert any("README.md" in note for note in tables.notes)


# --- options ---------------------------------------------------------------------------------


def test_a_folders_options_and_the_callers(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "Code,n\n1,2\n2,3\n")
    toml = '[tables.a]\ndomain = "x"\nkey = "Code"\n[tables.a.columns.Code]\nkind = "text"\n'
    write(tmp_path, "tables.toml", toml)
    over = TablesOptions(tables={"a": TableOptions(domain="y")})
    with load([tmp_path], over) as tables:
        assert kinds(tables, "a") == {"code": "text", "n": "integer"}
        said = tables.options.tables["a"]
        assert (said.domain, said.key) == ("y", "code")
        assert said.columns == {"code": ColumnOptions(kind=ColumnKind.text)}


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("[tables.a", "is not a TOML file"),
        ("[tables.a]\nkeys = 'x'", "tables.a.keys"),
        ("[tables.a]\nignore = 3", "tables.a.ignore"),
        ("[tables.a.columns.n]\nkind = 'float'", "tables.a.columns.n.kind"),
        ("\x00", "is not a TOML file"),
    ],
)
def test_a_bad_options_file_is_named_with_its_key(tmp_path: Path, toml: str, says: str) -> None:
    write(tmp_path, "a.csv", "a,n\nx,2\n")
    write(tmp_path, "tables.toml", toml)
    with pytest.raises(ConfigError) as caught:
        load([tmp_path])
    assert "tables.toml" in str(caught.value) and says in str(caught.value)


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"citys": {}}, "'citys'; did you mean 'cities'?"),
        ({"cities": {"key": "nam"}}, "'nam'; did you mean 'name'?"),
        ({"cities": {"naming": "x"}}, "cities.naming"),
        ({"cities": {"ignore": ["x"]}}, "cities.ignore"),
        ({"cities": {"columns": {"x": {}}}}, "cities.columns"),
        ({"cities": {"foreign_keys": {"x": "cities.name"}}}, "no column is called 'x'"),
        ({"cities": {"foreign_keys": {"name": "towns.name"}}}, "no table is called 'towns'"),
        ({"cities": {"foreign_keys": {"name": "cities.x"}}}, "no column is called 'x'"),
        ({"cities": {"foreign_keys": {"name": "cities"}}}, "names no column"),
    ],
)
def test_unknown_names_in_options(tmp_path: Path, said: dict[str, Any], says: str) -> None:
    path = write(tmp_path, "cities.csv", "name,n\nx,2\n")
    with pytest.raises(ConfigError) as caught:
        load([path], TablesOptions.model_validate({"tables": said}))
    assert says in str(caught.value)
