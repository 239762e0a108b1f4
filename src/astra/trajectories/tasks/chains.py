"""Stages `proposals` and `chains`: what a teacher proposes, and the walks that pass every check.

A walk is dropped, with its check as a row, by `dependencies` (an argument that can't be had; no
teacher is asked), `votes` (no strict majority of verdicts) and `back_translation` (the request that
was told from it does not lead back to it). A verdict in favour counts only with a plan that holds
mechanically; see `plans`.

What this does not guarantee: that a chain is useful. Teachers judge that, and can be wrong.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, zip_longest
from typing import Any, Literal

from astra.errors import Rejected, StoreError
from astra.runs.cost import StageMeter
from astra.runs.folder import RunFolder
from astra.runs.stage import Stage
from astra.teacher.prompt import Teacher
from astra.teacher.prompts.chains import (
    JUDGE_CHAIN,
    PROPOSE_CHAINS,
    RECOVER_CHAIN,
    TELL_CHAIN,
    ChainIn,
    ChainVerdict,
    ProposeChainsIn,
    ProposedChain,
    RecoverIn,
    ShownTool,
    ToldChain,
)
from astra.trajectories.records import CollectedToolServer, PlannedCall, RecordedRollout
from astra.trajectories.tasks.dependencies import (
    KnownFields,
    ObservedResults,
    bridges,
    last_words,
    supplies,
)
from astra.trajectories.tasks.plans import planned_calls, request_problem, same_calls
from astra.trajectories.tasks.records import ChainProposal, VerifiedChain
from astra.trajectories.tasks.transition_graph import Graph, candidate_walks, transition_graph
from astra.trajectories.toolset import ToolSet
from astra.types import Language, content_hash

PROPOSALS = "proposals"
CHAINS = "chains"
VOTES = "votes"
BACK_TRANSLATION = "back_translation"

ChainCheck = Literal["vote", "back", "both"]

_MOST_OBSERVED = 20
"""Results of one tool that are looked at."""
_MOST_PAIRS = 200
"""Pairs of servers that are joined."""
_MOST_LOOKED_AT = 5_000
"""Pairs of servers that may be joined, of which so many are looked at."""


@dataclass(frozen=True, slots=True)
class ChainOptions:
    """How chains are proposed, drawn and verified."""

    rounds: int = 2
    """Rounds of proposals per server."""
    pairs: int = 10
    """(task, chain) pairs per round."""
    shortest: int = 2
    longest: int = 5
    acyclic: bool = False
    """Whether no tool may stand twice in a chain."""
    verify: ChainCheck = "vote"
    votes: int = 3
    """Independent verdicts, or back-translations; a strict majority decides."""
    across: bool = False
    """Whether chains may go from one server to another."""
    shown: int = 60
    """Most tools that a teacher is shown at once."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class ServerGroup:
    """Servers whose tools an agent gets together: one, or several for chains across them."""

    servers: tuple[CollectedToolServer, ...]
    tools: ToolSet
    known: KnownFields

    @property
    def language(self) -> Language:
        return self.servers[0].language

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(server.id for server in self.servers)

    @property
    def service(self) -> str:
        """What a teacher is told of where the tools come from."""
        about = [": ".join(filter(None, (s.name, s.description))) for s in self.servers]
        return "; ".join(about)

    def shown(self, names: Iterable[str]) -> tuple[ShownTool, ...]:
        """The tools of these names, each once, as a teacher sees them."""
        return tuple(self._shown(name) for name in dict.fromkeys(names) if name in self.tools)

    def _shown(self, name: str) -> ShownTool:
        shown = self.tools[name]
        return ShownTool(
            name=name,
            description=shown.document.description,
            parameters=shown.document.parameters,
            returns={each.path: each.kind for each in self.known(shown)},
            examples=shown.tool.examples,
        )

    def some(
        self, most: int, rng: random.Random, must: Sequence[str] = ()
    ) -> tuple[ShownTool, ...]:
        """At most so many tools, with those that must be there, in their order."""
        names = list(self.tools)
        if len(names) > most:
            others = [name for name in names if name not in must]
            taken = {*must, *rng.sample(others, max(0, most - len(must)))}
            names = [name for name in names if name in taken]
        return self.shown(names)


