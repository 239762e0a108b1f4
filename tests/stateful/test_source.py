"""Arenas with a state that are drawn from tables."""

from __future__ import annotations

from collections import Counter

import pytest

from astra.arenas.certificate import certify
from astra.arenas.stateful.operations import TASK_KINDS
from astra.arenas.stateful.options import StateSourceOptions
from astra.arenas.tables.load.tables import Tables
from astra.arenas.tables.schema import Schema
from astra.databases import Cell
from astra.hosts.arena import ArenaHost, arena_messages
from astra.models.policies import policy
from astra.rewards import score_trajectory
from astra.rollouts.loop import RolloutLimits, RolloutTask, rollout
from astra.types import Arena, StateGoal
from tests.stateful.conftest import draw
from tests.support.sandboxes import run_with_sandbox, shared_sandbox

ALWAYS = TASK_KINDS.keys() - {"cancel"}
"""Kinds of tasks that no options are needed for."""


def test_every_kind_of_task_is_asked_for(arenas: list[Arena]) -> None:
    kinds = Counter(kind for arena in arenas for kind in arena.provenance["kinds"])
    assert kinds.keys() == ALWAYS
    assert {arena.language for arena in arenas} == {"en", "zh"}
    assert all(1 <= arena.hops <= 8 for arena in arenas)


def test_the_same_seed_gives_the_same_arenas(shop: tuple[Tables, Schema]) -> None:
    options = StateSourceOptions(seed=5, hops=(2, 5))
    first, second = (draw(shop, options, 8) for _ in range(2))
    assert [arena.id for arena in first] == [arena.id for arena in second]
    other = draw(shop, StateSourceOptions(seed=6, hops=(2, 5)), 8)
    assert not {arena.id for arena in first} & {arena.id for arena in other}


def test_gold_calls_bring_about_what_duckdb_computed(arenas: list[Arena]) -> None:
    async def play() -> None:
        async with shared_sandbox() as sandbox:
            for arena in arenas:
                trajectory = await rollout(
                    RolloutTask(arena.id, arena_messages(arena)),
                    policy("gold", arena),
                    ArenaHost(arena, sandbox),
                    RolloutLimits(turns=64),
                )
                scored = score_trajectory(arena, trajectory)
                assert (scored.f1, scored.waste, scored.damage) == (1, 0, 0), arena.question

    run_with_sandbox(play())


def test_arenas_are_certified(arenas: list[Arena]) -> None:
    async def check() -> None:
        async with shared_sandbox() as sandbox:
            for arena in arenas[:4]:
                certificate = await certify(arena, sandbox)
                assert certificate.certified, [c for c in certificate.checks if not c.passed]

    run_with_sandbox(check())


def test_databases_are_shared_and_small(arenas: list[Arena]) -> None:
    databases = {arena.state.tables().id: arena.state.tables() for arena in arenas if arena.state}
    assert len(databases) <= 13
    for database in databases.values():
        assert sum(len(table.rows) for table in database.tables) <= 260
        for table in database.tables:
            for column, other in table.references.items():
                held = database.table(other).rows_by_key
                assert all(
                    row[column] is None or row[column] in held for row in table.rows_by_key.values()
                )


def _rows(arena: Arena, split: str) -> set[tuple[str, Cell]]:
    assert arena.state is not None
    if arena.split != split:
        return set()
    return {
        (change.table, change.key)
        for goal in arena.state.goals
        for change in goal.changes
        if change.before is not None
    }


def test_no_row_is_changed_in_both_splits(shop: tuple[Tables, Schema]) -> None:
    made = draw(shop, StateSourceOptions(hops=(1, 8), test_share=0.5, seed=9), 48)
    train = {row for arena in made for row in _rows(arena, "train")}
    test = {row for arena in made for row in _rows(arena, "test")}
    assert train and test
    # Two places of one stock may lie on either side; the rows that are named may not.
    assert not train & test


