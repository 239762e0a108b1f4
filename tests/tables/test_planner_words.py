"""The grammar: many wordings of each kind of question, in both languages, that read well."""

from __future__ import annotations

import random
import re
from collections import defaultdict

import pytest

from astra.arenas.scenarios import MIN_HOPS
from astra.arenas.tables.load.tables import load
from astra.arenas.tables.planner import Planner, QuestionPlan
from astra.arenas.tables.profile.profiler import profile
from astra.arenas.tables.questions.chinese import Chinese
from astra.arenas.tables.questions.english import English
from astra.arenas.tables.questions.grammar import Grammar
from astra.arenas.tables.questions.measures import is_year, measure_of
from astra.arenas.tables.schema import ColumnKind
from astra.arenas.tables.steps import QuestionValue
from astra.arenas.tables.views import Attribute, RowEntity
from astra.arenas.tables.world import World
from astra.types import Arena, Language, Scenario

from .made import WORLD, arenas, world

LANGUAGES: tuple[Language, ...] = ("en", "zh")


@pytest.fixture(scope="module", params=LANGUAGES)
def plans(request: pytest.FixtureRequest) -> tuple[Grammar, list[QuestionPlan]]:
    """A grammar, and one plan for every kind of question."""
    language: Language = request.param
    with load([WORLD]) as tables:
        schema = profile(tables)
        planner = Planner(World(tables, schema, language, seed=1, test_share=0.2, max_rows=24))
        found: dict[str, QuestionPlan] = {}
        for number in range(1200):
            rng = random.Random(number)
            scenario = rng.choice(list(Scenario))
            hops = MIN_HOPS[scenario] + (scenario is not Scenario.single_hop) * rng.randrange(2)
            plan = planner.plan(rng, scenario, hops, "train")
            if plan is not None:
                found.setdefault(plan.joined or plan.ends[0].operation, plan)
    return Grammar(schema, language), list(found.values())


def test_every_kind_of_question_has_at_least_eight_wordings(
    plans: tuple[Grammar, list[QuestionPlan]],
) -> None:
    grammar, kinds = plans
    assert len(kinds) >= 14
    for plan in kinds:
        wordings = {grammar.phrase(plan, random.Random(n)).question for n in range(200)}
        assert len(wordings) >= 20, (plan.joined, plan.ends[0].operation)
        step = plan.steps()[0]
        sub = {grammar.phrase(plan, random.Random(n)).steps[0] for n in range(200)}
        assert len(sub) >= 8, step.operation


@pytest.fixture(scope="module")
def many() -> list[Arena]:
    return arenas(world(200, 7))


def test_questions_are_clean(many: list[Arena]) -> None:
    for arena in many:
        for text in (arena.question, *(goal.question for goal in arena.goals)):
            assert text == text.strip() and "  " not in text and "{" not in text, text
            assert not re.search(r"[,;:][.?]|\.\.|\?\?|，。|，？|。。|的的|None|the the ", text), (
                text
            )
            if arena.language == "zh":
                assert text[-1] in "。？！", text
            else:
                assert text[-1] in ".?!" and not text[0].islower(), text


def test_phrases_do_not_nest_deep(many: list[Arena]) -> None:
    for arena in many:
        sentences = re.split(r"(?<=[.?!。？！])|\([a-e]\)|;|（[一二三四五]）", arena.question)
        for sentence in sentences:
            assert sentence.count("whose") <= 3, sentence
            assert sentence.count(" of the ") <= 7, sentence


def test_several_answers_come_in_a_stated_order(many: list[Arena]) -> None:
    seen = 0
    for arena in many:
        calls = [goal for goal in arena.goals if goal.call is not None]
        single = len(calls) == len(arena.goals) and isinstance(arena.answer, tuple)
        if single and arena.answer != arena.goals[-1].answer:
            assert re.search(
                r"order|one after the other|顺序|依次|逐一|次序|作答", arena.question
            ), arena.question
            seen += 1
    assert seen > 12


