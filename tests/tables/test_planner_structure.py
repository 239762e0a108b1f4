"""Shapes, shares, languages, determinism and the split of what the planner makes."""

from __future__ import annotations

import itertools
import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from string import ascii_lowercase

import pytest

from astra.arenas.scenarios import MIN_HOPS, PAPER_SHARES, scenario_of, scenarios_within
from astra.arenas.tables.load.tables import Tables, load
from astra.arenas.tables.profile.profiler import profile
from astra.arenas.tables.questions import chinese, english
from astra.arenas.tables.schema import Schema
from astra.arenas.tables.source import TableSource, TableSourceOptions
from astra.arenas.tables.world import World
from astra.configs.arenas import MAX_HOPS
from astra.errors import ConfigError
from astra.types import Arena, Goal, Scenario, canonical_json

from .made import BOTH, WORLD, arenas, of_world, world

MANY = 400
SEED = 7


@pytest.fixture(scope="module")
def many() -> list[Arena]:
    return arenas(world(MANY, SEED))


def called(arena: Arena) -> list[Goal]:
    return [goal for goal in arena.goals if goal.call is not None]


def test_nearly_every_candidate_is_filled(many: list[Arena]) -> None:
    assert len(many) >= 0.99 * MANY


def test_scenarios_have_their_shape(many: list[Arena]) -> None:
    for arena in many:
        calls = called(arena)
        edges = {goal.id: set(goal.depends_on) for goal in calls}
        nodes = len(arena.goals) - len(calls)
        assert nodes <= 1
        match arena.scenario:
            case Scenario.single_hop:
                assert len(arena.goals) == 1
            case Scenario.parallel_single_hop:
                assert len(arena.goals) >= 2 and not any(edges.values())
            case Scenario.multi_hop:
                assert nodes == 0 and not edges[calls[0].id]
                for before, after in itertools.pairwise(calls):
                    assert edges[after.id] == {before.id}
            case Scenario.parallel_multi_hop:
                assert any(edges.values())
        assert scenario_of(arena.goals) is arena.scenario


def test_goals_come_after_what_they_depend_on(many: list[Arena]) -> None:
    for arena in many:
        seen: set[str] = set()
        for goal in arena.goals:
            assert set(goal.depends_on) <= seen
            seen.add(goal.id)


def test_hops_lie_in_the_range_and_every_depth_is_there(many: list[Arena]) -> None:
    hops: dict[Scenario, set[int]] = defaultdict(set)
    for arena in many:
        hops[arena.scenario].add(arena.hops)
    for scenario, found in hops.items():
        highest = 1 if scenario is Scenario.single_hop else 5
        assert found == set(range(MIN_HOPS[scenario], highest + 1)), scenario


@pytest.mark.parametrize("hops", [(2, 3), (4, 4), (1, 1), (6, 7)])
def test_hops_are_as_asked(hops: tuple[int, int]) -> None:
    found = arenas(of_world(15, TableSourceOptions(hops=hops, seed=3)))
    assert len(found) >= 10
    assert {arena.hops for arena in found} <= set(range(hops[0], hops[1] + 1))


def test_shares_are_near_what_was_asked(many: list[Arena]) -> None:
    scenarios = Counter(arena.scenario for arena in many)
    for scenario, share in PAPER_SHARES.items():
        assert scenarios[scenario] / len(many) == pytest.approx(share, abs=0.05)
    assert sum(a.language == "zh" for a in many) / len(many) == pytest.approx(0.5, abs=0.06)
    assert sum(a.split == "test" for a in many) / len(many) == pytest.approx(0.2, abs=0.05)


def test_a_scenario_without_share_is_never_drawn() -> None:
    options = TableSourceOptions(
        scenarios={Scenario.multi_hop: 1.0, Scenario.single_hop: 0.0}, seed=1
    )
    assert {a.scenario for a in arenas(of_world(15, options))} == {Scenario.multi_hop}


def test_calls_do_only_what_was_asked_for(many: list[Arena]) -> None:
    wanted = frozenset({"lookup", "rank"})
    made = arenas(of_world(30, TableSourceOptions(hops=(1, 3), operations=wanted, seed=SEED)))
    assert {goal.operation for arena in made for goal in called(arena)} <= wanted
    assert len(made) == 30
    assert not {goal.operation for arena in many for goal in called(arena)} <= wanted


@pytest.mark.parametrize(
    "options",
    [
        TableSourceOptions(hops=(0, 3)),
        TableSourceOptions(hops=(3, 2)),
        TableSourceOptions(hops=(1, 1), scenarios={Scenario.multi_hop: 1.0}),
    ],
)
def test_impossible_options_are_refused(options: TableSourceOptions) -> None:
    with pytest.raises(ConfigError):
        scenarios_within(options.hops, options.scenarios)


def test_questions_are_in_the_language_of_the_arena(many: list[Arena]) -> None:
    han = re.compile(r"[\u4e00-\u9fff]")
    for arena in many:
        for question in (arena.question, *(goal.question for goal in arena.goals)):
            if arena.language == "en":
                assert not han.search(question)
            else:
                assert len(han.findall(question)) >= 4
        assert {tool.language for tool in arena.tools} == {arena.language}


def test_questions_hold_no_later_argument(many: list[Arena]) -> None:
    for arena in many:
        goals = {goal.id: goal for goal in arena.goals}
        for goal in called(arena):
            for name in goal.depends_on:
                answer = goals[name].answer
                if isinstance(answer, str) and len(answer) > 3 and arena.language == "en":
                    assert not re.search(rf"\b{re.escape(answer)}\b", arena.question)
                    assert not re.search(rf"\b{re.escape(answer)}\b", goal.question)


