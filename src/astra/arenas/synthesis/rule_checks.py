"""What can be checked of a decomposition by rule, without a judge. Raises `Rejected`.

Not covered: whether an answer is true, whether a step's question asks what its answer says, and
dependencies that only a call would show to be false (checked when calls are written).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter

from astra.arenas.certificate.leak import is_choice, leaks
from astra.arenas.certificate.question_forms import is_offered, without_numbering
from astra.arenas.scenarios import scenario_of
from astra.arenas.synthesis.records import DecomposedItem
from astra.core.language import in_script
from astra.core.text import as_date, as_number, contains_text, normalise
from astra.core.untrusted import json_problem, text_problem
from astra.errors import Rejected
from astra.rewards import same_number, same_scalar
from astra.teacher.prompts.arenas import AnswerKind, DecompositionStep
from astra.types import Answer, Goal, GoldCall, Language, Scenario, members_of

QUESTION_CHARACTERS = 4_000
ANSWER_CHARACTERS = 300
MOST_MEMBERS = 50
"""Members of an answer that is a list."""
ROUNDING = 5e-3
"""Relative tolerance between the main answer and the step that gives it."""
_ID = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,15}", re.ASCII)


# --- answers ----------------------------------------------------------------------------------


def typed_answer(answer: Answer, kind: AnswerKind, what: str) -> Answer:
    """The answer as its kind says: numbers as numbers, days in ISO 8601. Else `Rejected`."""
    members = members_of(answer)
    if (kind == "list") != isinstance(answer, tuple):
        raise Rejected("answer", f"{what} {answer!r:.200} is of kind {kind!r}, but does not fit it")
    if not members or len(members) > MOST_MEMBERS:
        raise Rejected(
            "answer", f"{what} has {len(members)} members; 1 to {MOST_MEMBERS} are allowed"
        )
    if problem := json_problem(what, members, MOST_MEMBERS * ANSWER_CHARACTERS):
        raise Rejected("text", problem)
    for member in members:
        # A guess would be right half of the time; `gold` refuses such goals as well.
        if is_choice(member):
            raise Rejected("answer", f"{what} is a mere yes or no: ask for something specific")
        if isinstance(member, str):
            if not any(character.isalnum() for character in member):
                raise Rejected("answer", f"{what} is empty: {member!r:.80}")
            if len(member) > ANSWER_CHARACTERS:
                raise Rejected(
                    "answer",
                    f"{what} has {len(member)} characters; at most {ANSWER_CHARACTERS} are allowed",
                )
        elif as_number(member) is None:
            raise Rejected("answer", f"{what} is not a finite number: {member!r:.80}")
    if kind == "number":
        number = as_number(members[0])
        if number is None:
            raise Rejected("answer", f"{what} {answer!r:.200} is of kind 'number', but is not one")
        # A number stays as it was written: 5 does not become 5.0.
        return members[0] if isinstance(members[0], int | float) else number
    if kind == "date":
        day = as_date(members[0])
        if day is None:
            raise Rejected("answer", f"{what} {answer!r:.200} is not a day: write YYYY-MM-DD")
        return day.isoformat()
    if kind == "text" and not isinstance(answer, str):
        raise Rejected("answer", f"{what} {answer!r:.200} is of kind 'text', but is not a text")
    if len({normalise(str(member)) for member in members}) != len(members):
        raise Rejected("answer", f"{what} names a member twice: {answer!r:.200}")
    stripped = tuple(m.strip() if isinstance(m, str) else m for m in members)
    # A list of one stays a list: its matcher compares sets.
    return stripped if isinstance(answer, tuple) else stripped[0]


def same_answer(a: Answer, b: Answer) -> bool:
    """Equal as values, numbers up to rounding, lists as sets."""
    if isinstance(a, tuple) or isinstance(b, tuple):
        left, right = members_of(a), members_of(b)
        return len(left) == len(right) and all(any(same_answer(x, y) for y in right) for x in left)
    return same_scalar(a, b) or same_number(a, b, absolute=0.0, relative=ROUNDING)


# --- graph ------------------------------------------------------------------------------------


def check_graph(steps: Sequence[DecompositionStep]) -> None:
    """Ids are sound and different, dependencies known, and there is no cycle."""
    by_id = {step.id: step for step in steps}
    if len(by_id) != len(steps):
        raise Rejected("graph", f"two steps have one id: {[step.id for step in steps]!r:.200}")
    for step in steps:
        if not _ID.fullmatch(step.id):
            raise Rejected("graph", f"step id {step.id!r:.80}: write s1, s2, …")
        if len(set(step.depends_on)) != len(step.depends_on):
            raise Rejected("graph", f"step {step.id!r} names a dependency twice")
        for name in step.depends_on:
            if name not in by_id:
                raise Rejected(
                    "graph", f"step {step.id!r} depends on {name!r:.80}, which is not a step"
                )
    try:
        TopologicalSorter({step.id: step.depends_on for step in steps}).prepare()
    except CycleError as error:
        raise Rejected("graph", f"the dependencies form a cycle: {error.args[1]!r:.200}") from error


def step_scenario(steps: Sequence[DecompositionStep]) -> Scenario:
    """The scenario of a graph of steps."""
    # `scenario_of` reads ids, dependencies, and whether there is a call.
    call = GoldCall(tool="tool", arguments={})
    return scenario_of(
        tuple(
            Goal(
                id=step.id,
                question=step.question,
                answer=step.answer,
                call=call if step.needs_tool else None,
                target=None,
                depends_on=step.depends_on,
            )
            for step in steps
        )
    )


def leaves(steps: Sequence[DecompositionStep]) -> list[DecompositionStep]:
    """The steps that no other depends on."""
    inner = {name for step in steps for name in step.depends_on}
    return [step for step in steps if step.id not in inner]


def check_tool_need(steps: Sequence[DecompositionStep]) -> None:
    """A step without a tool is a leaf that combines others; at least one step needs a tool."""
    if not any(step.needs_tool for step in steps):
        raise Rejected("necessity", "no step needs a tool")
    outer = {step.id for step in leaves(steps)}
    for step in steps:
        if not step.needs_tool and step.id not in outer:
            raise Rejected("necessity", f"step {step.id!r} needs no tool, but others depend on it")
        if not step.needs_tool and not step.depends_on:
            raise Rejected("necessity", f"step {step.id!r} needs no tool and combines nothing")


def check_ends(answer: Answer, steps: Sequence[DecompositionStep]) -> None:
    """The main answer is the last step's, or contains those of all leaves."""
    ends = leaves(steps)
    if len(ends) == 1:
        if not same_answer(ends[0].answer, answer):
            raise Rejected(
                "ends",
                f"the last step {ends[0].id!r} answers {ends[0].answer!r:.200}, the question's "
                f"answer is {answer!r:.200}: a step is missing",
            )
        return
    members = members_of(answer)
    # Several ends: every path must show in the answer, otherwise nothing asks for it.
    for end in ends:
        # A text may name a leaf's answer among other words.
        missing = [
            part
            for part in members_of(end.answer)
            if not any(
                same_answer(member, part)
                or (isinstance(member, str) and contains_text(member, str(part)))
                for member in members
            )
        ]
        if missing:
            raise Rejected(
                "ends",
                f"step {end.id!r} ends in {end.answer!r:.200}, which the answer {answer!r:.200} "
                "does not contain: the step is padding, or a last step is missing",
            )


