"""The model of a session, behind an address that speaks chat-completions, and what it records.

An agent whose inside is unknown asks its model here. Requests that continue an earlier one become
one conversation; where the engine tells its tokens, the conversation has them, exactly as sampled.

What this does not guarantee: that a call was made for a message that asked for it. A call is
attributed to the first message before it that asks for the same tool with the same arguments; the
others are counted.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from astra.core.messages import message_from_openai, message_to_openai, read_arguments
from astra.core.untrusted import read_json
from astra.episodes import Episode, Score, Tokens
from astra.errors import ModelError, ModelRejects, SessionError
from astra.models.wire import as_completion, read_request
from astra.protocols import Model, Reply, ReplyTokens, Sampling
from astra.rollouts.episodes import PlayedConversation
from astra.rollouts.loop import RolloutLimits, as_kept
from astra.types import (
    CallRecord,
    FinishReason,
    Json,
    Message,
    StopReason,
    ToolCallRequest,
    ToolSchema,
    Trajectory,
    Usage,
)

REQUEST_BYTES = 8 << 20
"""Longest request: conversations grow."""

OpenModel = Callable[[int], Model | PlayedConversation]
"""The model for a new conversation, by its number."""


class RecordedConversation:
    """Requests of an agent that continue each other, with the replies."""

    def __init__(self, model: Model | PlayedConversation) -> None:
        self.messages: list[Message] = []
        self.usage = Usage()
        self.finish: FinishReason | None = None
        self.busy = False
        self._played = model if isinstance(model, PlayedConversation) else None
        self.model: Model = model.model() if isinstance(model, PlayedConversation) else model
        self._ids: list[int] = []
        self._mask: list[bool] = []
        self._logprobs: list[float] = []
        self._whole = True
        """Whether the engine has told the tokens of every reply."""

    def continued_by(self, messages: Sequence[Message]) -> bool:
        """Whether these messages begin with this conversation."""
        known = self.messages
        if self.busy or not known or len(messages) <= len(known):
            return False
        new = messages[len(known) :]
        pairs = zip(known, messages, strict=False)
        same = all(_as_sent(one) == _as_sent(other) for one, other in pairs)
        return same and not any(message.role == "assistant" for message in new)

    def add(self, messages: Sequence[Message], reply: Reply) -> None:
        """Keep a reply, and the messages that are new since the last one."""
        self.messages += [*messages[len(self.messages) :], reply.message]
        self.usage += reply.usage
        self.finish = reply.finish
        if reply.tokens is None:
            self._whole = False
        else:
            self._append(reply.tokens)

    def _append(self, tokens: ReplyTokens) -> None:
        prompt, known = list(tokens.prompt_ids), len(self._ids)
        # A template that writes an earlier reply in another way changes its tokens.
        if prompt[:known] != self._ids:
            self._whole = False
            return
        self._ids += prompt[known:] + list(tokens.ids)
        self._mask += [False] * (len(prompt) - known) + [True] * len(tokens.ids)
        self._logprobs += [0.0] * (len(prompt) - known) + list(tokens.logprobs)

    def tokens(self) -> Tokens | None:
        """All tokens, prompt first. None where the engine does not tell them."""
        if self._played is not None:
            return self._played.tokens()
        if not self._whole or not self._ids:
            return None
        return Tokens(
            ids=tuple(self._ids),
            policy_mask=tuple(self._mask),
            logprobs=tuple(self._logprobs),
        )

    def close(self) -> None:
        if self._played is not None:
            self._played.close()


class _AskedCall(NamedTuple):
    """A call that a reply asked for."""

    conversation: int
    turn: int
    request: ToolCallRequest
    made_before: int
    """Calls that the session had made by then."""


class AttributedCalls(NamedTuple):
    """The calls of a session, each with the message that asked for it."""

    by_conversation: list[list[CallRecord]]
    """With the ids and turns of the messages."""
    unattributed: int
    """Calls that no message asked for."""


class Gateway:
    """The model of one session. Requests may come at once."""

    def __init__(
        self,
        open_model: OpenModel,
        limits: RolloutLimits,
        calls_made: Callable[[], int],
    ) -> None:
        """`limits`: of all conversations together. `calls_made`: in the session so far."""
        self.conversations: list[RecordedConversation] = []
        self.error = ""
        """Why the model could not be asked. Empty if it could."""
        self.requests = 0
        self._open_model = open_model
        self._limits = limits
        self._calls_made = calls_made
        self._asked: list[_AskedCall] = []
        self._ids: set[str] = set()
        self._last = ""

    @property
    def last_answer(self) -> str:
        """The text of the last reply without calls. Empty if there is none."""
        return self._last

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Reply:
        """The model's next message. Raises SessionError at a limit, ModelError."""
        spent = sum(each.usage.completion_tokens for each in self.conversations)
        most = self._limits.episode_tokens
        if self.requests >= self._limits.turns or (most is not None and spent >= most):
            raise SessionError(429, "the episode's limit of messages or tokens is reached")
        self.requests += 1
        going_on = (each for each in self.conversations if each.continued_by(messages))
        conversation = next(going_on, None)
        if conversation is None:
            conversation = RecordedConversation(self._open_model(len(self.conversations)))
            self.conversations.append(conversation)
        # What the engine wrote is kept exactly; clients may send it back without its reasoning.
        whole = [*conversation.messages, *messages[len(conversation.messages) :]]
        conversation.busy = True
        try:
            reply = await conversation.model.generate(
                tuple(whole), tools, self._within_limits(sampling, spent)
            )
        except ModelError as error:
            self.error = f"{type(error).__name__}: {error}"
            raise
        finally:
            conversation.busy = False
        turn = sum(message.role == "assistant" for message in whole)
        reply = replace(reply, message=as_kept(reply.message, self.requests, self._ids))
        conversation.add(whole, reply)
        index = self.conversations.index(conversation)
        self._asked += [
            _AskedCall(index, turn, call, self._calls_made()) for call in reply.message.tool_calls
        ]
        if not reply.message.tool_calls:
            self._last = reply.message.content
        return reply

    def _within_limits(self, sampling: Sampling, spent: int) -> Sampling:
        own = self._limits.sampling
        bounds = [own.max_tokens, sampling.max_tokens]
        if self._limits.episode_tokens is not None:
            bounds.append(self._limits.episode_tokens - spent)
        set_bounds = [bound for bound in bounds if bound is not None]
        return replace(
            sampling,
            max_tokens=min(set_bounds, default=None),
            # An evaluation's own temperature holds for every agent.
            temperature=sampling.temperature if own.temperature is None else own.temperature,
        )

    def attribute(self, calls: Sequence[CallRecord]) -> AttributedCalls:
        """Find the message that asked for each call of the session."""
        found: list[list[CallRecord]] = [[] for _ in self.conversations]
        waiting = list(self._asked)
        unattributed = 0
        for index, call in enumerate(calls):
            for asked in waiting:
                if asked.made_before <= index and _asks_for(asked.request, call):
                    waiting.remove(asked)
                    made = {"id": asked.request.id, "turn": asked.turn}
                    found[asked.conversation].append(call.model_copy(update=made))
                    break
            else:
                unattributed += 1
        return AttributedCalls(found, unattributed)

    def episodes(self, task: Trajectory, score: Score | None) -> list[Episode]:
        """One episode per conversation, as trainers read them. The score is the session's.

        `task`: the trajectory of the session.
        """
        attributed = self.attribute(task.calls)
        return [
            Episode(
                arena=task.task,
                sample=task.sample,
                trajectory=Trajectory(
                    task=task.task,
                    sample=task.sample,
                    messages=tuple(conversation.messages),
                    calls=tuple(calls),
                    stop=_stop(task.stop, conversation.finish),
                    turns=sum(m.role == "assistant" for m in conversation.messages),
                    usage=conversation.usage,
                    error=task.error,
                ),
                score=score,
                tokens=conversation.tokens(),
            )
            for conversation, calls in zip(
                self.conversations, attributed.by_conversation, strict=True
            )
        ]

    def close(self) -> None:
        """Free what the conversations hold in an engine."""
        for conversation in self.conversations:
            conversation.close()


