"""An agent by rules plays table arenas: a question and documents are enough for a full score."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress
from pathlib import Path

import jsonschema
import pytest

from astra.arenas.make import make_arenas
from astra.configs.arenas import MakeArenasConfig
from astra.rewards import score
from astra.types import Arena, CallRecord, CallStatus, Json
from tests.support.honest_agent import HonestAgent
from tests.tables.made import WORLD, play
from tests.tables.shapes import SHAPES


def calls_of_agent(arena: Arena) -> list[CallRecord]:
    """The calls of an agent that sees the question and all documents, in no telling order."""
    tools = {tool.name: tool for tool in (*arena.tools, *arena.distractors)}
    documents = [tool.document for tool in tools.values()]
    random.Random(arena.id).shuffle(documents)
    calls: list[CallRecord] = []

    def call(name: str, arguments: dict[str, Json]) -> Json:
        jsonschema.validate(arguments, tools[name].document.parameters)
        result = play(tools[name], arguments)
        failed = isinstance(result, dict) and "error" in result
        number = len(calls)
        calls.append(
            CallRecord(
                id=f"c{number}",
                turn=number,
                tool=name,
                arguments=arguments,
                status=CallStatus.tool_error if failed else CallStatus.ok,
                result=result,
            )
        )
        return result

    with suppress(LookupError):  # it stops where it understands no more; the score shows it
        HonestAgent(documents, call).answer(arena.question)
    return calls


async def check(folder: Path, tables: Path, count: int, seed: int) -> None:
    config = MakeArenasConfig(tables=str(tables), out=str(folder / "run"), count=count, seed=seed)
    total: Counter[str] = Counter()
    full: Counter[str] = Counter()
    missed: list[str] = []
    for arena in await make_arenas(config):
        good = score(calls_of_agent(arena), arena.goals).f1 == pytest.approx(1.0, abs=1e-6)
        for kind in {"all", *(goal.operation for goal in arena.goals)}:
            total[kind] += 1
            full[kind] += good
        if not good:
            missed.append(arena.question)
    shares = ", ".join(f"{kind} {full[kind]}/{total[kind]}" for kind in sorted(total))
    assert full["all"] >= 0.95 * total["all"], (shares, missed)


async def test_the_honest_agent_gets_full_scores_on_the_example_tables(tmp_path: Path) -> None:
    await check(tmp_path, WORLD, 20, seed=23)


@pytest.mark.slow
async def test_the_honest_agent_gets_full_scores_on_many_arenas(tmp_path: Path) -> None:
    await check(tmp_path, WORLD, 150, seed=31)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
async def test_the_honest_agent_gets_full_scores_in_the_shape_of_public_data(
    tmp_path: Path, shape: str
) -> None:
    await check(tmp_path, SHAPES[shape](tmp_path), 40, seed=29)
