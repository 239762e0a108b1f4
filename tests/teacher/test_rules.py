"""The rule teacher answers every prompt, the same each time; its tools certify."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from astra.arenas.certificate import certify
from astra.arenas.scenarios import scenario_of
from astra.errors import ConfigError, TeacherError
from astra.sandbox import open_sandbox
from astra.teacher.prompts import arenas as prompts
from astra.teacher.prompts.arenas import (
    AddedStep,
    DecomposeIn,
    Decomposition,
    DecompositionStep,
    DocumentIn,
    DocumentOut,
    ExtendIn,
    GroupIn,
    InstanceIn,
    ParaphraseIn,
    ProposeIn,
    ScaleIn,
    ServedCall,
    ToolIn,
)
from astra.testing.rule_teacher.arenas import Catalogue, CatalogueOptions, RuleTeacher
from astra.types import (
    Arena,
    Goal,
    Scenario,
)

from .made import (
    WORLD,
    built,
    catalogue,
    decomposed,
    every_input,
    parallel,
    step_in,
    teacher,
)


async def test_arenas_of_its_single_tools_certify() -> None:
    async with open_sandbox() as sandbox:
        for arena in [*catalogue().arenas[:2], parallel(), *catalogue().arenas[-2:]]:
            certificate = await certify(await built(arena), sandbox, seed=0)
            assert certificate.certified, certificate.checks[-1]


def test_a_smaller_catalogue_is_the_beginning_of_a_larger_one() -> None:
    small = Catalogue.of_tables([WORLD], CatalogueOptions(size=5, languages=("zh",))).arenas
    large = [arena for arena in catalogue().arenas if arena.language == "zh"]
    assert list(small) == large[: len(small)]
    assert small


def test_tables_without_questions_are_refused(tmp_path: Path) -> None:
    rows = "".join(f"Place {number},{number * 7}\n" for number in range(12))
    (tmp_path / "places.csv").write_text(f"name,height\n{rows}")
    with pytest.raises(ConfigError, match="give no question"):
        RuleTeacher.of_tables([tmp_path], size=0)


def asks(plan: Decomposition, arena: Arena) -> list[tuple[DecompositionStep, Goal]]:
    return [(s, g) for s, g in zip(plan.steps, arena.goals, strict=True) if g.call]


async def test_proposals_fit_what_is_asked_and_differ_by_number() -> None:
    given = ProposeIn(
        domain="geography",
        language="zh",
        least_hops=2,
        most_hops=4,
        scenario=Scenario.parallel_multi_hop,
        number=0,
    )
    questions: set[str] = set()
    for number in range(4):
        one = given.model_copy(update={"number": number})
        plan = await teacher().ask(prompts.PROPOSE, one)
        assert plan == await teacher().ask(prompts.PROPOSE, one)
        assert plan.answerable
        assert 2 <= len(plan.steps) <= 4
        arena = catalogue().find(plan.question)
        assert arena is not None
        assert (arena.language, scenario_of(arena.goals)) == ("zh", Scenario.parallel_multi_hop)
        questions.add(plan.question)
    assert len(questions) > 1
    nothing = given.model_copy(update={"least_hops": 8, "most_hops": 9})
    refused = await teacher().ask(prompts.PROPOSE, nothing)
    assert not refused.answerable
    assert refused.reason
    assert not refused.steps


async def test_an_unknown_question_is_not_answerable() -> None:
    given = DecomposeIn(
        domain="ticketing", language="en", least_hops=1, most_hops=9, question="Buy me a ticket."
    )
    plan = await teacher().ask(prompts.DECOMPOSE, given)
    assert (plan.answerable, plan.steps) == (False, ())
    assert "knows only" in plan.reason


async def test_what_is_not_from_its_tables_is_an_error() -> None:
    arena = catalogue().arenas[0]
    with pytest.raises(TeacherError, match="does not know"):
        given = InstanceIn(domain="", language="en", question="Why?", answer="", steps=())
        await teacher().ask(prompts.COMPLETENESS, given)
    with pytest.raises(TeacherError, match="does not know the step"):
        given = DocumentIn(domain="", language="en", question="Who?", main_question=arena.question)
        await teacher().ask(prompts.DOCUMENT, given)
    with pytest.raises(TeacherError, match="name one of them"):
        plan = await decomposed(arena)
        await teacher().ask(prompts.ATOMICITY, step_in(arena, plan.steps, "s99"))


JUDGES = (prompts.DEPENDENCY, prompts.ATOMICITY, prompts.RATIONALITY)


async def test_right_plans_are_judged_right() -> None:
    for arena in catalogue().arenas[::4]:
        plan = await decomposed(arena)
        for step in plan.steps:
            for judge in JUDGES:
                judged = await teacher().ask(judge, step_in(arena, plan.steps, step.id))
                assert judged.verdicts[0].holds
            needed = await teacher().ask(prompts.NECESSITY, step_in(arena, plan.steps, step.id))
            assert needed.verdicts[0].holds is step.needs_tool
        given = InstanceIn(
            domain=arena.domain,
            language=arena.language,
            question=arena.question,
            answer=arena.answer,
            steps=plan.steps,
        )
        assert (await teacher().ask(prompts.COMPLETENESS, given)).holds


async def test_judgements_follow_the_steps_that_are_given() -> None:
    arena = next(a for a in catalogue().arenas if a.scenario is Scenario.multi_hop and a.hops > 2)
    first, second, third, *rest = (await decomposed(arena)).steps

    async def holds(judge: Any, *steps: DecompositionStep, of: str) -> bool:
        return (await teacher().ask(judge, step_in(arena, steps, of))).verdicts[0].holds

    needless = third.model_copy(update={"depends_on": (first.id, second.id)})
    assert not await holds(prompts.DEPENDENCY, first, second, needless, *rest, of="s3")
    loose = third.model_copy(update={"depends_on": ()})
    assert await holds(prompts.DEPENDENCY, first, second, loose, of="s3")
    assert not await holds(prompts.RATIONALITY, first, second, loose, of="s3")
    late = first.model_copy(update={"id": "s9"})
    user = second.model_copy(update={"depends_on": ("s9",)})
    assert not await holds(prompts.RATIONALITY, user, late, of="s2")
    again = first.model_copy(update={"id": "s9"})
    assert not await holds(prompts.RATIONALITY, first, again, of="s9")
    padding = first.model_copy(update={"id": "s9", "question": "What day is it?"})
    assert not await holds(prompts.RATIONALITY, first, padding, of="s9")
    both = second.model_copy(
        update={"question": f"{first.question} {second.question}", "depends_on": ()}
    )
    assert not await holds(prompts.ATOMICITY, both, third, of="s2")
    assert await holds(prompts.ATOMICITY, first, second, of="s2")
    given = InstanceIn(
        domain="", language="en", question=arena.question, answer="", steps=(first, second)
    )
    assert not (await teacher().ask(prompts.COMPLETENESS, given)).holds


async def test_scaling_adds_parameters_and_code_takes_both() -> None:
    arena = parallel()
    for step, goal in asks(await decomposed(arena), arena):
        given = DocumentIn(
            domain="", language="en", question=step.question, main_question=arena.question
        )
        plain = await teacher().ask(prompts.DOCUMENT, given)
        assert set(plain.parameters["properties"]) == set(plain.parameters["required"])
        richer = await teacher().ask(
            prompts.SCALE, ScaleIn(language="en", question=step.question, document=plain)
        )
        assert set(plain.parameters["properties"]) < set(richer.parameters["properties"])
        for document in (plain, richer):
            given_tool = ToolIn(
                language="en",
                main_question=arena.question,
                question=step.question,
                answer=step.answer,
                document=document,
                arguments={},
            )
            code = await teacher().ask(prompts.TOOL, given_tool)
            space: dict[str, Any] = {}
            exec(compile(code.source, "tool", "exec"), space)
            assert goal.call
            result = space[document.name](**goal.call.arguments)
            assert result[code.field] in (goal.answer, [goal.answer])


async def test_taken_names_are_not_used_again() -> None:
    arena = parallel()
    taken: tuple[str, ...] = ()
    for step, _ in asks(await decomposed(arena), arena):
        for _ in range(2):
            given = DocumentIn(
                domain="",
                language="en",
                question=step.question,
                main_question=arena.question,
                taken=taken,
            )
            taken = (*taken, (await teacher().ask(prompts.DOCUMENT, given)).name)
    assert len(set(taken)) == len(taken)


async def test_foreign_documents_are_refused() -> None:
    arena = parallel()
    document = DocumentOut(name="f", description="", parameters={"properties": {"x": {}}})
    given = ToolIn(
        language="en",
        main_question=arena.question,
        question=arena.goals[0].question,
        answer="",
        document=document,
        arguments={},
    )
    with pytest.raises(TeacherError, match="no code for this document"):
        await teacher().ask(prompts.TOOL, given)


async def test_steps_of_one_tool_are_grouped_and_merged() -> None:
    arena = parallel()
    single = await built(arena)
    plan = await decomposed(arena)
    tools = {goal.id: single.tool(goal.call.tool) for goal in single.goals if goal.call}
    documents = {name: DocumentOut(**tool.document.model_dump()) for name, tool in tools.items()}
    given = GroupIn(language="en", question=arena.question, steps=plan.steps)
    groups = (await teacher().ask(prompts.GROUP, given)).groups
    shared = {g.call.tool for g in arena.goals if g.call}
    assert len(groups) == sum(
        sum(1 for g in arena.goals if g.call and g.call.tool == name) > 1 for name in shared
    )
    goals = {goal.id: goal for goal in single.goals}
    base, other = groups[0][:2]

    def served(name: str) -> ServedCall:
        goal = goals[name]
        assert goal.call
        return ServedCall(question=goal.question, answer=goal.answer, arguments=goal.call.arguments)

    first = await teacher().ask(
        prompts.TOOL,
        ToolIn(
            language="en",
            main_question=arena.question,
            question=goals[base].question,
            answer=goals[base].answer,
            document=documents[base],
            arguments=served(base).arguments,
        ),
    )
    extended = await teacher().ask(
        prompts.EXTEND,
        ExtendIn(
            language="en",
            document=documents[base],
            implementation=first,
            serves=(served(base),),
            main_question=arena.question,
            adds=AddedStep(question=goals[other].question, answer=goals[other].answer, known=()),
        ),
    )
    space: dict[str, Any] = {}
    exec(compile(extended.implementation.source, "tool", "exec"), space)
    tool = space[extended.document.name]
    assert tool(**served(base).arguments)[first.field] == goals[base].answer
    assert tool(**extended.arguments)[first.field] == goals[other].answer
    before: dict[str, Any] = {}
    exec(compile(first.source, "tool", "exec"), before)
    assert "error" in before[documents[base].name](**extended.arguments)


@pytest.mark.parametrize(
    "text", ["What is the capital of France?", "What is it?"], ids=["known", "short"]
)
async def test_paraphrases_keep_every_word(text: str) -> None:
    given = ParaphraseIn(language="en", question=text, keep=("France",))
    found = [(await teacher().ask(prompts.PARAPHRASE, given, index=n)).question for n in (0, 1)]
    assert all(text in question and question != text for question in found)
    assert found[0] != found[1]


async def test_a_paraphrased_question_is_known() -> None:
    for arena in catalogue().arenas[::9]:
        given = ParaphraseIn(language=arena.language, question=arena.question, keep=())
        other = await teacher().ask(prompts.PARAPHRASE, given)
        assert catalogue().find(other.question) == arena


async def test_words_to_avoid_are_avoided() -> None:
    given = ParaphraseIn(language="en", question="Q?", keep=(), avoid=("colleague", "notes"))
    for index in range(4):
        assert (
            "colleague"
            not in (await teacher().ask(prompts.PARAPHRASE, given, index=index)).question
        )
    nothing = given.model_copy(update={"avoid": ("e",)})
    with pytest.raises(TeacherError, match="no wording"):
        await teacher().ask(prompts.PARAPHRASE, nothing)


async def test_every_prompt_is_answered_the_same_each_time() -> None:
    inputs = await every_input()
    assert {prompt.name for prompt, _ in inputs} == {prompt.name for prompt in prompts.ALL}
    for prompt, given in inputs:
        answer = await teacher().ask(prompt, given)
        assert type(answer) is prompt.output_type
        assert prompt.output_type.model_validate_json(answer.model_dump_json()) == answer
        assert answer == await RuleTeacher(Catalogue(catalogue().arenas)).ask(prompt, given)
