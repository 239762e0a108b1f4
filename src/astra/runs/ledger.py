"""The files of one stage while it runs: what is on record, and the writing of more."""

from __future__ import annotations

import time
import warnings
from collections import Counter, deque
from collections.abc import Container, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Generic

from astra.errors import BudgetExceeded, StageError, StoreError, StoreWarning
from astra.runs.cost import StageMeter
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow, to_line
from astra.runs.manifest import StageCounts
from astra.runs.stage import In, Out, Stage, StageReport
from astra.types import Usage

GIVE_UP_AFTER = 20
"""Errors in a row, with nothing else between, before a stage stops."""
_MANIFEST_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ItemOutcome:
    """An item's rows as they will stand in the files."""

    key: str
    main: bytes | None = None
    side_rows: tuple[bytes, ...] = ()
    """One entry per side file: its rows of this item."""
    failure: FailureRow | None = None
    unavailable: bool = False
    """Whether the sandbox or the model was not there at all."""
    stop: BudgetExceeded | None = None
    """Set when nothing more may be spent: the item counts as not begun, and the stage ends."""


class Ledger(Generic[In, Out]):
    """Counts and open files of a stage. Use it as a context, with the folder's lock held."""

    def __init__(
        self,
        stage: Stage[In, Out],
        folder: RunFolder,
        meter: StageMeter,
        until: int | None,
        retry: Container[str] | None,
    ) -> None:
        self._stage = stage
        self._folder = folder
        self._meter = meter
        self._until = until
        self._retry = retry
        self._failed_name = f"{stage.name}.failed"
        self._files = ExitStack()
        self._started = self._recorded = time.monotonic()
        self._before = folder.manifest().stages.get(stage.name, StageCounts())
        self._error_streak: deque[ItemOutcome] = deque(maxlen=GIVE_UP_AFTER)
        self._only_errors = True
        self.known: set[str] = set()
        """Keys that are not computed again."""
        self.accepted = 0
        self.rejected: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()

    def __enter__(self) -> Ledger[In, Out]:
        with ExitStack() as files:
            with self._folder.append(self._stage.name):
                pass  # what a kill cut off is removed before the rows are read
            ids = self._read_main()
            self._main = files.enter_context(self._folder.append(self._stage.name))
            self._side_logs = [
                files.enter_context(self._folder.append(side.name))
                for side in self._stage.side_files
            ]
            self._drop_orphans(ids)
            self._read_failed()
            self._failed = files.enter_context(self._folder.append(self._failed_name))
            self._resumed = len(self.known)
            self._record()
            self._files = files.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        with self._files:
            self._record()

    @property
    def done(self) -> int:
        """Items with an outcome, earlier runs included."""
        return self.accepted + self.rejected.total() + self.errors.total()

    @property
    def complete(self) -> bool:
        """Whether the wanted number of items is accepted."""
        return self._until is not None and self.accepted >= self._until

    def hopeless(self, outcomes: Sequence[ItemOutcome] = ()) -> bool:
        """Whether too few are accepted to go on, `outcomes` counted with those on record."""
        if self._until is None or self._stage.max_rejected is None:
            return False
        accepted = self.accepted + sum(outcome.main is not None for outcome in outcomes)
        rejected = self.rejected.total() + sum(
            outcome.failure is not None and outcome.failure.kind == "rejected"
            for outcome in outcomes
        )
        return rejected >= self._stage.max_rejected * (accepted + 1)

    # --- what is on record ---------------------------------------------------------------------

    def _read_main(self) -> set[str]:
        """Read the accepted keys; the ids of their rows, if there are side files.

        A line that stands there twice is removed, with a warning. Raises StoreError for two
        different rows of one key.
        """
        name, folder = self._stage.name, self._folder
        ids: set[str] = set()
        offsets: dict[str, int] = {}
        repeated: dict[int, int] = {}
        for number, (offset, row) in enumerate(folder.values(name), start=1):
            try:
                key = self._stage.stored_key(row)
                if self._stage.side_files:
                    ids.add(self._stage.stored_id(row))
            except (KeyError, TypeError) as error:
                raise self._foreign(name, number, error) from error
            if offsets.setdefault(key, offset) == offset:
                continue
            first, again = (next(folder.lines(name, start=at)) for at in (offsets[key], offset))
            if first[1] != again[1]:
                problem = f"another row of item {key!r}, which has one already"
                raise folder.damaged(name, number, problem)
            repeated[offset] = number
        if repeated:
            self._tell_repeated(name, list(repeated.values()))
            lines = (line for offset, line in folder.lines(name) if offset not in repeated)
            folder.replace_rows(name, lines)
        self.known.update(offsets)
        self.accepted = len(offsets)
        return ids

    def _tell_repeated(self, name: str, numbers: Sequence[int]) -> None:
        first = self._folder.line_name(name, numbers[0])
        others = f", and {len(numbers) - 1} more," if len(numbers) > 1 else ""
        text = f"{first}{others}: a repetition of an earlier line, removed"
        warnings.warn(text, StoreWarning, stacklevel=2)

    def _drop_orphans(self, ids: set[str]) -> None:
        """Cut off side rows at the end whose main row was never written."""
        for side, log in zip(self._stage.side_files, self._side_logs, strict=True):
            cut: int | None = None
            for number, (offset, row) in enumerate(self._folder.values(side.name), start=1):
                try:
                    owned = row[side.owner] in ids
                except (KeyError, TypeError) as error:
                    raise self._foreign(side.name, number, error) from error
                cut = None if owned else offset if cut is None else cut
            if cut is not None:
                log.cut(cut)

    def _foreign(self, name: str, number: int, error: Exception) -> StoreError:
        return self._folder.damaged(name, number, f"a row of something else ({error!r})")

    def _read_failed(self) -> None:
        """Read the failures, and take the errors that are tried again now off the record."""
        kept: dict[FailureRow, None] = {}
        repeated: list[int] = []
        retried = False
        for number, failure in enumerate(self._folder.rows(self._failed_name, FailureRow), 1):
            if self._is_retried(failure):
                retried = True
                continue
            if failure in kept:
                repeated.append(number)
                continue
            kept[failure] = None
            if failure.kind == "error":
                self.errors[failure.type or ""] += 1
            else:
                self.known.add(failure.key)
                self.rejected[failure.check or ""] += 1
        if repeated:
            self._tell_repeated(self._failed_name, repeated)
        if retried or repeated:
            self._folder.replace_rows(self._failed_name, map(to_line, kept))

    def _is_retried(self, failure: FailureRow) -> bool:
        if failure.kind != "error" or self.complete:
            return False
        return self._retry is None or failure.key in self._retry

    # --- writing ---------------------------------------------------------------------------------

    def commit(self, batch: Sequence[ItemOutcome]) -> None:
        """Write the rows of finished items, and count them."""
        for index, log in enumerate(self._side_logs):
            log.append([outcome.side_rows[index] for outcome in batch if outcome.main])
        self._failed.append([to_line(outcome.failure) for outcome in batch if outcome.failure])
        # Last: the main row is the commit mark of all others.
        self._main.append([outcome.main for outcome in batch if outcome.main])
        for outcome in batch:
            failure = outcome.failure
            if failure is not None and failure.kind == "error":
                self.errors[failure.type or ""] += 1
                self._error_streak.append(outcome)
                continue
            self._error_streak.clear()
            self._only_errors = False
            if failure is None:
                self.accepted += 1
            else:
                self.rejected[failure.check or ""] += 1
        if time.monotonic() - self._recorded > _MANIFEST_SECONDS:
            self._record()

    def give_up(self) -> None:
        """Raise `StageError` when all items fail or are rejected, or what all need is missing."""
        if self.hopeless() and not self.accepted:
            (check, number), *_ = self.rejected.most_common(1)
            raise StageError(
                f"stage {self._stage.name!r} stopped: the first {self.rejected.total()} items were "
                f"all rejected, {number} of them by {check!r}{self._last_reason(check)}. "
                f"{self._failed_name}.jsonl lists them: change the inputs or the options, then "
                "choose another folder"
            )
        if len(self._error_streak) < GIVE_UP_AFTER:
            return
        last = self._error_streak[-1]
        hopeless = self._only_errors or all(outcome.unavailable for outcome in self._error_streak)
        if last.failure and hopeless:
            raise StageError(
                f"stage {self._stage.name!r} stopped: {len(self._error_streak)} items in a row "
                f"failed, the last with {last.failure.type}: {last.failure.message}. Fix that, "
                "then run the same command again to resume"
            )

    def _last_reason(self, check: str) -> str:
        failures = [
            failure.message
            for failure in self._folder.rows(self._failed_name, FailureRow)
            if failure.check == check
        ]
        return f", the last because {failures[-1][:300]}" if failures else ""

    def counts(self) -> StageCounts:
        """The counts and the cost so far, earlier runs included."""
        unpriced = dict(self._before.unpriced)
        for model, usage in self._meter.unpriced.items():
            unpriced[model] = unpriced.get(model, Usage()) + usage
        return StageCounts(
            accepted=self.accepted,
            rejected=dict(self.rejected),
            errors=dict(self.errors),
            seconds=round(self._before.seconds + time.monotonic() - self._started, 3),
            usage=self._before.usage + self._meter.usage,
            dollars=self._before.dollars + self._meter.dollars,
            unpriced=unpriced,
        )

    def _record(self) -> None:
        self._recorded = time.monotonic()
        self._folder.record_stage(self._stage.name, self.counts())

    def report(self) -> StageReport:
        """The counts so far, with the time of this run alone."""
        return StageReport(
            accepted=self.accepted,
            rejected=dict(self.rejected),
            errors=dict(self.errors),
            seconds=time.monotonic() - self._started,
            resumed=self._resumed,
        )
