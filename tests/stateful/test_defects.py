"""Planted defects of state, tools and scoring, each caught by the check that is meant for it.

The numbers are those of the plan. 5, a failure that takes an id, can't be planted in a tool: keys
are given back by the runner (tests/sandbox/test_database.py). Defects of service policies and of
conversations stand beside the tests of those.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from astra.arenas.certificate.state import trials as trials_module
from astra.arenas.stateful.options import StateSourceOptions
from astra.arenas.tables.load.tables import Tables
from astra.arenas.tables.schema import Schema
from astra.databases import RowChange
from astra.episodes import Score
from astra.states import StateGoal
from astra.types import Arena, CallRecord, GoldCall, Tool
from tests.stateful.conftest import draw
from tests.stateful.test_certificate import changed, examine, replaced, with_tool
from tests.support import desk
from tests.support.desk import desk_arena, tool

Build = Callable[[list[Arena]], Arena]


def of_kind(arenas: list[Arena], kind: str, tool_start: str = "") -> Arena:
    """The first arena that asks for one thing of a kind."""
    for arena in arenas:
        if arena.provenance["kinds"] == [kind] and last_tool(arena).startswith(tool_start):
            return arena
    raise LookupError(kind)


def edited(arena: Arena, name: str, *pairs: tuple[str, str], **document: Any) -> Arena:
    """The arena with the source of a tool changed."""
    tools: list[Tool] = []
    for each in arena.tools:
        if each.name == name:
            source = each.source
            for old, new in pairs:
                assert old in source, source
                source = source.replace(old, new)
            own = each.document.model_copy(update=document)
            each = each.model_copy(update={"source": source, "document": own})
        tools.append(each)
    return arena.model_copy(update={"tools": tuple(tools)}).with_content_id()


def last_tool(arena: Arena) -> str:
    call = arena.goals[-1].call
    assert call is not None
    return call.tool


def negative_price(arenas: list[Arena]) -> Arena:
    arena = of_kind(arenas, "update", "set_product_")
    name = last_tool(arena)
    (document,) = (each.document for each in arena.tools if each.name == name)
    parameters = dict(document.parameters)
    parameters["properties"] = {
        key: {part: value for part, value in schema.items() if part != "minimum"}
        for key, schema in parameters["properties"].items()
    }
    old = 'if kind != "number_key" and stored < 0:'
    return edited(arena, name, (old, "if False:"), parameters=parameters)


def negative_stock(arenas: list[Arena]) -> Arena:
    arena = of_kind(arenas, "transfer")
    return edited(arena, last_tool(arena), ("if _left < 0:", "if False:"))


def half_commit(arenas: list[Arena]) -> Arena:
    arena = of_kind(arenas, "transfer")
    name = last_tool(arena)
    (source,) = (each.source for each in arena.tools if each.name == name)
    second = next(line for line in source.splitlines() if "DATABASE.execute(_sql, [_to" in line)
    caught = f"    try:\n    {second}\n    except Exception:\n        pass"
    return edited(arena, name, (second, caught))


def error_after_write(_: list[Arena]) -> Arena:
    source = desk.CANCEL.source
    check = source[source.index('    if row["status"]') : source.index("    statement =")]
    late = check.replace(
        'return {"error": {"code": "not_allowed", "message": message}}', 'return {"error": message}'
    )
    end = '    return {"order_id"'
    return with_tool(desk.CANCEL, source=source.replace(check, "").replace(end, late + end))


def second_row(_: list[Arena]) -> Arena:
    more = "    DATABASE.execute(\"UPDATE orders SET address = 'x' WHERE order_id = 'O-2003'\")\n"
    return replaced(desk.CANCEL, ("    statement =", more + "    statement ="))


def reading_tool_writes(_: list[Arena]) -> Arena:
    return replaced(desk.LIST, ("rows =", "DATABASE.execute('DELETE FROM orders'); rows ="))


def undeclared_cascade(_: list[Arena]) -> Arena:
    more = "    DATABASE.execute(\"UPDATE customers SET phone = '0'\")\n"
    return replaced(desk.CANCEL, ("    statement =", more + "    statement ="))


def two_tools(_: list[Arena]) -> Arena:
    document = desk.CANCEL.document.model_copy(update={"name": "void_order"})
    source = desk.CANCEL.source.replace("def cancel_order", "def void_order")
    second = desk.CANCEL.model_copy(update={"document": document, "source": source})
    arena = desk_arena((*desk.TOOLS, second))
    return changed(arena, writes={**desk.WRITES, "void_order": ("orders",)})


def no_change(_: list[Arena]) -> Arena:
    return replaced(desk.ADDRESS, ("    DATABASE.execute(statement", "    (statement"))


def wall_clock(_: list[Arena]) -> Arena:
    return replaced(
        desk.CANCEL, ('return {"order_id"', 'return {"at": __import__("time").time(), "order_id"')
    )


def id_reused(arenas: list[Arena]) -> Arena:
    arena = of_kind(arenas, "create")
    name = last_tool(arena)
    (source,) = (each.source for each in arena.tools if each.name == name)
    (made,) = re.findall(r"    _row\['\w+'\] = new_key\('\w+'\)\n", source)
    _, key, _, table, _ = made.split("'")
    first = (
        f"    _row['{key}'] = DATABASE.execute('SELECT max({key}) AS k FROM {table}')"
        ".fetchone()['k']\n"
    )
    return (
        edited(arena, name, (made, first), ('"INSERT INTO', '"INSERT OR REPLACE INTO'))
        if ('"INSERT INTO' in source)
        else edited(arena, name, (made, first), ("'INSERT INTO", "'INSERT OR REPLACE INTO"))
    )


def unordered_list(_: list[Arena]) -> Arena:
    ids = 'list({row["order_id"] for row in rows} | set("abcdef"))'
    return replaced(
        desk.LIST, ('return {"orders": rows}', f'return {{"orders": rows, "ids": {ids}}}')
    )


def stale_total(_: list[Arena]) -> Arena:
    """The goal wants the phone of the customer noted in the order, too."""
    arena = desk_arena()
    assert arena.state is not None
    first, *others = arena.state.goals
    (change,) = first.changes
    assert change.before and change.after
    wanted = change.model_copy(
        update={
            "before": {**change.before, "status": "shipped"},
            "after": {**change.after, "status": "pending"},
        }
    )
    goal = first.model_copy(update={"changes": (wanted,)})
    return changed(arena, goals=(goal, *others))


def float_cents(arenas: list[Arena]) -> Arena:
    for arena in arenas:
        call = arena.goals[-1].call
        if arena.provenance["kinds"] == ["update"] and call and "price" in call.tool:
            (value,) = (v for v in call.arguments.values() if isinstance(v, float | int))
            if int(value * 100) != round(value * 100):
                break
    else:
        raise LookupError("no price whose cents are lost")
    check = "if abs(stored - value * 10**scale) > 1e-6 * max(1, abs(stored)) or"
    return edited(
        arena,
        call.tool,
        ("stored = round(value * 10**scale)", "stored = int(value * 10**scale)"),
        (check, "if"),
    )


def already(_: list[Arena]) -> Arena:
    arena = desk_arena()
    assert arena.state is not None
    status = {"status": "cancelled"}
    row = RowChange(table="orders", key="O-2004", before=status, after=status)
    goal = StateGoal(id="s3", question="Cancel O-2004.", changes=(row,))
    return changed(arena, goals=(*arena.state.goals, goal))


def superfluous(_: list[Arena]) -> Arena:
    arena = desk_arena()
    again = arena.goals[3].model_copy(
        update={"id": "g5", "call": arena.goals[2].call, "target": arena.goals[2].target}
    )
    again = again.model_copy(update={"depends_on": ("g4",)})
    return arena.model_copy(update={"goals": (*arena.goals, again)}).with_content_id()


def homonym(_: list[Arena]) -> Arena:
    return replaced(desk.FIND, ("lower(name) = lower(?)", "lower(name) LIKE lower(?) || '%'"))


def tie(_: list[Arena]) -> Arena:
    """Two orders of the customer are what the request calls "her shipped order"."""
    find = tool(
        "list_shipped",
        "Lists orders that are on their way.",
        """def list_shipped(customer_id):
    rows = DATABASE.execute("SELECT * FROM orders ORDER BY order_id").fetchall()
    return {"orders": [row for row in rows if row["customer_id"] != "C-1003"]}
