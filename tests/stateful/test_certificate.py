"""The certificate of arenas with a state: the desk passes, and each check rejects its defects."""

from __future__ import annotations

from typing import Any

import pytest

from astra.arenas.certificate import certify
from astra.arenas.certificate.arena_under_test import NamedCall
from astra.arenas.certificate.state import trials as trials_module
from astra.arenas.certificate.state.tools import rows_in
from astra.arenas.certificate.state.trials import StateTrials
from astra.arenas.certificates import Certificate, CheckResult
from astra.databases import Database, DatabaseColumn, DatabaseTable, RowChange
from astra.episodes import Score
from astra.protocols import RESTORE
from astra.types import Arena, ArenaState, GoldCall, Json, StateGoal, Tool
from tests.support import desk
from tests.support.desk import desk_arena
from tests.support.sandboxes import run_with_sandbox, shared_sandbox

CHECKS = (
    *("names", "schema", "script", "already", "policy", "state", "null", "necessary", "unique"),
    *("effects", "collateral", "undo", "atomic", "reach", "ask", "cannot", "refuse"),
    "constraints",
)


def examine(arena: Arena) -> Certificate:
    async def run() -> Certificate:
        async with shared_sandbox() as sandbox:
            return await certify(arena, sandbox, all_checks=True)

    return run_with_sandbox(run())


def failed(arena: Arena) -> dict[str, CheckResult]:
    certificate = examine(arena)
    assert not certificate.certified
    return {check.check: check for check in certificate.checks if not check.passed}


def with_tool(old: Tool, **changes: Any) -> Arena:
    tools = [tool.model_copy(update=changes) if tool is old else tool for tool in desk.TOOLS]
    return desk_arena(tuple(tools))


def changed(arena: Arena, **state: Any) -> Arena:
    assert arena.state is not None
    update = {"state": arena.state.model_copy(update=state)}
    return arena.model_copy(update=update).with_content_id()


def replaced(tool: Tool, *pairs: tuple[str, str]) -> Arena:
    source = tool.source
    for old, new in pairs:
        assert old in source
        source = source.replace(old, new)
    return with_tool(tool, source=source)


def test_the_desk_is_certified() -> None:
    certificate = examine(desk_arena())
    assert certificate.certified, [check for check in certificate.checks if not check.passed]
    assert tuple(check.check for check in certificate.checks) == CHECKS


def test_success_without_a_change() -> None:
    arena = replaced(desk.ADDRESS, ("    DATABASE.execute(statement", "    (statement"))
    assert "state" in failed(arena)


def test_more_is_changed_than_the_goals_say() -> None:
    more = "    DATABASE.execute(\"UPDATE orders SET address = 'x' WHERE order_id = 'O-2003'\")\n"
    found = failed(replaced(desk.CANCEL, ("    statement =", more + "    statement =")))
    assert "damage" in found["state"].reason


def test_goals_that_declare_another_value() -> None:
    arena = desk_arena()
    assert arena.state is not None
    first, *others = arena.state.goals
    (change,) = first.changes
    other = change.model_copy(update={"after": {"address": "1 Elm Yard"}})
    goal = first.model_copy(update={"changes": (other,)})
    assert "state" in failed(changed(arena, goals=(goal, *others)))


@pytest.mark.parametrize(
    "value",
    ["__import__('time').time()", "__import__('random').random()", "hash('a')"],
)
def test_what_differs_from_episode_to_episode(value: str) -> None:
    arena = replaced(desk.CANCEL, ('return {"order_id"', f'return {{"at": {value}, "order_id"'))
    assert "another episode" in failed(arena)["state"].reason


def test_a_row_that_is_as_it_is_asked_for() -> None:
    arena = desk_arena()
    assert arena.state is not None
    row = RowChange(
        table="orders", key="O-2004", before={"status": "cancelled"}, after={"status": "cancelled"}
    )
    goal = StateGoal(id="s3", question="Cancel O-2004.", changes=(row,))
    assert "already" in failed(changed(arena, goals=(*arena.state.goals, goal)))


