"""Conversations that are drawn from tables."""

from __future__ import annotations

from collections import Counter
from typing import get_args

import pytest

from astra.arenas.certificate import certify
from astra.arenas.stateful.options import StateSourceOptions
from astra.arenas.tables.load.tables import Tables
from astra.arenas.tables.schema import Schema
from astra.configs.arenas import ConversationKind, MakeArenasConfig
from astra.core.text import as_date
from astra.errors import ConfigError
from astra.hosts.arena import arena_messages
from astra.models.policies import Policy
from astra.rewards.matching import stands_in_text
from astra.states import ArenaState
from astra.types import Arena, Target
from tests.stateful.conftest import draw
from tests.stateful.test_reference_policies import reports
from tests.support.sandboxes import run_with_sandbox, shared_sandbox

KINDS = get_args(ConversationKind)
OPTIONS = StateSourceOptions(
    seed=9, user_turns=(1, 3), conversations=KINDS, languages={"en": 0.5, "zh": 0.5}
)


@pytest.fixture(scope="module")
def talks(shop: tuple[Tables, Schema]) -> list[Arena]:
    return draw(shop, OPTIONS, 40)


def state_of(arena: Arena) -> ArenaState:
    assert arena.state is not None
    return arena.state


def of_kind(arenas: list[Arena], kind: str) -> list[Arena]:
    return [arena for arena in arenas if arena.provenance["conversation"] == kind]


def test_all_kinds_and_lengths_are_drawn(talks: list[Arena]) -> None:
    kinds = Counter(arena.provenance["conversation"] for arena in talks)
    assert kinds.keys() == {"plain", *KINDS} and min(kinds.values()) >= 4
    assert {len(state_of(arena).turns) for arena in talks} == {1, 2, 3, 4}
    assert {arena.language for arena in talks} == {"en", "zh"}
    # A user answers in all of them, so that nothing tells a plain one from the others.
    assert len({arena_messages(arena)[0].content[-40:] for arena in talks}) == 2


def test_the_same_seed_gives_the_same_conversations(
    shop: tuple[Tables, Schema], talks: list[Arena]
) -> None:
    assert [arena.id for arena in draw(shop, OPTIONS, 10)] == [arena.id for arena in talks[:10]]


def test_a_missing_parameter_is_not_in_the_request(talks: list[Arena]) -> None:
    for arena in of_kind(talks, "missing_parameter"):
        state = state_of(arena)
        (ask,) = (goal for goal in state.goals if goal.kind == "ask")
        (change,) = (goal for goal in state.goals if goal.id == ask.of)
        (slot,) = state.turns[ask.turn].held
        (call,) = (
            goal.call
            for goal in arena.goals
            if goal.call is not None
            and goal.call.tool in state.writes
            and change.changes[0].key in goal.call.arguments.values()
        )
        for name, value in call.arguments.items():
            if value != change.changes[0].key:
                assert str(value) not in state.turns[ask.turn].text, name
                assert f"{value}"[:4] in slot.told


def test_values_are_known_by_shorter_names_but_not_by_those_of_the_row(talks: list[Arena]) -> None:
    shorter = 0
    for arena in of_kind(talks, "missing_parameter"):
        state = state_of(arena)
        ((turn, held),) = ((turn, held) for turn in state.turns for held in turn.held)
        label, *others = held.labels
        shorter += any(other in label for other in others)
        row = turn.text.replace(label, "").casefold()
        assert all(other.casefold() not in row for other in others if other not in label)
    assert shorter


def test_a_day_may_be_told_in_words(arenas: list[Arena]) -> None:
    facts = [
        goal.says for arena in arenas for goal in state_of(arena).goals if goal.says is not None
    ]
    days = [fact for fact in facts if as_date(fact.value) is not None]
    assert days and all(stands_in_text(day, told_day(day)) for day in days)


def told_day(fact: Target) -> str:
    day = as_date(fact.value)
    assert day is not None
    return f"She joined on {day:%B} {day.day}, {day.year}."


def test_a_missing_tool_is_brought_with_its_document(talks: list[Arena]) -> None:
    for arena in of_kind(talks, "missing_tool"):
        state = state_of(arena)
        (name,) = state.withheld
        (turn,) = (turn for turn in state.turns if turn.brings)
        assert f'"{name}"' in turn.text and name in state.writes
        said = [turn.text for turn in state.turns]
        assert all(name not in text for text in said[: said.index(turn.text)])


def test_a_revision_overrides_the_turn_before(talks: list[Arena]) -> None:
    back = 0
    for arena in of_kind(talks, "revision"):
        state = state_of(arena)
        (first,) = (goal for goal in state.goals if goal.until is not None)
        (again,) = (goal for goal in state.goals if goal.turn == first.until)
        ((old,), (new,)) = first.changes, again.changes
        assert (old.table, old.key, old.after) == (new.table, new.key, new.before)
        back += new.after == old.before
    assert 0 < back < len(of_kind(talks, "revision"))


def test_policies_play_conversations(talks: list[Arena]) -> None:
    names: tuple[Policy, ...] = get_args(Policy)
    means = {
        name: summary.f1.mean for name, (summary, _) in reports(talks[:20], names).items()
        if summary.f1
    }  # fmt: skip
    assert means["gold"] == 1
    assert {means[name] for name in ("null", "reader", "asker", "refuser")} == {0}
    assert means["careless"] <= 0.2 and means["random"] <= 0.02
    assert 0.4 < means["shuffled"] < 1


def test_a_report_tells_tasks_and_conversations_apart(talks: list[Arena]) -> None:
    summary, _ = reports(talks[:20], ("gold",))["gold"]
    assert summary.by_conversation.keys() == {"plain", *KINDS}
    assert sum(group.episodes for group in summary.by_conversation.values()) == 20
    assert {"update", "revision"} <= summary.by_task.keys()
    assert all(group.f1 == 1 for group in summary.by_task.values())


def test_conversations_are_certified(talks: list[Arena]) -> None:
    async def run() -> list[str]:
        async with shared_sandbox() as sandbox:
            certificates = [await certify(arena, sandbox) for arena in talks[:12]]
        return [
            c.reason for certificate in certificates for c in certificate.checks if not c.passed
        ]

    assert run_with_sandbox(run()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_user_turns": 2}, "add actions"),
        ({"conversations": ["revision"]}, "add actions"),
        ({"actions": True, "min_user_turns": 3, "max_user_turns": 2}, "above"),
        ({"actions": True, "conversations": ["chat"]}, "chat"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        MakeArenasConfig("examples/shop", **options)  # type: ignore[arg-type]
