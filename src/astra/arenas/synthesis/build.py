"""From steps with their tools to an arena, whole or of some steps only.

A trial arena holds one step, or one group, beside what must be known for it; the real certificate
examines it, so that a teacher hears of a defect as the certificate words it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from astra.arenas.certificate import certify
from astra.arenas.rounding import FINAL_ROUNDING, TOOL_ROUNDING
from astra.arenas.scenarios import scenario_of
from astra.arenas.synthesis.documents import MAX_ARGUMENTS, tool_of
from astra.arenas.synthesis.records import DecomposedItem, StepTool
from astra.core.text import normalise
from astra.core.untrusted import json_problem, odd_character
from astra.protocols import Sandbox
from astra.teacher.prompts.arenas import AnswerKind, DecompositionStep, Implementation
from astra.types import (
    Arena,
    CheckResult,
    Goal,
    GoldCall,
    Json,
    Matcher,
    Scalar,
    Target,
    Tool,
    canonical_json,
    content_hash,
)

MOST_DECOYS = 32
FIELD_CHARACTERS = 64

Answer = Scalar | tuple[Scalar, ...]

_MATCHERS: dict[AnswerKind, Matcher] = {
    "text": Matcher.exact,
    "number": Matcher.number,
    "date": Matcher.date,
    "list": Matcher.set,
}


def target(
    step: DecompositionStep, implementation: Implementation, arguments: Mapping[str, Json]
) -> Target:
    """What a call must return: structured where the implementation names a field, else in text."""
    matcher = _MATCHERS[step.kind]
    if implementation.field is None:
        loose = Matcher.text if matcher is Matcher.exact else matcher
        return Target(matcher=loose, value=step.answer, relative=TOOL_ROUNDING)
    key = {
        name: value
        for name in implementation.key_fields
        if isinstance(value := arguments.get(name), str | int | float | bool)
    }
    return Target(
        matcher=matcher,
        value=step.answer,
        field=implementation.field,
        key=key,
        relative=TOOL_ROUNDING,
    )


def answer_target(answer: Answer, kind: AnswerKind) -> Target:
    """How a final answer in words is compared."""
    matcher = Matcher.text if kind == "text" else _MATCHERS[kind]
    return Target(matcher=matcher, value=answer, relative=FINAL_ROUNDING)


def implementation_problem(implementation: Implementation, arguments: Mapping[str, Json]) -> str:
    """Why an implementation's claims about itself can't be; "" if they can."""
    if implementation.field is None and implementation.key_fields:
        return "key_fields are named, but no field: name the field of the answer, or no key_fields"
    for name in implementation.key_fields:
        if name not in arguments:
            return f"key_fields names {name!r:.80}, which the call does not set"
    if len(implementation.decoys) > MOST_DECOYS:
        return f"{len(implementation.decoys)} decoys; at most {MOST_DECOYS} are allowed"
    field = implementation.field or ""
    if len(field) > FIELD_CHARACTERS or odd_character(field):
        return f"field {field!r:.80} is no name of at most {FIELD_CHARACTERS} plain characters"
    for decoy in implementation.decoys:
        if problem := json_problem("a decoy", decoy, MAX_ARGUMENTS):
            return problem
    return ""


def goal(step: DecompositionStep, made: StepTool, within: Sequence[DecompositionStep]) -> Goal:
    """The goal of a step; dependencies on steps that are not `within` are left out."""
    own = canonical_json(made.arguments)
    names = {other.id for other in within}
    return Goal(
        id=step.id,
        question=step.question,
        answer=step.answer,
        call=GoldCall(tool=made.document.name, arguments=made.arguments),
        target=target(step, made.implementation, made.arguments),
        depends_on=tuple(name for name in step.depends_on if name in names),
        decoys=tuple(d for d in made.implementation.decoys if canonical_json(d) != own),
    )


def _tools(instance: DecomposedItem, made: Sequence[StepTool]) -> tuple[Tool, ...]:
    """One tool per name, in the order of the steps."""
    found = {
        item.document.name: tool_of(
            item.document,
            item.implementation.source,
            domain=instance.domain,
            language=instance.language,
        )
        for item in made
    }
    return tuple(found.values())


def whole_arena(
    instance: DecomposedItem,
    made: Mapping[str, StepTool],
    *,
    test_share: float,
    provenance: dict[str, Json],
) -> Arena:
    """The arena of an instance whose steps all have their tools. `made`: by step id."""
    goals = tuple(
        goal(step, made[step.id], instance.steps)
        if step.needs_tool
        else Goal(
            id=step.id,
            question=step.question,
            answer=step.answer,
            call=None,
            target=None,
            depends_on=step.depends_on,
        )
        for step in instance.steps
    )
    return _arena(
        instance,
        goals,
        [made[step.id] for step in instance.steps if step.needs_tool],
        question=instance.question,
        answer=instance.answer,
        kind=instance.kind,
        test_share=test_share,
        provenance=provenance,
    )


def trial_arena(
    instance: DecomposedItem, steps: Sequence[DecompositionStep], made: Sequence[StepTool]
) -> Arena:
    """An arena of some steps alone. What other steps find out stands below the question."""
    goals = tuple(goal(step, tool, steps) for step, tool in zip(steps, made, strict=True))
    return _arena(
        instance,
        goals,
        made,
        question="\n".join([instance.question, *_known(instance, steps)]),
        answer=steps[-1].answer,
        kind=steps[-1].kind,
        test_share=0.0,
        provenance={"key": instance.key, "source": "trial"},
    )


def _known(instance: DecomposedItem, steps: Sequence[DecompositionStep]) -> list[str]:
    """Answers of the steps that `steps` need and that are not among them."""
    own = {step.id for step in steps}
    outside = {name for step in steps for name in step.depends_on} - own
    found: list[str] = []
    for name in sorted(outside):
        answer = instance.step(name).answer
        found += map(str, answer if isinstance(answer, tuple) else (answer,))
    return found


def _arena(
    instance: DecomposedItem,
    goals: tuple[Goal, ...],
    made: Sequence[StepTool],
    *,
    question: str,
    answer: Answer,
    kind: AnswerKind,
    test_share: float,
    provenance: dict[str, Json],
) -> Arena:
    draft = Arena(
        id="",
        question=question,
        answer=answer,
        answer_target=answer_target(answer, kind),
        goals=goals,
        tools=_tools(instance, made),
        scenario=scenario_of(goals),
        language=instance.language,
        domain=instance.domain,
        split=split_of(instance.domain, instance.question, test_share),
        provenance=provenance,
    )
    return draft.with_content_id()


def split_of(domain: str, question: str, test_share: float) -> Literal["train", "test"]:
    """`test` for that share of all (domain, question), by their hash alone."""
    digest = int(content_hash([normalise(domain), normalise(question)]), 16)
    return "test" if digest < test_share * 2**64 else "train"


async def failed_check(arena: Arena, sandbox: Sandbox, seed: int) -> CheckResult | None:
    """The first check that an arena without distractors fails; None when it is certified."""
    certificate = await certify(arena, sandbox, seed=seed)
    return next((check for check in certificate.checks if not check.passed), None)


def said(check: CheckResult) -> str:
    """A finding in words for a teacher: which check, why, which call, which output."""
    parts = [f"check {check.check!r}: {check.reason}"]
    parts += [f"{name}: {value!r:.600}" for name, value in check.evidence.items()]
    return "\n".join(parts)[:3000]
