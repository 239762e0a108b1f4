"""Arenas over the example library, and over four further documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from types import MappingProxyType

import pytest

from astra.arenas.certificate import certify
from astra.arenas.difficulty import ACTION_SETTINGS, ActionDials
from astra.arenas.openapi.source import open_service, service_source
from astra.arenas.stateful.options import StateSourceOptions
from astra.errors import Rejected
from astra.evaluation.arenas import PlayedEpisode, play, tallied
from astra.models.policies import Policy, policy
from astra.rewards import score_trajectory
from astra.rollouts.loop import RolloutLimits
from astra.types import Arena
from tests.support.sandboxes import run_with_sandbox, shared_sandbox

LIBRARY = Path(__file__).parents[2] / "examples" / "tools" / "openapi.yaml"
DOCUMENTS = sorted((Path(__file__).parent / "documents").iterdir())


def draw(
    path: Path, count: int, seed: int = 3, levels: Mapping[int, ActionDials] = MappingProxyType({})
) -> list[Arena]:
    """The first arenas over a document, uncertified."""
    options = StateSourceOptions(hops=(1, 8), seed=seed, levels=levels)
    source = service_source(open_service(path), options)
    arenas: list[Arena] = []
    for candidate in source.candidates():
        if not isinstance(candidate.outcome, Rejected):
            arenas.append(candidate.outcome)
        if len(arenas) == count:
            break
    return arenas


@pytest.fixture(scope="module")
def arenas() -> list[Arena]:
    return draw(LIBRARY, 40)


def test_arenas_are_certified(arenas: list[Arena]) -> None:
    async def check() -> None:
        async with shared_sandbox() as sandbox:
            for arena in arenas[:14]:
                certificate = await certify(arena, sandbox)
                failed = [c for c in certificate.checks if not c.passed]
                assert certificate.certified, (arena.question, failed)

    run_with_sandbox(check())


def scores(arenas: Sequence[Arena], name: Policy) -> tuple[float, float]:
    """Mean F1 of a policy, and its share of strictly right episodes."""

    async def run() -> tuple[float, float]:
        episodes: list[PlayedEpisode] = []
        async with shared_sandbox() as sandbox:
            model = lambda arena, sample: policy(name, arena, sample)  # noqa: E731
            played = play(arenas, model, sandbox, RolloutLimits(turns=100))
            summary = await tallied(played, 0, episodes.append)
        assert summary.f1 is not None
        pairs = zip(arenas, episodes, strict=True)
        return summary.f1.mean, fmean(
            score_trajectory(arena, e.trajectory, "strict").reward for arena, e in pairs
        )

    return run_with_sandbox(run())


def test_reference_policies_are_worth_what_is_known(arenas: list[Arena]) -> None:
    arenas = arenas[:20]
    assert scores(arenas, "gold") == (1, 1)
    assert scores(arenas, "null")[0] == scores(arenas, "reader")[0] == 0
    assert scores(arenas, "careless")[0] <= 0.2
    assert scores(arenas, "random")[0] <= 0.02


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_arenas_over_other_documents(document: Path) -> None:
    arenas = draw(document, 5, seed=9)
    assert len({arena.question for arena in arenas}) == len(arenas) == 5
    test_arenas_are_certified(arenas)
    assert scores(arenas, "gold") == (1, 1)
    assert scores(arenas, "null")[0] == scores(arenas, "reader")[0] == 0


def test_levels_are_drawn_over_a_document_too() -> None:
    own = {"terse_documents": False, "page_rows": None, "service_policy": False}
    levels = {level: replace(dials, **own) for level, dials in ACTION_SETTINGS.items()}
    arenas = draw(LIBRARY, 5, levels=levels)
    assert [arena.provenance["level"] for arena in arenas] == [1, 2, 3, 4, 5]
    assert arenas[-1].hops > 2 * arenas[0].hops
    assert scores(arenas, "gold") == (1, 1)
    assert scores(arenas, "null") == scores(arenas, "asker") == (0, 0)


def test_the_same_seed_gives_the_same_arenas(arenas: list[Arena]) -> None:
    assert [arena.id for arena in draw(LIBRARY, 20)] == [arena.id for arena in arenas[:20]]
    other = {arena.id for arena in draw(LIBRARY, 10, seed=4)}
    assert not other & {arena.id for arena in arenas}


def test_every_operation_is_a_tool_under_its_name(arenas: list[Arena]) -> None:
    named = {tool.name for arena in arenas for tool in arena.tools}
    assert named == {
        *("searchBooks", "addBook", "getBook", "updateBook", "removeBook"),
        *("listMembers", "registerMember", "getMember", "updateMember"),
        *("listLoansOfMember", "borrowBook", "getLoan", "renewLoan", "returnLoan"),
    }
