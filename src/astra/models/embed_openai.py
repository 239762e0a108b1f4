"""Embeddings from an OpenAI-compatible `/v1/embeddings` endpoint.

Retries live in the SDK alone. A reply is used only if it holds one finite, non-zero vector of one
length for every text asked; anything else raises.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from openai import AsyncOpenAI, OpenAIError
from pydantic import BaseModel, FiniteFloat, ValidationError

from astra.errors import EmbedderError
from astra.models.endpoint import KeyMask, endpoint_client, redirect_advice, redirect_target
from astra.types import Usage

_ERROR_CHARACTERS = 500


class _Row(BaseModel):
    index: int
    embedding: list[FiniteFloat]


class _Usage(BaseModel):
    prompt_tokens: int = 0


class _Reply(BaseModel):
    """What is read of a reply; other fields are ignored."""

    data: list[_Row]
    usage: _Usage | None = None


class OpenAIEmbedder:
    """Asks an endpoint in batches; `usage` counts the tokens it reported.

    `retries` are the SDK's, with backoff, for lost connections, 408, 409, 429 and 5xx.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        api_key: str | None = None,
        *,
        batch: int = 64,
        retries: int = 4,
        timeout_seconds: float = 120.0,
    ) -> None:
        self._name = name
        self._base_url = base_url
        self._api_key = api_key
        self._mask = KeyMask(api_key)
        self._batch = batch
        self._retries = retries
        self._timeout_seconds = timeout_seconds
        self.usage = Usage()

    def __repr__(self) -> str:
        return f"OpenAIEmbedder({self._name!r}, {self._base_url!r})"

    @property
    def name(self) -> str:
        return self._name

    async def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Embeddings_ND, float32, rows of unit length; blank texts are not sent, and are zeros.

        Raises EmbedderError.
        """
        asked = [i for i, text in enumerate(texts) if text.strip()]
        vectors: list[np.ndarray] = []
        # A client per call: it belongs to one event loop, and nothing is left open.
        client = endpoint_client(
            self._base_url, self._api_key, timeout=self._timeout_seconds, retries=self._retries
        )
        async with client:
            for start in range(0, len(asked), self._batch):
                part = [texts[i] for i in asked[start : start + self._batch]]
                vectors.extend(await self._ask(client, part))
        lengths = sorted({len(vector) for vector in vectors})
        if len(lengths) > 1:
            raise EmbedderError(f"{self._name!r} gave vectors of different lengths: {lengths!r}")
        rows_ND = np.zeros((len(texts), lengths[0] if lengths else 1), dtype=np.float32)
        for i, vector in zip(asked, vectors, strict=True):
            rows_ND[i] = vector
        return rows_ND

    def _shown(self, error: Exception | str) -> str:
        """The start of an error's text, which may quote the endpoint, without the key."""
        return self._mask.text(str(error))[:_ERROR_CHARACTERS]

    async def _ask(self, client: AsyncOpenAI, texts: list[str]) -> Iterable[np.ndarray]:
        try:
            # The raw reply: the SDK's own parser lets wrong counts, types and NaN pass.
            response = await client.embeddings.with_raw_response.create(
                model=self._name, input=texts, encoding_format="float"
            )
            reply = _Reply.model_validate_json(response.content)
        except OpenAIError as error:
            if (target := redirect_target(error)) is not None:
                raise EmbedderError(
                    f"no embeddings from {self._name!r}: {redirect_advice(self._mask.text(target))}"
                ) from None
            raise EmbedderError(
                f"no embeddings from {self._name!r} after {self._retries} retries "
                f"({self._shown(error)}): check that the endpoint is up, its model name and key"
            ) from None
        except ValidationError as error:
            raise EmbedderError(
                f"{self._name!r} answered no list of finite embeddings ({self._shown(error)})"
            ) from None
        self.usage += Usage(prompt_tokens=reply.usage.prompt_tokens if reply.usage else 0)
        rows = sorted(reply.data, key=lambda row: row.index)
        if [row.index for row in rows] != list(range(len(texts))):
            raise EmbedderError(
                f"{self._name!r} gave {len(rows)} embeddings for {len(texts)} texts, or numbered "
                "them wrongly; expected one for each"
            )
        vectors: list[np.ndarray] = []
        for row in rows:
            vector = np.array(row.embedding, dtype=np.float64)
            length = np.linalg.norm(vector)
            if not 0 < length < np.inf:
                raise EmbedderError(
                    f"{self._name!r} gave a vector of length {float(length)!r}; expected a "
                    "direction"
                )
            vectors.append(vector / length)
        return vectors
