"""Arenas from a teacher: whether memory stays flat as the run grows.

Each run is a process of its own, on a file of that many questions. The rule teacher knows the first
few, which become arenas; the others are taken apart and judged by a made-up teacher, recorded, and
found wanting. So the stages through which all must go hold all, and the dear ones always the same.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from astra.arenas.pipeline import ARENAS, ArenaPipeline
from astra.arenas.synthesis.judge import VALIDATED
from astra.arenas.synthesis.pipeline import ArenaSynthesis, SynthesisOptions
from astra.arenas.synthesis.sources import items, read_questions
from astra.models.embed_tfidf import TfidfEmbedder
from astra.protocols import Reply, Sampling
from astra.runs.folder import RunFolder
from astra.runs.runner import StageRunner
from astra.sandbox import open_sandbox
from astra.teacher.cache import AnswerCache
from astra.teacher.model import ModelTeacher
from astra.teacher.prompts.arenas import (
    ALL,
    ATOMICITY,
    COMPLETENESS,
    Decomposition,
    DecompositionStep,
    JudgeVerdict,
    StepVerdict,
    StepVerdicts,
)
from astra.teacher.render import as_task, read_task
from astra.testing.rule_teacher.arenas import RuleTeacher
from astra.types import FinishReason, Json, Message, Record, Usage
from benchmarks.memory import peak_mib

WORLD = Path(__file__).parents[1] / "examples" / "world"
FEW, MANY, KNOWN = 1_000, 20_000, 10
_PROMPTS = {prompt.name: prompt for prompt in ALL}


class Invented:
    """A model that answers rendered prompts: by the rule teacher, or with something made up."""

    name = "invented"

    def __init__(self, rules: RuleTeacher) -> None:
        self._rules = rules

    async def complete(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        response_format: Mapping[str, Json] | None = None,
    ) -> Sequence[Reply]:
        del response_format
        task = read_task([message.model_dump() for message in messages])
        assert task is not None
        prompt = _PROMPTS[task.prompt]
        given = as_task(prompt, task.fields)
        main = task.fields.get("main_question", task.fields.get("question", ""))
        if "number" in str(main) and "register" in str(main):
            answer = _made_up(prompt.name, str(task.fields["question"]))
        else:
            answer = await self._rules.ask(prompt, given, index=sampling.seed or 0)
        text = json.dumps(answer.model_dump(mode="json"), ensure_ascii=False)
        usage = Usage(prompt_tokens=1_000, completion_tokens=50)
        return [Reply(Message(role="assistant", content=text), FinishReason.stop, usage)]


def question(number: int) -> str:
    """One of many that differ, as long as those of people."""
    return f"In which town of the province does the entry with number {number} of the register lie?"


def _made_up(prompt: str, asked: str) -> Record:
    if prompt != "decompose":
        # What is not atomic scores 0.75, which is too low.
        reason, holds = "As one can see from the question.", prompt != ATOMICITY.name
        if prompt == COMPLETENESS.name:
            return JudgeVerdict(reason=reason, holds=holds)
        return StepVerdicts(verdicts=(StepVerdict(step="s1", reason=reason, holds=holds),))
    number = next(word for word in asked.split() if word.isdecimal())
    answer = f"Newtown {number}0"
    step = DecompositionStep(
        id="s1",
        question=f"What town is given in the register for the entry that has the number {number}?",
        depends_on=(),
        needs_tool=True,
        answer=answer,
        kind="text",
    )
    return Decomposition(
        answerable=True, reason="", question=asked, steps=(step,), answer=answer, kind="text"
    )


async def line(count: int, folder: Path) -> dict[str, Any]:
    """Run the whole pipeline on this many questions."""
    rules = RuleTeacher.of_tables([WORLD], seed=1, size=40)
    known = [(arena.question, arena.domain) for arena in rules.catalogue.arenas[:KNOWN]]
    made = ((question(number), "registers") for number in range(count - len(known)))
    with (folder / "questions.jsonl").open("w", encoding="utf-8") as file:
        for text, domain in (*known, *made):
            file.write(json.dumps({"question": text, "domain": domain}) + "\n")
    run = RunFolder.create(folder / "run", {"count": count})
    start = time.perf_counter()
    async with open_sandbox(workers=2) as sandbox:
        with AnswerCache(run) as cache:
            sampling = Sampling(seed=0)
            teacher = ModelTeacher(Invented(rules), cache=cache, sampling=sampling)
            wanted = items(read_questions(folder / "questions.jsonl"))
            options = SynthesisOptions(count=count, judge_votes=1)
            pipeline = ArenaPipeline(StageRunner(run, concurrency=64), sandbox, TfidfEmbedder())
            reports = await ArenaSynthesis(pipeline, teacher).make(wanted, options)
    ended = reports[VALIDATED]
    return {
        "ended": ended.accepted + sum(ended.rejected.values()),
        "arenas": reports[ARENAS].accepted,
        "seconds": time.perf_counter() - start,
        "MiB": peak_mib(),
    }


def measured(count: int) -> dict[str, Any]:
    """The same in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", __spec__.name, str(count), folder],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            cwd=Path(__file__).parents[1],
        )
    found = json.loads(done.stdout)
    if found["ended"] != count or not 0 < found["arenas"] <= KNOWN:
        raise AssertionError(f"{count} questions went in: {found!r}")
    return found


def measure() -> dict[str, dict[str, Any]]:
    """Peak memory of two sizes of run, and the speed of the larger."""
    few, many = measured(FEW), measured(MANY)
    ratio = many["MiB"] / few["MiB"]
    return {
        f"peak memory of {MANY} questions with a teacher against {FEW}": {
            "value": round(ratio, 2),
            "goal": "<= 1.5",
            "unit": f"x ({few['MiB']} and {many['MiB']} MiB)",
            "ok": ratio <= 1.5,
        },
        "questions decomposed, judged and recorded a second, by a teacher that takes no time": {
            "value": round(MANY / many["seconds"]),
            "goal": None,
            "unit": "1/s",
            "ok": None,
        },
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(line(int(sys.argv[1]), Path(sys.argv[2])))))
