"""Arenas whose tools change a database train as others do: gold rows, SFT, RL, credit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from astra.arenas.sets import ArenaSet
from astra.cli.main import run
from tests.support.desk import desk_arena

ARENA = desk_arena()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the desk, as if for training and for testing."""
    folder = tmp_path_factory.mktemp("desk") / "run"
    test = ARENA.model_copy(update={"split": "test", "provenance": {"source": "hand", "key": "b"}})
    ArenaSet.of([ARENA, test.with_content_id()], folder)
    return folder


def test_rl_takes_a_step(desk: Path, model: Path, tmp_path: Path) -> None:
    options = ["--batch-size", "1", "--group-size", "4", "--max-turns", "3", "--max-tokens", "20"]
    options += ["--max-steps", "1", "--preset", "nano", "--uncertified", "--min-reward-std", "0"]
    options += ["--max-sampling-rounds", "1", "--max-length", "4000"]
    where = ["--arenas", str(desk), "--model", str(model), "--out", str(tmp_path / "rl")]
    assert run(["train", "rl", *where, *options, "--algorithm", "acpo", "--json"]) == 0
    (row,) = [json.loads(x) for x in (tmp_path / "rl" / "metrics.jsonl").read_text().splitlines()]
    assert row["step"] == 1 and row["calls"] >= 0 and row["f1"] == 0


def test_gold_rows_of_the_desk(desk: Path, tmp_path: Path) -> None:
    rows = ArenaSet(desk, uncertified=True).split("train").export(tmp_path / "sft.jsonl")
    (row,) = [json.loads(line) for line in rows.read_text("utf-8").splitlines()]
    called = [
        call["function"]["name"]
        for message in row["messages"]
        for call in message.get("tool_calls", ())
    ]
    assert called == ["find_customers", "list_orders", "change_order_address", "cancel_order"]
    assert row["messages"][-1]["role"] == "assistant" and row["messages"][-1]["content"]
