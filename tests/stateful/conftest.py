"""Arenas with a state, drawn once for all tests from the example shop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from astra.arenas.stateful.options import StateSourceOptions
from astra.arenas.stateful.source import StateSource
from astra.arenas.tables.load.tables import Tables, load
from astra.arenas.tables.profile.profiler import profile
from astra.arenas.tables.schema import Schema, TablesOptions
from astra.errors import Rejected
from astra.types import Arena

SHOP = Path(__file__).parents[2] / "examples" / "shop"


@pytest.fixture(scope="session")
def shop() -> Iterator[tuple[Tables, Schema]]:
    with load([SHOP], TablesOptions()) as tables:
        yield tables, profile(tables, TablesOptions())


def draw(shop: tuple[Tables, Schema], options: StateSourceOptions, count: int) -> list[Arena]:
    """The first arenas of a source, uncertified."""
    arenas: list[Arena] = []
    for candidate in StateSource(*shop, options).candidates():
        if not isinstance(candidate.outcome, Rejected):
            arenas.append(candidate.outcome)
        if len(arenas) == count:
            break
    return arenas


@pytest.fixture(scope="session")
def arenas(shop: tuple[Tables, Schema]) -> list[Arena]:
    options = StateSourceOptions(hops=(1, 8), languages={"en": 0.7, "zh": 0.3}, seed=4)
    return draw(shop, options, 60)
