"""The desk under rules that count, and rules that have the user asked for something first."""

from __future__ import annotations

from astra.service_policies import AskedValue, ServiceRule
from astra.states import GoldStep, HeldValue, Refusal, ScriptTurn, StateGoal
from astra.types import Arena, Matcher, Target
from tests.support.ruled_desk import ADDRESS, CONFIRM, LEAVE, OTHERS, POLICY, ruled_desk

ASK = ServiceRule(
    effect="ask",
    operation=ADDRESS,
    asks=AskedValue(path=("customer_id",), column="phone"),
    text="Before you change the address of an order, ask the user for the phone of the customer of "
    "the order. If the answer is not what is stored, do not do it.",
)
LIMIT = ServiceRule(
    effect="limit",
    operation=ADDRESS,
    most=1,
    text="Of requests to change the address of an order, carry out at most 1: the first.",
)
STORED, WRONG = "0111 4401", "0111 4403"
QUESTION = "What is the phone of the customer of the order?"
NO_MATCH = "I can't change the address: rule 2 forbids it, for the phone is not the stored one."
NO_MORE = "I can't change the address of O-2002: rule 2 allows one in a conversation."


def asking_desk(*, wrong: bool = False) -> Arena:
    """Ada Brook asks for another address of one order, and to cancel the other.

    `wrong`: the phone that she tells is not the stored one, so that the address is not changed.
    """
    arena = ruled_desk()
    assert arena.state is not None
    moved, cancelled, refused = arena.state.goals
    question = "Send O-2002 of Ada Brook to 9 Pier Walk. Set the status of O-2001 to cancelled."
    assert refused.refuses is not None
    address = refused.refuses.arguments
    if wrong:
        refusal = Refusal(
            rule=2,
            reasons=("phone",),
            fact=Target(
                matcher=Matcher.exact, value=STORED, field="phone", key={"customer_id": "C-1001"}
            ),
            tool="change_order_address",
            arguments=address,
        )
        moved = refused.model_copy(update={"id": "s1", "refuses": refusal})
    else:
        (change,) = moved.changes
        moved = moved.model_copy(
            update={
                "changes": (change.model_copy(update={"key": "O-2002"}),),
                "named_by": refused.named_by,
            }
        )
    told = WRONG if wrong else STORED
    held = HeldValue(goal="s3", labels=("phone",), told=f"The phone is {told}.", rule=2, value=told)
    find, orders, move, cancel = arena.goals
    assert move.call is not None
    move = move.model_copy(update={"call": move.call.model_copy(update={"arguments": address})})
    goals = (find, orders, *(() if wrong else (move,)), cancel)
    state = arena.state.model_copy(
        update={
            "policy": POLICY.model_copy(update={"rules": (OTHERS, ASK, CONFIRM)}),
            "goals": (
                moved,
                cancelled,
                StateGoal(id="s3", question=QUESTION, kind="ask", of="s1"),
            ),
            "turns": (ScriptTurn(text=question, held=(held,)),),
            "plan": (
                GoldStep(goals=("g1",)),
                GoldStep(goals=("g2",)),
                GoldStep(text=QUESTION),
                GoldStep(text=LEAVE),
                GoldStep(goals=("g4",) if wrong else ("g3", "g4")),
                GoldStep(text="It is cancelled. " + (NO_MATCH if wrong else "The address is new.")),
            ),
        }
    )
    changed = {"question": question, "goals": goals, "state": state}
    return arena.model_copy(update=changed).with_content_id()


def limited_desk() -> Arena:
    """Ada Brook asks for another address of both her orders, of which only one may be changed."""
    arena = ruled_desk()
    assert arena.state is not None
    moved, cancelled, refused = arena.state.goals
    assert refused.refuses is not None
    update = {"fact": None, "after": ("s1",), "reasons": ()}
    refused = refused.model_copy(update={"refuses": refused.refuses.model_copy(update=update)})
    plan = (*arena.state.plan[:-1], GoldStep(text=f"O-2001 is done. {NO_MORE}"))
    state = arena.state.model_copy(
        update={
            "policy": POLICY.model_copy(update={"rules": (OTHERS, LIMIT, CONFIRM)}),
            "goals": (moved, cancelled, refused),
            "plan": plan,
        }
    )
    return arena.model_copy(update={"state": state}).with_content_id()
