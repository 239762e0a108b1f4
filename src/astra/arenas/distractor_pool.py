"""Irrelevant-tool mixing: working tools of other arenas, shown beside an arena's own (ASTRA 3.2).

`DistractorPool` holds what a draw needs of each tool: id, name, domain, language and an embedding
of its document. The tools themselves stay in the run folder's `tools.jsonl`. The same pool can be
built from its rows again, so that training can draw new distractors in every epoch. See
docs/distractors.md.

What this does not guarantee: similarity compares documents only. Whether a distractor runs, and
whether it solves a goal, is checked by the certificate.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from astra.arenas.difficulty import dial_of, level_of
from astra.arenas.distractors import (
    ARITHMETIC,
    PER_BAND,
    DistractorMode,
    near_tools_of,
    with_distractors,
)
from astra.core.text import normalise
from astra.errors import ConfigError, EmbedderError, StoreError
from astra.models.embed_tfidf import TfidfEmbedder
from astra.protocols import Embedder
from astra.types import Arena, DistractorReference, Json, Language, Tool, ToolSchema

DistractorBand = Literal["high", "medium", "low"]
BANDS: tuple[DistractorBand, ...] = ("high", "medium", "low")
RANDOM_COUNT = (5, 9)
"""Least and most tools that the mode `random` draws, in proportion if a band has not `PER_BAND`."""

_TRIES = 8
"""Candidates looked at for each distractor wanted, before all of them are."""
_CACHED_ROWS = 1024
_DIGITS = 6
"""Similarities are rounded, so that the last bits of a BLAS sum decide no band."""
_SAME = 1e-6
"""A spread of cosines below this is rounding error of float32."""


@dataclass(frozen=True, slots=True)
class PoolTool:
    """What the pool keeps of a tool."""

    id: str
    name: str
    domain: str
    language: Language
    description: str


class DistractorPool:
    """Tools of many arenas, one per (language, name): the first one wins.

    Build it with `of_tools` or `of_rows`. Languages never mix: a tool is compared only with tools
    of its own language.
    """

    def __init__(self, shelves: Mapping[Language, _Shelf]) -> None:
        self._shelves = dict(shelves)

    @classmethod
    async def of_tools(cls, tools: Iterable[Tool], embedder: Embedder) -> DistractorPool:
        """The pool of the given tools, in their order; read once, bodies not kept."""
        return await cls._embedded(_pooled((None, tool) for tool in tools), embedder)

    @classmethod
    async def of_rows(
        cls, rows: Iterable[Mapping[str, Json]], embedder: Embedder
    ) -> DistractorPool:
        """The pool of a run folder's `tools.jsonl`: rows with `id` and `tool`.

        Raises StoreError for a pooled row whose id is not that of its tool.
        """
        return await cls._embedded(_pooled(_claims(rows)), embedder)

    @classmethod
    def of_rows_tfidf(cls, rows: Iterable[Mapping[str, Json]]) -> DistractorPool:
        """As `of_rows` with the default TF-IDF embedder, without an event loop."""
        embedder = TfidfEmbedder()
        return cls(
            {
                language: _Shelf(tools, _checked(embedder.vectors(texts), len(texts), embedder))
                for language, (tools, texts) in _pooled(_claims(rows)).items()
            }
        )

    @classmethod
    async def _embedded(
        cls, pooled: Mapping[Language, tuple[list[PoolTool], list[str]]], embedder: Embedder
    ) -> DistractorPool:
        return cls(
            {
                language: _Shelf(tools, _checked(await embedder.embed(texts), len(texts), embedder))
                for language, (tools, texts) in pooled.items()
            }
        )

    def __len__(self) -> int:
        return sum(len(shelf.tools) for shelf in self._shelves.values())

    def tools(self, language: Language) -> tuple[PoolTool, ...]:
        """The pooled tools of a language, in the order of `similarities`."""
        shelf = self._shelves.get(language)
        return tuple(shelf.tools) if shelf else ()

    def similarities(self, language: Language, name: str) -> np.ndarray:
        """Min-max normalised cosines_N of a tool to all tools of its language, itself as NaN.

        All 0 where they do not differ. Raises ConfigError for a tool that the pool lacks.
        """
        shelf = self._shelves.get(language)
        if shelf is None or name not in shelf.index:
            raise ConfigError(
                f"the pool holds no {language!r} tool {name!r}: build it from the tools of all "
                "arenas that get distractors"
            )
        return shelf.row(shelf.index[name])

    def draw(
        self, arena: Arena, mode: DistractorMode, *, seed: int, per_band: int = PER_BAND
    ) -> tuple[DistractorReference, ...]:
        """Distractors for an arena; the same pool, seed and arena always give the same.

        Distractors that the arena already has play no part. `banded` draws up to `per_band` of
        each band, `random` 5 to 9 tools (in proportion when `per_band` is not 3; fewer if
        the pool has no more), `none` nothing.
        """
        if mode == "none":
            return ()
        # By the id without distractors: a second draw must not depend on the first.
        bare = with_distractors(arena, ()) if arena.distractors else arena
        rng = random.Random(f"{seed} {bare.id}")
        if mode == "random":
            shelf = self._shelves.get(arena.language)
            if shelf is None:
                return ()
            candidates = np.flatnonzero(shelf.candidates(arena)).tolist()
            least, most = (round(count * per_band / PER_BAND) for count in RANDOM_COUNT)
            drawn = shelf.different(rng, candidates, rng.randint(least, most), [])
            return tuple(
                DistractorReference(name=tool.name, tool=tool.id, band="random")
                for tool in map(shelf.tools.__getitem__, drawn)
            )
        if not arena.tools:
            return ()
        # A tool is as close to an arena as to the nearest of the arena's tools.
        nearest = np.fmax.reduce(
            [self.similarities(arena.language, tool.name) for tool in arena.tools]
        )
        shelf = self._shelves[arena.language]
        allowed = shelf.candidates(arena)
        references: list[DistractorReference] = []
        taken: list[int] = []
        for band in BANDS:
            pool = np.flatnonzero(allowed & in_band(nearest, band)).tolist()
            drawn = shelf.different(rng, pool, per_band, taken)
            taken += drawn
            for i in drawn:
                tool, similarity = shelf.tools[i], round(float(nearest[i]), _DIGITS)
                references.append(
                    DistractorReference(
                        name=tool.name, tool=tool.id, band=band, similarity=similarity
                    )
                )
        return tuple(references)


class _Shelf:
    """The tools of one language with their embeddings_ND; similarities row by row, never N x N."""

    def __init__(self, tools: Sequence[PoolTool], vectors: np.ndarray) -> None:
        self.tools = tools
        self.index = {tool.name: i for i, tool in enumerate(tools)}
        self.row = lru_cache(maxsize=_CACHED_ROWS)(self._row)
        self._vectors = vectors
        self._domains: dict[str, int] = {}
        self._domain_N = np.array(
            [self._domains.setdefault(tool.domain, len(self._domains)) for tool in tools]
        )
        self._terse_N = np.array([is_terse(tool.description) for tool in tools], dtype=bool)

    def candidates(self, arena: Arena) -> np.ndarray:
        """Mask_N of the tools of other domains and other names than the arena's own."""
        domains = {tool.domain for tool in arena.tools} | {arena.domain}
        domains.add(ARITHMETIC)
        own = [self._domains[domain] for domain in domains if domain in self._domains]
        # A tool of the same domain may well answer a goal; one of the same name can't be called.
        mask = ~np.isin(self._domain_N, own)
        if dial_of(arena.provenance, "terse_documents") is not None or level_of(arena.provenance):
            # Else the style of a document would tell whose tool it is.
            mask &= self._terse_N == is_terse(arena.tools[0].document.description)
        for tool in (*arena.tools, *near_tools_of(arena)):
            if tool.name in self.index:
                mask[self.index[tool.name]] = False
        return mask

    def different(
        self, rng: random.Random, pool: Sequence[int], count: int, taken: Sequence[int]
    ) -> list[int]:
        """Up to `count` of the pool, drawn uniformly, no two of them or of `taken` synonyms."""
        chosen: list[int] = []
        seen = {(self.tools[j].domain, self.tools[j].description) for j in taken}
        # A large pool is not shuffled as a whole: that would cost more than all the rest.
        sizes = sorted({min(len(pool), _TRIES * count), len(pool)})
        for i in (i for size in sizes for i in rng.sample(pool, size)):
            if len(chosen) == count:
                break
            # Tools of one domain that are described alike do the same under two names.
            described = (self.tools[i].domain, self.tools[i].description)
            if described not in seen:
                seen.add(described)
                chosen.append(i)
        return chosen

    def _row(self, i: int) -> np.ndarray:
        row = self._vectors @ self._vectors[i]
        row[i] = np.nan
        # Bands are of normalised similarity (ASTRA 3.2): raw cosines of documents in one language
        # lie close together, and where depends on the embedder.
        if len(row) > 1:
            low, high = np.nanmin(row), np.nanmax(row)
            spread = high - low
            row = (row - low) / spread if spread > _SAME else row * 0
        row = row.round(_DIGITS)
        row.setflags(write=False)  # cached, and handed out
        return row


