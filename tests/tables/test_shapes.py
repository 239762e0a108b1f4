"""Arenas over folders in the shapes of well-known public data: every answer is computed again from
the original rows, nothing is calculated with numbers that are no quantities, names name one row,
and calls in other spellings that the documents allow are as good as the gold ones."""

from __future__ import annotations

import csv
import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from astra.arenas.tables.source import TableSourceOptions
from astra.rewards import solves
from astra.types import Arena, Goal, Json, Tool

from .made import BOTH, arenas, candidates, play, world
from .oracle import Ambiguous, Oracle, fold
from .shapes import SHAPES

NAMES: dict[str, dict[str, str]] = {
    "music": {
        "employee": "FirstName LastName", "customer": "FirstName LastName", "artist": "Name",
        "album": "Title", "genre": "Name", "mediatype": "Name", "track": "Name",
        "invoice": "InvoiceId", "invoiceline": "InvoiceLineId", "playlist": "Name",
    },
    "trade": {
        "categories": "categoryName", "shippers": "companyName", "suppliers": "companyName",
        "customers": "companyName", "employees": "firstName lastName", "products": "productName",
        "orders": "orderID",
    },
    "flights": {"airlines": "name", "airports": "name", "planes": "tailnum"},
    "baseball": {
        "people": "nameFirst nameLast", "teamsfranchises": "franchName",
    },
    "league": {
        "people": "nameFirst nameLast", "teamsfranchises": "franchName", "parks": "park.name",
        "schools": "name_full",
    },
}  # fmt: skip
"""What a reader calls the rows of each table."""
PLAYERS = (
    "allstarfull appearances awardsmanagers awardsplayers awardssharemanagers awardsshareplayers "
    "batting battingpost collegeplaying fielding fieldingof fieldingofsplit fieldingpost "
    "halloffame managers managershalf pitching pitchingpost salaries"
)
KEYS: dict[str, dict[str, str]] = {
    "music": {
        "employee.ReportsTo": "employee.EmployeeId", "customer.SupportRepId": "employee.EmployeeId",
        "album.ArtistId": "artist.ArtistId", "track.AlbumId": "album.AlbumId",
        "track.MediaTypeId": "mediatype.MediaTypeId", "track.GenreId": "genre.GenreId",
        "invoice.CustomerId": "customer.CustomerId", "invoiceline.InvoiceId": "invoice.InvoiceId",
        "invoiceline.TrackId": "track.TrackId", "playlisttrack.TrackId": "track.TrackId",
        "playlisttrack.PlaylistId": "playlist.PlaylistId",
    },
    "trade": {
        "employees.reportsTo": "employees.employeeID",
        "products.supplierID": "suppliers.supplierID",
        "products.categoryID": "categories.categoryID",
        "orders.customerID": "customers.customerID",
        "orders.employeeID": "employees.employeeID", "orders.shipVia": "shippers.shipperID",
        "orderdetails.orderID": "orders.orderID", "orderdetails.productID": "products.productID",
    },
    "flights": {
        "flights.carrier": "airlines.carrier", "flights.tailnum": "planes.tailnum",
        "flights.origin": "airports.faa", "flights.dest": "airports.faa",
        "weather.origin": "airports.faa",
    },
    "baseball": {
        "batting.playerID": "people.playerID", "teams.franchID": "teamsfranchises.franchID",
    },
    "league": {
        "teams.franchID": "teamsfranchises.franchID", "homegames.parkkey": "parks.parkkey",
        "teams.name": "teamsfranchises.franchName", "collegeplaying.schoolID": "schools.schoolID",
    } | {f"{table}.playerID": "people.playerID" for table in PLAYERS.split()},
}  # fmt: skip
"""What points to what, whether it is declared or not."""
NO_QUANTITIES = frozenset(
    "month day hour minute deptime scheddeptime flight birthmonth birthday discontinued "
    "reportsto shipvia half stint inseason startingpos".split()
)
CALCULATED = {"aggregate", "compare", "rank", "filter", "count_where"}


def plain(name: str) -> str:
    return "".join(filter(str.isalnum, name)).casefold()


class ShapeOracle(Oracle):
    """The folder's own rows; columns and tables without regard to case and underscores."""

    def __init__(self, path: Path, shape: str) -> None:
        super().__init__(Path(__file__).parents[2] / "examples" / "world", "en")
        self._original = {plain(table): rows for table, rows in original(path).items()}
        self.tables = {
            table: {
                "naming": "called" if table in NAMES[shape] else "nothing",
                "foreign_keys": {
                    plain(column.partition(".")[2]): ".".join(map(plain, to.split(".")))
                    for column, to in KEYS[shape].items()
                    if column.partition(".")[0] == table
                },
            }
            for table in self._original
        }
        self._names = NAMES[shape]

    def _raw(self, table: str) -> list[dict[str, str]]:
        called = [plain(name) for name in self._names.get(table, "").split()]
        rows: list[dict[str, str]] = []
        for found in self._original[table]:
            row = {plain(c): text.removesuffix(".0") for c, text in found.items()}
            named = called and all(row[c] for c in called)
            rows.append(row | {"called": " ".join(row[c] for c in called) if named else "",
                               "nothing": ""})  # fmt: skip
        return rows

    def column(self, table: str, attribute: str) -> str:
        # A name that begins with a digit has a word before it.
        columns, name = self._raw_cached(table)[0], plain(attribute.removeprefix("column_"))
        return next(c for end in ("", "id", "code", "key") if (c := name + end) in columns)

    def group(self, table: str, by: str, value: str) -> list[dict[str, Any]]:
        points = self.tables[table]["foreign_keys"]
        if self.column(table, by) in points and value in {
            r[self.column(table, by)] for r in self._raw_cached(table)
        }:
            # A relation that was not found: the code stands for itself.
            code = self.column(table, by)
            numbers = [n for n, r in enumerate(self._raw_cached(table)) if r[code] == value]
            return [self.rows(table)[n] for n in numbers]
        rows = super().group(table, by, value)
        wider = [c for c in rows[0] if c == plain(by).replace("city", "state")]
        if plain(by).endswith("city") and any(len({r[c] for r in rows}) > 1 for c in wider):
            raise Ambiguous(f"several places are called {value!r}")
        return rows


