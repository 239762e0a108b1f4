"""A run of a benchmark: plays its tasks, keeps the episodes, summarizes them.

Run folder: `episodes.jsonl` in the order of tasks and trials, `replies.jsonl` with every message
that a model wrote (as it came), `failures.jsonl` with episodes that broke, `benchmark.json` with
versions and hashes of data, `report.json`. A stopped run resumes: an episode that was not finished
is played again from the replies that came, and the model is asked for none of them twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from astra.configs.benchmarks import BenchmarkConfig
from astra.errors import ConfigError, HostError, ModelError, StageError, StoreError
from astra.evaluation.benchmarks.environments import WORKERS, Benchmark, environment_of
from astra.evaluation.benchmarks.models import open_model, reference_model
from astra.evaluation.benchmarks.process import BenchmarkProcess
from astra.evaluation.benchmarks.records import (
    BenchmarkEpisode,
    BenchmarkSummary,
    BenchmarkTask,
    BenchmarkTool,
    RecordedReply,
)
from astra.evaluation.benchmarks.report import summarize
from astra.protocols import Model, Sampling
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow, to_line
from astra.runs.opening import open_run
from astra.runs.repetitions import unique_rows
from astra.types import Json, Message, Usage

EPISODES = "episodes"
REPLIES = "replies"
FAILURES = f"{EPISODES}.failed"
REPORT = "report.json"
SOURCES = "benchmark.json"
HOPELESS = 20
"""A run stops when so many episodes in a row broke: the endpoint is down."""
_AHEAD = 4
"""Episodes may be finished this many times `concurrency` before an earlier one is."""

Outcome = BenchmarkEpisode | FailureRow
Place = tuple[str, int]
"""Task and trial of an episode."""


class BenchmarkEstimate(NamedTuple):
    """What a run would ask for, if every task were solved in the shortest way."""

    tasks: int
    episodes: int
    requests: int
    prompt_tokens: int
    """Four characters count as a token."""
    completion_tokens: int


async def run_benchmark(
    benchmark: Benchmark,
    config: BenchmarkConfig,
    environments: Path,
    *,
    on_episode: Callable[[Outcome, int], None] | None = None,
) -> tuple[RunFolder, BenchmarkSummary]:
    """Play a benchmark. `on_episode` receives each episode and the number of all.

    Raises StageError when episode after episode breaks, so that there is no score at all.
    """
    async with AsyncExitStack() as stack:
        process, packages = await _start(benchmark, config, environments, stack)
        tasks = _selected(process.tasks, config.limit)
        digest = hashlib.sha256(json.dumps(process.files, sort_keys=True).encode()).hexdigest()
        pinned = {p.partition("==")[0].partition("[")[0] for p in benchmark.packages}
        versions = {name: packages[name] for name in sorted(pinned & packages.keys())}
        inputs: dict[str, Json] = {"data": digest, "packages": versions}
        folder = open_run(config, config.out, inputs=inputs)
        with folder.lock():
            if folder.exists(REPORT):
                return folder, open_summary(folder)
            sources = {"packages": packages, "files": process.files}
            folder.replace(SOURCES, [json.dumps(sources, indent=2).encode(), b"\n"])
            run = _Run(config, process, folder)
            await run.play(tasks, stack, on_episode)
            summary = summarize(benchmark, tasks, run.episodes(), run.failures, config)
            if not run.failures:  # else the same command plays the rest
                report = summary.model_dump_json(indent=2).encode()
                folder.replace(REPORT, [report, b"\n"])
        return folder, summary


async def estimate(
    benchmark: Benchmark, config: BenchmarkConfig, environments: Path
) -> BenchmarkEstimate:
    """What a run would ask for. No model is asked: the gold policy plays."""
    requests = prompt = completion = 0
    async with AsyncExitStack() as stack:
        process, _ = await _start(benchmark, config, environments, stack)
        tasks = _selected(process.tasks, config.limit)

        async def play(task: BenchmarkTask) -> None:
            gold = iter(task.gold or ())

            async def ask(
                messages: Sequence[Message], tools: Sequence[BenchmarkTool], _: object
            ) -> Message:
                nonlocal requests, prompt, completion
                reply = next(gold, Message(role="assistant", content="."))
                requests += 1
                prompt += sum(len(m.model_dump_json()) for m in messages)
                prompt += sum(len(tool.model_dump_json()) for tool in tools)
                completion += len(reply.model_dump_json())
                return reply

            await process.play(task.id, config.seed, ask)

        for start in range(0, len(tasks), config.concurrency):
            await asyncio.gather(*map(play, tasks[start : start + config.concurrency]))
    trials = config.repetitions
    return BenchmarkEstimate(
        tasks=len(tasks),
        episodes=len(tasks) * trials,
        requests=requests * trials,
        prompt_tokens=prompt // 4 * trials,
        completion_tokens=completion // 4 * trials,
    )


def open_summary(folder: RunFolder) -> BenchmarkSummary:
    """The summary of a finished run. Raises ConfigError if there is none."""
    if not folder.exists(REPORT):
        raise ConfigError(
            f"{str(folder.path)!r} holds no finished evaluation: run the command that made it again"
        )
    try:
        return BenchmarkSummary.model_validate_json(folder.read(REPORT))
    except ValidationError:
        raise StoreError(
            f"{str(folder.path / REPORT)!r} is damaged: delete it and evaluate again"
        ) from None


def episodes_of(folder: RunFolder) -> Iterator[BenchmarkEpisode]:
    """The scored episodes of a run folder."""
    return unique_rows(folder, EPISODES, BenchmarkEpisode, lambda episode: episode.key)


async def _start(
    benchmark: Benchmark, config: BenchmarkConfig, environments: Path, stack: AsyncExitStack
) -> tuple[BenchmarkProcess, dict[str, str]]:
    python, packages = environment_of(benchmark, environments)
    options = benchmark.worker_options(config)
    process = BenchmarkProcess(python, WORKERS / benchmark.script, options)
    return await stack.enter_async_context(process), packages


def _selected(tasks: Sequence[BenchmarkTask], limit: int | None) -> list[BenchmarkTask]:
    """The first tasks of each category. Raises ConfigError if there are none."""
    seen: dict[str, int] = {}
    selected: list[BenchmarkTask] = []
    for task in tasks:
        seen[task.category] = seen.get(task.category, 0) + 1
        if limit is None or seen[task.category] <= limit:
            selected.append(task)
    if not selected:
        raise ConfigError("the benchmark has no tasks: check its options and its files")
    return selected


class _Run:
    """The episodes of one run."""

    def __init__(
        self, config: BenchmarkConfig, process: BenchmarkProcess, folder: RunFolder
    ) -> None:
        self._config, self._process, self._folder = config, process, folder
        self.failures: list[FailureRow] = []

    def episodes(self) -> Iterator[BenchmarkEpisode]:
        return episodes_of(self._folder)

    async def play(
        self,
        tasks: Sequence[BenchmarkTask],
        stack: AsyncExitStack,
        on_episode: Callable[[Outcome, int], None] | None,
    ) -> None:
        """Play what is missing, and write it down."""
        done = {episode.key for episode in self.episodes()}
        places = [(task, trial) for task in tasks for trial in range(self._config.repetitions)]
        missing = [(task, trial) for task, trial in places if (task.id, trial) not in done]
        if not missing:
            return
        self._replies: dict[tuple[str, int, int], RecordedReply] = {
            (reply.task, reply.trial, reply.turn): reply
            for reply in self._folder.rows(REPLIES, RecordedReply)
            if (reply.task, reply.trial) not in done
        }
        self._model: Model | None = None
        concurrency = self._config.concurrency
        if self._config.policy is None:
            self._model, local = await open_model(self._config, stack)
            # Episodes of a local model must not depend on which others run beside them.
            concurrency = 1 if local else concurrency
        in_a_row = 0
        with (
            self._folder.append(EPISODES) as log,
            self._folder.append(FAILURES) as failed,
            self._folder.append(REPLIES) as self._reply_log,
        ):
            failed.cut(0)
            async with aclosing(self._outcomes(missing, concurrency)) as outcomes:
                async for outcome in outcomes:
                    if isinstance(outcome, FailureRow):
                        self.failures.append(outcome)
                        failed.append([to_line(outcome)])
                        in_a_row += 1
                    else:
                        log.append([to_line(outcome)])
                        in_a_row = 0
                    if on_episode is not None:
                        on_episode(outcome, len(places))
                    if in_a_row >= HOPELESS:
                        raise StageError(
                            f"stopped: {HOPELESS} episodes in a row broke; {outcome.message}. "
                            "Nothing is scored; the same command resumes"
                        )

    async def _outcomes(
        self, places: Sequence[tuple[BenchmarkTask, int]], concurrency: int
    ) -> AsyncGenerator[Any]:
        """Outcomes in the order of the places."""
        gate = asyncio.Semaphore(concurrency)

        async def gated(task: BenchmarkTask, trial: int) -> Outcome:
            async with gate:
                return await self._episode(task, trial)

        waiting = iter(places)
        running: deque[asyncio.Task[Outcome]] = deque()
        try:
            for task, trial in islice(waiting, concurrency * _AHEAD):
                running.append(asyncio.create_task(gated(task, trial)))
            while running:
                outcome = await running.popleft()
                for task, trial in islice(waiting, 1):
                    running.append(asyncio.create_task(gated(task, trial)))
                yield outcome
        finally:
            for left in running:
                left.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _episode(self, task: BenchmarkTask, trial: int) -> Outcome:
        config = self._config
        model = self._model or reference_model(config, task)
        digest = hashlib.blake2b(digest_size=16)
        said: list[Message] = []
        spent = Usage()

        async def ask(
            messages: Sequence[Message], tools: Sequence[BenchmarkTool], new: Sequence[Any]
        ) -> Message:
            nonlocal said, spent
            digest.update(json.dumps(new, sort_keys=True).encode())
            turn = sum(message.role == "assistant" for message in messages)
            shown = digest.hexdigest()
            reply = self._replies.get((task.id, trial, turn))
            if reply is None or reply.digest != shown:
                seed = f"{config.seed} {task.id} {trial} {turn}"
                own = hashlib.blake2b(seed.encode(), digest_size=4)
                sampling = Sampling(
                    temperature=config.temperature,
                    max_tokens=config.max_tokens,
                    seed=int.from_bytes(own.digest()) >> 1 if config.base_url is None else None,
                )
                answer = await model.generate(messages, tools, sampling)
                reply = RecordedReply(
                    task=task.id,
                    trial=trial,
                    turn=turn,
                    digest=shown,
                    message=answer.message,
                    finish=answer.finish,
                    usage=answer.usage,
                )
                if config.policy is None:
                    self._reply_log.append([to_line(reply)])
            digest.update(reply.message.model_dump_json().encode())
            spent += reply.usage
            said = [*messages, reply.message]
            return reply.message

        try:
            result = await self._process.play(task.id, config.seed + trial, ask)
        except (ModelError, HostError) as error:
            return FailureRow(
                key=f"{task.id} {trial}",
                stage=EPISODES,
                kind="error",
                type=type(error).__name__,
                message=str(error),
            )
        return BenchmarkEpisode(
            task=task.id,
            category=task.category,
            trial=trial,
            score=result["score"],
            error=result["error"],
            detail=result["detail"],
            messages=tuple(said),
            usage=spent,
        )