def test_nothing_is_asked_twice(many: list[Arena]) -> None:
    keys = Counter(
        canonical_json(sorted(canonical_json(call_of(arena, goal)) for goal in called(arena)))
        for arena in many
    )
    assert max(keys.values()) == 1
    assert len({arena.question for arena in many}) == len(many)
    assert len({arena.id for arena in many}) == len(many)


def test_wordings_vary(many: list[Arena]) -> None:
    """No wording, names and numbers aside, is used by more than a few in a hundred."""
    english = [a for a in many if a.language == "en"]
    starts = Counter(" ".join(a.question.split()[:3]) for a in english)
    assert len(starts) > 50
    assert starts.most_common(1)[0][1] < 0.1 * len(english)


# --- determinism -------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes() -> None:
    options = TableSourceOptions(languages=BOTH, seed=5)
    once, again = (arenas(of_world(20, options)) for _ in range(2))
    assert [a.model_dump_json() for a in once] == [a.model_dump_json() for a in again]


def test_another_seed_gives_other_arenas() -> None:
    one, other = arenas(world(60, SEED)), arenas(world(60, 2))
    assert len({a.question for a in one} & {a.question for a in other}) <= 1


# --- the split ---------------------------------------------------------------------------------


def call_of(arena: Arena, goal: Goal) -> list[object]:
    """Operation, table and arguments: one call whatever its tool is named."""
    assert goal.call is not None
    table = arena.provenance["tables"].get(goal.id, "")
    return [goal.operation, table, goal.call.arguments]


def test_no_call_of_a_test_arena_stands_in_train(many: list[Arena]) -> None:
    calls: dict[str, set[str]] = {"train": set(), "test": set()}
    for arena in many:
        calls[arena.split] |= {canonical_json(call_of(arena, goal)) for goal in called(arena)}
    assert calls["train"] and calls["test"]
    assert not calls["train"] & calls["test"]


def test_first_goals_of_train_and_test_ask_about_other_entities(many: list[Arena]) -> None:
    """What stands by name in a lookup or comparison belongs to one split alone."""
    asked: dict[str, set[tuple[str, str, str]]] = {"train": set(), "test": set()}
    for arena in many:
        for goal in called(arena):
            if goal.operation in ("lookup", "compare") and goal.call is not None:
                table = arena.provenance["tables"][goal.id]
                for name, value in goal.call.arguments.items():
                    if name != "attribute":
                        asked[arena.split].add((arena.language, table, str(value)))
    assert not asked["train"] & asked["test"]


def test_clusters_of_entities_keep_to_one_split() -> None:
    with load([WORLD]) as tables:
        schema = profile(tables)
        view = World(tables, schema, "en", seed=SEED, test_share=0.2, max_rows=24)
        other = World(tables, schema, "zh", seed=SEED, test_share=0.2, max_rows=24)
    for table, by_split in view.entities.items():
        train, test = (set(by_split[split]) for split in ("train", "test"))
        assert not train & test
        # The split is of rows, not of names: a language does not move it.
        assert not train & set(other.entities[table]["test"])


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Tables, Schema]]:
    """Tables of which each points to the next, as many as the longest chain has calls.

    So many rows share a target, and no number ranks them, that there is no way back: with one,
    hardly any long chain comes about that does not meet a row again.
    """
    path = tmp_path_factory.mktemp("lines") / "lines.sqlite"
    tables = ascii_lowercase[: MAX_HOPS + 1]
    with closing(sqlite3.connect(path)) as database:
        for letter, following in zip(tables, [*tables[1:], None], strict=True):
            last = f", stop_{following} TEXT REFERENCES stop_{following}" if following else ""
            database.execute(
                f"CREATE TABLE stop_{letter} (name TEXT PRIMARY KEY, motto TEXT{last})"
            )
            for number, row in enumerate(ascii_lowercase[:16]):
                values = [f"{letter.upper()}{row}ville", f"{row * 3}{letter}{row}"]
                values += [f"{following.upper()}{'ab'[number % 2]}ville"] if following else []
                marks = ", ".join("?" * len(values))
                database.execute(f"INSERT INTO stop_{letter} VALUES ({marks})", values)
        database.commit()
    with load([path]) as loaded:
        yield loaded, profile(loaded)


@pytest.mark.parametrize("scenario", [s for s in Scenario if s is not Scenario.single_hop])
def test_questions_may_have_as_many_hops_as_the_options_allow(
    lines: tuple[Tables, Schema], scenario: Scenario
) -> None:
    options = TableSourceOptions(
        hops=(MAX_HOPS, MAX_HOPS),
        scenarios={scenario: 1.0},
        languages=BOTH,
        test_share=0.0,
        seed=SEED,
        max_rows=6,
    )
    made = arenas(itertools.islice(TableSource(*lines, options).candidates(), 4))
    assert {arena.language for arena in made} == {"en", "zh"}
    for arena in made:
        assert arena.scenario is scenario and len(arena.goals) == MAX_HOPS
        questions = [goal.question for goal in arena.goals]
        assert len(set(questions)) == MAX_HOPS


def test_steps_are_counted_in_words_up_to_the_largest_number_of_hops() -> None:
    for words in (english.ORDINALS, chinese.ORDINALS, chinese.STEMS):
        assert len(set(words)) == len(words) == MAX_HOPS
