"""Models and hosts of users, made fit for the rollout loop.

A user's methods may be `def` or `async def`, and return plain values. Plain methods run on the
thread that called astra, where torch has the caller's device and grad mode.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

from pydantic import ValidationError

from astra.core.loop import on_caller
from astra.core.messages import message_from_openai
from astra.errors import ConfigError, HostError, ModelBadReply
from astra.protocols import Reply, Sampling, ToolResult
from astra.types import FinishReason, Json, Message, ToolSchema


class UserModel(Protocol):
    """Writes the next assistant message. `generate` may be `def` or `async def`.

    It returns a message (a `Message`, a mapping or an object of the openai package), a text, or a
    `Reply`.
    """

    @property
    def name(self) -> str: ...

    def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Any: ...


@runtime_checkable
class UserToolHost(Protocol):
    """Where tools run. Both methods may be `def` or `async def`.

    `call` returns a JSON value, `{"error": {…}}` for an error of the tool, and raises HostError for
    a failure of the host, which is never counted as the agent's. A host that is a context manager
    is entered for each episode.
    """

    def tools(self) -> Any:
        """Schemas of the tools: a sequence of `ToolSchema`."""
        ...

    def call(self, name: str, arguments: dict[str, Json]) -> Any:
        """Call a tool with arguments that fit its schema."""
        ...


async def _called(owner: object, function: Callable[[], Any]) -> Any:
    """The value of a plain or asynchronous method."""
    try:
        # A `partial` of a bound coroutine method is not recognised as a coroutine function.
        if inspect.iscoroutinefunction(getattr(function, "func", function)):
            return await function()
        value = await on_caller(function)
        return await value if inspect.isawaitable(value) else value
    except RuntimeError as error:
        # What asyncio says when a client, lock or queue belongs to the loop that made it.
        if "different" in str(error) and "loop" in str(error):
            raise ConfigError(
                f"{type(owner).__name__!r} uses something that belongs to another event loop "
                f"({error}): call the function of the same name in astra.aio from that loop"
            ) from error
        raise


class AdaptedModel:
    """A user's model as a `Model`."""

    def __init__(self, model: UserModel) -> None:
        self._model = model

    @property
    def name(self) -> str:
        return self._model.name

    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Reply:
        """The user's message. Raises ModelBadReply if it is not one."""
        value = await _called(self._model, partial(self._model.generate, messages, tools, sampling))
        if isinstance(value, Reply):
            return value
        return assistant_reply(value)


def assistant_reply(value: Any) -> Reply:
    """An assistant message of a user as a reply. Raises ModelBadReply if it is not one."""
    try:
        if isinstance(value, str):
            message = Message(role="assistant", content=value)
        else:
            message = message_from_openai(value)
    except (ValueError, ValidationError) as error:
        raise ModelBadReply(f"{value!r:.200} is not an assistant message: {error}") from error
    if message.role != "assistant":
        raise ModelBadReply(f"a message of the role {message.role!r}: must be 'assistant'")
    finish = FinishReason.tool_calls if message.tool_calls else FinishReason.stop
    return Reply(message, finish)


class AdaptedHost:
    """A user's host as a `ToolHost`."""

    def __init__(self, host: UserToolHost) -> None:
        self._host = host
        self._tools: Sequence[ToolSchema] = ()

    async def __aenter__(self) -> Self:
        host: Any = self._host
        if hasattr(host, "__aenter__"):
            await _called(host, host.__aenter__)
        elif hasattr(host, "__enter__"):
            await _called(host, host.__enter__)
        self._tools = tuple(await _called(host, host.tools))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        host: Any = self._host
        leave = getattr(host, "__aexit__", None) or getattr(host, "__exit__", None)
        if leave is not None:
            await _called(host, partial(leave, kind, error, trace))

    def tools(self) -> Sequence[ToolSchema]:
        return self._tools

    async def call(self, name: str, arguments: dict[str, Json]) -> ToolResult:
        try:
            value = await _called(self._host, partial(self._host.call, name, arguments))
        except (HostError, ConfigError):
            raise
        except Exception as error:
            raise HostError(f"tool {name!r} of the host broke: {error!r}") from error
        if isinstance(value, ToolResult):
            return value
        failed = isinstance(value, dict) and isinstance(value.get("error"), dict)
        return ToolResult(value, is_error=failed)
