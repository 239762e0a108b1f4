"""From a folder of tools to `chains.jsonl` and `tasks.jsonl`: the first stages of a run.

`probes` → `proposals` → graphs → `chains` → `server-tasks`, `varied` → `tried` → `scored` →
`tasks`, each resumable; `probes` and `tried` are of live servers.
Drafts are made in waves until enough are accepted. A wave depends only on the options and on the
outcome of earlier waves, so that a killed run ends in the same bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import count as count_from
from itertools import islice, zip_longest
from pathlib import Path
from typing import Protocol, TypeVar

from rich.console import Console

from astra.configs.base import weights
from astra.configs.trajectories import MakeTrajectoriesConfig
from astra.errors import Rejected
from astra.runs.folder import RunFolder
from astra.runs.runner import StageRunner
from astra.runs.stage import StageReport, copy_stage
from astra.teacher.prompt import Teacher
from astra.trajectories.records import TaskOrigin, TrajectoryTask
from astra.trajectories.tasks.chain_proposals import (
    PAIRS,
    PROPOSALS,
    ROUNDS,
    CandidateChain,
    ProposalRound,
    candidate_chains,
    proposals_stage,
    server_graph,
)
from astra.trajectories.tasks.chain_verification import CHAINS, chains_stage
from astra.trajectories.tasks.personas import BUILT_IN, read_personas
from astra.trajectories.tasks.plan_trials import (
    TRIED,
    LiveHosts,
    PlanTrial,
    TriedPlan,
    live_task,
    trials_stage,
)
from astra.trajectories.tasks.probing import PROBES, ServerProbe, probes_stage
from astra.trajectories.tasks.records import (
    ChainProposal,
    DraftTask,
    ScoredTask,
    ServerTasks,
    TaskVariation,
    VerifiedChain,
)
from astra.trajectories.tasks.scoring import (
    SCORED,
    SERVER_TASKS,
    TASKS_PER_ROUND,
    CheckedTask,
    TaskChecker,
    chain_draft,
    scored_stage,
    server_drafts,
    server_tasks_stage,
)
from astra.trajectories.tasks.server_groups import (
    ServerGroup,
    group_of,
    observed_results,
    require_servers,
)
from astra.trajectories.tasks.transition_graph import graphml
from astra.trajectories.tasks.variations import (
    VARIED,
    VariationRequest,
    variation_requests,
    varied_draft,
    varied_stage,
)
from astra.types import Json, RecordedCall

TASKS = "tasks"
MORE_WALKS = 8
"""Walks of a server beyond those that its chains need."""
MAX_FRUITLESS = 100
"""Items in a row of which none is accepted, after which a source is given up."""
MAX_ROUNDS = 50
"""Rounds of server-only tasks per server."""
_WALKS_PER_CHAIN = 4
"""Distinct walks that are drawn for each chain that is wanted."""
_VARIED_AXES = (TaskOrigin.diversity, TaskOrigin.complexity, TaskOrigin.persona)


class Keyed(Protocol):
    """An item of a wave."""

    @property
    def key(self) -> str: ...


K = TypeVar("K", bound=Keyed)


def tasks_per_axis(config: MakeTrajectoriesConfig) -> dict[TaskOrigin, int]:
    """Tasks wanted on each axis; they add up to `count`, with at least one original."""
    mix = weights(config.task_mix)
    total = sum(mix.values())
    exact = {axis: config.count * mix.get(axis.value, 0.0) / total for axis in TaskOrigin}
    counts = {axis: int(value) for axis, value in exact.items()}
    # Largest remainder, ties in the order of the axes.
    by_remainder = sorted(TaskOrigin, key=lambda axis: counts[axis] - exact[axis])
    for axis in by_remainder[: config.count - sum(counts.values())]:
        counts[axis] += 1
    if not counts[TaskOrigin.original]:
        counts[max(counts, key=lambda axis: counts[axis])] -= 1
        counts[TaskOrigin.original] = 1
    return counts


async def make_tasks(
    tools: RunFolder,
    folder: RunFolder,
    teacher: Teacher,
    config: MakeTrajectoriesConfig,
    console: Console | None = None,
    *,
    host: LiveHosts | None = None,
) -> dict[str, StageReport]:
    """Write `tasks.jsonl` into `folder` for the servers in `tools`; the report of each stage.

    Writes fewer tasks than `count` if no more can be made.

    `host`: makes the live host of a task. None: no server is asked.
    """
    maker = _TaskMaker(tools, folder, teacher, config, console, host)
    await maker.probe()
    await maker.propose()
    await maker.make_originals()
    for axis in _VARIED_AXES:
        await maker.make_variations(axis)
    await maker.select()
    return maker.runner.reports


class _TaskMaker:
    """One run of the stages."""

    def __init__(
        self,
        tools: RunFolder,
        folder: RunFolder,
        teacher: Teacher,
        config: MakeTrajectoriesConfig,
        console: Console | None,
        host: LiveHosts | None,
    ) -> None:
        self.runner = StageRunner(folder, config.concurrency, console)
        self._folder = folder
        self._teacher = teacher
        self._config = config
        self._host = None if config.hosts == "emulator" else host
        self._probes: dict[str, Sequence[RecordedCall]] = {}
        self._failing = 0
        """Tasks that were let through although their plans fail."""
        self._counts = tasks_per_axis(config)
        self._servers = {server.id: server for server in require_servers(tools)}
        self._observed: dict[tuple[str, str], Sequence[Json]] = dict(
            observed_results(RunFolder.open(config.observations), list(self._servers.values()))
            if config.observations
            else {}
        )
        self._personas = read_personas(Path(config.personas or BUILT_IN))
        self._groups: dict[tuple[str, ...], ServerGroup] = {}
        self._checker = TaskChecker(self._group)

    def _group(self, ids: Sequence[str]) -> ServerGroup:
        """The servers of these ids as one group, made once."""
        key = tuple(ids)
        if key not in self._groups:
            servers = [self._servers[one] for one in key]
            self._groups[key] = group_of(servers, self._observed, self._probes)
        return self._groups[key]

    @cached_property
    def _single_groups(self) -> list[ServerGroup]:
        """Each server with tools as a group of its own."""
        return [self._group((one,)) for one, server in self._servers.items() if server.tools]

    def _live(self, ids: Iterable[str]) -> LiveHosts | None:
        """What makes the host of these servers, if all of them are live."""
        live = all(self._servers[one].connection is not None for one in ids)
        return self._host if live else None

    async def probe(self) -> None:
        """Ask live servers what they hold."""
        live = [one for one in self._servers.values() if one.tools and self._live([one.id])]
        if self._host is None or not live:
            return
        await self.runner.run(probes_stage(self._host, self._config.seed), live, total=len(live))
        for row in self._folder.rows(PROBES, ServerProbe):
            self._probes[row.server] = row.calls
            for call in row.calls:
                key = (row.server, call.tool)
                if not call.is_error:
                    self._observed[key] = (*self._observed.get(key, ()), call.content)

    async def propose(self) -> None:
        """Ask for chains of every server, and write the transition graphs."""
        rounds = [
            ProposalRound(group, number, PAIRS)
            for number in range(1, ROUNDS + 1)
            for group in self._single_groups
        ]
        await self.runner.run(
            proposals_stage(self._teacher, self._config), rounds, total=len(rounds)
        )
        self._proposals = list(self._folder.rows(PROPOSALS, ChainProposal))
        for server in self._servers.values():
            graph = server_graph(server, self._proposals)
            self._folder.replace(f"graph-{server.id}.graphml", [graphml(graph)])

    async def make_originals(self) -> None:
        """Make tasks from chains, then tasks for single servers."""
        count = self._counts[TaskOrigin.original]
        chains = round(count * self._config.chain_fraction)
        most = MORE_WALKS + _WALKS_PER_CHAIN * chains
        walks = candidate_chains(self._single_groups, self._proposals, most, self._config)
        # What chains do not yield, server-only tasks replace.
        accepted = await self._accept(walks, chains, self._from_chains)
        await self._accept_server_tasks(count - accepted)

    async def make_variations(self, axis: TaskOrigin) -> None:
        """Vary the chosen original tasks on one axis."""
        parents = [
            (task, self._group(task.servers))
            for task in self._chosen_originals()
            if not task.failure
        ]
        if self._counts[axis] and parents:
            requests = variation_requests(parents, axis, self._personas, self._config.seed)
            await self._accept(requests, self._counts[axis], self._from_variations)

    async def select(self) -> None:
        """Write the first tasks of each axis, as many as are wanted."""
        tasks = self._chosen_originals()
        for axis in _VARIED_AXES:
            tasks += islice(self._scored(axis), self._counts[axis])
        await self.runner.run(copy_stage(TASKS, TrajectoryTask), tasks, total=len(tasks))

    # --- waves -----------------------------------------------------------------------------------

    async def _accept(
        self, source: Iterator[K], count: int, work: Callable[[Sequence[K]], Awaitable[int]]
    ) -> int:
        """Work through a source in waves until `count` are accepted; how many were."""
        accepted = fruitless = 0
        # As many items as are missing: more would be paid for and thrown away.
        while accepted < count and fruitless < MAX_FRUITLESS:
            wave = list(islice(source, count - accepted))
            if not wave:
                break
            more = await work(wave)
            accepted, fruitless = accepted + more, 0 if more else fruitless + len(wave)
        return min(accepted, count)

    async def _accept_server_tasks(self, count: int) -> None:
        """Ask for tasks of single servers, round by round, until `count` are accepted."""
        numbers = count_from(1)
        accepted = fruitless = 0
        while accepted < count and fruitless < MAX_FRUITLESS:
            number, missing = next(numbers), count - accepted
            if number > MAX_ROUNDS or not self._single_groups:
                break
            # A few of every server, beginning with those of which there are the fewest tasks.
            taken = Counter(task.servers for task in self._scored(TaskOrigin.original))
            groups = sorted(self._single_groups, key=lambda group: taken[group.ids])
            wanted = min(TASKS_PER_ROUND, -(-missing // len(groups)))
            groups = groups[: -(-missing // wanted)]
            more = await self._from_servers(
                [ProposalRound(group, number, wanted) for group in groups], missing
            )
            accepted, fruitless = accepted + more, 0 if more else fruitless + len(groups)

    async def _from_chains(self, wave: Sequence[CandidateChain]) -> int:
        await self.runner.run(chains_stage(self._teacher, self._config), wave, total=len(wave))
        keys = {candidate.key for candidate in wave}
        rows = (row for row in self._folder.rows(CHAINS, VerifiedChain) if row.id in keys)
        return await self._score([chain_draft(row) for row in rows])

    async def _from_servers(self, rounds: Sequence[ProposalRound], missing: int) -> int:
        """Score the proposed tasks, one of each server in turn, until `missing` are accepted."""
        stage = server_tasks_stage(self._teacher, self._config.seed)
        await self.runner.run(stage, rounds, total=len(rounds))
        keys = {round.key for round in rounds}
        rows = [row for row in self._folder.rows(SERVER_TASKS, ServerTasks) if row.key in keys]
        by_server = [list(server_drafts(row, self._group((row.server,)))) for row in rows]
        in_turn = zip_longest(*by_server)
        drafts = iter([draft for turn in in_turn for draft in turn if draft is not None])
        return await self._accept(drafts, missing, self._score)

    async def _from_variations(self, wave: Sequence[VariationRequest]) -> int:
        stage = varied_stage(self._teacher)
        await self.runner.run(stage, wave, total=len(wave))
        parents = {request.key: request.parent for request in wave}
        rows = (row for row in self._folder.rows(VARIED, TaskVariation) if row.key in parents)
        return await self._score([varied_draft(row, parents[row.key]) for row in rows])

    async def _score(self, drafts: Sequence[DraftTask]) -> int:
        """Check and score drafts; how many of them are accepted."""
        checked = await self._tried(self._checker.check(drafts))
        stage = scored_stage(self._teacher)
        await self.runner.run(stage, checked, total=len(checked))
        keys = {draft.key for draft in drafts}
        return sum(row["key"] in keys for _, row in self._folder.values(SCORED))

    async def _tried(self, checked: Sequence[CheckedTask]) -> list[CheckedTask]:
        """The tasks after their plans were tried on live servers; variations have tried ones."""
        plans: list[TriedPlan] = []
        for each in checked:
            draft = each.draft
            if each.problem is None and draft.parent is None and self._live(draft.servers):
                task = live_task(draft.key, draft.servers, draft.language, each.plan)
                plans.append(TriedPlan(draft.key, task, each.group.tools))
        if self._host is None or not plans:
            return list(checked)
        await self.runner.run(trials_stage(self._host), plans, total=len(plans))
        trials = {row.key: row for row in self._folder.rows(TRIED, PlanTrial)}
        keys = {plan.key for plan in plans}
        tried: list[CheckedTask] = []
        for each in checked:
            trial = trials.get(each.key)
            failure = "its servers could not be asked" if trial is None else trial.failure
            if each.key not in keys or not failure:
                tried.append(each)
            elif trial is not None and self._failing < int(
                self._config.count * self._config.failing_fraction
            ):
                self._failing += 1
                tried.append(replace(each, failure=failure))
            else:
                tried.append(replace(each, problem=Rejected(TRIED, failure)))
        return tried

    # --- choosing --------------------------------------------------------------------------------

    def _scored(self, axis: TaskOrigin) -> Iterator[TrajectoryTask]:
        rows = self._folder.rows(SCORED, ScoredTask)
        return (row.task for row in rows if row.task.axis is axis)

    def _chosen_originals(self) -> list[TrajectoryTask]:
        """The original tasks that are wanted: of both kinds by `chain_fraction`, and of all
        servers equally many, as far as there are enough."""
        count = self._counts[TaskOrigin.original]
        tasks = list(self._scored(TaskOrigin.original))
        server_tasks = [task for task in tasks if task.kind == "server"]
        wanted = max(round(count * self._config.chain_fraction), count - len(server_tasks))
        of_chains = spread(task for task in tasks if task.kind == "chain")[:wanted]
        return of_chains + spread(server_tasks, of_chains)[: count - len(of_chains)]


def spread(
    tasks: Iterable[TrajectoryTask], before: Iterable[TrajectoryTask] = ()
) -> list[TrajectoryTask]:
    """The tasks with different servers in turn, continuing after the ones `before`."""
    taken = Counter(task.servers for task in before)
    turns: list[tuple[int, TrajectoryTask]] = []
    for task in tasks:
        turns.append((taken[task.servers], task))
        taken[task.servers] += 1
    return [task for _, task in sorted(turns, key=lambda turn: turn[0])]
