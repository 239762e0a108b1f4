"""From steps with their tools to an arena, of all steps or of some only.

A trial arena contains one step, or one group, and what must be known for it. The real certificate
examines it, so that a teacher is told a defect in the certificate's words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from astra.arenas.certificate import certify
from astra.arenas.certificates import CheckResult
from astra.arenas.rounding import FINAL_ROUNDING, TOOL_ROUNDING
from astra.arenas.scenarios import scenario_of
from astra.arenas.synthesis.records import DecomposedItem, StepTool
from astra.arenas.synthesis.tool_documents import MAX_ARGUMENTS, tool_of
from astra.core.text import normalise
from astra.core.untrusted import json_problem, odd_character
from astra.protocols import Sandbox
from astra.runs.executor import spread
from astra.teacher.prompts.arenas import AnswerKind, DecompositionStep, Implementation
from astra.types import (
    Answer,
    Arena,
    Goal,
    GoldCall,
    Json,
    Matcher,
    Target,
    canonical_json,
    content_hash,
    members_of,
)

MOST_DECOYS = 32
FIELD_CHARACTERS = 64

_MATCHERS: dict[AnswerKind, Matcher] = {
    "text": Matcher.exact,
    "number": Matcher.number,
    "date": Matcher.date,
    "list": Matcher.set,
}


def implementation_problem(implementation: Implementation, arguments: Mapping[str, Json]) -> str:
    """What is impossible in an implementation's claims about itself. Empty if nothing is."""
    if implementation.field is None and implementation.key_fields:
        return "key_fields are named, but no field: name the field of the answer, or no key_fields"
    for name in implementation.key_fields:
        if name not in arguments:
            return f"key_fields names {name!r:.80}, which the call does not set"
    if len(implementation.decoys) > MOST_DECOYS:
        return f"{len(implementation.decoys)} decoys; at most {MOST_DECOYS} are allowed"
    field = implementation.field or ""
    if len(field) > FIELD_CHARACTERS or odd_character(field):
        return f"field {field!r:.80} must be a name of at most {FIELD_CHARACTERS} plain characters"
    for decoy in implementation.decoys:
        if problem := json_problem("a decoy", decoy, MAX_ARGUMENTS):
            return problem
    return ""


def _goal(step: DecompositionStep, tool: StepTool, within: Sequence[DecompositionStep]) -> Goal:
    """The goal of a step; dependencies on steps outside `within` are left out."""
    implementation = tool.implementation
    matcher = _MATCHERS[step.kind]
    if implementation.field is None:
        # The result is plain text: the answer stands somewhere in it.
        matcher = Matcher.text if matcher is Matcher.exact else matcher
    key = {
        name: value
        for name in implementation.key_fields
        if isinstance(value := tool.arguments.get(name), str | int | float | bool)
    }
    own_call = canonical_json(tool.arguments)
    names = {other.id for other in within}
    return Goal(
        id=step.id,
        question=step.question,
        answer=step.answer,
        call=GoldCall(tool=tool.document.name, arguments=tool.arguments),
        target=Target(
            matcher=matcher,
            value=step.answer,
            field=implementation.field,
            key={} if implementation.field is None else key,
            relative=TOOL_ROUNDING,
        ),
        depends_on=tuple(name for name in step.depends_on if name in names),
        decoys=tuple(d for d in implementation.decoys if canonical_json(d) != own_call),
    )


def whole_arena(
    instance: DecomposedItem,
    tools: Mapping[str, StepTool],
    *,
    test_fraction: float,
    provenance: dict[str, Json],
) -> Arena:
    """The arena of an instance whose steps all have their tools. `tools`: by step id."""
    goals = tuple(
        _goal(step, tools[step.id], instance.steps)
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
        [tools[step.id] for step in instance.steps if step.needs_tool],
        question=instance.question,
        answer=instance.answer,
        kind=instance.kind,
        test_fraction=test_fraction,
        provenance=provenance,
    )


def trial_arena(
    instance: DecomposedItem, steps: Sequence[DecompositionStep], tools: Sequence[StepTool]
) -> Arena:
    """An arena of some steps alone. The answers of other steps they need follow the question."""
    # A trial has no calls for them, but `grounding` must find the arguments somewhere.
    outside = {name for step in steps for name in step.depends_on} - {step.id for step in steps}
    known: list[str] = []
    for name in sorted(outside):
        answer = instance.step(name).answer
        known += map(str, members_of(answer))
    return _arena(
        instance,
        tuple(_goal(step, tool, steps) for step, tool in zip(steps, tools, strict=True)),
        tools,
        question="\n".join([instance.question, *known]),
        answer=steps[-1].answer,
        kind=steps[-1].kind,
        test_fraction=0.0,
        # Never written: the arena serves the certificate only.
        provenance={"key": instance.key, "source": "trial"},
    )


def _arena(
    instance: DecomposedItem,
    goals: tuple[Goal, ...],
    tools: Sequence[StepTool],
    *,
    question: str,
    answer: Answer,
    kind: AnswerKind,
    test_fraction: float,
    provenance: dict[str, Json],
) -> Arena:
    # Steps that share a tool give it once, in the order of the steps.
    by_name = {
        tool.document.name: tool_of(
            tool.document,
            tool.implementation.source,
            domain=instance.domain,
            language=instance.language,
        )
        for tool in tools
    }
    # The split follows from the question alone, so that a question never changes sides.
    digest = int(content_hash([normalise(instance.domain), normalise(instance.question)]), 16)
    draft = Arena(
        id="",
        question=question,
        answer=answer,
        answer_target=Target(
            matcher=Matcher.text if kind == "text" else _MATCHERS[kind],
            value=answer,
            relative=FINAL_ROUNDING,
        ),
        goals=goals,
        tools=tuple(by_name.values()),
        scenario=scenario_of(goals),
        language=instance.language,
        domain=instance.domain,
        # A content hash is 16 hex digits, 64 bits.
        split="test" if digest < test_fraction * 2**64 else "train",
        provenance=provenance,
    )
    return draft.with_content_id()


async def certificate_finding(arena: Arena, sandbox: Sandbox, seed: int) -> CheckResult | None:
    """The first check that an arena without distractors fails. None if it is certified."""
    certificate = await spread(certify, arena, sandbox, seed=seed)
    return next((check for check in certificate.checks if not check.passed), None)


def finding_text(check: CheckResult) -> str:
    """A finding in words for a teacher: which check, why, which call, which output."""
    parts = [f"check {check.check!r}: {check.reason}"]
    parts += [f"{name}: {value!r:.600}" for name, value in check.evidence.items()]
    return "\n".join(parts)[:3000]
