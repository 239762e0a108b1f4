"""Stage `paraphrased`: questions of finished arenas in natural words; nothing else is touched.

A wording must keep every name and number that the gold calls take from the question, bring in no
other number, name no answer, and stay in its language. One that does not, after some tries, sets
its arena aside: the old wording is not kept, for a run holds one kind of wording only. Then the
certificate examines the arena as any other.

What this does not guarantee: that the new words ask the same. That rests on the teacher.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from rich.console import Console

from astra.arenas.certificate.containment import scalars, stands_in
from astra.arenas.certificate.leak import leaks
from astra.arenas.pipeline import (
    CANDIDATES,
    CandidateArena,
    DistractorOptions,
    certify_candidates,
    mix_distractors,
)
from astra.arenas.synthesis.language import in_language
from astra.arenas.synthesis.rule_checks import QUESTION_CHARACTERS
from astra.core.text import normalise, numbers_in
from astra.core.untrusted import text_problem
from astra.errors import Rejected
from astra.protocols import Embedder, Sandbox
from astra.runs.cost import StageMeter
from astra.runs.folder import RunFolder
from astra.runs.runner import run
from astra.runs.stage import Stage, StageReport
from astra.teacher.prompt import Teacher
from astra.teacher.prompts.arenas import PARAPHRASE, ParaphraseIn
from astra.types import Arena, Record

PARAPHRASED = "paraphrased"
PARAPHRASE_TRIES = 3


class ParaphrasedArena(Record):
    """A row of `paraphrased.jsonl`."""

    key: str
    outcome: Arena


def paraphrased_stage(
    teacher: Teacher, meter: StageMeter
) -> Stage[CandidateArena, ParaphrasedArena]:
    """Candidates to the same with other words in the main question."""

    async def work(candidate: CandidateArena) -> ParaphrasedArena:
        if isinstance(candidate.outcome, Rejected):
            raise candidate.outcome
        arena = candidate.outcome
        question = await _reworded(teacher, arena)
        provenance = {
            **arena.provenance,
            "paraphrase": {"teacher": teacher.name, "of": arena.question},
        }
        changed = arena.model_copy(update={"question": question, "provenance": provenance})
        return ParaphrasedArena(key=candidate.key, outcome=changed.with_content_id())

    return Stage(
        name=PARAPHRASED,
        work=work,
        key=lambda candidate: candidate.key,
        stored_key=lambda row: row["key"],
        stored_id=lambda row: row["key"],
        meter=meter,
    )


async def _reworded(teacher: Teacher, arena: Arena) -> str:
    problem = ""
    for index in range(PARAPHRASE_TRIES):
        given = asked(arena, problem)
        question = (await teacher.ask(PARAPHRASE, given, index=index)).question.strip()
        problem = wording_problem(arena, question)
        if not problem:
            return question
    raise Rejected("paraphrase", problem)


def asked(arena: Arena, finding: str = "") -> ParaphraseIn:
    """What a teacher gets. `finding`: what was wrong with its last wording."""
    return ParaphraseIn(
        language=arena.language,
        question=arena.question,
        keep=tuple(kept(arena)),
        avoid=tuple(_answers(arena)),
        finding=finding,
    )


def kept(arena: Arena) -> list[str]:
    """Names and numbers that gold calls take from the question, each once, in order."""
    found: dict[str, None] = {}
    for goal in arena.goals:
        for value in scalars(goal.call.arguments) if goal.call else ():
            if value is not None and stands_in(value, arena.question):
                found[str(value)] = None
    return list(found)


def _answers(arena: Arena) -> Iterator[str]:
    found: dict[str, None] = {}
    for answer in [arena.answer, *(goal.answer for goal in arena.goals)]:
        for member in answer if isinstance(answer, tuple) else (answer,):
            found[str(member)] = None
    yield from found


def wording_problem(arena: Arena, question: str) -> str:
    """Why a new wording can't stand for the arena's question; "" if it can."""
    if problem := text_problem("the new wording", question, QUESTION_CHARACTERS):
        return problem
    if not in_language(question, arena.language):
        return f"the new wording is not in {arena.language!r}"
    if normalise(question) == normalise(arena.question):
        return "the new wording is the old one"
    for goal in arena.goals:
        for value in scalars(goal.call.arguments) if goal.call else ():
            if stands_in(value, arena.question) and not stands_in(value, question):
                return f"the new wording lacks {value!r}, which a call needs"
    before, after = set(numbers_in(arena.question)), set(numbers_in(question))
    if before != after:
        odd = sorted(before ^ after)[:3]
        return f"the numbers {odd!r} stand in only one of the old and the new wording"
    for answer, target in [
        (arena.answer, arena.answer_target),
        *((goal.answer, goal.target) for goal in arena.goals),
    ]:
        if leaks(answer, question, target):
            return f"the new wording says {answer!r:.200}, which is an answer"
    return ""


async def make_paraphrased(
    candidates: Callable[[], Iterable[CandidateArena]],
    folder: RunFolder,
    *,
    teacher: Teacher,
    count: int,
    sandbox: Sandbox,
    embedder: Embedder,
    mix: DistractorOptions,
    concurrency: int = 8,
    console: Console | None = None,
    meter: Callable[[str], StageMeter] = lambda _stage: StageMeter(),
) -> dict[str, StageReport]:
    """As `pipeline.make`, with the paraphrasing before it.

    `candidates` gives the same candidates each time it is called: wordings that fail the
    certificate are made up for by going on in them. `meter` gives a new one for each run of a
    stage, as each adds to what the manifest has.
    """
    reports: dict[str, StageReport] = {}
    wanted = count
    while True:
        reports[PARAPHRASED] = await run(
            paraphrased_stage(teacher, meter(PARAPHRASED)),
            candidates(),
            folder,
            concurrency=concurrency,
            until=wanted,
            console=console,
        )
        reports[CANDIDATES] = await certify_candidates(
            folder.rows(PARAPHRASED, ParaphrasedArena),
            folder,
            count=count,
            sandbox=sandbox,
            seed=mix.seed,
            concurrency=concurrency,
            console=console,
        )
        missing = count - reports[CANDIDATES].accepted
        if missing <= 0 or reports[PARAPHRASED].accepted < wanted:
            break
        wanted += missing
    return reports | await mix_distractors(
        folder,
        sandbox=sandbox,
        embedder=embedder,
        mix=mix,
        concurrency=concurrency,
        console=console,
    )
