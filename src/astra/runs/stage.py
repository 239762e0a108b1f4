"""A stage: one async function over many records, with order, resume, failures and progress.

Items run many at once and are committed in the order of the inputs, so that the same inputs give
the same bytes whatever the timing. A killed run goes on where it stopped: the inputs are made
again, and those whose key is on record are skipped. An item's rows may go to several files; the
main file's row is written last and is the commit mark.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterable, Awaitable, Callable, Container, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from astra.errors import (
    BudgetExceeded,
    ModelUnavailable,
    Rejected,
    SandboxUnavailable,
    StageError,
    StoreError,
)
from astra.runs.store import AppendLog, FailureRow, RunFolder, StageCounts, to_line
from astra.types import Json, Record, Usage

In = TypeVar("In")
Out = TypeVar("Out")

GIVE_UP_AFTER = 20
"""Items in a row that break (nothing else between) before a stage stops."""
LOOK_AHEAD = 4
"""Items that may run or wait for their turn, per unit of concurrency."""
MESSAGE_CHARACTERS = 2000
"""Most of an error's text that is recorded."""
_MANIFEST_SECONDS = 2.0


class StageMeter:
    """Adds up what a stage's items cost; the work calls `add`."""

    def __init__(self) -> None:
        self.usage = Usage()
        self.dollars = 0.0

    def add(self, usage: Usage, dollars: float = 0.0) -> None:
        """Count one reply of a model."""
        self.usage += usage
        self.dollars += dollars


def _itself(out: object) -> Record:
    return cast(Record, out)


def _id(row: Json) -> str:
    return row["id"]


@dataclass(frozen=True, slots=True)
class SideFile(Generic[Out]):
    """Rows that an item writes to a file beside the main one, e.g. certificates."""

    name: str
    rows: Callable[[Out], Sequence[Record]]
    owner: Callable[[Json], str]
    """From a stored row: what `Stage.stored_id` gives for the main row that it belongs to."""


@dataclass(frozen=True, slots=True)
class Stage(Generic[In, Out]):
    """What to do with each input, and how its rows are found again."""

    name: str
    """Names `<name>.jsonl` and `<name>.failed.jsonl`."""
    work: Callable[[In], Awaitable[Out]]
    """Raises `Rejected` to set an item aside for good."""
    key: Callable[[In], str]
    """Must be known before the work: content hash, or number in a deterministic sequence."""
    stored_key: Callable[[Json], str]
    """The same key, from a stored main row (as plain JSON)."""
    row: Callable[[Out], Record] = _itself
    """The main row; by default the output itself."""
    sides: tuple[SideFile[Out], ...] = ()
    stored_id: Callable[[Json], str] = _id
    """What side rows call their main row; by default its `id`."""
    meter: StageMeter = field(default_factory=StageMeter)


@dataclass(frozen=True, slots=True)
class StageReport:
    """What a stage has done when `run` returns; counts are of the whole folder."""

    accepted: int
    rejected: dict[str, int]
    """Check id -> number of items."""
    errors: dict[str, int]
    """Exception type -> number of items, tried again on the next run."""
    seconds: float
    """Wall time of this run."""
    resumed: int
    """Items that were on record before this run and were not computed again."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """An item's rows, as they will stand in the files."""

    key: str
    main: bytes | None = None
    sides: tuple[bytes, ...] = ()
    failure: FailureRow | None = None
    unavailable: bool = False
    stop: BudgetExceeded | None = None
    """Nothing more may be spent: the item is as if it had not begun, and the stage ends."""


async def run(
    stage: Stage[In, Out],
    inputs: Iterable[In] | AsyncIterable[In],
    folder: RunFolder,
    *,
    concurrency: int,
    until: int | None = None,
    total: int | None = None,
    console: Console | None = None,
    again: Container[str] | None = None,
) -> StageReport:
    """Run a stage's work over all inputs that are not on record, and commit in their order.

    `until`: stop when so many are accepted, earlier runs included; what is in flight is cancelled
    and nothing beyond is committed. `total`: number of inputs, for the progress bar. `console`:
    where the bar goes; None, or no terminal: no bar. `again`: keys whose errors are tried again,
    to be given where the inputs are a part of all; None: any. Two inputs of one key: the first
    counts.
    Raises `StageError` when item after item breaks, `StoreError` when rows can't be written, and
    `BudgetExceeded`, what came before it committed, when an item may not be paid for.
    """
    with folder.lock(), ExitStack() as stack:
        ledger = stack.enter_context(_Ledger(stage, folder, until, again))
        bar = stack.enter_context(_Bar(stage.name, console, until or total, until is not None))
        bar.show(ledger)
        if not ledger.complete:
            await _Runner(stage, inputs, ledger, concurrency, until, bar).run()
        return ledger.report()


