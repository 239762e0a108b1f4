"""The Protocols between parts: Model, ToolHost, User, Sandbox, Embedder. All I/O sits behind one.

Conformance suites for each ship in `astra.testing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, Self

from astra.errors import SandboxError
from astra.types import (
    DatabaseEpisode,
    Effect,
    FinishReason,
    Json,
    Message,
    Tool,
    ToolSchema,
    Usage,
)

if TYPE_CHECKING:
    import numpy as np  # not needed to play arenas

# --- models ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a reply is sampled. None: the endpoint's default."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class ReplyTokens:
    """The tokens of one reply, as the server that sampled them tells them."""

    prompt_ids: tuple[int, ...]
    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    """Of `ids`, at sampling time."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One assistant message with what it cost."""

    message: Message
    finish: FinishReason
    usage: Usage = Usage()
    tokens: ReplyTokens | None = None
    """None: the endpoint was not asked for them, or does not tell them."""


class Model(Protocol):
    """Writes the next assistant message.

    Raises `ModelUnavailable` or `ModelBadReply` after its own bounded retries; nothing above
    this layer retries. `tools` grow where a user brings some; a model whose prompt can't change
    knows those from the user's message.
    """

    @property
    def name(self) -> str: ...

    async def generate(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Reply: ...


# --- hosts -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a host gives back for one call that it could carry out."""

    content: Json
    """A JSON value; for errors of the tool a structured one: {"error": {...}}."""
    is_error: bool = False
    effect: Effect | None = None
    """What the call changed in the episode's database. None: nothing, or there is none."""
    is_transient: bool = False
    """An error of the host that passes: nothing was run, and the same call can be made again."""


class ToolHost(Protocol):
    """Where tools run: an async context. One rollout loop serves every host.

    A host with an attribute `ordered` that is true gets the calls of one message one after the
    other: the later ones may depend on what the earlier ones change.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...

    def tools(self) -> Sequence[ToolSchema]:
        """Documents of the tools that can be called; valid inside the context."""
        ...

    async def call(self, name: str, arguments: dict[str, Json]) -> ToolResult:
        """Call a tool with arguments that fit its schema.

        Raises `HostError` or `SandboxError` after an infrastructure failure.
        """
        ...


# --- users ----------------------------------------------------------------------------------


class UserPolicy(Protocol):
    """Who the agent answers to, where the task alone does not say all."""

    async def reply(self, messages: Sequence[Message]) -> str | None:
        """What is said after the agent's last message; None: nothing more, the episode ends.

        Raises `TeacherError` or `ModelError` after an infrastructure failure.
        """
        ...


# --- sandbox ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What one episode's child process may use."""

    cpu_seconds: float = 5.0
    """CPU time per call."""
    wall_seconds: float = 10.0
    """Wall-clock deadline per call, kept by the parent."""
    memory_bytes: int = 256 * 2**20
    """Address space that tool code may add to what the empty child has."""
    output_bytes: int = 1 * 2**20
    """Largest reply of one call, and most of stdout that is kept."""


@dataclass(frozen=True, slots=True)
class SandboxEpisode:
    """Options of one sandbox episode. The same options give the same outputs."""

    seed: int = 0
    """Seed of `random` before the sources run and before every stateless call."""
    hash_seed: int = 0
    """PYTHONHASHSEED of the process; one zygote per value."""
    clock: float | None = None
    """Seconds since the epoch at which the clock stands still; None: the real clock."""
    stateful: bool = False
    """False: every call sees freshly executed sources. True: module state lives on."""
    limits: SandboxLimits = SandboxLimits()
    database: DatabaseEpisode | None = None
    """What the tools find as `DATABASE`. None: nothing."""

    @property
    def remembers(self) -> bool:
        """Whether a call may depend on those before it."""
        return self.stateful or self.database is not None


RESTORE: tuple[str, dict[str, Json]] = ("", {})
"""Made as a call, brings an episode back to its first moment."""


@dataclass(frozen=True, slots=True)
class CallFailure:
    """Tool code failed in an orderly way.

    `arguments`: they do not fit the function's signature. `raised`: the function, or its module,
    raised. `missing`: no source defines that function.
    """

    kind: Literal["arguments", "raised", "missing"]
    type: str
    """Class name of the exception."""
    message: str
    """At most 2,000 characters."""


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """The result of one sandboxed call: a JSON value, or an orderly failure."""

    value: Json = None
    failure: CallFailure | None = None
    seconds: float = 0.0
    """Wall time seen by the caller."""
    effect: Effect | None = None
    """What the call changed in the episode's database. None: nothing."""


class SandboxSession(Protocol):
    """One open episode. Calls are answered one at a time, in the order asked.

    When the child dies (or hits a limit) the call raises `SandboxDied` / `SandboxLimit` /
    `SandboxBadResult`; the next call forks a new child, and a stateful session replays the log of
    calls that had been answered.
    """

    async def call(self, name: str, arguments: dict[str, Json]) -> CallOutcome: ...

    async def call_many(
        self, calls: Sequence[tuple[str, dict[str, Json]]]
    ) -> list[CallOutcome | SandboxError]:
        """Make calls in order, with less to-and-fro than one at a time.

        What `call` would raise of `SandboxDied`, `SandboxLimit` and `SandboxBadResult` stands in
        that call's place; the calls after it are made in the new child.
        """
        ...

    async def close(self) -> None: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...


class Sandbox(Protocol):
    """Runs untrusted tool code apart from us."""

    @property
    def level(self) -> str:
        """`namespaces`, `landlock`, `unsafe` or `remote`."""
        ...

    async def open(
        self, tools: Sequence[Tool], episode: SandboxEpisode = SandboxEpisode()
    ) -> SandboxSession:
        """Open an episode. Each tool's source is its own module, with `DATA` set to its data."""
        ...

    async def run(
        self,
        tools: Sequence[Tool],
        calls: Sequence[tuple[str, dict[str, Json]]],
        episode: SandboxEpisode = SandboxEpisode(),
    ) -> list[CallOutcome]:
        """One shot: a fresh child, the calls in order, gone."""
        ...

    async def close(self) -> None: ...


# --- embeddings ------------------------------------------------------------------------------


class Embedder(Protocol):
    """Turns texts into vectors. Raises `EmbedderError` when it can't."""

    @property
    def name(self) -> str: ...

    async def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Embeddings_ND, float32, rows of unit length (a row of zeros for a text with no terms).

        Only rows of one call need share a space.
        """
        ...
