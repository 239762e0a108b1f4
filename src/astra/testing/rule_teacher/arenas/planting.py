"""Plants one defect in a right answer. None where the answer has no place for it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import NamedTuple

from astra.core.text import as_date
from astra.teacher.prompts.arenas import (
    CallIn,
    CallOut,
    Decomposition,
    DecompositionStep,
    DocumentIn,
    DocumentOut,
    ExtendIn,
    ExtendOut,
    Implementation,
    JudgeVerdict,
    StepVerdicts,
    ToolIn,
)
from astra.testing.rule_teacher.arenas.catalogue import Catalogue
from astra.testing.rule_teacher.arenas.defects import ArenaDefect
from astra.testing.rule_teacher.arenas.writing import known_step
from astra.types import Json, Language, Record, Scalar

Answer = Scalar | tuple[Scalar, ...]


class PlantedAnswer(NamedTuple):
    """A wrong answer, and what was changed."""

    answer: Record
    detail: str
    step: str = ""
    """Id of the step whose verdict is wrong. Empty for other answers."""


def plant(
    defect: ArenaDefect, given: Record, right: Record, catalogue: Catalogue, rng: random.Random
) -> PlantedAnswer | None:
    """The right answer with the defect; None if this answer can't have it."""
    match right:
        case Decomposition():
            if not right.answerable:
                return None
            found = catalogue.find(right.question)
            return _DECOMPOSITIONS[defect](right, rng, found.language if found else "en")
        case JudgeVerdict():
            reason = "This does not seem right." if right.holds else "Nothing speaks against it."
            wrong = JudgeVerdict(reason=reason, holds=not right.holds)
            return PlantedAnswer(wrong, f"says {not right.holds}")
        case StepVerdicts():
            number = rng.randrange(len(right.verdicts))
            verdicts = list(right.verdicts)
            verdict = verdicts[number]
            reason = "This does not seem right." if verdict.holds else "Nothing speaks against it."
            verdicts[number] = verdict.model_copy(
                update={"reason": reason, "holds": not verdict.holds}
            )
            wrong = StepVerdicts(verdicts=tuple(verdicts))
            return PlantedAnswer(wrong, f"says {not verdict.holds}", verdict.step)
        case DocumentOut() if isinstance(given, DocumentIn):
            _, goal = known_step(catalogue, given.main_question, given.question)
            text = f"{right.description} ({_said(goal.answer)})"
            return PlantedAnswer(
                right.model_copy(update={"description": text}), "answer in the document"
            )
        case CallOut() if isinstance(given, CallIn):
            _, goal = known_step(catalogue, given.main_question, given.question)
            other = rng.choice(goal.decoys)
            return PlantedAnswer(CallOut(arguments=other), f"asks for {other!r}")
        case Implementation() if isinstance(given, ToolIn):
            return _bad_tool(defect, right, given.document, given.answer, given.arguments, rng)
        case ExtendOut() if isinstance(given, ExtendIn):
            adds = given.adds
            bad = _bad_tool(
                defect, right.implementation, right.document, adds.answer, right.arguments, rng
            )
            return bad and PlantedAnswer(
                right.model_copy(update={"implementation": bad.answer}), bad.detail
            )
        case _:
            return None


# --- tools -----------------------------------------------------------------------------------


def _bad_tool(
    defect: ArenaDefect,
    right: Implementation,
    document: DocumentOut,
    answer: Answer,
    arguments: dict[str, Json],
    rng: random.Random,
) -> PlantedAnswer:
    if defect is ArenaDefect.broken_code:
        source, detail = rng.choice(
            [
                (right.source.replace("return {", "return {{", 1), "not valid Python"),
                (_function(document, "raise RuntimeError('not reached')"), "every call raises"),
                (_function(document, "return unknown_name"), "an unknown name"),
            ]
        )
        return PlantedAnswer(right.model_copy(update={"source": source}), detail)
    value = list(answer) if isinstance(answer, tuple) else answer
    result = {right.field or "result": value}
    if rng.random() < 0.5:
        fixed = result | {key: arguments[key] for key in right.key_fields}
        body, detail = f"return {fixed!r}", "always the same result"
    else:
        pairs = [f"{key!r}: {key}" for key in right.key_fields]
        pairs += [f"{key!r}: {fixed!r}" for key, fixed in result.items()]
        body, detail = f"return {{{', '.join(pairs)}}}", "always the answer, beside what was asked"
    return PlantedAnswer(right.model_copy(update={"source": _function(document, body)}), detail)


def _function(document: DocumentOut, body: str) -> str:
    required = document.parameters.get("required", [])
    properties: dict[str, Json] = document.parameters["properties"]
    names = sorted(properties, key=lambda name: name not in required)
    signature = ", ".join(
        name if name in required else f"{name}={properties[name].get('default')!r}"
        for name in names
    )
    return f"def {document.name}({signature}):\n    {body}\n"


# --- decompositions --------------------------------------------------------------------------


