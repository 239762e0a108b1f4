"""The quality gate: whether a teacher's wrong answers reach certified arenas.

    python -m benchmarks.gate [--count N] [--rate 0.3] [--seed S] [--json FILE]

The rule teacher answers every prompt wrongly at that rate, judges included, and each wrong answer
is followed through the pipeline. Certified arenas are compared with the right answers: if one has a
mistake of four kinds, the exit status is 1. This does not show what passes if a teacher is wrong in
other ways than these defects.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from astra.arenas.pipeline import ARENAS, CANDIDATES, ArenaPipeline
from astra.arenas.sets import ArenaSet
from astra.arenas.synthesis.asking import majority
from astra.arenas.synthesis.judge import QualityThreshold
from astra.arenas.synthesis.pipeline import STAGES, ArenaSynthesis, SynthesisOptions
from astra.arenas.synthesis.records import DecomposedItem, MergedItem, SynthesisItem
from astra.arenas.synthesis.sources import SourceMaterial, items
from astra.core.text import normalise
from astra.models.embed_tfidf import TfidfEmbedder
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow
from astra.runs.runner import StageRunner
from astra.sandbox import open_sandbox
from astra.teacher.prompt import Prompt
from astra.testing.rule_teacher.arenas import (
    ArenaDefect,
    Catalogue,
    CatalogueOptions,
    RuleTeacher,
)
from astra.testing.rule_teacher.arenas.catalogue import covered
from astra.testing.rule_teacher.chance import input_key
from astra.testing.rule_teacher.faults import FaultRates, PlantedDefect
from astra.types import Arena, ArenaRow, Goal, Record, Scalar, canonical_json

WORLD = Path(__file__).parents[1] / "examples" / "world"
FATES = ("undone", "duplicate", *STAGES, CANDIDATES, ARENAS, "certified")
"""Fates of a wrong answer. `undone`: it was outvoted, refused and asked for again, or set aside,
and its instance continued without it. A stage: its instance was rejected there. `certified`: it is
part of a certified arena, or let one pass."""
MUST_BE_ZERO = ("wrong answer", "hard-coded tool", "visible false dependency", "missing step")
LINE, UNJUDGED = "the line", "without its judges"
"""The two parts. In the second the judges reject nothing, to test the stages after them. What it
lets pass is shown, and does not fail the gate."""
_EXAMPLES = 5
_WIDTH = 150
"""Minimum width in characters: without a terminal, a narrower table of fates is unreadable."""


def rates(rate: float) -> dict[ArenaDefect, float]:
    """Rates by defect, with which each prompt that can have one is wrong at `rate`.

    Except `write_document`, which shares the rate of `leak` with the decompositions.
    """
    decomposed = (
        *(
            ArenaDefect.unnecessary_dependency,
            ArenaDefect.non_atomic_step,
            ArenaDefect.missing_step,
        ),
        *(ArenaDefect.inner_step_without_tool, ArenaDefect.wrong_answer, ArenaDefect.leak),
    )
    return {
        **dict.fromkeys(decomposed, rate / len(decomposed)),
        ArenaDefect.verdict_flipped: rate,
        ArenaDefect.wrong_call: rate,
        ArenaDefect.hard_coded_tool: rate / 2,
        ArenaDefect.broken_code: rate / 2,
    }


@dataclass(frozen=True, slots=True)
class WatchedReply:
    """One answer of the teacher, with the defect that was planted in it."""

    prompt: str
    task: Any
    index: int
    answer: Any
    planted: PlantedDefect | None


class WatchedTeacher:
    """A rule teacher that keeps its answers."""

    def __init__(self, teacher: RuleTeacher) -> None:
        self.teacher = teacher
        self.replies: list[WatchedReply] = []

    @property
    def name(self) -> str:
        return self.teacher.name

    async def ask(self, prompt: Prompt[Any, Any], task: Record, *, index: int = 0) -> Any:
        answer = await self.teacher.ask(prompt, task, index=index)
        planted = self.teacher.planted.get(input_key(prompt, task, index))
        self.replies.append(WatchedReply(prompt.name, task, index, answer, planted))
        return answer


# --- the run ----------------------------------------------------------------------------------


def items_of(catalogue: Catalogue, count: int) -> list[SynthesisItem]:
    """Alternately known questions and domains to propose questions about, in both languages."""
    arenas = {normalise(arena.question): arena for arena in catalogue.arenas}.values()
    half = [arena for number, arena in enumerate(arenas) if number % 2]
    questions = [SourceMaterial("question", a.domain, a.language, a.question, "q") for a in half]
    sources = dict.fromkeys((a.domain, a.language) for a in arenas)
    domains = [SourceMaterial("domain", name, language, "", "d") for name, language in sources]
    pairs = zip_longest(items(questions), islice(items(domains), count))
    return list(islice((item for pair in pairs for item in pair if item), count))


async def gate(
    folder: Path,
    catalogue: Catalogue,
    *,
    count: int,
    rate: float = 0.3,
    seed: int = 1,
    judges: bool = True,
) -> dict[str, Any]:
    """Run the pipeline in a new folder. Returns counts by defect, and the mistakes in arenas.

    Without `judges` no score is too low, so the stages after them get what judges would have
    rejected. Verdicts on tools still count, and are right.
    """
    chosen = items_of(catalogue, count)
    shares = {
        d: r for d, r in rates(rate).items() if judges or d is not ArenaDefect.verdict_flipped
    }
    watched = WatchedTeacher(RuleTeacher(catalogue, FaultRates(rates=shares, seed=seed)))
    threshold = QualityThreshold() if judges else QualityThreshold(0.0)
    run = RunFolder.create(folder, {"count": count, "rate": rate, "seed": seed})
    async with open_sandbox(workers=2) as sandbox:
        pipeline = ArenaPipeline(StageRunner(run), sandbox, TfidfEmbedder())
        # `count` is that of the items, so that all that passes is certified.
        await ArenaSynthesis(pipeline, watched).make(
            chosen,
            SynthesisOptions(
                count=len(chosen), judge_votes=3 if judges else 1, threshold=threshold
            ),
        )
    return report(run, watched, chosen)


def report(
    run: RunFolder, watched: WatchedTeacher, chosen: Sequence[SynthesisItem]
) -> dict[str, Any]:
    """The counts as JSON."""
    fates = _Fates(run, watched, chosen)
    defects = {defect.value: dict.fromkeys(("planted", *FATES), 0) for defect in ArenaDefect}
    for defect, fate in fates.all():
        defects[defect]["planted"] += 1
        defects[defect][fate] += 1
    sources = {
        source
        for reply in watched.replies
        if reply.planted and reply.planted.defect is ArenaDefect.hard_coded_tool
        for source in [_source(reply.answer)]
    }
    examples: dict[str, list[str]] = {kind: [] for kind in MUST_BE_ZERO}
    for arena in ArenaSet(run.path):
        for kind, what in mistakes(arena, watched.teacher, sources):
            examples[kind].append(f"{arena.id} ({arena.question:.200}): {what}")
    return {
        "items": len(chosen),
        "answers": len(watched.replies),
        "wrong_answers": sum(reply.planted is not None for reply in watched.replies),
        "arenas": len(fates.certified),
        "defects": defects,
        "must_be_zero": {kind: len(rows) for kind, rows in examples.items()},
        "examples": {kind: rows[:_EXAMPLES] for kind, rows in examples.items() if rows},
    }


def _source(answer: Any) -> str:
    return getattr(answer, "implementation", answer).source


# --- fates of wrong answers ------------------------------------------------------------------


class _Fates:
    """Follows wrong answers through the rows of a run."""

    def __init__(
        self, run: RunFolder, watched: WatchedTeacher, chosen: Sequence[SynthesisItem]
    ) -> None:
        self._replies = watched.replies
        self._rows = {row.key: row for row in run.rows(STAGES[0], DecomposedItem)}
        self._by_question: dict[str, str] = {}
        for row in self._rows.values():
            self._by_question.setdefault(row.question, row.key)
        self._items = {(i.domain, i.language, i.question, i.number): i.key for i in chosen}
        self._merged = {row.key: row.arena for row in run.rows(STAGES[-1], MergedItem)}
        self.certified = {row.key for row in run.rows(ARENAS, ArenaRow)}
        self._fell: dict[str, str] = {}
        for stage in (*STAGES, CANDIDATES, ARENAS):
            for failure in run.rows(f"{stage}.failed", FailureRow):
                duplicate = failure.check == "duplicate"
                self._fell[failure.key] = "duplicate" if duplicate else stage
        self._verdicts: dict[tuple[str, str, str], list[bool]] = defaultdict(list)
        self._tries: Counter[tuple[str, str]] = Counter()
        self._documents: Counter[tuple[str, str]] = Counter()
        for reply in self._replies:
            self._learn(reply)

    def _learn(self, reply: WatchedReply) -> None:
        task = reply.task
        if reply.prompt.startswith("judge_"):
            for point, holds in _verdicts(reply).items():
                self._verdicts[point].append(holds)
        elif reply.prompt == "write_document":
            place = (task.main_question, task.question)
            self._documents[place] = max(self._documents[place], reply.index)
        elif reply.prompt in ("write_call", "write_tool"):
            place = (task.main_question, task.question)
            self._tries[place] = max(self._tries[place], reply.index)

    def all(self) -> Iterator[tuple[str, str]]:
        """Defect and fate of every wrong answer, once for each instance that got it."""
        for reply in self._replies:
            if reply.planted is not None:
                key = self._key(reply)
                fate = "certified" if key in self.certified else self._fell.get(key, "")
                yield reply.planted.defect.value, "undone" if self._undone(reply, key) else fate

    def _key(self, reply: WatchedReply) -> str:
        """Key of the instance that the answer is for."""
        task = reply.task
        match reply.prompt:
            case "propose" | "decompose":
                question, number = getattr(task, "question", ""), getattr(task, "number", 0)
                return self._items[task.domain, task.language, question, number]
            case _:
                return self._by_question[getattr(task, "main_question", "") or task.question]

    def _undone(self, reply: WatchedReply, key: str) -> bool:
        task, row = reply.task, self._rows.get(key)
        match reply.prompt:
            case "propose" | "decompose":
                # A question of the input stays as it is.
                leak = reply.planted is not None and reply.planted.defect is ArenaDefect.leak
                return leak and row is not None and row.question != reply.answer.question
            case "write_document":
                return self._documents[task.main_question, task.question] > reply.index
            case "write_call" | "write_tool":
                return self._tries[task.main_question, task.question] > reply.index
            case "extend_tool":
                merged = self._merged.get(key)
                sources = {tool.source for tool in merged.tools} if merged else set[str]()
                return merged is not None and _source(reply.answer) not in sources
            case _:
                assert reply.planted is not None
                point = reply.prompt, task.question, reply.planted.step
                return majority(tuple(self._verdicts[point])) != _verdicts(reply)[point]


def _verdicts(reply: WatchedReply) -> dict[tuple[str, str, str], bool]:
    """Prompt, main question and step -> what a judge says. A whole plan's step is empty."""
    verdicts = getattr(reply.answer, "verdicts", [reply.answer])
    return {
        (reply.prompt, reply.task.question, getattr(verdict, "step", "")): verdict.holds
        for verdict in verdicts
    }