def test_no_text_holds_a_mark_of_its_frame(arenas: list[Arena]) -> None:
    for arena in arenas:
        assert arena.state is not None
        texts = [arena.question, *(g.question for g in (*arena.goals, *arena.state.goals))]
        assert not any("~" in text for text in texts)


def test_requests_hold_every_new_value(arenas: list[Arena]) -> None:
    """Whoever reads the request, the tables and the documents knows what has to come out."""
    for arena in arenas:
        assert arena.state is not None
        for goal in arena.state.goals:
            for value in _texts(goal):
                free = {c for columns in arena.state.free.values() for c in columns}
                known = value in arena.question or any(
                    value in str(row) for table in arena.state.tables().tables for row in table.rows
                )
                # "It starts with the status open."
                known |= any(value in tool.document.description for tool in arena.tools)
                assert known or value == arena.state.now[:10], (arena.question, value, free)


def _texts(goal: StateGoal) -> list[str]:
    return [
        value
        for change in goal.changes
        if change.after is not None
        for name, value in change.after.items()
        if isinstance(value, str) and not (change.before is None and name.endswith("_id"))
    ]


@pytest.mark.parametrize("kind", sorted(ALWAYS))
def test_a_kind_alone(shop: tuple[Tables, Schema], kind: str) -> None:
    options = StateSourceOptions(hops=(1, 8), seed=2, kinds=frozenset({kind}))
    for arena in draw(shop, options, 5):
        assert set(arena.provenance["kinds"]) == {kind}


def test_tools_do_not_tell_whether_a_condition_holds(shop: tuple[Tables, Schema]) -> None:
    """What is asked for under a condition can be done, whether it holds or not."""
    options = StateSourceOptions(hops=(1, 3), seed=4, kinds=frozenset({"conditional"}))
    for arena in draw(shop, options, 20):
        names = {tool.name for tool in arena.tools}
        call = arena.goals[-1].call
        assert call is not None
        key, _ = call.arguments
        noun = key.removesuffix("_id")
        columns = [name for name in names if name.startswith("set_") and noun in name]
        assert len(columns) >= 2, (arena.question, names)


def test_lines_of_a_total_stay_together(arenas: list[Arena]) -> None:
    for arena in arenas:
        assert arena.state is not None
        database = arena.state.tables()
        lines = database.table("order_lines").rows_by_key.values()
        for key, order in database.table("orders").rows_by_key.items():
            amounts = [line["amount"] for line in lines if line["order_id"] == key]
            assert order["total"] == sum(n for n in amounts if isinstance(n, int))


def test_returns_are_of_what_was_ordered_and_not_yet_returned(shop: tuple[Tables, Schema]) -> None:
    options = StateSourceOptions(hops=(1, 4), seed=8, kinds=frozenset({"create"}))
    seen = 0
    for arena in draw(shop, options, 20):
        assert arena.state is not None
        (change,) = arena.state.goals[0].changes
        if change.table != "returns" or change.after is None:
            continue
        seen += 1
        pair = (change.after["order_id"], change.after["product_id"])
        for name, expected in (("order_lines", True), ("returns", False)):
            rows = arena.state.tables().table(name).rows_by_key.values()
            held = {(row["order_id"], row["product_id"]) for row in rows}
            assert (pair in held) is expected
    assert seen


def test_conditions_hold_half_of_the_time(shop: tuple[Tables, Schema]) -> None:
    """Whoever takes the first branch without a look is right as often as not."""
    options = StateSourceOptions(hops=(1, 3), seed=4, kinds=frozenset({"conditional"}))
    first = 0
    made = draw(shop, options, 60)
    for arena in made:
        assert arena.state is not None
        call = arena.goals[-1].call
        assert call is not None
        (value,) = list(call.arguments.values())[1:]
        text = arena.question.replace("true", "True").replace("false", "False")
        first += text.find(str(value)) < text.rfind("; ")
    assert 18 <= first <= 42
