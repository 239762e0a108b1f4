"""Stages: order, resume, failures as rows, and the same bytes after any number of kills.

Run as a program (`python test_stage.py FOLDER LOG`) this file is the process that gets killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from astra.errors import (
    BudgetExceeded,
    ModelUnavailable,
    Rejected,
    SandboxDied,
    SandboxUnavailable,
    StageError,
    StoreError,
    StoreWarning,
)
from astra.runs import jsonl
from astra.runs.cost import StageMeter, bill, billed_stage, billing
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow
from astra.runs.ledger import GIVE_UP_AFTER
from astra.runs.manifest import StageCounts
from astra.runs.runner import LOOK_AHEAD, StageRunner, release_slot, run
from astra.runs.stage import SideFile, Stage, StageReport, copy_stage
from astra.types import Record, Usage

ITEMS = 200


class Thing(Record):
    id: str
    key: str
    text: str = ""


class Mark(Record):
    thing: str
    number: int


def _thing(item: int) -> Thing:
    """Rows from a few bytes to some 200 kB, so that a kill can fall into a write."""
    return Thing(id=f"id{item}", key=str(item), text="x" * (200_000 if item % 11 == 0 else item))


def _stage(work: object = None, **changes: object) -> Stage[int, Thing]:
    async def plain(item: int) -> Thing:
        await asyncio.sleep(0)
        if item % 7 == 3:
            raise Rejected("seven", f"{item} is 3 modulo 7")
        return _thing(item)

    fields = {
        "name": "things",
        "work": work or plain,
        "key": str,
        "stored_key": lambda row: row["key"],
        "side_files": (
            SideFile("marks", lambda t: [Mark(thing=t.id, number=n) for n in range(3)], "thing"),
        ),
    }
    return Stage(**{**fields, **changes})  # type: ignore[arg-type]


def _run(
    folder: RunFolder, count: int = 40, stage: Stage[int, Thing] | None = None, **options: object
) -> StageReport:
    return asyncio.run(
        run(stage or _stage(), range(count), folder, **{"concurrency": 4, **options})  # type: ignore[arg-type]
    )


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.jsonl"))}


def _keys(folder: RunFolder) -> list[int]:
    return [int(thing.key) for thing in folder.rows("things", Thing)]


# --- order, side rows, failures ---------------------------------------------------------------


def test_rows_stand_in_the_order_of_the_inputs_whatever_the_timing(tmp_path: Path) -> None:
    async def jittery(item: int) -> Thing:
        await asyncio.sleep(random.random() * 0.01)
        if item % 5 == 0:
            raise Rejected("five", "x")
        return _thing(item)

    folders = [RunFolder.create(tmp_path / name, {}) for name in "ab"]
    for folder, concurrency in zip(folders, (1, 8), strict=True):
        report = _run(folder, stage=_stage(jittery), concurrency=concurrency)
        assert (report.accepted, report.rejected, report.errors) == (32, {"five": 8}, {})
    assert _bytes(folders[0].path) == _bytes(folders[1].path)
    assert _keys(folders[0]) == [item for item in range(40) if item % 5]
    marks = [mark.thing for mark in folders[0].rows("marks", Mark)]
    assert marks == [f"id{key}" for key in _keys(folders[0]) for _ in range(3)]


def test_until_stops_at_that_many_and_cancels_what_is_in_flight(tmp_path: Path) -> None:
    cancelled: list[int] = []

    async def slow_later(item: int) -> Thing:
        try:
            await asyncio.sleep(0.005 if item <= 45 else 60)
        except asyncio.CancelledError:
            cancelled.append(item)
            raise
        if item % 5:
            raise Rejected("four of five", "so that more are begun than are missing")
        return _thing(item)

    folder = RunFolder.create(tmp_path / "run", {})
    report = _run(folder, 1000, _stage(slow_later), until=10)
    assert report.accepted == 10 and _keys(folder) == list(range(0, 50, 5))
    assert cancelled
    before = _bytes(folder.path)
    again = _run(folder, 1000, _stage(slow_later), until=10)
    assert (again.resumed, again.accepted) == (46, 10) and _bytes(folder.path) == before


@given(until=st.integers(0, 45), first=st.integers(0, 45), concurrency=st.integers(1, 9))
@settings(max_examples=15, deadline=None)
def test_a_larger_until_goes_on_as_if_it_had_been_asked_at_once(
    tmp_path_factory: pytest.TempPathFactory, until: int, first: int, concurrency: int
) -> None:
    base = tmp_path_factory.mktemp("x")
    once, twice = (RunFolder.create(base / name, {}) for name in "ab")
    _run(once, until=max(first, until))
    for wanted in (min(first, until), max(first, until)):
        _run(twice, until=wanted, concurrency=concurrency)
    assert _bytes(once.path) == _bytes(twice.path)


def test_failures_are_rows_and_never_stop_the_others(tmp_path: Path) -> None:
    async def mixed(item: int) -> Thing:
        if item == 1:
            raise Rejected("leak", "the answer stands in the question")
        if item == 2:
            raise SandboxDied("killed by signal 9 \ud800")
        if item == 3:
            return Thing(id="\ud800", key="3")
        if item == 4:
            raise asyncio.CancelledError  # a library's own, nobody cancelled us
        return _thing(item)

    folder = RunFolder.create(tmp_path / "run", {})
    report = _run(folder, 6, _stage(mixed))
    assert _keys(folder) == [0, 5]
    assert report.rejected == {"leak": 1}
    assert report.errors == {"SandboxDied": 1, "UnicodeEncodeError": 1, "CancelledError": 1}
    rows = list(folder.rows("things.failed", FailureRow))
    assert [row.key for row in rows] == ["1", "2", "3", "4"]
    assert rows[0].check == "leak" and rows[0].message == "the answer stands in the question"
    assert rows[1].type == "SandboxDied" and rows[1].message == "killed by signal 9 ?"
    counts = folder.manifest().stages["things"]
    assert (counts.accepted, counts.rejected, counts.errors) == (2, report.rejected, report.errors)


def test_errors_are_tried_again_and_rejections_are_final(tmp_path: Path) -> None:
    asked: list[int] = []
    down = True

    async def sometimes(item: int) -> Thing:
        asked.append(item)
        if item == 1:
            raise Rejected("one", "x")
        if item == 2 and down:
            raise ModelUnavailable("down")
        return _thing(item)

    folder = RunFolder.create(tmp_path / "run", {})
    assert _run(folder, 4, _stage(sometimes)).errors == {"ModelUnavailable": 1}
    asked.clear()
    down = False
    report = _run(folder, 4, _stage(sometimes))
    assert asked == [2] and report.errors == {} and report.resumed == 3
    assert sorted(_keys(folder)) == [0, 2, 3]
    assert [row.key for row in folder.rows("things.failed", FailureRow)] == ["1"]


def test_errors_of_items_that_are_no_part_of_a_run_stay_on_record(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", {})
    broken = True

    async def work(item: int) -> Thing:
        if broken and item in (2, 5):
            raise ValueError("not yet")
        return _thing(item)

    _run(folder, 8, _stage(work))
    broken = False
    keys = {str(number) for number in range(4, 12)}
    later = asyncio.run(run(_stage(work), range(4, 12), folder, concurrency=4, retry=keys))
    assert later.errors == {"ValueError": 1} and later.accepted == 11
    assert [row.key for row in folder.rows("things.failed", FailureRow)] == ["2"]
    assert folder.manifest().stages["things"].errors == {"ValueError": 1}
    assert _run(folder, 12, _stage(work)).errors == {}
    assert not list(folder.rows("things.failed", FailureRow))


def test_errors_stay_on_record_when_nothing_is_left_to_do(tmp_path: Path) -> None:
    async def one_breaks(item: int) -> Thing:
        if item == 2:
            raise ValueError("odd")
        return _thing(item)

    folder = RunFolder.create(tmp_path / "run", {})
    for _ in range(2):
        assert _run(folder, 9, _stage(one_breaks), until=4).errors == {"ValueError": 1}
        assert [row.key for row in folder.rows("things.failed", FailureRow)] == ["2"]
        assert folder.manifest().stages["things"].errors == {"ValueError": 1}


@pytest.mark.parametrize("error", [SandboxUnavailable, ModelUnavailable, KeyError])
def test_a_stage_in_which_everything_breaks_stops(tmp_path: Path, error: type[Exception]) -> None:
    asked: list[int] = []

    async def broken(item: int) -> Thing:
        asked.append(item)
        raise error("no confinement here")

    folder = RunFolder.create(tmp_path / "run", {})
    with pytest.raises(StageError, match=f"{error.__name__}: .*no confinement here"):
        _run(folder, 10_000, _stage(broken))
    assert len(asked) <= GIVE_UP_AFTER + 4 * LOOK_AHEAD
    with pytest.raises(StageError):
        _run(folder, 10_000, _stage(broken))
    assert len(list(folder.rows("things.failed", FailureRow))) < 2 * GIVE_UP_AFTER


def test_a_stage_goes_on_past_a_row_of_errors_of_the_items_own(tmp_path: Path) -> None:
    async def hard_middle(item: int) -> Thing:
        if 5 <= item < 5 + 2 * GIVE_UP_AFTER:
            raise ValueError("odd item")
        return _thing(item)

    folder = RunFolder.create(tmp_path / "run", {})
    report = _run(folder, 100, _stage(hard_middle))
    assert report.accepted == 60 and report.errors == {"ValueError": 2 * GIVE_UP_AFTER}


def test_a_stage_stops_when_what_it_needs_goes_away(tmp_path: Path) -> None:
    async def dies(item: int) -> Thing:
        if item >= 5:
            raise ModelUnavailable("gone")
        return _thing(item)

    folder = RunFolder.create(tmp_path / "run", {})
    with pytest.raises(StageError, match="gone"):
        _run(folder, 10_000, _stage(dies))
    assert _keys(folder) == list(range(5))


async def _rejects(item: int) -> Thing:
    await asyncio.sleep(0.001 * (item % 3))
    raise Rejected("state", f"{item} does not do")


@pytest.mark.parametrize("concurrency", [1, 8])
def test_endless_inputs_that_are_all_rejected_end_with_the_reason(
    tmp_path: Path, concurrency: int
) -> None:
    folder = RunFolder.create(tmp_path / "run", {})
    stage = _stage(_rejects, max_rejected=30)
    for _ in range(2):  # the second run finds all that on record
        with pytest.raises(StageError, match=r"first 30 items .* 30 of them by 'state'.* 29 does"):
            _run(folder, 10_000, stage, until=5, concurrency=concurrency)
        assert len(list(folder.rows("things.failed", FailureRow))) == 30
    assert _run(RunFolder.create(tmp_path / "all", {}), 50, stage).rejected == {"state": 50}


@pytest.mark.parametrize("first", [5, 9])
def test_a_stage_that_accepts_too_few_ends_with_those(tmp_path: Path, first: int) -> None:
    async def few(item: int) -> Thing:
        return _thing(item) if item in (3, 7) else await _rejects(item)

    once, twice = (RunFolder.create(tmp_path / name, {}) for name in "ab")
    stage = _stage(few, max_rejected=10)
    report = _run(once, 10_000, stage, until=5)
    assert (report.accepted, report.rejected) == (2, {"state": 30})
    _run(twice, first, stage, until=5)  # as one that was killed
    _run(twice, 10_000, stage, until=5, concurrency=1)
    assert _bytes(once.path) == _bytes(twice.path)


# --- inputs -----------------------------------------------------------------------------------


def test_inputs_may_be_asynchronous_and_slow(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", {})
    seen: list[int] = []

    async def inputs() -> AsyncIterator[int]:
        for item in range(6):
            yield item
            await asyncio.sleep(0.02)
            seen.append(len(_keys(folder)))

    asyncio.run(run(_stage(), inputs(), folder, concurrency=4))
    assert _keys(folder) == [0, 1, 2, 4, 5]
    assert seen[0] == 1, "finished items are written while the next input is awaited"


def test_inputs_are_pulled_no_further_than_the_window(tmp_path: Path) -> None:
    pulled = 0
    finished = 0

    def inputs() -> Iterator[int]:
        nonlocal pulled
        for pulled in range(1, 501):
            assert pulled - finished <= 3 * LOOK_AHEAD + 2
            yield pulled

    async def work(item: int) -> Thing:
        nonlocal finished
        await asyncio.sleep(0.02 if item % 50 == 0 else 0)
        finished += 1
        return _thing(item)

    asyncio.run(run(_stage(work), inputs(), RunFolder.create(tmp_path / "run", {}), concurrency=3))
    assert finished == 500


def test_no_more_than_concurrency_run_at_once(tmp_path: Path) -> None:
    running = most = 0

    async def work(item: int) -> Thing:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        return _thing(item)

    _run(RunFolder.create(tmp_path / "run", {}), 50, _stage(work), concurrency=3)
    assert most == 3


@pytest.mark.parametrize("gives_away", [False, True])
def test_an_item_that_gives_its_slot_away_holds_up_no_other(
    tmp_path: Path, gives_away: bool
) -> None:
    running: set[int] = set()
    most = 0

    async def work(item: int) -> Thing:
        nonlocal most
        running.add(item)
        if gives_away:
            release_slot()
            release_slot()  # the second time it has none
        most = max(most, len(running))
        await asyncio.sleep(0.005)
        running.remove(item)
        return _thing(item)

    folder = RunFolder.create(tmp_path / "run", {})
    report = asyncio.run(run(Stage("things", work, key=str), range(40), folder, concurrency=2))
    assert report.accepted == 40
    assert most == (2 * LOOK_AHEAD if gives_away else 2)
    release_slot()  # outside of a stage: nothing to give away


@pytest.mark.parametrize("rejected", [0, 1, 4])
def test_near_the_end_no_more_inputs_are_pulled_than_should_be_needed(
    tmp_path: Path, rejected: int
) -> None:
    """By the share that was accepted before: `rejected` of five are not."""
    pulled: list[int] = []

    def inputs() -> Iterator[int]:
        for item in range(1000):
            pulled.append(item)
            yield item

    async def work(item: int) -> Thing:
        await asyncio.sleep(0.001)
        if item % 5 < rejected:
            raise Rejected("low", "x")
        return _thing(item)

    folder = RunFolder.create(tmp_path / "run", {})
    stage = Stage("things", work, key=str)
    report = asyncio.run(run(stage, inputs(), folder, concurrency=10, until=30))
    assert report.accepted == 30
    tried = report.accepted + report.rejected.get("low", 0)
    assert tried <= len(pulled) <= tried + rejected * 2


def test_the_first_of_two_inputs_of_one_key_counts(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", {})
    asyncio.run(run(_stage(), [1, 2, 1, 2, 4], folder, concurrency=2))
    assert _keys(folder) == [1, 2, 4]


def test_an_error_of_the_inputs_is_the_stages_error(tmp_path: Path) -> None:
    def inputs() -> Iterator[int]:
        yield 0
        raise StoreError("no more")

    with pytest.raises(StoreError, match="no more"):
        asyncio.run(run(_stage(), inputs(), RunFolder.create(tmp_path / "run", {}), concurrency=2))


def test_cancelling_keeps_what_is_done(tmp_path: Path) -> None:
    async def slow_later(item: int) -> Thing:
        await asyncio.sleep(0 if item < 5 else 60)
        return _thing(item)

    folder = RunFolder.create(tmp_path / "run", {})

    async def main() -> None:
        await asyncio.wait_for(run(_stage(slow_later), range(99), folder, concurrency=4), 0.2)

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert [key for key in _keys(folder) if key < 3] == [0, 1, 2]
    with folder.lock():
        pass


# --- what is on record ------------------------------------------------------------------------


def test_costs_add_up_over_runs(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", {})
    for until in (3, 6):

        async def work(item: int) -> Thing:
            bill(Usage(prompt_tokens=10), dollars=0.5)
            return _thing(item)

        _run(folder, stage=_stage(work), until=until, concurrency=1)
    counts = folder.manifest().stages["things"]
    assert counts.usage.prompt_tokens >= 60 and counts.dollars >= 3.0 and counts.seconds > 0


async def test_each_stage_is_billed_for_what_its_items_ask(tmp_path: Path) -> None:
    """Also in tasks that the work starts, and where two stages run at once."""
    folders = [RunFolder.create(tmp_path / name, {}) for name in "ab"]
    names: set[str] = set()

    async def reply(tokens: int) -> None:
        await asyncio.sleep(0)
        names.add(billed_stage())
        bill(Usage(prompt_tokens=tokens))

    def stage(name: str, tokens: int) -> Stage[int, Thing]:
        async def work(item: int) -> Thing:
            await asyncio.gather(reply(tokens), reply(tokens))
            return _thing(item)

        return Stage(name, work, key=str)

    bill(Usage(prompt_tokens=1000))
    await asyncio.gather(
        StageRunner(folders[0]).run(stage("first", 1), range(5)),
        StageRunner(folders[1]).run(stage("second", 10), range(5)),
    )
    assert names == {"first", "second"} and billed_stage() == ""
    assert folders[0].manifest().stages["first"].usage.prompt_tokens == 10
    assert folders[1].manifest().stages["second"].usage.prompt_tokens == 100


def test_costs_that_a_killed_run_wrote_too_late_are_recovered(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", {})
    counted = StageCounts(accepted=3, usage=Usage(prompt_tokens=70), dollars=7.0)
    folder.record_stage("judged", counted)
    paid = {"judged": Usage(prompt_tokens=100), "": Usage(prompt_tokens=5), "new": Usage()}
    assert folder.recover_costs("m", paid, lambda usage: usage.prompt_tokens / 10) == 3.0
    assert folder.recover_costs("m", paid, lambda usage: usage.prompt_tokens / 10) == 0.0
    changes = {"usage": Usage(prompt_tokens=100), "dollars": 10.0}
    assert folder.manifest().stages == {"judged": counted.model_copy(update=changes)}


def test_tokens_without_a_price_are_kept_by_model_until_there_is_one(tmp_path: Path) -> None:
    def dime(usage: Usage) -> float:
        return usage.prompt_tokens / 10

    folder = RunFolder.create(tmp_path / "run", {})
    meter = StageMeter("things")
    with billing(meter):
        bill(Usage(prompt_tokens=50), model="agent")
        bill(Usage(prompt_tokens=30), model="teacher")
        bill(Usage(prompt_tokens=20), 2.0, model="teacher")
    assert (meter.usage.prompt_tokens, meter.dollars) == (100, 2.0)
    folder.record_stage(
        "things",
        StageCounts(accepted=3, usage=meter.usage, dollars=2.0, unpriced=meter.unpriced),
    )
    assert folder.recover_costs("teacher", {}, None) == 0.0
    assert folder.recover_costs("teacher", {}, dime) == 3.0
    assert folder.recover_costs("teacher", {}, dime) == 0.0
    counts = folder.manifest().stages["things"]
    assert counts.dollars == 5.0
    assert counts.unpriced == {"agent": Usage(prompt_tokens=50)}


def test_tokens_of_a_folder_from_before_count_as_unpriced(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", {})
    folder.record_stage("judged", StageCounts(accepted=3, usage=Usage(prompt_tokens=70)))
    assert folder.recover_costs("m", {}, lambda usage: usage.prompt_tokens / 10) == 7.0


async def test_progress_is_logged_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astra.runs.runner.LOG_SECONDS", 0.02)
    monkeypatch.setattr("astra.runs.progress.LOG_SECONDS", 0.02)
    folder = RunFolder.create(tmp_path / "run", {})

    async def work(number: int) -> Thing:
        bill(Usage(prompt_tokens=1000), 0.5)
        # Nothing is committed until the first item is done.
        await asyncio.sleep(0.2 if number == 0 else 0)
        if number == 2:
            raise Rejected("odd", "no")
        return _thing(number)

    stage = Stage("things", work, key=str)
    await run(stage, range(4), folder, concurrency=4, total=4)
    lines = (folder.path / "progress.log").read_text("utf-8").splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ things \d/4, ", line) for line in lines)
    assert "things 0/4" in lines[0] and lines[0].endswith("begins")
    assert any("things 0/4" in line and "4.0k tokens, cost 2.0000" in line for line in lines[1:])
    assert "things 4/4, 3 accepted, 1 rejected" in lines[-1] and lines[-1].endswith("ends")

    async def spent(number: int) -> Thing:
        raise BudgetExceeded(f"nothing is left\nfor {number}")

    with pytest.raises(BudgetExceeded):
        await run(Stage("more", spent, key=str), range(4), folder, concurrency=1)
    again = (folder.path / "progress.log").read_text("utf-8").splitlines()
    assert again[: len(lines)] == lines
    assert "stopped: BudgetExceeded" in again[-1] and "nothing is left" in again[-1]


async def test_a_runner_keeps_the_reports_of_its_stages(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", {})
    runner = StageRunner(folder, concurrency=2)
    await runner.run(copy_stage("copies", Thing), map(_thing, range(4)))
    await runner.run(_stage(), range(7), until=3)
    assert {name: report.accepted for name, report in runner.reports.items()} == {
        "copies": 4,
        "things": 3,
    }
    assert list(folder.rows("copies", Thing)) == [_thing(item) for item in range(4)]


def test_rows_of_something_else_are_not_resumed_from(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", {})
    (folder.path / "things.jsonl").write_text('{"id": "x"}\n')
    with pytest.raises(StoreError, match=r"things\.jsonl', line 1: a row of something else"):
        _run(folder)


def test_a_locked_folder_is_not_written(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", {})
    with folder.lock(), pytest.raises(StoreError, match="another process"):
        _run(RunFolder(folder.path))


def test_the_bar_shows_on_a_terminal_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _run(RunFolder.create(tmp_path / "a", {}), console=Console(stderr=True, force_terminal=False))
    assert capsys.readouterr().err == ""
    terminal = Console(stderr=True, force_terminal=True, width=150)
    _run(RunFolder.create(tmp_path / "b", {}), console=terminal, total=40)
    shown = capsys.readouterr().err
    assert "34 accepted, 6 rejected" in shown and "40/40" in shown and "/s" in shown
    assert "tokens" not in shown and "cost" not in shown


def test_the_bar_shows_what_it_costs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Console(stderr=True, force_terminal=True, width=150)
    for runs, money in ((1, 0.25), (2, 0.5)):

        async def work(item: int) -> Thing:
            bill(Usage(prompt_tokens=100, completion_tokens=25, cached_tokens=50), 0.0125)
            return _thing(item)

        folder = RunFolder.create(tmp_path / "run", {})
        _run(folder, 20 * runs, _stage(work), console=terminal, total=20 * runs)
        shown = capsys.readouterr().err
        assert f"{2.5 * runs}k tokens, cost {money:.4f}" in shown


# --- kills ------------------------------------------------------------------------------------


@given(st.data())
@settings(max_examples=20, deadline=None)
def test_files_cut_anywhere_are_completed_to_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Side rows are written before the main row, so a kill leaves at least as many of them."""
    base = tmp_path_factory.mktemp("x")
    folder = RunFolder.create(base / "run", {})
    _run(folder)
    whole = _bytes(folder.path)
    main = whole["things.jsonl"]
    cut = data.draw(st.integers(0, len(main)))
    # A row that lacks its line end alone is whole.
    accepted = main[: cut + 1].count(b"\n")
    least = sum(len(line) for line in whole["marks.jsonl"].splitlines(True)[: 3 * accepted])
    for name, start in (("marks.jsonl", least), ("things.failed.jsonl", 0)):
        end = data.draw(st.integers(start, len(whole[name])))
        (folder.path / name).write_bytes(whole[name][:end])
    (folder.path / "things.jsonl").write_bytes(main[:cut])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StoreWarning)
        _run(folder)
    assert _bytes(folder.path) == whole