def is_terse(description: str) -> bool:
    """Whether a tool's description is no sentence (`astra.arenas.tables.terse`)."""
    return not description.rstrip().endswith((".", "!", "?", "。", "！", "？"))


def in_band(similarities: np.ndarray, band: DistractorBand) -> np.ndarray:
    """Which similarities are of a band: high above 0.85, low below 0.4, medium all between."""
    # Limits of the rows' own type: as float64, 0.85 is not the float32 that was stored.
    high, low = similarities > np.float32(0.85), similarities < np.float32(0.4)
    return {"high": high, "medium": ~high & ~low, "low": low}[band]


def embedded_text(document: ToolSchema) -> str:
    """What is embedded of a tool: name, description, and the parameters' names and descriptions."""
    lines = [document.name, document.description, *_parameter_lines(document.parameters)]
    return "\n".join(line for line in lines if line)


def _parameter_lines(schema: Mapping[str, Json]) -> Iterator[str]:
    """One line per property of a JSON Schema, nested objects and arrays included."""
    properties = schema.get("properties", {})
    for name, child in properties.items():
        yield f"{name}: {child.get('description', '')}"
        yield from _parameter_lines(child)
    items = schema.get("items")
    if isinstance(items, dict):
        yield from _parameter_lines(items)


def _claims(rows: Iterable[Mapping[str, Json]]) -> Iterator[tuple[str, Tool]]:
    for row in rows:
        yield str(row["id"]), Tool.model_validate(row["tool"])