# --- what must not be in a certified arena ----------------------------------------------------


def mistakes(arena: Arena, teacher: RuleTeacher, hard_coded: Set[str]) -> Iterator[tuple[str, str]]:
    """The mistakes of `MUST_BE_ZERO` in an arena: kind and description."""
    right = teacher.catalogue.find(arena.question)
    if right is None:
        raise ValueError(f"the question {arena.question!r} is not in the catalogue")
    if not _same(arena.answer, right.answer):
        yield "wrong answer", f"{arena.answer!r}, not {right.answer!r}"
    asks = {goal.id: covered(right, goal.question) for goal in arena.goals}
    for goal in arena.goals:
        own = asks[goal.id]
        if own and not _same(goal.answer, own[-1].answer):
            yield "wrong answer", f"{goal.id}: {goal.answer!r}, not {own[-1].answer!r}"
        for parent in _unused(goal, arena, asks):
            yield "visible false dependency", f"{goal.id} lists {parent}"
    asked_for = {goal.id for own in asks.values() for goal in own}
    for goal in right.goals:
        if goal.id not in asked_for:
            yield "missing step", goal.question
    for tool in arena.tools:
        if tool.source in hard_coded:
            yield "hard-coded tool", tool.name


def _unused(goal: Goal, arena: Arena, asks: dict[str, list[Goal]]) -> Iterator[str]:
    """Needless dependencies of a call, whose answers none of its arguments uses."""
    if goal.call is None:
        return
    needed = {name for own in asks[goal.id] for name in own.depends_on}
    text = normalise(canonical_json(goal.call.arguments))
    answers = {other.id: other.answer for other in arena.goals}
    for parent in goal.depends_on:
        answer = answers[parent]
        parts = answer if isinstance(answer, tuple) else (answer,)
        used = any(normalise(str(part)) in text for part in parts)
        if not used and not needed & {one.id for one in asks[parent]}:
            yield parent


