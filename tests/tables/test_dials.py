"""The dials of questions: rows have to be searched for, values stand among others."""

from __future__ import annotations

import pytest
from benchmarks.difficulty import f1_of

from astra.arenas.certificate import certify
from astra.arenas.difficulty import DialSettings
from astra.arenas.tables.source import TableSourceOptions
from astra.sandbox import open_sandbox
from astra.types import Arena, Goal, Json
from tests.support.hasty_agent import HastyAgent
from tests.support.honest_agent import HonestAgent
from tests.tables.made import BOTH, arenas, of_world, play

DIALS = DialSettings(short_names=0.8, other_values=3, near_tools=1)


@pytest.fixture(scope="module")
def made() -> list[Arena]:
    options = TableSourceOptions(hops=(2, 5), languages=BOTH, seed=14, dials=DIALS)
    return arenas(of_world(30, options))


def called(made: list[Arena], operation: str) -> list[tuple[Arena, Goal, dict[str, Json]]]:
    return [
        (arena, goal, goal.call.arguments)
        for arena in made
        for goal in arena.goals
        if goal.operation == operation and goal.call is not None
    ]


def test_rows_that_are_called_for_short_have_to_be_searched_for(made: list[Arena]) -> None:
    found = called(made, "search")
    assert len(found) >= 5
    for arena, goal, arguments in found:
        part, name = str(arguments["query"]), str(goal.answer)
        assert part in arena.question
        assert name not in arena.question
        assert set(part.split()) < set(name.split())
        assert goal.call is not None
        tool = arena.tool(goal.call.tool)
        assert play(tool, arguments)["query"] == part
        entity = next(iter(tool.data["rows"][0]))
        assert (
            play(tool, arguments)[entity]
            == play(tool, {"query": f" {name.upper()}"})[entity]
            == name
        )
        names = [row[entity] for row in tool.data["rows"]]
        assert [other for other in names if part.casefold() in str(other).casefold()] == [name]
        # Half a word finds nothing, and neither do look-ups by a part of the name.
        assert "error" in play(tool, {"query": part[:-1]})
        for after in arena.goals:
            if after.operation == "lookup" and after.depends_on == (goal.id,) and after.call:
                values = {
                    key: part if value == name else value
                    for key, value in after.call.arguments.items()
                }
                assert "error" in play(arena.tool(after.call.tool), values)


def test_chinese_names_are_never_cut(made: list[Arena]) -> None:
    assert {arena.language for arena in made} == {"en", "zh"}
    assert {arena.language for arena, _, _ in called(made, "search")} == {"en"}


def test_a_value_that_is_asked_for_stands_among_others(made: list[Arena]) -> None:
    found = called(made, "lookup")
    sizes = set[int]()
    places = set[int]()
    for arena, goal, arguments in found:
        assert goal.call is not None
        tool = arena.tool(goal.call.tool)
        result = play(tool, arguments)
        if "values" not in result:
            continue  # of a table without other attributes
        told = [value["attribute"] for value in result["values"]]
        (place,) = (at for at, name in enumerate(told) if name == arguments["attribute"])
        assert result["values"][place]["value"] == goal.answer
        asked = {
            str(other.call.arguments["attribute"])
            for other in arena.goals
            if other.operation == "lookup" and other.call and other.call.tool == tool.name
        }
        assert asked & set(told) == {arguments["attribute"]}
        said = "Other attributes" if arena.language == "en" else "其他属性"
        assert said in tool.document.description
        sizes.add(len(told))
        places.add(place)
    assert max(sizes) == 4
    assert {0, 1, 2} <= places


def test_tools_that_are_called_alike_answer_in_the_same_form(made: list[Arena]) -> None:
    alike = [
        tool
        for arena in made
        for tool in arena.distractors
        if tool.band == "near" and "attribute" in tool.document.parameters["required"]
    ]
    assert any("Other attributes" in tool.document.description for tool in alike)
    for tool in alike:
        said = "beside" in tool.data
        assert said == any(w in tool.document.description for w in ("Other attr", "其他属性"))


async def test_the_certificate_holds(made: list[Arena]) -> None:
    kinds = {"search", "lookup"}
    both = [arena for arena in made if kinds <= {goal.operation for goal in arena.goals}]
    async with open_sandbox(workers=1, spares=1) as sandbox:
        passed = [(await certify(arena, sandbox, seed=1)).certified for arena in both[:4]]
    # A value beside the one that was asked for may be that of another step: such arenas fall out.
    assert passed.count(True) >= 3


def test_whoever_reads_can_play_them_and_whoever_does_not_falls(made: list[Arena]) -> None:
    english = [arena for arena in made if arena.language == "en"]
    scores = {
        agent: sum(f1_of(arena, agent) for arena in english) / len(english)
        for agent in (HonestAgent, HastyAgent)
    }
    assert scores[HonestAgent] > 0.95
    assert scores[HastyAgent] < scores[HonestAgent] - 0.1


def test_without_the_dials_nothing_of_it_is_there() -> None:
    plain = arenas(of_world(8, TableSourceOptions(hops=(2, 4), seed=14)))
    assert not called(plain, "search")
    assert not any("beside" in str(tool.data) for arena in plain for tool in arena.tools)
