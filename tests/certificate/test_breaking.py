"""Real arenas are broken by every operator, and the check that is meant to finds it."""

from __future__ import annotations

from pathlib import Path

import pytest

from astra.arenas.certificate import CHECKS, certify
from astra.protocols import Sandbox
from tests.support.arenas import good_arenas
from tests.support.breaking import OPERATORS, Operator, count, table, world_arenas

PAGE = Path(__file__).parents[2] / "docs" / "certificate.md"
START, END = "<!-- breaking -->\n", "\n<!-- /breaking -->"


def documented() -> str:
    """The table of the page."""
    return PAGE.read_text().partition(START)[2].partition(END)[0]


def test_the_page_names_every_operator_with_its_check() -> None:
    rows = [line.split(" | ")[:2] for line in documented().splitlines()[2:]]
    expected = [[f"| {each.name}", f"`{each.check}`"] for each in OPERATORS]
    assert rows == expected
    assert {each.check for each in OPERATORS} <= {*CHECKS}


@pytest.mark.parametrize("each", OPERATORS, ids=lambda each: each.name.replace(" ", "_"))
async def test_good_arenas_that_are_broken_are_refused(each: Operator, sandbox: Sandbox) -> None:
    arenas = good_arenas()
    for name in ("single_hop", "parallel", "multi_hop"):
        broken = each.apply(arenas[name])
        if broken is None:
            continue
        failed = [r.check for r in (await certify(broken, sandbox)).checks if not r.passed]
        assert failed == [each.check], name


@pytest.mark.slow
async def test_the_table_of_the_page_is_what_is_measured(sandbox: Sandbox) -> None:
    counts = await count(world_arenas(60), sandbox)
    assert all(failed["none"] == 0 for _, failed in counts), table(counts)
    assert table(counts) == documented()
