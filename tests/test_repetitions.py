"""Lines that stand twice in a file of a run are told, and counted and written once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from astra.arenas.sets import ArenaSet
from astra.arenas.statistics import arena_statistics
from astra.configs.evaluation import EvaluateConfig
from astra.configs.trajectories import ExportTrajectoriesConfig
from astra.errors import StoreError, StoreWarning
from astra.evaluation.evaluate import EvaluationReport, compare_reports, evaluate
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow, to_line
from astra.runs.repetitions import unique_rows
from astra.teacher.cache import AnswerCache, RecordedAnswer
from astra.trajectories.export.dataset import export_dataset
from astra.trajectories.play.replay import replay_differences
from astra.trajectories.sets import TrajectorySet
from astra.trajectories.statistics import trajectory_statistics
from astra.types import Usage, content_hash
from tests.support.arenas import good_arenas, write_arena_run
from tests.support.fakes import toy_arena, toy_tool
from tests.trajectories.rollouts import folder_of, rollout


def double(path: Path) -> None:
    """Each line twice, and the first one three times."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines, lines[0], *lines]))


def failure(key: str, message: str = "m") -> FailureRow:
    return FailureRow(key=key, stage="s", kind="rejected", check="leak", message=message)


def test_rows_are_read_once_and_two_rows_of_one_item_are_refused(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", {})
    rows = [failure("a"), failure("b")]
    folder.replace("rows.jsonl", map(to_line, rows))
    with warnings.catch_warnings(action="error"):
        assert list(unique_rows(folder, "rows", FailureRow, attrgetter("key"))) == rows
    double(folder.path / "rows.jsonl")
    with pytest.warns(StoreWarning, match=r"rows\.jsonl', line 3, and 2 more,: a repetition of an"):
        assert list(unique_rows(folder, "rows", FailureRow, attrgetter("key"))) == rows
    folder.replace("rows.jsonl", map(to_line, [*rows, failure("a", "another")]))
    with pytest.raises(
        StoreError, match=r"rows\.jsonl', line 3: another row of the item of line 1"
    ):
        list(unique_rows(folder, "rows", FailureRow, attrgetter("key")))


@pytest.fixture
def trajectories(tmp_path: Path) -> RunFolder:
    rows = [(rollout(i, server=f"s{i}"), 0.5 + i / 10) for i in range(3)]
    return folder_of(tmp_path / "trajectories", rows)


@pytest.mark.parametrize("file", ["rollouts", "judgements"])
async def test_trajectories_are_counted_exported_and_replayed_once(
    file: str, trajectories: RunFolder, tmp_path: Path
) -> None:
    def exported(name: str) -> list[tuple[str, bytes]]:
        config = ExportTrajectoriesConfig(
            trajectories.path, out=tmp_path / name, test_fraction=0, min_score=0.55
        )
        export_dataset(config)
        return [(f.name, f.read_bytes()) for f in sorted((tmp_path / name).glob("*.jsonl"))]

    async def all_readings(name: str) -> list[Any]:
        return [
            exported(name),
            trajectory_statistics(trajectories.path),
            await replay_differences(trajectories.path),
            [each.reward for each in TrajectorySet(trajectories.path)],
        ]

    before = await all_readings("before")
    assert len(dict(before[0])["train.jsonl"].splitlines()) == 2
    double(trajectories.path / f"{file}.jsonl")
    with pytest.warns(StoreWarning, match=rf"{file}\.jsonl', line 4, and 3 more,: a repetition"):
        assert await all_readings("after") == before


def test_arenas_failures_and_tools_are_counted_once(tmp_path: Path) -> None:
    arenas = [
        toy_arena(1, domain=f"d{i}", tools=(toy_tool(f"get_{i}"),), split="train") for i in range(9)
    ]
    run = write_arena_run(tmp_path / "run", arenas)
    (run / "arenas.failed.jsonl").write_bytes(to_line(failure("a")) + to_line(failure("b")))

    def drawn() -> list[list[str]]:
        shown = ArenaSet(run).with_distractors("random", per_band=2)
        return [[tool.name for tool in arena.distractors] for arena in shown]

    before, names = arena_statistics(run), drawn()
    for file in ("arenas.jsonl", "arenas.failed.jsonl"):
        double(run / file)
        with pytest.warns(StoreWarning, match=f"{file}', line "):
            assert arena_statistics(run) == before
    double(run / "tools.jsonl")
    with pytest.warns(StoreWarning, match=r"tools\.jsonl', line 10, and 9 more,: a repetition"):
        assert drawn() == names


async def test_episodes_of_a_finished_evaluation_are_counted_once(tmp_path: Path) -> None:
    arenas = write_arena_run(tmp_path / "arenas", list(good_arenas().values())[:3])
    reports = [
        await evaluate(EvaluateConfig(arenas, policy="null", split="all", samples=2, out=out))
        for out in (tmp_path / "one", tmp_path / "two")
    ]
    before = compare_reports(*reports)
    double(reports[0].path / "episodes.jsonl")
    again = EvaluationReport.open(reports[0].path)
    with pytest.warns(StoreWarning, match=r"episodes\.jsonl', line 7, and 6 more,: a repetition"):
        assert compare_reports(again, reports[1]) == before
    with pytest.warns(StoreWarning):
        assert len(again.to_pandas()) == 6


def answer(number: int, seconds: float = 0.5) -> RecordedAnswer:
    return RecordedAnswer(
        key=content_hash(number),
        prompt="p",
        stage="tasks",
        version=1,
        model="m",
        index=0,
        answer=number,
        requests=1,
        usage=Usage(prompt_tokens=10, completion_tokens=1),
        seconds=seconds,
    )


def test_a_repeated_answer_is_not_counted_as_paid_again(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", {})
    # Two different answers to one question, as two who ask at the same time get: both were paid.
    rows = [answer(1), answer(2), answer(2, seconds=0.75)]
    folder.replace("teacher.jsonl", map(to_line, rows))
    with AnswerCache(folder) as cache:
        paid = cache.stage_usage["tasks"]
        assert paid == Usage(prompt_tokens=30, completion_tokens=3)
    folder.replace("teacher.jsonl", [*map(to_line, rows), to_line(rows[0]), to_line(rows[2])])
    with (
        pytest.warns(StoreWarning, match=r"teacher\.jsonl': 2 lines repeat an earlier one"),
        AnswerCache(folder) as cache,
    ):
        assert cache.stage_usage["tasks"] == paid
        cache.add(answer(3))
        found = [cache.find(content_hash(n)) for n in (1, 2, 3)]
    assert [each and each.answer for each in found] == [1, 2, 3]


@pytest.mark.parametrize("read", [TrajectorySet, trajectory_statistics])
def test_two_rollouts_of_one_id_are_refused(
    read: Callable[[Path], Any], trajectories: RunFolder
) -> None:
    other = rollout(0, server="s0").model_copy(update={"model": "another"})
    with trajectories.lock(), trajectories.append("rollouts") as log:
        log.append([to_line(other)])
    with pytest.raises(StoreError, match=r"rollouts\.jsonl', line 4: another row"):
        read(trajectories.path)
