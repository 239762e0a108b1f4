"""Stage `rollouts` of an import: foreign conversations as recorded rollouts.

What the record of a foreign conversation can't say is taken from its texts: a call failed if the
source marks it so, or if its result says so (`{"error": …}`, `Error: …`, a traceback). A
conversation that does not end with an answer is taken as one that hit a limit.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from pathlib import Path

from astra.configs.spelling import option_name
from astra.configs.trajectories import ImportTrajectoriesConfig
from astra.core.language import language_of
from astra.core.messages import read_arguments
from astra.core.untrusted import read_json
from astra.errors import ConfigError, Rejected
from astra.rollouts.calls import as_sent
from astra.runs.folder import RunFolder
from astra.runs.stage import Stage
from astra.trajectories.importing.foreign import MOST_CHARACTERS, ForeignConversation, linked
from astra.trajectories.importing.reading import read_conversations
from astra.trajectories.play.rollouts import ROLLOUTS
from astra.trajectories.records import (
    CollectedToolServer,
    RecordedRollout,
    TaskOrigin,
    TrajectoryTask,
)
from astra.trajectories.toolset import ToolSet
from astra.types import (
    CallRecord,
    CallStatus,
    Json,
    Message,
    RecordedCall,
    StopReason,
    ToolSchema,
    Trajectory,
    content_hash,
)

_FAILURE = re.compile(
    r"\s*(error(?: (?:executing|calling|running|invoking)\b[^\n]{0,100})?:"
    r"|traceback \(most recent call last\))",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ImportedRollout:
    """An item of the stage."""

    key: str
    outcome: RecordedRollout | Rejected


def import_stage() -> Stage[ImportedRollout, RecordedRollout]:
    """Stores rollouts, and sets refused conversations aside with their reason."""

    async def work(item: ImportedRollout) -> RecordedRollout:
        if isinstance(item.outcome, Rejected):
            raise item.outcome
        return item.outcome

    return Stage(ROLLOUTS, work, key=attrgetter("key"), stored_key=itemgetter("id"))


def imported_rollouts(config: ImportTrajectoriesConfig) -> Iterator[ImportedRollout]:
    """The conversations of the file as rollouts, in its order."""
    servers: Sequence[CollectedToolServer] = ()
    if config.tools is not None:
        servers = tuple(RunFolder.open(config.tools).rows("servers", CollectedToolServer))
        if not servers:
            raise ConfigError(
                f"{option_name('tools')} {str(config.tools)!r} holds no servers: collect some"
            )
    earlier: dict[str, str] = {}
    samples: Counter[str] = Counter()
    most_bytes = config.max_document_mib * 2**20
    for read in read_conversations(Path(config.file), config.format, most_bytes=most_bytes):
        try:
            if isinstance(read.outcome, Rejected):
                raise read.outcome
            rollout = recorded_rollout(read.outcome, servers, samples)
            content = content_hash(
                [_without_ids(rollout.trajectory.messages), [t.model_dump() for t in rollout.tools]]
            )
            if content in earlier:
                raise Rejected("repeated", f"the same conversation as {earlier[content]}")
            earlier[content] = read.where
            samples[rollout.task.id] += 1
            yield ImportedRollout(rollout.id, rollout)
        except Rejected as rejected:
            reason = Rejected(rejected.check, f"{read.where}: {rejected.reason}")
            yield ImportedRollout(f"conversation-{read.number:06d}", reason)


def recorded_rollout(
    conversation: ForeignConversation,
    servers: Sequence[CollectedToolServer],
    samples: Counter[str],
) -> RecordedRollout:
    """The rollout of a conversation. Raises Rejected.

    `servers`: whose tools are shown where the conversation brings none. `samples`: task id ->
    number of earlier rollouts.
    """
    messages = linked(conversation)
    request = next((m.content for m in messages if m.role == "user" and m.content.strip()), "")
    if not request:
        raise Rejected("no_request", "no user says anything")
    turns = sum(message.role == "assistant" for message in messages)
    if not turns:
        raise Rejected("no_message", "the assistant wrote no message: there is nothing to judge")
    called = [call.tool for message in messages for call in message.tool_calls]
    tools, owners = conversation.tools, ()
    if not tools and servers:
        owners = _owners(dict.fromkeys(called), servers)
        tools = ToolSet(owners).documents()
    elif not tools and called:
        raise Rejected(
            "no_tools",
            f"it calls {called[0]!r:.100} and brings no tools: give them by {option_name('tools')}",
        )
    tools = tools or ()
    # Conversations with the same tools stay in the same split, as those of one server do.
    names = tuple(server.id for server in owners) or (
        content_hash(sorted(content_hash(tool.model_dump()) for tool in tools)),
    )
    axis = TaskOrigin.original
    task = TrajectoryTask(
        id=content_hash([list(names), request, [], axis.value]),
        servers=names,
        kind="server",
        request=request,
        language=language_of(request) or "en",
        axis=axis,
    )
    calls = _calls(messages, tools, conversation.failed)
    last = messages[-1]
    answered = last.role == "assistant" and not last.tool_calls
    sample, model = samples[task.id], conversation.model[:200] or "unknown"
    return RecordedRollout(
        id=content_hash([task.id, sample, model, "recorded"]),
        task=task,
        sample=sample,
        model=model,
        host="recorded",
        tools=tools,
        trajectory=Trajectory(
            task=task.id,
            sample=sample,
            messages=messages,
            calls=calls,
            stop=StopReason.answered if answered else conversation.stop or StopReason.turn_limit,
            turns=turns,
        ),
        recording=tuple(
            RecordedCall(
                tool=call.tool,
                arguments=call.arguments,
                content=call.result,
                is_error=call.status is CallStatus.tool_error,
            )
            for call in calls
            if call.status in (CallStatus.ok, CallStatus.tool_error)
        ),
    )


def _owners(
    called: dict[str, None], servers: Sequence[CollectedToolServer]
) -> tuple[CollectedToolServer, ...]:
    """The servers whose tools are called: the first that has each. All, if nothing is called."""
    chosen: dict[str, CollectedToolServer] = {}
    have = {server.id: {tool.document.name for tool in server.tools} for server in servers}
    for name in called:
        if any(name in have[server] for server in chosen):
            continue
        owner = next((server for server in servers if name in have[server.id]), None)
        if owner is None:
            raise Rejected(
                "no_tools", f"it calls {name!r:.100}, which no server of {option_name('tools')} has"
            )
        chosen[owner.id] = owner
    return tuple(chosen.values()) or tuple(servers)


def _calls(
    messages: Sequence[Message], tools: Sequence[ToolSchema], failed: frozenset[int]
) -> tuple[CallRecord, ...]:
    """The calls that have a result, with what became of them."""
    results = {m.tool_call_id: (i, m.content) for i, m in enumerate(messages) if m.role == "tool"}
    known = {tool.name for tool in tools}
    records: list[CallRecord] = []
    turn = -1
    for message in messages:
        turn += message.role == "assistant"
        for call in message.tool_calls:
            if call.id not in results:
                continue
            index, text = results[call.id]
            arguments = read_arguments(call.arguments)
            result = _result(text)
            if arguments is None:
                status = CallStatus.malformed_arguments
            elif call.tool not in known:
                status = CallStatus.unknown_tool
            else:
                status = _status(result, marked=index in failed)
            records.append(
                CallRecord(
                    id=call.id,
                    turn=turn,
                    tool=call.tool,
                    arguments=call.arguments if arguments is None else arguments,
                    status=status,
                    result=result,
                )
            )
    return tuple(records)


def _result(text: str) -> Json:
    """A result as JSON if it is that, spelled as our own loop would send it; else its text."""
    try:
        value = read_json(text)
    except ValueError:
        return text
    return value if as_sent(value, MOST_CHARACTERS)[0] == text else text


def _status(result: Json, *, marked: bool) -> CallStatus:
    """What became of a call that was read and whose tool exists."""
    value = result
    if isinstance(result, str):
        if marked or _FAILURE.match(result):
            return CallStatus.tool_error
        try:
            value = read_json(result)
        except ValueError:
            return CallStatus.ok
    if isinstance(value, dict):
        error = value.get("error")
        # Results that our own loop wrote in place of the tool's.
        code = error.get("code") if isinstance(error, dict) else None
        if code in (CallStatus.schema_violation, CallStatus.over_limit):
            return CallStatus(code)
        marked = marked or bool(error) or True in (value.get("isError"), value.get("is_error"))
    return CallStatus.tool_error if marked else CallStatus.ok


def _without_ids(messages: Sequence[Message]) -> Json:
    """Messages as they are compared: ids of calls mean nothing."""
    return [
        [m.role, m.content, m.reasoning, [[call.tool, call.arguments] for call in m.tool_calls]]
        for m in messages
    ]
