"""What the line would cost, before it is spent: `--dry-run`.

The first prompts are those that would be sent; what comes after them is made up of typical steps,
for nobody knows a teacher's answers before. An estimate is right to a factor of two or three.
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
    StepIn,
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


def add_line(
    estimator: Estimator, items: Iterable[SynthesisItem], options: DecomposeOptions, judges: int
) -> None:
    """Add up what it takes to bring all items through the line, nothing falling out."""
    hops = max(1, sum(options.hops) // 2)
    for item in items:
        _add_decomposition(estimator, item, options)
        steps = _steps(item.question or item.corpus[:200] or item.domain, hops)
        _add_judges(estimator, item, steps, judges)
        for step in steps:
            _add_tool(estimator, item, step)
        if hops > 1:
            documents = {step.id: _DOCUMENT for step in steps}
            estimator.add(GROUP, GroupIn(language=item.language, steps=steps, documents=documents))


def _add_decomposition(
    estimator: Estimator, item: SynthesisItem, options: DecomposeOptions
) -> None:
    source = {
        "domain": item.domain,
        "corpus": item.corpus,
        "language": item.language,
        "least_hops": options.hops[0],
        "most_hops": options.hops[1],
    }
    if item.mode == "question":
        given = DecomposeIn.model_validate({**source, "question": item.question})
        estimator.add(DECOMPOSE, given)
        return
    scenario = max(options.allowed(), key=lambda name: name is Scenario.parallel_multi_hop)
    estimator.add(
        PROPOSE,
        ProposeIn.model_validate({**source, "scenario": scenario, "number": item.number}),
    )


def _steps(text: str, hops: int) -> tuple[DecompositionStep, ...]:
    question = text[:120]
    return tuple(
        DecompositionStep(
            id=f"s{number}",
            question=question,
            answer="an answer",
            kind="text",
            depends_on=(f"s{number - 1}",) if number > 1 else (),
        )
        for number in range(1, hops + 1)
    )


def _add_judges(
    estimator: Estimator, item: SynthesisItem, steps: tuple[DecompositionStep, ...], judges: int
) -> None:
    question = item.question or steps[0].question
    for step in steps:
        given = StepIn(
            domain=item.domain,
            language=item.language,
            question=question,
            steps=steps,
            step=step.id,
        )
        for prompt in (NECESSITY, DEPENDENCY, ATOMICITY, RATIONALITY):
            estimator.add(prompt, given, times=judges, reply_tokens=VERDICT_TOKENS)
    whole = InstanceIn(
        domain=item.domain,
        language=item.language,
        question=question,
        answer=steps[-1].answer,
        steps=steps,
    )
    estimator.add(COMPLETENESS, whole, times=judges, reply_tokens=VERDICT_TOKENS)


def _add_tool(estimator: Estimator, item: SynthesisItem, step: DecompositionStep) -> None:
    question = item.question or step.question
    estimator.add(
        DOCUMENT,
        DocumentIn(
            domain=item.domain,
            language=item.language,
            question=step.question,
            main_question=question,
        ),
    )
    estimator.add(
        SCALE, ScaleIn(language=item.language, question=step.question, document=_DOCUMENT)
    )
    known = (EarlierAnswer(question=step.question, answer=step.answer),)
    estimator.add(
        CALL,
        CallIn(
            language=item.language,
            main_question=question,
            question=step.question,
            document=_DOCUMENT,
            known=known,
        ),
        reply_tokens=VERDICT_TOKENS,
    )
    estimator.add(
        TOOL,
        ToolIn(
            language=item.language,
            main_question=question,
            question=step.question,
            answer=step.answer,
            document=_DOCUMENT,
            arguments={"record": "a name", "field": "a field"},
        ),
        reply_tokens=SOURCE_TOKENS,
    )
