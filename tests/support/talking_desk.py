"""The desk with a user who answers: a value held back, a tool that is missing, another wish."""

from __future__ import annotations

from astra.databases import RowChange
from astra.states import GoldStep, HeldValue, ScriptTurn, StateGoal
from astra.types import Arena, Goal, GoldCall, Matcher, Target
from tests.support.desk import desk_arena

ASK = "Which address should the order go to?"
CANNOT = "I can't cancel it: there is no tool for that."


def _moved(before: str, after: str) -> tuple[RowChange, ...]:
    return (
        RowChange(
            table="orders", key="O-2002", before={"address": before}, after={"address": after}
        ),
    )


def talking_desk() -> Arena:
    """Four turns: where to, cancel (no tool), here it is, somewhere else after all."""
    arena = desk_arena()
    assert arena.state is not None
    question = "Please change the address of Ada Brook's shipped order."
    again = GoldCall(
        tool="change_order_address", arguments={"order_id": "O-2002", "address": "5 Reed Court"}
    )
    last = Goal(
        id="g5",
        question="Send it to 5 Reed Court.",
        answer="5 Reed Court",
        call=again,
        target=Target(matcher=Matcher.exact, value="5 Reed Court", field="address"),
        operation="update",
    )
    goals = (
        StateGoal(
            id="s1",
            question="Change the address.",
            until=3,
            changes=_moved("1 Quay Road", "9 Pier Walk"),
        ),
        StateGoal(id="s2", question="Ask for the address.", kind="ask", of="s1"),
        StateGoal(id="s3", question="Say that no tool cancels.", kind="cannot", turn=1, of="s4"),
        arena.state.goals[1].model_copy(update={"id": "s4", "turn": 2}),
        StateGoal(
            id="s5",
            question="Send it to 5 Reed Court.",
            turn=3,
            changes=_moved("9 Pier Walk", "5 Reed Court"),
        ),
    )
    slot = HeldValue(goal="s2", labels=("address", "地址"), told="Send it to 9 Pier Walk.")
    state = arena.state.model_copy(
        update={
            "goals": goals,
            "turns": (
                ScriptTurn(text=question, held=(slot,)),
                ScriptTurn(text="Also, cancel her pending order."),
                ScriptTurn(text="You can call cancel_order now.", brings=("cancel_order",)),
                ScriptTurn(text="On second thought, send the first one to 5 Reed Court."),
            ),
            "plan": (
                GoldStep(goals=("g1",)),
                GoldStep(goals=("g2",)),
                GoldStep(text=ASK),
                GoldStep(goals=("g3",)),
                GoldStep(text="Done."),
                GoldStep(text=CANNOT),
                GoldStep(goals=("g4",)),
                GoldStep(text="Cancelled."),
                GoldStep(goals=("g5",)),
                GoldStep(text="Done."),
            ),
        }
    )
    changed = {"question": question, "goals": (*arena.goals, last), "state": state}
    return arena.model_copy(update=changed).with_content_id()
