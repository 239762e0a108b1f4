"""The agent's replies, billed when they arrive and recorded: a resumed run pays for none twice.

The key covers the model, the conversation, the tools, the sampling and the episode, so that
several episodes of one task stay independent of each other.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from astra.errors import StoreError
from astra.protocols import Model, Reply, Sampling
from astra.rollouts.calls import cleaned
from astra.runs.cost import bill, billed_stage
from astra.teacher.cache import AnswerCache, RecordedAnswer
from astra.teacher.cost import Price
from astra.types import FinishReason, Message, ToolSchema, Usage, content_hash

AGENT = "agent"
"""Names `agent.jsonl`."""


class RecordingModel:
    """A model whose replies are recorded, and replayed when the same is asked in the episode.

    `record`: None bills the replies and records none. `price`: None counts tokens only.
    """

    def __init__(
        self, model: Model, record: AnswerCache | None, episode: str, price: Price | None = None
    ) -> None:
        self._model = model
        self._record = record
        self._episode = episode
        self._price = price

    @property
    def name(self) -> str:
        return self._model.name

    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Reply:
        key = content_hash(
            {
                "model": self._model.name,
                "episode": self._episode,
                "messages": [message.model_dump(mode="json") for message in messages],
                "tools": [tool.model_dump(mode="json") for tool in tools],
                "sampling": [
                    *(sampling.temperature, sampling.top_p, sampling.max_tokens, sampling.seed)
                ],
            }
        )
        recorded = None if self._record is None else self._record.find(key)
        if recorded is not None:
            value = recorded.answer
            try:
                return Reply(
                    Message.model_validate(value["message"]),
                    FinishReason(value["finish"]),
                    Usage.model_validate(value["usage"]),
                )
            except (KeyError, TypeError, ValueError) as error:
                raise StoreError(
                    f"{AGENT}.jsonl holds a reply that can't be read: delete the file, and pay "
                    "again"
                ) from error
        start = time.monotonic()
        reply = await self._model.generate(messages, tools, sampling)
        # Here, not at the end of the episode: an episode that fails has cost its tokens, and one
        # that is tried again gets them from the record, for nothing.
        money = None if self._price is None else self._price.of(reply.usage)
        bill(reply.usage, money, model=self._model.name)
        if self._record is None:
            return reply
        # Cleaned: a model may write lone surrogates, which no file can hold.
        message = cleaned(reply.message).model_dump(mode="json", exclude={"tool_call_id"})
        stored = {
            "message": message,
            "finish": reply.finish.value,
            "usage": reply.usage.model_dump(),
        }
        self._record.add(
            RecordedAnswer(
                key=key,
                prompt=AGENT,
                stage=billed_stage(),
                version=1,
                model=self._model.name,
                index=0,
                answer=stored,
                requests=1,
                usage=reply.usage,
                seconds=round(time.monotonic() - start, 3),
            )
        )
        return reply
