"""Chat models behind an OpenAI-compatible endpoint. The only place that retries or times out.

The key never stands in an error, a repr or a record: the texts of errors, which may quote the
endpoint, are cleaned of it. Nothing that the endpoint answers is taken on trust.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import random
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from astra.core.loop import on_loop_thread, run_later
from astra.errors import (
    ConfigError,
    ModelBadReply,
    ModelError,
    ModelRejects,
    ModelUnavailable,
)
from astra.models.endpoint import KeyMask, endpoint_client, redirect_advice, redirect_target
from astra.models.wire import as_replies, as_request
from astra.protocols import Reply, Sampling
from astra.types import FinishReason, Json, Message, ToolSchema

if TYPE_CHECKING:
    import openai

_SECRET_LENGTH = 8
"""Shorter keys are words like `none` or `EMPTY`, which mean no key; hiding them garbles texts."""

_OUTGROWN = (
    *("context_length", "context length", "context size", "context window", "too many tokens"),
    *(
        "prompt is too long",
        "input is too long",
        "maximum number of tokens",
        "maximum input length",
    ),
)
"""How endpoints say that a conversation is too long for them, in lower case."""


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and how long the endpoint is asked for one reply."""

    attempts: int = 6
    first_wait: float = 0.5
    """Seconds before the second attempt; doubles from then on, with jitter."""
    longest_wait: float = 60.0
    """Seconds; an endpoint that asks (`Retry-After`) for a longer pause counts as down."""


@dataclass(frozen=True, slots=True)
class _Again:
    """An attempt that failed in a way that another attempt may mend."""

    error: ModelError
    wait: float | None = None
    """Seconds the endpoint asked to wait; None: it did not say."""


