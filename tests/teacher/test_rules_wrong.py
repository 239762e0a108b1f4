"""Wrong on demand: each defect is what it says, at its rate, the same each time, on record."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from astra.core.text import contains_text
from astra.errors import ConfigError
from astra.teacher.prompts import arenas as prompts
from astra.teacher.prompts.arenas import (
    CallIn,
    DecomposeIn,
    Decomposition,
    DocumentIn,
    DocumentOut,
    Implementation,
    InstanceIn,
    ParaphraseIn,
    ScaleIn,
    StepsIn,
    ToolIn,
)
from astra.testing.rule_teacher.arenas import ArenaDefect, RuleTeacher
from astra.testing.rule_teacher.arenas.defects import DEFECTS
from astra.testing.rule_teacher.chance import input_key
from astra.testing.rule_teacher.faults import FaultRates
from astra.types import Arena, Scenario

from .made import catalogue, decomposed


def wrong(defect: ArenaDefect, rate: float = 1.0, seed: int = 0) -> RuleTeacher:
    return RuleTeacher(catalogue(), FaultRates({defect: rate}, seed=seed))


def chain() -> Arena:
    return next(a for a in catalogue().arenas if a.scenario is Scenario.multi_hop and a.hops > 2)


def given_for(arena: Arena) -> DecomposeIn:
    return DecomposeIn(
        domain="", language=arena.language, least_hops=1, most_hops=9, question=arena.question
    )


async def both(defect: ArenaDefect) -> tuple[Decomposition, Decomposition]:
    teacher = wrong(defect)
    plan = await teacher.ask(prompts.DECOMPOSE, given_for(chain()))
    (planted,) = teacher.planted.values()
    assert (planted.defect, planted.prompt) == (defect, "decompose")
    assert planted.question == plan.question
    assert planted.detail
    return await decomposed(chain()), plan


async def test_an_unnecessary_dependency_and_no_other() -> None:
    right, bad = await both(ArenaDefect.unnecessary_dependency)
    more = [
        set(b.depends_on) - set(a.depends_on) for a, b in zip(right.steps, bad.steps, strict=True)
    ]
    assert sum(map(len, more)) == 1
    (step,) = (s.id for s, extra in zip(bad.steps, more, strict=True) if extra)
    judged = StepsIn(
        domain="", language="en", question=bad.question, steps=bad.steps, judge=(step,)
    )
    assert not (await wrong(ArenaDefect.leak, 0).ask(prompts.DEPENDENCY, judged)).verdicts[0].holds


async def test_a_step_that_asks_two_things() -> None:
    right, bad = await both(ArenaDefect.non_atomic_step)
    assert len(bad.steps) == len(right.steps) - 1
    names = {step.id for step in bad.steps}
    assert all(set(step.depends_on) <= names for step in bad.steps)
    (step,) = (s for s in bad.steps if s.question not in {a.question for a in right.steps})
    judged = StepsIn(
        domain="", language="en", question=bad.question, steps=bad.steps, judge=(step.id,)
    )
    assert not (await wrong(ArenaDefect.leak, 0).ask(prompts.ATOMICITY, judged)).verdicts[0].holds


async def test_a_step_that_asks_two_things_gets_the_tool_of_the_second() -> None:
    right, bad = await both(ArenaDefect.non_atomic_step)
    (step,) = (s for s in bad.steps if s.question not in {a.question for a in right.steps})
    (same,) = (s for s in right.steps if s.id == step.id)
    asked = wrong(ArenaDefect.leak, 0)
    scaled: list[DocumentOut] = []
    for question in (same.question, step.question):
        common: dict[str, Any] = {"language": chain().language, "question": question}
        given = DocumentIn(domain="", main_question=bad.question, **common)
        document = await asked.ask(prompts.DOCUMENT, given)
        scaled.append(await asked.ask(prompts.SCALE, ScaleIn(document=document, **common)))
    assert scaled[0] == scaled[1]


async def test_a_missing_step() -> None:
    right, bad = await both(ArenaDefect.missing_step)
    assert len(bad.steps) == len(right.steps) - 1
    names = {step.id for step in bad.steps}
    assert all(set(step.depends_on) <= names for step in bad.steps)
    judged = InstanceIn(
        domain="", language="en", question=bad.question, answer=bad.answer, steps=bad.steps
    )
    assert not (await wrong(ArenaDefect.leak, 0).ask(prompts.COMPLETENESS, judged)).holds


async def test_an_inner_step_without_tool() -> None:
    _, bad = await both(ArenaDefect.inner_step_without_tool)
    (step,) = (step for step in bad.steps if not step.needs_tool)
    assert any(step.id in other.depends_on for other in bad.steps)


async def test_a_wrong_answer_is_of_the_same_kind() -> None:
    for seed in range(8):
        teacher = wrong(ArenaDefect.wrong_answer, seed=seed)
        for arena in catalogue().arenas[::6]:
            right = await decomposed(arena)
            bad = await teacher.ask(prompts.DECOMPOSE, given_for(arena))
            ((a, b),) = [(a, b) for a, b in zip(right.steps, bad.steps, strict=True) if a != b]
            assert a.answer != b.answer
            assert (type(a.answer), a.kind) == (type(b.answer), b.kind)
            assert b.answer == bad.answer or a.answer != right.answer


async def test_leaks_in_the_question_and_in_the_document() -> None:
    right, bad = await both(ArenaDefect.leak)
    assert any(contains_text(bad.question, str(step.answer)) for step in right.steps)
    assert catalogue().find(bad.question) == chain()
    step = right.steps[0]
    given = DocumentIn(
        domain="", language="en", question=step.question, main_question=right.question
    )
    document = await wrong(ArenaDefect.leak).ask(prompts.DOCUMENT, given)
    assert contains_text(document.description, str(step.answer))


async def test_a_flipped_verdict() -> None:
    plan = await decomposed(chain())
    given = StepsIn(
        domain="", language="en", question=plan.question, steps=plan.steps, judge=("s1",)
    )
    for judge in (prompts.NECESSITY, prompts.DEPENDENCY, prompts.ATOMICITY, prompts.RATIONALITY):
        assert not (await wrong(ArenaDefect.verdict_flipped).ask(judge, given)).verdicts[0].holds


async def tool_given(arena: Arena) -> ToolIn:
    asked = wrong(ArenaDefect.leak, 0)
    step = (await decomposed(arena)).steps[0]
    common: dict[str, Any] = {"language": arena.language, "question": step.question}
    given = DocumentIn(domain="", main_question=arena.question, **common)
    plain = await asked.ask(prompts.DOCUMENT, given)
    document = await asked.ask(prompts.SCALE, ScaleIn(document=plain, **common))
    call = await asked.ask(
        prompts.CALL, CallIn(main_question=arena.question, document=document, known=(), **common)
    )
    return ToolIn(
        main_question=arena.question,
        answer=step.answer,
        document=document,
        arguments=call.arguments,
        **common,
    )


async def test_a_wrong_call_is_a_decoy() -> None:
    given = await tool_given(chain())
    asked = CallIn(
        language="en",
        main_question=given.main_question,
        question=given.question,
        document=given.document,
        known=(),
    )
    bad = await wrong(ArenaDefect.wrong_call).ask(prompts.CALL, asked)
    assert bad.arguments in chain().goals[0].decoys
    assert bad.arguments != given.arguments


def run(code: Implementation, given: ToolIn, arguments: dict[str, Any]) -> Any:
    space: dict[str, Any] = {}
    exec(compile(code.source, "tool", "exec"), space)
    return space[given.document.name](**arguments)


@pytest.mark.parametrize("seed", range(4))
async def test_a_hard_coded_tool_answers_whatever_is_asked(seed: int) -> None:
    given = await tool_given(chain())
    code = await wrong(ArenaDefect.hard_coded_tool, seed=seed).ask(prompts.TOOL, given)
    for arguments in (given.arguments, *code.decoys):
        assert run(code, given, arguments)[code.field] == given.answer


@pytest.mark.parametrize("seed", range(6))
async def test_broken_code_never_answers(seed: int) -> None:
    given = await tool_given(chain())
    code = await wrong(ArenaDefect.broken_code, seed=seed).ask(prompts.TOOL, given)
    with pytest.raises((SyntaxError, RuntimeError, NameError)):
        run(code, given, given.arguments)


async def test_rates_are_kept_and_chance_is_seeded() -> None:
    plan = await decomposed(chain())
    given = StepsIn(
        domain="", language="en", question=plan.question, steps=plan.steps, judge=("s1",)
    )

    async def holds(teacher: RuleTeacher) -> list[bool]:
        return [
            (await teacher.ask(prompts.ATOMICITY, given, index=index)).verdicts[0].holds
            for index in range(1000)
        ]

    teacher = wrong(ArenaDefect.verdict_flipped, 0.3)
    found = await holds(teacher)
    assert 0.25 < found.count(False) / 1000 < 0.35
    assert len(teacher.planted) == found.count(False)
    keys = [input_key(prompts.ATOMICITY, given, index) for index in range(1000)]
    assert [key not in teacher.planted for key in keys] == found
    assert found == await holds(wrong(ArenaDefect.verdict_flipped, 0.3))
    assert found != await holds(wrong(ArenaDefect.verdict_flipped, 0.3, seed=1))


async def test_an_overall_rate_is_spread_over_the_defects() -> None:
    teacher = RuleTeacher(catalogue(), FaultRates(overall=0.5))
    given, number = given_for(chain()), 600
    for index in range(number):
        await teacher.ask(prompts.DECOMPOSE, given, index=index)
    defects = Counter(planted.defect for planted in teacher.planted.values())
    assert 0.43 < len(teacher.planted) / number < 0.57
    assert set(defects) == set(DEFECTS["decompose"])
    assert min(defects.values()) > number * 0.5 / 6 / 2


async def test_what_has_no_place_for_a_defect_stays_right() -> None:
    single = next(a for a in catalogue().arenas if a.hops == 1)
    for defect in (
        ArenaDefect.unnecessary_dependency,
        ArenaDefect.missing_step,
        ArenaDefect.non_atomic_step,
    ):
        teacher = wrong(defect)
        assert await teacher.ask(prompts.DECOMPOSE, given_for(single)) == await decomposed(single)
        assert not teacher.planted
    teacher = RuleTeacher(catalogue(), FaultRates(overall=1.0))
    paraphrase = ParaphraseIn(language="en", question="Q?", keep=())
    await teacher.ask(prompts.PARAPHRASE, paraphrase)
    unknown = given_for(single).model_copy(update={"question": "Why?"})
    assert not (await teacher.ask(prompts.DECOMPOSE, unknown)).answerable
    assert not teacher.planted


@pytest.mark.parametrize(
    "made",
    [
        lambda: FaultRates({ArenaDefect.leak: 1.5}),
        lambda: FaultRates(overall=-0.1),
        lambda: FaultRates({ArenaDefect.leak: 0.1}, overall=0.1),
        lambda: FaultRates({ArenaDefect.hard_coded_tool: 0.6, ArenaDefect.broken_code: 0.6}).check(
            DEFECTS
        ),
    ],
)
def test_impossible_rates_are_refused(made: Any) -> None:
    with pytest.raises(ConfigError):
        made()
