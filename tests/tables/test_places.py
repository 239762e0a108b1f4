"""Places of the same name: a city that stands with several states identifies nothing alone."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from astra.arenas.tables.load.tables import load
from astra.arenas.tables.profile.places import place_name
from astra.arenas.tables.profile.profiler import profile
from astra.arenas.tables.schema import Schema
from astra.arenas.tables.source import TableSourceOptions
from astra.arenas.tables.world import World
from tests.tables.made import arenas, candidates


def write(path: Path, header: list[str], rows: list[list[object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


def grouped(path: Path, table: str, attribute: str) -> set[str]:
    """The values of a column that questions group rows by."""
    with load([path]) as tables:
        schema: Schema = profile(tables)
        world = World(tables, schema, "en", seed=0, test_share=0.2, max_rows=24)
        return {g.value for groups in world.groups[table, attribute].values() for g in groups}


@pytest.mark.parametrize(
    ("city", "wider"),
    [
        ("birth_city", "birth_state"),
        ("birthCity", "birthState"),
        ("city", "state_code"),
        ("Stadt", "Bundesland"),
        ("Geburtsort", "Geburtsland"),
        ("ville", "région"),
        ("ciudad", "provincia"),
        ("città", "provincia"),
        ("城市", "省份"),
        ("出生城市", "出生省份"),
        ("birthplace", "birth_country"),
    ],
)
def test_a_city_that_stands_with_several_wider_places_is_no_group(
    tmp_path: Path, city: str, wider: str
) -> None:
    places = [("Springfield", "A"), ("Springfield", "B"), ("Boston", "B"), ("Paris", "C")]
    places += [("Paris", "")]
    rows = [[f"Person {n}", *places[n % 5], 100 + n] for n in range(30)]
    path = write(tmp_path / "people.csv", ["name", city, wider, "weight_lb"], rows)
    with load([path]) as tables:
        column = tables.tables[0].columns[1].name
    assert grouped(path, "people", column) == {"Boston"}


def test_other_columns_beside_a_city_leave_it_alone(tmp_path: Path) -> None:
    rows = [[f"Firm {n}", ["Berlin", "Bonn"][n % 2], ["HR", "IT", "PR"][n % 3]] for n in range(24)]
    path = write(tmp_path / "firms.csv", ["name", "city", "department"], rows)
    assert grouped(path, "firms", "city") == {"Berlin", "Bonn"}
    # A district lies in its city, not the other way round.
    rows = [[f"Shop {n}", ["Berlin", "Bonn"][n % 2], f"Quarter {n % 6}"] for n in range(24)]
    path = write(tmp_path / "shops.csv", ["name", "city", "district"], rows)
    assert grouped(path, "shops", "city") == {"Berlin", "Bonn"}


def test_no_question_merges_homonyms(tmp_path: Path) -> None:
    states = {"Springfield": ("IL", "MA"), "Portland": ("OR", "ME")}
    states |= dict.fromkeys(("Troy", "Utica", "Rome", "Olean"), ("NY", "NY"))
    cities = list(states)
    rows: list[list[object]] = []
    for number in range(48):
        city = cities[number % 6]
        rows.append([f"Person {number:02}", city, states[city][number // 6 % 2], 100 + 3 * number])
    path = write(tmp_path / "people.csv", ["name", "birth_city", "birth_state", "weight_lb"], rows)
    found = arenas(candidates([path], 60, TableSourceOptions(seed=3)))
    assert len(found) >= 20
    calls = [str(goal.call.arguments) for arena in found for goal in arena.goals if goal.call]
    assert not [call for call in calls if "Springfield" in call or "Portland" in call]
    assert [call for call in calls if "Troy" in call or "Utica" in call]


@pytest.mark.parametrize("name", ["id", "status", "weight_lb", "note_count", "island"])
def test_names_that_are_not_places(name: str) -> None:
    assert place_name(name) is None
