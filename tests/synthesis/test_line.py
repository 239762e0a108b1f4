"""The whole line with the rule teacher: what comes out, in which order, and after what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from astra.arenas.certificate import certify
from astra.arenas.pipeline import ArenaPipeline
from astra.arenas.sets import ArenaSet
from astra.arenas.synthesis.decompose import DecomposeOptions, decompositions_stage
from astra.arenas.synthesis.judge import (
    DecompositionCandidate,
    QualityThreshold,
    judged_stage,
)
from astra.arenas.synthesis.pipeline import STAGES, ArenaSynthesis, SynthesisOptions
from astra.arenas.synthesis.records import DecomposedItem, JudgedItem, MergedItem
from astra.arenas.synthesis.sources import SourceMaterial, items
from astra.errors import BudgetExceeded, ConfigError, StageError, TeacherError
from astra.models.embed_tfidf import TfidfEmbedder
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow
from astra.runs.runner import StageRunner
from astra.teacher.prompts.arenas import (
    JudgeVerdict,
    StepVerdicts,
)
from astra.testing.rule_teacher.arenas import RuleTeacher
from astra.testing.rule_teacher.arenas.defects import ArenaDefect
from astra.testing.rule_teacher.faults import FaultRates
from astra.types import ArenaRow, Scenario
from tests.synthesis.conftest import Meddler, item_of

FILES = (*(f"{stage}.jsonl" for stage in STAGES), "candidates.jsonl", "arenas.jsonl")
JUDGES = ("necessity", "dependency", "atomicity", "rationality", "completeness")


def flipped(answer: JudgeVerdict | StepVerdicts) -> JudgeVerdict | StepVerdicts:
    """The opposite of every verdict."""
    if isinstance(answer, JudgeVerdict):
        return answer.model_copy(update={"holds": not answer.holds})
    verdicts = (v.model_copy(update={"holds": not v.holds}) for v in answer.verdicts)
    return StepVerdicts(verdicts=tuple(verdicts))


def failures(folder: RunFolder, stage: str) -> list[FailureRow]:
    return list(folder.rows(f"{stage}.failed", FailureRow))


async def test_questions_become_certified_arenas(
    make: Any, rules: RuleTeacher, questions: list[SourceMaterial], sandbox: Any
) -> None:
    folder, reports = await make(rules, questions)
    assert reports["arenas"].accepted == 6
    known = {arena.question: arena for arena in rules.catalogue.arenas}
    for arena in ArenaSet(folder.path):
        assert arena.answer == known[arena.question].answer
        assert arena.provenance["teacher"] == "rules"
        certificate = await certify(arena, sandbox, seed=5)
        assert certificate.certified, certificate
    assert {arena.split for arena in folder.rows("arenas", ArenaRow)} <= {"train", "test"}


async def test_domains_are_asked_about_until_there_are_enough(
    make: Any, rules: RuleTeacher
) -> None:
    domains = Counter(arena.domain for arena in rules.catalogue.arenas if arena.language == "en")
    material = [
        SourceMaterial("domain", name, "en", "", name) for name, _ in domains.most_common(2)
    ]
    folder, reports = await make(rules, material, count=2)
    assert reports["arenas"].accepted == 2
    assert {row.instance.mode for row in folder.rows("validated", JudgedItem)} == {"domain"}


async def test_concurrency_changes_no_byte(
    make: Any, rules: RuleTeacher, questions: list[SourceMaterial]
) -> None:
    one, _ = await make(rules, questions, name="one", count=3, concurrency=1)
    many, _ = await make(rules, questions, name="many", count=3, concurrency=9)
    for file in FILES:
        assert (one.path / file).read_bytes() == (many.path / file).read_bytes(), file


@pytest.mark.parametrize("cut", ["decompositions", "judged", "implemented"])
async def test_a_run_cut_anywhere_ends_with_the_same_bytes(
    make: Any, rules: RuleTeacher, questions: list[SourceMaterial], cut: str
) -> None:
    whole, _ = await make(rules, questions, name="whole", count=2)
    folder, _ = await make(rules, questions, name="cut", count=2)
    later = [*STAGES[STAGES.index(cut) :], "candidates", "candidate-certificates"]
    for name in (*later, "tools", "arenas", "certificates"):
        path = folder.path / f"{name}.jsonl"
        data = path.read_bytes()
        # The stage that was cut keeps its first row and half of the second; later ones nothing.
        first = data.find(b"\n") + 1
        path.write_bytes(data[: first + 20] if name == cut else b"")
    counted = Meddler(rules, name="rules")
    again, _ = await make(counted, questions, name="cut", count=2)
    for file in FILES:
        assert (again.path / file).read_bytes() == (whole.path / file).read_bytes(), file
    asked = {name for name, _, _ in counted.asked}
    assert ("decompose" in asked) == (cut == "decompositions")


async def test_judges_that_never_answer_let_nothing_pass(
    make: Any, rules: RuleTeacher, questions: list[SourceMaterial]
) -> None:
    broken = Meddler(
        rules, {f"judge_{name}": lambda *_: TeacherError("no verdict") for name in JUDGES}
    )
    folder, reports = await make(broken, questions[:10], count=10)
    assert reports["judged"].accepted == 0
    assert reports["judged"].errors == {"TeacherError": 10}
    assert "arenas" not in reports or reports["arenas"].accepted == 0
    assert not list(folder.rows("validated", JudgedItem))


@pytest.mark.parametrize("name", JUDGES)
async def test_one_broken_judge_is_enough(
    make: Any, rules: RuleTeacher, questions: list[SourceMaterial], name: str
) -> None:
    def at_last(_given: Any, right: Any, index: int) -> Any:
        return TeacherError("no verdict") if index == 2 else right

    broken = Meddler(rules, {f"judge_{name}": at_last})
    several = [m for m in questions if " and " in m.text or " of " in m.text][:4]
    folder, reports = await make(broken, several, count=4)
    judged = list(folder.rows("judged", JudgedItem))
    # Only steps with dependencies are judged for them.
    assert name == "dependency" or not judged
    assert all(not step.depends_on for row in judged for step in row.instance.steps)
    assert reports["judged"].errors.get("TeacherError", 0) == 4 - len(judged)


async def test_what_broke_in_an_early_wave_stays_on_record(
    make: Any, rules: RuleTeacher, questions: list[SourceMaterial]
) -> None:
    lost = {m.text for m in questions[:2]}

    def some(given: Any, right: Any, _index: int) -> Any:
        return TeacherError("no verdict") if given.question in lost else right

    teacher = Meddler(rules, {"judge_necessity": some})
    folder, reports = await make(teacher, questions[:12], count=4)
    assert reports["arenas"].accepted == 4
    assert reports["judged"].errors == {"TeacherError": 2}
    ended = [row.key for row in folder.rows("judged", JudgedItem)]
    ended += [row.key for row in failures(folder, "judged")]
    assert sorted(ended) == sorted(row.key for row in folder.rows("decompositions", DecomposedItem))


async def test_broken_judges_of_a_long_run_stop_it(
    make: Any, rules: RuleTeacher, questions: list[SourceMaterial]
) -> None:
    broken = Meddler(rules, {"judge_necessity": lambda *_: TeacherError("no verdict")})
    with pytest.raises(StageError, match="no verdict"):
        await make(broken, questions, count=25)


async def test_a_spent_budget_stops_and_the_same_command_goes_on(
    make: Any, rules: RuleTeacher, questions: list[SourceMaterial]
) -> None:
    left = [20]

    def paid(_given: Any, right: Any, _index: int) -> Any:
        left[0] -= 1
        return right if left[0] >= 0 else BudgetExceeded("all spent")

    poor = Meddler(rules, {f"judge_{name}": paid for name in JUDGES}, name="rules")
    with pytest.raises(BudgetExceeded):
        await make(poor, questions, name="poor", count=2)
    left[0] = 10_000
    folder, _ = await make(poor, questions, name="poor", count=2)
    whole, _ = await make(rules, questions, name="whole", count=2)
    for file in FILES:
        assert (folder.path / file).read_bytes() == (whole.path / file).read_bytes(), file


async def test_the_majority_decides(
    make: Any, rules: RuleTeacher, questions: list[SourceMaterial]
) -> None:
    def minority(_given: Any, right: Any, index: int) -> Any:
        return flipped(right) if index == 1 else right

    def most(_given: Any, right: Any, index: int) -> Any:
        return flipped(right) if index != 1 else right

    kept = Meddler(rules, {f"judge_{name}": minority for name in JUDGES})
    _, reports = await make(kept, questions, name="minority", count=4)
    assert reports["validated"].accepted == 4
    lost = Meddler(rules, {"judge_completeness": most})
    _, reports = await make(lost, questions, name="most", count=4)
    assert reports["validated"].accepted == 0
    assert reports["validated"].rejected["quality"] >= 4


async def test_a_point_is_asked_once_for_all_steps_and_every_step_has_its_verdicts(
    make: Any, rules: RuleTeacher, questions: list[SourceMaterial]
) -> None:
    asked = Meddler(rules)
    folder, _ = await make(asked, questions, count=3)
    judged = list(folder.rows("judged", JudgedItem))
    assert any(len(row.instance.steps) > 2 for row in judged)
    for point in ("necessity", "atomicity", "rationality", "completeness"):
        assert asked.count(f"judge_{point}") == 3 * len(judged)
    for row in judged:
        steps = row.instance.steps
        wanted = {f"judge_{p}:{s.id}" for p in ("necessity", *JUDGES[2:4]) for s in steps}
        wanted |= {f"judge_dependency:{s.id}" for s in steps if s.depends_on}
        assert row.votes.keys() == wanted | {"judge_completeness"}
        assert {len(given) for given in row.votes.values()} == {3}


async def test_a_verdict_is_on_the_step_that_it_names(
    make: Any, rules: RuleTeacher, questions: list[SourceMaterial]
) -> None:
    def second_fails(_given: Any, right: StepVerdicts, _index: int) -> StepVerdicts:
        """In another order than asked for, and only s2 does not hold."""
        verdicts = [v.model_copy(update={"holds": v.step != "s2"}) for v in right.verdicts]
        return StepVerdicts(verdicts=tuple(reversed(verdicts)))

    teacher = Meddler(rules, {"judge_rationality": second_fails})
    folder, _ = await make(teacher, questions[:8], count=8)
    rows = [row for row in folder.rows("judged", JudgedItem) if len(row.instance.steps) > 1]
    assert rows
    for row in rows:
        steps = [step.id for step in row.instance.steps]
        assert row.votes["judge_rationality:s2"] == (False,) * 3
        assert row.votes["judge_rationality:s1"] == (True,) * 3
        assert row.scores.rationality == pytest.approx((len(steps) - 1) / len(steps))


def _one_less(answer: StepVerdicts) -> StepVerdicts:
    return StepVerdicts(verdicts=answer.verdicts[1:])


def _one_twice(answer: StepVerdicts) -> StepVerdicts:
    return StepVerdicts(verdicts=(*answer.verdicts, answer.verdicts[0]))


def _another_step(answer: StepVerdicts) -> StepVerdicts:
    first = answer.verdicts[0].model_copy(update={"step": "s99"})
    return StepVerdicts(verdicts=(first, *answer.verdicts[1:]))


@pytest.mark.parametrize("changed", [_one_less, _one_twice, _another_step])
@pytest.mark.parametrize("point", JUDGES[:4])
async def test_a_step_without_exactly_one_verdict_leaves_no_scores(
    rules: RuleTeacher, questions: list[SourceMaterial], point: str, changed: Any
) -> None:
    def at_last(_given: Any, right: StepVerdicts, index: int) -> StepVerdicts:
        return changed(right) if index == 2 else right

    several = next(m for m in questions if " and " in m.text or " of " in m.text)
    decomposed = decompositions_stage(rules, DecomposeOptions())
    instance = await decomposed.work(item_of(several))
    assert any(step.depends_on for step in instance.steps)
    candidate = DecompositionCandidate(instance, "")
    assert await judged_stage(rules, 3).work(candidate)
    with pytest.raises(TeacherError, match="verdict"):
        await judged_stage(Meddler(rules, {f"judge_{point}": at_last}), 3).work(candidate)


async def test_percentile_keeps_the_best_of_a_wave(
    make: Any, rules: RuleTeacher, questions: list[SourceMaterial]
) -> None:
    best = questions[0].text

    def worse(given: Any, right: StepVerdicts, _index: int) -> StepVerdicts:
        # All of them hold: the rule teacher's plans are right.
        return right if given.question == best else flipped(right)  # type: ignore[return-value]

    teacher = Meddler(rules, {"judge_atomicity": worse})
    folder, reports = await make(
        teacher, questions[:8], count=8, threshold=QualityThreshold(percentile=90)
    )
    assert [row.instance.question for row in folder.rows("validated", JudgedItem)] == [best]
    assert reports["validated"].rejected == {"quality": 7}


async def test_impossible_hops_are_refused(make: Any, rules: RuleTeacher) -> None:
    material = [SourceMaterial("domain", "geography", "en", "", "d")]
    for hops, scenarios in [((3, 2), None), ((1, 1), {Scenario.multi_hop: 1.0})]:
        chosen = {} if scenarios is None else {"scenarios": scenarios}
        with pytest.raises(ConfigError, match="hops"):
            await make(rules, material, decompose=DecomposeOptions(*hops, **chosen))


# --- the gate ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1])
async def test_nothing_wrong_is_certified_though_the_teacher_is_wrong_in_a_third(
    tmp_path: Path, sandbox: Any, rules: RuleTeacher, questions: list[SourceMaterial], seed: int
) -> None:
    """Judges are right here: what they would let pass is for the benchmark to count."""
    shares = {
        ArenaDefect.unnecessary_dependency: 0.08,
        ArenaDefect.missing_step: 0.08,
        ArenaDefect.inner_step_without_tool: 0.07,
        ArenaDefect.leak: 0.07,
        ArenaDefect.wrong_call: 0.3,
        ArenaDefect.hard_coded_tool: 0.15,
        ArenaDefect.broken_code: 0.15,
    }
    wrong = RuleTeacher(rules.catalogue, FaultRates(rates=shares, seed=seed))
    folder = RunFolder.create(tmp_path / "run", {})
    pipeline = ArenaPipeline(StageRunner(folder), sandbox, TfidfEmbedder())
    line = ArenaSynthesis(pipeline, wrong)
    reports = await line.make(items(questions), SynthesisOptions(count=len(questions)))
    assert wrong.planted
    assert reports["arenas"].accepted > 5
    known = {arena.question: arena for arena in rules.catalogue.arenas}
    for arena in folder.rows("arenas", ArenaRow):
        right = known[arena.question]
        assert arena.answer == right.answer
        assert [goal.answer for goal in arena.goals] == [goal.answer for goal in right.goals]
        assert [len(g.depends_on) for g in arena.goals] == [len(g.depends_on) for g in right.goals]


async def test_a_tool_that_always_returns_its_answer_never_passes(
    make: Any, rules: RuleTeacher, questions: list[SourceMaterial]
) -> None:
    wrong = RuleTeacher(rules.catalogue, FaultRates(rates={ArenaDefect.hard_coded_tool: 1.0}))
    folder, reports = await make(wrong, questions[:4], count=4)
    assert reports["implemented"].accepted == 0
    assert set(reports["implemented"].rejected) <= {"mutants", "gold", "robust", "screen", "replay"}
    assert not list(folder.rows("arenas", ArenaRow))


async def test_the_teacher_hears_what_the_certificate_found(
    make: Any, rules: RuleTeacher, questions: list[SourceMaterial]
) -> None:
    def broken_first(_given: Any, right: Any, index: int) -> Any:
        source = "raise ValueError('not today')\n" + right.source
        return right if index else right.model_copy(update={"source": source})

    teacher = Meddler(rules, {"write_tool": broken_first})
    _, reports = await make(teacher, questions, count=2)
    assert reports["arenas"].accepted == 2
    findings = [
        (name, given.finding, getattr(given, "last_source", ""))
        for name, given, index in teacher.asked
        if index == 1 and name in ("write_call", "write_tool")
    ]
    assert findings
    for name, finding, source in findings:
        assert "check 'replay'" in finding and "not today" in finding and "call" in finding
        assert name == "write_call" or source.startswith("raise ValueError")


# --- merging ----------------------------------------------------------------------------------


async def merged_rows(
    make: Callable[..., Any], teacher: Any, material: list[SourceMaterial]
) -> Any:
    folder, reports = await make(teacher, material, count=len(material))
    return list(folder.rows("merged", MergedItem)), reports


async def test_homogeneous_steps_share_a_tool(
    make: Any, rules: RuleTeacher, questions: list[SourceMaterial]
) -> None:
    rows, reports = await merged_rows(make, rules, questions[:12])
    merged = [row for row in rows if any(group.merged for group in row.groups)]
    assert merged
    for row in merged:
        calls = [goal for goal in row.arena.goals if goal.call]
        assert len(row.arena.tools) < len(calls)
    assert reports["candidates"].accepted == len(rows)


async def test_no_tool_is_written_for_a_step_that_shares_one(
    make: Any, rules: RuleTeacher, questions: list[SourceMaterial]
) -> None:
    teacher = Meddler(rules)
    rows, _ = await merged_rows(make, teacher, questions[:12])
    groups = [(row, group.steps) for row in rows for group in row.groups if group.merged]
    assert groups
    for row, (first, *others) in groups:
        goals = {goal.id: goal for goal in row.arena.goals}

        def asked(name: str, step: str, row: MergedItem = row) -> list[Any]:
            return [
                given
                for prompt, given, _ in teacher.asked
                if prompt == name
                and (given.main_question, given.question)
                == (row.arena.question, goals[step].question)  # noqa: B023 - called at once
            ]

        for prompt in ("write_document", "write_call", "write_tool"):
            assert asked(prompt, first)
            assert not any(asked(prompt, step) for step in others), prompt
        # The document is written for all of them.
        told = asked("write_document", first)[0].also
        assert told == tuple(goals[step].question for step in others)
    every = [given for name, given, _ in teacher.asked if name == "write_tool"]
    assert len(every) == sum(len(row.arena.tools) for row in rows)


@pytest.mark.parametrize("what", ["source", "arguments", "rename"])
async def test_groups_that_fail_stay_separate_as_a_whole(
    make: Any, rules: RuleTeacher, questions: list[SourceMaterial], what: str
) -> None:
    def spoil(_given: Any, right: Any, _index: int) -> Any:
        if what == "arguments":
            return right.model_copy(update={"arguments": {"nothing": 1}})
        if what == "rename":
            document = right.document.model_copy(update={"name": "print"})
            return right.model_copy(update={"document": document})
        source = "import os\n" + right.implementation.source
        changed = right.implementation.model_copy(update={"source": source})
        return right.model_copy(update={"implementation": changed})

    rows, reports = await merged_rows(make, Meddler(rules, {"extend_tool": spoil}), questions[:8])
    groups = [group for row in rows for group in row.groups]
    assert groups and not any(group.merged for group in groups)
    assert all(group.reason for group in groups)
    for row in rows:
        calls = [goal for goal in row.arena.goals if goal.call]
        assert len(row.arena.tools) == len(calls)
    assert reports["candidates"].accepted == len(rows)


async def test_groups_of_steps_that_are_not_there_are_refused(
    make: Any, rules: RuleTeacher, questions: list[SourceMaterial]
) -> None:
    def odd(_given: Any, right: Any, _index: int) -> Any:
        return right.model_copy(update={"groups": (("s1", "s99"), ("s1",), ("s1", "s1"))})

    rows, _ = await merged_rows(make, Meddler(rules, {"group_steps": odd}), questions[:8])
    groups = [group for row in rows for group in row.groups]
    assert groups and not any(group.merged for group in groups)
