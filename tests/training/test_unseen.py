"""RL on the arenas that SFT has not seen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from astra.arenas.sets import ArenaSet
from astra.configs.training import TrainRLConfig
from astra.errors import ConfigError
from astra.training.rl.arenas import unseen
from astra.training.rl.train import open_environment
from tests.support.fakes import toy_arena

ARENAS = ArenaSet.of([toy_arena(hops).model_copy(update={"split": "train"}) for hops in (1, 2, 3)])
FIRST, SECOND, THIRD = (arena.id for arena in ARENAS)


def rows_of(path: Path, shown: Sequence[str]) -> Path:
    path.write_text("".join(json.dumps({"arena": id, "messages": []}) + "\n" for id in shown))
    return path


def test_arenas_that_the_rows_show_are_left_out(tmp_path: Path) -> None:
    rows = rows_of(tmp_path / "sft.jsonl", [SECOND, SECOND, "another folder's"])
    assert [arena.id for arena in unseen(ARENAS, rows)] == [FIRST, THIRD]


def test_the_option_reaches_the_environment(tmp_path: Path) -> None:
    rows = rows_of(tmp_path / "sft.jsonl", [FIRST, THIRD])
    config = TrainRLConfig(
        model="m", arenas=ARENAS, out=tmp_path / "rl", exclude_rows=rows, uncertified=True
    )
    assert open_environment(config).tasks() == [SECOND]


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        (["of another folder"], "shows none of the arenas"),
        ([FIRST, SECOND, THIRD], "shows all 3 arenas .* export fewer"),
    ],
)
def test_rows_that_leave_out_nothing_or_everything_are_refused(
    tmp_path: Path, shown: list[str], why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        unseen(ARENAS, rows_of(tmp_path / "sft.jsonl", shown))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"messages": []}\n', "row at byte 0 has no `arena`"),
        ('{"arena": "a"}\n["a"]\n', "row at byte 15 has no `arena`"),
        ('{"arena": 7}\n', "row at byte 0 has no `arena`"),
        ("not JSON\n", "not JSONL"),
    ],
)
def test_files_that_are_no_rows_of_sft_are_refused(tmp_path: Path, text: str, why: str) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(text)
    with pytest.raises(ConfigError, match=why):
        unseen(ARENAS, rows)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"exclude_rows .*gone.jsonl.*can't read it"):
        unseen(ARENAS, tmp_path / "gone.jsonl")


def test_an_environment_of_ones_own_knows_no_rows(tmp_path: Path) -> None:
    class Own:
        def tasks(self) -> list[str]:
            return ["a"]

        async def play(self, task: str, model: Any, *, seed: int, epoch: int) -> Any: ...

    config = TrainRLConfig(
        model="m", arenas=Own(), out=tmp_path, exclude_rows=tmp_path / "rows.jsonl"
    )
    with pytest.raises(ConfigError, match="is for arenas"):
        open_environment(config)
