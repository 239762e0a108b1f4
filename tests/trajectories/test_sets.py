"""Trajectories from Python: make, look at, filter, export; and the estimate of a run."""

from __future__ import annotations

import gc
import json
from dataclasses import replace
from pathlib import Path

import pytest

from astra.configs.trajectories import JudgeTrajectoriesConfig
from astra.errors import StoreError
from astra.runs.folder import RunFolder
from astra.runs.jsonl import to_line
from astra.trajectories.estimate import estimate_judging, estimate_trajectories
from astra.trajectories.make import judge_trajectories, make_trajectories
from astra.trajectories.sets import TrajectorySet, load_trajectories

from .services import calendar, config


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    folder = RunFolder.create(tmp_path / "tools", {})
    folder.replace("servers.jsonl", [to_line(calendar())])
    return folder.path


async def test_made_looked_at_filtered_and_exported(tools: Path, tmp_path: Path) -> None:
    options = replace(config(count=4, chain_votes=1), tools=tools)
    made = await make_trajectories(options)
    assert len(made) == made.summary["judged"] == 4 and made.summary["missing"] == 0
    first, last = made[0], made[-1]
    assert made[first.id].rollout == first.rollout and first.id != last.id
    assert [each.id for each in made[1:3]] == [each.id for each in made][1:3]
    with pytest.raises(KeyError, match="no trajectory"):
        made["none"]
    frame = made.to_pandas()
    assert list(frame["reward"]) == [each.reward for each in made]
    best = made.filter(lambda each: each.id == first.id)
    assert isinstance(best, TrajectorySet) and len(best) == 1 and len(made) == 4
    out = best.export(tmp_path / "sft", test_fraction=0)
    rows = [json.loads(line) for line in (out / "train.jsonl").read_text("utf-8").splitlines()]
    assert [row["id"] for row in rows] == [first.id]


async def test_a_temporary_folder_lives_as_long_as_its_set(tools: Path) -> None:
    made = await make_trajectories(replace(config(count=2, chain_votes=1), tools=tools))
    path = made.path
    assert path.exists()
    del made
    gc.collect()
    assert not path.exists()


async def test_judged_again_and_loaded(tools: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    await make_trajectories(replace(config(count=2, chain_votes=1), tools=tools, out=out))
    again = await judge_trajectories(JudgeTrajectoriesConfig(out, teacher="rules"))
    assert again.judgements == "judgements-rules" and again[0].reward is not None
    assert load_trajectories(out)[0].reward == again[0].reward
    with pytest.raises(StoreError, match="no rollouts"):
        load_trajectories(tools)


async def test_an_estimate_grows_with_the_count_and_writes_nothing(
    tools: Path, tmp_path: Path
) -> None:
    options = config(count=10, chain_votes=1, teacher_url="http://127.0.0.1:9")
    few = await estimate_trajectories(replace(options, tools=tools, out=tmp_path / "run"))
    many = await estimate_trajectories(replace(options, tools=tools, count=100))
    assert 5 < many.usage.prompt_tokens / few.usage.prompt_tokens <= 10
    assert many.requests > few.requests > 30 and many.money is None
    assert not (tmp_path / "run").exists()


async def test_the_estimate_of_judging_counts_every_vote(tools: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    await make_trajectories(replace(config(count=2, chain_votes=1), tools=tools, out=out))
    once = await estimate_judging(JudgeTrajectoriesConfig(out, teacher="rules"))
    thrice = await estimate_judging(JudgeTrajectoriesConfig(out, teacher="rules", judge_votes=3))
    assert thrice.requests == 3 * once.requests > 0
