"""Stage `paraphrased`: the questions of finished arenas in natural words, and nothing else changed.

A wording must keep every name and number that the gold calls take from the question, add no
other number, name no answer, and stay in its language. Rules refuse another kind of question, unit,
direction, negation or attribute (`wording`); then a judge reads both wordings beside the plan, and
without its yes no wording passes. If the teacher finds none after some attempts, the arena is set
aside: the old wording is not kept, because a run has one kind of wording only. Then the certificate
examines the arena like any other.

What this does not guarantee: that the new wording asks the same where the rules have no words for
the difference. That rests on the judge, who may share the teacher's blind spots.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from astra.arenas.certificate.containment import offered_for, stands_in
from astra.arenas.certificate.leak import leaks
from astra.arenas.certificate.parameters import parameters_of
from astra.arenas.certificate.question_forms import is_offered
from astra.arenas.pipeline import ArenaPipeline, CandidateArena
from astra.arenas.synthesis.rule_checks import QUESTION_CHARACTERS
from astra.arenas.synthesis.wording import changed_choice, changed_meaning
from astra.core.language import in_script
from astra.core.spellings import said_as, says
from astra.core.text import contains_text, normalise, numbers_in, scalars
from astra.core.untrusted import text_problem
from astra.errors import Rejected
from astra.runs.stage import Stage, StageReport
from astra.teacher.prompt import Teacher
from astra.teacher.prompts.arenas import PARAPHRASE, WORDING, ParaphraseIn, WordingIn
from astra.types import Arena, GoldCall, Record, Scalar, members_of

PARAPHRASED = "paraphrased"
PARAPHRASE_ATTEMPTS = 3
_LONGEST_WORD = 4
"""Characters of a Chinese choice that is a word and no name, such as 人口 or 降水量."""


class ParaphrasedArena(Record):
    """A row of `paraphrased.jsonl`."""

    key: str
    outcome: Arena


def paraphrased_stage(teacher: Teacher) -> Stage[CandidateArena, ParaphrasedArena]:
    """Candidates to candidates with another wording of the main question."""

    async def work(candidate: CandidateArena) -> ParaphrasedArena:
        if isinstance(candidate.outcome, Rejected):
            raise candidate.outcome
        arena = candidate.outcome
        problem = ""
        for index in range(PARAPHRASE_ATTEMPTS):
            task = paraphrase_task(arena, problem)
            question = (await teacher.ask(PARAPHRASE, task, index=index)).question.strip()
            problem = wording_problem(arena, question)
            problem = problem or await _judged_problem(teacher, arena, question)
            if not problem:
                break
        else:
            raise Rejected("paraphrase", problem)
        provenance = {
            **arena.provenance,
            "paraphrase": {"teacher": teacher.name, "of": arena.question},
        }
        # The key stays: the stages after this one recognise the arena by it.
        changed = arena.model_copy(update={"question": question, "provenance": provenance})
        return ParaphrasedArena(key=candidate.key, outcome=changed.with_content_id())

    return Stage(PARAPHRASED, work)


async def _judged_problem(teacher: Teacher, arena: Arena, question: str) -> str:
    """Why the judge does not find that a wording asks the same; empty if it does."""
    task = WordingIn(
        language=arena.language,
        question=arena.question,
        wording=question,
        plan=tuple(goal.question for goal in arena.goals),
    )
    verdict = await teacher.ask(WORDING, task)
    return "" if verdict.holds else f"a judge finds that it asks something else: {verdict.reason}"


def paraphrase_task(arena: Arena, finding: str = "") -> ParaphraseIn:
    """The teacher's task. `finding`: what was wrong with its last wording."""
    answers = [arena.answer, *(goal.answer for goal in arena.goals)]
    avoid = [
        str(member)
        for answer in answers
        for member in members_of(answer)
        # "Longer or shorter" can't be asked without saying the answer.
        if not stands_in(member, arena.question)
    ]
    return ParaphraseIn(
        language=arena.language,
        question=arena.question,
        keep=tuple(
            dict.fromkeys(
                (
                    *(_as_written(value, arena.question) for value in needed_values(arena)),
                    *(said.piece for said in _said_otherwise(arena)),
                )
            )
        ),
        avoid=tuple(dict.fromkeys(avoid)),
        finding=finding,
    )


