"""Difficulty as a dial: levels are even and told, harder arenas hold, and nothing tells an arena's
own tools from the others."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from astra.arenas.difficulty import SETTINGS
from astra.arenas.distractor_pool import is_terse
from astra.arenas.make import make_arenas
from astra.arenas.sets import ArenaSet
from astra.arenas.statistics import arena_statistics
from astra.arenas.tables.near_tools import related
from astra.configs.arenas import MakeArenasConfig
from astra.configs.evaluation import EvaluateConfig
from astra.errors import ConfigError
from astra.evaluation.evaluate import evaluate
from astra.types import Arena, Json, Tool
from tests.tables.made import WORLD

COUNT = 10


async def made(out: Path, count: int = COUNT) -> ArenaSet:
    return await make_arenas(
        MakeArenasConfig(tables=str(WORLD), out=out, count=count, seed=4, difficulty="1:5")
    )


@pytest.fixture(scope="module")
def arenas(tmp_path_factory: pytest.TempPathFactory) -> ArenaSet:
    return asyncio.run(made(tmp_path_factory.mktemp("levels") / "run"))


def near(arena: Arena) -> list[str]:
    return [tool.name for tool in arena.distractors if tool.band == "near"]


@pytest.mark.parametrize(
    ("text", "levels"), [("1:5", (1, 2, 3, 4, 5)), ("3", (3,)), ("2:2", (2,)), (" 4 : 5 ", (4, 5))]
)
def test_levels_are_read(text: str, levels: tuple[int, ...]) -> None:
    assert MakeArenasConfig("tables", difficulty=text).levels() == levels


@pytest.mark.parametrize("text", ["", "0:3", "1:6", "4:2", "easy", "1:2:3", "1.5"])
def test_other_levels_are_refused_with_what_was_written(text: str) -> None:
    with pytest.raises(ConfigError, match=r"difficulty.*write a level from 1 to 5") as error:
        MakeArenasConfig("tables", difficulty=text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize("name", ["min_hops", "max_hops", "distractors_per_band"])
def test_what_a_level_sets_is_not_set_twice(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}.*difficulty"):
        MakeArenasConfig("tables", difficulty="2", **{name: 4})  # type: ignore[arg-type]


async def test_every_level_has_as_many_arenas_and_is_told(arenas: ArenaSet) -> None:
    report = arena_statistics(arenas.path)
    assert sum(report["level"].values()) == COUNT
    assert all(abs(count - COUNT / 5) <= 1 for count in report["level"].values())
    for arena in arenas:
        settings = SETTINGS[int(str(arena.provenance["level"]))]
        assert arena.provenance["dials"] == settings.provenance()
        assert settings.hops is not None
        assert settings.hops[0] <= arena.hops <= settings.hops[1]


async def test_the_certificate_holds_and_evaluation_reports_each_level(arenas: ArenaSet) -> None:
    for policy, f1 in (("gold", 1.0), ("null", 0.0)):
        config = EvaluateConfig(arenas, policy=policy, split="all")
        summary = (await evaluate(config)).summary
        assert {group.f1 for group in summary.by_level.values()} == {f1}
        assert sum(group.episodes for group in summary.by_level.values()) == COUNT


def rows_of(tool: Tool) -> str:
    """What the rows of a tool's data are. Empty for tools without."""
    rows = tool.data.get("rows") if isinstance(tool.data, dict) else None
    return next(iter(rows[0])) if rows else ""


def serves(tool: Tool, own: Tool, arguments: dict[str, Json]) -> bool:
    """Whether a document promises an answer to a call of the arena's own tool."""
    schemas = tool.document.parameters["properties"]
    return rows_of(tool) == rows_of(own) and all(
        name in schemas and value in schemas[name].get("enum", [value])
        for name, value in arguments.items()
    )


async def test_near_tools_never_serve_what_an_arena_asks_for(arenas: ArenaSet) -> None:
    alike = 0
    for arena in arenas:
        for tool in (each for each in arena.distractors if each.band == "near"):
            for goal in arena.goals:
                if goal.call is None:
                    continue
                own = arena.tool(goal.call.tool)
                assert not serves(tool, own, goal.call.arguments), (tool.name, goal.question)
                assert serves(own, own, goal.call.arguments)
                same_rows = rows_of(tool) == rows_of(own)
                alike += same_rows
                attribute = goal.call.arguments.get("attribute")
                offered = tool.document.parameters["properties"].get("attribute", {})
                if same_rows and goal.operation in ("lookup", "rank", "aggregate") and attribute:
                    kind = set(tool.document.parameters["required"])
                    if kind == set(own.document.parameters["required"]):
                        assert not any(related(attribute, name) for name in offered["enum"])
    assert alike > 10


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("opened", "opened_year", True),
        ("founded_year", "founding_date", True),
        ("area_km2", "length_km", False),
        ("elevation_m", "depth_m", False),
        ("成立日期", "成立年份", True),
        ("人口", "面积", False),
    ],
)
def test_attributes_that_may_tell_the_same_are_known_by_their_words(
    one: str, other: str, same: bool
) -> None:
    assert related(one, other) is related(other, one) is same


async def test_all_tools_of_an_arena_have_documents_of_one_style(arenas: ArenaSet) -> None:
    styles: set[bool] = set()
    for arena in arenas:
        terse = {is_terse(tool.document.description) for tool in (*arena.tools, *arena.distractors)}
        assert terse == {bool(SETTINGS[int(str(arena.provenance["level"]))].terse_documents)}
        styles |= terse
    assert styles == {True, False}


async def test_near_tools_stay_when_others_are_drawn(arenas: ArenaSet) -> None:
    for mode in ("random", "banded"):
        for arena, drawn in zip(arenas, arenas.with_distractors(mode, seed=9), strict=True):
            assert near(drawn) == near(arena)
    assert not any(arena.distractors for arena in arenas.with_distractors("none"))


async def test_a_run_that_resumes_ends_with_the_same_bytes(
    arenas: ArenaSet, tmp_path: Path
) -> None:
    # As a run leaves it that is killed after four candidates.
    shutil.copytree(arenas.path, tmp_path / "run")
    kept = {row["id"] for row in rows_in(arenas.path / "candidates.jsonl")[:4]}
    for path in (tmp_path / "run").glob("*.jsonl"):
        lines = path.read_bytes().splitlines(keepends=True)
        first = path.stem in ("candidates", "candidate-certificates", "near-tools")
        rows = [json.loads(line) for line in lines] if first else []
        lines = [
            line
            for line, row in zip(lines, rows, strict=False)
            if row.get("arena", row.get("id")) in kept
        ]
        path.write_bytes(b"".join(lines))
    await made(tmp_path / "run")
    for name in ("arenas", "tools", "near-tools", "certificates"):
        stored = [rows_in(folder / f"{name}.jsonl") for folder in (arenas.path, tmp_path / "run")]
        assert stored[0] == stored[1], name


def rows_in(path: Path) -> list[dict[str, Json]]:
    """The rows of a file, without the time they took."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


async def test_a_dial_can_be_set_by_itself(tmp_path: Path) -> None:
    config = MakeArenasConfig(
        tables=str(WORLD), out=tmp_path, count=4, seed=4, terse_documents=True, near_tools=0
    )
    for arena in await make_arenas(config):
        assert arena.provenance["dials"] == {"terse_documents": True}
        assert "level" not in arena.provenance
        assert all(is_terse(tool.document.description) for tool in arena.tools)
