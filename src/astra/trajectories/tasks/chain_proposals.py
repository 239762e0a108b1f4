"""Stage `proposals`, and the walks on the graphs of what a teacher proposed (spec section 1.2)."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, zip_longest
from pathlib import Path

from astra.configs.options import did_you_mean
from astra.configs.trajectories import MakeTrajectoriesConfig
from astra.errors import ConfigError
from astra.runs.folder import RunFolder
from astra.runs.stage import Stage
from astra.teacher.prompt import Teacher
from astra.teacher.prompts.chains import PROPOSE_CHAINS, ProposeChainsIn, ProposedChain
from astra.trajectories.records import CollectedToolServer
from astra.trajectories.tasks.dependencies import bridges, last_words
from astra.trajectories.tasks.records import ChainProposal
from astra.trajectories.tasks.server_groups import ServerGroup
from astra.trajectories.tasks.transition_graph import Graph, candidate_walks, transition_graph
from astra.trajectories.toolset import ToolSet
from astra.types import content_hash

PROPOSALS = "proposals"
ROUNDS = 2
"""Rounds of proposals per server."""
PAIRS = 10
"""(task, chain) pairs per round."""
_MOST_JOINED = 200
"""Pairs of servers that are joined."""
_MOST_EXAMINED = 5_000
"""Pairs of servers with a word in common that are examined for fields that fit."""


@dataclass(frozen=True, slots=True)
class ProposalRound:
    """One round of proposals for a server."""

    group: ServerGroup
    number: int
    wanted: int
    """Number of proposals to ask for."""

    @property
    def key(self) -> str:
        return f"{self.group.servers[0].id}:{self.number}"


def proposals_stage(
    teacher: Teacher, config: MakeTrajectoriesConfig
) -> Stage[ProposalRound, ChainProposal]:
    """Rounds to proposals. Pairs that are not chains of the server's tools are dropped."""

    async def work(round: ProposalRound) -> ChainProposal:
        group = round.group
        question = ProposeChainsIn(
            language=group.language,
            service=group.service,
            tools=group.sample_tools(random.Random(f"{config.seed}:{round.key}")),
            wanted=round.wanted,
            shortest=config.min_chain,
            longest=config.max_chain,
            number=round.number,
            state=group.state,
        )
        answer = await teacher.ask(PROPOSE_CHAINS, question)
        problems = [(pair, _problem(pair, group, config)) for pair in answer.pairs]
        return ChainProposal(
            key=round.key,
            server=group.servers[0].id,
            name=group.servers[0].name,
            pairs=tuple(pair for pair, problem in problems if not problem),
            dropped=tuple(problem for _, problem in problems if problem),
        )

    return Stage(PROPOSALS, work)


def _problem(pair: ProposedChain, group: ServerGroup, config: MakeTrajectoriesConfig) -> str:
    for name in pair.chain:
        if name not in group.tools:
            return f"{name!r:.100} is not a tool of {group.servers[0].name!r:.100}"
    if not config.min_chain <= len(pair.chain) <= config.max_chain:
        return f"a chain of {len(pair.chain)} tools: {pair.chain!r:.200}"
    if config.acyclic and len(set(pair.chain)) < len(pair.chain):
        return f"a tool occurs twice in {pair.chain!r:.200}"
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
    """Names as the agent sees them."""
    key: str = field(init=False)

    def __post_init__(self) -> None:
        # Computed once: candidates are compared and skipped by it on every resume.
        object.__setattr__(self, "key", content_hash([sorted(self.group.ids), self.tools]))


def candidate_chains(
    groups: Sequence[ServerGroup],
    proposals: Sequence[ChainProposal],
    most: int,
    config: MakeTrajectoriesConfig,
) -> Iterator[CandidateChain]:
    """Walks on the servers' graphs, one of each server in turn, at most `most` of each."""

    def walks(group: ServerGroup, graph: Graph) -> list[CandidateChain]:
        seed = f"{config.seed}:{':'.join(group.ids)}"
        lengths = (config.min_chain, config.max_chain)
        drawn = candidate_walks(graph, most, seed=seed, lengths=lengths, acyclic=config.acyclic)
        return [CandidateChain(group, walk) for walk in drawn]

    graphs = {group.ids[0]: server_graph(group.servers[0], proposals) for group in groups}
    sources = [walks(group, graphs[group.ids[0]]) for group in groups]
    for pair, graph in _joined_servers(groups, graphs) if config.cross_server else ():
        owner = {name: tool.server.id for name, tool in pair.tools.items()}
        crossing = [w for w in walks(pair, graph) if len({owner[name] for name in w.tools}) > 1]
        sources.append(crossing)
    for turn in zip_longest(*sources):
        yield from (candidate for candidate in turn if candidate is not None)


def _joined_servers(
    groups: Sequence[ServerGroup], graphs: dict[str, Graph]
) -> Iterator[tuple[ServerGroup, Graph]]:
    """Pairs of servers of one language whose fields fit, each with one graph.

    The graph has both servers' transitions under the agent's names, and an edge of weight 1 for
    each field of one server that fits a parameter of the other.
    """
    joined = examined = 0
    words = {group.ids: last_words(group.tools, group.fields) for group in groups}
    for first, second in combinations(groups, 2):
        (returned, required), (returned_2, required_2) = words[first.ids], words[second.ids]
        if first.language != second.language:
            continue
        # Comparing words first: examining all fields of every pair would take quadratic time.
        if not (returned & required_2 or returned_2 & required):
            continue
        if joined >= _MOST_JOINED or examined >= _MOST_EXAMINED:
            return
        examined += 1
        servers = (*first.servers, *second.servers)
        pair = ServerGroup(servers, ToolSet(servers), first.fields, first.probes)
        if not (edges := bridges(pair.tools, pair.fields)):
            continue
        joined += 1
        names = {(t.server.id, t.tool.document.name): name for name, t in pair.tools.items()}
        graph = transition_graph(pair.tools, edges)
        for server in pair.ids:
            for source, target, weight in graphs[server].edges(data="weight"):
                graph.add_edge(names[server, source], names[server, target], weight=weight)
        yield pair, graph


def proposed_graph(run: Path | str, server: str) -> tuple[str, Graph]:
    """A server's name, and which tool followed which how often in its proposed chains.

    `server`: name or id. Raises ConfigError unless the run folder has one such server.
    """
    rows = list(RunFolder.open(run).rows(PROPOSALS, ChainProposal))
    matching = {row.server: row.name for row in rows if server in (row.server, row.name)}
    if len(matching) == 1:
        [(server_id, name)] = matching.items()
        chains = [pair.chain for row in rows if row.server == server_id for pair in row.pairs]
        return name, transition_graph((), chains)
    if matching:
        raise ConfigError(
            f"several servers are named {server!r}: give one of the ids {', '.join(matching)}"
        )
    if not rows:
        raise ConfigError(
            "this run holds no proposals: give a folder that `astra trajectories make` wrote"
        )
    names = sorted({row.name for row in rows})
    hint = did_you_mean(server, names) or f": there are {', '.join(names[:20])}"
    raise ConfigError(f"there is no server {server!r} in this run{hint}")
