"""The chat-completions protocol: requests, and answers as replies; for clients and for servers.

Whatever can't be read raises ValueError. Messages themselves are `astra.core.messages`'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from astra.core.messages import (
    as_mapping,
    message_from_openai,
    message_to_openai,
    tool_from_openai,
)
from astra.protocols import Reply, ReplyTokens, Sampling
from astra.types import FinishReason, Json, Message, ToolSchema, Usage

_FINISH = {
    "stop": FinishReason.stop,
    "tool_calls": FinishReason.tool_calls,
    "function_call": FinishReason.tool_calls,
    "length": FinishReason.length,
    "content_filter": FinishReason.filtered,
}


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


def read_request(
    body: Mapping[str, Json],
) -> tuple[tuple[Message, ...], tuple[ToolSchema, ...], Sampling]:
    """What a request asks, as its server reads it."""
    messages, tools = body.get("messages"), body.get("tools") or []
    if not isinstance(messages, list) or not isinstance(tools, list):
        raise ValueError("`messages` and `tools` must be lists")
    sampling = Sampling(
        temperature=body.get("temperature"),
        top_p=body.get("top_p"),
        max_tokens=body.get("max_tokens"),
        seed=body.get("seed"),
    )
    return tuple(map(message_from_openai, messages)), tuple(map(tool_from_openai, tools)), sampling


def as_completion(reply: Reply) -> dict[str, Json]:
    """A reply as the one choice of an answer."""
    message = message_to_openai(reply.message)
    message["content"] = message["content"] or None
    return {"index": 0, "message": message, "finish_reason": reply.finish.value}


def as_reply(answer: Json) -> Reply:
    """The first choice of a chat-completions answer."""
    return as_replies(answer)[0]


def as_replies(answer: Json) -> tuple[Reply, ...]:
    """All choices of an answer, at least one. The usage is the request's, so the first has it."""
    whole = as_mapping(answer, "the answer")
    choices = whole.get("choices")
    if not isinstance(choices, list) or not choices:
        raise ValueError(f"the answer has no choices but {str(choices)[:100]}")
    replies: list[Reply] = []
    for value in choices:
        choice = as_mapping(value, "a choice")
        # The role is left out by some servers, and can be no other.
        message = {**as_mapping(choice.get("message"), "a choice's message"), "role": "assistant"}
        reason = choice.get("finish_reason")
        finish = _FINISH.get(reason) if isinstance(reason, str) else None
        if message.get("refusal"):
            finish = FinishReason.filtered
        usage = Usage() if replies else _usage(whole.get("usage"))
        reply = message_from_openai(message).model_copy(update={"tool_call_id": None})
        tokens = _tokens(whole.get("prompt_token_ids"), choice)
        replies.append(Reply(reply, finish or FinishReason.unknown, usage, tokens))
    return tuple(replies)


def _tokens(prompt_ids: Json, choice: Mapping[str, Json]) -> ReplyTokens | None:
    """The tokens of a choice, as vLLM tells them (`return_token_ids`, `logprobs`)."""
    ids = choice.get("token_ids")
    told = choice.get("logprobs")
    entries = told.get("content") if isinstance(told, Mapping) else None
    if not (isinstance(prompt_ids, list) and isinstance(ids, list) and isinstance(entries, list)):
        return None
    logprobs = [e.get("logprob") if isinstance(e, Mapping) else None for e in entries]
    whole = all(type(i) is int for i in (*prompt_ids, *ids))
    if not whole or len(ids) != len(logprobs):
        return None
    numbers = [float(p) for p in logprobs if isinstance(p, int | float)]
    if len(numbers) < len(ids):
        return None
    return ReplyTokens(tuple(prompt_ids), tuple(ids), tuple(numbers))


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
