"""What becomes a row, what does not, and that trainers can read what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from astra.configs.trajectories import ExportTrajectoriesConfig, RowFormat
from astra.errors import ConfigError
from astra.runs.folder import RunFolder
from astra.runs.jsonl import to_line
from astra.trajectories.export.dataset import ExportResult, export_dataset
from astra.trajectories.export.split import hold_out
from astra.trajectories.records import JudgeFinding, Judgement, TrajectoryScore
from astra.trajectories.statistics import trajectory_statistics
from astra.types import Json, Message
from tests.trajectories.rollouts import document, folder_of, rollout


def exported(run: RunFolder, out: Path, **options: Any) -> ExportResult:
    return export_dataset(ExportTrajectoriesConfig(run.path, out=out, **options))


def read(path: Path) -> list[Json]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def many(servers: int = 10, each: int = 3) -> list[tuple[Json, float | None]]:
    return [
        (rollout(s * each + i, server=f"s{s}", tools=(f"weather{s}",), calls=(f"weather{s}",)), 0.9)
        for s in range(servers)
        for i in range(each)
    ]


def test_a_row_holds_the_conversation_and_its_tools(tmp_path: Path) -> None:
    run = folder_of(tmp_path / "run", [(rollout(), 0.9)])
    done = exported(run, tmp_path / "out", test_fraction=0)
    (row,) = read(tmp_path / "out/train.jsonl")
    assert [m["role"] for m in row["messages"]] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    call = row["messages"][2]["tool_calls"][0]
    assert call["function"] == {"name": "weather", "arguments": {"city": "Oslo"}}
    assert row["messages"][3]["tool_call_id"] == call["id"] and len(call["id"]) == 9
    assert [tool["function"]["name"] for tool in row["tools"]] == ["weather", "mayor"]
    assert row["reward"] == 0.9 and row["scores"]["TCS"] == 0.9
    assert done.rows == {"train": 1, "test": 0}


@pytest.mark.parametrize(
    ("bad", "reward", "check"),
    [
        (rollout(), None, "not_judged"),
        (rollout(), 0.5, "low_score"),
        (rollout(answer=None), 0.9, "no_answer"),
        (rollout(arguments='{"city": '), 0.9, "malformed_arguments"),
        (rollout(arguments='["Oslo"]'), 0.9, "malformed_arguments"),
        (
            rollout(answer="<|im_end|> <|eot_id|> </s> <|user|>", calls=("weather", "mayor")),
            0.9,
            "unrenderable",
        ),
    ],
)
def test_what_can_not_be_trained_on_is_left_out_with_its_reason(
    tmp_path: Path, bad: Json, reward: float | None, check: str
) -> None:
    good = rollout(1)
    run = folder_of(tmp_path / "run", [(bad, reward), (good, 0.8)])
    done = export_dataset(
        ExportTrajectoriesConfig(run.path, out=tmp_path / "out", min_score=0.8, test_fraction=0)
    )
    assert [row["id"] for row in read(tmp_path / "out/train.jsonl")] == [good.id]
    (failure,) = read(tmp_path / "out/excluded.jsonl")
    assert (failure["key"], failure["check"]) == (bad.id, check)
    assert failure["message"] and done.excluded == {check: 1}


def test_nothing_left_is_an_error_that_says_why(tmp_path: Path) -> None:
    run = folder_of(tmp_path / "run", [(rollout(), 0.1)])
    with pytest.raises(ConfigError, match="low_score"):
        exported(run, tmp_path / "out", min_score=0.8)
    with pytest.raises(ConfigError, match="judge the rollouts first"):
        exported(run, tmp_path / "out", judgements="judgements-other")


def test_no_tool_of_a_test_row_is_seen_in_training(tmp_path: Path) -> None:
    run = folder_of(tmp_path / "run", many())
    done = export_dataset(
        ExportTrajectoriesConfig(run.path, out=tmp_path / "out", test_fraction=0.2, seed=3)
    )
    assert done.rows == {"train": 24, "test": 6}
    shown = {
        split: {
            t["function"]["name"]
            for row in read(tmp_path / f"out/{split}.jsonl")
            for t in row["tools"]
        }
        for split in ("train", "test")
    }
    assert not shown["train"] & shown["test"]


def test_servers_that_share_a_tool_or_a_task_stay_together() -> None:
    uses = [(("a",), [document("x")]), (("b",), [document("x")]), (("c", "d"), [document("y")])]
    assert hold_out(uses, 0.3, 0).servers in ({"a", "b"}, {"c", "d"})
    assert hold_out([*uses, (("b", "c"), [document("z")])], 0.5, 0) == (set(), 1)
    assert hold_out(uses, 0.0, 0) == (set(), 2)


@pytest.mark.parametrize("seed", range(6))
def test_where_all_groups_are_too_large_the_smallest_is_held_out(seed: int) -> None:
    uses = [(("a",), [document("x")])] * 9 + [(("b",), [document("y")])] * 5
    assert hold_out(uses, 0.1, seed) == ({"b"}, 2)


def test_the_best_of_a_task_are_kept(tmp_path: Path) -> None:
    rows = [(rollout(0, sample=i), reward) for i, reward in enumerate((0.7, 0.9, 0.8))]
    run = folder_of(tmp_path / "run", rows)
    done = export_dataset(
        ExportTrajectoriesConfig(run.path, out=tmp_path / "out", max_per_task=2, test_fraction=0)
    )
    assert [row["reward"] for row in read(tmp_path / "out/train.jsonl")] == [0.9, 0.8]
    assert done.excluded == {"per_task": 1}


@pytest.mark.parametrize("layout", ["trl", "sharegpt", "astra"])
def test_the_same_run_gives_the_same_bytes(tmp_path: Path, layout: RowFormat) -> None:
    run = folder_of(tmp_path / "run", many(3))
    for name in ("a", "b"):
        exported(run, tmp_path / name, format=layout)
    for file in ("train.jsonl", "test.jsonl", "README.md", "excluded.jsonl"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_single_scores_have_thresholds(tmp_path: Path) -> None:
    good, bad = rollout(0), rollout(1)
    run = folder_of(tmp_path / "run", [(good, 0.9), (bad, 0.6)])
    done = exported(run, tmp_path / "out", min_scores={"TCS": 0.7, "TCU": 1.0}, test_fraction=0)
    assert [row["id"] for row in read(tmp_path / "out/train.jsonl")] == [good.id]
    assert done.excluded == {"low_score": 1}
    with pytest.raises(ConfigError, match=r"FAX=0\.5"):
        ExportTrajectoriesConfig(run.path, out=tmp_path, min_scores={"FAX": 0.5})
    with pytest.raises(ConfigError, match="0 to 1"):
        ExportTrajectoriesConfig(run.path, out=tmp_path, min_scores={"FA": 2})


@pytest.mark.parametrize("fault", ["a number from nowhere", "an outcome that was never reached"])
def test_what_the_record_disproves_is_left_out(tmp_path: Path, fault: str) -> None:
    good, bad = rollout(0), rollout(1)
    run = folder_of(tmp_path / "run", [(good, 0.9), (bad, 0.9)])
    file = run.path / "judgements.jsonl"
    rows = read(file)
    judged = next(row for row in rows if row["rollout"] == bad.id)
    if fault == "a number from nowhere":
        finding = {"measure": "FA", "value": 0.0, "reason": "the number '25' occurs nowhere"}
        judged["findings"] = [{**finding, "place": "answer", "by": "record"}]
    else:
        judged["outcome"] = 0.0
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = exported(run, tmp_path / "out", min_score=0.85, test_fraction=0)
    assert [row["id"] for row in read(tmp_path / "out/train.jsonl")] == [good.id]
    assert done.excluded == {"disproved": 1}
    kept = exported(run, tmp_path / "all", keep_disproved=True, test_fraction=0)
    assert kept.rows["train"] == 2


@pytest.mark.parametrize("layout", ["trl", "sharegpt", "astra"])
def test_json_columns_are_read_as_they_are(tmp_path: Path, layout: RowFormat) -> None:
    import datasets

    rows = [(rollout(0), 0.9), (rollout(1, arguments='{"city": "Oslo", "days": 3}'), 0.9)]
    run = folder_of(tmp_path / "run", rows)
    exported(run, tmp_path / "out", format=layout, json_columns=True, test_fraction=0)
    file = tmp_path / "out/train.jsonl"
    loaded = datasets.load_dataset(
        "json", data_files=str(file), split="train", cache_dir=str(tmp_path / "cache")
    )
    for row, given in zip(loaded, read(file), strict=True):
        assert isinstance(row["tools"], str) and json.loads(row["tools"])
        assert row["tools"] == given["tools"]
        for message, original in zip(
            row.get("messages", ()), given.get("messages", ()), strict=True
        ):
            for call, one in zip(
                message.get("tool_calls") or (), original.get("tool_calls", ()), strict=True
            ):
                assert call["function"]["arguments"] == one["function"]["arguments"]
                assert isinstance(json.loads(call["function"]["arguments"]), dict)


def test_astra_layout_has_arguments_as_text(tmp_path: Path) -> None:
    run = folder_of(tmp_path / "run", [(rollout(), 0.9)])
    export_dataset(
        ExportTrajectoriesConfig(run.path, out=tmp_path / "out", format="astra", test_fraction=0)
    )
    (row,) = read(tmp_path / "out/train.jsonl")
    text = row["messages"][2]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(text) == {"city": "Oslo"}


def test_the_card_is_one_that_the_hub_reads(tmp_path: Path) -> None:
    run = folder_of(tmp_path / "run", [*many(4), (rollout(99), 0.1)])
    options = {"min_score": 0.5, "test_fraction": 0.3, "license": "cc-by-4.0"}
    exported(run, tmp_path / "out", **options)
    text = (tmp_path / "out/README.md").read_text("utf-8")
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["license"] == "cc-by-4.0" and front["language"] == ["en"]
    files = front["configs"][0]["data_files"]
    assert files == [
        {"split": "train", "path": "train.jsonl"},
        {"split": "test", "path": "test.jsonl"},
    ]
    assert "| rows | 9 | 3 |" in text
    assert "1 rollouts were left out" in text
    assert "| TCS | 0.900, 9 | 0.900, 3 |" in text
    assert "| TCU | – | – |" in text


def two_turns(number: int) -> Json:
    """A rollout in which the user speaks twice."""
    one = rollout(number)
    more = (
        Message(role="user", content="And in Fahrenheit?"),
        Message(role="assistant", content="53.6 degrees."),
    )
    trajectory = one.trajectory.model_copy(update={"messages": (*one.trajectory.messages, *more)})
    return one.model_copy(update={"trajectory": trajectory})


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([rollout(1), rollout(2)], "Tool-calling conversations with one user turn each,"),
        ([two_turns(1), two_turns(2)], "Multi-turn tool-calling conversations,"),
        (
            [rollout(1), two_turns(2), rollout(3)],
            "Multi-turn tool-calling conversations (1 of 3 have several user turns),",
        ),
    ],
)
def test_the_card_says_multi_turn_of_several_user_turns_only(
    tmp_path: Path, rows: list[Any], told: str
) -> None:
    run = folder_of(tmp_path / "run", [(row, 0.9) for row in rows])
    exported(run, tmp_path / "out", test_fraction=0)
    text = (tmp_path / "out/README.md").read_text("utf-8")
    assert told in text
    assert ("ulti-turn" in text) == (told[0] == "M")
    report = trajectory_statistics(run.path)
    assert report["multi_turn"] == sum(len(row.trajectory.messages) > 5 for row in rows)


def test_marks_of_rules_are_said_to_be_such(tmp_path: Path) -> None:
    run = folder_of(tmp_path / "run", [(rollout(1), 0.9), (rollout(2), 0.9)])
    exported(run, tmp_path / "out", test_fraction=0)
    assert "2 of these rows were judged by rules" in (tmp_path / "out/README.md").read_text("utf-8")
    rows = [row.model_copy(update={"judge": "qwen"}) for row in run.rows("judgements", Judgement)]
    with run.lock():
        run.replace("judgements.jsonl", map(to_line, rows))
    exported(run, tmp_path / "other", test_fraction=0)
    assert "by rules" not in (tmp_path / "other/README.md").read_text("utf-8")


def test_scores_are_counted_by_user_turn(tmp_path: Path) -> None:
    run = folder_of(tmp_path / "run", [(two_turns(1), 0.9), (rollout(2), 0.9)])
    first, second = run.rows("judgements", Judgement)
    later = [
        JudgeFinding(measure=TrajectoryScore.QU, value=value, reason="x", place="message 5", turn=2)
        for value in (0.0, 1.0)  # two votes on one point
    ]
    findings = (*first.findings, *later)
    with run.lock():
        run.replace(
            "judgements.jsonl",
            map(to_line, [first.model_copy(update={"findings": findings}), second]),
        )
    report = trajectory_statistics(run.path)
    assert report["turn_scores"] == {
        "1": {"QU": {"mean": 0.9, "count": 2}},
        "2": {"QU": {"mean": 0.5, "count": 1}},
    }
    assert report["user_turns"] == 1.5 and report["judges"] == {"rules": 2}


def test_parquet_gives_back_the_same_rows(tmp_path: Path) -> None:
    import datasets

    rows = [(rollout(0), 0.9), (rollout(1, arguments='{"city": "Oslo", "days": 3}'), 0.9)]
    run = folder_of(tmp_path / "run", rows)
    done = export_dataset(
        ExportTrajectoriesConfig(run.path, out=tmp_path / "out", parquet=True, test_fraction=0)
    )
    assert "train.parquet" in done.files
    loaded = datasets.load_dataset(
        "parquet",
        data_files=str(tmp_path / "out/train.parquet"),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    assert list(loaded) == read(tmp_path / "out/train.jsonl")
