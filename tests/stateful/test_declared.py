"""What a user's `tables.toml` says may be written, and what is refused of it."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from astra.arenas.stateful.declared import tables_to_write
from astra.arenas.stateful.evidence import describe_writes
from astra.arenas.stateful.options import StateSourceOptions
from astra.arenas.stateful.source import StateSource
from astra.arenas.tables.load.options import read_options
from astra.arenas.tables.load.tables import Tables, load
from astra.arenas.tables.profile.profiler import profile
from astra.arenas.tables.schema import Schema, TablesOptions
from astra.cli.main import run
from astra.errors import ConfigError, Rejected
from astra.types import Arena
from tests.stateful.conftest import SHOP
from tests.stateful.test_own_tables import certified
from tests.support.sandboxes import run_with_sandbox

CANCEL = """
[tables.orders.write]
update = ["shipping_address"]
cancel = { column = "status", from = ["pending", "paid"], to = "cancelled" }
"""


def shop_with(folder: Path, toml: str) -> Path:
    shutil.copytree(SHOP, folder, dirs_exist_ok=True)
    with (folder / "tables.toml").open("a", encoding="utf-8") as file:
        file.write(toml)
    return folder


def written(folder: Path, toml: str) -> TablesOptions:
    """What a `tables.toml` says. The tables beside it needn't be read for each one again."""
    (folder / "tables.toml").write_text(toml, "utf-8")
    return read_options(folder / "tables.toml")


def drawn(folder: Path, count: int, kinds: frozenset[str] | None = None) -> list[Arena]:
    arenas: list[Arena] = []
    with load([folder], TablesOptions()) as tables:
        options = StateSourceOptions(hops=(1, 8), languages={"en": 0.5, "zh": 0.5}, kinds=kinds)
        source = StateSource(tables, profile(tables, TablesOptions()), options)
        for candidate in source.candidates():
            if not isinstance(candidate.outcome, Rejected):
                arenas.append(candidate.outcome)
            if len(arenas) == count:
                break
    return arenas


ORDERS = {"set_order_status", "set_order_shipping_address"}


@pytest.mark.parametrize(
    "toml, more, less",
    [
        (CANCEL, {"cancel_order", "set_order_shipping_address"}, {"set_order_status"}),
        ('[tables.orders]\nwrite = ""\n', set(), ORDERS),
        ('[tables.orders.write]\nupdate = ""\n', set(), ORDERS),
        # More than is inferred: nothing in its name says that a reason may change.
        ('[tables.returns.write]\nupdate = ["reason"]\n', {"set_return_reason", "create_return"},
         {"set_return_status"}),
        ('[tables.returns.write]\ncreate = ""\n', {"set_return_status"}, {"create_return"}),
        ('[tables.returns.write]\ndelete = ""\n', {"create_return"}, {"delete_return"}),
        ('[tables.stock.write]\ntransfer = ""\n', set(),
         {"transfer_stock_entry", "set_stock_entry_quantity"}),
        ('[tables.stock.write]\ntransfer = ""\nupdate = ["quantity"]\n',
         {"set_stock_entry_quantity"}, {"transfer_stock_entry"}),
        ('[tables.orders.columns.total]\nderived = ""\n[tables.orders.write]\nupdate = ["total"]\n',
         {"set_order_total"}, ORDERS),
    ],
)  # fmt: skip
def test_what_is_said_counts(
    shop: tuple[Tables, Schema], tmp_path: Path, toml: str, more: set[str], less: set[str]
) -> None:
    tables, _ = shop
    text = (SHOP / "tables.toml").read_text("utf-8")
    # One table can't stand twice in TOML: what is said of it goes before its own keys.
    if toml.startswith("[tables.orders]\n"):
        key = toml.split("\n", 1)[1]
        text = text.replace("[tables.orders]\n", f"[tables.orders]\n{key}", 1)
    elif "[tables.orders.columns.total]" in toml:
        text = text.replace("total = {", 'total = { derived = "",', 1)
        text += toml[toml.index("[tables.orders.write]") :]
    else:
        text += toml
    schema = profile(tables, written(tmp_path, text))
    source = StateSource(tables, schema, StateSourceOptions(languages={"en": 1.0}))
    names = {tool.tool.name for tool in source.worlds["en"].tools}
    assert more <= names
    assert not less & names


@pytest.mark.parametrize("kinds", [frozenset({"cancel"}), None])
def test_rows_are_cancelled(tmp_path: Path, kinds: frozenset[str] | None) -> None:
    arenas = drawn(shop_with(tmp_path / "shop", CANCEL), 20 if kinds is None else 6, kinds)
    asked = Counter(kind for arena in arenas for kind in arena.provenance["kinds"])
    assert asked["cancel"] >= 1
    for arena in arenas:
        assert arena.state is not None
        for goal in arena.state.goals:
            for change in goal.changes:
                if change.table == "orders" and change.after and "status" in change.after:
                    assert change.before and change.before["status"] in ("pending", "paid")
                    assert change.after["status"] == "cancelled"
    run_with_sandbox(certified([a for a in arenas if "cancel" in a.provenance["kinds"]][:3]))


