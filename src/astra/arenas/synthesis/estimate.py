"""The expected cost of arena synthesis, before anything is spent: `--dry-run`.

The first prompts are those that would be sent. Later ones are made of typical steps, because a
teacher's answers are not known in advance. An estimate is right to a factor of two or three.
"""

from __future__ import annotations

from collections.abc import Iterable

from astra.arenas.synthesis.decompose import DecomposeOptions
from astra.arenas.synthesis.records import SynthesisItem
from astra.teacher.cost import Estimator
from astra.teacher.prompts.arenas import (
    ATOMICITY,
    CALL,
    COMPLETENESS,
    DECOMPOSE,
    DEPENDENCY,
    DOCUMENT,
    GROUP,
    NECESSITY,
    PROPOSE,
    RATIONALITY,
    SCALE,
    TOOL,
    CallIn,
    DecomposeIn,
    DecompositionStep,
    DocumentIn,
    DocumentOut,
    EarlierAnswer,
    GroupIn,
    InstanceIn,
    ProposeIn,
    ScaleIn,
    StepsIn,
    ToolIn,
)
from astra.types import Scenario

VERDICT_TOKENS = 60
SOURCE_TOKENS = 900
_DOCUMENT = DocumentOut(
    name="find_one_thing",
    description="Finds one field of one record by its name, in the form that is asked for.",
    parameters={
        "type": "object",
        "properties": {
            name: {"type": "string", "description": f"The {name} that is asked for."}
            for name in ("record", "field", "unit", "form")
        },
        "required": ["record"],
    },
)


def add_synthesis(
    estimator: Estimator,
    items: Iterable[SynthesisItem],
    options: DecomposeOptions,
    judge_votes: int,
) -> None:
    """Add up what it takes to bring all items through all stages, with no failures."""
    hops = max(1, (options.min_hops + options.max_hops) // 2)
    for item in items:
        source = {
            "domain": item.domain,
            "corpus": item.corpus,
            "language": item.language,
            "least_hops": options.min_hops,
            "most_hops": options.max_hops,
        }
        if item.mode == "question":
            task = DecomposeIn.model_validate({**source, "question": item.question})
            estimator.add(DECOMPOSE, task)
        else:
            # The shape changes a line of the prompt, not its cost.
            scenario = max(options.allowed(), key=lambda name: name is Scenario.parallel_multi_hop)
            proposal = {**source, "scenario": scenario, "number": item.number}
            estimator.add(PROPOSE, ProposeIn.model_validate(proposal))
        text = (item.question or item.corpus[:200] or item.domain)[:120]
        steps = tuple(
            DecompositionStep(
                id=f"s{number}",
                question=text,
                answer="an answer",
                kind="text",
                depends_on=(f"s{number - 1}",) if number > 1 else (),
            )
            for number in range(1, hops + 1)
        )
        _add_judges(estimator, item, steps, judge_votes)
        if hops > 1:
            estimator.add(GROUP, GroupIn(language=item.language, question=text, steps=steps))
        # Which steps will share a tool is not known: each is taken to need one of its own.
        for step in steps:
            _add_tool(estimator, item, step)


def _add_judges(
    estimator: Estimator, item: SynthesisItem, steps: tuple[DecompositionStep, ...], votes: int
) -> None:
    question = item.question or steps[0].question
    for prompt in (NECESSITY, DEPENDENCY, ATOMICITY, RATIONALITY):
        # A first step has no dependencies to judge.
        judged = steps[1:] if prompt is DEPENDENCY else steps
        if judged:
            task = StepsIn(
                domain=item.domain,
                language=item.language,
                question=question,
                steps=steps,
                judge=tuple(step.id for step in judged),
            )
            estimator.add(prompt, task, times=votes, reply_tokens=VERDICT_TOKENS * len(judged))
    whole = InstanceIn(
        domain=item.domain,
        language=item.language,
        question=question,
        answer=steps[-1].answer,
        steps=steps,
    )
    estimator.add(COMPLETENESS, whole, times=votes, reply_tokens=VERDICT_TOKENS)


def _add_tool(estimator: Estimator, item: SynthesisItem, step: DecompositionStep) -> None:
    language, question, main_question = item.language, step.question, item.question or step.question
    document_task = DocumentIn(
        domain=item.domain, language=language, question=question, main_question=main_question
    )
    estimator.add(DOCUMENT, document_task)
    estimator.add(SCALE, ScaleIn(language=language, question=question, document=_DOCUMENT))
    call_task = CallIn(
        language=language,
        main_question=main_question,
        question=question,
        document=_DOCUMENT,
        known=(EarlierAnswer(question=question, answer=step.answer),),
    )
    estimator.add(CALL, call_task, reply_tokens=VERDICT_TOKENS)
    tool_task = ToolIn(
        language=language,
        main_question=main_question,
        question=question,
        answer=step.answer,
        document=_DOCUMENT,
        arguments={"record": "a name", "field": "a field"},
    )
    estimator.add(TOOL, tool_task, reply_tokens=SOURCE_TOKENS)
