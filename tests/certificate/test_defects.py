"""Defect injection: every planted defect is rejected, by the check that is meant to."""

from __future__ import annotations

import pytest

from astra.arenas.certificate import CHECKS, certify
from astra.protocols import Sandbox
from tests.certificate.defects_of_arenas import ARENA_DEFECTS
from tests.certificate.defects_of_tools import TOOL_DEFECTS
from tests.certificate.planting import PlantedDefects
from tests.support.arenas import (
    calories_tool,
    good_arenas,
    with_distractors,
)

DEFECTS = PlantedDefects({**ARENA_DEFECTS, **TOOL_DEFECTS})


@pytest.mark.parametrize("name", DEFECTS)
async def test_planted_defect_is_found_by_its_check(name: str, sandbox: Sandbox) -> None:
    await DEFECTS.require_found(name, sandbox)


@pytest.mark.parametrize("name", good_arenas())
async def test_good_arenas_are_certified(name: str, sandbox: Sandbox) -> None:
    arena = with_distractors(good_arenas()[name], calories_tool())
    certificate = await certify(arena, sandbox, seed=3)
    assert [result for result in certificate.checks if not result.passed] == []
    assert certificate.certified
    assert tuple(result.check for result in certificate.checks) == CHECKS
    assert (certificate.arena, certificate.sandbox) == (arena.id, sandbox.level)
    assert certificate.seeds == (3, 4, 5)


def test_every_check_has_a_planted_defect() -> None:
    assert {check for check, _, _ in DEFECTS.values()} == set(CHECKS)


def test_no_defect_of_one_file_hides_one_of_the_other() -> None:
    assert len(DEFECTS) == len(ARENA_DEFECTS) + len(TOOL_DEFECTS)