def test_a_goal_whose_row_was_never_so() -> None:
    arena = desk_arena()
    assert arena.state is not None
    first, *others = arena.state.goals
    (change,) = first.changes
    other = change.model_copy(update={"before": {"address": "somewhere"}})
    goal = first.model_copy(update={"changes": (other,)})
    assert "already" in failed(changed(arena, goals=(goal, *others)))


def test_a_write_that_is_not_needed() -> None:
    arena = desk_arena()
    again = arena.goals[3].model_copy(update={"id": "g5", "call": arena.goals[2].call})
    target = arena.goals[2].target
    again = again.model_copy(update={"target": target, "depends_on": ("g4",)})
    arena = arena.model_copy(update={"goals": (*arena.goals, again)}).with_content_id()
    assert "necessary" in failed(arena)


def test_a_search_that_finds_a_namesake() -> None:
    arena = replaced(desk.FIND, ("lower(name) = lower(?)", "lower(name) LIKE lower(?) || '%'"))
    assert "C-1002" in failed(arena)["unique"].reason


def test_trials_make_a_call_once_in_each_state() -> None:
    arena = desk_arena()
    assert arena.state is not None
    find, orders, address, cancel = (
        NamedCall(goal.call.tool, goal.call.arguments, goal.id)
        for goal in arena.goals
        if goal.call is not None
    )
    again = NamedCall(find.tool, dict(find.arguments), "the same in another object")

    async def play(state: ArenaState) -> list[list[tuple[str, dict[str, Json]]]]:
        sent: list[list[tuple[str, dict[str, Json]]]] = []
        async with (
            shared_sandbox() as sandbox,
            StateTrials(arena, state, sandbox, 0) as made,
        ):
            session = await made.main_session()
            call_many = session.call_many

            async def noted(calls: Any) -> Any:
                sent.append(list(calls))
                return await call_many(calls)

            session.call_many = noted  # type: ignore[method-assign]
            first, *_ = await made.play([[find, orders], [find, address, again, cancel]])
            (second,) = await made.play([[again, orders]])
            assert [o.value for o in first.outcomes] == [o.value for o in second.outcomes]
            await made.play([[address, cancel, orders]])
            await made.play([[again]], whole=True)
        return sent

    def of(*calls: NamedCall) -> list[tuple[str, dict[str, Json]]]:
        return [(call.tool, call.arguments) for call in calls]

    assert run_with_sandbox(play(arena.state)) == [
        # What is found after a write may be something else.
        [RESTORE, *of(find, orders), RESTORE, *of(address, find, cancel)],
        [],
        [RESTORE, *of(address, cancel, orders)],
        [RESTORE, *of(find)],
    ]


def test_rows_are_of_the_table_whose_cells_they_show() -> None:
    def table(name: str, word: str) -> DatabaseTable:
        return DatabaseTable(
            name=name,
            key="id",
            columns=(
                DatabaseColumn(name="id", type="integer"),
                DatabaseColumn(name="name", type="text"),
                DatabaseColumn(name="price", type="decimal", scale=2),
                DatabaseColumn(name="sold", type="boolean"),
            ),
            rows=tuple((n, f"{word} {n}", 100 * n if n != 3 else None, n % 2) for n in range(1, 6)),
        )

    database = Database(tables=(table("boats", "Tern"), table("sails", "Jib")))
    for name, word in (("boats", "Tern"), ("sails", "Jib")):
        rows = [{"id": n, "name": f"{word} {n}", "price": 1.0 * n, "sold": True} for n in (1, 5)]
        found, keys = rows_in(database, {"rows": rows})
        assert found is not None
        assert (found.name, keys) == (name, [1, 5])
        found, keys = rows_in(database, [{"id": 3, "name": f"{word} 3", "price": None}])
        assert found is not None
        assert (found.name, keys) == (name, [3])
    assert rows_in(database, [{"id": 9, "name": "Jib 9"}]) == (None, [])


