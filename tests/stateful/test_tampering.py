"""Run folders of arenas with a state, made by the command: examined again, exported and imported,
and refused where someone has changed them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from astra.arenas.sets import ArenaSet
from astra.cli.main import run
from astra.errors import StoreError
from astra.states import ArenaState
from astra.types import Arena
from tests.stateful.conftest import SHOP


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "run"
    command = ["arenas", "make", str(SHOP), "--actions", "--count", "4", "--out", str(folder)]
    assert run([*command, "--seed", "2", "--no-progress"]) == 0
    return folder


def test_good_arenas_are_certified_again(made: Path) -> None:
    assert run(["arenas", "certify", str(made)]) == 0


def test_parts_and_other_names_stay_good(made: Path, tmp_path: Path) -> None:
    arenas = ArenaSet(made)
    parts = [arenas.split("train"), arenas.split("test")]
    assert sorted(a.id for part in parts for a in part) == sorted(a.id for a in arenas)
    kept = arenas.filter(lambda arena: True).save(tmp_path / "kept")
    assert run(["arenas", "certify", str(kept.path)]) == 0


def test_they_come_back_from_the_published_layout(made: Path, tmp_path: Path) -> None:
    rows, back = tmp_path / "rows.jsonl", tmp_path / "back"
    assert run(["arenas", "export", str(made), "--out", str(rows), "--format", "astra-rl"]) == 0
    assert run(["arenas", "import", str(rows), "--out", str(back)]) == 0
    assert {a.content_id for a in ArenaSet(back)} == {a.content_id for a in ArenaSet(made)}


def state_of(arena: Arena) -> ArenaState:
    assert arena.state is not None
    return arena.state


def other_goal(arena: Arena) -> Arena:
    """Another value is wanted than the request says."""
    state = state_of(arena)
    goals = list(state.goals)
    at = next(n for n, goal in enumerate(goals) if goal.changes)
    change = goals[at].changes[0]
    wanted = {
        name: f"{value} " if isinstance(value, str) else (value or 0) + 1
        for name, value in (change.after or {}).items()
    }
    changes = (change.model_copy(update={"after": wanted}), *goals[at].changes[1:])
    goals[at] = goals[at].model_copy(update={"changes": changes})
    return arena.model_copy(update={"state": state.model_copy(update={"goals": tuple(goals)})})


def other_row(arena: Arena) -> Arena:
    """The row of a goal is another at the start."""
    state = state_of(arena)
    change = next(c for goal in state.goals for c in goal.changes if c.before)
    database = state.tables()
    tables = []
    for table in database.tables:
        if table.name == change.table:
            names = [column.name for column in table.columns]
            at = names.index(next(iter(change.after or {})))
            rows = [
                tuple(
                    (change.after or {})[names[n]] if n == at else cell
                    for n, cell in enumerate(row)
                )
                if row[names.index(table.key)] == change.key
                else row
                for row in table.rows
            ]
            table = table.model_copy(update={"rows": tuple(rows)})
        tables.append(table)
    database = database.model_copy(update={"tables": tuple(tables)})
    return arena.model_copy(update={"state": state.model_copy(update={"database": database})})


def other_tool(arena: Arena) -> Arena:
    """The tool of the last gold call changes nothing any more."""
    call = [goal.call for goal in arena.goals if goal.call][-1]
    tools = [
        tool.model_copy(
            update={"source": tool.source.replace("DATABASE.execute(", "(lambda *a: None)(")}
        )
        if tool.name == call.tool
        else tool
        for tool in arena.tools
    ]
    return arena.model_copy(update={"tools": tuple(tools)})


TAMPERED: dict[str, Callable[[Arena], Arena]] = {
    "goal": other_goal,
    "row": other_row,
    "tool": other_tool,
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_tampered_arena_is_not_certified(
    made: Path, tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the ids were made to fit."""
    for arena in ArenaSet(made):
        if any(c.before for goal in state_of(arena).goals for c in goal.changes):
            break
    else:
        raise LookupError("no arena changes a row")
    bad = TAMPERED[what](arena).with_content_id()
    folder = ArenaSet.of([bad], tmp_path / "bad").path
    assert run(["arenas", "certify", str(folder), "--json"]) != 0
    assert bad.id in capsys.readouterr().out


@pytest.mark.parametrize("file", ["arenas.jsonl", "databases.jsonl"])
def test_a_file_that_was_changed_by_hand_is_refused(
    made: Path, tmp_path: Path, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(made, folder)
    path = folder / file
    lines = path.read_text("utf-8").splitlines()
    row: dict[str, Any] = json.loads(lines[0])
    if file == "databases.jsonl":
        table = row["database"]["tables"][0]
        table["rows"] = table["rows"][1:]
    else:
        row["question"] += "!"
    lines[0] = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
    path.write_text("\n".join(lines) + "\n", "utf-8")
    assert run(["arenas", "certify", str(folder), "--json"]) != 0
    capsys.readouterr()
    with pytest.raises(StoreError):
        list(ArenaSet(folder))
