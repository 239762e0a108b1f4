"""A model of an endpoint that can be pickled, because it names its key and does not hold it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from astra.models.keys import api_key
from astra.models.openai import OpenAIModel
from astra.protocols import Reply, Sampling
from astra.types import Message, ToolSchema


@dataclass(frozen=True, slots=True)
class EndpointModel:
    """A model for workers: each keeps a client, with the key of its own environment."""

    name: str
    base_url: str
    key_variable: str | None
    timeout: float

    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Reply:
        """As `OpenAIModel.generate`."""
        return await _client(self).generate(messages, tools, sampling)


@functools.cache
def _client(model: EndpointModel) -> OpenAIModel:
    key = api_key(model.key_variable)
    return OpenAIModel(model.name, model.base_url, key, timeout=model.timeout)
