"""One tool call as a model wrote it: parsed, checked, carried out by a host, put into words.

The text is untrusted: whatever is wrong with it becomes an error that tells the model how to do
better. Only a failure of the host is ours, and is handed up.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import NamedTuple

from astra.core.json_schema import UnusableSchema, violation
from astra.core.untrusted import read_json
from astra.errors import HostError
from astra.protocols import ToolHost
from astra.types import (
    CallRecord,
    CallStatus,
    Effect,
    Json,
    Message,
    ToolCallRequest,
    ToolSchema,
    canonical_json,
)


class CallOutcomeStatus(NamedTuple):
    """What became of a call."""

    status: CallStatus
    result: Json
    arguments: dict[str, Json] | None = None
    """None: they could not be parsed."""
    failure: Exception | None = None
    """An error of ours, to end the episode with."""
    effect: Effect | None = None


def problem(
    status: CallStatus,
    message: str,
    fix: str,
    *,
    code: str | None = None,
    arguments: dict[str, Json] | None = None,
) -> CallOutcomeStatus:
    """An outcome that tells the model what was wrong and how to do better."""
    error = {"code": code or status.value, "message": message, "fix": fix}
    return CallOutcomeStatus(status, {"error": error}, arguments)


CUT_OFF = problem(
    CallStatus.tool_error,
    "the episode's time was up before the call returned",
    "call faster tools, or ask for less",
    code="time_limit",
)


async def carry_out(
    request: ToolCallRequest,
    host: ToolHost,
    documents: Mapping[str, ToolSchema],
    longest: int,
) -> CallOutcomeStatus:
    """Check a call, with arguments of at most `longest` characters, and have the host run it."""
    document = documents.get(request.tool)
    if document is None:
        # Cut: matching takes quadratic time, and a model may write a name of any length.
        near = difflib.get_close_matches(request.tool[:100], documents, n=3)
        return problem(
            CallStatus.unknown_tool,
            f"there is no tool {_short(request.tool, 100)!r}",
            "call one of the tools you were given, such as "
            f"{', '.join(near or list(documents)[:10]) or '(none)'}",
        )
    try:
        text = request.arguments.strip() or "{}"
        arguments: Json = read_json(text, most=longest, unique_keys=True)
        if not isinstance(arguments, dict):
            raise ValueError(f"not an object but {type(arguments).__name__}")
    except ValueError as error:
        return problem(
            CallStatus.malformed_arguments,
            f"the arguments can't be read: {_short(str(error))}",
            "write the arguments as one JSON object",
        )
    try:
        if (broken := _violation(document, arguments)) is not None:
            required = document.parameters.get("required", [])
            parameters = [
                f"{name} (required)" if name in required else name
                for name in list(document.parameters.get("properties", {}))[:30]
            ]
            return problem(
                CallStatus.schema_violation,
                broken,
                f"follow the parameters of {document.name!r}: "
                f"{', '.join(parameters) or 'it takes none'}",
                arguments=arguments,
            )
        result = await host.call(request.tool, arguments)
        try:
            canonical_json(result.content)
        except (TypeError, ValueError, RecursionError) as error:
            raise HostError(
                f"the host's result of {request.tool!r} is not a JSON value: {error}"
            ) from error
    except Exception as error:  # noqa: BLE001 - recorded, and ends the episode
        text = f"{type(error).__name__}: {error}"
        outcome = problem(
            CallStatus.host_failure, text, "none: an infrastructure failure, not yours"
        )
        return outcome._replace(arguments=arguments, failure=error)
    status = CallStatus.tool_error if result.is_error else CallStatus.ok
    if result.is_transient:
        status = CallStatus.transient
    return CallOutcomeStatus(status, result.content, arguments, effect=result.effect)


def record(request: ToolCallRequest, turn: int, outcome: CallOutcomeStatus) -> CallRecord:
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
        effect=outcome.effect,
    )


# --- schemas ---------------------------------------------------------------------------------


def _violation(document: ToolSchema, arguments: dict[str, Json]) -> str | None:
    """What the arguments break in the document's schema; None: nothing."""
    try:
        problem = violation(arguments, document.parameters)
    except UnusableSchema as error:
        raise HostError(
            f"the parameters of tool {document.name!r} are not a usable JSON Schema: "
            f"{_short(str(error))}"
        ) from error
    if problem is None:
        return None
    message = _short(problem.message)
    return f"{problem.path}: {message}" if problem.path else message


# --- text ------------------------------------------------------------------------------------


def as_sent(result: Json, longest: int) -> tuple[str, Json]:
    """A result as the text that goes to the model, and the same as a JSON value."""
    text = (
        result
        if isinstance(result, str)
        else json.dumps(result, ensure_ascii=False, separators=(", ", ": "))
    )
    sent = clean(text)
    if len(sent) > longest:
        sent = f"{sent[:longest]}… [cut: {longest} of {len(sent)} characters shown]"
        return sent, sent
    if sent == text:
        return text, result
    return sent, sent if isinstance(result, str) else json.loads(sent)


def clean(text: str) -> str:
    """The text with lone surrogates replaced: they can't be stored or sent."""
    return text.encode("utf-8", "replace").decode()


def cleaned(message: Message) -> Message:
    """An assistant message with lone surrogates replaced in all its texts."""
    return Message(
        role="assistant",
        content=clean(message.content),
        reasoning=clean(message.reasoning),
        tool_calls=tuple(
            ToolCallRequest(
                id=clean(call.id), tool=clean(call.tool), arguments=clean(call.arguments)
            )
            for call in message.tool_calls
        ),
    )


def _short(text: str, longest: int = 300) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"
