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
import math
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from astra.configs.benchmarks import BenchmarkConfig, UserConfig
from astra.errors import ConfigError, HostError, ModelError, StageError, StoreError
from astra.evaluation.benchmarks.environments import WORKERS, Benchmark, environment_of
from astra.evaluation.benchmarks.models import open_model, open_user
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
from astra.types import FinishReason, Json, Message, Usage

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
ReplyPlace = tuple[Literal["agent", "user"], str, int, int]
"""Speaker, task, trial and turn of a reply."""
_FLOOR_EPISODES = 16
"""Episodes at once for which no model is asked."""


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
            summary = summary.model_copy(update={"floors": await run.floors(tasks, benchmark)})
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
                reply = next(gold, None) or Message(role="assistant", content=".")
                requests += 1
                prompt += sum(len(m.model_dump_json()) for m in messages)
                prompt += sum(len(tool.model_dump_json()) for tool in tools)
                completion += len(reply.model_dump_json())
                return reply

            await process.play(task.id, config.seed, ask)

        for start in range(0, len(tasks), _FLOOR_EPISODES):
            await asyncio.gather(*map(play, tasks[start : start + _FLOOR_EPISODES]))
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
        self._user: Model | None = None

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
        self._replies = {
            (reply.speaker, reply.task, reply.trial, reply.turn): reply
            for reply in self._folder.rows(REPLIES, RecordedReply)
            if (reply.task, reply.trial) not in done
        }
        self._open_model = await open_model(self._config, stack)
        if isinstance(self._config, UserConfig) and self._config.policy is None:
            self._user = await open_user(self._config, stack)
        concurrency = self._config.episodes_at_once
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
        try:
            with self._open_model(task) as model:
                agent = _Speaker(self, model, "agent", (task.id, trial))
                user = _Speaker(self, self._user or model, "user", (task.id, trial))
                seed = self._config.seed + trial
                result = await self._process.play(task.id, seed, agent.reply, user.reply)
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
            messages=tuple(agent.said),
            cut=agent.cut,
            usage=agent.spent,
            user_usage=user.spent,
        )

    async def floors(
        self, tasks: Sequence[BenchmarkTask], benchmark: Benchmark
    ) -> dict[str, float]:
        """Mean scores of policies that do not try, on the tasks of their categories."""
        floors: dict[str, float] = {}
        for name, (category, messages) in benchmark.floors.items():
            own = [task for task in tasks if task.category == category]
            scores: list[float] = []
            for start in range(0, len(own), _FLOOR_EPISODES):
                part = own[start : start + _FLOOR_EPISODES]
                scores += await asyncio.gather(*(self._floor(task, messages) for task in part))
            if scores:
                floors[name] = math.fsum(scores) / len(scores)
        return floors

    async def _floor(self, task: BenchmarkTask, messages: Sequence[Message]) -> float:
        script = iter(messages)

        async def ask(*_: object) -> Message:
            return next(script, messages[-1])

        return (await self._process.play(task.id, self._config.seed, ask))["score"]

    def recorded(self, place: ReplyPlace, digest: str) -> RecordedReply | None:
        """The reply that came to what was shown, if it came in an earlier attempt."""
        reply = self._replies.get(place)
        return reply if reply is not None and reply.digest == digest else None

    @property
    def records(self) -> bool:
        """Whether replies are written down. Those of reference policies need no record."""
        return self._config.policy is None

    def record(self, reply: RecordedReply) -> None:
        """Write down a reply of a model."""
        self._reply_log.append([to_line(reply)])

    def sampling(self, place: ReplyPlace) -> Sampling:
        """How a reply is sampled. Endpoints get no seed: few keep it, and some refuse it."""
        config = self._config
        text = f"{config.seed} {' '.join(map(str, place))}"
        own = hashlib.blake2b(text.encode(), digest_size=4).digest()
        return Sampling(
            temperature=config.temperature if place[0] == "agent" else None,
            max_tokens=config.max_tokens if place[0] == "agent" else None,
            seed=int.from_bytes(own) >> 1 if config.base_url is None else None,
        )


class _Speaker:
    """A model in one episode: answers, and writes down what it answered to what."""

    def __init__(
        self, run: _Run, model: Model, role: Literal["agent", "user"], place: Place
    ) -> None:
        self._run, self._model, self._place = run, model, place
        self._role: Literal["agent", "user"] = role
        self._digest = hashlib.blake2b(digest_size=16)
        self._turn = 0
        self.said: list[Message] = []
        self.cut = False
        self.spent = Usage()

    async def reply(
        self, messages: Sequence[Message], tools: Sequence[BenchmarkTool], new: bytes
    ) -> Message:
        place: ReplyPlace = (self._role, *self._place, self._turn)
        if not self._run.records:
            reply = await self._model.generate(messages, tools, self._run.sampling(place))
        else:
            reply = await self._recorded(place, messages, tools, new)
        self._turn += 1
        self.cut |= reply.finish is FinishReason.length
        self.spent += reply.usage
        self.said = [*messages, reply.message]
        return reply.message

    async def _recorded(
        self,
        place: ReplyPlace,
        messages: Sequence[Message],
        tools: Sequence[BenchmarkTool],
        new: bytes,
    ) -> RecordedReply:
        self._digest.update(new)
        shown = self._digest.hexdigest()
        reply = self._run.recorded(place, shown)
        if reply is None:
            answer = await self._model.generate(messages, tools, self._run.sampling(place))
            reply = RecordedReply(
                task=self._place[0],
                trial=self._place[1],
                speaker=self._role,
                turn=self._turn,
                digest=shown,
                message=answer.message,
                finish=answer.finish,
                usage=answer.usage,
            )
            self._run.record(reply)
        self._digest.update(reply.message.model_dump_json().encode())
        return reply
