"""From a source of candidates to a run folder of certified arenas with distractors.

Three stages, each resumable: `candidates` (certified on their own), `tools` (the pool that
distractors are drawn from), `arenas` (mixed, and certified again as they will be used). Any
source of candidates goes through the same stages.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Protocol

from rich.console import Console

from astra.arenas.certificate import certify
from astra.arenas.certificates import Certificate
from astra.arenas.distractors import DistractorMode, DistractorPool, with_distractors
from astra.arenas.folder import ARENAS, CERTIFICATES, TOOLS, ToolPool, ToolRow
from astra.arenas.sets import ArenaSet
from astra.configs.spelling import option_name
from astra.errors import Rejected, StoreError
from astra.protocols import Embedder, Sandbox
from astra.runs.folder import RunFolder
from astra.runs.runner import run
from astra.runs.stage import SideFile, Stage, StageReport, copy_stage
from astra.types import Arena, Distractor, Json

CANDIDATES = "candidates"
CANDIDATE_CERTIFICATES = "candidate-certificates"


class CandidateArena(Protocol):
    """One numbered candidate: an arena that may be certified, or why it fell out before."""

    @property
    def key(self) -> str: ...

    @property
    def outcome(self) -> Arena | Rejected: ...


@dataclass(frozen=True, slots=True)
class DistractorOptions:
    """How distractors are drawn."""

    mode: DistractorMode = "banded"
    per_band: int = 3
    seed: int = 0


@dataclass(frozen=True, slots=True)
class CertifiedArena:
    """An arena with its certificate."""

    arena: Arena
    certificate: Certificate


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


async def make(
    candidates: Iterable[CandidateArena],
    folder: RunFolder,
    *,
    count: int,
    sandbox: Sandbox,
    embedder: Embedder,
    mix: DistractorOptions = DistractorOptions(),
    concurrency: int = 8,
    console: Console | None = None,
) -> dict[str, StageReport]:
    """Take candidates until `count` are certified, mix distractors in, certify again.

    Returns the report of each stage. Running it again on the same folder goes on where it
    stopped, with the same bytes in the end.
    """
    certified = await certify_candidates(
        candidates,
        folder,
        count=count,
        sandbox=sandbox,
        seed=mix.seed,
        concurrency=concurrency,
        console=console,
    )
    mixed = await mix_distractors(
        folder,
        sandbox=sandbox,
        embedder=embedder,
        mix=mix,
        concurrency=concurrency,
        console=console,
    )
    return {CANDIDATES: certified, **mixed}


async def certify_candidates(
    candidates: Iterable[CandidateArena],
    folder: RunFolder,
    *,
    count: int,
    sandbox: Sandbox,
    seed: int = 0,
    concurrency: int = 8,
    console: Console | None = None,
    retry: Container[str] | None = None,
) -> StageReport:
    """The first stage alone. It may be run again with more candidates before the others.

    `retry`: keys of the candidates, where they are only a part of all.
    """
    return await run(
        certification_stage(sandbox, seed, CANDIDATES, CANDIDATE_CERTIFICATES, _stored_number),
        candidates,
        folder,
        concurrency=concurrency,
        until=count,
        console=console,
        retry=retry,
    )


async def mix_distractors(
    folder: RunFolder,
    *,
    sandbox: Sandbox,
    embedder: Embedder,
    mix: DistractorOptions = DistractorOptions(),
    concurrency: int = 8,
    console: Console | None = None,
) -> dict[str, StageReport]:
    """The stages after the candidates."""
    reports: dict[str, StageReport] = {}
    reports[TOOLS] = await run(
        copy_stage(TOOLS, ToolRow), _pool_rows(folder), folder, concurrency=1
    )
    pools = {split: await _pool(folder, split, embedder, mix) for split in ("train", "test")}
    reports[ARENAS] = await run(
        _arenas_stage(pools, ToolPool(folder), sandbox, mix),
        _certified_candidates(folder),
        folder,
        concurrency=concurrency,
        total=folder.manifest().stages[CANDIDATES].accepted,
        console=console,
    )
    return reports


async def require_certificate(
    arena: Arena,
    sandbox: Sandbox,
    seed: int,
    unmixed: Certificate | None = None,
) -> Certificate:
    """The arena's certificate; raises `Rejected` with the check that failed."""
    certificate = await certify(arena, sandbox, seed=seed, unmixed=unmixed)
    if not certificate.certified:
        failed = next(check for check in certificate.checks if not check.passed)
        raise Rejected(failed.check, failed.reason)
    return certificate


