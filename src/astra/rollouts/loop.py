"""The agent loop: a task, a model, a host of tools and limits become a trajectory.

The loop never branches on the kind of host or model, retries nothing, and raises nothing but
cancellation: whatever breaks on our side is recorded in the trajectory and marked as such.
Everything that a model writes is taken as untrusted text.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from astra.errors import HostError, ModelError, SandboxError
from astra.protocols import Model, Sampling, ToolHost, UserPolicy
from astra.rollouts.calls import CUT_OFF, as_sent, carry_out, clean, cleaned, problem, record
from astra.types import (
    CallRecord,
    CallStatus,
    FinishReason,
    Message,
    StopReason,
    ToolCallRequest,
    ToolSchema,
    Trajectory,
    Usage,
)

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class RolloutTask:
    """What an episode starts from."""

    id: str
    messages: tuple[Message, ...]
    sample: int = 0
    """Which of several episodes of the same task this is."""


class RolloutJob(NamedTuple):
    """One of many episodes."""

    task: RolloutTask
    model: Model
    host: ToolHost
    user: UserPolicy | None = None


@dataclass(frozen=True, slots=True)
class RolloutLimits:
    """Bounds of one episode."""

    turns: int = 32
    """Assistant messages; the calls of the last one are still run, but no user is asked."""
    episode_tokens: int | None = None
    """Completion tokens of all messages together, as the model reports them; None: no bound."""
    seconds: float = 3600.0
    """Wall time of the whole conversation, waiting for the model included. Keep it well above
    the model's own time-outs: running into it counts as the agent's failure."""
    calls_per_turn: int = 32
    """Calls of one message that are run; the rest gets an error and still counts."""
    argument_characters: int = 50_000
    """Longest arguments that are parsed."""
    episode_characters: int = 4_000_000
    """Text of all messages together, after which no further one is asked for: an episode must
    fit into one row of a run folder, whatever a model writes."""
    result_characters: int = 20_000
    """Longest result that is sent back; longer ones are cut and say so."""
    sampling: Sampling = Sampling()
    """`max_tokens` bounds each message. The task's sample index is added to `seed`."""


@dataclass(slots=True)
class RolloutLog:
    """An episode so far. What it holds counts, however the episode ends."""

    messages: list[Message] = field(default_factory=list[Message])
    calls: list[CallRecord] = field(default_factory=list[CallRecord])
    turns: int = 0
    usage: Usage = Usage()

    def trajectory(
        self, task: RolloutTask, stop: StopReason, error: str = "", seconds: float = 0.0
    ) -> Trajectory:
        """The record of the episode."""
        return Trajectory(
            task=task.id,
            sample=task.sample,
            messages=tuple(self.messages),
            calls=tuple(self.calls),
            stop=stop,
            turns=self.turns,
            usage=self.usage,
            error=clean(error),
            seconds=seconds,
        )


async def rollout(
    task: RolloutTask,
    model: Model,
    host: ToolHost,
    limits: RolloutLimits,
    user: UserPolicy | None = None,
    log: RolloutLog | None = None,
) -> Trajectory:
    """Play one episode. Enters and leaves the host; raises only on cancellation.

    `user`: may say more after each message without calls. None: the first such message ends the
    episode. `log`: filled while the episode runs, for a caller that looks on.
    """
    log = RolloutLog() if log is None else log
    log.messages.extend(task.messages)
    start = time.perf_counter()
    stop, error = StopReason.internal_error, ""
    try:
        async with host:
            stop = await _play(task, model, host, limits, log, user)
    except Exception as failure:  # noqa: BLE001 - recorded in the trajectory
        error = f"{type(failure).__name__}: {failure}"
        if isinstance(failure, ModelError):
            stop = StopReason.model_error
        elif isinstance(failure, HostError | SandboxError):
            stop = StopReason.host_error
        else:
            # The host may break while it is left, after a reason to stop was found.
            stop = StopReason.internal_error
    return log.trajectory(task, stop, error, time.perf_counter() - start)


async def rollouts(
    jobs: Iterable[RolloutJob], limits: RolloutLimits, *, concurrency: int
) -> AsyncGenerator[Trajectory]:
    """Play many episodes, `concurrency` at once, and yield them in the order of the jobs.

    Jobs are taken from the iterable as they are needed, at most four times `concurrency` ahead.
    """

    async def play(job: RolloutJob) -> Trajectory:
        return await rollout(job.task, job.model, job.host, limits, job.user)

    async with aclosing(in_order(jobs, play, concurrency=concurrency)) as played:
        async for trajectory in played:
            yield trajectory


async def in_order(
    items: Iterable[T], work: Callable[[T], Awaitable[R]], *, concurrency: int
) -> AsyncGenerator[R]:
    """Do the work of many items, `concurrency` at once, and yield what it gives in their order."""
    gate = asyncio.Semaphore(concurrency)
    ahead: deque[asyncio.Task[R]] = deque()

    async def one(item: T) -> R:
        async with gate:
            return await work(item)

    try:
        for item in items:
            ahead.append(asyncio.create_task(one(item)))
            # So far ahead one slow episode leaves no slot idle, and memory stays bounded.
            if len(ahead) >= 4 * concurrency:
                yield await ahead.popleft()
        while ahead:
            yield await ahead.popleft()
    finally:
        for running in ahead:
            running.cancel()
        await asyncio.gather(*ahead, return_exceptions=True)


