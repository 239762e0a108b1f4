"""Runs stages: order, resume, failures, progress and cost are handled here.

Items run concurrently and are committed in the order of the inputs, so that the same inputs give
the same bytes whatever the timing. A killed run resumes where it stopped: the inputs are made
again, and those whose key is on record are skipped. An item's rows may go to several files; the
main file's row is written last and is the commit mark.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Container, Iterable
from contextlib import ExitStack, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any, Generic

from rich.console import Console

from astra.errors import BudgetExceeded, ModelUnavailable, Rejected, SandboxUnavailable
from astra.runs.cost import StageMeter, billing
from astra.runs.executor import Executor, at_once, executing
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow, to_line
from astra.runs.ledger import ItemOutcome, Ledger
from astra.runs.progress import LOG_SECONDS, StageProgress
from astra.runs.stage import In, Out, Stage, StageReport

LOOK_AHEAD = 4
"""Items that may run or wait to be committed, per unit of concurrency."""
MESSAGE_CHARACTERS = 2000
"""Longest error text that is recorded."""
_slot: ContextVar[ExitStack] = ContextVar("_slot")
"""The place among the running items that the current one has. Closing it twice does nothing."""


@asynccontextmanager
async def taken_slot(gate: asyncio.Semaphore) -> AsyncGenerator[None]:
    """A place among what runs at the same time, for a task of its own."""
    await gate.acquire()
    with ExitStack() as slot:
        slot.callback(gate.release)
        _slot.set(slot)
        yield


def release_slot() -> None:
    """Let the next item of the stage begin, because the rest of this one is mostly waiting."""
    slot = _slot.get(None)
    if slot is not None:
        slot.close()


@dataclass(frozen=True, slots=True)
class StageRunner:
    """Runs the stages of a pipeline in one folder, and keeps their reports."""

    folder: RunFolder
    concurrency: int = 8
    console: Console | None = None
    executor: Executor | None = None
    """Does what the work of an item spreads. None: this process."""
    reports: dict[str, StageReport] = field(default_factory=dict[str, StageReport])
    """Stage -> its latest report, with the seconds of all its runs by this object."""

    async def run(
        self,
        stage: Stage[In, Out],
        inputs: Iterable[In] | AsyncIterable[In],
        *,
        until: int | None = None,
        total: int | None = None,
        retry: Container[str] | None = None,
    ) -> StageReport:
        """As the function `run`."""
        report = await run(
            stage,
            inputs,
            self.folder,
            concurrency=self.concurrency,
            console=self.console,
            executor=self.executor,
            until=until,
            total=total,
            retry=retry,
        )
        # A stage that is run wave after wave: counts are the folder's already, seconds are not.
        first = self.reports.get(stage.name)
        self.reports[stage.name] = (
            report
            if first is None
            else replace(report, seconds=first.seconds + report.seconds, resumed=first.resumed)
        )
        return report


async def run(
    stage: Stage[In, Out],
    inputs: Iterable[In] | AsyncIterable[In],
    folder: RunFolder,
    *,
    concurrency: int,
    until: int | None = None,
    total: int | None = None,
    console: Console | None = None,
    executor: Executor | None = None,
    retry: Container[str] | None = None,
) -> StageReport:
    """Run a stage's work over all inputs that are not on record, and commit in their order.

    `until`: stop when so many are accepted, earlier runs included; what is in flight is cancelled.
    `total`: number of inputs, for the progress bar on `console`. `executor`: where items do what
    they `spread`; more than `concurrency` at the same time if workers would idle else. `retry`:
    keys whose recorded errors are tried again, for callers that pass a part of all inputs; None:
    all. Of two inputs with one key the first counts.
    Raises `StageError` when item after item fails or is rejected (see `Stage.max_rejected`),
    `StoreError` when rows can't be written, and `BudgetExceeded`, all earlier items committed, when
    an item may not be paid for.
    """
    meter = StageMeter(stage.name)
    with folder.lock(), ExitStack() as stack:
        ledger = stack.enter_context(Ledger(stage, folder, meter, until, retry))
        progress = stack.enter_context(
            StageProgress.opened(folder, stage.name, console, until=until, total=total)
        )
        progress.show(ledger, event="begins")
        try:
            ledger.give_up()
            if not (ledger.complete or ledger.hopeless()):
                # Tasks copy the context when they are created: all of the stage's bill to its
                # meter, and spread by its executor.
                slots = at_once(concurrency, executor)
                with billing(meter), executing(executor):
                    await _Window(stage, inputs, ledger, slots, until, progress).run()
        except BaseException as error:
            progress.show(ledger, event=f"stopped: {error!r:.300}")
            raise
        progress.show(ledger, event="ends")
        return ledger.report()


class _Window(Generic[In, Out]):
    """The items that run or wait to be committed."""

    def __init__(
        self,
        stage: Stage[In, Out],
        inputs: Iterable[In] | AsyncIterable[In],
        ledger: Ledger[In, Out],
        concurrency: int,
        until: int | None,
        progress: StageProgress,
    ) -> None:
        self._stage = stage
        self._inputs = _new_inputs(stage, inputs, ledger.known)
        self._inputs_ended = False
        self._ledger = ledger
        self._concurrency = concurrency
        self._slots = asyncio.Semaphore(concurrency)
        self._until = until
        self._progress = progress
        self._items: deque[asyncio.Task[ItemOutcome]] = deque()
        self._next_input: asyncio.Future[In | None] | None = None

    async def run(self) -> None:
        try:
            await self._loop()
        except asyncio.CancelledError:
            self._commit()
            raise
        except BudgetExceeded:
            # Requests in flight are paid for already: let them finish and be cached.
            await asyncio.gather(*self._items, return_exceptions=True)
            raise
        finally:
            tasks: list[asyncio.Future[Any]] = [*self._items]
            if self._next_input is not None:
                tasks.append(self._next_input)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _loop(self) -> None:
        while True:
            full = len(self._items) >= self._size()
            if self._next_input is None and not self._inputs_ended and not full:
                self._next_input = asyncio.ensure_future(anext(self._inputs, None))
            waiting = [
                *([self._next_input] if self._next_input else []),
                *list(self._items)[:1],
            ]
            if not waiting:
                return
            await asyncio.wait(waiting, timeout=LOG_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if self._next_input is not None and self._next_input.done():
                item, self._next_input = self._next_input.result(), None
                if item is None:
                    self._inputs_ended = True
                else:
                    self._items.append(asyncio.create_task(self._attempt(item)))
            self._commit()
            # Also without a commit: while all wait for the first item, others are paid for.
            self._progress.show(self._ledger)
            if self._ledger.complete or self._ledger.hopeless():
                return

    def _size(self) -> int:
        """How many items may be begun and not yet committed."""
        most = self._concurrency * LOOK_AHEAD
        if self._until is None:
            return most
        # Near the end: as many as should yield what is missing, by the share that was accepted;
        # more would be thrown away. Few of few says little, so no more than keeps all slots busy.
        missing, done = self._until - self._ledger.accepted, self._ledger.done
        needed = ceil(missing * (done + 1) / (self._ledger.accepted + 1))
        return min(most, needed, missing + self._concurrency)

    def _commit(self) -> None:
        """Write the finished items at the head of the window."""
        batch: list[ItemOutcome] = []
        stop: BudgetExceeded | None = None
        missing = None if self._until is None else self._until - self._ledger.accepted
        while self._items and self._items[0].done() and missing != 0:
            if self._ledger.hopeless(batch):
                break
            outcome = self._items.popleft().result()
            if (stop := outcome.stop) is not None:
                break
            batch.append(outcome)
            if missing is not None and outcome.main is not None:
                missing -= 1
        if batch:
            self._ledger.commit(batch)
        if stop is not None:
            raise stop
        if batch:
            self._ledger.give_up()

    async def _attempt(self, item: In) -> ItemOutcome:
        key, stage = self._stage.key(item), self._stage
        async with taken_slot(self._slots):
            try:
                output = await stage.work(item)
                # Here, not at the commit: a row that can't be written is this item's failure.
                side_rows = tuple(
                    b"".join(map(to_line, side.rows(output))) for side in stage.side_files
                )
                return ItemOutcome(key, main=to_line(stage.row(output)), side_rows=side_rows)
            except Rejected as rejected:
                failure = FailureRow(
                    key=key,
                    stage=stage.name,
                    kind="rejected",
                    check=rejected.check,
                    message=_storable_text(rejected.reason),
                )
                return ItemOutcome(key, failure=failure)
            except BudgetExceeded as error:
                return ItemOutcome(key, stop=error)
            except asyncio.CancelledError as error:
                # The work's own inner cancellation is an error of this item; the stage's is not.
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                return self._broken(key, error)
            except ModuleNotFoundError:  # of an extra that is not installed: no item's failure
                raise
            except Exception as error:  # noqa: BLE001 - recorded as the item's row
                return self._broken(key, error)

    def _broken(self, key: str, error: BaseException) -> ItemOutcome:
        failure = FailureRow(
            key=key,
            stage=self._stage.name,
            kind="error",
            type=type(error).__name__,
            message=_storable_text(str(error)),
        )
        unavailable = isinstance(error, SandboxUnavailable | ModelUnavailable)
        return ItemOutcome(key, failure=failure, unavailable=unavailable)


def _storable_text(text: str) -> str:
    """Bounded, and without lone surrogates."""
    return text[:MESSAGE_CHARACTERS].encode("utf-8", "replace").decode()


async def _new_inputs(
    stage: Stage[In, Out], inputs: Iterable[In] | AsyncIterable[In], known: set[str]
) -> AsyncIterator[In]:
    """The inputs that are not on record."""

    async def as_async(items: Iterable[In]) -> AsyncIterator[In]:
        for item in items:
            yield item

    async for item in inputs if isinstance(inputs, AsyncIterable) else as_async(inputs):
        key = stage.key(item)
        if key not in known:
            known.add(key)
            yield item