class _Runner(Generic[In, Out]):
    """The window of items that run or wait for their turn to be committed."""

    def __init__(
        self,
        stage: Stage[In, Out],
        inputs: Iterable[In] | AsyncIterable[In],
        ledger: _Ledger[In, Out],
        concurrency: int,
        until: int | None,
        bar: _Bar,
    ) -> None:
        self._stage = stage
        self._source = _Source(inputs, stage.key, ledger.known)
        self._ledger = ledger
        self._slots = asyncio.Semaphore(concurrency)
        self._ahead = concurrency * LOOK_AHEAD
        self._until = until
        self._bar = bar
        self._window: deque[asyncio.Task[_Outcome]] = deque()
        self._next: asyncio.Task[In | None] | None = None

    async def run(self) -> None:
        try:
            await self._loop()
        except asyncio.CancelledError:
            self._commit()
            raise
        except BudgetExceeded:
            # What is in flight is paid for: let it come in. Nothing more can be asked for.
            await asyncio.gather(*self._window, return_exceptions=True)
            raise
        finally:
            tasks: list[asyncio.Task[Any]] = [*self._window]
            if self._next is not None:
                tasks.append(self._next)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _loop(self) -> None:
        while True:
            if self._next is None and not self._source.ended and len(self._window) < self._ahead:
                self._next = asyncio.create_task(self._source.next())
            waiting = [*([self._next] if self._next else []), *list(self._window)[:1]]
            if not waiting:
                return
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if self._next is not None and self._next.done():
                item, self._next = self._next.result(), None
                if item is not None:
                    self._window.append(asyncio.create_task(self._attempt(item)))
            self._commit()
            if self._ledger.complete:
                return

    def _commit(self) -> None:
        """Write the finished items at the head of the window."""
        batch: list[_Outcome] = []
        stop: BudgetExceeded | None = None
        wanted = None if self._until is None else self._until - self._ledger.accepted
        while self._window and self._window[0].done() and wanted != 0:
            outcome = self._window.popleft().result()
            if (stop := outcome.stop) is not None:
                break
            batch.append(outcome)
            if wanted is not None and outcome.main is not None:
                wanted -= 1
        if batch:
            self._ledger.commit(batch)
            self._bar.show(self._ledger)
        if stop is not None:
            raise stop
        if batch:
            self._ledger.give_up()

    async def _attempt(self, item: In) -> _Outcome:
        """One item's work, its failure as a row. Rows are spelled here, so that one that can't
        be is this item's failure alone."""
        key, stage = self._stage.key(item), self._stage
        async with self._slots:
            try:
                out = await stage.work(item)
                sides = tuple(b"".join(map(to_line, side.rows(out))) for side in stage.sides)
                return _Outcome(key, main=to_line(stage.row(out)), sides=sides)
            except Rejected as rejected:
                failure = FailureRow(
                    key=key,
                    stage=stage.name,
                    kind="rejected",
                    check=rejected.check,
                    message=_plain(rejected.reason),
                )
                return _Outcome(key, failure=failure)
            except BudgetExceeded as spent:
                return _Outcome(key, stop=spent)
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                return self._broken(key, error)
            except Exception as error:  # noqa: BLE001 - recorded as the item's row
                return self._broken(key, error)

    def _broken(self, key: str, error: BaseException) -> _Outcome:
        failure = FailureRow(
            key=key,
            stage=self._stage.name,
            kind="error",
            type=type(error).__name__,
            message=_plain(str(error)),
        )
        unavailable = isinstance(error, SandboxUnavailable | ModelUnavailable)
        return _Outcome(key, failure=failure, unavailable=unavailable)


