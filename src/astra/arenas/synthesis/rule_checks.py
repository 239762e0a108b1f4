"""What can be checked of a decomposition without a judge. Pure functions that raise `Rejected`.

Not covered: whether an answer is true, whether a step's question asks what its answer says, and
dependencies that only a call would show to be false (checked when calls are written).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter

from astra.arenas.certificate.leak import CHOICES, leaks
from astra.arenas.scenarios import scenario_of
from astra.arenas.synthesis.language import in_language
from astra.arenas.synthesis.records import DecomposedItem
from astra.core.text import as_date, as_number, contains_text, normalise
from astra.core.untrusted import json_problem, text_problem
from astra.errors import Rejected
from astra.rewards import same_number, same_scalar
from astra.teacher.prompts.arenas import AnswerKind, DecompositionStep
from astra.types import Goal, GoldCall, Language, Scalar, Scenario

QUESTION_CHARACTERS = 4_000
ANSWER_CHARACTERS = 300
MOST_MEMBERS = 50
"""Members of an answer that is a list."""
ROUNDING = 5e-3
"""Relative tolerance between the main answer and the step that gives it."""
_ID = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,15}", re.ASCII)

Answer = Scalar | tuple[Scalar, ...]


# --- answers ----------------------------------------------------------------------------------


def typed(answer: Answer, kind: AnswerKind, what: str) -> Answer:
    """The answer as its kind says: numbers as numbers, days in ISO 8601; else `Rejected`."""
    members = answer if isinstance(answer, tuple) else (answer,)
    if (kind == "list") != isinstance(answer, tuple):
        raise Rejected("answer", f"{what} {answer!r:.200} is of kind {kind!r}, which it is not")
    if not members or len(members) > MOST_MEMBERS:
        raise Rejected("answer", f"{what} has {len(members)} members; 1 to {MOST_MEMBERS} may be")
    if problem := json_problem(what, members, MOST_MEMBERS * ANSWER_CHARACTERS):
        raise Rejected("text", problem)
    for member in members:
        _check_specific(member, what)
    if kind == "number":
        return _number(members[0], what)
    if kind == "date":
        day = as_date(members[0])
        if day is None:
            raise Rejected("answer", f"{what} {answer!r:.200} is no day: write YYYY-MM-DD")
        return day.isoformat()
    if kind == "text" and not isinstance(answer, str):
        raise Rejected("answer", f"{what} {answer!r:.200} is of kind 'text', but is none")
    if len({normalise(str(member)) for member in members}) != len(members):
        raise Rejected("answer", f"{what} names a member twice: {answer!r:.200}")
    return tuple(map(_stripped, members)) if isinstance(answer, tuple) else _stripped(answer)


def _stripped(value: Scalar) -> Scalar:
    return value.strip() if isinstance(value, str) else value


def _check_specific(member: Scalar, what: str) -> None:
    if isinstance(member, bool) or (isinstance(member, str) and normalise(member) in CHOICES):
        raise Rejected("answer", f"{what} is a mere yes or no: ask for something specific")
    text = str(member) if isinstance(member, str) else ""
    if isinstance(member, str) and not any(character.isalnum() for character in text):
        raise Rejected("answer", f"{what} is empty: {member!r:.80}")
    if len(text) > ANSWER_CHARACTERS:
        raise Rejected(
            "answer", f"{what} has {len(text)} characters; at most {ANSWER_CHARACTERS} may be"
        )
    if not isinstance(member, str) and as_number(member) is None:
        raise Rejected("answer", f"{what} is no finite number: {member!r:.80}")


def _number(value: Scalar, what: str) -> Scalar:
    number = as_number(value)
    if number is None:
        raise Rejected("answer", f"{what} {value!r:.200} is of kind 'number', but is none")
    return value if isinstance(value, int | float) else number


def same_answer(a: Answer, b: Answer) -> bool:
    """Equal as values, numbers up to rounding, lists as sets."""
    if isinstance(a, tuple) or isinstance(b, tuple):
        left, right = (v if isinstance(v, tuple) else (v,) for v in (a, b))
        return len(left) == len(right) and all(any(same_answer(x, y) for y in right) for x in left)
    return same_scalar(a, b) or same_number(a, b, absolute=0.0, relative=ROUNDING)


def _holds(whole: Answer, part: Answer) -> bool:
    """Whether an answer has another one as a member, or names it in its text."""
    members = whole if isinstance(whole, tuple) else (whole,)
    parts = part if isinstance(part, tuple) else (part,)
    return all(
        any(
            same_answer(member, wanted)
            or (isinstance(member, str) and contains_text(member, str(wanted)))
            for member in members
        )
        for wanted in parts
    )


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
                raise Rejected("graph", f"step {step.id!r} depends on {name!r:.80}, no step")
    try:
        TopologicalSorter({step.id: step.depends_on for step in steps}).prepare()
    except CycleError as error:
        raise Rejected("graph", f"the dependencies form a cycle: {error.args[1]!r:.200}") from error


def shape(steps: Sequence[DecompositionStep]) -> Scenario:
    """The scenario of a graph of steps."""
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


def check_need(steps: Sequence[DecompositionStep]) -> None:
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
    """The main answer is the last step's, or holds those of all leaves."""
    ends = leaves(steps)
    if len(ends) == 1:
        if not same_answer(ends[0].answer, answer):
            raise Rejected(
                "ends",
                f"the last step {ends[0].id!r} answers {ends[0].answer!r:.200}, the question's "
                f"answer is {answer!r:.200}: a step is missing",
            )
        return
    for end in ends:
        if not _holds(answer, end.answer):
            raise Rejected(
                "ends",
                f"step {end.id!r} ends in {end.answer!r:.200}, which the answer {answer!r:.200} "
                "does not hold: padding, or a last step is missing",
            )


