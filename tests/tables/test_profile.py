"""Profiling: keys, naming columns, language variants, foreign keys, units, labels, options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from astra.arenas.tables.load.tables import load
from astra.arenas.tables.profile import statistics
from astra.arenas.tables.profile.descriptions import describe
from astra.arenas.tables.profile.profiler import profile
from astra.arenas.tables.schema import Column, ColumnKind, Schema, Table, TablesOptions
from astra.errors import ConfigError

Rows = list[dict[str, Any]]


def schema(folder: Path, options: dict[str, Any] | None = None, **tables: Rows) -> Schema:
    for name, rows in tables.items():
        (folder / f"{name}.json").write_text(json.dumps(rows), encoding="utf-8")
    with load([folder]) as loaded:
        return profile(loaded, TablesOptions.model_validate({"tables": options or {}}))


def table(folder: Path, rows: Rows, name: str = "cities", **options: Any) -> Table:
    return schema(folder, {name: options} if options else None, **{name: rows}).table(name)


def columns(count: int = 6, **values: Any) -> Rows:
    """Rows with the columns given: a list of values, or a function of the row number."""
    return [
        {name: value(i) if callable(value) else value[i] for name, value in values.items()}
        for i in range(count)
    ]


CITIES = ["Berlin", "Paris", "Rome", "Oslo", "Bern", "Kyiv"]
城市 = ["柏林", "巴黎", "罗马", "奥斯陆", "伯尔尼", "基辅"]
CODES = ["DE", "FR", "IT", "NO", "CH", "UA"]


# --- keys and names --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "key"),
    [
        (("name", "rank", "id"), "id"),
        (("name", "city_id"), "city_id"),
        (("name", "iso3", "iso2"), "iso2"),
        (("rank", "name"), "name"),
        (("rank", "plate_code"), "plate_code"),
        (("rank", "other"), "rank"),
    ],
)
def test_key(tmp_path: Path, named: tuple[str, ...], key: str) -> None:
    rows = columns(**{name: lambda i, n=name: f"{n}{i}" for name in named})
    assert table(tmp_path, rows).key == key


def test_quantities_that_happen_to_differ_are_no_key(tmp_path: Path) -> None:
    rows = columns(12, stadium=lambda i: "AB"[i % 2], attendance=lambda i: 900 + 37 * i)
    assert table(tmp_path, rows).key is None
    numbered = columns(12, stadium=lambda i: "AB"[i % 2], ticket_no=lambda i: 900 + 37 * i)
    assert table(tmp_path, numbered).key == "ticket_no"


def test_key_has_no_nulls_and_no_repetitions(tmp_path: Path) -> None:
    rows = columns(id=[1, 1, 2, 3, 4, 5], code=[None, *"abcde"], f=lambda i: i + 0.5)
    assert table(tmp_path, rows).key is None
    with pytest.raises(ConfigError, match=r"cities\.key: 'id'"):
        table(tmp_path, rows, key="id")


@pytest.mark.parametrize(
    ("values", "naming"),
    [
        ({"code": CODES, "name": CITIES, "title": CITIES}, "name"),
        ({"code": CODES, "title": CITIES}, "title"),
        ({"code": CODES, "city_name": CITIES}, "city_name"),
        ({"code": CODES, "city": CITIES}, "city"),
        ({"code": CODES, "called": CITIES}, "called"),
        ({"kind": ["a", "b"] * 3, "called": CITIES}, "called"),
        ({"url": lambda i: f"https://x.org/{i}", "called": CITIES}, "called"),
        ({"site": lambda i: f"https://x.org/{i}", "contact": lambda i: f"a{i}@x.org"}, None),
        ({"description": CITIES, "n": range(6)}, None),
        ({"text": lambda i: f"{i}" * 200}, None),
        ({"about": lambda i: f"{i} lorem ipsum" * 20}, None),
        ({"code": CODES, "n": range(6)}, "code"),
        ({"name": ["x"] * 6, "called": CITIES}, "called"),
        ({"first_name": ["Al", "Bo"] * 3, "n": range(6)}, None),
        ({"名称": 城市, "编号": range(6)}, "名称"),
        ({"n": range(6)}, None),
    ],
)
def test_naming(tmp_path: Path, values: dict[str, Any], naming: str | None) -> None:
    found = table(tmp_path, columns(**values))
    assert found.naming == naming
    assert any("not asked about by name" in note for note in found.notes) == (naming is None)


def test_naming_by_the_user(tmp_path: Path) -> None:
    rows = columns(name=CITIES, code=CODES, n=range(6), x=[n + 0.5 for n in range(6)])
    assert table(tmp_path, rows, naming="code").naming == "code"
    assert table(tmp_path, rows, naming="n").numbered
    with pytest.raises(ConfigError, match="whole numbers"):
        table(tmp_path, rows, naming="x")


# --- language variants -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("name", "name_zh"), ("name", "name_cn"), ("name", "zh_name"), ("name", "name_chinese"),
        ("name", "nameZh"), ("name", "名称"), ("name", "中文名"), ("name", "中文名称"),
        ("name_en", "name_zh"), ("english_name", "chinese_name"), ("title", "title_zh_cn"),
    ],
)  # fmt: skip
def test_variants(tmp_path: Path, first: str, second: str) -> None:
    found = table(tmp_path, columns(**{second: 城市, first: CITIES}))
    base, variant = found.columns[1], found.columns[0]
    assert base.variants == {"zh": variant.name}
    assert variant.variant_of == base.name and base.variant_of is None
    assert found.naming == base.name
    assert base.labels["en"] in ("name", "title")


def test_variants_in_english_beside_a_chinese_column(tmp_path: Path) -> None:
    found = table(tmp_path, columns(name=城市, name_en=CITIES))
    assert found.column("name").variants == {"en": "name_en"}
    both = table(tmp_path, columns(name=CITIES, name_en=CITIES, name_zh=城市))
    assert both.column("name").variants == {"en": "name_en", "zh": "name_zh"}


def test_what_only_looks_like_a_variant(tmp_path: Path) -> None:
    found = table(tmp_path, columns(name=CITIES, name_zh=CITIES, sales_cn=range(6), sales=range(6)))
    assert all(column.variant_of is None for column in found.columns)
    alone = table(tmp_path, columns(code=CODES, name_zh=城市))
    assert alone.column("name_zh").variant_of is None and alone.naming == "name_zh"


# --- foreign keys ----------------------------------------------------------------------------

COUNTRIES = columns(id=lambda i: i + 1, iso2=CODES, name=CITIES)


def keys(found: Schema, name: str = "towns") -> list[str]:
    return [
        f"{key.column} -> {key.table}.{key.references} {key.origin}"
        for key in found.table(name).foreign_keys
    ]


@pytest.mark.parametrize(
    ("column", "values", "found"),
    [
        ("country", CODES, "iso2"),
        ("country_code", CODES, "iso2"),
        ("country_iso2", CODES, "iso2"),
        ("country", CITIES, "name"),
        ("country_name", CITIES, "name"),
        ("country_id", [1, 2, 3, 1, 2, 3], "id"),
        ("birth_country", CODES, "iso2"),
        ("birthCountryCode", CODES, "iso2"),
        ("nation", CODES, "iso2"),
        ("国家", CODES, "iso2"),
        ("iso2", CODES, None),
        ("country_id", [1, 2, 1, 2, 1, 2], None),
        ("country_id", [1, 2, 3, 4, 5, 7], None),
        ("country_code", [*CODES[:5], "XX"], None),
        ("country_rank", [1, 2, 3, 4, 5, 6], None),
        ("rank", [1, 2, 3, 4, 5, 6], None),
        ("code", CODES, None),
        ("country", ["DE"] * 6, None),
    ],
)
def test_keys_found_by_values_and_names(
    tmp_path: Path, column: str, values: list[Any], found: str | None
) -> None:
    towns = columns(name=[f"t{i}" for i in range(6)], **{column: values})
    made = schema(tmp_path, countries=COUNTRIES, towns=towns)
    name = made.table("towns").columns[1].name
    assert keys(made) == ([f"{name} -> countries.{found} inclusion"] if found else [])
    assert keys(made, "countries") == []


def test_a_shared_key_column_points_one_way(tmp_path: Path) -> None:
    prices = columns(12, sku=lambda i: f"S{i % 6}", price=lambda i: i)
    products = columns(sku=lambda i: f"S{i}", name=CITIES)
    made = schema(tmp_path, products=products, prices=prices)
    assert keys(made, "prices") == ["sku -> products.sku inclusion"]
    assert keys(made, "products") == []


def test_a_few_dangling_texts_are_noted(tmp_path: Path) -> None:
    towns = columns(200, name=lambda i: f"t{i}", country=lambda i: "XX" if i == 7 else CODES[i % 6])
    made = schema(tmp_path, countries=COUNTRIES, towns=towns)
    assert keys(made) == ["country -> countries.iso2 inclusion"]
    assert any("1 values are not in 'countries'" in note for note in made.table("towns").notes)


def test_keys_given_and_switched_off(tmp_path: Path) -> None:
    towns = columns(name=[f"t{i}" for i in range(6)], country=CODES, at=CITIES)
    given = {"towns": {"foreign_keys": {"country": "", "at": "countries.name"}}}
    made = schema(tmp_path, given, countries=COUNTRIES, towns=towns)
    assert keys(made) == ["at -> countries.name options"]
    for wrong in ("countries.id", "towns.country"):
        bad = {"towns": {"foreign_keys": {"at": wrong}}, "countries": {}}
        towns_twice = columns(name=[f"t{i}" for i in range(6)], country=["DE"] * 6, at=CITIES)
        with pytest.raises(ConfigError, match="unique column of the same kind"):
            schema(tmp_path, bad, countries=COUNTRIES, towns=towns_twice)


# --- units and labels ------------------------------------------------------------------------


def numbers(folder: Path, *names: str) -> tuple[Column, ...]:
    path = folder / "things.csv"
    header = ",".join(f'"{name}"' for name in names)
    path.write_text(f"{header}\n{','.join('1' for _ in names)}\n", encoding="utf-8")
    with load([path]) as loaded:
        return profile(loaded).tables[0].columns


@pytest.mark.parametrize(
    ("name", "unit", "english", "chinese"),
    [
        ("area_km2", "km2", "area", "面积"),
        ("Area (km²)", "km2", "area", "面积"),
        ("length_km", "km", "length", "长度"),
        ("elevation_m", "m", "elevation", "海拔"),
        ("height [ft]", "ft", "height", "高度"),
        ("gdp_usd", "USD", "GDP", "国内生产总值"),
        ("share_pct", "%", "share", "份额"),
        ("weight_kg", "kg", "weight", "重量"),
        ("avg_temp_c", "°C", "average temperature", "平均温度"),
        ("runtime_min", "min", "runtime", "片长"),
        ("面积（平方公里）", "km2", "area", "面积"),
        ("人口", None, "population", "人口"),
        ("population_m", None, "population m value", "population m值"),
        ("price_min", None, "price minimum", "价格最低"),
        ("vitamin_c", None, "vitamin C value", "vitamin C值"),
        ("km", None, "km value", "km值"),
        ("discharge_m3_s", "m3/s", "discharge", "流量"),
        ("foundedYear", None, "founded year", "成立年份"),
        ("nameFirst", None, "first name", "名字"),
        ("teamIDwinner", None, "winner team ID", "winner team ID"),
        ("reportsTo", None, "manager", "经理"),
        ("shipVia", None, "shipper", "承运商"),
        ("stored_in", None, "stored-in entry", "stored in"),
    ],
)
def test_units_and_labels(
    tmp_path: Path, name: str, unit: str | None, english: str, chinese: str
) -> None:
    (column,) = numbers(tmp_path, name)
    assert (column.unit, column.labels) == (unit, {"en": english, "zh": chinese})


def test_labels_are_unique_within_a_table(tmp_path: Path) -> None:
    found = numbers(tmp_path, "area_km2", "area_mi2", "Area", "altitude", "elevation")
    for language in ("en", "zh"):
        labels = [column.labels[language] for column in found]
        assert len(set(labels)) == len(labels)
    assert found[1].labels["en"] == "area (mi2)"


def test_texts_have_no_units(tmp_path: Path) -> None:
    found = table(tmp_path, columns(name=CITIES, size_m=list("abcdef")))
    assert found.column("size_m").unit is None


@pytest.mark.parametrize(
    ("name", "one", "many", "chinese"),
    [
        ("countries", "country", "countries", "国家"),
        ("city", "city", "cities", "城市"),
        ("universities", "university", "universities", "大学"),
        ("people", "person", "people", "人物"),
        ("bus_lines", "bus line", "bus lines", "bus line"),
        ("matches", "match", "matches", "match"),
        ("houses", "house", "houses", "house"),
        ("statuses", "status", "statuses", "状态"),
        ("movies", "movie", "movies", "电影"),
        ("volcanoes", "volcano", "volcanoes", "火山"),
        ("species", "species", "species", "物种"),
        ("analyses", "analysis", "analyses", "analysis"),
        ("国家", "country", "countries", "国家"),
    ],
)
def test_what_rows_are_called(tmp_path: Path, name: str, one: str, many: str, chinese: str) -> None:
    found = table(tmp_path, columns(name=CITIES), name=name)
    assert (found.singular, found.plural) == (
        {"en": one, "zh": chinese},
        {"en": many, "zh": chinese},
    )
    assert found.domain == name


# --- options and what is shown ---------------------------------------------------------------


def test_the_users_word_wins(tmp_path: Path) -> None:
    rows = columns(name=CITIES, code=CODES, size_km2=range(6), secret=CODES)
    found = table(
        tmp_path,
        rows,
        domain="geography",
        singular={"en": "town"},
        plural={"zh": "城"},
        key="code",
        ignore=["secret"],
        columns={
            "Size km2": {"labels": {"en": "extent"}, "unit": ""},
            "name": {"labels": {"zh": "城名"}},
        },
    )
    assert (found.domain, found.key) == ("geography", "code")
    assert found.singular == {"en": "town", "zh": "城市"}
    assert found.plural == {"en": "cities", "zh": "城"}
    size = found.column("size_km2")
    assert (size.unit, size.labels["en"]) == (None, "extent")
    assert found.column("name").labels == {"en": "name", "zh": "城名"}
    secret = found.column("secret")
    assert secret.ignored and secret.kind is ColumnKind.other


def test_counts(tmp_path: Path) -> None:
    found = table(tmp_path, columns(name=CITIES, n=[1, 1, 2, None, None, 3]))
    column = found.column("n")
    assert (found.rows, column.nulls, column.distinct) == (6, 2, 3)


def test_profiling_is_repeatable_and_serialisable(tmp_path: Path) -> None:
    towns = columns(name=[f"t{i}" for i in range(6)], country=CODES)
    first = schema(tmp_path, countries=COUNTRIES, towns=towns)
    assert first == schema(tmp_path, countries=COUNTRIES, towns=towns)
    assert Schema.model_validate_json(first.model_dump_json()) == first


def test_what_is_shown(tmp_path: Path) -> None:
    towns = columns(name=[f"t{i}" for i in range(6)], country=CODES, area_km2=range(6), x=[[]] * 6)
    shown = "\n".join(describe(schema(tmp_path, countries=COUNTRIES, towns=towns)))
    for part in (
        "towns: 6 rows from",
        "key: name; rows named by: name",
        "country -> countries.iso2 (found by values and names)",
        "area_km2 (integer, km2)",
        "not asked about: x",
    ):
        assert part in shown


def test_the_example_tables() -> None:
    folder = Path(__file__).parents[2] / "examples" / "world"
    with load([folder]) as loaded:
        found = profile(loaded)
    assert len(found.tables) >= 6
    assert all(table.naming and table.key for table in found.tables)
    assert sum(len(table.foreign_keys) for table in found.tables) >= 6
    country = found.table("cities").column("country")
    assert country.kind is ColumnKind.text


# --- names of people, and of rows that have only a number ------------------------------------


def test_people_are_called_by_first_and_last_name(tmp_path: Path) -> None:
    rows = columns(
        employee_id=range(1, 7),
        title=["Clerk", "Boss", "Clerk", "Cook", "Guard", "Smith"],
        first_name=["Ada", "Bo", "Cy", "Dora", "Ed", "Flo"],
        last_name=["Abbott", "Abbott", "Carver", "Dunn", "Ellis", "Foster"],
        budget=[f"about ${n},000" for n in range(6)],
    )
    found = table(tmp_path, rows)
    assert (found.given_name, found.naming) == ("first_name", "last_name")


@pytest.mark.parametrize(
    "values",
    [
        {"first_name": ["Ada", "Bo", "Cy", "Dora", "Ed", "Flo"]},
        {"job_title": ["Clerk", "Boss", "Baker", "Cook", "Guard", "Smith"]},
        {"cost": ["€ 1,200", "$5", "7.5%", "£ 3", "12 EUR", "$1,000.50"]},
        {"seen": [f"2024-01-0{n + 1}T05:00:00 approx" for n in range(6)]},
    ],
)
def test_what_names_no_row_leaves_the_number(tmp_path: Path, values: dict[str, Any]) -> None:
    found = table(tmp_path, columns(order_id=range(10, 16), **values))
    assert found.naming == "order_id" and found.numbered


def test_texts_are_counted_alike_in_one_stack_and_column_by_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`cell` and `v` are names in the query for the stack."""
    rows = columns(
        40,
        cell=lambda i: f"Town {i % 7}",
        v=lambda i: f"AB-{i}",
        fee=lambda i: "€ 12.50" if i % 2 else "plain",
        name_zh=lambda i: f"城市{i}",
        link=lambda i: f"https://example.org/{i}" if i % 3 else None,
        empty=lambda _: None,
        size=lambda i: i * 2.5,
    )
    (tmp_path / "towns.json").write_text(json.dumps(rows), encoding="utf-8")
    with load([tmp_path]) as loaded:
        (towns,) = loaded.tables
        stacked = statistics.measure(towns, loaded.connection)
        monkeypatch.setattr(statistics, "_STACKED", 0)
        assert statistics.measure(towns, loaded.connection) == stacked
    assert stacked["cell"].distinct == 7 and stacked["cell"].mean_length == 6
    assert stacked["v"].codes == 40 and stacked["name_zh"].han == 40
    assert stacked["link"].nulls == 14 and stacked["link"].links == 26
    assert list(stacked) == [column.name for column in towns.columns]