def original(path: Path) -> dict[str, list[dict[str, str]]]:
    """All rows as texts, by table."""
    if path.is_dir():
        return {
            file.stem: list(csv.DictReader(file.read_text("utf-8").splitlines()))
            for file in sorted(path.glob("*.csv"))
        }
    found: dict[str, list[dict[str, str]]] = {}
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
            found[table] = [
                {c: "" if row[c] is None else str(row[c]) for c in row.keys()}  # noqa: SIM118
                for row in database.execute(f"SELECT * FROM {table}")
            ]
    return found


def agrees(right: Any, answer: Json | tuple[Json, ...]) -> bool:
    if isinstance(right, set):
        return isinstance(answer, tuple) and {fold(str(v)) for v in answer} == {
            fold(str(v)) for v in right
        }
    if isinstance(right, float) or isinstance(answer, float):
        return float(right) == pytest.approx(float(str(answer)), rel=1e-6, abs=1e-6)
    return fold(str(right)) == fold(str(answer))


def look_at(arena: Arena, oracle: ShapeOracle, shape: str) -> None:
    tables: Mapping[str, Any] = arena.provenance["tables"]
    for goal in arena.goals:
        if goal.call is None:
            continue
        table, arguments = plain(tables.get(goal.id, "")), goal.call.arguments
        right = oracle.answer(goal.operation, table, arguments)
        assert agrees(right, goal.answer), (arena.question, goal.question, goal.answer, right)
        about = plain(str(arguments.get("attribute", "")))
        if goal.operation in CALCULATED:
            identifies = about.endswith("id") and about != "paid"
            assert about not in NO_QUANTITIES and not identifies, goal.question
        if goal.operation == "lookup":
            # A key is asked for only as the name of what it points to.
            points = oracle.tables[table]["foreign_keys"]
            assert not about.endswith("id") or about in points, goal.question
        for entity in (goal.answer,) if goal.operation in ("rank", "find") else ():
            if " " in NAMES[shape].get(table, ""):
                assert " " in str(entity), goal.question


@pytest.mark.parametrize("shape", SHAPES)
def test_answers_and_names_in_the_shape_of_public_data(tmp_path: Path, shape: str) -> None:
    check_shape(tmp_path, shape, 24, at_least=17)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_many_answers_and_names_in_the_shape_of_public_data(tmp_path: Path, shape: str) -> None:
    check_shape(tmp_path, shape, 360, at_least=300)


def check_shape(folder: Path, shape: str, number: int, *, at_least: int) -> None:
    path = SHAPES[shape](folder)
    found = arenas(candidates([path], number, TableSourceOptions(languages=BOTH, seed=5)))
    assert len(found) >= at_least
    oracle = ShapeOracle(path, shape)
    for arena in found:
        look_at(arena, oracle, shape)
    assert other_spellings(found) == Counter()


# --- other spellings ---------------------------------------------------------------------------


def respelled(tool: Tool, goal: Goal) -> dict[str, Json]:
    """The gold call as another agent would write it, where the document allows that."""
    assert goal.call is not None
    schemas: dict[str, Any] = tool.document.parameters["properties"]
    numbers = 0
    arguments: dict[str, Json] = {}
    for name, value in goal.call.arguments.items():
        schema = schemas[name]
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if isinstance(value, str) and "enum" not in schema and goal.operation != "days_between":
            value = f"  {value.upper()} " if value.upper().lower() == value.lower() else f" {value}"
        elif isinstance(value, int) and "string" in kinds:
            numbers += 1
            value = str(value) if numbers % 2 else float(value)
        elif isinstance(value, int):
            value = float(value)
        arguments[name] = value
    return arguments


def other_spellings(found: list[Arena]) -> Counter[str]:
    """Goals that such calls don't solve, by operation."""
    unsolved: Counter[str] = Counter()
    for arena in found:
        for goal in arena.goals:
            if goal.call is None or goal.target is None:
                continue
            tool = arena.tool(goal.call.tool)
            arguments = respelled(tool, goal)
            jsonschema.validate(arguments, tool.document.parameters)
            if not solves(goal.target, play(tool, arguments)):
                unsolved[goal.operation] += 1
    return unsolved


def test_other_spellings_of_calls_solve_the_goals_of_the_example_tables() -> None:
    assert other_spellings(arenas(world(150, 7))) == Counter()