""",
        {"customer_id": "ID of the customer."},
        ["customer_id"],
    )
    arena = desk_arena((desk.FIND, find, desk.ADDRESS, desk.CANCEL))
    call = GoldCall(tool="list_shipped", arguments={"customer_id": "C-1001"})
    first, second, *others = arena.goals
    goals = (first, second.model_copy(update={"call": call}), *others)
    return arena.model_copy(update={"goals": goals}).with_content_id()


def boundary(arenas: list[Arena]) -> Arena:
    arena = of_kind(arenas, "update", "set_product_price")
    (read,) = (g for g in arena.goals if g.call and g.call.tool == "find_products")
    assert arena.state is not None and read.answer is not None
    row = arena.state.tables().table("products").rows_by_key[str(read.answer)]
    price = int(row["price"] or 0) / 100
    text = f"If the price is above {price:g} EUR, {arena.question}"
    return arena.model_copy(update={"question": text}).with_content_id()


def to_or_by(arenas: list[Arena]) -> Arena:
    arena = of_kind(arenas, "update", "set_product_price")
    text = re.sub(r"to (\d)", r"by \1", arena.question)
    assert text != arena.question
    return arena.model_copy(update={"question": text}).with_content_id()


def unsaid_order(_: list[Arena]) -> Arena:
    """An order can only be cancelled once the other one goes elsewhere."""
    return replaced(
        desk.CANCEL,
        (
            "    statement =",
            "    moved = DATABASE.execute(\"SELECT 1 FROM orders WHERE address = '9 Pier Walk'\")\n"
            "    if moved.fetchone() is None:\n"
            '        return {"error": {"code": "not_yet"}}\n'
            "    statement =",
        ),
    )


def free_default(arenas: list[Arena]) -> Arena:
    """The document no longer says with which status a row begins."""
    arena = of_kind(arenas, "create")
    name = last_tool(arena)
    (document,) = (each.document for each in arena.tools if each.name == name)
    assert "starts with" in document.description or "初始" in document.description
    return edited(arena, name, description="Creates one.")


def replaceable_tool(_: list[Arena]) -> Arena:
    edit = tool(
        "edit_order",
        "Edits one field of an order.",
        """def edit_order(order_id, field, value):
    row = DATABASE.execute("SELECT * FROM orders WHERE order_id = ?", [order_id]).fetchone()
    if row is None or field not in ("status", "address"):
        return {"error": {"code": "not_found"}}
    if field == "status" and value not in ("pending", "shipped", "cancelled"):
        return {"error": {"code": "invalid"}}
    DATABASE.execute("UPDATE orders SET %s = ? WHERE order_id = ?" % field, [value, order_id])
    return {"order_id": order_id, field: value, "previous": row[field]}
