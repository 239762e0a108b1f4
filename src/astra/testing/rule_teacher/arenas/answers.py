"""The rule teacher's right answers on questions: decomposition, judgements, wording.

Judgements are computed from the steps that are given, compared with the plan that the question
was made from. What they don't look at: answers. Those are for the sandbox to find wrong.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from astra.core.text import as_date, normalise
from astra.errors import TeacherError
from astra.teacher.prompts.arenas import (
    AnswerKind,
    DecomposeIn,
    Decomposition,
    DecompositionStep,
    InstanceIn,
    JudgeVerdict,
    Paraphrase,
    ParaphraseIn,
    ProposeIn,
    StepsIn,
    StepVerdict,
    StepVerdicts,
    WordingIn,
)
from astra.testing.rule_teacher.arenas.catalogue import Catalogue, covered
from astra.types import Arena, Goal, Language, Matcher, Scalar, canonical_json

_KINDS: dict[Matcher, AnswerKind] = {
    Matcher.exact: "text",
    Matcher.text: "text",
    Matcher.number: "number",
    Matcher.date: "date",
    Matcher.set: "list",
}
_FRAMES: dict[Language, tuple[str, ...]] = {
    "en": (
        "Here is something I would like to know. {q}",
        "{q} I'd be grateful for an exact answer.",
        "A colleague asked me this, and I could not say. {q}",
        "I am putting some notes together. {q}",
    ),
    "zh": (
        "有件事想请教一下。{q}",
        "{q}希望能得到准确的答案。",
        "同事问了我一个问题，我答不上来。{q}",
        "我正在整理一些资料。{q}",
    ),
}


def number_of(*parts: object) -> int:
    """A number that depends on nothing but the parts."""
    return int.from_bytes(hashlib.sha256(canonical_json(parts).encode()).digest()[:8])


# --- decomposition ---------------------------------------------------------------------------


def propose(catalogue: Catalogue, given: ProposeIn, index: int) -> Decomposition:
    """A known question that fits; of the given domain if there is any. Other numbers, others."""
    fits = [
        arena
        for arena in catalogue.arenas
        if arena.language == given.language
        and arena.scenario is given.scenario
        and given.least_hops <= arena.hops <= given.most_hops
    ]
    if not fits:
        reason = (
            f"the tables give no {given.scenario.value} question of {given.least_hops} to "
            f"{given.most_hops} hops in {given.language!r}"
        )
        return Decomposition(answerable=False, reason=reason)
    fits = [arena for arena in fits if arena.domain == given.domain] or fits
    source = given.model_dump(mode="json", exclude={"number"})
    start = number_of(source, index)
    return decomposition_of(fits[(start + given.number) % len(fits)])


def decompose(catalogue: Catalogue, given: DecomposeIn) -> Decomposition:
    """The plan of a known question."""
    arena = catalogue.find(given.question)
    if arena is None:
        reason = "the rule teacher knows only questions that were drawn from its tables"
        return Decomposition(answerable=False, reason=reason)
    if not given.least_hops <= arena.hops <= given.most_hops:
        reason = f"it takes {arena.hops} hops, not {given.least_hops} to {given.most_hops}"
        return Decomposition(answerable=False, reason=reason)
    return decomposition_of(arena).model_copy(update={"question": given.question})


def decomposition_of(arena: Arena) -> Decomposition:
    """The plan of an arena."""
    ids = {goal.id: f"s{number}" for number, goal in enumerate(arena.goals, start=1)}
    return Decomposition(
        answerable=True,
        question=arena.question,
        answer=arena.answer,
        kind=_kind(arena.answer),
        steps=tuple(
            DecompositionStep(
                id=ids[goal.id],
                question=goal.question,
                answer=goal.answer,
                kind=_KINDS[goal.target.matcher] if goal.target else _kind(goal.answer),
                depends_on=tuple(ids[parent] for parent in goal.depends_on),
                needs_tool=goal.call is not None,
            )
            for goal in arena.goals
        ),
    )


def _kind(answer: Scalar | tuple[Scalar, ...]) -> AnswerKind:
    if isinstance(answer, tuple):
        return "list"
    if isinstance(answer, int | float):
        return "number"
    return "date" if as_date(answer) else "text"


# --- judgements ------------------------------------------------------------------------------


def judge_steps(catalogue: Catalogue, given: StepsIn, point: str) -> StepVerdicts:
    """The verdicts on one point: necessity, dependency, atomicity or rationality."""
    plan = _plan(catalogue, given)
    verdicts = {step: _POINTS[point](plan, step) for step in given.judge}
    return StepVerdicts(
        verdicts=tuple(
            StepVerdict(step=step, reason=verdict.reason, holds=verdict.holds)
            for step, verdict in verdicts.items()
        )
    )


def _necessity(plan: _Plan, step: str) -> JudgeVerdict:
    """Whether the step asks for something that only a tool tells."""
    for goal in plan.asked(step):
        if goal.call is not None:
            return JudgeVerdict(reason=f"Records of {goal.operation!r} must be asked.", holds=True)
    return JudgeVerdict(reason="It needs nothing but what the other steps found.", holds=False)


def _dependency(plan: _Plan, step: str) -> JudgeVerdict:
    """Whether every listed dependency is needed."""
    needed = plan.needed(step)
    for parent in plan.steps[step].depends_on:
        if not needed & {goal.id for goal in plan.asked(parent)}:
            return JudgeVerdict(reason=f"It can be answered without {parent!r}.", holds=False)
    return JudgeVerdict(reason="It can't do without any of the steps it lists.", holds=True)


def _atomicity(plan: _Plan, step: str) -> JudgeVerdict:
    """Whether the step asks one thing."""
    number = len(plan.asked(step))
    if number > 1:
        return JudgeVerdict(reason=f"It asks {number} things, one after the other.", holds=False)
    return JudgeVerdict(reason="One call answers it.", holds=True)


def _rationality(plan: _Plan, step: str) -> JudgeVerdict:
    """Whether the step comes after what it needs, says so, and is no padding."""
    asked = {goal.id for goal in plan.asked(step)}
    earlier = plan.before(step)
    if not asked or any(asked <= {g.id for g in plan.asked(other)} for other in earlier):
        return JudgeVerdict(reason="The question can be answered without this step.", holds=False)
    listed = plan.steps[step].depends_on
    found = {g.id for other in listed if other in earlier for g in plan.asked(other)}
    if missing := plan.needed(step) - found:
        return JudgeVerdict(
            reason=f"What it needs is not found before: {len(missing)}.", holds=False
        )
    return JudgeVerdict(
        reason="It comes after what it needs, and the question needs it.", holds=True
    )


_POINTS = {
    "necessity": _necessity,
    "dependency": _dependency,
    "atomicity": _atomicity,
    "rationality": _rationality,
}


def judge_completeness(catalogue: Catalogue, given: InstanceIn) -> JudgeVerdict:
    """Whether the steps suffice for the question."""
    plan = _Plan(_arena(catalogue, given.question), given.steps)
    found = {goal.id for step in plan.steps for goal in plan.asked(step)}
    missing = [goal for goal in plan.arena.goals if goal.id not in found]
    if missing:
        return JudgeVerdict(reason=f"No step asks: {missing[0].question}", holds=False)
    return JudgeVerdict(reason="The steps together answer the question.", holds=True)


class _Plan:
    """Given steps beside the goals that they ask for."""

    def __init__(self, arena: Arena, steps: Sequence[DecompositionStep]) -> None:
        self.arena = arena
        self.steps = {step.id: step for step in steps}

    def asked(self, step: str) -> list[Goal]:
        if step not in self.steps:
            raise TeacherError(f"step {step!r} is none of {list(self.steps)!r}: name one of them")
        return covered(self.arena, self.steps[step].question)

    def needed(self, step: str) -> set[str]:
        goals = self.asked(step)
        return {parent for goal in goals for parent in goal.depends_on} - {g.id for g in goals}

    def before(self, step: str) -> list[str]:
        names = list(self.steps)
        return names[: names.index(step)]


def _plan(catalogue: Catalogue, given: StepsIn) -> _Plan:
    plan = _Plan(_arena(catalogue, given.question), given.steps)
    for step in given.steps:
        if unknown := set(step.depends_on) - set(plan.steps):
            raise TeacherError(f"step {step.id!r} depends on {sorted(unknown)!r}: no such steps")
    return plan


def _arena(catalogue: Catalogue, question: str) -> Arena:
    arena = catalogue.find(question)
    if arena is None:
        raise TeacherError(
            f"the rule teacher does not know the question {question[:200]!r}: ask about what it "
            "proposed or decomposed"
        )
    return arena


# --- wording ---------------------------------------------------------------------------------


def paraphrase(given: ParaphraseIn, index: int) -> Paraphrase:
    """The question with a sentence before or after it: names and values stay as they are."""
    frames = [
        frame
        for frame in _FRAMES[given.language]
        if not any(word and word.casefold() in frame.casefold() for word in given.avoid)
    ]
    if not frames:
        raise TeacherError(f"no wording is left without {list(given.avoid)!r}")
    frame = frames[(number_of(given.question) + index) % len(frames)]
    return Paraphrase(question=frame.replace("{q}", given.question))


def judge_wording(given: WordingIn) -> JudgeVerdict:
    """Whether the new wording is the old question with words around it, as `paraphrase` puts it."""
    if normalise(given.question) not in normalise(given.wording):
        return JudgeVerdict(reason="The old question does not stand in it.", holds=False)
    return JudgeVerdict(reason="It is the same question with a sentence beside it.", holds=True)
