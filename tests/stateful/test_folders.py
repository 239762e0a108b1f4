"""Run folders of arenas with a state: written, read, changed by hand, exported, imported."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from astra.arenas.formats.rows import from_row, to_row
from astra.arenas.paraphrase import estimate_paraphrase
from astra.arenas.sets import ArenaSet
from astra.cli.main import run
from astra.configs.arenas import ParaphraseArenasConfig
from astra.errors import ConfigError, Rejected, StoreError
from tests.support.desk import DATABASE, desk_arena

ARENA = desk_arena()
OTHER = ARENA.model_copy(
    update={"question": ARENA.question + " Thank you.", "split": "test"}
).with_content_id()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return ArenaSet.of([ARENA, OTHER], tmp_path / "run").path


def rows(path: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (path / name).read_text().splitlines()]


def test_a_database_is_stored_once_and_read_with_each_arena(folder: Path) -> None:
    assert [row["id"] for row in rows(folder, "databases.jsonl")] == [DATABASE.id]
    assert {row["state"]["database"] for row in rows(folder, "arenas.jsonl")} == {DATABASE.id}
    assert list(ArenaSet(folder, uncertified=True)) == [ARENA, OTHER]


def test_parts_of_a_set_bring_their_database(folder: Path, tmp_path: Path) -> None:
    arenas = ArenaSet(folder, uncertified=True)
    assert list(arenas.split("test")) == [OTHER]
    kept = arenas.filter(lambda arena: arena.state is not None and arena.split == "train")
    saved = kept.save(tmp_path / "saved")
    assert list(ArenaSet(saved.path, uncertified=True)) == [ARENA]
    assert len(rows(saved.path, "databases.jsonl")) == 1
    assert list(ArenaSet.of([ARENA])) == [ARENA]  # a temporary folder


@pytest.mark.parametrize("mode", ["random", "banded", "none"])
def test_tools_over_a_database_are_shown_by_no_other_arena(folder: Path, mode: Any) -> None:
    assert rows(folder, "tools.jsonl") == []
    assert list(ArenaSet(folder, uncertified=True).with_distractors(mode)) == [ARENA, OTHER]


def damage(path: Path, kind: str) -> None:
    file = path / "databases.jsonl"
    text = file.read_text()
    match kind:
        case "missing":
            file.unlink()
        case "empty":
            file.write_text("")
        case "a cell":
            file.write_text(text.replace("Quay", "Key"))
        case "the id":
            file.write_text(text.replace(DATABASE.id, "0" * 16))
        case _:
            file.write_text(text[: len(text) // 2])


@pytest.mark.parametrize("kind", ["missing", "empty", "a cell", "the id", "cut off"])
def test_a_damaged_database_is_told(
    folder: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(folder, kind)
    with pytest.raises(StoreError, match="databases"):
        list(ArenaSet(folder, uncertified=True))
    assert run(["arenas", "show", str(folder), ARENA.id]) != 0
    assert "databases.jsonl" in capsys.readouterr().err
    assert run(["arenas", "certify", str(folder), "--json"]) != 0
    assert "databases" in capsys.readouterr().out


def test_rows_of_the_published_layout_keep_the_state() -> None:
    row = to_row(ARENA)
    assert from_row(json.loads(json.dumps(row))) == ARENA
    changed = json.loads(row["astra"])
    changed["arena"]["state"]["database"]["tables"][0]["rows"][0][1] = "Eve"
    read = from_row({**row, "astra": json.dumps(changed)})
    assert read.with_content_id().id != ARENA.id
    changed["arena"]["state"]["now"] = "tomorrow"
    with pytest.raises(Rejected, match="holds no arena"):
        from_row({**row, "astra": json.dumps(changed)})


def test_gold_rows_are_played(folder: Path, tmp_path: Path) -> None:
    out = ArenaSet(folder, uncertified=True).export(tmp_path / "sft.jsonl")
    first = json.loads(out.read_text().splitlines()[0])
    assert first["arena"] == ARENA.id
    assert first["messages"][-1]["content"] == (
        "I changed the address of Ada Brook's shipped order to 9 Pier Walk. "
        "I cancelled Ada Brook's pending order."
    )
    assert first["messages"][0]["content"].startswith("It is Monday, 2026-03-02 09:00.")
    answers = [m["content"] for m in first["messages"] if m["role"] == "tool"]
    assert json.loads(answers[-1])["previous"] == "pending"


def test_paraphrase_refuses_them_with_the_reason(folder: Path) -> None:
    config = ParaphraseArenasConfig(
        folder, teacher="x", teacher_url="http://127.0.0.1:1", uncertified=True
    )
    with pytest.raises(ConfigError, match="changes of a database"):
        estimate_paraphrase(config)


def shown(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    assert run(list(command)) == 0
    return re.sub(r"\s+", " ", capsys.readouterr().out)


def test_show_tells_what_must_change_and_which_tools_write(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = shown(capsys, "arenas", "show", str(folder), ARENA.id)
    assert "orders O-2002: address 1 Quay Road -> 9 Pier Walk" in text
    assert "orders O-2001: status pending -> cancelled" in text
    assert "reads find_customers" in text and "writes orders cancel_order" in text
    assert "2026-03-02 09:00" in text


def test_play_shows_changes_waste_and_damage(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = [
        "cancel_order order_id=O-2001",
        "cancel_order order_id=O-2001",
        "cancel_order order_id=O-2003",
        "answer done",
    ]
    monkeypatch.setattr("astra.cli.arenas_play._read_line", lambda: typed.pop(0))
    text = shown(capsys, "arenas", "play", str(folder), ARENA.id, "--uncertified")
    assert "changed: orders O-2001: status pending -> cancelled" in text
    assert "a goal is solved" in text and "1 of them helped nothing" in text
    assert "changed: orders O-2003" in text
    assert text.count("1 rows changed that nobody asked for") == 2  # after the call, and at last
    assert "F1 0.000" in text


def test_stats_count_kinds_of_tasks(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    provenance = {**ARENA.provenance, "kinds": ["update", "bulk"]}
    arena = ARENA.model_copy(update={"provenance": provenance}).with_content_id()
    path = ArenaSet.of([arena, OTHER], folder.parent / "kinds").path
    report = json.loads(shown(capsys, "arenas", "stats", str(path), "--json"))
    assert report["tasks"] == {"bulk": 1, "unknown": 1, "update": 1}
