"""Every answer and every tool against an oracle that reads the CSV files itself."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from astra.rewards import matches, same_scalar, solves
from astra.types import Arena, Goal

from .made import WORLD, arenas, play, world
from .oracle import Ambiguous, Oracle

ORACLES = {language: Oracle(WORLD, language) for language in ("en", "zh")}
SEEDS = (1, 2, 3)
EACH = 100


def table_of(arena: Arena, goal: Goal) -> str:
    return str(arena.provenance["tables"].get(goal.id, ""))


def answered(arena: Arena, goal: Goal, arguments: dict[str, Any]) -> Any:
    return ORACLES[arena.language].answer(goal.operation, table_of(arena, goal), arguments)


def agree(answer: Any, found: Any) -> bool:
    if isinstance(found, set):
        return isinstance(answer, tuple) and len(answer) == len(found) and set(answer) == found
    if isinstance(found, int | float):
        return answer == pytest.approx(found, rel=1e-9, abs=1e-6)
    return answer == found


@pytest.mark.parametrize("seed", SEEDS)
def test_goals_have_the_answers_that_the_files_give(seed: int) -> None:
    seen: Counter[str] = Counter()
    for arena in arenas(world(EACH, seed)):
        for goal in arena.goals:
            if goal.call is None:
                continue
            found = answered(arena, goal, goal.call.arguments)
            assert agree(goal.answer, found), (arena.question, goal)
            seen[goal.operation] += 1
    assert {"lookup", "find", "rank", "convert"} <= set(seen)


def test_every_operation_was_seen() -> None:
    seen = {goal.operation for s in SEEDS for a in arenas(world(EACH, s)) for goal in a.goals}
    assert seen >= {
        *("lookup", "find", "list", "filter", "count", "count_where", "rank", "aggregate"),
        *("compare", "difference", "days_between", "convert"),
        *("maximum", "minimum", "sum"),
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_main_answers_follow_from_the_goals(seed: int) -> None:
    for arena in arenas(world(EACH, seed)):
        goals = {goal.id: goal for goal in arena.goals}
        needed = {name for goal in arena.goals for name in goal.depends_on}
        last = [goal for goal in arena.goals if goal.id not in needed]
        node = arena.goals[-1] if arena.goals[-1].call is None else None
        if node is not None:
            assert last == [node]
            values: list[Any] = [goals[name].answer for name in node.depends_on]
            expected = {
                "sum": sum(values),
                "difference": values[0] - values[-1],
                "maximum": max(values),
                "minimum": min(values),
            }[node.operation]
            assert len(set(values)) == len(values)
            assert arena.answer == node.answer == pytest.approx(expected)
        elif len(last) == 1:
            assert arena.answer == last[0].answer
        else:
            assert arena.answer == tuple(goal.answer for goal in last)
        assert matches(arena.answer_target, arena.answer) or arena.answer_target.matcher == "text"


@pytest.mark.parametrize("seed", SEEDS)
def test_arguments_of_later_calls_are_answers_of_the_goals_they_depend_on(seed: int) -> None:
    for arena in arenas(world(EACH, seed)):
        goals = {goal.id: goal for goal in arena.goals}
        for goal in arena.goals:
            if goal.call is None:
                continue
            for name in goal.depends_on:
                answer = goals[name].answer
                assert any(same_scalar(answer, value) for value in goal.call.arguments.values())


@pytest.mark.parametrize("seed", SEEDS)
def test_tools_answer_gold_calls_and_decoys_as_the_files_do(seed: int) -> None:
    for arena in arenas(world(EACH, seed)):
        for goal in arena.goals:
            if goal.call is None or goal.target is None:
                continue
            tool = arena.tool(goal.call.tool)
            result = play(tool, goal.call.arguments)
            assert solves(goal.target, result), (goal, result)
            assert goal.decoys
            for number, decoy in enumerate(goal.decoys):
                result = play(tool, decoy)
                assert not solves(goal.target, result), (goal, decoy, result)
                if number == 0:
                    assert "error" not in result, (goal, decoy, result)
                if "error" not in result:
                    _check_decoy(arena, goal, decoy, result)


def _check_decoy(arena: Arena, goal: Goal, decoy: dict[str, Any], result: dict[str, Any]) -> None:
    """What a decoy is answered is what the files say, where they say one thing."""
    assert goal.target is not None and goal.target.field is not None
    try:
        expected = answered(arena, goal, decoy)
    except Ambiguous:
        return
    value = result[goal.target.field]
    value = tuple(value) if isinstance(value, list) else value
    assert agree(value, expected), (goal, decoy, result, expected)


@pytest.mark.parametrize(
    ("operation", "table", "arguments"),
    [
        ("lookup", "countries", {"country": "Atlantis", "attribute": "population"}),
        ("lookup", "lakes", {"lake": "Aral Sea", "attribute": "area_km2"}),
        ("find", "airports", {"attribute": "country", "value": "Norway"}),
        (
            "rank",
            "cities",
            {
                "by": "country",
                "value": "Germany",
                "attribute": "utc_offset_h",
                "order": "lowest",
            },
        ),
    ],
)
def test_the_oracle_refuses_what_has_no_single_answer(
    operation: str, table: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(Ambiguous):
        ORACLES["en"].answer(operation, table, arguments)
