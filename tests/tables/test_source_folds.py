"""Names that tools can't tell apart are never asked about; the end of the calendar is no end."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from astra.arenas.tables.load.tables import load
from astra.arenas.tables.profile.profiler import profile
from astra.arenas.tables.source import TableSource, TableSourceOptions, fingerprint
from astra.types import Arena

TWINS = ("ﬁx", "fix", "Ｐａｒｉｓ", "Paris", "Straße", "STRASSE", "A  b", "a b", "1,000", "1000")


def arenas(path: Path, count: int) -> list[Arena]:
    with load([path]) as tables:
        source = TableSource(tables, profile(tables), TableSourceOptions(hops=(1, 3), test_share=0))
        outcomes = [candidate.outcome for candidate in islice(source.candidates(), count)]
    return [outcome for outcome in outcomes if isinstance(outcome, Arena)]


def test_names_that_fold_to_one_are_never_named(tmp_path: Path) -> None:
    path = tmp_path / "places.csv"
    clear = [f"Place {chr(65 + i)}{chr(97 + i)}" for i in range(16)]
    rows = [
        f'"{name}",code {chr(65 + i)},{100 + 7 * i},{"north" if i % 2 else "south"}'
        for i, name in enumerate([*TWINS, *clear])
    ]
    path.write_text("\n".join(["place,code,height_m,side", *rows]), "utf-8")
    made = arenas(path, 40)
    assert len(made) > 20
    asked = {
        str(value)
        for arena in made
        for goal in arena.goals
        if goal.call is not None
        for value in (*goal.call.arguments.values(), goal.answer)
    }
    assert not asked & set(TWINS)
    assert asked & set(clear)


def test_groups_that_fold_to_one_are_not_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "houses.csv"
    sides = ["Ｎord", "nord", "East", "West"]
    rows = [f"House {chr(65 + i)}x,{sides[i % 4]},{50 + 3 * i}" for i in range(24)]
    path.write_text("\n".join(["house,side,height_m", *rows]), "utf-8")
    values = {
        goal.call.arguments.get("value")
        for arena in arenas(path, 30)
        for goal in arena.goals
        if goal.call is not None
    }
    assert values & {"East", "West"}
    assert not values & {"Ｎord", "nord"}


def test_dates_at_both_ends_of_the_calendar(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    days = ["0001-01-01", "0001-01-02", "9999-12-31", "9999-12-30"]
    days += [f"19{10 + i}-03-0{1 + i % 9}" for i in range(16)]
    rows = [f"Event {chr(65 + i)}e,{day}" for i, day in enumerate(days)]
    path.write_text("\n".join(["event,opened", *rows]), "utf-8")
    assert arenas(path, 60)


def test_a_file_beside_the_tables_is_no_change_of_them(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,size\n" + "\n".join(f"N{i}x,{i}" for i in range(9)))

    def made() -> str:
        with load([tmp_path]) as tables:
            return fingerprint(tables, profile(tables))

    before = made()
    (tmp_path / "notes.txt").write_text("beside")
    (tmp_path / "run").mkdir()
    assert made() == before
    (tmp_path / "a.csv").write_text("name,size\n" + "\n".join(f"N{i}x,{i + 1}" for i in range(9)))
    assert made() != before