def group_of(
    servers: Sequence[CollectedToolServer], observed: ObservedResults | None = None
) -> ServerGroup:
    """The servers as one group."""
    return ServerGroup(tuple(servers), ToolSet(servers), KnownFields(observed))


def observed_results(folder: RunFolder, servers: Sequence[CollectedToolServer]) -> ObservedResults:
    """Results of calls that were recorded in rollouts, some of each tool."""
    known = {server.id: server for server in servers}
    found: dict[tuple[str, str], list[Any]] = {}
    for rollout in folder.rows("rollouts", RecordedRollout):
        if not all(server in known for server in rollout.task.servers):
            continue
        tools = ToolSet([known[server] for server in rollout.task.servers])
        for call in rollout.recording:
            if call.is_error or (shown := tools.get(call.tool)) is None:
                continue
            results = found.setdefault((shown.server.id, shown.tool.document.name), [])
            if len(results) < _MOST_OBSERVED:
                results.append(call.content)
    return found


# --- proposals -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ProposalRound:
    """One round of proposals for a server."""

    group: ServerGroup
    number: int

    @property
    def key(self) -> str:
        return f"{self.group.servers[0].id}:{self.number}"


def proposals_stage(
    teacher: Teacher, options: ChainOptions, meter: StageMeter
) -> Stage[ProposalRound, ChainProposal]:
    """Rounds to proposals. What is no chain of the server's tools falls out, with the reason."""

    async def work(asked: ProposalRound) -> ChainProposal:
        rng = random.Random(f"{options.seed}:{asked.key}")
        given = ProposeChainsIn(
            language=asked.group.language,
            service=asked.group.service,
            tools=asked.group.some(options.shown, rng),
            wanted=options.pairs,
            shortest=options.shortest,
            longest=options.longest,
            number=asked.number,
        )
        answer = await teacher.ask(PROPOSE_CHAINS, given)
        problems = [(pair, _pair_problem(pair, asked.group, options)) for pair in answer.pairs]
        return ChainProposal(
            key=asked.key,
            server=asked.group.servers[0].id,
            name=asked.group.servers[0].name,
            pairs=tuple(pair for pair, problem in problems if not problem),
            dropped=tuple(problem for _, problem in problems if problem),
        )

    return Stage(
        name=PROPOSALS,
        work=work,
        key=lambda asked: asked.key,
        stored_key=lambda row: row["key"],
        meter=meter,
    )


def _pair_problem(pair: ProposedChain, group: ServerGroup, options: ChainOptions) -> str:
    for name in pair.chain:
        if name not in group.tools:
            return f"{name!r:.100} is no tool of {group.servers[0].name!r:.100}"
    if not options.shortest <= len(pair.chain) <= options.longest:
        return f"a chain of {len(pair.chain)} tools: {pair.chain!r:.200}"
    if options.acyclic and len(set(pair.chain)) < len(pair.chain):
        return f"a tool stands twice in {pair.chain!r:.200}"
    return ""


def server_graph(server: CollectedToolServer, proposals: Iterable[ChainProposal]) -> Graph:
    """The transition graph of a server, from all rows of proposals."""
    chains = [pair.chain for row in proposals if row.server == server.id for pair in row.pairs]
    return transition_graph([tool.document.name for tool in server.tools], chains)


# --- candidates ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CandidateChain:
    """A walk that may become a chain."""

    group: ServerGroup
    tools: tuple[str, ...]
    """As they are shown."""
    key: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", content_hash([sorted(self.group.ids), self.tools]))


def candidates(
    groups: Sequence[ServerGroup],
    proposals: Sequence[ChainProposal],
    most: int,
    options: ChainOptions,
) -> Iterator[CandidateChain]:
    """Walks on the servers' graphs, one of each server in turn, at most `most` of each."""
    graphs = {g.ids[0]: server_graph(g.servers[0], proposals) for g in groups}
    sources = [_walks(group, graphs[group.ids[0]], most, options) for group in groups]
    if options.across:
        for pair, graph in _pairs(groups, graphs):
            walks = _walks(pair, graph, most, options)
            sources.append([walk for walk in walks if _crosses(walk)])
    for turn in zip_longest(*sources):
        yield from (candidate for candidate in turn if candidate is not None)


