"""What arenas show beside their own tools: the folder's distractors, or new ones every epoch."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from astra.arenas.sets import ArenaSet, load_arenas
from astra.configs.evaluation import EvaluateConfig
from astra.errors import StoreError
from astra.runs.folder import RunFolder
from astra.runs.opening import open_run
from astra.types import Arena, Tool
from tests.support.arenas import write_arena_run
from tests.support.fakes import toy_arena, toy_tool


def tool(number: int) -> Tool:
    return toy_tool(f"get_{number}").model_copy(update={"domain": f"d{number}"})


ARENAS: list[Arena] = [
    toy_arena(1, domain=f"d{i}", tools=(tool(i),), split="train" if i < 14 else "test")
    for i in range(18)
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_arena_run(tmp_path_factory.mktemp("world") / "run", ARENAS)


def show(world: Path, mode: Any, *, seed: int = 0, split: Any = "train") -> ArenaSet:
    return load_arenas(world, split).with_distractors(mode, seed=seed)


def test_a_set_becomes_a_hugging_face_dataset(world: Path) -> None:
    arenas = show(world, "banded", split=None)
    dataset = arenas.to_dataset()
    assert dataset.column_names == [*arenas.to_pandas().columns, "arena"]
    assert len(dataset) == len(arenas) == 18
    for row, arena in zip(dataset, arenas, strict=True):
        assert Arena.model_validate_json(row["arena"]) == arena
        assert (row["id"], row["answer"], row["split"]) == (
            arena.id,
            str(arena.answer),
            arena.split,
        )
        assert row["distractors"] == [tool.name for tool in arena.distractors] != []
    assert dataset.filter(lambda row: row["split"] == "test").num_rows == 4


def names(arenas: ArenaSet, epoch: int) -> list[list[str]]:
    return [[t.name for t in arenas.in_epoch(one, epoch).distractors] for one in arenas.ids]


def test_every_epoch_draws_anew_and_a_seed_the_same(world: Path) -> None:
    first = show(world, "random")
    assert names(first, 0) == names(show(world, "random"), 0)
    assert names(first, 0) != names(first, 1)
    assert names(first, 0) != names(show(world, "random", seed=1), 0)
    assert all(5 <= len(drawn) <= 9 for drawn in names(first, 0))


@pytest.mark.parametrize("mode", ["random", "banded"])
def test_train_arenas_show_no_tool_of_a_test_arena(world: Path, mode: str) -> None:
    trained = show(world, mode)
    tested = {f"get_{i}" for i in range(14, 18)}
    for epoch in range(10):
        for own, drawn in zip(trained, names(trained, epoch), strict=True):
            assert drawn and not tested & set(drawn)
            assert own.tools[0].name not in drawn
    seen = {
        name
        for epoch in range(5)
        for d in names(show(world, mode, split="test"), epoch)
        for name in d
    }
    assert seen & tested


def test_arenas_keep_their_ids_and_fixed_what_the_folder_has(world: Path) -> None:
    for mode in ("stored", "none", "random"):
        shown = show(world, mode)
        for arena_id in shown.ids:
            arena = shown.in_epoch(arena_id, 3)
            assert arena.id == arena_id
            assert bool(arena.distractors) == (mode == "random")


def test_as_many_are_drawn_per_band_as_the_folder_was_made_with(
    world: Path, tmp_path: Path
) -> None:
    few = RunFolder.create(tmp_path / "few", {"distractors_per_band": 1})
    for name in ("arenas.jsonl", "tools.jsonl", "certificates.jsonl"):
        (few.path / name).write_bytes((world / name).read_bytes())
    drawn = names(show(few.path, "random"), 0)
    assert {2, 3} == set(map(len, drawn))
    more = load_arenas(few.path, "train").with_distractors("random", per_band=3)
    assert max(map(len, names(more, 0))) > 3


# --- temporary folders ------------------------------------------------------------------------


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_set_in_memory_leaves_no_folder_when_its_arenas_fail(temporary: Path) -> None:
    def failing() -> Iterator[Arena]:
        yield ARENAS[0]
        raise KeyError("the next arena")

    with pytest.raises(KeyError):
        ArenaSet.of(failing())
    assert [*temporary.iterdir()] == []


def test_a_set_in_memory_leaves_no_folder_when_it_can_not_be_written(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StoreError("no space left on the device")

    monkeypatch.setattr(RunFolder, "replace", full)
    with pytest.raises(StoreError):
        ArenaSet.of(ARENAS[:2])
    with pytest.raises(StoreError):
        open_run(EvaluateConfig(arenas="a", model="m"), None)
    assert [*temporary.iterdir()] == []


def test_a_set_in_memory_keeps_its_folder_as_long_as_it_lives(temporary: Path) -> None:
    arenas = ArenaSet.of(ARENAS[:2])
    assert [arena.id for arena in arenas] == [arena.id for arena in ARENAS[:2]]
    del arenas
    gc.collect()
    assert [*temporary.iterdir()] == []