def needed_values(arena: Arena) -> list[Scalar]:
    """Names and numbers that gold calls take from the question, in their order.

    A word of an enum, such as `height`, may be said otherwise: the document offers it. A name that
    is one of the choices must stay, since nothing else says which is meant.
    """
    tools = {tool.name: tool for tool in arena.tools}

    def is_word(call: GoldCall, name: str, value: Scalar | None) -> bool:
        schema = parameters_of(tools[call.tool]).get(name, {}) if call.tool in tools else {}
        return (
            isinstance(value, str)
            and offered_for(schema, value)
            and value == value.lower()
            and not any(map(str.isdigit, value))
            # Chinese has no capitals: there a name is what is more than a word or two.
            and (value.isascii() or len(value) <= _LONGEST_WORD)
            and re.search(rf"\b{re.escape(value.capitalize())}\b", arena.question[1:]) is None
        )

    return [
        value
        for goal in arena.goals
        if goal.call is not None
        for name, argument in goal.call.arguments.items()
        for value in scalars(argument)
        if value is not None
        and stands_in(value, arena.question)
        and not is_word(goal.call, name, value)
    ]


def _as_written(value: Scalar, question: str) -> str:
    """A value that stands in the question, in the question's own form: 5 March for 2025-03-05."""
    said = [] if contains_text(question, str(value)) else said_as(value, question)
    return said[0].piece if said else str(value)


class _SaidOtherwise(NamedTuple):
    """A gold argument that the question says in a form of its own, as 12/18/2025."""

    value: Scalar
    description: str
    """Of the parameter."""
    piece: str
    """As the question says it."""


def _said_otherwise(arena: Arena) -> list[_SaidOtherwise]:
    tools = {tool.name: tool for tool in arena.tools}
    found: list[_SaidOtherwise] = []
    for goal in arena.goals:
        if goal.call is None or goal.call.tool not in tools:
            continue
        schemas = parameters_of(tools[goal.call.tool])
        for name, argument in goal.call.arguments.items():
            schema = schemas.get(name, {})
            description = str(schema.get("description", ""))
            for value in scalars(argument):
                if value is None or stands_in(value, arena.question):
                    continue
                # A choice may be said in any words: the document offers it.
                if offered_for(schema, value):
                    continue
                if said := said_as(value, arena.question, description):
                    found.append(_SaidOtherwise(value, description, said[0].piece))
    return found


def wording_problem(arena: Arena, question: str) -> str:
    """Why a new wording can't replace the arena's question. Empty if it can."""
    if problem := text_problem("the new wording", question, QUESTION_CHARACTERS):
        return problem
    if not in_script(question, arena.language):
        return f"the new wording is not in {arena.language!r}"
    if normalise(question) == normalise(arena.question):
        return "the new wording is the old one"
    for value in needed_values(arena):
        if not stands_in(value, question):
            return f"the new wording lacks {value!r}, which a call needs"
    for said in _said_otherwise(arena):
        if not says(said.value, question, said.description):
            return f"the new wording lacks {said.piece!r}, which a call needs"
    # A number too many ("the 3 largest") changes what is asked; one too few, what calls need.
    before, after = set(numbers_in(arena.question)), set(numbers_in(question))
    if before != after:
        odd = sorted(before ^ after)[:3]
        return f"the numbers {odd!r} stand in only one of the old and the new wording"
    for answer, target in [
        (arena.answer, arena.answer_target),
        *((goal.answer, goal.target) for goal in arena.goals),
    ]:
        if leaks(answer, question, target) and not is_offered(answer, question):
            return f"the new wording contains {answer!r:.200}, which is an answer"
    return changed_meaning(arena.question, question, arena.language) or changed_choice(
        arena, question
    )


async def make_paraphrased(
    pipeline: ArenaPipeline,
    teacher: Teacher,
    candidates: Callable[[], Iterable[CandidateArena]],
    count: int,
) -> dict[str, StageReport]:
    """As `ArenaPipeline.make`, with paraphrasing before it.

    `candidates` gives the same candidates each time it is called: further ones replace wordings
    that fail the certificate.
    """
    stage = paraphrased_stage(teacher)
    goal = count
    while True:
        paraphrased = await pipeline.runner.run(stage, candidates(), until=goal)
        rows = pipeline.folder.rows(PARAPHRASED, ParaphrasedArena)
        # The stage above counts wordings; the certificate may refuse some of them.
        missing = count - (await pipeline.certify(rows, count)).accepted
        if missing <= 0 or paraphrased.accepted < goal:
            return await pipeline.mix()
        goal += missing