def _pooled(
    tools: Iterable[tuple[str | None, Tool]],
) -> dict[Language, tuple[list[PoolTool], list[str]]]:
    """The first tool of each language and name, with the text to embed."""
    pooled: dict[Language, dict[str, tuple[PoolTool, str]]] = {}
    for claimed_id, tool in tools:
        by_name = pooled.setdefault(tool.language, {})
        if tool.name in by_name:
            continue
        tool_id = tool.id
        if claimed_id not in (None, tool_id):
            raise StoreError(
                f"the row of tool {tool.name!r} says id {claimed_id!r}, but its content has id "
                f"{tool_id!r}; the tools file was changed by hand: make it again"
            )
        description = normalise(tool.document.description)
        entry = PoolTool(tool_id, tool.name, tool.domain, tool.language, description)
        by_name[tool.name] = entry, embedded_text(tool.document)
    return {
        language: ([tool for tool, _ in by_name.values()], [text for _, text in by_name.values()])
        for language, by_name in pooled.items()
    }


def _checked(vectors: np.ndarray, count: int, embedder: Embedder) -> np.ndarray:
    if vectors.ndim != 2 or len(vectors) != count or not np.isfinite(vectors).all():
        raise EmbedderError(
            f"embedder {embedder.name!r} gave an array of shape {vectors.shape!r} for {count} "
            "texts, or one that is not finite; expected one finite row per text"
        )
    return vectors
