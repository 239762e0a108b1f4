"""The agent loop: a task, a model, a host of tools and limits become a trajectory.

The loop never branches on the kind of host or model, retries nothing, and raises nothing but
cancellation: whatever breaks on our side is recorded in the trajectory and marked as such.
Everything that a model writes is taken as untrusted text.
"""

from __future__ import annotations

import asyncio
import dataclasses
import difflib
import json
import re
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from jsonschema.exceptions import SchemaError, best_match
from jsonschema.protocols import Validator
from jsonschema.validators import Draft202012Validator, validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from astra.errors import HostError, ModelError, SandboxError
from astra.ports import Model, Reply, Sampling, ToolHost
from astra.types import (
    CallRecord,
    CallRequest,
    CallStatus,
    Finish,
    Json,
    Message,
    StopReason,
    ToolDocument,
    Trajectory,
    Usage,
    canonical_json,
)


@dataclass(frozen=True, slots=True)
class Task:
    """What an episode starts from."""

    id: str
    messages: tuple[Message, ...]
    sample: int = 0
    """Which of several episodes of the same task this is."""


@dataclass(frozen=True, slots=True)
class RolloutLimits:
    """Bounds of one episode."""

    turns: int = 32
    """Assistant messages; the calls of the last one are still run."""
    episode_tokens: int | None = None
    """Completion tokens of all messages together, as the model reports them; None: no bound."""
    seconds: float = 3600.0
    """Wall time of the whole conversation, waiting for the model included. Keep it well above
    the model's own time-outs: running into it counts as the agent's failure."""
    calls_per_turn: int = 32
    """Calls of one message that are run; the rest gets an error and still counts."""
    argument_characters: int = 50_000
    """Longest arguments that are parsed."""
    result_characters: int = 20_000
    """Longest result that is sent back; longer ones are cut and say so."""
    sampling: Sampling = Sampling()
    """`max_tokens` bounds each message. The task's sample index is added to `seed`."""


async def rollout(task: Task, model: Model, host: ToolHost, limits: RolloutLimits) -> Trajectory:
    """Play one episode. Enters and leaves the host; raises only on cancellation."""
    log = _Log(messages=list(task.messages))
    start = time.perf_counter()
    stop, error = StopReason.internal_error, ""
    try:
        async with host:
            stop = await _play(task, model, host, limits, log)
    except Exception as failure:  # noqa: BLE001 - recorded in the trajectory
        stop, error = _blame(failure), f"{type(failure).__name__}: {failure}"
    return Trajectory(
        task=task.id,
        sample=task.sample,
        messages=tuple(log.messages),
        calls=tuple(log.calls),
        stop=stop,
        turns=log.turns,
        usage=log.usage,
        error=_clean(error),
        seconds=time.perf_counter() - start,
    )


async def rollouts(
    jobs: Iterable[tuple[Task, Model, ToolHost]], limits: RolloutLimits, *, concurrency: int
) -> AsyncGenerator[Trajectory]:
    """Play many episodes, `concurrency` at once, and yield them in the order of the jobs.

    Jobs are taken from the iterable as they are needed, at most four times `concurrency` ahead.
    """
    gate = asyncio.Semaphore(concurrency)
    ahead: deque[asyncio.Task[Trajectory]] = deque()

    async def play(task: Task, model: Model, host: ToolHost) -> Trajectory:
        async with gate:
            return await rollout(task, model, host, limits)

    try:
        for job in jobs:
            ahead.append(asyncio.create_task(play(*job)))
            if len(ahead) >= 4 * concurrency:
                yield await ahead.popleft()
        while ahead:
            yield await ahead.popleft()
    finally:
        for running in ahead:
            running.cancel()
        await asyncio.gather(*ahead, return_exceptions=True)


# --- the loop --------------------------------------------------------------------------------


@dataclass(slots=True)
class _Log:
    """What an episode has come to so far; kept whatever ends it."""

    messages: list[Message]
    calls: list[CallRecord] = field(default_factory=list[CallRecord])
    turns: int = 0
    usage: Usage = Usage()


async def _play(
    task: Task, model: Model, host: ToolHost, limits: RolloutLimits, log: _Log
) -> StopReason:
    deadline = asyncio.timeout(limits.seconds)
    try:
        async with deadline:
            return await _take_turns(task, model, host, limits, log)
    except TimeoutError:
        if not deadline.expired():
            raise  # somebody else's time-out
        return StopReason.time_limit