def _plain(text: str) -> str:
    """Text that can be stored: bounded, and without lone surrogates."""
    return text[:MESSAGE_CHARACTERS].encode("utf-8", "replace").decode()


class _Source(Generic[In]):
    """The inputs that are not on record, one at a time; None at the end."""

    def __init__(
        self,
        inputs: Iterable[In] | AsyncIterable[In],
        key: Callable[[In], str],
        known: set[str],
    ) -> None:
        self._items = (
            aiter(inputs) if isinstance(inputs, AsyncIterable) else _as_async(iter(inputs))
        )
        self._key = key
        self._known = known
        self.ended = False

    async def next(self) -> In | None:
        async for item in self._items:
            key = self._key(item)
            if key not in self._known:
                self._known.add(key)
                return item
        self.ended = True
        return None


async def _as_async(items: Iterable[In]) -> AsyncIterable[In]:
    for item in items:
        yield item


class _Ledger(Generic[In, Out]):
    """The stage's files: what is on record, and the writing of more."""

    def __init__(
        self,
        stage: Stage[In, Out],
        folder: RunFolder,
        until: int | None,
        again: Container[str] | None = None,
    ) -> None:
        self._stage = stage
        self._until = until
        self._again = again
        self._folder = folder
        self._failed_name = f"{stage.name}.failed"
        self._files = ExitStack()
        self._started = self._recorded = time.monotonic()
        self._before = folder.manifest().stages.get(stage.name, StageCounts())
        self._streak: deque[_Outcome] = deque(maxlen=GIVE_UP_AFTER)
        self._fruitless = True
        self.known: set[str] = set()
        self.accepted = 0
        self.rejected: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()

    def __enter__(self) -> _Ledger[In, Out]:
        with ExitStack() as files:
            self._main = files.enter_context(self._folder.append(self._stage.name))
            self._sides = [
                files.enter_context(self._folder.append(side.name)) for side in self._stage.sides
            ]
            ids = self._read_main()
            self._drop_orphans(ids)
            self._read_failed()
            self._failed = files.enter_context(self._folder.append(self._failed_name))
            self.resumed = len(self.known)
            self._record()
            self._files = files.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        with self._files:
            self._record()

    @property
    def complete(self) -> bool:
        """Whether as many are accepted as were asked for."""
        return self._until is not None and self.accepted >= self._until

    def _read_main(self) -> set[str]:
        """Keys and ids of the accepted items. Ids only where side rows need them."""
        ids: set[str] = set()
        for _, row in self._folder.values(self._stage.name):
            try:
                self.known.add(self._stage.stored_key(row))
                if self._stage.sides:
                    ids.add(self._stage.stored_id(row))
            except (KeyError, TypeError) as error:
                raise self._foreign(self._stage.name, error) from error
            self.accepted += 1
        return ids

    def _drop_orphans(self, ids: set[str]) -> None:
        """Cut off side rows at the end whose main row was never written."""
        for side, log in zip(self._stage.sides, self._sides, strict=True):
            cut: int | None = None
            for offset, row in self._folder.values(side.name):
                try:
                    owned = side.owner(row) in ids
                except (KeyError, TypeError) as error:
                    raise self._foreign(side.name, error) from error
                cut = None if owned else offset if cut is None else cut
            if cut is not None:
                log.cut(cut)

    def _foreign(self, name: str, error: Exception) -> StoreError:
        path = str(self._folder.path / f"{name}.jsonl")
        return StoreError(f"{path!r} holds rows of something else ({error!r}): restore the file")

    def _read_failed(self) -> None:
        """Rejected items stay; errors that are tried again now are taken off the record."""
        taken = 0
        for failure in self._folder.rows(self._failed_name, FailureRow):
            if self._tried_again(failure):
                taken += 1
            elif failure.kind == "error":
                self.errors[failure.type or ""] += 1
            else:
                self.known.add(failure.key)
                self.rejected[failure.check or ""] += 1
        if taken:
            rows = self._folder.rows(self._failed_name, FailureRow)
            kept = (to_line(row) for row in rows if not self._tried_again(row))
            self._folder.replace(f"{self._failed_name}.jsonl", kept)

    def _tried_again(self, failure: FailureRow) -> bool:
        if failure.kind != "error" or self.complete:
            return False
        return self._again is None or failure.key in self._again

    def commit(self, batch: Sequence[_Outcome]) -> None:
        """Write side rows, then failures, then the main rows that make them count."""
        for index, log in enumerate(self._sides):
            _append(log, [outcome.sides[index] for outcome in batch if outcome.main])
        _append(self._failed, [to_line(o.failure) for o in batch if o.failure])
        _append(self._main, [outcome.main for outcome in batch if outcome.main])
        for outcome in batch:
            self._count(outcome)
        if time.monotonic() - self._recorded > _MANIFEST_SECONDS:
            self._record()

    def _count(self, outcome: _Outcome) -> None:
        failure = outcome.failure
        if failure is not None and failure.kind == "error":
            self.errors[failure.type or ""] += 1
            self._streak.append(outcome)
            return
        self._streak.clear()
        self._fruitless = False
        if failure is None:
            self.accepted += 1
        else:
            self.rejected[failure.check or ""] += 1

    def give_up(self) -> None:
        """Raise `StageError` when everything breaks, or what everything needs is not there."""
        if len(self._streak) < GIVE_UP_AFTER:
            return
        last = self._streak[-1]
        if last.failure and (self._fruitless or all(o.unavailable for o in self._streak)):
            raise StageError(
                f"stage {self._stage.name!r} stopped: {len(self._streak)} items in a row broke, "
                f"the last with {last.failure.type}: {last.failure.message}. Mend that, then run "
                "the same command again to go on"
            )

    def _record(self) -> None:
        self._recorded = time.monotonic()
        meter = self._stage.meter
        counts = StageCounts(
            accepted=self.accepted,
            rejected=dict(self.rejected),
            errors=dict(self.errors),
            seconds=round(self._before.seconds + self._recorded - self._started, 3),
            usage=self._before.usage + meter.usage,
            dollars=self._before.dollars + meter.dollars,
        )
        self._folder.record(self._stage.name, counts)

    def cost(self) -> str:
        """What the stage cost so far, earlier runs included, in a few words; "": nothing."""
        usage = self._before.usage + self._stage.meter.usage
        dollars = self._before.dollars + self._stage.meter.dollars
        tokens = usage.prompt_tokens + usage.completion_tokens
        parts = [f"{tokens / 1000:,.1f}k tokens"] if tokens else []
        return ", ".join([*parts, f"cost {dollars:.4f}"] if dollars else parts)

    def report(self) -> StageReport:
        """The counts so far."""
        return StageReport(
            accepted=self.accepted,
            rejected=dict(self.rejected),
            errors=dict(self.errors),
            seconds=time.monotonic() - self._started,
            resumed=self.resumed,
        )


