"""Verifies responses to problems.

Words are compared as words, everything else by `math_verify` in worker processes with deadlines:
model output is hostile (`9**9**9**9`, a megabyte of TeX), and the time limits of `math_verify` need
signals.

Not guaranteed:
- A verdict. A worker that runs out of time or memory gives none: `correct` is None, and the
  response must be left out, never scored 0. A policy gains nothing by this: no score means no
  gradient.
- That equal values are recognized in every notation, or that unknown units are compared. Known
  units must agree where both sides have one; a missing unit agrees with any.
- Confinement. Workers have an empty environment, may not write files, and parse LaTeX by a grammar
  without evaluating it; they are not a sandbox.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

from astra.errors import ConfigError
from recipes.problems.answers import MOST_CHARACTERS, as_quantity, as_words, final_answer

WORKER = Path(__file__).with_name("worker.py")
_START_SECONDS = 60.0
"""Extra time for a new worker to import what it needs."""


class AnswerVerdict(NamedTuple):
    """The verdict on a response."""

    correct: bool | None
    """None: there is no verdict."""
    answer: str | None
    """The final answer of the response. None if it has none."""
    reason: str = ""
    """Why there is no verdict."""


class MathVerifier:
    """An async context of worker processes that compare answers. Remembers verdicts while open."""

    def __init__(self, *, workers: int = 2, seconds: float = 5.0) -> None:
        if workers < 1 or seconds <= 0:
            raise ConfigError(f"workers={workers!r}, seconds={seconds!r}: both must be positive")
        self._seconds = seconds
        self._workers = [_Worker() for _ in range(workers)]
        self._idle: asyncio.Queue[_Worker] = asyncio.Queue()
        self._verdicts: dict[tuple[str, str], bool] = {}

    async def __aenter__(self) -> Self:
        for worker in self._workers:
            self._idle.put_nowait(worker)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await asyncio.gather(*(worker.stop() for worker in self._workers))
        self._idle = asyncio.Queue()

    async def verify(self, response: str, gold: str) -> AnswerVerdict:
        """Compare the final answer of a response with the right one."""
        answer = final_answer(response)
        if answer is None or len(answer) > MOST_CHARACTERS:
            return AnswerVerdict(False, answer and answer[:MOST_CHARACTERS])
        return await self.compare(answer, gold)

    async def verify_many(self, pairs: Sequence[tuple[str, str]]) -> list[AnswerVerdict]:
        """Verify (response, right answer) pairs, in their order."""
        return list(await asyncio.gather(*(self.verify(*pair) for pair in pairs)))

    async def compare(self, answer: str, gold: str) -> AnswerVerdict:
        """Compare an answer that stands by itself with the right one."""
        words = as_words(gold)
        if words is not None:
            return AnswerVerdict(words == as_words(answer), answer)
        right, own = as_quantity(gold), as_quantity(answer)
        if right.unit and own.unit and right.unit != own.unit:
            return AnswerVerdict(False, answer)
        if as_words(own.amount) is not None:
            return AnswerVerdict(False, answer)
        pair = (right.amount, own.amount)
        if pair not in self._verdicts:
            worker = await self._idle.get()
            try:
                verdict = await worker.compare(pair, self._seconds)
            finally:
                self._idle.put_nowait(worker)
            if isinstance(verdict, str):
                return AnswerVerdict(None, answer, verdict)
            self._verdicts[pair] = verdict
        return AnswerVerdict(self._verdicts[pair], answer)


class _Worker:
    """One worker process. Starts when it is first used, and again after it was killed."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def compare(self, pair: tuple[str, str], seconds: float) -> bool | str:
        """The verdict, or why there is none."""
        try:
            if self._process is None:
                await self._start(seconds)
            reply = await asyncio.wait_for(self._exchange(pair), seconds)
        except (TimeoutError, OSError, ValueError, asyncio.IncompleteReadError) as error:
            await self.stop()
            late = isinstance(error, TimeoutError)
            return f"no verdict within {seconds} s" if late else f"the worker died: {error!r}"
        except BaseException:
            # Cancelled between question and reply: the next question would get this reply.
            await self.stop()
            raise
        return bool(reply["equal"]) if "equal" in reply else str(reply.get("error"))

    async def _start(self, seconds: float) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            str(WORKER),
            str(os.getpid()),
            # Processor time of one comparison. The deadlines here come first, unless this
            # process was killed and nobody is left to keep them.
            str(_START_SECONDS + seconds),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={},
            cwd="/",
        )
        reply = await asyncio.wait_for(self._exchange(("\\frac{1}{2}", "0.5")), _START_SECONDS)
        if reply != {"equal": True}:
            raise ConfigError(
                f"the worker that verifies answers replied {reply!r}: install the extra, "
                "`pip install astra-arenas[train]` (math-verify, antlr4-python3-runtime 4.13.2)"
            )

    async def _exchange(self, pair: tuple[str, str]) -> dict[str, object]:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(pair).encode() + b"\n")
        await process.stdin.drain()
        return json.loads(await process.stdout.readuntil(b"\n"))

    async def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await process.communicate()
