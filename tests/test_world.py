"""The example tables: keys, relations, scripts, ranges, dates, and well-known facts."""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from astra.arenas.tables.schema import TableOptions, TablesOptions

WORLD = Path(__file__).parent.parent / "examples" / "world"
OPTIONS = TablesOptions.model_validate(tomllib.loads((WORLD / "tables.toml").read_text("utf-8")))
NAMES = sorted(OPTIONS.tables)
Row = dict[str, str]


def read(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


TABLES = {name: read(WORLD / f"{name}.csv") for name in NAMES}

# Characters that simplified Chinese does not use: traditional forms and Japanese shinjitai.
NOT_SIMPLIFIED = frozenset(
    "國學亞爾蘭馬羅聖島東長門龍義歐維倫華萊達納賓條張陽陰縣臺灣廣慶寧濟鄭漢瀋齊貴遼韓銀鐵錢陸隊際險"
    "電雲霧頓頭題額顏風飛養館駐騰驗鬥魚鳥麗麥黃點齋齒錫鎮鐘鑽閩開關陝隨雙難雞離寶對導層屬岡峽嶺幣帶"
    "幾庫廈廟彌彎從復徵應懷戰戲擊據擴數斷時書會條來楊極樂機樹橋檢歷歸殺殼氣沖沒況準溫滿漁潔瑪環產"
    "畢當發盧眾碼確種積穀筆築範簡紀約級紅純紐組經結給統絲綠維網綿線緬縱織羣聯聲職腦臨舊艙藝藥蘇處號"
    "蟲術衛裡補製複見規視覺觀計討訓記設許訴試話認語說請論諸證譯議護變讓豐貝財貨費資賽贊趙車軍軟輪輯"
    "輸農過運還進遠適選邁鄰醫釋針鋼録鍋浜沢県広関駅桜伝図円氷"
)
HAN_NAME = re.compile(r"[0-9\u3400-\u9fff·\-/（）]+")

RANGES: dict[str, tuple[float, float]] = {
    "population": (500, 1.6e9),
    "countries.area_km2": (0.4, 1.72e7),
    "lakes.area_km2": (10, 400_000),
    "islands.area_km2": (5, 2_200_000),
    "latitude": (-60, 75),
    "longitude": (-180, 180),
    "cities.elevation_m": (0, 4_000),
    "airports.elevation_m": (-10, 4_200),
    "mountains.elevation_m": (900, 8_849),
    "utc_offset_h": (-12, 14),
    "length_km": (50, 6_650),
    "basin_km2": (10_000, 7_100_000),
    "max_depth_m": (5, 1_642),
    "surface_elevation_m": (-430, 5_000),
    "highest_point_m": (20, 4_884),
    "founded_year": (1000, 2026),
    "opened_year": (1400, 2026),
    "year": (1896, 2024),
    "nations": (10, 206),
    "events": (10, 340),
}
DATES = {"un_member_since", "introduced", "founded", "opened", "closed", "first_ascent"}


def options(name: str) -> TableOptions:
    return OPTIONS.tables[name]


def chinese_faults(text: str) -> set[str]:
    """The characters of a Chinese name that do not belong there."""
    return {c for c in text if c in NOT_SIMPLIFIED or not HAN_NAME.fullmatch(c)}


def bound(table: str, column: str) -> tuple[float, float] | None:
    return RANGES.get(f"{table}.{column}", RANGES.get(column))


def test_there_is_enough_of_it_and_every_file_is_described() -> None:
    assert {path.stem for path in WORLD.glob("*.csv")} == set(NAMES)
    assert len(NAMES) >= 6
    assert sum(len(rows) for rows in TABLES.values()) >= 1_500
    assert len({options(name).domain for name in NAMES}) >= 4
    assert sum(path.stat().st_size for path in WORLD.iterdir()) < 400_000


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_counts_are_right(name: str) -> None:
    assert f"| `{name}` | {len(TABLES[name])} |" in (WORLD / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_whole_and_trimmed(name: str) -> None:
    for row in TABLES[name]:
        assert None not in row and None not in row.values(), row
        assert all(value == value.strip() for value in row.values()), row


@pytest.mark.parametrize("name", NAMES)
def test_keys_and_english_names_are_unique(name: str) -> None:
    table = options(name)
    assert table.key and table.naming
    for column in {table.key, table.naming}:
        values = [row[column] for row in TABLES[name]]
        assert all(values)
        assert len({value.casefold() for value in values}) == len(values)


@pytest.mark.parametrize("name", NAMES)
def test_foreign_keys_resolve(name: str) -> None:
    for column, target in options(name).foreign_keys.items():
        table, references = target.split(".")
        there = {row[references] for row in TABLES[table]}
        here = {row[column] for row in TABLES[name]} - {""}
        assert here and here <= there, (column, here - there)
        assert options(table).key == references


@pytest.mark.parametrize("name", NAMES)
def test_places_agree_with_the_country_of_their_city(name: str) -> None:
    country_of = {row["name"]: row["country"] for row in TABLES["cities"]}
    country_of_capital = {row["capital"]: row["iso2"] for row in TABLES["countries"]}
    for row in TABLES[name]:
        if row.get("city") and row.get("country"):
            assert country_of[row["city"]] == row["country"], row
    assert all(country_of[city] == iso for city, iso in country_of_capital.items() if city)


@pytest.mark.parametrize("name", NAMES)
def test_every_column_has_labels_in_both_languages(name: str) -> None:
    base = {column for column in TABLES[name][0] if not column.endswith("_zh")}
    assert set(options(name).columns) == base
    assert set(options(name).ignore) <= base
    for column in options(name).columns.values():
        assert set(column.labels) == {"en", "zh"}
    assert set(options(name).singular) == set(options(name).plural) == {"en", "zh"}


@pytest.mark.parametrize("name", NAMES)
def test_chinese_variants_are_there_and_simplified(name: str) -> None:
    for row in TABLES[name]:
        assert row["name"] and row["name_zh"], row
        for column, value in row.items():
            if column.endswith("_zh"):
                assert bool(value) == bool(row[column.removesuffix("_zh")]), (column, row)
                assert not chinese_faults(value), (column, value)


@pytest.mark.parametrize("text", ["倫敦", "沢井", "Boston", "圣Paulo", "バンクーバー", "大阪 市"])
def test_the_script_check_rejects(text: str) -> None:
    assert chinese_faults(text)


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_in_range(name: str) -> None:
    for row in TABLES[name]:
        for column, value in row.items():
            limits = bound(name, column)
            if limits and value:
                assert limits[0] <= float(value) <= limits[1], (column, row)


@pytest.mark.parametrize("name", NAMES)
def test_columns_with_units_are_bounded(name: str) -> None:
    numeric = {c for c in TABLES[name][0] if re.search(r"_(km|m|km2|h)$", c)}
    assert all(bound(name, column) for column in numeric)


@pytest.mark.parametrize("name", NAMES)
def test_dates_are_iso_and_agree_with_years(name: str) -> None:
    for row in TABLES[name]:
        for column in DATES & row.keys():
            if row[column]:
                day = date.fromisoformat(row[column])
                assert day.isoformat() == row[column]
                assert date(1100, 1, 1) <= day <= date(2026, 9, 1), row
                assert row.get(f"{column}_year", str(day.year)) == str(day.year), row


def test_olympic_games_close_after_they_open() -> None:
    for row in TABLES["olympic_games"]:
        if row["opened"]:
            assert row["opened"] < row["closed"]
            # The Games of 2020 were held in 2021.
            assert int(row["opened"][:4]) - int(row["year"]) == (row["year"] == "2020")


@pytest.mark.parametrize(
    ("table", "name", "column", "value"),
    [
        ("countries", "France", "capital", "Paris"),
        ("countries", "France", "capital_zh", "巴黎"),
        ("countries", "Australia", "capital", "Canberra"),
        ("countries", "Brazil", "capital", "Brasília"),
        ("countries", "Kazakhstan", "capital", "Astana"),
        ("countries", "Japan", "currency_code", "JPY"),
        ("countries", "Croatia", "currency_code", "EUR"),
        ("countries", "Germany", "official_language", "de"),
        ("countries", "Switzerland", "landlocked", "true"),
        ("countries", "Switzerland", "un_member_since", "2002-09-10"),
        ("countries", "United Kingdom", "drives_on", "left"),
        ("countries", "China", "name_zh", "中国"),
        ("cities", "Kyoto", "country", "JP"),
        ("cities", "New York City", "timezone", "America/New_York"),
        ("cities", "Kathmandu", "utc_offset_h", "5.75"),
        ("cities", "Denver", "elevation_m", "1609"),
        ("currencies", "Euro", "introduced", "1999-01-01"),
        ("rivers", "Nile", "length_km", "6650"),
        ("rivers", "Yangtze", "length_km", "6300"),
        ("rivers", "Danube", "mouth", "Black Sea"),
        ("rivers", "Rhine", "source_country", "CH"),
        ("mountains", "Mount Everest", "elevation_m", "8849"),
        ("mountains", "Mount Everest", "first_ascent", "1953-05-29"),
        ("mountains", "Matterhorn", "first_ascent", "1865-07-14"),
        ("mountains", "Kilimanjaro", "elevation_m", "5895"),
        ("lakes", "Lake Baikal", "max_depth_m", "1642"),
        ("islands", "Honshu", "highest_point_m", "3776"),
        ("airports", "London Heathrow Airport", "icao", "EGLL"),
        ("airports", "Beijing Daxing International Airport", "opened", "2019-09-25"),
        ("universities", "Harvard University", "founded", "1636-10-28"),
        ("universities", "University of Bologna", "founded_year", "1088"),
        ("exchanges", "New York Stock Exchange", "founded", "1792-05-17"),
        ("museums", "Louvre Museum", "opened", "1793-08-10"),
        ("olympic_games", "2008 Summer Olympics", "host_city", "Beijing"),
        ("olympic_games", "1896 Summer Olympics", "opened", "1896-04-06"),
        ("languages", "Finnish", "family", "Uralic"),
    ],
)
def test_known_facts(table: str, name: str, column: str, value: str) -> None:
    (row,) = (row for row in TABLES[table] if row["name"] == name)
    assert row[column] == value


@pytest.mark.parametrize(
    ("table", "column", "pick", "name"),
    [
        ("countries", "area_km2", max, "Russia"),
        ("countries", "area_km2", min, "Vatican City"),
        ("countries", "population", max, "China"),
        ("cities", "elevation_m", max, "Lhasa"),
        ("rivers", "length_km", max, "Nile"),
        ("mountains", "elevation_m", max, "Mount Everest"),
        ("lakes", "max_depth_m", max, "Lake Baikal"),
        ("lakes", "area_km2", max, "Caspian Sea"),
        ("islands", "area_km2", max, "Greenland"),
        ("universities", "founded_year", min, "University of Bologna"),
    ],
)
def test_known_extremes(
    table: str, column: str, pick: Callable[[list[float]], float], name: str
) -> None:
    values = {row["name"]: float(row[column]) for row in TABLES[table] if row[column]}
    extreme = pick(list(values.values()))
    assert [entity for entity, value in values.items() if value == extreme] == [name]
