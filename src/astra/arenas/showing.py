"""Which irrelevant tools an arena shows in play: those of its folder, or drawn anew.

Train arenas show tools of train arenas only, as the folder does. A drawn tool has another name than
the arena's own, and only a call to a goal's own tool can solve it, so that no reward depends on
what was drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

from astra.arenas.distractors import DistractorMode, DistractorPool, with_distractors
from astra.arenas.folder import TOOLS, ToolPool, read_arenas
from astra.errors import ConfigError
from astra.protocols import Embedder
from astra.runs.folder import RunFolder
from astra.types import Arena, Tool

PlayableArena = tuple[Arena, Sequence[Tool]]
"""An arena and the tools that are shown beside its own."""
DistractorSource = Literal["fixed", "none", "random", "banded"]
"""`fixed`: those that stand in the folder."""
PER_BAND = 3
"""Most distractors of a band where the folder doesn't say (ASTRA 3.2)."""
Split = Literal["train", "test"]


class PlayableArenas:
    """The arenas of one split by id, with what each epoch shows beside their tools."""

    def __init__(
        self,
        arenas: Mapping[str, PlayableArena],
        distractors: DistractorSource,
        *,
        seed: int,
        pool: DistractorPool | None = None,
        tools: ToolPool | None = None,
        per_band: int = PER_BAND,
    ) -> None:
        """`pool` and `tools`: where to draw from; needed for `random` and `banded`."""
        self._arenas = dict(arenas)
        self._mode: DistractorSource = distractors
        self._seed = seed
        self._pool = pool
        self._tools = tools
        self._per_band = per_band

    @classmethod
    async def of_folder(
        cls,
        path: Path,
        split: Split,
        distractors: DistractorSource,
        embedder: Embedder,
        *,
        seed: int,
        per_band: int | None = None,
    ) -> PlayableArenas:
        """The arenas of a run folder. StoreError for a damaged one, ConfigError if it has none.

        `per_band`: most distractors per band that are drawn; None: what the folder was made with.
        """
        arenas = {arena.id: (arena, tools) for arena, tools in read_arenas(path, split)}
        if not arenas:
            raise ConfigError(f"{str(path)!r} holds no arenas of split {split!r}: make some")
        folder = RunFolder.open(path)
        rows = (row for _, row in folder.values(TOOLS) if split in (row["split"], "test"))
        drawn = distractors in ("random", "banded")
        return cls(
            arenas,
            distractors,
            seed=seed,
            pool=await DistractorPool.of_rows(rows, embedder) if drawn else None,
            tools=ToolPool(folder) if drawn else None,
            per_band=_per_band(folder) if per_band is None else per_band,
        )

    @property
    def arenas(self) -> Mapping[str, PlayableArena]:
        """By id, as they stand in the folder."""
        return self._arenas

    def first(self, limit: int | None = None) -> list[PlayableArena]:
        """The first arenas (None: all), each with what epoch 0 shows beside its tools."""
        return [self.at(arena_id, 0) for arena_id in islice(self._arenas, limit)]

    @property
    def hops(self) -> dict[str, int]:
        return {arena_id: arena.hops for arena_id, (arena, _) in self._arenas.items()}

    def at(self, arena_id: str, epoch: int) -> PlayableArena:
        """An arena, under the id it has in the folder, with what this epoch shows beside its tools.

        Evaluation is epoch 0.
        """
        arena, tools = self._arenas[arena_id]
        if self._mode == "fixed":
            return arena, tools
        if self._mode == "none" or self._pool is None or self._tools is None:
            return arena.model_copy(update={"distractors": ()}), []
        mode: DistractorMode = self._mode
        seed = self._seed * 1_000_003 + epoch
        drawn = self._pool.draw(arena, mode, seed=seed, per_band=self._per_band)
        mixed = with_distractors(arena, drawn).model_copy(update={"id": arena.id})
        return mixed, self._tools.distractors(mixed)


def _per_band(folder: RunFolder) -> int:
    """So that arenas are played as they were made, not with more to choose from."""
    made = folder.config().get("distractors")
    found = made.get("per_band") if isinstance(made, dict) else None
    return found if isinstance(found, int) else PER_BAND
