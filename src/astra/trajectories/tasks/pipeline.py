"""From a folder of tools to `chains.jsonl` and `tasks.jsonl`: the first stages of a run.

`proposals` → graphs → `chains` → `server-tasks`, `varied` → `scored` → `tasks`. Each is resumable.
Drafts are made in waves until enough have been accepted; what a wave holds depends on the options
and on what came of the waves before it alone, so that a run which was killed ends in the same
bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

from rich.console import Console

from astra.errors import ConfigError
from astra.runs.cost import StageMeter
from astra.runs.folder import RunFolder
from astra.runs.runner import run
from astra.runs.stage import Stage, StageReport
from astra.teacher.prompt import Teacher
from astra.trajectories.records import CollectedToolServer, TaskOrigin, TrajectoryTask
from astra.trajectories.tasks.chains import (
    CHAINS,
    PROPOSALS,
    CandidateChain,
    ChainOptions,
    ProposalRound,
    ServerGroup,
    candidates,
    chains_stage,
    group_of,
    observed_results,
    proposals_stage,
    require_servers,
    server_graph,
)
from astra.trajectories.tasks.personas import read_personas
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
    TaskChecker,
    TaskThresholds,
    chain_draft,
    scored_stage,
    server_drafts,
    server_tasks_stage,
)
from astra.trajectories.tasks.transition_graph import graphml
from astra.trajectories.tasks.variations import (
    VARIED,
    VariationRequest,
    variation_requests,
    varied_draft,
    varied_stage,
)
from astra.types import Json

TASKS = "tasks"
SHARES: Mapping[TaskOrigin, float] = {
    TaskOrigin.original: 0.4,
    TaskOrigin.diversity: 0.2,
    TaskOrigin.complexity: 0.2,
    TaskOrigin.persona: 0.2,
}
LEAST_WAVE = 8
BARREN = 100
"""Items in a row without one that is accepted, after which no more are tried."""
MOST_ROUNDS = 50
"""Rounds of server-only tasks per server, at most."""
_PER_ROUND = 5
"""Server-only tasks asked for in one round."""
_WALKS = 4
"""Different walks that are drawn for each chain that is wanted."""


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """What tasks are to be made. Raises ConfigError for what can't be."""

    count: int = 100
    """Tasks altogether; fewer when the tools do not yield so many."""
    shares: Mapping[TaskOrigin, float] = field(default_factory=lambda: dict(SHARES))
    """Share of each axis; they need not add up to 1."""
    chain_share: float = 0.7
    """Share of chain-conditioned tasks among the original ones; the rest is server-only."""
    chains: ChainOptions = field(default_factory=ChainOptions)
    fewest_tools: int = 1
    most_tools: int = 3
    """Of server-only tasks."""
    thresholds: TaskThresholds = field(default_factory=TaskThresholds)
    near: float = 0.85
    """Share of common shingles from which two requests are near-duplicates."""
    personas: Path | None = None
    """JSONL file; None: the built-in set."""
    observed: Path | None = None
    """An earlier run folder, whose recorded results tell what tools return."""
    seed: int = 0
    concurrency: int = 8

    def __post_init__(self) -> None:
        if self.count < 1 or any(share < 0 for share in self.shares.values()):
            raise ConfigError(f"{self.count!r} tasks in shares {dict(self.shares)!r} can't be made")
        if self.shares.get(TaskOrigin.original, 0) <= 0:
            raise ConfigError("give original tasks a share: the others are made from them")
        if not 0 <= self.chain_share <= 1:
            raise ConfigError(f"the share {self.chain_share!r} of chains is not between 0 and 1")
        if not 1 <= self.fewest_tools <= self.most_tools:
            raise ConfigError(
                f"{self.fewest_tools!r} to {self.most_tools!r} tools: give the fewest first"
            )
        if self.chains.votes < 1 or self.chains.rounds < 1 or self.chains.pairs < 1:
            raise ConfigError("votes, rounds and pairs must be at least 1")

    def per_axis(self) -> dict[TaskOrigin, int]:
        """Tasks wanted on each axis; they add up to `count`."""
        total = sum(self.shares.values())
        exact = {axis: self.count * self.shares.get(axis, 0.0) / total for axis in TaskOrigin}
        counts = {axis: int(value) for axis, value in exact.items()}
        left = sorted(
            TaskOrigin, key=lambda axis: (counts[axis] - exact[axis], list(TaskOrigin).index(axis))
        )
        for axis in left[: self.count - sum(counts.values())]:
            counts[axis] += 1
        if not counts[TaskOrigin.original]:
            counts[max(counts, key=lambda axis: counts[axis])] -= 1
            counts[TaskOrigin.original] = 1
        return counts

    def config(self) -> dict[str, Json]:
        """The options for `config.toml`; how fast is not among them."""
        chains = self.chains
        return {
            "count": self.count,
            "axes": {axis.value: share for axis, share in self.shares.items()},
            "chain_share": self.chain_share,
            "chains": {
                "rounds": chains.rounds,
                "pairs": chains.pairs,
                "shortest": chains.shortest,
                "longest": chains.longest,
                "acyclic": chains.acyclic,
                "verify": chains.verify,
                "votes": chains.votes,
                "across": chains.across,
                "shown": chains.shown,
            },
            "server_tools": [self.fewest_tools, self.most_tools],
            "thresholds": {
                "question_quality": self.thresholds.question_quality,
                "scenario_realism": self.thresholds.scenario_realism,
                "tool_necessity": self.thresholds.tool_necessity,
            },
            "near": self.near,
            "personas": None if self.personas is None else str(self.personas),
            "observed": None if self.observed is None else str(self.observed),
            "seed": self.seed,
        }