def _unnecessary_dependency(
    right: Decomposition, rng: random.Random, language: Language
) -> PlantedAnswer | None:
    steps = right.steps
    places = [
        (step, earlier)
        for number, step in enumerate(steps)
        if step.needs_tool
        for earlier in steps[:number]
        if earlier.needs_tool and earlier.id not in step.depends_on
    ]
    if not places:
        return None
    step, earlier = rng.choice(places)
    changed = step.model_copy(update={"depends_on": (*step.depends_on, earlier.id)})
    return _with(right, {step.id: changed}, f"{step.id} lists {earlier.id}")


def _non_atomic_step(
    right: Decomposition, rng: random.Random, language: Language
) -> PlantedAnswer | None:
    """The first of two steps goes into the only one that depends on it."""
    pairs = [
        (step, users[0])
        for step in right.steps
        if len(users := list(_users(right.steps, step.id))) == 1 and users[0].needs_tool
    ]
    if not pairs:
        return None
    first, second = rng.choice(pairs)
    joint = "{a} Then: {b}" if language == "en" else "{a}然后：{b}"
    depends = dict.fromkeys([*first.depends_on, *second.depends_on])
    merged = second.model_copy(
        update={
            "question": joint.format(a=first.question, b=second.question),
            "depends_on": tuple(name for name in depends if name != first.id),
        }
    )
    steps = {second.id: merged}
    return _with(right, steps, f"{second.id} asks for {first.id}, too", without=first.id)


def _missing_step(
    right: Decomposition, rng: random.Random, language: Language
) -> PlantedAnswer | None:
    able = [step for step in right.steps if step.needs_tool]
    if len(able) < 2:
        return None
    gone = rng.choice(able)
    changed = {
        user.id: user.model_copy(
            update={"depends_on": tuple(name for name in user.depends_on if name != gone.id)}
        )
        for user in _users(right.steps, gone.id)
    }
    return _with(right, changed, f"without: {gone.question}", without=gone.id)


def _inner_step_without_tool(
    right: Decomposition, rng: random.Random, language: Language
) -> PlantedAnswer | None:
    inner = [step for step in right.steps if step.needs_tool and any(_users(right.steps, step.id))]
    if not inner:
        return None
    step = rng.choice(inner)
    changed = step.model_copy(update={"needs_tool": False})
    return _with(right, {step.id: changed}, f"{step.id} is said to need no tool")


def _wrong_answer(
    right: Decomposition, rng: random.Random, language: Language
) -> PlantedAnswer | None:
    step = rng.choice([step for step in right.steps if step.needs_tool])
    if isinstance(step.answer, tuple):
        answer = step.answer[1:] or tuple(_wrong_scalar(member, rng) for member in step.answer)
    else:
        answer = _wrong_scalar(step.answer, rng)
    changed = step.model_copy(update={"answer": answer})
    wrong = _with(right, {step.id: changed}, f"{step.id}: {answer!r}, not {step.answer!r}")
    if right.answer == step.answer:
        return PlantedAnswer(wrong.answer.model_copy(update={"answer": answer}), wrong.detail)
    return wrong


def _leak(right: Decomposition, rng: random.Random, language: Language) -> PlantedAnswer | None:
    step = rng.choice([step for step in right.steps if step.needs_tool])
    hint = "{q} (Hint: {a}.)" if language == "en" else "{q}（提示：{a}。）"
    question = hint.format(q=right.question, a=_said(step.answer))
    changed = right.model_copy(update={"question": question})
    return PlantedAnswer(changed, f"the answer of {step.id} in the question")


_DECOMPOSITIONS: dict[
    ArenaDefect, Callable[[Decomposition, random.Random, Language], PlantedAnswer | None]
] = {
    ArenaDefect.unnecessary_dependency: _unnecessary_dependency,
    ArenaDefect.non_atomic_step: _non_atomic_step,
    ArenaDefect.missing_step: _missing_step,
    ArenaDefect.inner_step_without_tool: _inner_step_without_tool,
    ArenaDefect.wrong_answer: _wrong_answer,
    ArenaDefect.leak: _leak,
}


def _with(
    right: Decomposition, changed: dict[str, DecompositionStep], detail: str, *, without: str = ""
) -> PlantedAnswer:
    steps = tuple(changed.get(step.id, step) for step in right.steps if step.id != without)
    return PlantedAnswer(right.model_copy(update={"steps": steps}), detail)


def _users(steps: Sequence[DecompositionStep], name: str) -> Iterator[DecompositionStep]:
    return (step for step in steps if name in step.depends_on)


def _said(answer: Answer) -> str:
    return ", ".join(map(str, answer)) if isinstance(answer, tuple) else str(answer)


def _wrong_scalar(value: Scalar, rng: random.Random) -> Scalar:
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + rng.choice((-1, 1)) * max(3, abs(value) // 10)
    if isinstance(value, float):
        return round(value * 1.1 + 3, 6)
    if day := as_date(value):
        return (day - timedelta(days=rng.randint(20, 400))).isoformat()
    letters = [character for character in value if not character.isspace()]
    rng.shuffle(letters)
    return "".join(letters).capitalize() + "a"
