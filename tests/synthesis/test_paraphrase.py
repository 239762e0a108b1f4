"""Other words for table arenas: what a wording must keep, and what falls out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from astra.arenas.pipeline import ArenaPipeline, CandidateArena
from astra.arenas.synthesis.paraphrase import (
    PARAPHRASED,
    make_paraphrased,
    needed_values,
    paraphrase_task,
    wording_problem,
)
from astra.arenas.synthesis.wording import changed_meaning
from astra.arenas.tables.load.tables import load
from astra.arenas.tables.profile.profiler import profile
from astra.arenas.tables.source import TableSource, TableSourceOptions
from astra.errors import TeacherError
from astra.models.embed_tfidf import TfidfEmbedder
from astra.runs.cost import bill
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow
from astra.runs.runner import StageRunner
from astra.runs.stage import StageReport
from astra.testing.rule_teacher.arenas import RuleTeacher
from astra.types import Arena, GoldCall, Language, Usage
from tests.support.arenas import changed, choice_arena, multi_hop_arena, single_hop_arena, with_goal
from tests.synthesis.conftest import WORLD, Meddler
from tests.synthesis.wording_cases import RIGHT, WRONG, flat

Again = Callable[[], Iterable[CandidateArena]]


@pytest.fixture(scope="module")
def again() -> Iterator[Again]:
    """The same candidates on each call."""
    with load([WORLD]) as tables:
        schema = profile(tables)
        yield lambda: TableSource(
            tables, schema, TableSourceOptions(hops=(1, 3), seed=4)
        ).candidates()


async def made(
    again: Again, folder: RunFolder, teacher: Any, sandbox: Any, count: int = 3
) -> dict[str, StageReport]:
    pipeline = ArenaPipeline(StageRunner(folder), sandbox, TfidfEmbedder())
    return await make_paraphrased(pipeline, teacher, again, count)


def rewording(given: Any, right: Any, _index: int) -> Any:
    return right.model_copy(update={"question": f"I wonder: {given.question}"})


async def test_words_change_and_nothing_else(
    again: Again, tmp_path: Path, rules: RuleTeacher, sandbox: Any
) -> None:
    folder = RunFolder.create(tmp_path / "run", {})
    reports = await made(again, folder, Meddler(rules, {"paraphrase": rewording}), sandbox)
    assert reports["arenas"].accepted == 3
    originals = {c.key: c.outcome for c in islice(again(), 20)}
    for arena in folder.rows("candidates", Arena):
        original = originals[arena.key]
        assert isinstance(original, Arena)
        assert arena.question == f"I wonder: {original.question}"
        assert arena.goals == original.goals and arena.tools == original.tools
        assert (arena.answer, arena.split) == (original.answer, original.split)
        assert arena.provenance["paraphrase"]["of"] == original.question


async def test_bad_wordings_are_told_why_and_then_set_aside_and_made_up_for(
    again: Again, tmp_path: Path, rules: RuleTeacher, sandbox: Any
) -> None:
    first: list[str] = []

    def stubborn(given: Any, right: Any, index: int) -> Any:
        first.append(given.question)
        if given.question == first[0]:
            return right.model_copy(update={"question": "Something else entirely, please?"})
        return rewording(given, right, index)

    teacher = Meddler(rules, {"paraphrase": stubborn})
    folder = RunFolder.create(tmp_path / "run", {})
    reports = await made(again, folder, teacher, sandbox, count=2)
    assert reports["arenas"].accepted == 2
    failures = list(folder.rows(f"{PARAPHRASED}.failed", FailureRow))
    assert [failure.check for failure in failures] == ["paraphrase"]
    findings = [given.finding for _, given, _ in teacher.asked if given.question == first[0]]
    assert findings[0] == "" and "lacks" in findings[1]


def test_a_question_that_lets_choose_may_name_its_answer() -> None:
    arena = choice_arena("Which has more people, Japan or Kenya?")
    task = paraphrase_task(arena)
    assert set(task.keep) == {"Japan", "Kenya"} and "Japan" not in task.avoid
    assert not wording_problem(arena, "Between Japan and Kenya, which one has more people?")
    given_away = "Japan has more people than Kenya: which one has more people?"
    assert "'Japan'" in wording_problem(arena, given_away)


@pytest.mark.parametrize("day", ["March 5, 2025", "March 5", "03/05/2025"])
def test_a_day_that_calls_need_is_kept_as_the_question_has_it(day: str) -> None:
    arguments = {"country": "Germany", "day": "2025-03-05"}
    call = GoldCall(tool="capital_of_country", arguments=arguments)
    question = f"What was the capital of Germany on {day}?"
    arena = changed(with_goal(single_hop_arena(), "g1", call=call), question=question)
    assert paraphrase_task(arena).keep == ("Germany", day.lower())
    assert not wording_problem(arena, f"Which city was the capital of Germany on {day}?")
    # Another month with the same numbers.
    other = day.replace("March", "May").replace("03/05", "05/03")
    told = wording_problem(arena, f"Which city was the capital of Germany on {other}?")
    assert "lacks" in told, told


async def test_going_on_counts_no_cost_twice(
    again: Again,
    tmp_path: Path,
    rules: RuleTeacher,
    sandbox: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when the certificate refuses the first wordings, so that the stage runs again."""
    calls: list[StageReport] = []

    certify = ArenaPipeline.certify

    async def refusing(*args: Any, **options: Any) -> StageReport:
        calls.append(await certify(*args, **options))
        return replace(calls[-1], accepted=1) if len(calls) == 1 else calls[-1]

    monkeypatch.setattr(ArenaPipeline, "certify", refusing)

    def paid(given: Any, right: Any, index: int) -> Any:
        bill(Usage(prompt_tokens=10))
        return rewording(given, right, index)

    folder = RunFolder.create(tmp_path / "run", {})
    teacher = Meddler(rules, {"paraphrase": paid})
    await made(again, folder, teacher, sandbox, count=2)
    assert len(calls) == 2
    counted = folder.manifest().stages[PARAPHRASED].usage.prompt_tokens
    assert counted == 10 * teacher.count("paraphrase")