def _stop(stop: StopReason, finish: FinishReason | None) -> StopReason:
    return StopReason.length_limit if finish is FinishReason.length else stop


def _as_sent(message: Message) -> Message:
    """A message as clients get it and send it back: without reasoning, broken calls respelt."""
    sent = message_from_openai(message_to_openai(message))
    calls = [
        call.model_copy(update={"arguments": json.dumps(read_arguments(call.arguments))})
        for call in sent.tool_calls
    ]
    return sent.model_copy(update={"tool_calls": tuple(calls)})


def _asks_for(asked: ToolCallRequest, call: CallRecord) -> bool:
    (sent,) = _as_sent(Message(role="assistant", tool_calls=(asked,))).tool_calls
    # Frameworks put the server's name before the tool's: `mcp__arena__find`, `arena.find`.
    named = sent.tool == call.tool or (
        sent.tool.endswith(call.tool) and not sent.tool[-len(call.tool) - 1].isalnum()
    )
    # Those of an unknown tool are kept as text.
    made = call.arguments
    made = read_arguments(made) if isinstance(made, str) else made
    return named and read_arguments(sent.arguments) == made


TELL_TOKENS: Mapping[str, Json] = {"logprobs": True, "return_token_ids": True}
"""Fields of a request by which vLLM tells the tokens of a reply, and others at most refuse it."""


