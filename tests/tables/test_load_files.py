"""Workbooks, compressed files, tables in parts, and dumps of databases."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

import duckdb
import pytest

from astra.arenas.tables.load.raw import LoadLimits
from astra.arenas.tables.load.tables import Tables, load
from astra.errors import TableError

HEADER = "company,city,employees\n"
ROWS = "Alpine,Berlin,5\nBaltic,Bonn,7\nCrown,Köln,9\n"


def kinds(tables: Tables, name: str) -> dict[str, str]:
    return {column.name: column.kind.value for column in tables.table(name).columns}


def workbook(path: Path, **sheets: list[list[object]]) -> Path:
    """The smallest workbook that is one: texts inline, dates as days with a style."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"

    def cell(value: object) -> str:
        if value is None:
            return "<c/>"
        if isinstance(value, str):
            return f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>'
        style = ' s="1"' if isinstance(value, float) and value > 40_000 else ""
        return f"<c{style}><v>{value}</v></c>"

    listed = "".join(
        f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>' for n, name in enumerate(sheets, 1)
    )
    linked = "".join(
        f'<Relationship Id="r{n}" Type="{office}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n in range(1, len(sheets) + 1)
    )
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r0" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}">'
        f"<sheets>{listed}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">{linked}'
        f'<Relationship Id="rs" Type="{office}/styles" Target="styles.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{main}"><cellXfs count="2"><xf numFmtId="0"/>'
        '<xf numFmtId="14"/></cellXfs></styleSheet>',
    }
    for number, rows in enumerate(sheets.values(), start=1):
        lines = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
        parts[f"xl/worksheets/sheet{number}.xml"] = (
            f'<worksheet xmlns="{main}"><sheetData>{lines}</sheetData></worksheet>'
        )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in parts.items():
            packed.writestr(name, text)
    return path


def test_workbooks(tmp_path: Path) -> None:
    rows: list[list[object]] = [["company", "employees", "share", "since", "price"]]
    rows += [[f"Firm {n}", n * 7, n + 0.5, 43_831.0 + n, f"$1,{n}00.50"] for n in range(1, 9)]
    rows.append(["Firm 9", None, None, None, None])
    people: list[list[object]] = [["Staff of 2020"], [], ["name", "age", "town"]]
    workbook(tmp_path / "book.xlsx", firms=rows, empty=[], people=[*people, ["Ada", 36, "Ulm"]])
    with load([tmp_path]) as tables:
        assert kinds(tables, "firms") == {
            "company": "text", "employees": "integer", "share": "number", "since": "date",
            "price": "number",
        }  # fmt: skip
        first = tables.connection.execute("SELECT * FROM firms WHERE __row = 0").fetchone()
        assert first is not None and str(first[4]) == "2020-01-02" and first[5] == 1100.5
        assert "book.xlsx (firms)" in tables.table("firms").source
        assert tables.table("people").rows == 1


def test_names_in_two_rows_of_a_workbook(tmp_path: Path) -> None:
    rows: list[list[object]] = [["name", "sales", "sales"], [None, "first", "second"]]
    path = workbook(tmp_path / "t.xlsx", t=[*rows, *([f"F{n}", n, n + 1] for n in range(5))])
    with pytest.raises(TableError, match="lines 1 and 2 both seem"), load([path]):
        pass


def test_what_is_no_workbook(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(TableError, match="not an Excel workbook"), load([path]):
        pass
    workbook(path, t=[["name"], *(["x" * 1000] for _ in range(100))])
    with pytest.raises(TableError, match="unpacks to"):
        load([path], limits=LoadLimits(json_bytes=10_000)).close()
    with pytest.raises(TableError, match=r"save it as \.xlsx"):
        path.rename(tmp_path / "t.xls")
        load([tmp_path / "t.xls"]).close()


def test_compressed_files(tmp_path: Path) -> None:
    path = tmp_path / "firms.csv.gz"
    path.write_bytes(gzip.compress((HEADER + ROWS).encode()))
    (tmp_path / "lines.jsonl.gz").write_bytes(gzip.compress(b'{"name": "a", "n": 1}\n'))
    with load([tmp_path]) as tables:
        assert kinds(tables, "firms") == {"company": "text", "city": "text", "employees": "integer"}
        assert tables.table("firms").source == str(path)
        assert tables.table("lines").rows == 1
    path.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 100_000))
    with pytest.raises(TableError, match="unpacks to more than"):
        load([path], limits=LoadLimits(text_bytes=1000)).close()
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(TableError, match="can't be unpacked"):
        load([path]).close()


def test_tables_in_parts(tmp_path: Path) -> None:
    for year in (2020, 2021):
        for country in ("DE", "Costa%20Rica"):
            folder = tmp_path / "sales" / f"year={year}" / f"country={country}"
            folder.mkdir(parents=True)
            (folder / "part-0.csv").write_text(HEADER + ROWS, encoding="utf-8")
            (folder / "_SUCCESS").touch()
    for given in (tmp_path, tmp_path / "sales"):
        with load([given]) as tables:
            assert kinds(tables, "sales") == {
                "company": "text", "city": "text", "employees": "integer", "year": "integer",
                "country": "text",
            }  # fmt: skip
            rows = tables.connection.execute(
                "SELECT country, year, count(*) FROM sales GROUP BY ALL ORDER BY ALL"
            ).fetchall()
            assert rows == [("Costa Rica", 2020, 3), ("Costa Rica", 2021, 3), ("DE", 2020, 3),
                            ("DE", 2021, 3)]  # fmt: skip
    other = tmp_path / "sales" / "year=2022" / "country=DE"
    other.mkdir(parents=True)
    (other / "part.csv").write_text("company,town\nAlpine,Ulm\n")
    with pytest.raises(TableError, match="has other columns than"):
        load([tmp_path]).close()


def test_parquet_in_parts(tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute(
            "COPY (SELECT 'Firm ' || i AS name, i AS n, i % 2 AS half FROM range(10) r(i)) "
            f"TO '{tmp_path / 'firms'}' (FORMAT parquet, PARTITION_BY (half))"
        )
    with load([tmp_path / "firms"]) as tables:
        assert kinds(tables, "firms") == {"name": "text", "n": "integer", "half": "integer"}
        assert tables.table("firms").rows == 10


def test_a_link_among_parts_must_not_lead_out(tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\nx,1\n")
    folder = tmp_path / "t" / "year=2020"
    folder.mkdir(parents=True)
    (folder / "part.csv").symlink_to(secret)
    with pytest.raises(TableError, match="link to a file outside"):
        load([tmp_path / "t"]).close()


@pytest.mark.parametrize(
    ("head", "advice"),
    [
        ("-- MySQL dump 10.13  Distrib 8.0\n", "mysql NAME < shop.sql"),
        ("CREATE TABLE `t` (a int) ENGINE=InnoDB;\n", "mysql NAME < shop.sql"),
        ("--\n-- PostgreSQL database dump\n--\n", "psql NAME < shop.sql"),
        ("PGDMP\x01", "pg_restore -d NAME shop.sql"),
        ("PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n", "sqlite3 tables.db < shop.sql"),
        ("CREATE TABLE t (a int);\n", "load it into its database"),
    ],
)
def test_dumps_are_told_how_to_load(tmp_path: Path, head: str, advice: str) -> None:
    path = tmp_path / "shop.sql"
    path.write_text(head)
    with pytest.raises(TableError) as caught:
        load([path]).close()
    assert advice in str(caught.value)
    (tmp_path / "t.csv").write_text(HEADER + ROWS)
    with load([tmp_path]) as tables:
        assert any(advice in note for note in tables.notes)