# --- the loop --------------------------------------------------------------------------------


async def _play(
    task: RolloutTask,
    model: Model,
    host: ToolHost,
    limits: RolloutLimits,
    log: RolloutLog,
    user: UserPolicy | None,
) -> StopReason:
    deadline = asyncio.timeout(limits.seconds)
    try:
        async with deadline:
            return await _take_turns(task, model, host, limits, log, user)
    except TimeoutError:
        if not deadline.expired():
            raise  # somebody else's time-out
        return StopReason.time_limit


async def _take_turns(
    task: RolloutTask,
    model: Model,
    host: ToolHost,
    limits: RolloutLimits,
    log: RolloutLog,
    user: UserPolicy | None,
) -> StopReason:
    documents = host.tools()
    by_name = {document.name: document for document in documents}
    characters = 0
    for turn in range(limits.turns):
        sampling = limits.sampling
        if sampling.seed is not None:
            sampling = dataclasses.replace(sampling, seed=sampling.seed + task.sample)
        if limits.episode_tokens is not None:
            left = limits.episode_tokens - log.usage.completion_tokens
            if left <= 0:
                return StopReason.length_limit
            sampling = dataclasses.replace(
                sampling, max_tokens=min(left, sampling.max_tokens or left)
            )
        reply = await model.generate(tuple(log.messages), documents, sampling)
        message = as_kept(reply.message, turn, {call.id for call in log.calls})
        log.messages.append(message)
        log.usage += reply.usage
        log.turns += 1
        before = len(log.messages) - 1
        stop = None if reply.message.tool_calls else StopReason.answered
        # A message that was cut or filtered ends the episode even if it has calls.
        if reply.finish is FinishReason.length:
            stop = StopReason.length_limit
        elif reply.finish is FinishReason.filtered:
            stop = StopReason.refused
        if stop is not None:
            if stop is not StopReason.answered or turn + 1 == limits.turns:
                return stop
            more = None if user is None else await user.reply(tuple(log.messages))
            if more is None:
                return stop
            log.messages.append(Message(role="user", content=clean(more)))
            # The user may have brought tools.
            documents = host.tools()
            by_name = {document.name: document for document in documents}
        await make_calls(message.tool_calls, turn, host, by_name, limits, log)
        for message in log.messages[before:]:
            calls = sum(len(call.arguments) + len(call.tool) for call in message.tool_calls)
            characters += len(message.content) + len(message.reasoning) + calls
        if characters > limits.episode_characters:
            return StopReason.length_limit
    return StopReason.turn_limit


def as_kept(message: Message, turn: int, seen: set[str]) -> Message:
    """The message as it can be stored and sent, with call ids short and unique in the episode.

    Results are told apart by the ids, and models repeat, omit or invent them.
    """
    message = cleaned(message)
    calls: list[ToolCallRequest] = []
    for index, call in enumerate(message.tool_calls):
        name = call.id
        if not 0 < len(name) <= 128 or name in seen:
            name = f"call_{turn}_{index}"
            while name in seen:
                name += "_"
        seen.add(name)
        calls.append(call.model_copy(update={"id": name}))
    return message.model_copy(update={"tool_calls": tuple(calls)})


async def make_calls(
    requests: Sequence[ToolCallRequest],
    turn: int,
    host: ToolHost,
    documents: Mapping[str, ToolSchema],
    limits: RolloutLimits,
    log: RolloutLog,
) -> None:
    """Run the calls of one turn at once and log them, and their results, in their order."""
    first = len(log.calls)
    # Stands until the call returns, so that calls which the time limit cuts off count too.
    log.calls.extend(record(request, turn, CUT_OFF) for request in requests)

    async def run(index: int, request: ToolCallRequest) -> tuple[str, Exception | None]:
        start = time.perf_counter()
        if index >= limits.calls_per_turn:
            outcome = problem(
                CallStatus.over_limit,
                f"{len(requests)} calls in one message; only {limits.calls_per_turn} are run",
                "make the remaining calls in your next message",
            )
        else:
            outcome = await carry_out(request, host, documents, limits.argument_characters)
        text, result = as_sent(outcome.result, limits.result_characters)
        made = record(request, turn, outcome._replace(result=result))
        seconds = time.perf_counter() - start
        log.calls[first + index] = made.model_copy(update={"seconds": seconds})
        return text, outcome.failure

    jobs = [run(index, request) for index, request in enumerate(requests)]
    # All calls end before a failure is raised, so that none runs on in a host that is being left.
    if getattr(host, "ordered", False):
        done = [await job for job in jobs]
    else:
        done = await asyncio.gather(*jobs)
    for request, (text, _) in zip(requests, done, strict=True):
        log.messages.append(Message(role="tool", content=text, tool_call_id=request.id))
    for _, failure in done:
        if failure is not None:
            raise failure
