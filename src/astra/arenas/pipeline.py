"""From a source of candidates to a run folder of certified arenas with distractors.

Three stages, each resumable: `candidates` (certified on their own), `tools` (the pool that
distractors are drawn from), `arenas` (mixed, and certified again as they will be used). Any
source of candidates goes through the same stages.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, zip_longest
from operator import attrgetter
from typing import Protocol

from astra.arenas.certificate import certify
from astra.arenas.certificates import Certificate
from astra.arenas.database_file import (
    DATABASES,
    DatabasePool,
    DatabaseRow,
    DatabaseSpool,
    databases_of,
)
from astra.arenas.difficulty import dial_of
from astra.arenas.distractor_pool import DistractorPool
from astra.arenas.distractors import DistractorDraw, with_distractors
from astra.arenas.folder import ARENAS, CERTIFICATES, TOOLS, ToolPool, ToolRow, pool_rows
from astra.arenas.sets import ArenaSet
from astra.configs.spelling import option_name
from astra.errors import Rejected, StoreError
from astra.protocols import Embedder, Sandbox
from astra.runs.executor import spread
from astra.runs.folder import RunFolder
from astra.runs.runner import StageRunner, release_slot
from astra.runs.stage import SideFile, Stage, StageReport, copy_stage
from astra.types import Arena, Distractor, Json

CANDIDATES = "candidates"
CANDIDATE_CERTIFICATES = "candidate-certificates"
MAX_REJECTED = 200
"""Candidates that may be rejected for each that is certified: sources may be endless."""
NEAR_TOOLS = "near-tools"


class CandidateArena(Protocol):
    """One numbered candidate: an arena that may be certified, or why it fell out before."""

    @property
    def key(self) -> str: ...

    @property
    def outcome(self) -> Arena | Rejected: ...


@dataclass(frozen=True, slots=True)
class CertifiedArena:
    """An arena with its certificate."""

    arena: Arena
    certificate: Certificate
    near: tuple[Distractor, ...] = ()
    """Tools that were written for the arena to be shown beside its own."""


@dataclass(frozen=True, slots=True)
class ArenaProduction:
    """What a run of a pipeline of arenas made."""

    arenas: ArenaSet
    reports: dict[str, StageReport]
    """Stage -> its counts."""
    draws: dict[str, int]
    """How the planner's draws ended -> their number. Empty without a planner."""
    sandbox: str
    """Level of confinement."""


