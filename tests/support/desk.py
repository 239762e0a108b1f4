"""A small arena with a state, written by hand: a desk that changes addresses and cancels orders."""

from __future__ import annotations

from astra.databases import Database, DatabaseColumn, DatabaseTable, RowChange
from astra.states import ArenaState, StateGoal
from astra.types import Arena, Goal, GoldCall, Json, Matcher, Scenario, Target, Tool, ToolSchema

DATABASE = Database(
    tables=(
        DatabaseTable(
            name="customers",
            key="customer_id",
            columns=(
                DatabaseColumn(name="customer_id", type="text"),
                DatabaseColumn(name="name", type="text", required=True, unique=True),
                DatabaseColumn(name="phone", type="text", required=True),
            ),
            rows=(
                ("C-1001", "Ada Brook", "0111 4401"),
                ("C-1002", "Ada Brooks", "0111 4402"),
                ("C-1003", "Lin Marsh", "0111 4403"),
            ),
        ),
        DatabaseTable(
            name="orders",
            key="order_id",
            columns=(
                DatabaseColumn(name="order_id", type="text"),
                DatabaseColumn(name="customer_id", type="text", required=True),
                DatabaseColumn(
                    name="status",
                    type="text",
                    required=True,
                    choices=("pending", "shipped", "cancelled"),
                ),
                DatabaseColumn(name="address", type="text", required=True),
            ),
            references={"customer_id": "customers"},
            rows=(
                ("O-2001", "C-1001", "pending", "1 Quay Road"),
                ("O-2002", "C-1001", "shipped", "1 Quay Road"),
                ("O-2003", "C-1002", "pending", "2 Mill Lane"),
                ("O-2004", "C-1003", "cancelled", "3 Hill Street"),
            ),
        ),
    )
)


def tool(
    name: str, description: str, source: str, properties: dict[str, str], required: list[str]
) -> Tool:
    """A tool whose arguments are texts."""
    parameters: dict[str, Json] = {
        "type": "object",
        "properties": {
            name: {"type": "string", "description": text} for name, text in properties.items()
        },
        "required": required,
        "additionalProperties": False,
    }
    document = ToolSchema(name=name, description=description, parameters=parameters)
    return Tool(document=document, source=source, domain="desk")


FIND = tool(
    "find_customers",
    "Finds customers by their full name, upper and lower case ignored.",
    """def find_customers(name):
    rows = DATABASE.execute(
        "SELECT * FROM customers WHERE lower(name) = lower(?) ORDER BY customer_id", [name.strip()]
    ).fetchall()
    return {"customers": rows}
""",
    {"name": "Full name of the customer."},
    ["name"],
)
LIST = tool(
    "list_orders",
    "Lists the orders of a customer by order ID.",
    """def list_orders(customer_id):
    rows = DATABASE.execute(
        "SELECT * FROM orders WHERE customer_id = ? ORDER BY order_id", [customer_id]
    ).fetchall()
    return {"orders": rows}
""",
    {"customer_id": "ID of the customer, such as C-1003."},
    ["customer_id"],
)
_WRITE = """def {name}({parameters}):
    row = DATABASE.execute("SELECT * FROM orders WHERE order_id = ?", [order_id]).fetchone()
    if row is None:
        return {{"error": {{"code": "not_found", "message": f"no order {{order_id!r}}"}}}}
{check}    statement = "UPDATE orders SET {column} = ? WHERE order_id = ?"
    DATABASE.execute(statement, [{value}, order_id])
    return {{"order_id": order_id, "{column}": {value}, "previous": row["{column}"]}}
"""
ADDRESS = tool(
    "change_order_address",
    "Changes the address that an order goes to.",
    _WRITE.format(
        name="change_order_address",
        parameters="order_id, address",
        check="",
        column="address",
        value="address",
    ),
    {"order_id": "ID of the order, such as O-2004.", "address": "The new address."},
    ["order_id", "address"],
)
CANCEL = tool(
    "cancel_order",
    "Cancels an order that was not shipped.",
    _WRITE.format(
        name="cancel_order",
        parameters="order_id",
        check="""    if row["status"] != "pending":
        message = f"order {order_id} is {row['status']}: only pending orders are cancelled"
        return {"error": {"code": "not_allowed", "message": message}}
""",
        column="status",
        value='"cancelled"',
    ),
    {"order_id": "ID of the order, such as O-2004."},
    ["order_id"],
)
TOOLS = (FIND, LIST, ADDRESS, CANCEL)
WRITES = {"change_order_address": ("orders",), "cancel_order": ("orders",)}


def _goal(number: int, question: str, answer: str, call: GoldCall, field: str) -> Goal:
    target = Target(matcher=Matcher.exact, value=answer, field=field)
    depends_on = (f"g{number - 1}",) if number > 1 else ()
    return Goal(
        id=f"g{number}",
        question=question,
        answer=answer,
        call=call,
        target=target,
        depends_on=depends_on,
        operation="find" if number < 3 else "update",
    )


def desk_arena(tools: tuple[Tool, ...] = TOOLS) -> Arena:
    """Ada Brook's order that is on its way shall go elsewhere, and the pending one be cancelled."""
    find = GoldCall(tool="find_customers", arguments={"name": "Ada Brook"})
    orders = GoldCall(tool="list_orders", arguments={"customer_id": "C-1001"})
    address = GoldCall(
        tool="change_order_address", arguments={"order_id": "O-2002", "address": "9 Pier Walk"}
    )
    cancel = GoldCall(tool="cancel_order", arguments={"order_id": "O-2001"})
    goals = (
        _goal(1, "Which ID has the customer Ada Brook?", "C-1001", find, "customer_id"),
        _goal(2, "Which of her orders is shipped?", "O-2002", orders, "order_id"),
        _goal(3, "Change its address to 9 Pier Walk.", "9 Pier Walk", address, "address"),
        _goal(4, "Cancel her pending order.", "cancelled", cancel, "status"),
    )
    state = ArenaState(
        database=DATABASE,
        now="2026-03-02 09:00",
        writes=WRITES,
        goals=(
            StateGoal(
                id="s1",
                question="Change the address of Ada Brook's shipped order to 9 Pier Walk.",
                changes=(
                    RowChange(
                        table="orders",
                        key="O-2002",
                        before={"address": "1 Quay Road"},
                        after={"address": "9 Pier Walk"},
                    ),
                ),
            ),
            StateGoal(
                id="s2",
                question="Cancel Ada Brook's pending order.",
                changes=(
                    RowChange(
                        table="orders",
                        key="O-2001",
                        before={"status": "pending"},
                        after={"status": "cancelled"},
                    ),
                ),
            ),
        ),
    )
    draft = Arena(
        id="",
        question=(
            "Please send the shipped order of customer Ada Brook to 9 Pier Walk, and cancel her "
            "pending one."
        ),
        answer="9 Pier Walk",
        answer_target=Target(matcher=Matcher.text, value="9 Pier Walk"),
        goals=goals,
        tools=tools,
        scenario=Scenario.multi_hop,
        language="en",
        domain="desk",
        split="train",
        state=state,
        provenance={"source": "hand", "key": "desk"},
    )
    return draft.with_content_id()
