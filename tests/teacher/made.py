"""What the tests of the rule teacher and of its server share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from astra.teacher.prompts import arenas as prompts
from astra.teacher.prompts.arenas import (
    AddedStep,
    CallIn,
    DecomposeIn,
    Decomposition,
    DecompositionStep,
    DocumentIn,
    EarlierAnswer,
    ExtendIn,
    GroupIn,
    InstanceIn,
    ParaphraseIn,
    ProposeIn,
    ScaleIn,
    ServedCall,
    StepsIn,
    ToolIn,
    WordingIn,
)
from astra.testing.rule_teacher.arenas import Catalogue, CatalogueOptions, RuleTeacher
from astra.types import (
    Arena,
    Goal,
    GoldCall,
    Matcher,
    Scenario,
    Target,
    Tool,
    ToolSchema,
)

WORLD = Path(__file__).parents[2] / "examples" / "world"


OPTIONS = CatalogueOptions(size=40)


@cache
def catalogue() -> Catalogue:
    return Catalogue.of_tables([WORLD], OPTIONS)


def teacher() -> RuleTeacher:
    return RuleTeacher(catalogue())


def parallel() -> Arena:
    """An arena two of whose steps share a table tool."""
    for arena in catalogue().arenas:
        calls = [goal.call.tool for goal in arena.goals if goal.call]
        if len(set(calls)) < len(calls) and arena.language == "en":
            return arena
    raise AssertionError("no such arena")


async def decomposed(arena: Arena) -> Decomposition:
    given = DecomposeIn(
        domain=arena.domain,
        language=arena.language,
        least_hops=1,
        most_hops=9,
        question=arena.question,
    )
    return await teacher().ask(prompts.DECOMPOSE, given)


def step_in(arena: Arena, steps: Sequence[DecompositionStep], step: str) -> StepsIn:
    return StepsIn(
        domain=arena.domain,
        language=arena.language,
        question=arena.question,
        steps=tuple(steps),
        judge=(step,),
    )


MATCHERS = {
    "text": Matcher.exact,
    "number": Matcher.number,
    "date": Matcher.date,
    "list": Matcher.set,
}


async def built(arena: Arena) -> Arena:
    """The arena as the steps' own tools make it, without merging."""
    asked = teacher()
    plan = await decomposed(arena)
    goals: list[Goal] = []
    tools: list[Tool] = []
    for step in plan.steps:
        if not step.needs_tool:
            goals.append(
                Goal(
                    id=step.id,
                    question=step.question,
                    answer=step.answer,
                    call=None,
                    target=None,
                    depends_on=step.depends_on,
                )
            )
            continue
        common: dict[str, Any] = {"language": arena.language, "question": step.question}
        document = await asked.ask(
            prompts.DOCUMENT,
            DocumentIn(
                domain=arena.domain,
                main_question=arena.question,
                taken=tuple(tool.name for tool in tools),
                **common,
            ),
        )
        document = await asked.ask(prompts.SCALE, ScaleIn(document=document, **common))
        known = tuple(EarlierAnswer(question=s.question, answer=s.answer) for s in plan.steps)
        call = await asked.ask(
            prompts.CALL,
            CallIn(main_question=arena.question, document=document, known=known, **common),
        )
        code = await asked.ask(
            prompts.TOOL,
            ToolIn(
                main_question=arena.question,
                answer=step.answer,
                document=document,
                arguments=call.arguments,
                **common,
            ),
        )
        assert len(code.decoys) >= 5
        tools.append(
            Tool(
                document=ToolSchema(**document.model_dump()),
                source=code.source,
                language=arena.language,
            )
        )
        goals.append(
            Goal(
                id=step.id,
                question=step.question,
                answer=step.answer,
                call=GoldCall(tool=document.name, arguments=call.arguments),
                target=Target(
                    matcher=MATCHERS[step.kind],
                    value=step.answer,
                    field=code.field,
                    key={key: call.arguments[key] for key in code.key_fields},
                    relative=1e-6,
                ),
                depends_on=step.depends_on,
                decoys=code.decoys,
            )
        )
    draft = arena.model_copy(update={"goals": tuple(goals), "tools": tuple(tools)})
    return draft.with_content_id()


def chain_of() -> DecomposeIn:
    """A question in several steps, to be decomposed."""
    arena = next(a for a in catalogue().arenas if a.scenario is Scenario.multi_hop and a.hops > 2)
    return DecomposeIn(
        domain="", language=arena.language, least_hops=1, most_hops=9, question=arena.question
    )


async def every_input() -> list[tuple[Any, Any]]:
    """Every prompt with an input that the rule teacher can answer."""
    arena, asked = parallel(), teacher()
    plan = await decomposed(arena)
    shared = [g for g in arena.goals if g.call]
    names = [g.call.tool for g in shared if g.call]
    pair = [n for n, name in enumerate(names) if names.count(name) > 1][:2]
    first, second = (plan.steps[n] for n in pair)
    common: dict[str, Any] = {"language": "en", "question": first.question}
    main = arena.question
    document_in = DocumentIn(domain="", main_question=main, **common)
    document = await asked.ask(prompts.DOCUMENT, document_in)
    scale_in = ScaleIn(document=document, **common)
    call_in = CallIn(main_question=main, document=document, known=(), **common)
    arguments = dict(arena.goals[pair[0]].call.arguments)  # type: ignore[union-attr]
    tool_in = ToolIn(
        main_question=main,
        answer=first.answer,
        document=document,
        arguments=arguments,
        **common,
    )
    served = ServedCall(question=first.question, answer=first.answer, arguments=arguments)
    extend_in = ExtendIn(
        language="en",
        document=document,
        implementation=await asked.ask(prompts.TOOL, tool_in),
        serves=(served,),
        main_question=main,
        adds=AddedStep(question=second.question, answer=second.answer, known=()),
    )
    step = step_in(arena, plan.steps, second.id)
    return [
        (
            prompts.PROPOSE,
            ProposeIn(
                domain="nature",
                language="en",
                least_hops=1,
                most_hops=5,
                scenario=Scenario.multi_hop,
                number=3,
            ),
        ),
        (prompts.DECOMPOSE, chain_of()),
        (prompts.NECESSITY, step),
        (prompts.DEPENDENCY, step),
        (prompts.ATOMICITY, step),
        (prompts.RATIONALITY, step),
        (
            prompts.COMPLETENESS,
            InstanceIn(
                domain="", language="en", question=main, answer=arena.answer, steps=plan.steps
            ),
        ),
        (prompts.DOCUMENT, document_in),
        (prompts.SCALE, scale_in),
        (prompts.CALL, call_in),
        (prompts.TOOL, tool_in),
        (
            prompts.GROUP,
            GroupIn(language="en", question=main, steps=plan.steps),
        ),
        (prompts.EXTEND, extend_in),
        (prompts.PARAPHRASE, ParaphraseIn(language="en", question=main, keep=())),
        (
            prompts.WORDING,
            WordingIn(language="en", question=main, wording=f"Please: {main}", plan=(main,)),
        ),
    ]
