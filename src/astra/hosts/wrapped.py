"""The base class of hosts that wrap another host."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from astra.protocols import ToolHost, ToolResult
from astra.types import Json, ToolSchema


class WrappedHost:
    """Passes everything on. Override what should differ; the wrapped host is `self.host`."""

    def __init__(self, host: ToolHost) -> None:
        self.host = host

    async def __aenter__(self) -> Self:
        await self.host.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.host.__aexit__(kind, error, trace)

    @property
    def ordered(self) -> bool:
        """As of `ToolHost`."""
        return bool(getattr(self.host, "ordered", False))

    def tools(self) -> Sequence[ToolSchema]:
        return self.host.tools()

    async def call(self, name: str, arguments: dict[str, Json]) -> ToolResult:
        return await self.host.call(name, arguments)