async def _take_turns(
    task: Task, model: Model, host: ToolHost, limits: RolloutLimits, log: _Log
) -> StopReason:
    documents = host.tools()
    by_name = {document.name: document for document in documents}
    for turn in range(limits.turns):
        sampling = _sampling(limits, task.sample, log.usage.completion_tokens)
        if sampling is None:
            return StopReason.length_limit
        reply = await model.generate(tuple(log.messages), documents, sampling)
        message = _as_kept(reply.message, turn, {call.id for call in log.calls})
        log.messages.append(message)
        log.usage += reply.usage
        log.turns += 1
        if (stop := _stop_after(reply)) is not None:
            return stop
        await _act(message.tool_calls, turn, host, by_name, limits, log)
    return StopReason.turn_limit


def _sampling(limits: RolloutLimits, sample: int, used: int) -> Sampling | None:
    """Sampling of the next message; None when the episode's tokens are used up."""
    sampling = limits.sampling
    if sampling.seed is not None:
        sampling = dataclasses.replace(sampling, seed=sampling.seed + sample)
    if limits.episode_tokens is None:
        return sampling
    left = limits.episode_tokens - used
    if left <= 0:
        return None
    return dataclasses.replace(sampling, max_tokens=min(left, sampling.max_tokens or left))


def _stop_after(reply: Reply) -> StopReason | None:
    """Why the episode ends with this reply; None: it has calls to run."""
    if reply.finish is Finish.length:
        return StopReason.length_limit
    if reply.finish is Finish.filtered:
        return StopReason.refused
    return None if reply.message.tool_calls else StopReason.answered


def _as_kept(message: Message, turn: int, seen: set[str]) -> Message:
    """The message as it can be stored and sent, with call ids short and unique in the episode.

    Results are told apart by the ids, and models repeat, omit or invent them.
    """
    calls: list[CallRequest] = []
    for index, call in enumerate(message.tool_calls):
        name = _clean(call.id)
        if not 0 < len(name) <= 128 or name in seen:
            name = f"call_{turn}_{index}"
            while name in seen:
                name += "_"
        seen.add(name)
        calls.append(CallRequest(id=name, tool=_clean(call.tool), arguments=_clean(call.arguments)))
    return Message(
        role="assistant",
        content=_clean(message.content),
        reasoning=_clean(message.reasoning),
        tool_calls=tuple(calls),
    )


async def _act(
    requests: Sequence[CallRequest],
    turn: int,
    host: ToolHost,
    documents: Mapping[str, ToolDocument],
    limits: RolloutLimits,
    log: _Log,
) -> None:
    """Run the calls of one turn at once and log them, and their results, in their order."""
    first = len(log.calls)
    # Stands until the call returns, so that calls which the time limit cuts off count too.
    log.calls.extend(_record(request, turn, _CUT_OFF) for request in requests)

    async def run(index: int, request: CallRequest) -> tuple[str, Exception | None]:
        start = time.perf_counter()
        if index >= limits.calls_per_turn:
            outcome = _problem(
                CallStatus.over_limit,
                f"{len(requests)} calls in one message; only {limits.calls_per_turn} are run",
                "make the remaining calls in your next message",
            )
        else:
            outcome = await _call(request, host, documents, limits)
        text, result = _as_sent(outcome.result, limits.result_characters)
        record = _record(request, turn, outcome._replace(result=result))
        seconds = time.perf_counter() - start
        log.calls[first + index] = record.model_copy(update={"seconds": seconds})
        return text, outcome.failure

    done = await asyncio.gather(*(run(i, request) for i, request in enumerate(requests)))
    for request, (text, _) in zip(requests, done, strict=True):
        log.messages.append(Message(role="tool", content=text, tool_call_id=request.id))
    for _, failure in done:
        if failure is not None:
            raise failure


# --- one call --------------------------------------------------------------------------------


class _Outcome(NamedTuple):
    """What became of a call: `failure` is an error of ours, to end the episode with."""

    status: CallStatus
    result: Json
    arguments: dict[str, Json] | None = None
    failure: Exception | None = None


def _problem(
    status: CallStatus,
    message: str,
    fix: str,
    *,
    code: str | None = None,
    arguments: dict[str, Json] | None = None,
) -> _Outcome:
    """An outcome that tells the model what was wrong and how to do better."""
    error = {"code": code or status.value, "message": message, "fix": fix}
    return _Outcome(status, {"error": error}, arguments)


_CUT_OFF = _problem(
    CallStatus.tool_error,
    "the episode's time was up before the call returned",
    "call faster tools, or ask for less",
    code="time_limit",
)