def _walks(
    group: ServerGroup, graph: Graph, most: int, options: ChainOptions
) -> list[CandidateChain]:
    walks = candidate_walks(
        graph,
        most,
        seed=f"{options.seed}:{':'.join(group.ids)}",
        shortest=options.shortest,
        longest=options.longest,
        acyclic=options.acyclic,
    )
    return [CandidateChain(group, walk) for walk in walks]


def _crosses(candidate: CandidateChain) -> bool:
    tools = candidate.group.tools
    return len({tools[name].server.id for name in candidate.tools}) > 1


def _pairs(
    groups: Sequence[ServerGroup], graphs: dict[str, Graph]
) -> Iterator[tuple[ServerGroup, Graph]]:
    """Pairs of servers of one language whose fields fit, with the graph of both."""
    found = looked = 0
    words = {group.ids: last_words(group.tools, group.known) for group in groups}
    for first, second in combinations(groups, 2):
        (given, needed), (given_too, needed_too) = words[first.ids], words[second.ids]
        if first.language != second.language or not (given & needed_too or given_too & needed):
            continue
        if found >= _MOST_PAIRS or looked >= _MOST_LOOKED_AT:
            return
        looked += 1
        both = ServerGroup(
            (*first.servers, *second.servers),
            ToolSet([*first.servers, *second.servers]),
            first.known,
        )
        edges = bridges(both.tools, both.known)
        if edges:
            found += 1
            yield both, _united(both, graphs, edges)


def _united(both: ServerGroup, graphs: dict[str, Graph], edges: Sequence[tuple[str, str]]) -> Graph:
    """Both servers' graphs under shown names, and an edge of weight 1 for each bridge."""
    shown = {(both.tools[n].server.id, both.tools[n].tool.document.name): n for n in both.tools}
    graph = transition_graph(both.tools, edges)
    for server in both.ids:
        for first, second, weight in graphs[server].edges(data="weight"):
            graph.add_edge(shown[server, first], shown[server, second], weight=weight)
    return graph


# --- chains --------------------------------------------------------------------------------------


def chains_stage(
    teacher: Teacher, options: ChainOptions, meter: StageMeter
) -> Stage[CandidateChain, VerifiedChain]:
    """Walks to verified chains."""

    async def work(candidate: CandidateChain) -> VerifiedChain:
        supplies([candidate.group.tools[name] for name in candidate.tools], candidate.group.known)
        return await verified(candidate, teacher, options)

    return Stage(
        name=CHAINS,
        work=work,
        key=lambda candidate: candidate.key,
        stored_key=lambda row: row["id"],
        meter=meter,
    )


async def verified(
    candidate: CandidateChain, teacher: Teacher, options: ChainOptions
) -> VerifiedChain:
    """The chain with its task, once a strict majority is for it; raises Rejected."""
    verifier = _Verifier(candidate, teacher, options)
    votes: list[bool] = []
    agreements: list[bool] = []
    chosen: tuple[ToldChain, tuple[PlannedCall, ...]] | None = None
    if options.verify in ("vote", "both"):
        votes, chosen = await verifier.vote()
    if options.verify in ("back", "both"):
        agreements, told = await verifier.back()
        chosen = chosen or told
    assert chosen is not None
    task, plan = chosen
    return VerifiedChain(
        id=candidate.key,
        servers=candidate.group.ids,
        tools=candidate.tools,
        language=candidate.group.language,
        task=task.task,
        request=task.request,
        plan=plan,
        votes=tuple(votes),
        agreements=tuple(agreements),
    )