def test_a_second_way_to_the_same_status_is_not_set(tmp_path: Path) -> None:
    """`update` may list the status, too: it is then set to all others."""
    toml = CANCEL.replace('["shipping_address"]', '["status"]')
    arenas = drawn(shop_with(tmp_path / "shop", toml), 15)
    tools = {tool.name: tool for arena in arenas for tool in arena.tools}
    choices = tools["set_order_status"].document.parameters["properties"]["status"]["enum"]
    assert "cancelled" not in choices and "pending" in choices
    run_with_sandbox(certified(arenas[:6]))


def test_owners(tmp_path: Path) -> None:
    toml = '[tables.tickets.write]\nowner = "staff_id"\n[tables.orders.write]\nowner = ""\n'
    with load([shop_with(tmp_path / "shop", toml)], TablesOptions()) as tables:
        schema = profile(tables, TablesOptions())
        found = {t.name: t for t in tables_to_write(tables.connection, schema, "en")}
    tickets, orders = found["tickets"], found["orders"]
    owners = [name for name in tickets.references if tickets.owner(name, name[:-3])]
    assert owners == ["staff_id"]
    assert not any(orders.owner(name, "customer") for name in orders.references)


@pytest.mark.parametrize(
    "toml, said",
    [
        ('[tables.orders.write]\nupdate = ["adress"]', "adress"),
        ('[tables.orders.write]\nupdate = ["order_id"]', "'order_id' is the key"),
        ('[tables.orders.write]\nupdate = ["customer_id"]', "'customer_id' is a reference"),
        ('[tables.products.write]\nupdate = ["name"]', "'name' is the name of the rows"),
        ('[tables.orders.write]\nupdate = ["total"]', r"'total' goes with orders.total = sum"),
        ('[tables.stock.write]\nupdate = ["quantity"]', "'quantity' is a stock"),
        ('[tables.orders.write]\nupdate = "status"', "tables.orders.write.*'status'"),
        ('[tables.orders.write]\nowner = "status"', "owner: 'status' points to no table"),
        ('[tables.orders.write]\ncancel = { column = "status", from = ["pendin"], to = "paid" }',
         "cancel.from: no row has 'pendin'"),
        ('[tables.orders.write]\ncancel = { column = "status", from = ["paid"], to = "gone" }',
         "cancel.to: no row has 'gone'"),
        ('[tables.orders.write]\ncancel = { column = "status", from = ["paid"], to = "paid" }',
         "cancel.from: 'paid' is where"),
        ('[tables.orders.write]\ncancel = { column = "total", from = ["1"], to = "2" }',
         "cancel.column: 'total'"),
        ('[tables.orders.write]\ncancel = { column = "status", from = [], to = "paid" }', "cancel"),
        ('[tables.orders.write]\ncancle = ""', "cancle"),
        ('[tables.orders.write]\ncreate = "yes"', "create.*'yes'"),
        ('[tables.stock.columns.quantity2]\nderived = "a * b"', "quantity2"),
        ('files = ["x"]', "files"),
    ],
)  # fmt: skip
def test_what_can_not_be_is_refused(
    shop: tuple[Tables, Schema], tmp_path: Path, toml: str, said: str
) -> None:
    tables, _ = shop
    text = (SHOP / "tables.toml").read_text("utf-8")
    text = f"{toml}\n{text}" if toml.startswith("files") else f"{text}\n{toml}\n"
    with pytest.raises(ConfigError, match=said) as caught:
        tables_to_write(tables.connection, profile(tables, written(tmp_path, text)), "en")
    if "called" not in str(caught.value):  # a name that is not there is looked for in the tables
        assert "tables.toml" in str(caught.value)


@pytest.mark.parametrize(
    "formula, said",
    [
        ("quantity * unit_price", ""),
        ("quantity + unit_price", "holds in .* rows only"),
        ("quantity * price", "no column is called 'price'"),
        ("quantity * order_id", "'order_id' is text, no number"),
        ("sum(orders.total)", "no column of 'orders' points to 'order_lines'"),
        ("sum(order.total)", "there is no table 'order'"),
        ("quantity; DROP TABLE x", "is no formula"),
        ('"quantity" * 2', "is no formula"),
    ],
)
def test_a_formula_must_hold(
    shop: tuple[Tables, Schema], tmp_path: Path, formula: str, said: str
) -> None:
    tables, _ = shop
    text = (SHOP / "tables.toml").read_text("utf-8")
    start = text.index("[tables.order_lines.columns]")
    at = text.index("amount = {", start) + len("amount = {")
    options = written(tmp_path, f"{text[:at]} derived = {formula!r},{text[at:]}")
    schema = profile(tables, options)
    if said:
        with pytest.raises(ConfigError, match=said) as caught:
            describe_writes(tables.connection, schema)
        assert "tables.toml: tables.order_lines.columns.amount.derived" in str(caught.value)
    else:
        lines = describe_writes(tables.connection, schema)
        assert any("amount = quantity * unit_price (in 376 of 376" in line for line in lines)


def test_the_command_shows_what_may_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shop_with(tmp_path / "shop", CANCEL)
    assert run(["arenas", "describe", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "set shipping_address: given in the options" in said
    assert "cancelled: status pending or paid -> cancelled (given in the options)" in said
    assert "set subject: by its name; text, 21 different values" in said
    assert "total = sum(order_lines.amount) (in 300 of 300 rows)" in said
    assert "closed_on follows status: with closed" in said
    assert run(["arenas", "describe", str(SHOP), "--json"]) == 0