# --- words ------------------------------------------------------------------------------------


def check_words(question: str, steps: Sequence[DecompositionStep], language: Language) -> None:
    """Texts are short, clean and in the language of the source."""
    for what, text in [
        ("the question", question),
        *((f"step {s.id!r}", s.question) for s in steps),
    ]:
        if problem := text_problem(what, text, QUESTION_CHARACTERS):
            raise Rejected("text", problem)
        if not in_language(text, language):
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
    if leaks(instance.answer, instance.question):
        raise Rejected("leak", f"the answer {instance.answer!r:.200} stands in the question")
    for step in instance.steps:
        if leaks(step.answer, instance.question):
            raise Rejected(
                "leak", f"the answer of step {step.id!r}, {step.answer!r:.200}, is in the question"
            )
        for other in instance.steps:
            if other.id != step.id and leaks(step.answer, other.question):
                raise Rejected(
                    "leak",
                    f"the answer of step {step.id!r}, {step.answer!r:.200}, stands in the question "
                    f"of step {other.id!r}",
                )


# --- duplicates -------------------------------------------------------------------------------

NEAR = 0.8
"""Jaccard similarity of content words from which English questions count as nearly the same."""
_FILLERS = frozenset(
    """a an the is are was were be of in on at to for from by with and or do does did has have had
    what which who whom whose where when how many much that this these those it its s there tell
    me please can could you find out give name""".split()
) | frozenset("的了是在吗呢请问什么哪些多少个为有和与及该这那其之一谁几位名座家")
_TOKEN = re.compile("[a-z0-9]+|[^\\W\\d_a-z]|\\d+")


class DuplicateQuestions:
    """Finds questions that were there before: the same words, or nearly and the same answer.

    Nearly: the same names and numbers, and nearly the same content words, whatever their order.
    Questions that differ in one name are not the same, however alike they look. Not covered:
    paraphrases in other words.
    """

    def __init__(self) -> None:
        self._exact: dict[str, str] = {}
        self._near: dict[str, list[tuple[str, frozenset[str]]]] = {}

    def earlier(self, instance: DecomposedItem) -> str:
        """Key of the earlier instance that this one repeats; "" if none. Remembers it."""
        first = self._exact.setdefault(normalise(instance.question), instance.key)
        if first != instance.key:
            return first
        members = instance.answer if isinstance(instance.answer, tuple) else (instance.answer,)
        mine = _content(instance.question)
        answer = sorted(normalise(str(member)) for member in members)
        known = self._near.setdefault(f"{answer}:{sorted(_names(instance.question))}", [])
        least = NEAR if instance.language == "en" else 1.0
        for key, other in known:
            if key != instance.key and len(mine & other) >= least * len(mine | other):
                return key
        known.append((instance.key, mine))
        return ""


def _content(question: str) -> frozenset[str]:
    return frozenset(_TOKEN.findall(normalise(question))) - _FILLERS


def _names(question: str) -> frozenset[str]:
    """What tells two questions apart: words with a capital or a digit, in lower case."""
    words = re.findall(r"\w+", question)
    return frozenset(w.lower() for w in words if w != w.lower() or w.isdecimal()) - _FILLERS
