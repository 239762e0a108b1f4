"""Arenas as a Python sequence: read from a run folder when they are asked for.

Training arenas show tools of training arenas only, as the folder does. A drawn distractor has
another name than the arena's own tools, and only a call to a goal's own tool can solve it, so that
no reward depends on what was drawn.
"""

from __future__ import annotations

import random
import shlex
from array import array
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import nullcontext
from functools import cached_property
from operator import eq
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, overload

from astra.arenas.certificates import Certificate
from astra.arenas.distractors import DistractorDraw, near_tools_of, with_distractors
from astra.arenas.export import ArenaFormat, export_gold, export_rows
from astra.arenas.folder import CERTIFICATES, TOOLS, write_arenas
from astra.arenas.frames import dataset_of, flat, frame
from astra.arenas.index import ArenaIndex, Split
from astra.arenas.reader import ArenaReader
from astra.configs.spelling import option_name
from astra.core.files import temporary_folder
from astra.core.loop import run_sync
from astra.errors import ConfigError, StoreError
from astra.runs.folder import RunFolder
from astra.sandbox.opening import SandboxLevel, shared_sandbox
from astra.types import Arena, Json, content_hash

if TYPE_CHECKING:
    from pandas import DataFrame

DistractorSource = Literal["stored", "none", "random", "banded"]
"""`stored`: the distractors that stand in the folder. Else drawn anew."""
# Far apart, so that the epochs of one seed never meet those of the next.
_SEED_STRIDE = 1_000_003