def _same(a: Scalar | tuple[Scalar, ...], b: Scalar | tuple[Scalar, ...]) -> bool:
    left, right = (
        {normalise(str(part)) for part in (v if isinstance(v, tuple) else (v,))} for v in (a, b)
    )
    return left == right


# --- output -----------------------------------------------------------------------------------


def table(title: str, found: dict[str, Any]) -> Table:
    """The fates of the wrong answers by defect."""
    title = f"{title}: {found['items']} items, {found['wrong_answers']} of {found['answers']} "
    shown = Table(title=f"{title}answers wrong, {found['arenas']} arenas")
    for name in ("defect", *_NAMES):
        shown.add_column(name, no_wrap=True)
    for defect, counts in found["defects"].items():
        shown.add_row(defect.replace("_", " "), *(str(number or "") for number in counts.values()))
    return shown


_NAMES = ("planted", *(name.replace("decompositions", "decomposed") for name in FATES))


def summary(parts: dict[str, Any]) -> Table:
    """Number of mistakes in certified arenas."""
    shown = Table("in certified arenas", *parts)
    for kind in MUST_BE_ZERO:
        shown.add_row(kind, *(str(found["must_be_zero"][kind]) for found in parts.values()))
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, or 1 if a certified arena has one of the four mistakes."""
    parser = argparse.ArgumentParser(prog="benchmarks.gate")
    parser.add_argument("--count", type=int, default=450, help="items that go in")
    parser.add_argument("--rate", type=float, default=0.3, help="share of wrong answers")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="file to write")
    options = parser.parse_args(arguments)
    console = Console(width=max(_WIDTH, Console().width))
    parts: dict[str, Any] = {}
    known = CatalogueOptions(size=max(options.count // 2, 20), seed=options.seed)
    catalogue = Catalogue.of_tables([WORLD], known)
    # Fewer items for the second part, in which many more pass.
    for title, judges, count in [
        (LINE, True, options.count),
        (UNJUDGED, False, max(options.count // 3, 4)),
    ]:
        with tempfile.TemporaryDirectory() as temporary:
            run = gate(
                Path(temporary) / "run",
                catalogue,
                count=count,
                rate=options.rate,
                seed=options.seed,
                judges=judges,
            )
            parts[title] = asyncio.run(run)
        console.print(table(title, parts[title]))
    console.print(summary(parts))
    if options.json:
        settings = {"rate": options.rate, "seed": options.seed}
        text = json.dumps({**settings, "parts": parts}, indent=2, ensure_ascii=False)
        options.json.write_text(text + "\n", encoding="utf-8")
    for title, found in parts.items():
        for kind, rows in found["examples"].items():
            for row in rows:
                console.print(f"{title}: {kind}: {row}", markup=False)
    if not parts[LINE]["arenas"]:
        console.print("no arena was certified, which shows nothing: give more --count")
        return 1
    return 1 if any(parts[LINE]["must_be_zero"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
