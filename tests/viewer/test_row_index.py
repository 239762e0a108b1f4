"""The index of a listing: what it finds, against a plain computation, and files that change."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from astra.arenas.certificates import Certificate
from astra.runs.folder import RunFolder
from astra.runs.jsonl import to_line
from astra.viewer.listings import LISTINGS, Listing
from astra.viewer.row_index import IndexState, RowIndex, RowPage, RowQuery
from tests.viewer.made import Pages, examined, failed, world

ARENAS = next(listing for listing in LISTINGS if listing.name == "arenas")
EPISODES = next(listing for listing in LISTINGS if listing.name == "episodes")
CERTIFICATES = "certificates.jsonl"
EVERY = RowQuery()


def row(number: int, **fields: Any) -> dict[str, Any]:
    """A row of arenas as far as a list reads it."""
    chance = random.Random(number)
    scenario, language = chance.choice(("single_hop", "multi_hop")), chance.choice(("en", "zh"))
    return {
        "id": f"{number:04d}{chance.getrandbits(48):012x}",
        "question": f"Which {chance.choice(('River', 'straße', '河'))} is number {number}?",
        "scenario": scenario,
        "language": language,
        "domain": chance.choice(("", "water", "land")),
        "split": "train",
        "goals": [{}] * chance.randint(1, 5),
        "tools": [{}],
        "distractors": [{}] * chance.randint(0, 3),
        "state": None,
        "provenance": {"level": chance.choice((None, 1, 2, "x"))},
        **fields,
    }


def write(path: Path, *lines: object, mode: str = "wb") -> None:
    """Lines of a file; text is written as it is."""
    with path.open(mode) as file:
        for line in lines:
            text = line if isinstance(line, str) else json.dumps(line) + "\n"
            file.write(text.encode())


def indexed(path: Path, listing: Listing = ARENAS) -> RowIndex:
    """The whole index of a folder."""
    index = RowIndex(RunFolder(path), listing)
    refreshed(index)
    return index


def refreshed(index: RowIndex) -> IndexState:
    state = index.refresh(60)
    assert state.complete
    return state


def everything(index: RowIndex, query: RowQuery = EVERY) -> RowPage:
    return index.find(query, start=0, count=-1)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], RowIndex]:
    """300 rows and their index."""
    path = tmp_path_factory.mktemp("many")
    rows = [row(number) for number in range(300)]
    write(path / "arenas.jsonl", *rows)
    return rows, indexed(path)


QUERIES: list[tuple[RowQuery, Callable[[dict[str, Any]], bool]]] = [
    (RowQuery(), lambda r: True),
    (RowQuery("RIVER"), lambda r: "river" in r["question"].casefold()),
    (RowQuery("Strasse 1"), lambda r: "straße" in r["question"] and "1" in r["question"]),
    (RowQuery("河"), lambda r: "河" in r["question"]),
    (RowQuery("no such words"), lambda r: False),
    (RowQuery(chosen={"scenario": "multi_hop"}), lambda r: r["scenario"] == "multi_hop"),
    (RowQuery(chosen={"level": "2"}), lambda r: r["provenance"]["level"] == 2),
    (RowQuery(chosen={"level": "x"}), lambda r: r["provenance"]["level"] == "x"),
    (
        RowQuery("river", {"language": "zh", "domain": "water"}),
        lambda r: "River" in r["question"] and r["language"] == "zh" and r["domain"] == "water",
    ),
    (RowQuery(least={"hops": 3}), lambda r: len(r["goals"]) >= 3),
    (
        RowQuery(least={"hops": 2}, most={"hops": 3.5, "tools": 2}),
        lambda r: 2 <= len(r["goals"]) <= 3 and len(r["distractors"]) <= 1,
    ),
    (RowQuery(chosen={"text": "x", "nothing": "y"}, words=""), lambda r: False),
]
_COLUMNS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "": lambda r: 0,
    "hops": lambda r: len(r["goals"]),
    "language": lambda r: r["language"],
    "text": lambda r: r["question"].encode(),
    "level": lambda r: None if r["provenance"]["level"] is None else str(r["provenance"]["level"]),
}


@pytest.mark.parametrize("query_number", range(len(QUERIES)))
def test_rows_are_those_of_a_plain_computation(
    many: tuple[list[dict[str, Any]], RowIndex], query_number: int
) -> None:
    rows, index = many
    query, matches = QUERIES[query_number]
    for (column, of), descending in product(_COLUMNS.items(), (False, True)):
        found = [r for r in rows if matches(r)]
        known = [r for r in found if of(r) is not None]
        known.sort(key=of, reverse=descending and bool(column))
        wanted = [r["id"] for r in (*known, *(r for r in found if of(r) is None))]
        asked = RowQuery(query.words, query.chosen, query.least, query.most, column, descending)
        assert [each.id for each in everything(index, asked).rows] == wanted
        pages = [index.find(asked, start=start, count=7) for start in range(0, len(wanted) + 7, 7)]
        assert [each.id for page in pages for each in page.rows] == wanted
        assert {page.total for page in pages} == {len(wanted)}


def test_choices_are_counted(many: tuple[list[dict[str, Any]], RowIndex]) -> None:
    rows, index = many
    choices = index.choices()
    assert dict(choices["scenario"]) == Counter(r["scenario"] for r in rows)
    assert dict(choices["domain"]) == Counter(r["domain"] for r in rows if r["domain"])
    counts = [count for _, count in choices["level"]]
    assert counts == sorted(counts, reverse=True) and sum(counts) < len(rows)


def test_rows_are_found_by_their_ids(many: tuple[list[dict[str, Any]], RowIndex]) -> None:
    rows, index = many
    for number in (0, 1, 150, 299):
        place = index.place(rows[number]["id"])
        assert place is not None and place[:2] == (number, "arenas")
    ids = [r["id"] for r in rows]
    assert index.neighbours(0) == (None, ids[1]) and index.neighbours(299) == (ids[298], None)
    assert index.neighbours(150) == (ids[149], ids[151]) and index.place("none") is None


def test_a_file_that_grows_is_read_on(tmp_path: Path) -> None:
    file = tmp_path / "arenas.jsonl"
    write(file, row(0), '{"id": "half')
    index = indexed(tmp_path)
    assert index.state().rows == 1 and not index.state().problems, "a half line is no damage"
    write(file, 'way", "question": "Now whole?"}\n', row(2), mode="ab")
    assert refreshed(index).rows == 3
    assert [each.cells["text"] for each in everything(index).rows][1] == "Now whole?"
    assert dict(index.choices()["split"]) == {"train": 2}


def test_a_file_is_read_while_it_is_written(tmp_path: Path) -> None:
    file = tmp_path / "arenas.jsonl"
    file.touch()
    index = RowIndex(RunFolder(tmp_path), ARENAS)
    seen = 0
    with file.open("ab", buffering=0) as growing:
        for number in range(400):
            line = json.dumps(row(number)).encode() + b"\n"
            growing.write(line[:100])
            rows = index.refresh(0).rows
            assert rows >= seen
            seen = rows
            growing.write(line[100:])
    while index.refresh(60).rows < 400:
        pass
    assert [r.id for r in everything(index).rows] == [row(number)["id"] for number in range(400)]


@pytest.mark.parametrize("how", ["another file", "shorter"])
def test_a_file_that_is_replaced_is_read_anew(tmp_path: Path, how: str) -> None:
    file = tmp_path / "arenas.jsonl"
    write(file, *map(row, range(5)))
    index = indexed(tmp_path)
    assert len(everything(index).rows) == 5
    if how == "another file":
        write(tmp_path / "new", *map(row, range(10, 20)))
        (tmp_path / "new").rename(file)
    else:
        write(file, row(10))
    assert refreshed(index).rows == (10 if how == "another file" else 1)
    assert everything(index).rows[0].id == row(10)["id"]
    file.unlink()
    assert refreshed(index).rows == 0 and everything(index).total == 0


def test_damaged_rows_are_told_and_left_out(tmp_path: Path) -> None:
    lines = [row(0), '{"id": "x", "goals": 7}\n', "no JSON\n", "[1]\n", '"\\ud800"\n', row(2)]
    write(tmp_path / "arenas.jsonl", *lines)
    index = indexed(tmp_path)
    assert [each.id for each in everything(index).rows] == [row(0)["id"], row(2)["id"]]
    problems = index.state().problems
    assert len(problems) == 4 and problems[0].startswith("arenas.jsonl at byte ")
    assert "goals" in problems[0]


def test_every_row_has_an_address_of_its_own(tmp_path: Path) -> None:
    ids = ["same", "same", "3", "1", "../x", "", "a" * 81, "<b>", "same"]
    write(tmp_path / "arenas.jsonl", *(row(number, id=own) for number, own in enumerate(ids)))
    index = indexed(tmp_path)
    found = [each.id for each in everything(index).rows]
    assert found == ["same", "1", "2", "3", "4", "5", "6", "7", "8"]
    assert [index.place(each) and index.place(each)[0] for each in found] == list(range(9))  # type: ignore[index] - it is there


def test_numbers_beyond_those_of_a_database(tmp_path: Path) -> None:
    values = ["1" + "0" * 30, "1e999", "-5", "null", "0.25", "NaN"]
    lines = [f'{{"trajectory": {{"turns": 1}}, "score": {{"f1": {value}}}}}\n' for value in values]
    lines.append('{"trajectory": {"sample": 99999999999999999999999, "turns": 2}}\n')
    write(tmp_path / "episodes.jsonl", *lines)
    index = indexed(tmp_path, EPISODES)
    assert index.state().rows == everything(index).total == 7
    least = everything(index, RowQuery(least={"f1": 0.2}, most={"f1": 2})).rows
    assert [each.id for each in least] == ["4"]


def test_a_certificate_counts_whenever_it_comes(tmp_path: Path) -> None:
    arenas = world()[:4]
    write(tmp_path / "arenas.jsonl", *(to_line(arena.row()).decode() for arena in arenas))

    def certificates(*some: Certificate, mode: str = "ab") -> None:
        write(tmp_path / CERTIFICATES, *(to_line(each).decode() for each in some), mode=mode)

    certificates(examined(arenas[0]), failed(arenas[2]))
    write(tmp_path / CERTIFICATES, "no JSON\n", mode="ab")
    index = indexed(tmp_path)

    def cells() -> list[Any]:
        return [each.cells["certificate"] for each in everything(index).rows]

    missing = "without a certificate"
    assert cells() == ["certified", missing, "failed: necessity", missing]
    assert len(index.state().problems) == 1
    certificates(examined(arenas[1]), examined(arenas[2]), failed(arenas[0]))
    refreshed(index)
    assert cells() == ["failed: necessity", "certified", "certified", missing]
    assert index.choices()["certificate"] == [
        ("certified", 2),
        ("failed: necessity", 1),
        (missing, 1),
    ]
    certificates(*map(examined, arenas), mode="wb")
    (tmp_path / CERTIFICATES).rename(tmp_path / "old")
    refreshed(index)
    assert cells() == [missing] * 4
    (tmp_path / "old").rename(tmp_path / CERTIFICATES)
    refreshed(index)
    assert cells() == ["certified"] * 4


def test_the_addresses_of_a_list_mean_what_the_index_does(pages: Pages) -> None:
    def shown(query: str) -> list[str]:
        text = pages.ask(f"world/arenas.html?{query}").text
        table = text.split("<tbody>")[1].split("</tbody>")[0]
        return [part.split(".html")[0] for part in table.split("world/arenas/")[1:]]

    arenas = world()
    assert shown("") == [arena.id for arena in arenas]
    wanted = [arena.id for arena in arenas if arena.language == "zh"]
    assert shown("language=zh") == wanted and len(wanted) == 1
    assert shown("q=germany&split=train") == [arenas[0].id, arenas[1].id]
    assert shown("certificate=failed%3A+necessity") == [arenas[2].id]
    assert shown("level=6") == [arenas[6].id]
    assert shown("least-hops=3") == [arenas[2].id, arenas[4].id]
    assert shown("least-hops=2&most-hops=2&sort=-hops") == [arenas[3].id]
    by_hops = sorted(arenas, key=lambda arena: -len(arena.goals))
    assert shown("sort=-hops") == [arena.id for arena in by_hops]
    assert shown("page=2") == [] and shown("page=x") == shown("least-hops=nan")
    assert shown("sort=nothing") == shown("least-hops=") == shown("")