def certification_stage(
    sandbox: Sandbox, seed: int, name: str, certificates: str, stored_key: Callable[[Json], str]
) -> Stage[CandidateArena, CertifiedArena]:
    """Certify arenas as they are: candidates without distractors, or imported ones."""

    async def work(candidate: CandidateArena) -> CertifiedArena:
        if isinstance(candidate.outcome, Rejected):
            raise candidate.outcome
        certificate = await require_certificate(candidate.outcome, sandbox, seed)
        return CertifiedArena(candidate.outcome, certificate)

    return Stage(
        name,
        work,
        stored_key=stored_key,
        row=lambda certified: certified.arena.row(),
        side_files=(_certificates_file(certificates),),
    )


def _stored_number(row: Json) -> str:
    """Key of a stored arena: its candidate's, for distractors change the arena's id."""
    return row["provenance"]["key"]


def _certificates_file(name: str) -> SideFile[CertifiedArena]:
    return SideFile(name, lambda certified: (certified.certificate,), owner="arena")


def _certified_candidates(folder: RunFolder) -> Iterator[CertifiedArena]:
    """The rows of both files, which go together; StoreError where somebody changed one."""
    arenas = folder.rows(CANDIDATES, Arena)
    certificates = folder.rows(CANDIDATE_CERTIFICATES, Certificate)
    for arena, certificate in zip_longest(arenas, certificates):
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
        yield CertifiedArena(arena, certificate)


def _pool_rows(folder: RunFolder) -> Iterator[ToolRow]:
    """The first tool of each language and name in train arenas, then those of test arenas.

    A tool that both splits have (a converter, say) belongs to train.
    """
    ids: set[str] = set()
    for split in ("train", "test"):
        names: set[tuple[str, str]] = set()
        for arena in folder.rows(CANDIDATES, Arena):
            for tool in arena.tools if arena.split == split else ():
                if (tool.language, tool.name) in names:
                    continue
                names.add((tool.language, tool.name))
                if tool.id not in ids:
                    ids.add(tool.id)
                    yield ToolRow(id=tool.id, tool=tool, arena=arena.id, split=split)


async def _pool(
    folder: RunFolder, split: str, embedder: Embedder, mix: DistractorOptions
) -> DistractorPool:
    """What arenas of a split may show: train arenas only tools that no test arena has."""
    rows = (row for _, row in folder.values(TOOLS) if split == "test" or row["split"] == "train")
    return await DistractorPool.of_rows(rows if mix.mode != "none" else (), embedder)


def _arenas_stage(
    pools: Mapping[str, DistractorPool], tools: ToolPool, sandbox: Sandbox, mix: DistractorOptions
) -> Stage[CertifiedArena, CertifiedArena]:
    async def mixed(candidate: CertifiedArena, drawn: Sequence[Distractor]) -> CertifiedArena:
        arena = with_distractors(candidate.arena, drawn)
        certificate = await require_certificate(arena, sandbox, mix.seed, candidate.certificate)
        return CertifiedArena(arena, certificate)

    async def holds(candidate: CertifiedArena, distractor: Distractor) -> bool:
        try:
            await mixed(candidate, [distractor])
        except Rejected:
            return False
        return True

    async def work(candidate: CertifiedArena) -> CertifiedArena:
        """The arena with what was drawn for it, but for distractors that solve one of its goals."""
        arena = candidate.arena
        references = pools[arena.split].draw(arena, mix.mode, seed=mix.seed, per_band=mix.per_band)
        drawn = tools.distractors(references)
        try:
            return await mixed(candidate, drawn)
        except Rejected:
            kept = [each for each in drawn if await holds(candidate, each)]
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
