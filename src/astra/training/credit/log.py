"""`credit.jsonl` of a run: one row per kept rollout, in the order of the training steps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from astra.errors import StoreError
from astra.runs.jsonl import to_line
from astra.training.credit.records import CreditRow

NAME = "credit.jsonl"


class CreditLog:
    """Appends rows. A run that goes on from a checkpoint writes its later steps anew."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._step: int | None = None

    def __call__(self, row: CreditRow) -> None:
        if self._step is None:
            _cut(self._path, row.step)
        self._step = row.step
        with self._path.open("ab") as file:
            file.write(to_line(row))


def _cut(path: Path, step: int) -> None:
    """Drop what a killed run had written of this step and later ones, or of half a line."""
    if not path.exists():
        return
    end = 0
    with path.open("rb+") as file:
        for line in file:
            if not line.endswith(b"\n") or json.loads(line)["step"] >= step:
                break
            end += len(line)
        file.truncate(end)


def read_credit(folder: Path) -> Iterator[CreditRow]:
    """The rows of a run; StoreError if there are none, or one can't be read."""
    path = folder / NAME
    if not path.exists():
        raise StoreError(
            f"{str(path)!r} is not there: it is written by `astra train rl --algorithm acpo`"
        )
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield CreditRow.model_validate_json(line)
            except ValidationError as error:
                if line.endswith(b"\n"):  # else a run is writing it, or was killed
                    raise StoreError(f"{str(path)!r}, line {number}: {error}") from error


def find_credit(folder: Path, prefix: str) -> CreditRow:
    """The row whose id begins so; StoreError if there is none, or more than one."""
    found = {row.id: row for row in read_credit(folder) if row.id.startswith(prefix)}
    if len(found) == 1:
        return next(iter(found.values()))
    some = ", ".join(map(repr, list(found)[:3]))
    if found:
        raise StoreError(
            f"{len(found)} rollouts begin with {prefix!r} ({some}, …): give more of it"
        )
    raise StoreError(
        f"{str(folder)!r} holds no rollout {prefix!r}: `astra credit show RUN` lists them"
    )