""",
        {"order_id": "ID of the order.", "field": "Name of the field.", "value": "New value."},
        ["order_id", "field", "value"],
    )
    arena = desk_arena((*desk.TOOLS, edit))
    return changed(arena, writes={**desk.WRITES, "edit_order": ("orders",)})


def wide_footprint(_: list[Arena]) -> Arena:
    note = tool(
        "set_order_status",
        "Sets the status of an order to one that it has not.",
        """def set_order_status(order_id, status):
    row = DATABASE.execute("SELECT * FROM orders WHERE order_id = ?", [order_id]).fetchone()
    if row is None or status not in ("shipped", "pending") or row["status"] != "shipped":
        return {"error": {"code": "not_allowed"}}
    DATABASE.execute("UPDATE orders SET status = ? WHERE order_id = ?", [status, order_id])
    return {"order_id": order_id, "status": status, "previous": row["status"]}
""",
        {"order_id": "ID of the order.", "status": "shipped or pending."},
        ["order_id", "status"],
    )
    arena = desk_arena((*desk.TOOLS, note))
    assert arena.state is not None
    first = arena.state.goals[0]
    writes = {**desk.WRITES, "set_order_status": ("orders",)}
    # Only the address was asked for, and the status may be anything.
    return changed(arena, writes=writes, goals=(first,), free={"orders": ("status",)})


def no_undo(_: list[Arena]) -> Arena:
    """An address is changed once and never again."""
    return replaced(
        desk.ADDRESS,
        (
            "    statement =",
            '    if row["address"] != "1 Quay Road":\n'
            '        return {"error": {"code": "not_allowed"}}\n'
            "    statement =",
        ),
    )


DEFECTS: dict[str, tuple[str, Build]] = {
    "1 a rule of the column is ignored": ("constraints", negative_price),
    "2 negative stock": ("constraints", negative_stock),
    "3 half a change is kept": ("atomic", half_commit),
    "4 an error after the change": ("atomic", error_after_write),
    "6 a second row": ("effects", second_row),
    "7 a reading tool that writes": ("effects", reading_tool_writes),
    "8 an undeclared table": ("effects", undeclared_cascade),
    "9 two tools for one change": ("effects", two_tools),
    "10 success without a change": ("state", no_change),
    "11 the wall clock": ("state", wall_clock),
    "12 an id is used again": ("state", id_reused),
    "13 a list without an order": ("state", unordered_list),
    "14 a number that follows stays": ("state", stale_total),
    "15 cents are lost": ("state", float_cents),
    "16 as asked for at the start": ("already", already),
    "18 a write that is not needed": ("necessary", superfluous),
    "19 a namesake": ("unique", homonym),
    "20 a tie": ("unique", tie),
    "21 on the boundary": ("unique", boundary),
    "22 to or by": ("unique", to_or_by),
    "23 an order that nobody says": ("unique", unsaid_order),
    "24 a default that nobody says": ("unique", free_default),
    "31 a tool that another replaces": ("reach", replaceable_tool),
    "33 a goal that allows more": ("collateral", wide_footprint),
    "34 what can't be put right": ("undo", no_undo),
}


@pytest.fixture(scope="session")
def by_kind(shop: tuple[Tables, Schema]) -> list[Arena]:
    """Arenas that ask for one thing each."""
    return [
        arena
        for kind, count in (("update", 60), ("create", 4), ("transfer", 4))
        for arena in draw(
            shop, StateSourceOptions(hops=(1, 8), seed=6, kinds=frozenset({kind})), count
        )
    ]


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_caught_by_its_check(name: str, by_kind: list[Arena]) -> None:
    check, build = DEFECTS[name]
    certificate = examine(build(by_kind))
    failed = {result.check: result.reason for result in certificate.checks if not result.passed}
    assert check in failed, failed


def test_what_the_defects_were_planted_in_is_certified(by_kind: list[Arena]) -> None:
    for kind, start in (
        ("transfer", ""),
        ("create", ""),
        ("update", "set_product_"),
        ("update", "set_product_price"),
    ):
        certificate = examine(of_kind(by_kind, kind, start))
        assert certificate.certified, [c for c in certificate.checks if not c.passed]


def test_17_a_change_that_is_taken_back_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    score_calls = trials_module.score_calls

    def kind(arena: Arena, calls: Sequence[CallRecord], **options: Any) -> Score:
        """As if what was right once stayed so."""
        scores = [score_calls(arena, calls[:end], **options) for end in range(1, len(calls) + 1)]
        return max(scores, key=lambda s: s.f1, default=score_calls(arena, calls, **options))

    monkeypatch.setattr(trials_module, "score_calls", kind)
    certificate = examine(desk_arena())
    failed = {result.check: result.reason for result in certificate.checks if not result.passed}
    assert "change nothing in the end" in failed["null"]
