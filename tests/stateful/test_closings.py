"""How gold episodes say that it is done."""

from __future__ import annotations

import pytest

from astra.databases import RowChange
from astra.models.closings import MOST_SAID, goals_text
from astra.rewards.matching import stands_in_text
from astra.states import StateGoal
from astra.types import Arena, Language, Matcher, Target
from astra.users.cues import asks_to_go_ahead, questions, says_cannot, says_done
from tests.support.desk import desk_arena

MOVED = RowChange(
    table="orders", key="O-2002", before={"address": "1 Quay Road"}, after={"address": "9 Pier"}
)


def said(question: str, language: Language, *, changes: tuple[RowChange, ...] = (MOVED,)) -> str:
    state = desk_arena().state
    assert state is not None
    goal = StateGoal(id="s1", question=question, changes=changes)
    return goals_text([goal], state.tables(), language)


@pytest.mark.parametrize(
    ("question", "language", "text"),
    [
        ("Set the address of O-2002 to 9 Pier.", "en", "I set the address of O-2002 to 9 Pier."),
        ("turn the newsletter of Ada on", "en", "I turned the newsletter of Ada on."),
        (
            "if the tier is gold, set the address to 9 Pier; otherwise set the phone to 12",
            "en",
            "I set the address to 9 Pier.",
        ),
        (
            "check whether it is due. If so, set the phone to 1; if not, set the address to 9 Pier",
            "en",
            "I set the address to 9 Pier.",
        ),
        (
            "On second thought, the address should be 9 Pier.",
            "en",
            "I changed the address to 9 Pier.",
        ),
        (
            "Please undo that: the address should be what it was before.",
            "en",
            "I put the address back to what it was before.",
        ),
        ("Wohin soll es gehen", "en", "The address of O-2002 is now 9 Pier."),
        ("把订单O-2002的地址改为9 Pier", "zh", "已把订单O-2002的地址改为9 Pier。"),
        ("如果是金卡，就把地址设为9 Pier；否则把电话设为12", "zh", "已把地址设为9 Pier。"),
        ("请撤销刚才的修改，地址恢复原状。", "zh", "已把地址恢复原状。"),
        ("随便一句话", "zh", "O-2002的address现在是9 Pier。"),
    ],
)
def test_what_was_asked_for_is_said_as_done(question: str, language: Language, text: str) -> None:
    assert said(question, language) == text


@pytest.mark.parametrize(
    ("question", "language", "text"),
    [
        ("tell me the city of Ada", "en", "The city of Ada is Wynford."),
        ("look up the city of Ada for me", "en", "The city of Ada is Wynford."),
        ("where does Ada live", "en", "Wynford."),
        ("告诉我艾达的城市", "zh", "艾达的城市是Wynford。"),
    ],
)
def test_a_fact_is_told(question: str, language: Language, text: str) -> None:
    state = desk_arena().state
    assert state is not None
    says = Target(matcher=Matcher.exact, value="Wynford", field="city")
    goal = StateGoal(id="s1", question=question, kind="say", says=says)
    assert goals_text([goal], state.tables(), language) == text


def test_many_changes_are_counted() -> None:
    state = desk_arena().state
    assert state is not None
    goals = [
        StateGoal(id=f"s{number}", question="set it", changes=(MOVED,))
        for number in range(MOST_SAID + 1)
    ]
    assert goals_text(goals, state.tables(), "en") == f"I made all {MOST_SAID + 1} changes."


def test_closings_of_drawn_arenas_are_read_as_they_are_meant(arenas: list[Arena]) -> None:
    for arena in arenas:
        assert arena.state is not None
        goals = arena.state.goals
        text = goals_text(goals, arena.state.tables(), arena.language)
        assert not says_cannot(text) and not asks_to_go_ahead(text) and not questions(text), text
        assert says_done(text) or not any(goal.changes for goal in goals), text
        assert all(goal.says is None or stands_in_text(goal.says, text) for goal in goals), text