def test_kills_at_random_moments_change_no_byte_and_repeat_no_recorded_item(
    tmp_path: Path,
) -> None:
    command = [sys.executable, __file__]
    subprocess.run([*command, str(tmp_path / "whole"), str(tmp_path / "whole.log")], check=True)
    moments = random.Random(5)
    folder, log = RunFolder(tmp_path / "killed"), tmp_path / "killed.log"
    kills = 0
    while True:
        recorded = {str(key) for key in _keys(folder)} | {
            row.key for row in folder.rows("things.failed", FailureRow)
        }
        logged = log.read_text().count("\n") if log.exists() else 0
        arguments = [*command, str(folder.path), str(log)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            if process.stdout.readline() == b"started\n" and kills < 6:
                time.sleep(moments.uniform(0.005, 0.12))
                process.send_signal(signal.SIGKILL)
        computed = log.read_text().split("\n")[logged:] if log.exists() else []
        assert not recorded & set(computed), "an item on record was computed again"
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
        kills += 1
    assert kills >= 5
    assert (folder.path / "things.00003.jsonl").exists()
    assert _bytes(folder.path) == _bytes(tmp_path / "whole")
    assert len(json.loads((folder.path / "manifest.json").read_text())["stages"]) == 1


def _killed_program(folder: Path, log: Path) -> None:
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def work(item: int) -> Thing:
        await asyncio.sleep(random.random() * 0.04)
        os.write(file, f"{item}\n".encode())
        if item % 7 == 3:
            raise Rejected("seven", f"{item}")
        return _thing(item)

    def inputs() -> Iterator[int]:
        os.write(1, b"started\n")
        yield from range(ITEMS)

    jsonl.SHARD_BYTES = 500_000  # so that kills fall between files, too
    store = RunFolder.create(folder, {"items": ITEMS})
    asyncio.run(run(_stage(work), inputs(), store, concurrency=4))


if __name__ == "__main__":
    _killed_program(Path(sys.argv[1]), Path(sys.argv[2]))


def test_a_package_that_is_missing_stops_the_stage_and_is_no_items_failure(tmp_path: Path) -> None:
    async def work(item: int) -> Thing:
        raise ModuleNotFoundError("No module named 'mcp'", name="mcp")

    folder = RunFolder(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="mcp"):
        _run(folder, 9, _stage(work), concurrency=2)
    assert not list(folder.rows("things.failed", FailureRow))


def test_a_spent_budget_stops_the_stage_and_is_no_items_failure(tmp_path: Path) -> None:
    left = [5]

    async def work(item: int) -> Thing:
        if left[0] == 0:
            raise BudgetExceeded("all spent")
        left[0] -= 1
        return _thing(item)

    folder = RunFolder(tmp_path)
    with pytest.raises(BudgetExceeded, match="all spent"):
        _run(folder, 9, _stage(work), concurrency=2)
    assert _keys(folder) == list(range(5))
    assert not list(folder.rows("things.failed", FailureRow))
    left[0] = 9
    assert _run(folder, 9, _stage(work), concurrency=2).accepted == 9
    assert _keys(folder) == list(range(9))
