"""Arenas without a good certificate are not used, wherever arenas are read from a folder."""

from __future__ import annotations

import io
import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import astra
from astra.arenas.certificates import VERSION, defect_of
from astra.arenas.sets import ArenaSet, load_arenas
from astra.cli.main import run
from astra.errors import StoreError
from astra.runs.folder import RunFolder
from astra.runs.jsonl import to_line
from astra.types import Arena
from tests.support.arenas import changed, good_arenas, stamped, write_arena_run

ARENAS = list(good_arenas().values())


def rewrite(folder: Path, *, keep: Callable[[dict[str, Any]], object]) -> None:
    """Change the rows of certificates.jsonl; a row for which `keep` is false is dropped."""
    path = folder / "certificates.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows if keep(row)))


def dropped(row: dict[str, Any]) -> object:
    return row["arena"] != ARENAS[1].id


def failed(row: dict[str, Any]) -> object:
    if row["arena"] == ARENAS[1].id:
        row["certified"] = False
        row["checks"][3]["passed"] = False
    return True


def half_failed(row: dict[str, Any]) -> object:
    """A failed check beside a word that all is well."""
    if row["arena"] == ARENAS[1].id:
        row["checks"][3]["passed"] = False
    return True


def unchecked(row: dict[str, Any]) -> object:
    if row["arena"] == ARENAS[1].id:
        row["checks"] = []
    return True


def outdated(row: dict[str, Any]) -> object:
    if row["arena"] == ARENAS[1].id:
        row["version"] = "0"
    return True


DEFECTS = [
    (dropped, "1 without a certificate"),
    (failed, "1 that failed a check"),
    (half_failed, "1 that failed a check"),
    (unchecked, "1 that failed a check"),
    (outdated, "1 examined by version '0' of the checks, which is"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_arena_run(tmp_path / "run", ARENAS)


@pytest.mark.parametrize(("defect", "said"), DEFECTS)
def test_a_bad_certificate_is_counted_with_its_reason_and_the_fix(
    folder: Path, defect: Any, said: str
) -> None:
    assert len(load_arenas(folder)) == 5
    rewrite(folder, keep=defect)
    with pytest.raises(StoreError) as refused:
        load_arenas(folder)
    message = str(refused.value)
    assert message.startswith("1 of 5 arenas of ") and said in message
    assert repr(ARENAS[1].id) in message
    assert f"astra arenas certify {folder} --write" in message and "uncertified" in message
    # Nobody reads past the certificate, not even one by one.
    lazy = ArenaSet(folder)
    assert lazy[0] == ARENAS[0]
    for read in (lambda: lazy[1], lambda: list(lazy), lambda: lazy.find(ARENAS[1].id)):
        with pytest.raises(StoreError, match="arena"):
            read()
    assert list(load_arenas(folder, uncertified=True)) == ARENAS
    assert list(lazy.certified()) == [ARENAS[0], *ARENAS[2:]]
    lazy.certified().save(folder.parent / "clean")
    assert len(load_arenas(folder.parent / "clean")) == 4


@pytest.mark.parametrize("value", [1, "true", None, "missing"])
def test_certified_is_nothing_but_true(value: Any) -> None:
    row = stamped(ARENAS[0]).model_dump(mode="json")
    assert defect_of(row) == ""
    if value == "missing":
        del row["certified"]
    else:
        row["certified"] = value
    assert "failed" in defect_of(row)
    assert defect_of({"certified": True, "checks": "all", "version": VERSION})


def test_an_arena_changed_by_hand_under_its_new_hash_is_not_played(folder: Path) -> None:
    lie = changed(ARENAS[0], question="What is the capital of Norway?")
    run_folder = RunFolder.open(folder)
    rows = [to_line(arena.row()) for arena in (lie, *ARENAS[1:])]
    run_folder.replace("arenas.jsonl", rows)
    with pytest.raises(StoreError, match=r"1 of 5 arenas .*1 without a certificate"):
        load_arenas(folder)
    # With its old certificate renamed as well it has one, which is forged: see guarantees.md.
    assert load_arenas(folder, uncertified=True)[0] == lie


def _arguments(folder: Path, out: Path) -> dict[str, list[str]]:
    run, arena = str(folder), ARENAS[1].id
    teacher = ["--teacher", "none", "--teacher-url", "http://127.0.0.1:9/v1", "--dry-run"]
    return {
        "evaluate": [
            *("evaluate", "arenas", run, "--policy", "gold", "--split", "all"),
            *("--out", str(out)),
        ],
        "train": [
            *("train", "rl", "--model", run, "--preset", "nano", "--micro-batch-size", "1"),
            *("--arenas", run, "--out", str(out)),
        ],
        "agreement": ["credit", "agreement", run, "--model", run, "--split", "all"],
        "export": ["arenas", "export", run, "--out", str(out)],
        "gold": ["arenas", "export", run, "--format", "sft", "--out", str(out)],
        "paraphrase": ["arenas", "paraphrase", run, "--out", str(out), *teacher],
        "play": ["arenas", "play", run, arena],
    }


@pytest.mark.parametrize("command", _arguments(Path(), Path()))
def test_every_command_that_uses_arenas_looks_at_certificates(
    folder: Path,
    tmp_path: Path,
    command: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rewrite(folder, keep=dropped)
    monkeypatch.setattr(sys, "stdin", io.StringIO("quit\n"))
    out = tmp_path / "out"
    line = _arguments(folder, out)[command]
    assert run(line) == 2
    said = capsys.readouterr().err
    assert "without a certificate" in said and "--uncertified" in said
    assert not (out / "episodes.jsonl").exists() and not out.is_file()
    # With the option the command goes on, to where a model that is none, or nothing, stops it.
    run([*line, "--uncertified"])
    assert "without a certificate" not in capsys.readouterr().err


def test_sets_in_memory_are_the_callers_own_and_folders_of_them_are_not(tmp_path: Path) -> None:
    made = astra.ArenaSet.of(ARENAS, tmp_path / "made")
    made.require_certificates()
    assert list(made[1:].filter(lambda arena: arena.hops > 0)) == ARENAS[1:]
    assert list(pickle.loads(pickle.dumps(made))) == ARENAS
    with pytest.raises(StoreError, match="5 of 5 arenas"):
        astra.load_arenas(made.path)
    report = astra.evaluate(made, policy="gold", split="all")
    assert report.f1 is not None and report.f1.mean == 1.0


def test_rollout_groups_read_no_uncertified_arena(folder: Path) -> None:
    rewrite(folder, keep=dropped)
    gold: dict[str, Arena] = {}
    played: list[str] = []
    with pytest.raises(StoreError, match="without a certificate"):
        for arena in ArenaSet(folder):
            gold[arena.id] = arena
            for group in astra.rollout_groups([arena], astra.reference_policy("gold", arena)):
                played.append(group[0].arena or "")
    assert played == [ARENAS[0].id]


def test_drawn_distractors_do_not_lift_the_requirement(folder: Path) -> None:
    rewrite(folder, keep=dropped)
    drawn = ArenaSet(folder).with_distractors("random")
    with pytest.raises(StoreError, match="1 of 5"):
        drawn.require_certificates()
    with pytest.raises(StoreError, match="without a certificate"):
        drawn.in_epoch(ARENAS[1].id, 3)


def test_certify_write_makes_a_folder_usable(folder: Path) -> None:
    (folder / "certificates.jsonl").unlink()
    with pytest.raises(StoreError, match="5 of 5"):
        load_arenas(folder)
    assert run(["arenas", "certify", str(folder), "--write"]) == 0
    assert list(load_arenas(folder)) == ARENAS
