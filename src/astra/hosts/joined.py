"""Several hosts as one: the tools of all, each call to the host whose tool it is."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from astra.errors import HostError
from astra.protocols import ToolHost, ToolResult
from astra.types import Json, ToolSchema


class JoinedHost:
    """The tools of several hosts, in the order of `names`. HostError for a name of several."""

    def __init__(self, hosts: Sequence[ToolHost], names: Sequence[str] = ()) -> None:
        """`names`: the order in which tools are shown; those that are not named come last."""
        self.hosts = tuple(hosts)
        self._order = {name: place for place, name in enumerate(names)}
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for host in self.hosts:
                await stack.enter_async_context(host)
            # Two hosts with one name fail here, while those that are open are still closed again.
            self._owners()
            self._open = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._open.__aexit__(kind, error, trace)

    def tools(self) -> Sequence[ToolSchema]:
        found = [document for host in self.hosts for document in host.tools()]
        return sorted(found, key=lambda each: self._order.get(each.name, len(self._order)))

    async def call(self, name: str, arguments: dict[str, Json]) -> ToolResult:
        owner = self._owners().get(name)
        if owner is None:
            raise HostError(f"none of {len(self.hosts)} hosts has a tool {name!r}")
        return await owner.call(name, arguments)

    def _owners(self) -> dict[str, ToolHost]:
        owners: dict[str, ToolHost] = {}
        for host in self.hosts:
            for document in host.tools():
                if document.name in owners:
                    raise HostError(f"two hosts have a tool {document.name!r}: rename one")
                owners[document.name] = host
        return owners
