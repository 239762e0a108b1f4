"""Arenas beside the categories of benchmarks: what is lined up, and scores beside each other."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any, get_args

import pytest

from astra.cli.main import run as run_command
from astra.configs import benchmarks as options
from astra.core.intervals import Interval
from astra.errors import ConfigError
from astra.evaluation.benchmarks.acebench import GROUPS as ACEBENCH_GROUPS
from astra.evaluation.benchmarks.bfcl import GROUPS, RELEVANCE
from astra.evaluation.benchmarks.records import BenchmarkSummary, CategoryScore
from astra.evaluation.benchmarks.run import REPORT, SOURCES
from astra.evaluation.transfer import SKILLS, transfer_table
from astra.runs.folder import RunFolder
from astra.types import Arena, Usage
from tests.support.arenas import changed, good_arenas, write_arena_run
from tests.support.talking_desk import talking_desk


def arenas() -> list[Arena]:
    """Questions of several shapes, and conversations of three kinds."""
    talk = talking_desk()
    held = changed(talk, provenance=talk.provenance | {"conversation": "missing_parameter"})
    long = changed(talk, provenance=talk.provenance | {"dials": {"long_results": 40}})
    assert talk.state is not None
    alone = changed(talk, state=talk.state.model_copy(update={"turns": (), "plan": ()}))
    return [*good_arenas().values(), talk, held, long, alone]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_arena_run(tmp_path_factory.mktemp("transfer") / "run", arenas())


def benchmark_run(path: Path, **categories: tuple[int, float]) -> Path:
    """A finished run of BFCL: tasks and mean score by category."""
    scores = {
        name: CategoryScore(
            tasks=tasks,
            score=Interval(mean=mean, low=mean, high=mean, groups=tasks),
            pass_k={"1": mean},
        )
        for name, (tasks, mean) in categories.items()
    }
    summary = BenchmarkSummary(
        benchmark="bfcl",
        tasks=1,
        trials=1,
        episodes=1,
        infrastructure_failures=0,
        score=None,
        over_trials=None,
        by_trial=[],
        pass_k={},
        categories=scores,
        errors={},
        usage=Usage(),
    )
    run = RunFolder.create(path, {"command": "bfcl"})
    with run.lock():
        run.replace(SOURCES, [b"{}\n"])
        run.replace(REPORT, [summary.model_dump_json().encode()])
    return path


def test_every_category_stands_in_one_line() -> None:
    named = [(skill.benchmark, name) for skill in SKILLS for name in skill.categories]
    assert len(named) == len(set(named))
    wanted = {("bfcl", name) for name in (*GROUPS["all"], *RELEVANCE)}
    wanted |= {("tau2", name) for name in ("telecom", "retail", "airline")}
    wanted |= {("acebench", name) for group in ACEBENCH_GROUPS.values() for name in group}
    assert set(named) == wanted
    assert {skill.benchmark for skill in SKILLS} == set(get_args(options.BenchmarkName))


@pytest.mark.parametrize("make", sorted({skill.make for skill in SKILLS if skill.make}))
def test_the_options_that_are_named_are_options(
    make: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = tmp_path / "absent"
    arguments = ["arenas", "make", str(absent), "--out", str(tmp_path / "run"), *shlex.split(make)]
    assert run_command(arguments) == 2
    assert str(absent) in capsys.readouterr().err  # all else was understood


def test_a_line_without_arenas_says_what_is_lacking() -> None:
    assert all((skill.resembles is None) == (not skill.make) for skill in SKILLS)
    assert all(skill.lacks for skill in SKILLS if skill.resembles is None)


def test_arenas_are_counted_where_they_resemble(folder: Path) -> None:
    table = transfer_table(folder)
    counts = {line.categories[0]: line.arenas for line in table.lines if line.categories}
    assert table.arenas == 9
    assert counts["multi_turn_base"] == 3 and counts["multi_turn_miss_param"] == 1
    assert counts["multi_turn_miss_func"] == 0 and counts["multi_turn_long_context"] == 1
    assert counts["simple_python"] == 2 and counts["parallel"] == 1 and counts["multiple"] == 0
    assert counts["telecom"] == counts["multi_step_en"] == 1 and counts["multi_step_zh"] == 0
    assert counts["retail"] == counts["irrelevance"] == 0
    assert table.unmatched == 2  # chains of questions


def test_without_evaluations_arenas_are_counted(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["evaluate", "transfer", str(folder)]) == 0
    assert "9 arenas, 2 of which resemble no category" in capsys.readouterr().out


def test_scores_stand_beside_each_other(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluation = tmp_path / "eval"
    arguments = ["evaluate", "arenas", folder, "--policy", "gold", "--split", "all"]
    assert run_command([*map(str, arguments), "--limit", "3", "--out", str(evaluation)]) == 0
    bfcl = benchmark_run(tmp_path / "bfcl", simple_python=(30, 0.5), live_simple=(10, 0.9))
    lines = {
        line.categories[0]: line.scores
        for line in transfer_table(folder, [evaluation, bfcl]).lines
        if line.categories
    }
    ours, theirs = str(evaluation), str(bfcl)
    # The mean of two categories is over their tasks.
    assert lines["simple_python"] == {ours: 1.0, theirs: pytest.approx(0.6)}
    assert lines["parallel"] == {ours: 1.0, theirs: None}
    assert lines["multi_turn_base"] == lines["telecom"] == {ours: None, theirs: None}
    capsys.readouterr()
    for form in ("text", "markdown"):
        shown = ["evaluate", "transfer", folder, evaluation, bfcl, "--table", form]
        assert run_command(list(map(str, shown))) == 0
        printed = capsys.readouterr().out
        assert "0.600" in printed and "2 of which resemble no category" in printed
        assert "- bfcl multi_turn_miss_func: --actions" in printed
    assert run_command(["evaluate", "transfer", str(folder), str(bfcl), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["arenas"] == 9


def test_an_evaluation_of_other_arenas_is_refused(folder: Path, tmp_path: Path) -> None:
    (question, *_) = good_arenas().values()
    other = write_arena_run(tmp_path / "other", [changed(question, question="Which one?")])
    evaluation = str(tmp_path / "eval")
    arguments = ["evaluate", "arenas", str(other), "--policy", "gold", "--split", "all"]
    assert run_command([*arguments, "--out", evaluation]) == 0
    with pytest.raises(ConfigError, match="no scored episode of these arenas"):
        transfer_table(folder, [evaluation])


def test_a_benchmark_that_is_not_finished_has_no_scores(folder: Path, tmp_path: Path) -> None:
    run: Any = RunFolder.open(benchmark_run(tmp_path / "bfcl", simple_python=(1, 1.0)))
    (run.path / REPORT).unlink()
    with pytest.raises(ConfigError, match="holds no finished evaluation"):
        transfer_table(folder, [run.path])
