"""A model that makes calls again that met a transient fault, and leaves all else to another."""

from __future__ import annotations

import json
from collections.abc import Sequence

from astra.protocols import Model, Reply, Sampling
from astra.types import FinishReason, Message, ToolCallRequest, ToolSchema


class RetryingModel:
    """Repeats calls whose results say `retryable`; the model behind sees no fault and no retry."""

    def __init__(self, model: Model) -> None:
        self._model = model

    @property
    def name(self) -> str:
        return self._model.name

    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Reply:
        shown: list[Message] = []
        results = {m.tool_call_id: m.content for m in messages if m.role == "tool"}
        again: list[ToolCallRequest] = []
        retries: set[str] = set()
        for message in messages:
            if message.role == "assistant":
                retried = bool(again)
                again = [c for c in message.tool_calls if _is_retryable(results.get(c.id, ""))]
                if retried:
                    retries |= {call.id for call in message.tool_calls}
                    continue
            if message.tool_call_id not in retries or message.role != "tool":
                shown.append(message)
        if again:
            calls = tuple(call.model_copy(update={"id": ""}) for call in again)
            return Reply(Message(role="assistant", tool_calls=calls), FinishReason.tool_calls)
        return await self._model.generate(shown, tools, sampling)


def _is_retryable(content: str) -> bool:
    try:
        result = json.loads(content)
    except ValueError:
        return False
    error = result.get("error") if isinstance(result, dict) else None
    return isinstance(error, dict) and error.get("retryable") is True
