"""The user's script: one rule after the other, and always an end."""

from __future__ import annotations

import pytest

from astra.types import Message
from astra.users.script import MAX_EXTRA, ScriptedUser, user_moves
from tests.support.desk import desk_arena
from tests.support.talking_desk import talking_desk

ARENA = talking_desk()
assert ARENA.state is not None
STATE = ARENA.state


def script(turn: int = 0) -> ScriptedUser:
    return ScriptedUser(STATE, "en", turn=turn)


@pytest.mark.parametrize(
    ("message", "kind", "told"),
    [
        ("Which address should it be?", "tells", "9 Pier Walk"),
        ("I found the order. Please give me the new address.", "tells", "9 Pier Walk"),
        ("要改成哪个地址？", "tells", "9 Pier Walk"),
        ("Shall I go ahead?", "agrees", "go ahead"),
        ("Who are you?", "wonders", ""),
        ("What should it be changed to?", "tells", "9 Pier Walk"),
        ("I have all but the new one. What is it?", "tells", "9 Pier Walk"),
        ("I can't do that.", "insists", ""),
        ("The address has been changed.", "complains", "9 Pier Walk"),
        ("I see order O-2002.", "wonders", ""),
    ],
)
def test_what_the_user_does_while_a_value_is_held_back(message: str, kind: str, told: str) -> None:
    move = script().reply(message)
    assert move.kind == kind and move.text is not None and told in move.text
    assert bool(move.told) == (kind in ("tells", "complains"))
    assert bool(move.asked) == (kind == "tells")


@pytest.mark.parametrize("message", ["Done.", "I can't do that.", "", "All set. Anything else?"])
def test_what_follows_when_nothing_is_open(message: str) -> None:
    talk = script(turn=1)
    assert talk.reply(message).kind == "next" and talk.turn == 2


def test_the_last_turn_ends() -> None:
    move = script(turn=3).reply("Done.")
    assert move.kind == "end" and move.text is None


@pytest.mark.parametrize(
    "message", ["What?", "", "Shall I?", "I can't.", "Which address?", "Done."]
)
def test_every_conversation_ends(message: str) -> None:
    talk = script()
    moves = [talk.reply(message) for _ in range(4 * (MAX_EXTRA + 1))]
    assert any(move.kind == "end" for move in moves)


def test_a_value_that_reads_like_a_refusal_is_none() -> None:
    assert script(turn=2).reply("Done: address = cannot sign in.").kind == "insists"
    state = script().state
    goal, *others = state.goals
    (change,) = goal.changes
    odd = change.model_copy(update={"after": {"address": "cannot sign in"}})
    goals = (goal.model_copy(update={"changes": (odd,)}), *others)
    talk = ScriptedUser(state.model_copy(update={"goals": goals}), "en", turn=2)
    assert talk.reply("Done: address = cannot sign in.").kind == "next"


def test_repeating_oneself_is_waste() -> None:
    talk = script(turn=1)
    assert [talk.reply("Shall I go ahead?").waste for _ in range(2)] == [False, True]
    assert [talk.reply("Why is that?").waste for _ in range(2)] == [False, True]


def test_the_question_after_the_users_own_asks_for_what_is_held_back() -> None:
    talk = script()
    assert talk.reply("Who are you?").kind == "wonders"
    move = talk.reply("Where does the parcel belong?")
    assert move.kind == "tells" and move.asked and not move.waste


def test_a_claim_after_the_users_own_question_asks_for_nothing() -> None:
    talk = script()
    assert talk.reply("I see order O-2002.").kind == "wonders"
    move = talk.reply("The address has been changed.")
    assert move.kind == "complains" and not move.asked


def test_an_offer_of_more_help_is_no_question() -> None:
    chinese = ScriptedUser(STATE, "zh", turn=3)
    assert chinese.reply("保修月数已设为28。还需要我做什么吗？").kind == "end"


def test_moves_follow_from_messages_alone() -> None:
    said = [Message(role="assistant", content=text) for text in ("Which address?", "Done.")]
    kinds = [move.kind for move in user_moves(ARENA, said)]
    assert kinds == ["tells", "next"]
    with pytest.raises(ValueError, match="no conversation"):
        user_moves(desk_arena(), said)