@dataclass(frozen=True, slots=True)
class ArenaPipeline:
    """Certifies candidates, mixes distractors in, certifies again: in the folder of `runner`.

    Running it again on the same folder resumes, with the same bytes in the end.
    """

    runner: StageRunner
    sandbox: Sandbox
    embedder: Embedder
    distractors: DistractorDraw = field(default_factory=DistractorDraw)
    near_tools: bool = False
    """Whether candidates bring distractors of their own."""

    @property
    def folder(self) -> RunFolder:
        return self.runner.folder

    async def make(
        self, candidates: Iterable[CandidateArena], count: int
    ) -> dict[str, StageReport]:
        """Take candidates until `count` are certified, and mix distractors in."""
        with DatabaseSpool() as found:
            seen = noting_databases(candidates, found)
            await self.certify(seen, count)
            await store_databases(self.runner, CANDIDATES, seen, found)
        return await self.mix()

    async def certify(
        self,
        candidates: Iterable[CandidateArena],
        count: int,
        *,
        retry: Container[str] | None = None,
    ) -> StageReport:
        """The first stage alone. It may be run again with more candidates before the others.

        `retry`: keys of the candidates, where they are only a part of all.
        """
        stage = certification_stage(
            self.sandbox,
            self.distractors.seed,
            CANDIDATES,
            CANDIDATE_CERTIFICATES,
            _stored_number,
            max_rejected=MAX_REJECTED,
            near_tools=self.near_tools,
        )
        return await self.runner.run(stage, candidates, until=count, retry=retry)

    async def mix(self) -> dict[str, StageReport]:
        """The stages after the candidates. Returns the report of every stage so far."""
        await self.runner.run(
            copy_stage(TOOLS, ToolRow), _candidate_tools(self.folder, near=self.near_tools)
        )
        accepted = self.folder.manifest().stages[CANDIDATES].accepted
        stage = await self._mixing_stage()
        await self.runner.run(
            stage, _certified_candidates(self.folder, near=self.near_tools), total=accepted
        )
        return self.runner.reports

    def production(self, draws: dict[str, int] | None = None) -> ArenaProduction:
        """What has been made. `draws`: how a planner's draws ended."""
        arenas = ArenaSet.of_run(self.folder)
        return ArenaProduction(arenas, self.runner.reports, draws or {}, self.sandbox.level)

    async def _mixing_stage(self) -> Stage[CertifiedArena, CertifiedArena]:
        mode, per_band, seed = self.distractors
        tools = ToolPool(self.folder)
        pools = {
            split: await DistractorPool.of_rows(
                pool_rows(self.folder, split) if mode != "none" else (), self.embedder
            )
            for split in ("train", "test")
        }

        async def mixed(candidate: CertifiedArena, drawn: Sequence[Distractor]) -> CertifiedArena:
            arena = with_distractors(candidate.arena, drawn)
            certificate = await require_certificate(
                arena, self.sandbox, seed, candidate.certificate
            )
            return CertifiedArena(arena, certificate)

        async def fits(candidate: CertifiedArena, distractor: Distractor) -> bool:
            try:
                await mixed(candidate, [distractor])
            except Rejected:
                return False
            return True

        async def work(candidate: CertifiedArena) -> CertifiedArena:
            arena = candidate.arena
            if arena.state is not None:
                # Its tools are over a database of their own, among others over the same one.
                return await mixed(candidate, ())
            near = candidate.near
            references = pools[arena.split].draw(
                with_distractors(arena, near) if near else arena,
                mode,
                seed=seed,
                per_band=dial_of(arena.provenance, "distractors_per_band") or per_band,
            )
            drawn = [*near, *tools.distractors(references)]
            try:
                return await mixed(candidate, drawn)
            except Rejected:
                # Tables share facts: a tool of another arena may well solve a goal of this one.
                # Such a distractor is left out, and the arena kept with the others.
                kept = [each for each in drawn if await fits(candidate, each)]
                if len(kept) == len(drawn):
                    raise
                return await mixed(candidate, kept)

        return Stage(
            ARENAS,
            work,
            key=lambda candidate: candidate.arena.key,
            stored_key=_stored_number,
            row=lambda certified: certified.arena.row(),
            side_files=(_certificates_file(CERTIFICATES),),
        )


async def require_certificate(
    arena: Arena,
    sandbox: Sandbox,
    seed: int,
    unmixed: Certificate | None = None,
) -> Certificate:
    """The arena's certificate; raises `Rejected` with the check that failed."""
    certificate = await spread(
        certify, arena, sandbox, seed=seed, unmixed=unmixed, before_waiting=release_slot
    )
    if not certificate.certified:
        failed = next(check for check in certificate.checks if not check.passed)
        raise Rejected(failed.check, failed.reason)
    return certificate


def certification_stage(
    sandbox: Sandbox,
    seed: int,
    name: str,
    certificates: str,
    stored_key: Callable[[Json], str],
    *,
    max_rejected: int | None = None,
    near_tools: bool = False,
) -> Stage[CandidateArena, CertifiedArena]:
    """Certify arenas as they are: candidates without distractors, or imported ones.

    `near_tools`: candidates bring distractors, which are stored beside them for later.
    """

    async def work(candidate: CandidateArena) -> CertifiedArena:
        if isinstance(candidate.outcome, Rejected):
            raise candidate.outcome
        arena, near = candidate.outcome, candidate.outcome.distractors if near_tools else ()
        if near:
            arena = with_distractors(arena, ())
        return CertifiedArena(arena, await require_certificate(arena, sandbox, seed), near)

    side_files = [_certificates_file(certificates)]
    if near_tools:
        side_files.append(SideFile(NEAR_TOOLS, _near_rows, owner="arena"))
    return Stage(
        name,
        work,
        stored_key=stored_key,
        row=lambda certified: certified.arena.row(),
        max_rejected=max_rejected,
        side_files=tuple(side_files),
    )