def test_two_tools_for_one_change() -> None:
    document = desk.CANCEL.document.model_copy(update={"name": "void_order"})
    source = desk.CANCEL.source.replace("def cancel_order", "def void_order")
    second = desk.CANCEL.model_copy(update={"document": document, "source": source})
    arena = desk_arena((*desk.TOOLS, second))
    arena = changed(arena, writes={**desk.WRITES, "void_order": ("orders",)})
    assert "cancel_order, void_order" in failed(arena)["effects"].reason


def test_a_reading_tool_that_writes() -> None:
    arena = replaced(desk.LIST, ("rows =", "DATABASE.execute('DELETE FROM orders'); rows ="))
    assert "state" in failed(arena)


def test_sql_that_is_put_together_from_texts() -> None:
    source = """def change_order_address(order_id, address):
    row = DATABASE.execute("SELECT * FROM orders WHERE order_id = ?", [order_id]).fetchone()
    if row is None:
        return {"error": {"code": "not_found", "message": "no such order"}}
    sql = f"UPDATE orders SET address = '{address}' WHERE order_id = '{order_id}'"
    DATABASE.execute(sql)
    return {"order_id": order_id, "address": address, "previous": row["address"]}
"""
    # Each arena tries some of the hostile texts: over some seeds every one has its turn.
    found = [failed_with(with_tool(desk.ADDRESS, source=source), seed) for seed in range(6)]
    assert "constraints" in {check for checks in found for check in checks}


def failed_with(arena: Arena, seed: int) -> set[str]:
    async def run() -> Certificate:
        async with shared_sandbox() as sandbox:
            return await certify(arena, sandbox, seed=seed, all_checks=True)

    return {check.check for check in run_with_sandbox(run()).checks if not check.passed}


def test_a_tool_that_raises_on_a_text() -> None:
    arena = replaced(desk.FIND, ("    rows =", "    assert len(name) < 100\n    rows ="))
    checks = {check for seed in range(6) for check in failed_with(arena, seed)}
    assert "constraints" in checks


def test_half_of_a_change_is_not_kept() -> None:
    """A tool that writes and then reports an error changes nothing, so the goal stays open."""
    arena = replaced(desk.CANCEL, ('    return {"order_id"', '    return {"error": {}, "order_id"'))
    assert "state" in failed(arena)


@pytest.mark.parametrize("check", ["null", "necessary", "collateral", "undo"])
def test_a_reward_that_is_too_kind(check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """These checks look at what the reward says: one that likes everything does not pass."""

    def kind(*_: object, **__: object) -> Score:
        return Score(goals=2, solved=2, calls=4, recall=1, precision=1, f1=1, reward=1)

    monkeypatch.setattr(trials_module, "score_calls", kind)
    assert check in failed(desk_arena())


def test_gold_calls_in_another_order() -> None:
    """Writes that need each other's order are no two independent requests."""
    arena = replaced(
        desk.CANCEL,
        (
            "    statement =",
            "    moved = DATABASE.execute(\"SELECT 1 FROM orders WHERE address = '9 Pier Walk'\")\n"
            "    if moved.fetchone() is None:\n"
            '        return {"error": {"code": "not_yet"}}\n'
            "    statement =",
        ),
    )
    assert "state" in failed(arena)


def test_calls_that_no_goal_needs_are_refused() -> None:
    arena = desk_arena()
    extra = arena.goals[0].model_copy(
        update={"id": "g0", "call": GoldCall(tool="list_orders", arguments={"customer_id": "C"})}
    )
    arena = arena.model_copy(update={"goals": (extra, *arena.goals)}).with_content_id()
    assert "state" in failed(arena)


def test_the_same_arena_is_not_examined_twice() -> None:
    async def run() -> None:
        arena = desk_arena()
        async with shared_sandbox() as sandbox:
            first = await certify(arena, sandbox)
            assert await certify(arena, sandbox, unmixed=first) is first
            # Of another seed, another arena, or a bad one: nothing can be taken from it.
            assert await certify(arena, sandbox, unmixed=first, seed=1) is not first
            for other in ({"arena": "0" * 16}, {"certified": False}, {"version": 0}):
                unlike = first.model_copy(update=other)
                again = await certify(arena, sandbox, unmixed=unlike)
                assert again is not unlike and again.certified

    run_with_sandbox(run())
