"""Stage `tried`: the plans of drafts, carried out on live servers before a task is accepted.

A task is only as good as what its servers hold: a plan that asks for a note that is not there
fails in every rollout. Each trial has servers of its own, in the state that every episode starts
from.

What this does not guarantee: that the answer is what the user wants, or that another plan of the
same request succeeds, too. Plans that change something are not tried on servers that keep it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from astra.errors import HostError
from astra.hosts.live import server_starts
from astra.protocols import ToolHost
from astra.runs.stage import Stage
from astra.trajectories.records import PlannedCall, TrajectoryTask
from astra.trajectories.tasks.arguments import resolved
from astra.trajectories.tasks.result_paths import NoSuchField
from astra.trajectories.toolset import ToolSet
from astra.types import Json, Language, Record, ServerStart, canonical_json

TRIED = "tried"
LiveHosts = Callable[[TrajectoryTask], ToolHost]
"""Makes a host of live servers for an episode of a task. Raises HostError."""


class PlanTrial(Record):
    """A row of `tried.jsonl`."""

    key: str
    """Key of the draft."""
    starts: tuple[ServerStart, ...]
    failure: str = ""
    """The error of the first call that failed. Empty: none did, or it was not tried."""


class TriedPlan(NamedTuple):
    """A plan to try."""

    key: str
    """Key of the draft."""
    task: TrajectoryTask
    tools: ToolSet


def live_task(
    key: str, servers: Sequence[str], language: Language, plan: Sequence[PlannedCall] = ()
) -> TrajectoryTask:
    """Stands for a task where only its servers and its plan count."""
    return TrajectoryTask(
        id=key,
        servers=tuple(servers),
        kind="server",
        request="",
        language=language,
        plan=tuple(plan),
    )


def trials_stage(host: LiveHosts) -> Stage[TriedPlan, PlanTrial]:
    """Plans to what came of them."""

    async def work(item: TriedPlan) -> PlanTrial:
        async with host(item.task) as opened:
            starts = server_starts(opened)
            fresh = bool(starts) and all(start.state == "fresh" for start in starts)
            failure = ""
            if fresh or not any(_changes(call, item.tools) for call in item.task.plan):
                failure = await _first_failure(opened, item.task.plan)
        return PlanTrial(key=item.key, starts=starts, failure=failure)

    return Stage(TRIED, work)


def _changes(call: PlannedCall, tools: ToolSet) -> bool:
    # A guess by the name is not enough where a wrong one leaves something behind.
    return call.tool not in tools or tools[call.tool].tool.read_only is not True


async def _first_failure(host: ToolHost, plan: Sequence[PlannedCall]) -> str:
    results: dict[str, Json] = {}
    shown = {document.name for document in host.tools()}
    for call in plan:
        where = f"{call.tool} ({call.id})"
        if call.tool not in shown:
            return f"{where}: the tool is not allowed"
        try:
            result = await host.call(call.tool, resolved(call, results))
        except NoSuchField as error:
            return f"{where}: {error}"
        except HostError as error:
            return f"{where}: {error}"
        if result.is_error:
            return f"{where}: {canonical_json(result.content)[:500]}"
        results[call.id] = result.content
    return ""