class _Verifier:
    """The two operators of the paper on one candidate."""

    def __init__(self, candidate: CandidateChain, teacher: Teacher, options: ChainOptions) -> None:
        self._candidate = candidate
        self._group = candidate.group
        self._teacher = teacher
        self._options = options
        self._problem = ""
        self._given = ChainIn(
            language=candidate.group.language,
            service=candidate.group.service,
            tools=candidate.group.shown(candidate.tools),
            chain=candidate.tools,
        )

    async def vote(self) -> tuple[list[bool], tuple[ToldChain, tuple[PlannedCall, ...]]]:
        """Independent verdicts, and the first task in favour. Rejected without a majority."""
        votes: list[bool] = []
        chosen: tuple[ToldChain, tuple[PlannedCall, ...]] | None = None
        for index in range(self._options.votes):
            verdict = await self._teacher.ask(JUDGE_CHAIN, self._given, index=index)
            plan = self._plan(verdict)
            votes.append(plan is not None)
            if plan is not None:
                chosen = chosen or (verdict, plan)
            if self._decided(votes):
                break
        return votes, self._majority(VOTES, votes, chosen)

    async def back(self) -> tuple[list[bool], tuple[ToldChain, tuple[PlannedCall, ...]]]:
        """Told as a request, and recovered from it. Rejected without a majority."""
        agreements: list[bool] = []
        chosen: tuple[ToldChain, tuple[PlannedCall, ...]] | None = None
        for index in range(self._options.votes):
            told = await self._teacher.ask(TELL_CHAIN, self._given, index=index)
            plan = self._plan(told)
            agreed = plan is not None and await self._comes_back(told, plan, index)
            agreements.append(agreed)
            if plan is not None and agreed:
                chosen = chosen or (told, plan)
            if self._decided(agreements):
                break
        return agreements, self._majority(BACK_TRANSLATION, agreements, chosen)

    def _decided(self, votes: Sequence[bool]) -> bool:
        """Whether the votes that are left can change nothing."""
        left = self._options.votes - len(votes)
        return 2 * sum(votes) > self._options.votes or (
            2 * (sum(votes) + left) <= self._options.votes
        )

    def _majority(
        self,
        check: str,
        votes: Sequence[bool],
        chosen: tuple[ToldChain, tuple[PlannedCall, ...]] | None,
    ) -> tuple[ToldChain, tuple[PlannedCall, ...]]:
        if chosen is None or 2 * sum(votes) <= self._options.votes:
            raise Rejected(
                check,
                f"{sum(votes)} of {len(votes)} for {' → '.join(self._candidate.tools)}; the last "
                f"against it: {self._problem}",
            )
        return chosen

    def _plan(self, told: ToldChain) -> tuple[PlannedCall, ...] | None:
        """The plan, if the teacher is in favour and it holds; else why not is remembered."""
        if isinstance(told, ChainVerdict) and not told.holds:
            self._problem = told.reason
            return None
        self._problem = request_problem(told.request, self._group.language)
        if not self._problem and tuple(step.tool for step in told.plan) != self._candidate.tools:
            self._problem = "the plan is not of the tools of the chain"
        if self._problem:
            return None
        try:
            return planned_calls(told.plan, told.request, self._group.tools, self._group.known)
        except ValueError as error:
            self._problem = str(error)
            return None

    async def _comes_back(self, told: ToldChain, plan: Sequence[PlannedCall], index: int) -> bool:
        rng = random.Random(f"{self._options.seed}:{self._candidate.key}")
        given = RecoverIn(
            language=self._group.language,
            service=self._group.service,
            tools=self._group.some(self._options.shown, rng, must=self._candidate.tools),
            request=told.request,
        )
        recovered = await self._teacher.ask(RECOVER_CHAIN, given, index=index)
        order = {call.id: position for position, call in enumerate(plan)}
        steps = recovered.steps
        if any(not 1 <= need <= number for number, step in enumerate(steps) for need in step.needs):
            self._problem = "a step of the calls that came back needs one that is not before it"
            return False
        same = same_calls(
            [[order[need] for need in call.depends_on] for call in plan],
            self._candidate.tools,
            [[need - 1 for need in step.needs] for step in steps],
            [step.tool for step in steps],
        )
        if not same:
            back = " → ".join(step.tool for step in steps)
            self._problem = f"the request led to {back[:300] or 'nothing'}"
        return same


def require_servers(folder: RunFolder) -> list[CollectedToolServer]:
    """The servers of a folder of tools; StoreError when there are none."""
    servers = list(folder.rows("servers", CollectedToolServer))
    if not servers:
        raise StoreError(
            f"{str(folder.path)!r} holds no servers: give a folder that `astra tools collect` wrote"
        )
    return servers