def _no_meter(stage: str) -> StageMeter:
    del stage
    return StageMeter()


async def make_tasks(
    tools: RunFolder,
    folder: RunFolder,
    teacher: Teacher,
    options: TaskOptions,
    console: Console | None = None,
    meter: Callable[[str], StageMeter] = _no_meter,
) -> dict[str, StageReport]:
    """Write `tasks.jsonl` into `folder`, from the servers in `tools`; the report of each stage.

    `meter`: stage name -> where what the teacher costs in it is counted. Fewer tasks than asked
    for are written when no more can be made.
    """
    return await _Maker(tools, folder, teacher, options, console, meter).make()


class _Keyed(Protocol):
    @property
    def key(self) -> str: ...


K = TypeVar("K", bound=_Keyed)


class _Maker:
    """One run of the line."""

    def __init__(
        self,
        tools: RunFolder,
        folder: RunFolder,
        teacher: Teacher,
        options: TaskOptions,
        console: Console | None,
        meter: Callable[[str], StageMeter],
    ) -> None:
        self._folder = folder
        self._teacher = teacher
        self._options = options
        self._console = console
        self._meter = meter
        self._servers = {server.id: server for server in require_servers(tools)}
        self._observed = (
            observed_results(RunFolder.open(options.observed), list(self._servers.values()))
            if options.observed
            else {}
        )
        self._personas = read_personas(options.personas)
        self._groups: dict[tuple[str, ...], ServerGroup] = {}
        self._checker = TaskChecker(
            self.group,
            near=options.near,
            fewest=options.fewest_tools,
            most=options.most_tools,
        )
        self._reports: dict[str, StageReport] = {}

    async def make(self) -> dict[str, StageReport]:
        wanted_on = self._options.per_axis()
        await self._propose()
        await self._originals(wanted_on[TaskOrigin.original])
        for axis in (TaskOrigin.diversity, TaskOrigin.complexity, TaskOrigin.persona):
            await self._vary(axis, wanted_on[axis])
        await self._select(wanted_on)
        return self._reports

    def group(self, ids: Sequence[str]) -> ServerGroup:
        """The servers of these ids as one group, made once."""
        key = tuple(ids)
        if key not in self._groups:
            self._groups[key] = group_of([self._servers[one] for one in key], self._observed)
        return self._groups[key]

    @cached_property
    def _singles(self) -> list[ServerGroup]:
        """Each server that has tools, alone."""
        return [self.group((one,)) for one, server in self._servers.items() if server.tools]

    async def _run(self, stage: Stage[Any, Any], items: Iterable[Any], total: int | None) -> None:
        self._reports[stage.name] = await run(
            stage,
            items,
            self._folder,
            concurrency=self._options.concurrency,
            total=total,
            console=self._console,
        )

    async def _propose(self) -> None:
        rounds = [
            ProposalRound(group, number)
            for number in range(1, self._options.chains.rounds + 1)
            for group in self._singles
        ]
        stage = proposals_stage(self._teacher, self._options.chains, self._meter(PROPOSALS))
        await self._run(stage, rounds, len(rounds))
        for server in self._servers.values():
            self._write_graph(server)

    @cached_property
    def _proposals(self) -> list[ChainProposal]:
        return list(self._folder.rows(PROPOSALS, ChainProposal))

    def _write_graph(self, server: CollectedToolServer) -> None:
        graph = server_graph(server, self._proposals)
        self._folder.replace(graph_file(server), [graphml(graph)])

    # --- originals -------------------------------------------------------------------------------

    async def _originals(self, count: int) -> None:
        chains = round(count * self._options.chain_share)
        most = LEAST_WAVE + _WALKS * chains
        walks = candidates(self._singles, self._proposals, most, self._options.chains)
        made = await self._fill(walks, chains, self._from_chains)
        rounds = (
            ProposalRound(group, number)
            for number in range(1, MOST_ROUNDS + 1)
            for group in self._singles
        )
        await self._fill(rounds, count - made, self._from_servers)

    async def _from_chains(self, wave: Sequence[CandidateChain]) -> int:
        stage = chains_stage(self._teacher, self._options.chains, self._meter(CHAINS))
        await self._run(stage, wave, len(wave))
        keys = {candidate.key for candidate in wave}
        rows = (row for row in self._folder.rows(CHAINS, VerifiedChain) if row.id in keys)
        return await self._score([chain_draft(row) for row in rows])

    async def _from_servers(self, wave: Sequence[ProposalRound]) -> int:
        options = self._options
        stage = server_tasks_stage(
            self._teacher,
            wanted=_PER_ROUND,
            fewest=options.fewest_tools,
            most=options.most_tools,
            shown=options.chains.shown,
            seed=options.seed,
            meter=self._meter(SERVER_TASKS),
        )
        await self._run(stage, wave, len(wave))
        keys = {asked.key for asked in wave}
        rows = [row for row in self._folder.rows(SERVER_TASKS, ServerTasks) if row.key in keys]
        drafts = [d for row in rows for d in server_drafts(row, self.group((row.server,)))]
        return await self._score(drafts)

    # --- variations ------------------------------------------------------------------------------

    async def _vary(self, axis: TaskOrigin, count: int) -> None:
        parents = [(task, self.group(task.servers)) for task in self._chosen_originals()]
        if count and parents:
            asked = variation_requests(parents, axis, self._personas, self._options.seed)
            await self._fill(asked, count, self._from_wanted)

    async def _from_wanted(self, wave: Sequence[VariationRequest]) -> int:
        shown, seed = self._options.chains.shown, self._options.seed
        stage = varied_stage(self._teacher, shown, seed, self._meter(VARIED))
        await self._run(stage, wave, len(wave))
        parents = {asked.key: asked.parent for asked in wave}
        rows = (row for row in self._folder.rows(VARIED, TaskVariation) if row.key in parents)
        return await self._score([varied_draft(row, parents[row.key]) for row in rows])

    # --- scores ----------------------------------------------------------------------------------

    async def _score(self, drafts: Sequence[DraftTask]) -> int:
        """Score drafts; how many of them are accepted."""
        checked = self._checker.check(drafts)
        options = self._options
        stage = scored_stage(
            self._teacher,
            options.thresholds,
            options.chains.shown,
            options.seed,
            self._meter(SCORED),
        )
        await self._run(stage, checked, len(checked))
        keys = {draft.key for draft in drafts}
        return sum(row["key"] in keys for _, row in self._folder.values(SCORED))

    async def _fill(
        self, source: Iterator[K], count: int, work: Callable[[Sequence[K]], Awaitable[int]]
    ) -> int:
        """Work through a source in waves until so many are accepted; how many were."""
        done = fruitless = 0
        while done < count and fruitless < BARREN:
            wave = list(islice(source, max(LEAST_WAVE, count - done)))
            if not wave:
                break
            more = await work(wave)
            done, fruitless = done + more, 0 if more else fruitless + len(wave)
        return min(done, count)

    def _scored(self, axis: TaskOrigin) -> Iterator[TrajectoryTask]:
        rows = self._folder.rows(SCORED, ScoredTask)
        return (row.task for row in rows if row.task.axis is axis)

    def _chosen_originals(self) -> list[TrajectoryTask]:
        """The original tasks that are wanted: of each kind its share, where there are so many,
        and of each server as many as of another, where there are so many."""
        count = self._options.per_axis()[TaskOrigin.original]
        tasks = list(self._scored(TaskOrigin.original))
        alone = [task for task in tasks if task.kind == "server"]
        wanted_chains = max(round(count * self._options.chain_share), count - len(alone))
        of_chains = spread(task for task in tasks if task.kind == "chain")[:wanted_chains]
        return of_chains + spread(alone, of_chains)[: count - len(of_chains)]

    async def _select(self, counts: Mapping[TaskOrigin, int]) -> None:
        """The tasks of each axis that are wanted, the first first."""
        tasks = self._chosen_originals()
        for axis in (TaskOrigin.diversity, TaskOrigin.complexity, TaskOrigin.persona):
            tasks += islice(self._scored(axis), counts[axis])

        async def work(task: TrajectoryTask) -> TrajectoryTask:
            return task

        stage = Stage(
            name=TASKS, work=work, key=lambda task: task.id, stored_key=lambda row: row["id"]
        )
        await self._run(stage, tasks, len(tasks))


def spread(
    tasks: Iterable[TrajectoryTask], before: Iterable[TrajectoryTask] = ()
) -> list[TrajectoryTask]:
    """The tasks with those of different servers in turn, after the ones that went before."""
    taken = Counter(task.servers for task in before)
    turns: list[tuple[int, TrajectoryTask]] = []
    for task in tasks:
        turns.append((taken[task.servers], task))
        taken[task.servers] += 1
    return [task for _, task in sorted(turns, key=lambda turn: turn[0])]


def graph_file(server: CollectedToolServer) -> str:
    """Where the graph of a server stands in the run folder."""
    return f"graph-{server.id}.graphml"