def _stored_number(row: Json) -> str:
    """Key of a stored arena: its candidate's, for distractors change the arena's id."""
    return row["provenance"]["key"]


def _certificates_file(name: str) -> SideFile[CertifiedArena]:
    return SideFile(name, lambda certified: (certified.certificate,), owner="arena")


def _near_rows(certified: CertifiedArena) -> list[ToolRow]:
    arena = certified.arena
    return [
        ToolRow(id=each.id, tool=each, arena=arena.id, split=arena.split) for each in certified.near
    ]


async def store_databases(
    runner: StageRunner,
    stage: str,
    candidates: Iterator[CandidateArena],
    found: DatabaseSpool,
) -> None:
    """Write the databases of a stage's arenas. `found`: those of all candidates seen so far."""
    states = (row.get("state") or {} for _, row in runner.folder.values(stage))
    ids: dict[str, None] = {}
    ids |= {state["database"]: None for state in states if isinstance(state.get("database"), str)}
    if not ids:
        return
    # A run that resumes with all candidates on record has not looked at them.
    for each in ids:
        while each not in found and next(candidates, None) is not None:
            pass
    await runner.run(copy_stage(DATABASES, DatabaseRow), map(found.row, ids))


def noting_databases(
    candidates: Iterable[CandidateArena], found: DatabaseSpool
) -> Iterator[CandidateArena]:
    """The candidates, while their databases are gathered in `found`."""
    for candidate in candidates:
        if not isinstance(candidate.outcome, Rejected):
            found.add(databases_of([candidate.outcome]))
        yield candidate


def _certified_candidates(folder: RunFolder, *, near: bool) -> Iterator[CertifiedArena]:
    """The candidates with their certificates, and with their near tools where there are some.

    Raises StoreError if they do not go together.
    """
    near_rows = folder.rows(NEAR_TOOLS, ToolRow) if near else iter(())
    # In the order of the candidates, as a stage writes them.
    near_of = groupby(near_rows, key=attrgetter("arena"))
    waiting = next(near_of, None)
    arenas = folder.rows(CANDIDATES, Arena)
    certificates = folder.rows(CANDIDATE_CERTIFICATES, Certificate)
    databases = DatabasePool(folder)
    for arena, certificate in zip_longest(arenas, certificates):
        # The second certification reuses results of the first: they must be this arena's.
        if (
            arena is None
            or certificate is None
            or certificate.arena != arena.id
            or arena.content_id != arena.id
        ):
            raise StoreError(
                f"{str(folder.path)!r}: arena {arena and arena.id!r} of {CANDIDATES}.jsonl and the "
                f"certificate of {certificate and certificate.arena!r} beside it do not go "
                "together: a file was changed by hand. Restore it, or choose another "
                f"{option_name('out')}"
            )
        own: tuple[Distractor, ...] = ()
        if waiting is not None and waiting[0] == arena.id:
            own = tuple(Distractor.of(row.tool, "near") for row in waiting[1])
            waiting = next(near_of, None)
        yield CertifiedArena(databases.completed(arena), certificate, own)


def _candidate_tools(folder: RunFolder, *, near: bool) -> Iterator[ToolRow]:
    """The first tool of each language and name in train arenas, then those of test arenas, then
    all near tools.

    A tool that both splits have (a converter, say) belongs to train.
    """
    ids: set[str] = set()
    for split in ("train", "test"):
        names: set[tuple[str, str]] = set()
        for arena in folder.rows(CANDIDATES, Arena):
            # A tool over a database means nothing without it.
            for tool in arena.tools if arena.split == split and arena.state is None else ():
                if (tool.language, tool.name) in names:
                    continue
                names.add((tool.language, tool.name))
                if tool.id not in ids:
                    ids.add(tool.id)
                    yield ToolRow(id=tool.id, tool=tool, arena=arena.id, split=split)
    for row in folder.rows(NEAR_TOOLS, ToolRow) if near else ():
        if row.id not in ids:
            ids.add(row.id)
            yield row
