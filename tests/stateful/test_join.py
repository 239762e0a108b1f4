"""Run folders of arenas, with and without a state, are joined into one."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

import astra
from astra.arenas.folder import write_arenas
from astra.arenas.join import join_arenas
from astra.arenas.sets import ArenaSet
from astra.cli.main import run
from astra.configs.arenas import JoinArenasConfig
from astra.errors import ConfigError, StoreError, StoreWarning
from astra.runs.folder import RunFolder
from astra.types import Arena
from tests.support.arenas import good_arenas, stamped, write_arena_run


def _in_split(arena: Arena, split: str) -> Arena:
    return arena.model_copy(update={"split": split}).with_content_id()


def test_arenas_of_both_kinds_are_played_from_one_folder(
    tmp_path: Path, arenas: list[Arena], capsys: pytest.CaptureFixture[str]
) -> None:
    read = list(good_arenas().values())[:2]
    write_arena_run(tmp_path / "read", read)
    ArenaSet.of(arenas[:2], tmp_path / "change")
    command = ["arenas", "join", str(tmp_path / "read"), str(tmp_path / "change"), "--uncertified"]
    assert run([*command, "--out", str(tmp_path / "both"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report["taken"].values()) == [2, 2]
    assert report["left_out"] == {"repeated": 0, "held_out": 0}

    both = ArenaSet(tmp_path / "both", uncertified=True)
    assert list(both) == [*read, *arenas[:2]]
    assert both.certificate(read[0]) == stamped(read[0])
    with pytest.raises(StoreError, match="holds no certificate"):
        both.certificate(arenas[0])
    played = astra.evaluate(both, policy="gold", split="all", uncertified=True)
    assert [episode.score.reward for episode in played.episodes if episode.score] == [1.0] * 4


def test_what_two_folders_share_is_in_once_and_what_one_holds_out_is_not_trained_on(
    tmp_path: Path,
) -> None:
    shared, trained, other = list(good_arenas().values())[2:]
    assert {arena.split for arena in (shared, trained, other)} == {"train"}
    held_out = _in_split(trained, "test")
    write_arena_run(tmp_path / "a", [shared, trained])
    write_arena_run(tmp_path / "b", [shared, held_out, other])
    joined = join_arenas(JoinArenasConfig([tmp_path / "a", tmp_path / "b"], out=tmp_path / "both"))
    assert joined.arenas.ids == [shared.id, held_out.id, other.id]
    assert list(joined.taken.values()) == [1, 2]
    assert (joined.repeated, joined.held_out) == (1, 1)
    assert joined.arenas.certificate(held_out) == stamped(held_out)

    again = JoinArenasConfig([tmp_path / "b", tmp_path / "a"], out=tmp_path / "both")
    with pytest.raises(ConfigError, match="exists: choose another"):
        join_arenas(again)
    first = JoinArenasConfig(again.folders, out=again.out, limit=1, if_exists="overwrite")
    assert join_arenas(first).arenas.ids == [shared.id]


def test_what_cannot_be_joined_is_refused(tmp_path: Path) -> None:
    arenas = list(good_arenas().values())
    first = write_arena_run(tmp_path / "a", arenas[:2])
    second = write_arena_run(tmp_path / "b", arenas[2:], certified=False)
    with pytest.raises(ConfigError, match="two run folders"):
        join_arenas(JoinArenasConfig(first, out=tmp_path / "new"))
    with pytest.raises(ConfigError, match="two run folders"):
        join_arenas(JoinArenasConfig([first, first], out=tmp_path / "new"))
    with pytest.raises(ConfigError, match="one of the folders"):
        join_arenas(JoinArenasConfig([first, second], out=first, if_exists="overwrite"))
    spelled_otherwise = tmp_path / "new" / ".." / "a"
    (tmp_path / "new").mkdir()
    with pytest.raises(ConfigError, match="one of the folders"):
        join_arenas(JoinArenasConfig([first, second], out=spelled_otherwise, if_exists="overwrite"))
    with pytest.raises(ConfigError, match="two run folders"):
        join_arenas(JoinArenasConfig([first, spelled_otherwise], out=tmp_path / "both"))
    (tmp_path / "new").rmdir()
    with pytest.raises(StoreError, match="can't be used: 3 without"):
        join_arenas(JoinArenasConfig([first, second], out=tmp_path / "new"))
    assert not (tmp_path / "new").exists()
    assert ArenaSet(first).ids == [arena.id for arena in arenas[:2]]


def test_folders_of_the_same_tables_with_other_seeds_are_warned_of(tmp_path: Path) -> None:
    arenas = list(good_arenas().values())
    for name, seed, part in (("a", 1, arenas[:2]), ("b", 2, arenas[2:4]), ("c", 1, arenas[4:])):
        made = {"seed": seed, "inputs": {"tables": "hash of the same"}}
        write_arenas(RunFolder.create(tmp_path / name, made), part, (), map(stamped, part))
    one, two, three = (tmp_path / name for name in "abc")
    with pytest.warns(StoreWarning, match="what one holds out, the other may train on"):
        join_arenas(JoinArenasConfig([one, two], out=tmp_path / "both"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", StoreWarning)
        join_arenas(JoinArenasConfig([one, three], out=tmp_path / "same"))
