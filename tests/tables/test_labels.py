"""What tables and columns are called in sentences, whatever their headers are."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from astra.arenas.tables.load.tables import load
from astra.arenas.tables.profile.profiler import profile
from astra.arenas.tables.schema import Schema, TablesOptions
from astra.arenas.tables.views import table_view

Rows = dict[str, list[object]]


def schema_of(folder: Path, options: TablesOptions | None = None, **tables: Rows) -> Schema:
    for name, columns in tables.items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([columns, *zip(*columns.values(), strict=True)])
    with load([folder], options or TablesOptions()) as loaded:
        return profile(loaded)


def label(folder: Path, header: str, values: list[object], language: str = "en") -> str:
    names = [f"Firm {chr(65 + n)}" for n in range(len(values))]
    table = schema_of(folder, firms={"name": names, header: values}).tables[0]
    return table.columns[1].labels["zh" if language == "zh" else "en"]


WHOLE: list[object] = [12, 40, 31, 7]
PARTS: list[object] = [1.5, 2.25, 0.75, 3.5]
TEXTS: list[object] = ["red", "blue", "red", "green"]


@pytest.mark.parametrize(
    ("header", "values", "expected"),
    [
        ("employees", WHOLE, "number of employees"),
        ("total passengers", WHOLE, "total number of passengers"),
        ("num_seats", WHOLE, "number of seats"),
        ("no of rooms", WHOLE, "number of rooms"),
        ("points", PARTS, "points figure"),
        ("sales", WHOLE, "sales figure"),
        ("costs_eur", PARTS, "costs figure"),
        ("colours", TEXTS, "colours entry"),
        # Words that end in s and are no plurals.
        ("status", TEXTS, "status"),
        ("series", TEXTS, "series"),
        ("address", TEXTS, "address"),
        ("physics", WHOLE, "physics"),
        ("gps", PARTS, "GPS"),
        ("population", WHOLE, "population"),
        # Headers of one or two letters.
        ("r", WHOLE, "R value"),
        ("Q1", WHOLE, "Q1 value"),
        ("2B", WHOLE, "2B value"),
        ("HR", WHOLE, "HR value"),
        ("team_l", WHOLE, "team L value"),
        ("x", TEXTS, "X entry"),
        ("id", TEXTS, "ID"),
        # Questions of a survey.
        ("How old are you?", WHOLE, 'answer to "How old are you"'),
        ("How satisfied were you with these? [Price]", WHOLE, "answer on price"),
        ("How satisfied were you with these? [Ease of use]", WHOLE, 'answer on "Ease of use"'),
        ("Open?", TEXTS, "open"),
    ],
)
def test_labels(tmp_path: Path, header: str, values: list[object], expected: str) -> None:
    assert label(tmp_path, header, values) == expected


def test_labels_in_chinese_of_headers_that_no_dictionary_has(tmp_path: Path) -> None:
    assert label(tmp_path, "r", WHOLE, "zh") == "R值"
    assert label(tmp_path, "employees", WHOLE, "zh") == "员工人数"


def test_the_label_of_a_relation_is_one_thing(tmp_path: Path) -> None:
    codes: list[object] = ["DE", "FR", "IT", "NO"]
    schema = schema_of(
        tmp_path,
        countries={"code": codes, "name": ["Germany", "France", "Italy", "Norway"]},
        firms={"name": [f"Firm {c}" for c in "ABCDEFGH"], "countries": codes * 2},
    )
    assert schema.table("firms").column("countries").labels["en"] == "country"


def test_a_relation_by_a_code_is_called_after_the_thing(tmp_path: Path) -> None:
    codes: list[object] = ["ALA01", "BCH02", "CDE03", "DST04"]
    schema = schema_of(
        tmp_path,
        products={"sku": codes, "title": ["Lamp", "Chair", "Desk", "Stool"]},
        orders={"order": [f"Order {c}" for c in "ABCDEFGH"], "sku": codes * 2},
    )
    assert schema.table("orders").column("sku").labels["en"] == "product"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("since", "since date"),
        ("member_since", "member-since date"),
        ("shipped_at", "shipped-at date"),
        ("founded", "founded date"),
        ("birthday", "birthday"),
    ],
)
def test_labels_of_dates(tmp_path: Path, header: str, expected: str) -> None:
    days: list[object] = ["2020-01-01", "2020-01-02", "2021-05-05", "2022-07-08"]
    names: list[object] = ["Ada", "Bo", "Cy", "Di"]
    schema = schema_of(tmp_path, firms={"name": names, header: days})
    view = table_view(schema.tables[0], schema, "en", frozenset())
    assert view.attributes[0].label == expected


def test_nobody_asks_which_row_has_a_numeric_id(tmp_path: Path) -> None:
    names: list[object] = ["Ada", "Bo", "Cy", "Di"]
    numbers: list[object] = [71, 18, 34, 25]
    schema = schema_of(
        tmp_path,
        firms={
            "firm_id": numbers,
            "name": names,
            "customer_number": numbers,
            "plate": list("wxyz"),
        },
    )
    view = table_view(schema.tables[0], schema, "en", frozenset())
    assert [a.name for a in view.attributes if a.unique] == ["customer_number", "plate"]


def test_what_the_options_say_is_left_as_it_is(tmp_path: Path) -> None:
    options = TablesOptions.model_validate(
        {
            "tables": {
                "sheet": {
                    "singular": {"en": "shop"},
                    "columns": {"employees": {"labels": {"en": "employees"}}},
                }
            }
        }
    )
    names: list[object] = ["Ada", "Bo", "Cy", "Di"]
    table = schema_of(tmp_path, options, sheet={"company": names, "employees": WHOLE}).tables[0]
    assert table.columns[1].labels["en"] == "employees" and table.singular["en"] == "shop"


# --- rows ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "naming", "one", "many"),
    [
        ("sheet1", "company", "company", "companies"),
        ("survey", "Respondent", "respondent", "respondents"),
        ("runs", "runner", "runner", "runners"),
        ("customers", "company", "customer", "customers"),
        ("planes", "tail_number", "plane", "planes"),
        ("firms", "name", "firm", "firms"),
        # German, with and without a translation.
        ("firmen", "Stadt", "company", "companies"),
        ("tabelle1", "Kunde", "customer", "customers"),
        ("wanderungen", "Gebäude", "building", "buildings"),
        ("wanderungen", "Bezeichnung", "wanderungen", "wanderungen"),
    ],
)
def test_rows_are_called(tmp_path: Path, table: str, naming: str, one: str, many: str) -> None:
    names: list[object] = ["Ada Abbott", "Bo Brooks", "Cy Carver", "Di Dunn"]
    found = schema_of(tmp_path, **{table: {naming: names, "weight": WHOLE}}).tables[0]
    assert (found.singular["en"], found.plural["en"]) == (one, many)


def test_two_tables_of_companies_are_called_by_their_own_names(tmp_path: Path) -> None:
    names: list[object] = ["Ada", "Bo", "Cy", "Di"]
    schema = schema_of(
        tmp_path,
        sheet1={"company": names, "profit": WHOLE},
        sheet2={"company": names, "loss": WHOLE},
    )
    assert {table.singular["en"] for table in schema.tables} == {"sheet1", "sheet2"}


def test_german_headers(tmp_path: Path) -> None:
    table = schema_of(
        tmp_path,
        kunden={
            "Name": ["Ada Abbott", "Bo Brooks", "Cy Carver", "Di Dunn"],
            "Land": ["A", "B", "A", "B"],
            "Größe_cm": WHOLE,
            "Anzahl_Bestellungen": WHOLE,
            "Lieferdatum": ["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-04"],
            "Kundenzufriedenheit": WHOLE,
        },
    ).tables[0]
    assert [column.labels["en"] for column in table.columns] == [
        "name", "country", "height", "number of orders", "shipping date", "kundenzufriedenheit",
    ]  # fmt: skip
    assert table.columns[2].labels["zh"] == "高度"


def test_english_words_that_are_german_ones_too(tmp_path: Path) -> None:
    names: list[object] = ["Ada", "Bo", "Cy", "Di"]
    table = schema_of(tmp_path, rooms={"name": names, "art": TEXTS, "note": TEXTS}).tables[0]
    assert [column.labels["en"] for column in table.columns[1:]] == ["art", "note"]


def test_texts_that_look_like_numbers_have_their_unit(tmp_path: Path) -> None:
    values: list[object] = ["8,544", "5,091", "8,810", "1,647"]
    assert label(tmp_path, "pace_min_km", ["6:41", "5:30", "5:56", "4:21"]) == "pace in min/km"
    (tmp_path / "firms.csv").unlink()
    rows = "\n".join(f"Firm {chr(65 + n)}\t{value}" for n, value in enumerate(values))
    (tmp_path / "firms.tsv").write_text(f"name\tweight_kg\n{rows}\n", encoding="utf-8")
    with load([tmp_path]) as tables:
        labels = profile(tables).tables[0].columns[1].labels
    assert labels == {"en": "weight in kilograms", "zh": "重量（千克）"}