async def _call(
    request: CallRequest,
    host: ToolHost,
    documents: Mapping[str, ToolDocument],
    limits: RolloutLimits,
) -> _Outcome:
    """Check a call and have the host carry it out."""
    document = documents.get(request.tool)
    if document is None:
        return _unknown_tool(request.tool, documents)
    try:
        arguments = _parse(request.arguments, limits.argument_characters)
    except (ValueError, RecursionError) as error:
        return _problem(
            CallStatus.malformed_arguments,
            f"the arguments can't be read: {_short(str(error))}",
            "write the arguments as one JSON object",
        )
    try:
        if (broken := _violation(document, arguments)) is not None:
            return _problem(
                CallStatus.schema_violation,
                broken,
                f"follow the parameters of {document.name!r}: {_outline(document)}",
                arguments=arguments,
            )
        result = await host.call(request.tool, arguments)
        _require_json(result.content, request.tool)
    except Exception as error:  # noqa: BLE001 - recorded, and ends the episode
        text = f"{type(error).__name__}: {error}"
        outcome = _problem(CallStatus.host_failure, text, "none: our side broke")
        return outcome._replace(arguments=arguments, failure=error)
    status = CallStatus.tool_error if result.is_error else CallStatus.ok
    return _Outcome(status, result.content, arguments)


def _require_json(content: Json, tool: str) -> None:
    try:
        canonical_json(content)
    except (TypeError, ValueError, RecursionError) as error:
        raise HostError(f"the host's result of {tool!r} is no JSON value: {error}") from error


def _record(request: CallRequest, turn: int, outcome: _Outcome) -> CallRecord:
    """The record of a call; unparsed arguments stand there as (bounded) text."""
    return CallRecord(
        id=request.id,
        turn=turn,
        tool=request.tool,
        arguments=(
            _short(request.arguments, 2000) if outcome.arguments is None else outcome.arguments
        ),
        status=outcome.status,
        result=outcome.result,
    )


def _unknown_tool(name: str, documents: Mapping[str, ToolDocument]) -> _Outcome:
    near = difflib.get_close_matches(name[:100], documents, n=3) or list(documents)[:10]
    return _problem(
        CallStatus.unknown_tool,
        f"there is no tool {_short(name, 100)!r}",
        f"call one of the tools you were given, such as {', '.join(near) or '(none)'}",
    )


def _parse(text: str, longest: int) -> dict[str, Json]:
    """The arguments as a JSON object; ValueError or RecursionError says why not."""
    if len(text) > longest:
        raise ValueError(f"{len(text)} characters; at most {longest} are allowed")
    value: Json = json.loads(text.strip() or "{}", object_pairs_hook=_object)
    if not isinstance(value, dict):
        raise ValueError(f"not an object but {type(value).__name__}")
    canonical_json(value).encode()  # no NaN, no infinity, no lone surrogates
    return value


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return value


# --- schemas ---------------------------------------------------------------------------------


def _violation(document: ToolDocument, arguments: dict[str, Json]) -> str | None:
    """What the arguments break in the document's schema; None: nothing."""
    try:
        validator = _validator(canonical_json(document.parameters))
        error = best_match(validator.iter_errors(arguments))
    except (SchemaError, Unresolvable, RecursionError, re.error) as broken:
        raise HostError(
            f"parameters of tool {document.name!r} are no usable JSON Schema: {_short(str(broken))}"
        ) from broken
    if error is None:
        return None
    where = "/".join(str(part) for part in error.absolute_path)
    return f"{where}: {_short(error.message)}" if where else _short(error.message)


@lru_cache(maxsize=4096)
def _validator(schema: str) -> Validator:
    """A compiled validator per schema; a registry of its own, so that no `$ref` is fetched."""
    loaded: dict[str, Any] = json.loads(schema)
    kind = validator_for(loaded, default=Draft202012Validator)
    kind.check_schema(loaded)
    return kind(loaded, registry=Registry())


def _outline(document: ToolDocument) -> str:
    """Names of the parameters, the required ones marked."""
    required = document.parameters.get("required", [])
    names = list(document.parameters.get("properties", {}))[:30]
    return ", ".join(f"{n} (required)" if n in required else n for n in names) or "it takes none"


# --- text ------------------------------------------------------------------------------------


def _as_sent(result: Json, longest: int) -> tuple[str, Json]:
    """A result as the text that goes to the model, and the same as a JSON value."""
    text = result if isinstance(result, str) else _dump(result)
    clean = _clean(text)
    if len(clean) > longest:
        clean = f"{clean[:longest]}… [cut: {longest} of {len(clean)} characters shown]"
        return clean, clean
    if clean == text:
        return text, result
    return clean, clean if isinstance(result, str) else json.loads(clean)


def _dump(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))


def _clean(text: str) -> str:
    """The text with lone surrogates replaced: they can't be stored or sent."""
    return text.encode("utf-8", "replace").decode()


def _short(text: str, longest: int = 300) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"


def _blame(failure: Exception) -> StopReason:
    match failure:
        case ModelError():
            return StopReason.model_error
        case HostError() | SandboxError():
            return StopReason.host_error
        case _:
            return StopReason.internal_error
