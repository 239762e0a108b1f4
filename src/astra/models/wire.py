"""The chat-completions format: our messages to a request, an answer to our reply, and back.

Answers are read leniently where endpoints differ (missing usage, other names for reasoning) and
strictly where a guess would invent something. Whatever can't be read raises ValueError.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from astra.protocols import Reply, Sampling
from astra.types import FinishReason, Json, Message, ToolCallRequest, ToolSchema, Usage

_FINISH = {
    "stop": FinishReason.stop,
    "tool_calls": FinishReason.tool_calls,
    "function_call": FinishReason.tool_calls,
    "length": FinishReason.length,
    "content_filter": FinishReason.filtered,
}
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


# --- requests --------------------------------------------------------------------------------


def as_request(
    model: str, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
) -> dict[str, Json]:
    """The body of a chat-completions request; options that are None are left out."""
    body: dict[str, Json] = {
        "model": model,
        "messages": [message_to_openai(message) for message in messages],
    }
    if tools:
        body["tools"] = [document.openai() for document in tools]
    options = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        # The older name: servers other than OpenAI's know only this one.
        "max_tokens": sampling.max_tokens,
        "seed": sampling.seed,
    }
    body.update({name: value for name, value in options.items() if value is not None})
    return body


def message_to_openai(message: Message) -> dict[str, Json]:
    """A message in the chat-completions form."""
    entry: dict[str, Json] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        entry["tool_calls"] = [_call(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        entry["tool_call_id"] = message.tool_call_id
    return entry


def _call(call: ToolCallRequest) -> dict[str, Json]:
    """A past call in a form that endpoints take back.

    Many refuse a conversation in which a name or the JSON of the arguments is broken. Sent as it
    was, one bad call would make every later request fail and look like a failure of ours.
    """
    name = "".join(c if c in _NAME_CHARACTERS else "_" for c in call.tool)[:64] or "_"
    arguments = call.arguments if _is_object(call.arguments) else _wrapped(call.arguments)
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text, parse_constant=_no_constant), dict)
    except (ValueError, RecursionError):
        return False


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _wrapped(text: str) -> str:
    return json.dumps({"malformed": text}, ensure_ascii=False) if text.strip() else "{}"


# --- as a server --------------------------------------------------------------------------------


def read_request(
    body: Mapping[str, Json],
) -> tuple[tuple[Message, ...], tuple[ToolSchema, ...], Sampling]:
    """What a request asks, as its server reads it; ValueError says what is wrong with it."""
    messages, tools = body.get("messages"), body.get("tools") or []
    if not isinstance(messages, list) or not isinstance(tools, list):
        raise ValueError("`messages` and `tools` must be lists")
    sampling = Sampling(
        temperature=body.get("temperature"),
        top_p=body.get("top_p"),
        max_tokens=body.get("max_tokens"),
        seed=body.get("seed"),
    )
    return tuple(map(message_from_openai, messages)), tuple(map(_read_tool, tools)), sampling


def message_from_openai(value: Any) -> Message:
    """A message of ours, a mapping, or an object of the openai package. Raises ValueError."""
    if isinstance(value, Message):
        return value
    if not isinstance(value, Mapping) and hasattr(value, "model_dump"):
        value = value.model_dump()
    message = _mapping(value, "a message")
    return Message(
        role=message.get("role"),  # pyright: ignore[reportArgumentType] - checked by the record
        content=_text(message.get("content")) or _text(message.get("refusal")),
        reasoning=_text(message.get("reasoning_content") or message.get("reasoning")),
        tool_calls=tuple(_request(call) for call in message.get("tool_calls") or ()),
        tool_call_id=message.get("tool_call_id"),
    )


def _read_tool(value: Json) -> ToolSchema:
    function = _mapping(_mapping(value, "a tool").get("function"), "a tool's function")
    return ToolSchema(
        name=_text(function.get("name")),
        description=_text(function.get("description")),
        parameters=dict(_mapping(function.get("parameters") or {}, "a tool's parameters")),
    )


def as_completion(reply: Reply) -> dict[str, Json]:
    """A reply as the one choice of an answer."""
    message: dict[str, Json] = {"role": "assistant", "content": reply.message.content or None}
    if reply.message.tool_calls:
        message["tool_calls"] = [_call(call) for call in reply.message.tool_calls]
    return {"index": 0, "message": message, "finish_reason": reply.finish.value}


# --- answers ---------------------------------------------------------------------------------


def as_reply(answer: Json) -> Reply:
    """The first choice of a chat-completions answer; ValueError says what is wrong with it."""
    return as_replies(answer)[0]


def as_replies(answer: Json) -> tuple[Reply, ...]:
    """All choices of an answer, at least one. The usage is the request's, so the first has it."""
    choices = _mapping(answer, "the answer").get("choices")
    if not isinstance(choices, list) or not choices:
        raise ValueError(f"the answer has no choices but {str(choices)[:100]}")
    usage = _usage(answer.get("usage"))
    return tuple(
        _choice(choice, Usage() if index else usage) for index, choice in enumerate(choices)
    )


def _choice(value: Json, usage: Usage) -> Reply:
    choice = _mapping(value, "a choice")
    message = _mapping(choice.get("message"), "a choice's message")
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list):
        raise ValueError(f"tool_calls is no list but {type(calls).__name__}")
    return Reply(
        Message(
            role="assistant",
            content=_text(message.get("content")) or _text(message.get("refusal")),
            reasoning=_text(message.get("reasoning_content") or message.get("reasoning")),
            tool_calls=tuple(_request(call) for call in calls),
        ),
        FinishReason.filtered if message.get("refusal") else _finish(choice.get("finish_reason")),
        usage,
    )


def _finish(reason: Json) -> FinishReason:
    return (
        _FINISH.get(reason, FinishReason.unknown)
        if isinstance(reason, str)
        else FinishReason.unknown
    )


def _request(call: Json) -> ToolCallRequest:
    function = _mapping(_mapping(call, "a tool call").get("function"), "a tool call's function")
    arguments = function.get("arguments")
    if arguments is not None and not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)  # some servers send the object
    return ToolCallRequest(
        id=_text(call.get("id")), tool=_text(function.get("name")), arguments=_text(arguments)
    )


def _usage(usage: Json) -> Usage:
    if not isinstance(usage, Mapping):
        return Usage()
    details = usage.get("prompt_tokens_details")
    return Usage(
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        cached_tokens=_count(details.get("cached_tokens") if isinstance(details, Mapping) else 0),
    )


def _count(value: Json) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _mapping(value: Json, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{what} is no object but {str(value)[:100]!r}")
    return value


def _text(value: Json) -> str:
    """Text content, also as a list of parts; lone surrogates can't be stored and are replaced."""
    if value is None:
        return ""
    if isinstance(value, list):
        parts = (part.get("text") if isinstance(part, Mapping) else part for part in value)
        return "".join(_text(part) for part in parts)
    if not isinstance(value, str):
        raise ValueError(f"text expected, not {str(value)[:100]!r}")
    return value.encode("utf-8", "replace").decode()
