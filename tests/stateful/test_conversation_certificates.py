"""The certificate of conversations: the talking desk passes, each check rejects its defects."""

from __future__ import annotations

from typing import Any

import pytest

from astra.states import ArenaState, GoldStep, HeldValue, ScriptTurn
from astra.types import Arena
from tests.stateful.test_certificate import changed, examine, failed
from tests.support import desk
from tests.support.talking_desk import ASK, talking_desk


def state_of(arena: Arena) -> ArenaState:
    assert arena.state is not None
    return arena.state


def with_turn(number: int, **changes: Any) -> Arena:
    arena = talking_desk()
    turns = list(state_of(arena).turns)
    turns[number] = turns[number].model_copy(update=changes)
    return changed(arena, turns=tuple(turns))


def with_slot(**changes: Any) -> Arena:
    (slot,) = state_of(talking_desk()).turns[0].held
    return with_turn(0, held=(slot.model_copy(update=changes),))


def test_the_talking_desk_is_certified() -> None:
    certificate = examine(talking_desk())
    assert certificate.certified, [check for check in certificate.checks if not check.passed]
    evidence = {check.check: check.evidence for check in certificate.checks}
    assert evidence["ask"] == {"guesses": 1} and evidence["cannot"] == {"missing": 1}
    assert evidence["script"] == {"turns": 4, "held_back": 1}


def test_a_user_who_tells_a_value_early() -> None:
    text = "Please send Ada Brook's shipped order to 9 Pier Walk."
    arena = with_turn(0, text=text).model_copy(update={"question": text}).with_content_id()
    assert "before being asked" in failed(arena)["script"].reason


def test_a_value_that_a_read_returns() -> None:
    source = desk.LIST.source.replace('{"orders": rows}', '{"orders": rows, "next": "9 Pier Walk"}')
    tools = tuple(
        tool.model_copy(update={"source": source}) if tool is desk.LIST else tool
        for tool in desk.TOOLS
    )
    arena = talking_desk().model_copy(update={"tools": tools}).with_content_id()
    assert "has to ask for" in failed(arena)["ask"].reason


def test_a_gold_episode_that_asks_for_nothing() -> None:
    arena = talking_desk()
    assert arena.state is not None
    plan = tuple(
        step.model_copy(update={"text": "One moment."}) if step.text == ASK else step
        for step in arena.state.plan
    )
    state = arena.state.model_copy(update={"plan": plan})
    silent = arena.model_copy(update={"state": state}).with_content_id()
    assert "never asks" in failed(silent)["ask"].reason


def test_a_slot_that_any_message_opens() -> None:
    found = failed(with_slot(labels=("address", "anything", "go ahead")))
    assert "takes" in found["ask"].reason


def test_a_question_that_is_not_the_first_turn() -> None:
    assert "not the question" in failed(with_turn(0, text="Hello."))["script"].reason


def test_a_tool_that_is_never_brought() -> None:
    found = failed(with_turn(2, brings=()))
    assert "brings no tool" in found["cannot"].reason


def test_a_tool_that_does_not_exist() -> None:
    found = failed(with_turn(2, brings=("cancel_order", "void_order")))
    assert "void_order" in found["script"].reason


def test_a_plan_that_leaves_a_turn_out() -> None:
    plan = state_of(talking_desk()).plan[:-2]
    assert {"script", "state"} <= failed(changed(talking_desk(), plan=plan)).keys()


def test_a_plan_that_does_not_ask() -> None:
    plan = tuple(s for s in state_of(talking_desk()).plan if "address" not in s.text)
    found = failed(changed(talking_desk(), plan=plan))
    assert {"state", "ask"} <= found.keys()


def test_a_wish_that_overrides_nothing() -> None:
    arena = talking_desk()
    first, *others = state_of(arena).goals
    goals = (first.model_copy(update={"until": None}), *others)
    assert "state" in failed(changed(arena, goals=goals))


def test_a_question_that_leads_nowhere() -> None:
    arena = talking_desk()
    goals = tuple(
        goal.model_copy(update={"of": "s9"}) if goal.of else goal for goal in state_of(arena).goals
    )
    assert "'s9'" in failed(changed(arena, goals=goals))["script"].reason


def test_a_plan_with_goals_that_do_not_exist() -> None:
    plan = (GoldStep(goals=("g77",)), *state_of(talking_desk()).plan)
    assert "g77" in failed(changed(talking_desk(), plan=plan))["state"].reason


@pytest.mark.parametrize("field", ["turns", "plan"])
def test_a_conversation_without_its_half(field: str) -> None:
    assert failed(changed(talking_desk(), **{field: ()}))


def test_turns_of_a_request_that_is_one_message() -> None:
    arena = desk.desk_arena()
    plan = (GoldStep(goals=("g1", "g2", "g3", "g4")), GoldStep(text="Done."))
    one = changed(arena, turns=(ScriptTurn(text=arena.question),), plan=plan)
    certificate = examine(one)
    assert certificate.certified, [check for check in certificate.checks if not check.passed]
    slot = HeldValue(goal="s9", labels=("date",), told="Today.")
    turn = ScriptTurn(text=arena.question, held=(slot,))
    assert "asks for nothing" in failed(changed(one, turns=(turn,)))["script"].reason
