"""How much of an endpoint's speed a stage with a model teacher keeps.

The endpoint is the teacher server in a process of its own, which takes half a second an answer.
A bare loop over the `openai` client sends the same requests, 256 at once; then a stage does, with
rendering, checking and recording. Both share the machine with the server.
"""

from __future__ import annotations

import asyncio
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

CALLS, AT_ONCE, LATENCY = 1536, 256, 0.5
ROUNDS = 2
"""Of each, in turn; the better one counts."""

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
    async with openai.AsyncOpenAI(api_key="none", base_url=url, max_retries=0) as client:

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


def measure() -> dict[str, dict[str, Any]]:
    """The share that the stage reaches of the loop's rate: the better of two runs of each."""
    with served() as url, tempfile.TemporaryDirectory() as temporary:
        loop = stage = float("inf")
        work: list[float] = []
        for number in range(ROUNDS):
            before = time.process_time()
            loop = min(loop, asyncio.run(bare(url)))
            between = time.process_time()
            stage = min(stage, asyncio.run(staged(url, Path(temporary) / f"run-{number}")))
            work.append((time.process_time() - between) / (between - before))
    share = loop / stage
    what = f"{CALLS} calls, {AT_ONCE} at once, {LATENCY} s each"
    return {
        f"teacher calls of a bare loop ({what})": {
            "value": round(CALLS / loop),
            "goal": None,
            "unit": "1/s",
            "ok": None,
        },
        "share of it that a stage with a model teacher keeps": {
            "value": round(share, 3),
            "goal": ">= 0.9",
            "unit": "of the loop",
            "ok": share >= 0.9,
        },
        # Does not depend on what else the machine does, as the share of wall time does.
        "processor time of that stage": {
            "value": round(min(work), 2),
            "goal": None,
            "unit": "x the loop's",
            "ok": None,
        },
    }
