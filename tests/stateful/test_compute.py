"""Changes that are worked out: percent, amounts, days, another row's value."""

from __future__ import annotations

import datetime
import re
from fractions import Fraction

import pytest

from astra.arenas.certificate import certify
from astra.arenas.stateful.options import StateSourceOptions
from astra.arenas.tables.load.tables import Tables
from astra.arenas.tables.schema import Schema
from astra.databases import Cell, DatabaseTable
from astra.types import Arena
from tests.stateful.conftest import draw
from tests.support.sandboxes import run_with_sandbox, shared_sandbox


@pytest.fixture(scope="module")
def computed(shop: tuple[Tables, Schema]) -> list[Arena]:
    return draw(shop, StateSourceOptions(seed=21, kinds=frozenset({"compute"})), 60)


def _expected(question: str, old: Cell, table: DatabaseTable, column: str) -> Cell:
    """What the words ask for, worked out apart from the source."""
    if found := re.search(r"(raise|lower) .* by (\d+) percent", question, re.IGNORECASE):
        sign = 1 if found[1].lower() == "raise" else -1
        assert isinstance(old, int)
        value = Fraction(old) * (100 + sign * int(found[2])) / 100
        assert value.denominator == 1
        return int(value)
    if found := re.search(r"(increase|reduce) .* by (\d+)", question, re.IGNORECASE):
        assert isinstance(old, int)
        step = 10 ** table.column(column).scale
        return old + (1 if found[1].lower() == "increase" else -1) * int(found[2]) * step
    if found := re.search(r"(back|forward) by (\d+) days", question):
        days = datetime.timedelta(days=int(found[2]) * (1 if found[1] == "back" else -1))
        assert isinstance(old, str)
        return (datetime.date.fromisoformat(old) + days).isoformat()
    named = [
        row[column]
        for row in table.rows_by_key.values()
        if any(isinstance(cell, str) and question.endswith(f" {cell}") for cell in row.values())
    ]
    assert len(named) == 1, question
    return named[0]


def test_the_goals_hold_what_the_words_ask_for(computed: list[Arena]) -> None:
    ways: set[str] = set()
    for arena in computed:
        assert arena.state is not None
        for goal in arena.state.goals:
            (change,) = goal.changes
            assert change.before is not None and change.after is not None
            ((name, new),) = change.after.items()
            table = arena.state.tables().table(change.table)
            assert new == _expected(goal.question, change.before[name], table, name), goal.question
            ways.add(goal.question.split()[0].lower())
    assert ways >= {"raise", "lower", "increase", "reduce", "set"}


def test_they_are_certified(computed: list[Arena]) -> None:
    async def run() -> list[str]:
        async with shared_sandbox() as sandbox:
            certificates = [await certify(arena, sandbox) for arena in computed[:15]]
        checks = [check for certificate in certificates for check in certificate.checks]
        return [check.reason for check in checks if not check.passed]

    assert run_with_sandbox(run()) == []
