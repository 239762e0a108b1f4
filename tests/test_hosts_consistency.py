"""The consistency checker: planted contradictions are found, what may change is let be."""

from typing import Any

import pytest

from astra.hosts.consistency import (
    FactLedger,
    contradictions,
    entity_of,
    kind_of,
    may_change,
    singular,
)
from astra.types import RecordedCall


def call(tool: str, content: Any, *, error: bool = False, **arguments: Any) -> RecordedCall:
    return RecordedCall(tool=tool, arguments=arguments, content=content, is_error=error)


ORDER = {"order_id": "o1", "total": 20.5, "status": "open", "customer_id": "c1"}

GOOD: dict[str, list[RecordedCall]] = {
    "the same again": [call("get_order", ORDER, order_id="o1")] * 3,
    "numbers and texts as they read": [
        call("get_order", {"order_id": "o1", "total": 20, "city": "Oslo "}, order_id="o1"),
        call("list_orders", [{"id": "o1", "total": 20.0, "city": "oslo"}]),
    ],
    "changed by a call that names it": [
        call("get_order", ORDER, order_id="o1"),
        call("cancel_order", {"ok": True}, order_id="o1"),
        call("get_order", {**ORDER, "status": "cancelled"}, order_id="o1"),
    ],
    "set by arguments": [
        call("get_order", ORDER, order_id="o1"),
        call("update_order", {"order_id": "o1", "status": "paid"}, order_id="o1", status="paid"),
        call("get_order", {**ORDER, "status": "paid"}, order_id="o1"),
    ],
    "a failed call states nothing": [
        call("get_order", {"order_id": "o1", "total": 9}, error=True, order_id="o1"),
        call("get_order", ORDER, order_id="o1"),
    ],
    "orders of one customer": [
        call("list_orders", {"orders": [{"customer_id": "c1", "total": 1}, ORDER]}),
        call("get_balance", {"customer_id": "c1", "total": 7}, customer_id="c1"),
    ],
    "kinds with the same numbers": [
        call("get_user", {"id": 1, "name": "Ann"}, id=1),
        call("get_order", {"id": 1, "name": "Books"}, id=1),
        call("search", [{"id": 1, "name": "Oslo"}, {"id": 1, "name": "Rome"}], q="x"),
    ],
    "a clock": [
        call("get_order", {**ORDER, "retrieved_at": "10:00"}, order_id="o1"),
        call("get_order", {**ORDER, "retrieved_at": "10:01"}, order_id="o1"),
    ],
    "after a change of everything": [
        call("get_order", ORDER, order_id="o1"),
        call("reset", "done"),
        call("get_order", {**ORDER, "status": "new"}, order_id="o1"),
    ],
    "another page": [
        call("list_orders", {"orders": [{"id": "o1", "total": 1}]}, page=1),
        call("list_orders", {"orders": [{"id": "o2", "total": 2}]}, page=2),
    ],
}
PLANTED: dict[str, tuple[str, list[RecordedCall]]] = {
    "another value": (
        "'status' of order 'o1'",
        [call("get_order", ORDER, order_id="o1"), call("find_orders", [{**ORDER, "status": "x"}])],
    ),
    "the same reading call": (
        "the same get_weather",
        [call("get_weather", {"c": 4}, city="Oslo"), call("get_weather", {"c": 5}, city="Oslo")],
    ),
    "a list that grew": (
        "the same list_files",
        [call("list_files", ["a"]), call("list_files", ["a", "b"])],
    ),
    "somebody else": ("get_order's 'order_id'", [call("get_order", ORDER, order_id="o2")]),
    "twice in one result": (
        "'total' of order 'o1'",
        [call("list_orders", {"orders": [ORDER, {**ORDER, "total": 3}]})],
    ),
    "what was created is otherwise": (
        "'quantity' of order 'o9'",
        [
            call("create_order", {"order_id": "o9"}, quantity=3, product_id="p1"),
            call("get_order", {"order_id": "o9", "quantity": 4}, order_id="o9"),
        ],
    ),
    "changed once, then otherwise": (
        "'status' of order 'o1'",
        [
            call("get_order", ORDER, order_id="o1"),
            call("cancel_order", {"ok": True}, order_id="o1"),
            call("get_order", {**ORDER, "status": "cancelled"}, order_id="o1"),
            call("list_orders", {"orders": [ORDER]}),
        ],
    ),
    "a change of another does not free it": (
        "'status' of order 'o1'",
        [
            call("get_order", ORDER, order_id="o1"),
            call("cancel_order", {"ok": True}, order_id="o2"),
            call("get_order", {**ORDER, "status": "cancelled"}, order_id="o1"),
        ],
    ),
    "deep inside": (
        "'name' of customer 'c1'",
        [
            call("get_order", {"id": "o1", "customer": {"id": "c1", "name": "Ann"}}, id="o1"),
            call("list_customers", {"page": {"customers": [{"id": "c1", "name": "Bob"}]}}),
        ],
    ),
    "a number for a truth": (
        "'paid' of order 'o1'",
        [
            call("get_order", {"id": "o1", "paid": True}, id="o1"),
            call("list_orders", [{"id": "o1", "paid": 1}]),
        ],
    ),
}


@pytest.mark.parametrize("calls", GOOD.values(), ids=GOOD)
def test_what_may_be_is_no_contradiction(calls: list[RecordedCall]):
    assert contradictions(calls) == []


@pytest.mark.parametrize(("about", "calls"), PLANTED.values(), ids=PLANTED)
def test_planted_contradictions_are_found(about: str, calls: list[RecordedCall]):
    found = contradictions(calls)
    assert about in [each.about for each in found]
    assert all(each.call == len(calls) for each in found)
    assert about in str(found[0]) or len(found) > 1


def test_the_source_says_what_changes_nothing():
    calls = [call("roll", 3, sides=6), call("roll", 4, sides=6)]
    assert contradictions(calls) == []
    assert contradictions(calls, {"roll": True})
    assert may_change("get_lock", read_only=False) and not may_change("weather_get_forecast")


def test_what_is_known_can_be_shown():
    ledger = FactLedger()
    ledger.note(call("get_order", ORDER, order_id="o1"), changes=False)
    assert ledger.facts() == {"order 'o1'": ORDER}
    ledger.note(call("cancel_order", {"ok": 1}, order_id="o1"), changes=True)
    assert ledger.facts() == {}


@pytest.mark.parametrize(
    ("tool", "kind"),
    [
        ("get_customer_orders", "customer_order"),
        ("shop_search_products_by_name", "product"),
        ("listCategories", "category"),
        ("weather", ""),
        ("create-address", "address"),
    ],
)
def test_what_a_tool_is_about(tool: str, kind: str):
    assert kind_of(tool) == kind


def test_entities_need_an_identifier():
    assert singular("boxes") == "box" and singular("status") == "status"
    assert entity_of({"name": "x"}, "order") is None
    assert entity_of({"id": True}, "order") is None
    assert str(entity_of({"id": 3, "type": "user"}, "")) == "user 3"
    assert entity_of({"id": 3}, "") is None