def test_a_name_of_two_tables_is_said_with_what_it_is_of() -> None:
    """The population of Singapore: of the city, or of the country?"""
    words: dict[str, tuple[str, ...]] = {
        "en": ("the city ", "the country "),
        "zh": ("城市“", "国家“"),
    }
    seen = 0
    for arena in arenas(world(140, 2)):  # one of the last is about Singapore
        for goal in arena.goals:
            if goal.call is None or goal.operation != "lookup":
                continue
            name = next(str(v) for k, v in goal.call.arguments.items() if k != "attribute")
            if name in ("Singapore", "新加坡", "Luxembourg", "卢森堡") and not goal.depends_on:
                assert any(f"{w}{name}" in goal.question for w in words[arena.language]), goal
                seen += 1
    assert seen


def attribute(label: str, kind: ColumnKind = ColumnKind.integer) -> Attribute:
    return Attribute(label, label.replace(" ", "_"), kind, label, None, None, False, False)


@pytest.mark.parametrize(
    ("label", "high", "low"),
    [
        ("area", "largest", "smallest"),
        ("founding year", "latest", "earliest"),
        ("surface elevation", "highest", "lowest"),
        ("maximum depth", "greatest", "smallest"),
        ("number of events", "largest", "smallest"),
        ("duration", "longest", "shortest"),
        ("score", "highest", "lowest"),
    ],
)
def test_superlatives_fit_the_attribute(label: str, high: str, low: str) -> None:
    pair = measure_of(attribute(label)).en
    assert (pair.of("highest"), pair.of("lowest")) == (high, low)


@pytest.mark.parametrize(
    ("label", "high"), [("人口", "最多"), ("面积", "最大"), ("创办年份", "最晚"), ("评分", "最高")]
)
def test_superlatives_in_chinese(label: str, high: str) -> None:
    assert measure_of(attribute(label)).zh.high == high


def test_sums_and_means_are_asked_of_what_has_them() -> None:
    sums: defaultdict[str, list[bool]] = defaultdict(list)
    labels = ("population", "area", "number of events", "elevation", "founding year", "id")
    for label in (*labels, "answer on price"):
        a = attribute(label)
        sums[label] = [a.additive, a.averageable, is_year(a)]
    assert sums == {
        "population": [True, True, False],
        "area": [True, True, False],
        "number of events": [True, True, False],
        "elevation": [False, True, False],
        "answer on price": [False, True, False],
        "founding year": [False, False, True],
        "id": [False, False, False],
    }


# --- what a name is of -------------------------------------------------------------------------


def named(name: str, table: str, singular: str, *, ambiguous: bool = False) -> set[str]:
    """All phrases for a row."""
    value = QuestionValue(name, RowEntity(table, 0, name))
    return {
        English().value(value, singular, random.Random(seed), ambiguous=ambiguous)
        for seed in range(20)
    }


def test_the_kind_is_said_where_other_kinds_are_asked_the_same():
    assert named("Teide", "mountains", "mountain", ambiguous=True) == {"the mountain Teide"}
    assert named("Prado", "museums", "museum", ambiguous=True) == {"the museum Prado"}
    assert named("Lake Inari", "lakes", "lake", ambiguous=True) == {"Lake Inari"}
    assert named("Teide", "mountains", "mountain") == {"Teide", "the mountain Teide"}
    teide = QuestionValue("特德峰", RowEntity("mountains", 0, "特德峰"))
    phrases = {Chinese().value(teide, "山", random.Random(n), ambiguous=True) for n in range(20)}
    assert phrases == {"山“特德峰”"}


def test_arenas_say_the_kind_of_a_name_whose_attribute_several_tables_have():
    asked = [arena for arena in arenas(world(200, 7)) if arena.language == "en"]
    countries = [
        (goal.call.arguments, arena.question)
        for arena in asked
        for goal in arena.goals
        if goal.call is not None
        and goal.operation == "lookup"
        and goal.call.arguments["attribute"] == "country"
    ]
    assert len(countries) > 12
    for arguments, question in countries:
        (kind, name), *_ = arguments.items()
        if str(name) in question:
            kind = kind.replace("_", " ")
            words = [kind, *(word[:6] for word in kind.split() if len(word) > 5)]
            said = any(word in str(name).casefold() for word in words)
            assert said or f"the {kind} {name}" in question, question


def test_a_title_has_no_article():
    assert named("Song Jade River", "Track", "track") == {
        "Song Jade River",
        "the track Song Jade River",
    }
    assert named("Kura River", "rivers", "river") == {"the Kura River"}