class _Bar:
    """The progress bar, or nothing."""

    def __init__(
        self, name: str, console: Console | None, total: int | None, accepted_only: bool
    ) -> None:
        self._progress: Progress | None = None
        self._accepted_only = accepted_only
        self._started: tuple[float, int] | None = None
        if console is not None and console.is_terminal:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TextColumn("{task.fields[failed]}"),
                TextColumn("{task.fields[cost]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=console,
            )
            self._task = self._progress.add_task(name, total=total, rate="", failed="", cost="")

    def __enter__(self) -> _Bar:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def show(self, ledger: _Ledger[In, Out]) -> None:
        """Bring the bar up to date."""
        if self._progress is None:
            return
        rejected, broken = ledger.rejected.total(), ledger.errors.total()
        done = ledger.accepted + (0 if self._accepted_only else rejected + broken)
        now = time.monotonic()
        if self._started is None:
            self._started = (now, done)
        elapsed = now - self._started[0]
        rate = f"{(done - self._started[1]) / elapsed:.1f}/s" if elapsed > 0 else ""
        failed = f"{ledger.accepted} accepted, {rejected} rejected"
        if broken:
            failed += f", {broken} errors"
        cost = ledger.cost()
        self._progress.update(self._task, completed=done, rate=rate, failed=failed, cost=cost)


def _append(log: AppendLog, lines: list[bytes]) -> None:
    if lines:
        log.append(lines)
