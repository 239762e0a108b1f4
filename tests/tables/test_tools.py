"""The tools that the planner writes: every optional parameter works, errors are structured."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

import pytest

from astra.rewards import solves
from astra.types import Arena, Goal, Json, Tool

from .made import WORLD, arenas, play, world
from .oracle import HOURS, METRES, SQUARE_METRES, Oracle, fold

Used = tuple[Arena, Goal, Tool]
NUMBER, SEED = 500, 7
ORACLES = {language: Oracle(WORLD, language) for language in ("en", "zh")}


@pytest.fixture(scope="module")
def made() -> list[Arena]:
    return arenas(world(NUMBER, SEED))


def options_of(tool: Tool) -> dict[str, Any]:
    parameters = tool.document.parameters
    return {k: v for k, v in parameters["properties"].items() if k not in parameters["required"]}


def using(made: list[Arena], option: str, *operations: str) -> list[Used]:
    """Goals whose tool has an optional parameter."""
    found = [
        (arena, goal, arena.tool(goal.call.tool))
        for arena in made
        for goal in arena.goals
        if goal.call is not None
        and goal.operation in operations
        and option in options_of(arena.tool(goal.call.tool))
    ]
    assert found, f"no {operations} with {option}"
    return found


def call(goal: Goal, tool: Tool, **more: Json) -> dict[str, Any]:
    assert goal.call is not None
    return play(tool, {**goal.call.arguments, **more})


def code(result: dict[str, Any]) -> str:
    return str(result["error"]["code"])


# --- optional parameters -----------------------------------------------------------------------


def test_defaults_change_nothing(made: list[Arena]) -> None:
    for arena in made:
        for goal in arena.goals:
            if goal.call is None or goal.target is None:
                continue
            tool = arena.tool(goal.call.tool)
            defaults = {name: schema["default"] for name, schema in options_of(tool).items()}
            assert call(goal, tool, **defaults) == call(goal, tool)


def test_unit(made: list[Arena]) -> None:
    converted = 0
    for _, goal, tool in using(made, "unit", "lookup"):
        own = call(goal, tool)
        for unit in options_of(tool)["unit"]["enum"][1:]:
            result = call(goal, tool, unit=unit)
            tables = [t for t in (METRES, SQUARE_METRES, HOURS) if own.get("unit") in t]
            if not tables or unit not in tables[0]:
                assert code(result) == "invalid_choice"
                continue
            expected = own["value"] * tables[0][own["unit"]] / tables[0][unit]
            assert result["value"] == pytest.approx(expected, abs=1e-6)
            assert result["unit"] == unit
            converted += 1
    assert converted > 5


def test_no_lookup_converts_beside_a_converter(made: list[Arena]) -> None:
    for arena in made:
        if any(goal.operation == "convert" for goal in arena.goals):
            assert not any("unit" in options_of(tool) for tool in arena.tools)


def test_decimals(made: list[Arena]) -> None:
    for _, goal, tool in using(made, "decimals", "lookup", "aggregate", "convert"):
        assert goal.target is not None and goal.target.field is not None
        exact = call(goal, tool)[goal.target.field]
        for decimals in (0, 1, 2):
            found = call(goal, tool, decimals=decimals)[goal.target.field]
            if isinstance(exact, str):
                assert found == exact
                continue
            assert abs(found - exact) <= 0.5 * 10**-decimals + 1e-9
            assert math.isclose(found * 10**decimals, round(found * 10**decimals))
        assert code(call(goal, tool, decimals=-1)) == "invalid_value"
        assert code(call(goal, tool, decimals=1.5)) == "invalid_type"


def test_language(made: list[Arena]) -> None:
    translated = 0
    for arena, goal, tool in using(made, "language", "lookup"):
        other = next(x for x in options_of(tool)["language"]["enum"] if x != arena.language)
        result = call(goal, tool, language=other)["value"]
        table = arena.provenance["tables"][goal.id]
        mine, theirs = ORACLES[arena.language], ORACLES[other]
        assert goal.call is not None
        (name,) = (v for k, v in goal.call.arguments.items() if k != "attribute")
        row = mine.rows(table).index(mine.named(table, name))
        column = mine.column(table, goal.call.arguments["attribute"])
        assert result == theirs.rows(table)[row][column]
        translated += result != goal.answer
    assert translated > 5


def test_format_of_single_values(made: list[Arena]) -> None:
    for _, goal, tool in using(made, "format", "lookup", "count", "count_where"):
        plain, detailed = call(goal, tool), call(goal, tool, format="detailed")
        assert detailed.pop("label") and detailed == plain


def test_format_limit_and_order_of_lists(made: list[Arena]) -> None:
    for _, goal, tool in using(made, "format", "list", "filter"):
        numbered = call(goal, tool, format="numbered")
        for number, item in enumerate(numbered["items"], 1):
            assert f"{number}. {item}" in numbered["text"]
    for _, goal, tool in using(made, "limit", "list", "filter"):
        items = call(goal, tool)["items"]
        assert call(goal, tool, limit=1)["items"] == items[:1]
        assert code(call(goal, tool, limit=0)) == "invalid_value"
    for _, goal, tool in using(made, "order", "list", "filter"):
        items = call(goal, tool)["items"]
        assert call(goal, tool, order="ascending")["items"] == sorted(items)
        assert call(goal, tool, order="descending")["items"] == sorted(items, reverse=True)
        assert code(call(goal, tool, order="upwards")) == "invalid_choice"


def test_match_case(made: list[Arena]) -> None:
    missed = 0
    for _, goal, tool in using(made, "match_case", "find"):
        assert goal.call is not None and goal.target is not None
        swapped = goal.call.arguments["value"].swapcase()
        assert solves(goal.target, call(goal, tool, value=swapped))
        if swapped != goal.call.arguments["value"]:
            assert code(call(goal, tool, value=swapped, match_case=True)) == "not_found"
            missed += 1
        assert solves(goal.target, call(goal, tool, match_case=True))
    assert missed


def test_position(made: list[Arena]) -> None:
    for arena, goal, tool in using(made, "position", "rank"):
        assert goal.call is not None and goal.target is not None
        arguments, table = goal.call.arguments, arena.provenance["tables"][goal.id]
        oracle = ORACLES[arena.language]
        rows = oracle.group(table, arguments["by"], arguments["value"])
        values = oracle.numbers(table, rows, arguments["attribute"])
        second = sorted(values, reverse=arguments["order"] == "highest")[1]
        names = {row["__name"] for row, v in zip(rows, values, strict=True) if v == second}
        result = call(goal, tool, position=2)
        assert result[goal.target.field] in names
        assert not solves(goal.target, result)
        for outside in (0, -1, len(rows) + 1):
            assert code(call(goal, tool, position=outside)) == "invalid_value"


def test_absolute(made: list[Arena]) -> None:
    for _, goal, tool in using(made, "absolute", "compare", "difference"):
        assert goal.call is not None
        keys = ("first", "second") if goal.operation == "compare" else ("minuend", "subtrahend")
        one, two = (goal.call.arguments[key] for key in keys)
        swapped = {keys[0]: two, keys[1]: one}
        assert call(goal, tool, **swapped)["difference"] == -call(goal, tool)["difference"]
        assert goal.target is not None
        assert not solves(goal.target, call(goal, tool, **swapped))
        assert solves(goal.target, call(goal, tool, **swapped, absolute=True))


def test_thresholds_between_whole_numbers(made: list[Arena]) -> None:
    """Above 28.5 is above 28 among whole numbers, and a call with it solves the goal, too."""
    tried = 0
    for arena in made:
        for goal in arena.goals:
            if goal.operation not in ("filter", "count_where"):
                continue
            assert goal.call is not None and goal.target is not None
            tool, arguments = arena.tool(goal.call.tool), goal.call.arguments
            bound, sign = (
                goal.target.key["threshold"],
                1 if arguments["comparison"] == "above" else -1,
            )
            values = [row[arguments["attribute"]] for row in tool.data["rows"]]
            if all(isinstance(value, int | None) for value in values):
                tried += 1
                assert isinstance(bound, int)
                assert solves(goal.target, call(goal, tool, threshold=bound + sign * 0.5))
                assert not solves(goal.target, call(goal, tool, threshold=bound - sign))
    assert tried >= 3


# --- errors ------------------------------------------------------------------------------------


def test_errors_are_structured(made: list[Arena]) -> None:
    codes: Counter[str] = Counter()
    for arena in made[:150]:
        for goal in arena.goals:
            if goal.call is None:
                continue
            tool = arena.tool(goal.call.tool)
            for name, schema in tool.document.parameters["properties"].items():
                for wrong in (None, [], {}, True, 10**400, float("nan"), "", " ", "\ud800", "x"):
                    if schema["type"] == "boolean" and wrong is True:
                        continue
                    result = call(goal, tool, **{name: wrong})
                    fits = isinstance(wrong, str) and schema["type"] == "string"
                    assert set(result) == {"error"}, (name, wrong, result)
                    error = result["error"]
                    assert error["parameter"] in tool.document.parameters["properties"]
                    assert error["message"] and json.dumps(error)
                    codes[error["code"]] += 1
                    assert fits or error["code"] in ("invalid_type", "not_found"), (name, wrong)
    assert {"invalid_type", "invalid_choice", "not_found", "invalid_value"} <= set(codes)


def test_missing_values_are_said_to_be_missing(made: list[Arena]) -> None:
    missing = 0
    for arena in made:
        for goal in arena.goals:
            if goal.operation != "lookup" or goal.call is None:
                continue
            tool = arena.tool(goal.call.tool)
            (entity,) = (k for k in goal.call.arguments if k != "attribute")
            attribute = goal.call.arguments["attribute"]
            for row in tool.data["rows"]:
                if row[attribute] is None:
                    assert code(call(goal, tool, **{entity: row[entity]})) == "no_value"
                    missing += 1
    assert missing > 5


# --- what a tool holds -------------------------------------------------------------------------


def test_calls_of_one_operation_on_one_table_share_a_tool(made: list[Arena]) -> None:
    shared = 0
    for arena in made:
        tools: dict[tuple[str, str], set[str]] = {}
        for goal in arena.goals:
            if goal.call is not None and goal.operation != "convert":
                where = (goal.operation, arena.provenance["tables"].get(goal.id, ""))
                tools.setdefault(where, set()).add(goal.call.tool)
        assert all(len(names) == 1 for names in tools.values())
        used = {goal.call.tool for goal in arena.goals if goal.call is not None}
        assert used == {tool.name for tool in arena.tools}
        assert len(used) == len(arena.tools)
        shared += len(used) < sum(goal.call is not None for goal in arena.goals)
    assert shared > 20


def test_tools_hold_other_rows_within_bounds(made: list[Arena]) -> None:
    for arena in made:
        for goal in arena.goals:
            if goal.call is None or goal.operation in ("convert", "difference", "days_between"):
                continue
            tool = arena.tool(goal.call.tool)
            assert 4 <= len(tool.data["rows"]) <= 3 * 24, goal
            assert len(tool.document.model_dump_json()) < 6000
            assert len(tool.source) < 6000


def test_groups_are_held_completely(made: list[Arena]) -> None:
    """Whatever group a tool answers for, it has all of its rows."""
    for arena in made[:200]:
        oracle = ORACLES[arena.language]
        for goal in arena.goals:
            if goal.call is None or "by" not in goal.call.arguments:
                continue
            data, table = arena.tool(goal.call.tool).data, arena.provenance["tables"][goal.id]
            for by, values in data["groups"].items():
                assert len({fold(value) for value in values}) == len(values)
                for value in values:
                    held = [row for row in data["rows"] if row[by] == value]
                    assert len(held) == len(oracle.group(table, by, value)) >= 2


def test_some_decoy_of_every_count_counts_otherwise(made: list[Arena]) -> None:
    for arena in made:
        for goal in arena.goals:
            if goal.operation == "count" and goal.call is not None:
                tool = arena.tool(goal.call.tool)
                assert any(play(tool, decoy)["count"] != goal.answer for decoy in goal.decoys)
