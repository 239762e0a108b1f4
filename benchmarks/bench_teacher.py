"""How much of an endpoint's speed a stage with a model teacher keeps.

The endpoint is the teacher server in a process of its own, which takes half a second an answer.
A bare loop over the `openai` client sends the same requests, 256 at once; a stage does so with
rendering, checking and recording. They take turns, in short rounds, so that what else the machine
does slows both alike. Both share it with the server.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai

from astra.models.openai import OpenAIModel
from astra.runs.folder import RunFolder
from astra.runs.runner import run
from astra.runs.stage import Stage
from astra.teacher.cache import AnswerCache
from astra.teacher.model import ModelTeacher, response_format
from astra.teacher.prompts.arenas import NECESSITY, DecompositionStep, StepsIn, StepVerdicts
from astra.teacher.render import PromptTemplates
from astra.types import Json, Record
from benchmarks.figures import Figures, at_least, plain

CALLS, AT_ONCE, LATENCY = 768, 256, 0.5
ROUNDS = 6
"""Of each, after one that warms up. The median of the rounds' ratios counts."""

_SERVE = """
import sys, time
from astra.teacher.prompts.arenas import StepVerdict, StepVerdicts
from astra.testing.teacher_server import TeacherServer
class Constant:
    name = "rules"
    async def ask(self, prompt, given, *, index=0):
        verdict = StepVerdict(step="s1", reason="It must be looked up.", holds=True)
        return StepVerdicts(verdicts=(verdict,))
with TeacherServer(Constant(), latency=float(sys.argv[1])) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""


class Row(Record):
    """An item with its verdict."""

    id: str
    verdict: StepVerdicts


@contextmanager
def served() -> Iterator[str]:
    """The URL of the server, which ends with the context."""
    with subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(LATENCY)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate()


def asked(number: int) -> StepsIn:
    """The input of one call, unlike all others."""
    step = DecompositionStep(
        id="s1", question=f"Which river is number {number}?", answer="Elbe", kind="text"
    )
    return StepsIn(
        domain="rivers", language="en", question=step.question, steps=(step,), judge=(step.id,)
    )


async def bare(url: str) -> float:
    """Seconds of the loop."""
    templates, left = PromptTemplates(), iter(range(CALLS))
    form: Any = response_format("schema", NECESSITY)
    # As patient as the stage's: by itself it gives up on a connection after five seconds.
    async with openai.AsyncOpenAI(
        api_key="none", base_url=url, max_retries=0, timeout=300
    ) as client:

        async def worker() -> None:
            for number in left:
                messages: Any = [
                    {"role": message.role, "content": message.content}
                    for message in templates.messages(NECESSITY, asked(number))
                ]
                await client.chat.completions.create(
                    model="rules", messages=messages, response_format=form
                )

        start = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
        return time.perf_counter() - start


async def staged(url: str, folder: Path) -> float:
    """Seconds of the stage."""
    run_folder = RunFolder.create(folder, {})
    async with OpenAIModel("rules", url) as model:
        with AnswerCache(run_folder) as cache:
            teacher = ModelTeacher(model, cache=cache)

            async def work(number: int) -> Row:
                return Row(id=str(number), verdict=await teacher.ask(NECESSITY, asked(number)))

            def stored(row: Json) -> str:
                return row["id"]

            stage = Stage("judged", work, str, stored)
            start = time.perf_counter()
            report = await run(stage, range(CALLS), run_folder, concurrency=AT_ONCE)
            seconds = time.perf_counter() - start
    if report.accepted != CALLS:
        raise AssertionError(f"{CALLS - report.accepted} calls broke: {report.errors!r}")
    return seconds


def rounds() -> Iterator[tuple[float, float, float]]:
    """Of each round: seconds of the loop, seconds of the stage, processor time against the loop's.

    Whoever went last in one round goes first in the next.
    """
    with served() as url, tempfile.TemporaryDirectory() as temporary:
        for number in range(ROUNDS + 1):
            turns = {"loop": bare(url), "stage": staged(url, Path(temporary) / f"run-{number}")}
            took: dict[str, tuple[float, float]] = {}
            for name in reversed(turns) if number % 2 else turns:
                before = time.process_time()
                seconds = asyncio.run(turns[name])
                took[name] = seconds, time.process_time() - before
            if number:
                (loop, loop_work), (stage, stage_work) = took["loop"], took["stage"]
                yield loop, stage, stage_work / loop_work


def measure() -> Figures:
    """The share that the stage reaches of the loop's rate: medians over rounds."""
    found = list(rounds())
    share = statistics.median(loop / stage for loop, stage, _ in found)
    what = f"{CALLS} calls, {AT_ONCE} at once, {LATENCY} s each"
    return {
        f"teacher calls of a bare loop ({what})": plain(
            round(CALLS / statistics.median(loop for loop, _, _ in found)), "1/s"
        ),
        "share of it that a stage with a model teacher keeps": at_least(
            round(share, 3), 0.95, "of the loop"
        ),
        # Does not depend on what else the machine does, as the share of wall time does.
        "processor time of that stage": plain(
            round(statistics.median(work for _, _, work in found), 2), "x the loop's"
        ),
    }
