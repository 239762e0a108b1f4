"""Rows in several files are read, cut, resumed and replaced as if they stood in one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from warnings import catch_warnings, simplefilter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astra.arenas.sets import ArenaSet
from astra.arenas.statistics import arena_statistics
from astra.errors import StoreError, StoreWarning
from astra.exports.publish import publish
from astra.exports.published import PublishedArenas
from astra.exports.registry import FORMATS
from astra.runs import jsonl
from astra.runs.folder import RunFolder
from astra.runs.jsonl import to_line
from astra.runs.shards import shard_files
from astra.types import Record
from astra.viewer.listings import LISTINGS
from astra.viewer.row_index import RowIndex, RowQuery
from tests.support.arenas import good_arenas, write_arena_run

LIMIT = 100


class Row(Record):
    id: int
    text: str = ""


@pytest.fixture(autouse=True)
def short_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "SHARD_BYTES", LIMIT)


def _lines(count: int = 12) -> list[bytes]:
    return [to_line(Row(id=number, text="x" * (number * 7 % 40))) for number in range(count)]


def _written(path: Path, lines: list[bytes], name: str = "rows") -> RunFolder:
    folder = RunFolder.create(path, {})
    with folder.lock(), folder.append(name) as log:
        log.append(lines)
    return folder


def _bytes(folder: RunFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.path.glob("*.jsonl"))}


_SIZES = st.lists(st.integers(1, 150), min_size=1, max_size=30)


@given(_SIZES, st.data())
@settings(max_examples=30, deadline=None)
def test_lines_alone_decide_where_files_end(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], data: st.DataObject
) -> None:
    lines = [to_line(Row(id=n, text="x" * size)) for n, size in enumerate(sizes)]
    folder = _written(tmp_path_factory.mktemp("x") / "run", lines)
    files = [path.read_bytes() for path in shard_files(folder.path, "rows")]
    assert b"".join(files) == b"".join(lines)
    assert all(len(file) <= LIMIT or file.count(b"\n") == 1 for file in files)
    assert folder.manifest().format == (2 if len(files) > 1 else 1)

    other = RunFolder.create(folder.path.parent / "other", {})
    with other.lock(), other.append("rows") as log:
        at = 0
        while at < len(lines):
            size = data.draw(st.integers(1, 5))
            log.append(lines[at : at + size])
            at += size
    assert _bytes(other) == _bytes(folder)

    offsets = [offset for offset, _ in folder.lines("rows")]
    assert offsets == [sum(map(len, lines[:number])) for number in range(len(lines))]
    for number, offset in enumerate(offsets):
        assert folder.row_at("rows", offset, Row).id == number
        assert [line for _, line in folder.lines("rows", start=offset)] == lines[number:]


@given(st.integers(0, sum(map(len, _lines()))))
@settings(max_examples=30, deadline=None)
def test_a_kill_at_any_byte_is_resumed_to_the_same_files(
    tmp_path_factory: pytest.TempPathFactory, kept: int
) -> None:
    folder = _written(tmp_path_factory.mktemp("x") / "run", _lines())
    whole = _bytes(folder)
    assert len(whole) > 3
    at = kept
    for path in shard_files(folder.path, "rows"):
        content = path.read_bytes()
        if at < 0:
            path.unlink()
        else:
            path.write_bytes(content[:at])
        at -= len(content)
    with catch_warnings():
        simplefilter("ignore", StoreWarning)
        rows = list(folder.rows("rows", Row))
        assert [row.id for row in rows] == list(range(len(rows)))
        _written(folder.path, _lines()[len(rows) :])
    assert _bytes(folder) == whole


def test_cutting_leaves_what_was_there_at_that_size(tmp_path: Path) -> None:
    lines = _lines()
    for number in range(len(lines) + 1):
        cut = _written(tmp_path / f"cut-{number}", lines)
        with cut.lock(), cut.append("rows") as log:
            log.cut(sum(map(len, lines[:number])))
            assert b"".join(line for _, line in cut.lines("rows")) == b"".join(lines[:number])
            log.append(lines[number:])
        assert _bytes(cut) == _bytes(_written(tmp_path / f"whole-{number}", lines))


def test_a_reader_goes_on_where_the_writer_did(tmp_path: Path) -> None:
    """Also where the file that it reads was the last one when it began."""
    lines = _lines()
    folder = _written(tmp_path / "run", lines[:1])
    reader = folder.lines("rows")
    seen = [next(reader)[1]]
    _written(folder.path, lines[1:])
    assert seen + [line for _, line in reader] == lines


def test_rows_are_replaced_in_all_files(tmp_path: Path) -> None:
    folder = _written(tmp_path / "run", _lines())
    folder.replace_rows("rows", (line for _, line in folder.lines("rows") if b"x" * 20 in line))
    kept = [line for line in _lines() if b"x" * 20 in line]
    assert _bytes(folder) == _bytes(_written(tmp_path / "kept", kept))
    assert len(_bytes(folder)) < len(_bytes(_written(tmp_path / "all", _lines())))

    def broken() -> Iterator[bytes]:
        yield kept[0]
        raise ValueError

    before = _bytes(folder)
    with pytest.raises(ValueError):
        folder.replace_rows("rows", broken())
    assert _bytes(folder) == before
    assert not (folder.path / ".new-rows").exists()


def test_a_gap_a_torn_end_and_a_link_are_refused(tmp_path: Path) -> None:
    folder = _written(tmp_path / "run", _lines())
    second = folder.path / "rows.00001.jsonl"
    content = second.read_bytes()
    for torn in (content[:-1], content[:-5]):
        second.write_bytes(torn)
        told = r"rows\.00001\.jsonl' does not end with a whole line"
        with catch_warnings(), pytest.raises(StoreError, match=told):
            simplefilter("ignore", StoreWarning)
            list(folder.lines("rows"))
    second.unlink()
    for opened in (RunFolder.open, lambda path: RunFolder.create(path, {})):
        with pytest.raises(StoreError, match=r"holds no 'rows\.00001\.jsonl'"):
            opened(folder.path)
    second.symlink_to("/etc/passwd")
    with pytest.raises(StoreError, match="symbolic link"):
        list(folder.lines("rows"))
    with pytest.raises(StoreError, match="symbolic link"), folder.lock():
        folder.append("rows")


def test_a_planted_link_stops_the_writer_with_nothing_written(tmp_path: Path) -> None:
    lines = _lines()
    folder = _written(tmp_path / "run", lines[:1])
    target = tmp_path / "target"
    target.touch()

    with folder.lock(), folder.append("rows") as log:
        (folder.path / "rows.00001.jsonl").symlink_to(target)
        with pytest.raises(StoreError, match="symbolic link"):
            log.append(lines[1:])
    assert (folder.path / "rows.jsonl").read_bytes() == lines[0]
    assert not target.read_bytes()


def test_damage_is_told_by_the_file_and_its_own_line(tmp_path: Path) -> None:
    folder = _written(tmp_path / "run", _lines())
    files = shard_files(folder.path, "rows")
    lines = files[1].read_bytes().splitlines(keepends=True)
    assert len(lines) > 1
    files[1].write_bytes(lines[0] + b"{not json}\n" + b"".join(lines[2:]))
    told = (
        r"rows\.00001\.jsonl', line 2: .*keep its first 1 lines \(head -n 1\), delete "
        r"rows\.00002\.jsonl, .*, rows\.00005\.jsonl and run"
    )
    with pytest.raises(StoreError, match=told):
        list(folder.rows("rows", Row))


def test_arenas_in_several_files_are_those_in_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arenas = list(good_arenas().values())
    one = write_arena_run(tmp_path / "one", arenas)
    several = write_arena_run(tmp_path / "several", arenas)
    folder = RunFolder(several)
    for name in ("arenas", "tools", "certificates"):
        folder.replace_rows(name, [line for _, line in folder.lines(name)])
        assert len(shard_files(several, name)) > 1
    assert list(ArenaSet(several)) == list(ArenaSet(one)) == arenas
    assert arena_statistics(several) == arena_statistics(one)
    index = RowIndex(folder, next(each for each in LISTINGS if each.name == "arenas"))
    index.refresh(60)
    assert index.state().complete and not index.state().problems
    found = index.find(RowQuery(), start=0, count=100).rows
    assert [row.id for row in found] == [arena.id for arena in arenas]
    assert {row.cells["certificate"] for row in found} == {"certified"}

    export = publish(ArenaSet(several), tmp_path / "published", "trl", FORMATS["trl"])
    assert list(PublishedArenas(export.path).arenas) == arenas
    manifest = json.loads((export.path / "manifest.json").read_text())
    assert "arenas/arenas.00001.jsonl" in manifest["files"]
    (export.path / "arenas" / "arenas.00099.jsonl").touch()
    with pytest.raises(StoreError, match="was not exported"):
        PublishedArenas(export.path)
