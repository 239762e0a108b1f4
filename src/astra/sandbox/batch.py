"""`SandboxSession.call_many` for sessions that gain nothing from sending calls together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from astra.errors import SandboxBadResult, SandboxDied, SandboxError, SandboxLimit
from astra.protocols import CallOutcome
from astra.types import Json

Call = Callable[[str, dict[str, Json]], Awaitable[CallOutcome]]


async def call_each(
    call: Call, calls: Sequence[tuple[str, dict[str, Json]]]
) -> list[CallOutcome | SandboxError]:
    """The outcomes of calls made one after the other; failures of tool code in their place."""
    outcomes: list[CallOutcome | SandboxError] = []
    for name, arguments in calls:
        try:
            outcomes.append(await call(name, arguments))
        except (SandboxDied, SandboxLimit, SandboxBadResult) as error:
            outcomes.append(error)
    return outcomes