# --- words ------------------------------------------------------------------------------------


def check_words(question: str, steps: Sequence[DecompositionStep], language: Language) -> None:
    """Texts are short, clean and in the language of the source."""
    texts = [("the question", question), *((f"step {s.id!r}", s.question) for s in steps)]
    for what, text in texts:
        if problem := text_problem(what, text, QUESTION_CHARACTERS):
            raise Rejected("text", problem)
        if not in_script(text, language):
            raise Rejected("language", f"{what} is not in {language!r}: {text[:200]!r}")


def check_distinct(steps: Sequence[DecompositionStep]) -> None:
    """No two steps ask the same."""
    seen: dict[str, str] = {}
    for step in steps:
        other = seen.setdefault(normalise(step.question), step.id)
        if other != step.id:
            raise Rejected("repeated", f"steps {other!r} and {step.id!r} ask the same")


def check_leaks(instance: DecomposedItem) -> None:
    """No answer stands in the main question, nor a step's in another step's question."""
    main = without_numbering(instance.question)
    if leaks(instance.answer, main) and not is_offered(instance.answer, main):
        raise Rejected("leak", f"the answer {instance.answer!r:.200} stands in the question")
    for step in instance.steps:
        if leaks(step.answer, main) and not is_offered(step.answer, main):
            raise Rejected(
                "leak", f"the answer of step {step.id!r}, {step.answer!r:.200}, is in the question"
            )
        if is_offered(step.answer, main):
            # The questions about each of what there is to choose from name it, too.
            continue
        for other in instance.steps:
            asked = without_numbering(other.question)
            offered = is_offered(step.answer, asked)
            if other.id != step.id and leaks(step.answer, asked) and not offered:
                raise Rejected(
                    "leak",
                    f"the answer of step {step.id!r}, {step.answer!r:.200}, stands in the question "
                    f"of step {other.id!r}",
                )