class ArenaSet(Sequence[Arena]):
    """Arenas of a run folder, read when they are asked for. `len` and slices read no arenas."""

    def __init__(
        self,
        path: Path | str,
        *,
        reader: ArenaReader | None = None,
        places: Sequence[int] | None = None,
        draw: DistractorDraw | None = None,
        uncertified: bool = False,
    ) -> None:
        """Open a run folder. Raises StoreError if there is none.

        `uncertified`: read arenas without a good certificate, too; else they raise StoreError.
        `reader`, `places` and `draw` are for sets that share a folder.
        """
        self.path = Path(path)
        self._reader = ArenaReader(self.path) if reader is None else reader
        self._places = range(len(self._index)) if places is None else places
        self._draw = draw
        self._uncertified = uncertified

    @classmethod
    def of(cls, arenas: Iterable[Arena], out: Path | str | None = None) -> ArenaSet:
        """Arenas in memory as a set, written to a new run folder. `None`: a temporary one.

        The set reads them as they are; the folder holds no certificates for others who read it.
        """
        with temporary_folder() if out is None else nullcontext(Path(out)) as path:
            write_arenas(RunFolder.create(path, {}), arenas, (), ())
            reader = ArenaReader(path, temporary=out is None)
        return cls(path, reader=reader, uncertified=True)

    @classmethod
    def of_run(cls, folder: RunFolder) -> ArenaSet:
        """The arenas of an open run folder; a temporary one lives as long as the set."""
        reader = ArenaReader(folder.path)
        # The object itself, not one like it: a temporary folder is deleted with it.
        reader.folder = folder
        return cls(folder.path, reader=reader)

    @property
    def _index(self) -> ArenaIndex:
        return self._reader.index  # not kept: it would go to other processes with the set

    @property
    def summary(self) -> dict[str, Json]:
        """Counts per stage, rejected by check, and cost; `missing` if fewer than `count` exist."""
        manifest = self._reader.folder.manifest()
        counted = {name: counts.model_dump() for name, counts in manifest.stages.items()}
        costs = {name: cost.model_dump() for name, cost in manifest.unit_costs.items()}
        count = self._reader.folder.config().get("count")
        missing = max(0, count - len(self._index)) if isinstance(count, int) else 0
        return {"arenas": len(self), "missing": missing, "stages": counted, "unit_costs": costs}

    def identity(self) -> Json:
        """What stands for the set in the options of a run: the folder, and the choice from it."""
        every = len(self) == len(self._index) and all(map(eq, self._places, range(len(self))))
        if every and self._draw is None:
            return str(self.path)
        chosen: dict[str, Json] = {"path": str(self.path), "ids": content_hash(self.ids)}
        return chosen if self._draw is None else chosen | self._draw._asdict()

    @property
    def ids(self) -> list[str]:
        return [self._index.id(place) for place in self._places]

    @property
    def hops(self) -> dict[str, int]:
        """Number of sub-questions by arena id."""
        return {entry.id: entry.hops for entry in map(self._index.__getitem__, self._places)}

    # --- reading -----------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, key: int | str) -> Arena: ...
    @overload
    def __getitem__(self, key: slice) -> ArenaSet: ...
    def __getitem__(self, key: int | str | slice) -> Arena | ArenaSet:
        """An arena by position or id, or a part.

        Raises StoreError for a damaged row and an uncertified arena.
        """
        if isinstance(key, slice):
            return self._part(self._places[key])
        return self._arena(self._places[key] if isinstance(key, int) else self._place(key), 0)

    def __iter__(self) -> Iterator[Arena]:
        return (self._arena(place, 0) for place in self._places)

    def __contains__(self, value: object) -> bool:
        arena_id = value.id if isinstance(value, Arena) else value
        return isinstance(arena_id, str) and self._index.find(arena_id) in self._held

    def __repr__(self) -> str:
        return f"ArenaSet({str(self.path)!r}, {len(self)} arenas)"

    def in_epoch(self, arena_id: str, epoch: int) -> Arena:
        """An arena with the distractors that are drawn for an epoch; indexing gives epoch 0."""
        return self._arena(self._place(arena_id), epoch)

    def find(self, id_prefix: str) -> Arena:
        """The one arena whose id begins so. Raises StoreError for none and for several."""
        if id_prefix in self:
            return self[id_prefix]
        ids = self.ids
        matching = [arena_id for arena_id in ids if arena_id.startswith(id_prefix)]
        if not matching:
            first = f"ids look like {ids[0]!r}" if ids else "it is empty"
            raise StoreError(f"{str(self.path)!r} holds no arena {id_prefix!r}: {first}")
        if len(matching) > 1:
            some = ", ".join(map(repr, matching[:3]))
            raise StoreError(
                f"{len(matching)} arenas of {str(self.path)!r} begin with {id_prefix!r} ({some}, "
                "…): give more of the id"
            )
        return self[matching[0]]

    @cached_property
    def _held(self) -> Container[int | None]:
        return self._places if isinstance(self._places, range) else frozenset(self._places)

    def _place(self, arena_id: str) -> int:
        place = self._index.find(arena_id)
        if place is None or place not in self._held:
            raise KeyError(f"{self!r} holds no arena {arena_id!r}")
        return place

    def _arena(self, place: int, epoch: int) -> Arena:
        if not self._uncertified and self._index.defect(place):
            raise self._not_certified([place])
        arena = self._reader.read(self._index[place].offset)
        # Tools of other arenas find no database in their processes, or should not find this one.
        if self._draw is None or arena.state is not None:
            return arena
        mode, per_band, seed = self._draw
        if mode == "none":
            return arena.model_copy(update={"distractors": ()})
        references = self._reader.pool(arena.split).draw(
            arena, mode, seed=seed * _SEED_STRIDE + epoch, per_band=per_band
        )
        drawn = self._reader.tools.distractors(references)
        # The id stays that of the folder: it names the task, whatever is shown beside its tools.
        shown = [*near_tools_of(arena), *drawn]
        return with_distractors(arena, shown).model_copy(update={"id": arena.id})

    # --- parts -------------------------------------------------------------------------------

    def _part(self, places: Iterable[int]) -> ArenaSet:
        some = places if isinstance(places, range) else array("I", places)
        return self._shared(some, self._draw, self._uncertified)

    def _shared(
        self, places: Sequence[int], draw: DistractorDraw | None, uncertified: bool
    ) -> ArenaSet:
        return ArenaSet(
            self.path, reader=self._reader, places=places, draw=draw, uncertified=uncertified
        )

    def split(self, name: Split) -> ArenaSet:
        """The arenas of one split. Reads no arenas."""
        if name not in ("train", "test"):
            raise ConfigError(f"split {name!r}: must be 'train' or 'test'")
        return self._part(place for place in self._places if self._index.split(place) == name)

    def filter(self, keep: Callable[[Arena], bool]) -> ArenaSet:
        """The arenas for which `keep` is true."""
        return self._part(place for place in self._places if keep(self._arena(place, 0)))

    def sample(self, count: int, *, seed: int) -> ArenaSet:
        """`count` different arenas in random order; all of them if there are fewer."""
        rng = random.Random(f"sample {seed}")
        chosen = rng.sample(range(len(self)), min(count, len(self)))
        return self._part(self._places[number] for number in chosen)

    def with_distractors(
        self, mode: DistractorSource, *, per_band: int | None = None, seed: int = 0
    ) -> ArenaSet:
        """The same arenas under the same ids, with other distractors from the folder's tools.

        `banded` draws up to `per_band` tools of high, medium and low similarity each, `random` 5
        to 9 of all (in proportion to `per_band`). `per_band` None: what the folder was made with.
        Arenas with a state stay as they are.
        """
        most = self._reader.per_band if per_band is None else per_band
        draw = None if mode == "stored" else DistractorDraw(mode, most, seed)
        return self._shared(self._places, draw, self._uncertified)

    # --- certificates --------------------------------------------------------------------------

    def require_certificates(self) -> None:
        """Raise StoreError unless each arena has a good certificate of the current version.

        That the content of an arena has the hash that the certificate names is checked when it is
        read. Sets made with `uncertified`, and those of `ArenaSet.of`, require nothing.
        """
        if self._uncertified:
            return
        refused = [place for place in self._places if self._index.defect(place)]
        if refused:
            raise self._not_certified(refused)

    def allowing_uncertified(self) -> ArenaSet:
        """The same arenas, read also where a good certificate is missing."""
        return self._shared(self._places, self._draw, True)

    def certified(self) -> ArenaSet:
        """The arenas that have a good certificate of the current version. Reads no arenas."""
        return self._part(place for place in self._places if not self._index.defect(place))

    def _not_certified(self, refused: Sequence[int]) -> StoreError:
        counts = Counter(map(self._index.defect, refused))
        listed = ", ".join(f"{count} {defect}" for defect, count in counts.most_common())
        which = f"{len(refused)} of {len(self)} arenas" if len(self) > 1 else "an arena"
        fix = f"`astra arenas certify {shlex.quote(str(self.path))} --write`"
        return StoreError(
            f"{which} of {str(self.path)!r} can't be used: {listed}; the first is "
            f"{self._index.id(refused[0])!r}. Examine them with {fix}, or allow them with "
            f"{option_name('uncertified')}"
        )

    # --- what else the folder says -------------------------------------------------------------

    def certificate(self, arena: Arena | str) -> Certificate:
        """The certificate of an arena as it is stored. Raises StoreError if there is none."""
        arena_id = arena if isinstance(arena, str) else arena.id
        place = self._index.find(arena_id)
        offset = None if place is None else self._index.certificate(place)
        if offset is None:
            raise StoreError(
                f"{str(self.path)!r} holds no certificate of arena {arena_id!r}: make one with "
                "`astra arenas certify` or `astra.certify`"
            )
        return self._reader.folder.row_at(CERTIFICATES, offset, Certificate)

    def certificates(self) -> Iterator[Certificate]:
        """The certificates of those arenas that have one, as they are stored."""
        for place in self._places:
            if self._index.certificate(place) is not None:
                yield self.certificate(self._index.id(place))

    def failures(self) -> DataFrame:
        """Items that were rejected or broke while the arenas were made, a row each."""
        folder = self._reader.folder
        files = sorted(path.name for path in folder.path.glob("*.failed.jsonl"))
        rows = [row for file in files for _, row in folder.values(file.removesuffix(".jsonl"))]
        columns = ["key", "stage", "kind", "check", "type", "message"]
        return frame(rows, columns)

    def to_pandas(self) -> DataFrame:
        """One row per arena: id, question, answer, hops, scenario, language, domain, split, …"""
        return frame(map(flat, self))

    def to_dataset(self) -> Any:
        """A Hugging Face dataset: the columns of `to_pandas`, and `arena`, the whole as JSON."""
        return dataset_of(self)

    def export(
        self,
        out: Path | str,
        *,
        format: ArenaFormat = "sft",
        reasoning: bool = True,
        renamed_copies: int = 0,
        seed: int = 0,
        sandbox: SandboxLevel = "auto",
    ) -> Path:
        """Write the arenas as rows of a file, replacing it, and return its path.

        `sft`: gold episodes as conversations with tools; the other options are for it (see
        `export_gold`). `astra-rl`: the layout of the published ASTRA data.
        """
        if format not in get_args(ArenaFormat):
            raise ConfigError(f"format {format!r}: choose among {', '.join(get_args(ArenaFormat))}")
        if format == "astra-rl":
            return export_rows(self, Path(out)).path

        async def export() -> Path:
            async with shared_sandbox(sandbox) as server:
                written = await export_gold(
                    *(self, Path(out), server),
                    reasoning=reasoning,
                    renamed_copies=renamed_copies,
                    seed=seed,
                )
            return written.path

        return run_sync(export())

    def save(self, out: Path | str) -> ArenaSet:
        """Write these arenas to a run folder of their own, with their certificates and tools.

        Arenas with drawn distractors get the ids of their content, and have no certificates.
        """
        config = self._reader.folder.config()
        tools = (row for _, row in self._reader.folder.values(TOOLS))
        certificates = self.certificates() if self._draw is None else ()
        folder = RunFolder.create(Path(out), config | {"count": len(self)})
        arenas = self if self._draw is None else (arena.with_content_id() for arena in self)
        write_arenas(folder, arenas, tools, certificates)
        return ArenaSet(folder.path, uncertified=self._uncertified or self._draw is not None)


