"""Stage `paraphrased`: the questions of finished arenas in natural words, and nothing else changed.

A wording must keep every name and number that the gold calls take from the question, add no
other number, name no answer, and stay in its language. If the teacher finds none after some
attempts, the arena is set aside: the old wording is not kept, because a run has one kind of wording
only. Then the certificate examines the arena like any other.

What this does not guarantee: that the new wording asks the same. That rests on the teacher.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from astra.arenas.certificate.containment import stands_in
from astra.arenas.certificate.leak import leaks
from astra.arenas.pipeline import ArenaPipeline, CandidateArena
from astra.arenas.synthesis.rule_checks import QUESTION_CHARACTERS
from astra.core.language import in_script
from astra.core.text import normalise, numbers_in, scalars
from astra.core.untrusted import text_problem
from astra.errors import Rejected
from astra.runs.stage import Stage, StageReport
from astra.teacher.prompt import Teacher
from astra.teacher.prompts.arenas import PARAPHRASE, ParaphraseIn
from astra.types import Arena, Record, Scalar, members_of

PARAPHRASED = "paraphrased"
PARAPHRASE_ATTEMPTS = 3


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


def paraphrase_task(arena: Arena, finding: str = "") -> ParaphraseIn:
    """The teacher's task. `finding`: what was wrong with its last wording."""
    answers = [arena.answer, *(goal.answer for goal in arena.goals)]
    avoid = [str(member) for answer in answers for member in members_of(answer)]
    return ParaphraseIn(
        language=arena.language,
        question=arena.question,
        keep=tuple(dict.fromkeys(map(str, needed_values(arena)))),
        avoid=tuple(dict.fromkeys(avoid)),
        finding=finding,
    )


def needed_values(arena: Arena) -> list[Scalar]:
    """Names and numbers that gold calls take from the question, in their order."""
    return [
        value
        for goal in arena.goals
        if goal.call is not None
        for value in scalars(goal.call.arguments)
        if value is not None and stands_in(value, arena.question)
    ]


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
    # A number too many ("the 3 largest") changes what is asked; one too few, what calls need.
    before, after = set(numbers_in(arena.question)), set(numbers_in(question))
    if before != after:
        odd = sorted(before ^ after)[:3]
        return f"the numbers {odd!r} stand in only one of the old and the new wording"
    for answer, target in [
        (arena.answer, arena.answer_target),
        *((goal.answer, goal.target) for goal in arena.goals),
    ]:
        if leaks(answer, question, target):
            return f"the new wording contains {answer!r:.200}, which is an answer"
    return ""


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
