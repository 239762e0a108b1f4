"""`credit.jsonl` of a run folder: a row per kept rollout, in the order of the training steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from astra.errors import StoreError
from astra.runs.folder import RunFolder
from astra.runs.jsonl import JsonlLog, to_line
from astra.training.credit.records import CreditRow

NAME = "credit"


class CreditLog:
    """Appends rows. A run that resumes from a checkpoint replaces the rows of later steps."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._files = ExitStack()
        self._log: JsonlLog | None = None

    def __call__(self, row: CreditRow) -> None:
        if self._log is None:
            # On the first row: the algorithm's step is known once its checkpoint is loaded.
            self._files.enter_context(self._folder.lock())
            self._log = self._files.enter_context(self._folder.append(NAME))
            rows = self._folder.values(NAME)
            if (later := next((o for o, old in rows if old["step"] >= row.step), None)) is not None:
                self._log.cut(later)
        self._log.append([to_line(row)])

    def close(self) -> None:
        """Close the file and give up the lock."""
        self._log = None
        self._files.close()


def read_credit(folder: Path) -> Iterator[CreditRow]:
    """The rows of a run. Raises StoreError if there are none, or one is damaged."""
    run = RunFolder(folder)
    if not run.exists(f"{NAME}.jsonl"):
        raise StoreError(
            f"{str(folder)!r} holds no {NAME}.jsonl: `astra train rl --algorithm acpo` writes it"
        )
    yield from run.rows(NAME, CreditRow)


def find_credit(folder: Path, prefix: str) -> CreditRow:
    """The row whose id begins with `prefix`. Raises StoreError unless there is exactly one."""
    rows = {row.id: row for row in read_credit(folder) if row.id.startswith(prefix)}
    if len(rows) == 1:
        return next(iter(rows.values()))
    if rows:
        some = ", ".join(map(repr, list(rows)[:3]))
        raise StoreError(
            f"the ids of {len(rows)} rollouts begin with {prefix!r} ({some}, …): give more of one"
        )
    raise StoreError(
        f"{str(folder)!r} holds no rollout {prefix!r}: `astra credit show RUN` lists them"
    )
