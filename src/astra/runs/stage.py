"""A stage: one async function over many records, declared in a few words.

    async def work(candidate: Candidate) -> JudgedItem:
        scores = await teacher.ask(SCORES, candidate.prompt)      # billed to this stage
        if scores.quality < 0.5:
            raise Rejected("quality", f"{scores.quality} is below 0.5")
        return JudgedItem(key=candidate.key, scores=scores)

    runner = StageRunner(folder, concurrency=8)
    await runner.run(Stage("judged", work), candidates)

The defaults of `Stage` are for items with a `key` that their rows keep. `astra.runs.runner` runs
stages: order, resume, failures as rows, progress and cost are its part.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import Any, Generic, TypeVar, cast

from astra.types import Json, Record

In = TypeVar("In")
Out = TypeVar("Out")
R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class SideFile(Generic[Out]):
    """Further rows of an item, in a file of their own, e.g. certificates."""

    name: str
    rows: Callable[[Out], Sequence[Record]]
    owner: str
    """Field of a side row that holds the id of its main row (`Stage.stored_id`)."""


def _unchanged(output: Any) -> Record:
    return cast(Record, output)


@dataclass(frozen=True, slots=True)
class Stage(Generic[In, Out]):
    """The work on each input, and how its rows are recognized on resume."""

    name: str
    """Names `<name>.jsonl` and `<name>.failed.jsonl`."""
    work: Callable[[In], Awaitable[Out]]
    """Raises `Rejected` to set an item aside for good."""
    key: Callable[[In], str] = attrgetter("key")
    """Identity of an input, known before the work: a content hash, or its number in a deterministic
    sequence."""
    stored_key: Callable[[Json], str] = itemgetter("key")
    """The same key, from a stored main row."""
    row: Callable[[Out], Record] = _unchanged
    """The main row; by default the output itself."""
    side_files: tuple[SideFile[Out], ...] = ()
    stored_id: Callable[[Json], str] = itemgetter("id")
    """Id of a stored main row, by which side rows name it."""
    max_rejected: int | None = None
    """Rejected items for the first accepted one, and for each further one, after which a stage of
    endless inputs ends. None: it never ends for that."""


def copy_stage(name: str, kind: type[R]) -> Stage[R, R]:
    """A stage that stores its inputs, records with an `id`, as they are."""
    del kind  # for the type checker alone

    async def work(record: R) -> R:
        return record

    return Stage(name, work, key=attrgetter("id"), stored_key=itemgetter("id"))


@dataclass(frozen=True, slots=True)
class StageReport:
    """Counts of a stage over the whole folder, when `run` returns."""

    accepted: int
    rejected: dict[str, int]
    """Check id -> number of items."""
    errors: dict[str, int]
    """Exception type -> number of items, tried again on the next run."""
    seconds: float
    """Wall time of this run."""
    resumed: int
    """Items on record before this run, which were not computed again."""