def load_arenas(
    path: Path | str, split: Split | None = None, *, uncertified: bool = False
) -> ArenaSet:
    """Open a run folder of arenas, or one split of it.

    `uncertified`: use arenas without a good certificate, too. Raises StoreError for arenas without
    one and for a damaged folder, ConfigError for a folder without arenas.
    """
    return open_arenas(ArenaSet(path), split, uncertified=uncertified)


def open_arenas(
    arenas: object, split: Split | Literal["all"] | None = None, *, uncertified: bool
) -> ArenaSet:
    """The arenas of an option: a run folder or an `ArenaSet`, one split of it or all.

    Raises as `load_arenas` does, and ConfigError for anything else.
    """
    if isinstance(arenas, str | Path):
        arenas = ArenaSet(arenas)
    if not isinstance(arenas, ArenaSet):
        raise ConfigError(
            f"arenas={arenas!r:.200} must be a run folder or an ArenaSet: `ArenaSet.of` makes one"
        )
    arenas = arenas if split in (None, "all") else arenas.split(split)
    if not arenas:
        which = "" if split in (None, "all") else f"of split {split!r} "
        raise ConfigError(
            f"{str(arenas.path)!r} holds no arenas {which}: make some, or name another folder"
        )
    if uncertified:
        return arenas.allowing_uncertified()
    arenas.require_certificates()
    return arenas
