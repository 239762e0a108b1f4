"""The dial of long results: rows of other tables stand beside those that are asked for."""

from __future__ import annotations

import json

import pytest

from astra.arenas.certificate import certify
from astra.arenas.difficulty import ActionDials
from astra.arenas.stateful.options import StateSourceOptions
from astra.arenas.tables.load.tables import Tables
from astra.arenas.tables.schema import Schema
from astra.hosts.arena import ArenaHost, arena_messages
from astra.models.policies import policy
from astra.rewards import score_trajectory
from astra.rollouts.loop import RolloutLimits, RolloutTask, rollout
from astra.types import Arena, Trajectory
from tests.stateful.conftest import draw
from tests.support.sandboxes import run_with_sandbox, shared_sandbox

MOST = 25


@pytest.fixture(scope="module")
def long(shop: tuple[Tables, Schema]) -> list[Arena]:
    options = StateSourceOptions(
        hops=(2, 6), languages={"en": 0.5, "zh": 0.5}, seed=8,
        dials=ActionDials(long_results=MOST, terse_documents=True),
    )  # fmt: skip
    return draw(shop, options, 2)


@pytest.fixture(scope="module")
def played(long: list[Arena]) -> list[Trajectory]:
    async def play() -> list[Trajectory]:
        async with shared_sandbox() as sandbox:
            certificate = await certify(long[0], sandbox)
            assert certificate.certified, [c for c in certificate.checks if not c.passed]
            return [
                await rollout(
                    RolloutTask(arena.id, arena_messages(arena)),
                    policy("gold", arena),
                    ArenaHost(arena, sandbox),
                    RolloutLimits(turns=20),
                )
                for arena in long
            ]

    return run_with_sandbox(play())


def test_reads_bring_rows_of_other_tables_and_are_worth_what_they_were(
    long: list[Arena], played: list[Trajectory]
) -> None:
    included = 0
    for arena, trajectory in zip(long, played, strict=True):
        assert arena.state is not None
        assert arena.provenance["dials"] == {"long_results": MOST, "terse_documents": True}
        assert score_trajectory(arena, trajectory).f1 == 1
        rows = [
            {column.name: cell for column, cell in zip(table.columns, row, strict=True)}
            for table in arena.state.tables().tables
            for row in table.rows
        ]
        for call in trajectory.calls:
            if call.tool in arena.state.writes:
                assert "included" not in call.result
                continue
            around = [row for found in call.result["included"].values() for row in found]
            included += len(around)
            assert 0 < len(around) <= MOST
            # Each is one of the database, as far as it is shown as it is stored, and comes once.
            assert len({json.dumps(row, sort_keys=True) for row in around}) == len(around)
            for row in around:
                texts = {name: value for name, value in row.items() if isinstance(value, str)}
                assert any(texts.items() <= stored.items() for stored in rows), row
            asked = json.dumps({**call.result, "included": None})
            assert not any(json.dumps(row) in asked for row in around)
    assert included > MOST


def test_documents_say_so(long: list[Arena]) -> None:
    for arena in long:
        for tool in arena.tools:
            reads = tool.name.startswith(("find_", "get_", "查找", "获取"))
            assert ("included" in tool.document.description) == reads, tool.name
