"""Whether a response to a problem is right.

Words are compared as words, everything else by `math_verify` in worker processes with deadlines:
model output is hostile (`9**9**9**9`, a megabyte of TeX), and its time limits need signals.

What this does not guarantee:
- a verdict. A worker that runs out of time or memory, or dies, gives none: `correct` is None, and
  the response must be left out, never scored 0. A policy gains nothing by it: what has no score
  has no gradient.
- that equal values are told equal in every notation, or that a unit other than those known is
  compared. Known units must agree where both sides have one; no unit agrees with any.
- confinement. Workers have no environment of ours, may not write files, and parse LaTeX by a
  grammar without evaluating it; they are no sandbox.
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
from recipes.problems.answers import LONGEST, as_words, final_answer, quantity

WORKER = Path(__file__).with_name("worker.py")
_STARTING = 60.0
"""Seconds that a new worker may take beside the deadline, to import what it needs."""


class AnswerVerdict(NamedTuple):
    """What is known of a response."""

    correct: bool | None
    """None: no verdict could be had."""
    answer: str | None
    """What it gave as its answer; None: nothing."""
    reason: str = ""
    """Why there is no verdict."""


class MathVerifier:
    """An async context of `workers` processes. `seconds`: deadline of one comparison.

    Verdicts on equal pairs are remembered while it is open.
    """

    def __init__(self, *, workers: int = 2, seconds: float = 5.0) -> None:
        if workers < 1 or seconds <= 0:
            raise ConfigError(f"workers={workers!r}, seconds={seconds!r}: both must be positive")
        self._seconds = seconds
        self._all = [_Worker() for _ in range(workers)]
        self._idle: asyncio.Queue[_Worker] = asyncio.Queue()
        self._known: dict[tuple[str, str], bool] = {}

    async def __aenter__(self) -> Self:
        for worker in self._all:
            self._idle.put_nowait(worker)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await asyncio.gather(*(worker.stop() for worker in self._all))
        self._idle = asyncio.Queue()

    async def verify(self, response: str, gold: str) -> AnswerVerdict:
        """Judge a response by its final answer."""
        answer = final_answer(response)
        if answer is None or len(answer) > LONGEST:
            return AnswerVerdict(False, answer and answer[:LONGEST])
        return await self.compare(answer, gold)

    async def verify_many(self, pairs: Sequence[tuple[str, str]]) -> list[AnswerVerdict]:
        """Judge (response, gold) pairs, in their order."""
        return list(await asyncio.gather(*(self.verify(*pair) for pair in pairs)))

    async def compare(self, answer: str, gold: str) -> AnswerVerdict:
        """Judge an answer that stands by itself."""
        words = as_words(gold)
        if words is not None:
            return AnswerVerdict(words == as_words(answer), answer)
        wanted, found = quantity(gold), quantity(answer)
        if wanted.unit and found.unit and wanted.unit != found.unit:
            return AnswerVerdict(False, answer)
        if as_words(found.amount) is not None:
            return AnswerVerdict(False, answer)
        pair = (wanted.amount, found.amount)
        if pair not in self._known:
            told = await self._ask(pair)
            if isinstance(told, str):
                return AnswerVerdict(None, answer, told)
            self._known[pair] = told
        return AnswerVerdict(self._known[pair], answer)

    async def _ask(self, pair: tuple[str, str]) -> bool | str:
        """The verdict of a worker, or why it has none."""
        worker = await self._idle.get()
        try:
            return await worker.ask(pair, self._seconds)
        finally:
            self._idle.put_nowait(worker)


class _Worker:
    """One process, started when it is asked and again after it was killed; it ends with us."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def ask(self, pair: tuple[str, str], seconds: float) -> bool | str:
        try:
            if self._process is None:
                await self._start(seconds)
            reply = await asyncio.wait_for(self._exchange(pair), seconds)
        except (TimeoutError, OSError, ValueError, asyncio.IncompleteReadError) as error:
            await self.stop()
            late = isinstance(error, TimeoutError)
            return f"no verdict within {seconds} s" if late else f"the worker died: {error!r}"
        except BaseException:
            await self.stop()  # cancelled between question and answer: the next would get this one
            raise
        return bool(reply["equal"]) if "equal" in reply else str(reply.get("error"))

    async def _start(self, seconds: float) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            str(WORKER),
            str(os.getpid()),
            str(_STARTING + seconds),  # of one thread's work: never reached while we wait
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={},
            cwd="/",
        )
        warm = await asyncio.wait_for(self._exchange(("\\frac{1}{2}", "0.5")), _STARTING)
        if warm != {"equal": True}:
            raise ConfigError(
                f"the worker that verifies answers says {warm!r}: install the extra, "
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
