"""Finds columns whose values name a place only together with a wider place: city and state.

What this does not guarantee: that homonyms are found where no column says which is meant.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from astra.arenas.tables.profile.statistics import ColumnStats
from astra.arenas.tables.schema import ColumnKind


class PlaceName(NamedTuple):
    """A column's name, if it is called by a place."""

    level: int
    about: tuple[str, ...]
    """The other words: `birth_city` and `birth_state_code` are both about a birth."""


@cache
def _words() -> dict[str, Any]:
    words = tomllib.loads(Path(__file__).with_name("places.toml").read_text("utf-8"))
    levels = {word: n for n, row in enumerate(words["levels"]) for word in row.split()}
    # The longest first: a `bundesland` is not a `land`.
    ends = "|".join(sorted(words["endings"].split(), key=len, reverse=True))
    compounds = (
        rf"^(?:{'|'.join(words['beginnings'].split())})(?=[a-z]{{4}})"
        rf"|(?<=[^\x00-\x7f]{{2}})(?=({ends})$)|(?<=...)(?=({ends})$)"
    )
    return {
        "levels": levels,
        "forms": frozenset(words["forms"].split()),
        "compounds": re.compile(compounds),
    }


def place_name(column: str) -> PlaceName | None:
    """What a column's name says of places. None if it is not called by one."""
    words = _words()
    parts: list[str] = []
    for part in column.split("_"):
        # `birthplace` is `birth_place`, and 出生城市 is 出生_城市.
        if part not in words["levels"]:
            part = words["compounds"].sub(r"\g<0>_", part, count=1)
        parts += [word for word in part.split("_") if word not in words["forms"]]
    places = [part for part in parts if part in words["levels"]]
    if not places:
        return None
    # Of several the last counts: `state_capital` is a capital.
    about = list(parts)
    about.remove(places[-1])
    return PlaceName(words["levels"][places[-1]], tuple(about))


def wider_places(stats: Mapping[str, ColumnStats]) -> dict[str, tuple[str, ...]]:
    """Column -> columns of wider places beside it, without which its values may be homonyms."""
    named = {
        name: place
        for name, column in stats.items()
        if column.filled and (place := place_name(name)) is not None
    }
    wider: dict[str, tuple[str, ...]] = {}
    for name, place in named.items():
        columns = tuple(
            other
            for other, beside in named.items()
            if beside.about == place.about
            and stats[other].kind in (ColumnKind.text, ColumnKind.integer)
            and _is_wider(beside.level, place.level, stats[other], stats[name])
        )
        if columns and stats[name].kind is ColumnKind.text:
            wider[name] = columns
    return wider


_CITY, _DISTRICT = 1, 2


def _is_wider(level: int, than: int, place: ColumnStats, other: ColumnStats) -> bool:
    if {level, than} == {_CITY, _DISTRICT}:
        # A district lies in a city, or cities lie in it: the one with fewer values is the wider.
        fewer = place.distinct < other.distinct
        return fewer if place.distinct != other.distinct else level == _DISTRICT
    return level > than
