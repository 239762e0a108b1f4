"""Levels and dials of arenas that ask for changes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from astra.arenas.certificate import certify
from astra.arenas.difficulty import ACTION_SETTINGS, ActionDials
from astra.arenas.distractor_pool import is_terse
from astra.arenas.stateful.options import StateSourceOptions
from astra.arenas.stateful.source import StateSource
from astra.arenas.stateful.worlds import StateWorld
from astra.arenas.tables.load.tables import Tables
from astra.arenas.tables.schema import Schema
from astra.configs.arenas import MakeArenasConfig
from astra.errors import ConfigError
from astra.models.policies import Policy
from astra.types import Arena
from tests.stateful.conftest import draw
from tests.stateful.test_reference_policies import reports
from tests.support.sandboxes import run_with_sandbox, shared_sandbox

BILINGUAL = {"en": 0.5, "zh": 0.5}


@pytest.fixture(scope="module")
def leveled(shop: tuple[Tables, Schema]) -> list[Arena]:
    options = StateSourceOptions(languages=BILINGUAL, seed=31, levels=ACTION_SETTINGS)
    return draw(shop, options, 25)


def level(arena: Arena) -> int:
    return int(str(arena.provenance["level"]))


def test_every_level_has_as_many_arenas_with_its_dials(leveled: list[Arena]) -> None:
    assert Counter(map(level, leveled)) == dict.fromkeys(ACTION_SETTINGS, 5)
    for arena in leveled:
        dials = ACTION_SETTINGS[level(arena)]
        assert arena.provenance["dials"] == dials.provenance()
        assert arena.state is not None
        assert dials.hops is not None
        assert dials.hops[0] <= arena.hops <= dials.hops[1]
        assert bool(arena.state.policy) == dials.service_policy
        assert bool(arena.state.turns) == (dials.user_turns is not None)
        assert all(is_terse(t.document.description) == dials.terse_documents for t in arena.tools)


def test_higher_levels_ask_for_more(leveled: list[Arena]) -> None:
    def mean(of: str) -> list[float]:
        values = {
            number: [
                len(arena.tools) if of == "tools" else arena.hops
                for arena in leveled
                if level(arena) == number
            ]
            for number in ACTION_SETTINGS
        }
        return [sum(found) / len(found) for found in values.values()]

    for what in ("tools", "hops"):
        means = mean(what)
        assert means == sorted(means), what
        assert means[-1] > 3 * means[0]
    kinds = {kind for arena in leveled for kind in [arena.provenance.get("conversation")]}
    assert kinds >= {None, "plain", "missing_parameter", "revision"}


def worth(arenas: list[Arena], *names: Policy) -> list[float]:
    found = reports(arenas, names)
    return [found[name][0].f1.mean for name in names if found[name][0].f1]  # type: ignore[union-attr]


def test_gold_solves_every_level_and_others_none(leveled: list[Arena]) -> None:
    arenas = leveled[-5:]
    assert {level(arena) for arena in arenas} == {*ACTION_SETTINGS}
    assert worth(arenas, "gold", "null", "reader", "asker", "refuser") == [1, 0, 0, 0, 0]


@pytest.mark.slow
def test_the_certificate_holds_at_the_highest_level(leveled: list[Arena]) -> None:
    async def check() -> None:
        async with shared_sandbox() as sandbox:
            arena = next(arena for arena in leveled if level(arena) == 5)
            certificate = await certify(arena, sandbox)
            assert certificate.certified, [c for c in certificate.checks if not c.passed]

    run_with_sandbox(check())


def test_a_dial_alone_leaves_everything_else(shop: tuple[Tables, Schema]) -> None:
    plain = StateSourceOptions(hops=(1, 8), languages=BILINGUAL, seed=12)
    before = draw(shop, plain, 6)
    terse = draw(shop, replace(plain, dials=ActionDials(terse_documents=True)), 6)
    for arena, other in zip(before, terse, strict=True):
        assert arena.question == other.question
        assert other.goals == arena.goals
        assert [t.source for t in arena.tools] == [t.source for t in other.tools]
        assert "dials" not in arena.provenance
        assert other.provenance["dials"] == {"terse_documents": True}
        told = sum(len(str(tool.document)) for tool in arena.tools)
        assert sum(len(str(tool.document)) for tool in other.tools) < told


@pytest.mark.slow
def test_pages_are_turned_where_a_search_returns_few_rows(shop: tuple[Tables, Schema]) -> None:
    options = StateSourceOptions(
        hops=(1, 12), seed=3, kinds=frozenset({"bulk"}), dials=ActionDials(page_rows=2)
    )
    (arena,) = draw(shop, options, 1)
    parts = [goal.call.arguments.get("skip") for goal in arena.goals if goal.call]
    assert 2 in parts
    assert worth([arena], "gold") == [1]
    finders = [tool.document.description for tool in arena.tools if tool.name.startswith("find_")]
    assert finders
    assert all("at most 2 at once" in text for text in finders)


@pytest.mark.slow
def test_rows_are_named_by_as_many_others_as_the_dial_says(shop: tuple[Tables, Schema]) -> None:
    for depth, count, most in ((0, 5, 1), (3, 12, 3)):
        options = StateSourceOptions(
            hops=(1, 8), seed=3, kinds=frozenset({"update"}), dials=ActionDials(lookup_depth=depth)
        )
        arenas = [a for a in draw(shop, options, count) if a.state and len(a.state.goals) == 1]
        reads = [sum(goal.operation == "find" for goal in arena.goals) for arena in arenas]
        assert max(reads) == most


def world_of(shop: tuple[Tables, Schema], language: str) -> StateWorld:
    options = StateSourceOptions(languages={language: 1.0})  # type: ignore[dict-item]
    return StateSource(*shop, options).worlds[language]  # type: ignore[index]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_terse_documents_keep_what_names_do_not_say(
    shop: tuple[Tables, Schema], language: str
) -> None:
    world = world_of(shop, language)
    assert world.dialled is not None
    terse = {
        tool.tool.name: tool
        for tool in world.dialled(ActionDials(terse_documents=True, page_rows=3)).tools
    }
    assert terse.keys() == {tool.tool.name for tool in world.tools}
    for tool in world.tools:
        document, short = tool.tool.document, terse[tool.tool.name].tool.document
        full = document.parameters["properties"]
        for name, schema in short.parameters["properties"].items():
            rest = {key: value for key, value in schema.items() if key != "description"}
            assert rest == {k: v for k, v in full[name].items() if k != "description"}
            for needed in ("YYYY-MM-DD", "EUR"):
                said = needed in full[name]["description"]
                assert said == (needed in schema["description"]), (tool.tool.name, name)
        for word in ("closed", "已关闭", "requested", "open"):
            said = word in document.description.split()
            assert said <= (word in short.description), (tool.tool.name, word)
        if tool.operation == "find":
            assert "3" in short.description
            assert "20" in document.description


def test_what_levels_set_with_actions_is_not_set_twice() -> None:
    for name, value in (("min_user_turns", 2), ("max_user_turns", 2), ("max_hops", 3)):
        values = {"max_user_turns": 2, name: value} if name == "min_user_turns" else {name: value}
        with pytest.raises(ConfigError, match=r"user_turns|max_hops.*difficulty"):
            MakeArenasConfig("tables", actions=True, difficulty="2", **values)  # type: ignore[arg-type]
    assert MakeArenasConfig("tables", actions=True, difficulty="2").levels() == (2,)


@pytest.mark.parametrize(
    "name", ["max_parts", "lookup_depth", "shown_tools", "page_rows", "long_results"]
)
def test_dials_of_actions_need_actions(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}.*actions"):
        MakeArenasConfig("tables", **{name: 4})  # type: ignore[arg-type]
    MakeArenasConfig("tables", actions=True, **{name: 4})  # type: ignore[arg-type]