class OpenAIModel:
    """A model of an OpenAI-compatible endpoint, asked through its chat-completions API.

    `timeout`: seconds of one attempt, from sending to the last byte. `extra`: further fields of
    every request, as the endpoint understands them. Close it, or use it as an async context.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        api_key: str | None = None,
        *,
        timeout: float = 300.0,
        retries: Retries = Retries(),
        max_reply_bytes: int = 8 * 2**20,
        extra: Mapping[str, Json] | None = None,
    ) -> None:
        if retries.attempts < 1:
            raise ConfigError(f"attempts {retries.attempts!r} must be at least 1")
        self._name = name
        self._base_url = base_url
        self._mask = KeyMask(api_key, shortest=_SECRET_LENGTH)
        self._timeout = timeout
        self._retries = retries
        self._max_reply_bytes = max_reply_bytes
        self._extra = dict(extra or {})
        # Unseeded: it spreads retries in time and reaches no result.
        self._jitter = random.Random()
        self._client = endpoint_client(base_url, api_key, timeout=timeout)
        self._closes_itself = False

    def __repr__(self) -> str:
        return f"OpenAIModel({self._name!r}, {self._base_url!r})"

    @property
    def name(self) -> str:
        return self._name

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def __aenter__(self) -> OpenAIModel:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Reply:
        """Ask until a usable reply comes, at most `retries.attempts` times.

        A conversation that outgrew the endpoint's context ends as a reply cut by length, since
        nothing of ours broke; a first message that does not fit is an error.
        """
        if on_loop_thread() and not self._closes_itself:
            # Whoever calls synchronously has no loop to close the connections in.
            self._closes_itself = True
            weakref.finalize(self, run_later, self._client.close)
        spoken = any(message.role == "assistant" for message in messages)
        body = as_request(self._name, messages, tools, sampling)
        return (await self._ask(body, cut_when_outgrown=spoken))[0]

    async def complete(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        tools: Sequence[ToolSchema] = (),
        response_format: Mapping[str, Json] | None = None,
        choices: int = 1,
    ) -> tuple[Reply, ...]:
        """Ask for replies of a wanted form: `response_format` as the API defines it.

        `choices`: how many are asked for in one request; endpoints may give fewer. The first
        carries the usage of all. `ModelRejects` when the endpoint will not take such a request.
        """
        body = as_request(self._name, messages, tools, sampling)
        if response_format is not None:
            body["response_format"] = dict(response_format)
        if choices != 1:
            body["n"] = choices
        return await self._ask(body)

    async def _ask(
        self, body: dict[str, Json], *, cut_when_outgrown: bool = False
    ) -> tuple[Reply, ...]:
        for attempt in range(self._retries.attempts):
            outcome = await self._attempt(body, cut_when_outgrown)
            if not isinstance(outcome, _Again):
                return outcome
            longest, wait = self._retries.longest_wait, outcome.wait
            # An endpoint that asks for more patience than ours is given up at once.
            if attempt + 1 >= self._retries.attempts or (wait is not None and wait > longest):
                raise outcome.error
            if wait is None:
                wait = min(self._retries.first_wait * 2**attempt, longest)
                wait *= self._jitter.uniform(0.75, 1.0)
            await asyncio.sleep(wait)
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _attempt(
        self, body: dict[str, Json], cut_when_outgrown: bool
    ) -> tuple[Reply, ...] | _Again:
        import openai  # it takes a second, and most commands ask no endpoint

        try:
            async with (
                asyncio.timeout(self._timeout),
                # As `extra_body`, which the client sends as it is: it walks through all messages
                # and tools that it is given otherwise, which takes as long as all the rest.
                self._client.chat.completions.with_streaming_response.create(
                    model=self._name, messages=[], extra_body=body | self._extra
                ) as raw,
            ):
                content = await self._content(raw)
            try:
                # An endpoint that echoes headers must not get the key into a trajectory.
                return as_replies(self._mask.value(json.loads(content)))
            except (ValueError, RecursionError) as error:
                begin = self._mask.text(content.decode("utf-8", "replace"))[:200]
                raise self._bad(f"{error}; it begins {begin!r}") from None
        except (TimeoutError, openai.APITimeoutError):
            return _Again(self._unavailable(f"no whole answer within {self._timeout:g} s"))
        except openai.APIStatusError as error:
            if cut_when_outgrown and _outgrown(error):
                return (Reply(Message(role="assistant"), FinishReason.length),)
            status, text = error.status_code, self._mask.text(_detail(error))[:500]
            # The same request may succeed later, but not on an account without credit.
            passes = status in (408, 409) or status >= 500
            if passes or (status == 429 and error.code != "insufficient_quota"):
                failure = self._unavailable(f"status {status}: {text}")
                return _Again(failure, _retry_after(error.response.headers))
            target = redirect_target(error)
            advice = _advice(status) if target is None else redirect_advice(self._mask.text(target))
            what = self._about(f"status {status}: {text}. {advice}", "could not be asked")
            raise ModelRejects(status, what) from None
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            text = f"{type(cause).__name__}: {cause}" if str(cause) else type(cause).__name__
            return _Again(self._unavailable(f"the connection failed ({text})"))
        except ModelBadReply as error:
            return _Again(error)

    async def _content(self, raw: Any) -> bytes:
        """The body, piece by piece: what is too long is left unread."""
        import openai

        content = bytearray()
        try:
            async for piece in raw.iter_bytes():
                content += piece
                if len(content) > self._max_reply_bytes:
                    break
        except Exception as error:  # the HTTP library's own, which is one of two
            raise openai.APIConnectionError(request=raw.http_request) from error
        if len(content) > self._max_reply_bytes:
            raise self._bad(
                f"a reply of over {self._max_reply_bytes} bytes. Lower max_tokens, or raise "
                "max_reply_bytes"
            )
        return bytes(content)

    def _unavailable(self, what: str) -> ModelUnavailable:
        return ModelUnavailable(self._about(what, "could not be asked"))

    def _bad(self, what: str) -> ModelBadReply:
        return ModelBadReply(self._about(what, "gave an unusable reply"))

    def _about(self, what: str, verb: str) -> str:
        return self._mask.text(f"model {self._name!r} at {self._base_url!r} {verb}: {what}")


# --- statuses --------------------------------------------------------------------------------


def _outgrown(error: openai.APIStatusError) -> bool:
    """Whether the endpoint refused because the conversation is longer than its context."""
    if error.status_code not in (400, 413, 422):
        return False
    text = f"{error.code} {_detail(error)}".lower()
    return any(sign in text for sign in _OUTGROWN)


def _advice(status: int) -> str:
    match status:
        case 401 | 403:
            return "Check the API key, and that it may use this model"
        case 404:
            return "Check the model's name, and that the base URL ends as the server wants (/v1)"
        case 429:
            return "The account is out of credit: top it up or use another key"
        case _:
            return "The endpoint rejects the request: check the sampling options and the tools"


def _detail(error: openai.APIStatusError) -> str:
    """What the endpoint says was wrong."""
    body: Any = error.body
    text = body.get("message") if isinstance(body, dict) else body
    return str(text or error.message)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by the `Retry-After` header (a number or a date); None without one."""
    value = headers.get("retry-after", "")
    try:
        wait = float(value)
    except ValueError:
        try:
            wait = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError):
            return None
    # NaN and negative waits are nonsense: fall back to our own pause.
    return wait if wait >= 0 else None