ARENA = multi_hop_arena()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda q: q, "the old one"),
        (lambda q: "", "empty"),
        (lambda q: q + " " + "x" * 5000, "characters"),
        (lambda q: q + "\u202e", "U+202E"),
        (lambda q: "请问" * 50 + "答案是什么？", "not in 'en'"),
        (lambda q: q.replace(str(needed_values(ARENA)[0]), "it"), "lacks"),
        (lambda q: f"{q} Give 3 reasons.", "numbers"),
        (lambda q: f"{q} (It is not {ARENA.goals[0].answer}.)", "an answer"),
    ],
)
def test_wordings_that_can_not_stand(change: Callable[[str], str], reason: str) -> None:
    assert wording_problem(ARENA, f"I wonder: {ARENA.question}") == ""
    assert reason in wording_problem(ARENA, change(ARENA.question))


@pytest.mark.parametrize(("language", "old", "new"), flat(WRONG))
def test_rules_refuse_wordings_that_ask_something_else(language: Language, old: str, new: str):
    assert changed_meaning(old, new, language)


@pytest.mark.parametrize(("language", "old", "new"), flat(RIGHT))
def test_rules_pass_wordings_that_ask_the_same(language: Language, old: str, new: str):
    assert changed_meaning(old, new, language) == ""


def test_a_word_of_an_enum_may_be_said_otherwise_and_no_other_choice_be_named() -> None:
    arena = multi_hop_arena()
    goal = next(goal for goal in arena.goals if goal.call)
    assert goal.call
    tool = arena.tool(goal.call.tool)
    extended = tool.document.parameters["properties"] | {
        "attribute": {"type": "string", "enum": ["elevation", "visitor count"], "description": "d"}
    }
    document = tool.document.model_copy(
        update={"parameters": tool.document.parameters | {"properties": extended}}
    )
    call = goal.call.model_copy(
        update={"arguments": goal.call.arguments | {"attribute": "elevation"}}
    )
    question = f"{arena.question} I mean the elevation."
    changed = arena.model_copy(
        update={
            "question": question,
            "tools": (tool.model_copy(update={"document": document}),),
            "goals": (goal.model_copy(update={"call": call}),),
        }
    )
    assert "elevation" not in needed_values(changed)
    assert wording_problem(changed, question.replace("the elevation", "how high it is")) == ""
    other = question.replace("the elevation", "the visitor count")
    assert "the call needs 'elevation'" in wording_problem(changed, other)


async def test_without_the_judge_no_wording_passes(
    again: Again, tmp_path: Path, rules: RuleTeacher, sandbox: Any
) -> None:
    def refuses(_given: Any, right: Any, _index: int) -> Any:
        return right.model_copy(update={"holds": False, "reason": "It asks for names."})

    teacher = Meddler(rules, {"judge_wording": refuses, "paraphrase": rewording})
    folder = RunFolder.create(tmp_path / "run", {})
    await made(lambda: islice(again(), 2), folder, teacher, sandbox, count=2)
    failures = list(folder.rows(f"{PARAPHRASED}.failed", FailureRow))
    assert {failure.check for failure in failures} == {"paraphrase"}
    assert all("It asks for names" in failure.message for failure in failures)
    silent = Meddler(
        rules, {"judge_wording": lambda *_: TeacherError("no verdict"), "paraphrase": rewording}
    )
    folder = RunFolder.create(tmp_path / "silent", {})
    reports = await made(lambda: islice(again(), 2), folder, silent, sandbox, count=2)
    assert "arenas" not in reports or reports["arenas"].accepted == 0
    assert not list(folder.rows("candidates", Arena))