class TokenTellingModel:
    """An endpoint that is asked for tokens, until it refuses to be."""

    def __init__(self, telling: Model, plain: Model) -> None:
        """`plain`: the same endpoint, not asked for tokens."""
        self._telling: Model | None = telling
        self._plain = plain

    @property
    def name(self) -> str:
        return self._plain.name

    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Reply:
        if self._telling is not None:
            try:
                return await self._telling.generate(messages, tools, sampling)
            except ModelRejects as refused:
                reply = await self._plain.generate(messages, tools, sampling)
                # It takes the request without the fields: they are what it refused.
                if refused.status in (400, 422):
                    self._telling = None
                return reply
        return await self._plain.generate(messages, tools, sampling)


# --- over HTTP ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GatewayEndpoint:
    """`/sessions/ID/v1`: chat-completions for each session's gateway."""

    gateways: dict[str, Gateway]
    """By session."""
    model: str
    """Name that answers carry."""

    def routes(self) -> list[Route]:
        return [
            Route("/sessions/{session}/v1/chat/completions", self.complete, methods=["POST"]),
            Route("/sessions/{session}/v1/models", self.models),
        ]

    async def models(self, _: Request) -> Response:
        entry = {"id": self.model, "object": "model", "created": 0, "owned_by": "astra"}
        return JSONResponse({"object": "list", "data": [entry]})

    async def complete(self, request: Request) -> Response:
        gateway = self.gateways.get(request.path_params["session"])
        if gateway is None:
            return _refused(404, "this session has no model")
        try:
            text = (await request.body()).decode()
            body = read_json(text, most=REQUEST_BYTES)
            if not isinstance(body, dict):
                raise ValueError("the body is not an object")
            if body.get("n") not in (None, 1):
                raise ValueError(f"n is {body['n']!r}: only one choice is given")
            numbers = {"temperature": float, "top_p": float, "max_tokens": int, "seed": int}
            body.setdefault("max_tokens", body.get("max_completion_tokens"))
            for name, kind in numbers.items():
                value = body.get(name)
                if isinstance(value, bool) or not isinstance(value, int | kind | None):
                    raise ValueError(f"{name} is {value!r:.100}: write a number")
            messages, tools, sampling = read_request(body)
        except ValueError as error:  # pydantic's, too
            return _refused(400, f"the request can't be read: {error}"[:1000])
        try:
            reply = await gateway.complete(messages, tools, sampling)
        except SessionError as error:
            return _refused(error.status, str(error))
        except ModelError as error:
            return _refused(502, str(error))
        answer = self._answer(gateway.requests, reply)
        if body.get("stream"):
            return Response(_as_stream(answer), media_type="text/event-stream")
        return JSONResponse(answer)

    def _answer(self, number: int, reply: Reply) -> dict[str, Any]:
        usage = reply.usage
        return {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": self.model,
            "choices": [as_completion(reply)],
            "usage": {
                "prompt_tokens": usage.prompt_tokens,
                "completion_tokens": usage.completion_tokens,
                "total_tokens": usage.prompt_tokens + usage.completion_tokens,
            },
        }


def _as_stream(answer: dict[str, Any]) -> bytes:
    """A whole answer as the one piece of a stream, for clients that ask for one."""
    choice: dict[str, Json] = answer["choices"][0]
    delta = dict(choice["message"])
    if delta.get("tool_calls"):
        delta["tool_calls"] = [
            {"index": index, **call} for index, call in enumerate(delta["tool_calls"])
        ]
    piece = {**answer, "object": "chat.completion.chunk"}
    piece["choices"] = [{"index": 0, "delta": delta, "finish_reason": choice["finish_reason"]}]
    return f"data: {json.dumps(piece, ensure_ascii=False)}\n\ndata: [DONE]\n\n".encode()


def _refused(status: int, message: str) -> Response:
    error = {"message": message, "type": "invalid_request_error" if status < 500 else "api_error"}
    return JSONResponse({"error": error}, status)
