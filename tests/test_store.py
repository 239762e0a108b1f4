"""Run folders: whole lines, one writer, no drift of options, clear words about damage."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from warnings import catch_warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astra.errors import ConfigError, StoreError, StoreWarning
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow, to_line
from astra.runs.manifest import FORMAT, Manifest, StageCounts
from astra.types import Json, Record, Usage
from tests.support.spoiled_files import huge, pipe


class Row(Record):
    id: str
    value: Json = None


def _write(folder: RunFolder, name: str, rows: list[Row]) -> None:
    with folder.lock(), folder.append(name) as log:
        log.append([to_line(row) for row in rows])


@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
        ),
    ),
)
def test_a_line_reads_back_as_it_was(text: str, value: Json) -> None:
    row = Row(id=text, value=value)
    line = to_line(row)
    assert line.count(b"\n") == 1
    assert Row.model_validate_json(line) == row


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
def test_what_json_cannot_hold_is_no_line(value: Json) -> None:
    with pytest.raises(ValueError):
        to_line(Row(id="x", value=value))


def test_rows_are_appended_and_read_in_order(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", {"count": 3})
    _write(folder, "things", [Row(id="a"), Row(id="b")])
    _write(folder, "things", [Row(id="c", value={"z": 1, "a": "é 中"})])
    rows = list(RunFolder.open(tmp_path / "run").rows("things", Row))
    assert [row.id for row in rows] == ["a", "b", "c"]
    assert list(rows[2].value) == ["z", "a"]
    offset = [offset for offset, _ in folder.values("things")][2]
    assert folder.row_at("things", offset, Row) == rows[2]
    assert list(folder.rows("others", Row)) == []


def _told(pattern: str, expected: bool) -> AbstractContextManager[object]:
    """Within the block there is a warning of that form, or none: one that is not expected fails."""
    return pytest.warns(StoreWarning, match=pattern) if expected else catch_warnings(action="error")


@given(st.integers(0, 100))
def test_an_unfinished_line_is_not_read_and_is_cut_off(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = RunFolder.create(tmp_path_factory.mktemp("x") / "run", {})
    _write(folder, "things", [Row(id=name) for name in "abcd"])
    path = folder.path / "things.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - min(cut, len(whole))])
    rest = path.read_bytes().rpartition(b"\n")[2]
    # A row that lacks its line end alone is whole.
    kept = path.read_bytes().count(b"\n") + rest.endswith(b"}")
    damaged = bool(rest) and not rest.endswith(b"}")
    number = kept + 1
    with _told(rf"things\.jsonl', line {number}: it is cut off after {len(rest)} bytes", damaged):
        assert [row.id for row in folder.rows("things", Row)] == list("abcd")[:kept]
    with _told(rf"things\.jsonl', line {number}: it was cut off .* removed", damaged):
        _write(folder, "things", [Row(id=name) for name in "abcd"[kept:]])
    assert path.read_bytes() == whole


def test_a_long_unfinished_line_is_cut_off(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", {})
    _write(folder, "things", [Row(id="a")])
    path = folder.path / "things.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b"x" * 200_000)
    with _told(r"line 2: it was cut off after 200000 bytes", True):
        _write(folder, "things", [])
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "line",
    [
        b"{not json}\n",
        b"[1]\n",
        b"\n",
        b'{"id": 3}\n',
        b'{"id": "a", "other": 1}\n',
        b"\xff\xfe\n",
        pytest.param(b"[" * 100_000 + b"\n", id="deep"),
    ],
)
def test_a_damaged_line_is_named_with_the_way_out(tmp_path: Path, line: bytes) -> None:
    folder = RunFolder.create(tmp_path / "run", {})
    _write(folder, "things", [Row(id="a")])
    with (folder.path / "things.jsonl").open("ab") as file:
        file.write(line + b'{"id": "b"}\n')
    with pytest.raises(StoreError, match=r"things\.jsonl', line 2.*head -n 1"):
        list(folder.rows("things", Row))


def test_a_number_may_be_lowered_where_that_is_allowed(tmp_path: Path) -> None:
    def opened(**options: int) -> RunFolder:
        return RunFolder.create(tmp_path / "run", options, lowerable=("count",))

    folder = opened(count=12, seed=1)
    with pytest.raises(ConfigError, match="seed was 1"):
        opened(count=6, seed=2)
    assert folder.config()["count"] == 12
    with pytest.warns(StoreWarning, match="count is lowered from 12 to 6. All that is there stays"):
        opened(count=6, seed=1)
    assert folder.config() == {"count": 6, "seed": 1}
    with pytest.raises(ConfigError, match="count was 6 and is now 12"):
        opened(count=12, seed=1)
    with pytest.raises(ConfigError, match="count was 6 and is now 5"):
        RunFolder.create(tmp_path / "run", {"count": 5, "seed": 1})


def test_an_endless_line_is_refused_without_reading_it_all(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", {})
    with (folder.path / "things.jsonl").open("wb") as file:
        file.truncate(2**40)  # sparse
    with pytest.raises(StoreError, match="a line of over"):
        list(folder.rows("things", Row))


def test_links_and_what_is_no_file_are_refused(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", {})
    target = tmp_path / "elsewhere.jsonl"
    target.write_text('{"id": "a"}\n')
    (folder.path / "things.jsonl").symlink_to(target)
    with pytest.raises(StoreError, match="symbolic link"):
        list(folder.rows("things", Row))
    with pytest.raises(StoreError, match="symbolic link"):
        _write(folder, "things", [Row(id="b")])
    assert target.read_text() == '{"id": "a"}\n'
    os.mkfifo(folder.path / "pipe.jsonl")
    (folder.path / "folder.jsonl").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(StoreError, match=f"{name}.jsonl"):
            list(folder.rows(name, Row))


@pytest.mark.parametrize("name", ["../things", "a/b", "", ".x", "A", "a.b", "a\n"])
def test_names_that_would_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match="name a file of rows"):
        list(RunFolder(tmp_path).rows(name, Row))


def test_other_options_are_refused_by_name_and_value(tmp_path: Path) -> None:
    options = {"count": 10, "hops": [1, 5], "model": None, "tables": {"x": {"key": "id"}}}
    RunFolder.create(tmp_path / "run", options)
    assert RunFolder.create(tmp_path / "run", options).config()["hops"] == [1, 5]
    with pytest.raises(ConfigError, match=r"count was 10 and is now 20\. Give the same option"):
        RunFolder.create(tmp_path / "run", {**options, "count": 20})
    with pytest.raises(ConfigError, match=r"tables\.x\.key was 'id' and is now 'not given'"):
        RunFolder.create(tmp_path / "run", {**options, "tables": {}})


def test_secrets_are_never_written(tmp_path: Path) -> None:
    config = {
        "api_key": "sk-1",
        "nested": {"hf-token": "hf_2", "max_tokens": 5},
        "base_url": "https://user:word3@host/v1",
    }
    folder = RunFolder.create(tmp_path / "run", config)
    text = (folder.path / "config.toml").read_text()
    assert not any(secret in text for secret in ("sk-1", "hf_2", "word3"))
    assert folder.config() == {"nested": {"max_tokens": 5}, "base_url": "https://host/v1"}
    RunFolder.create(tmp_path / "run", {**config, "api_key": "sk-other"})


def test_folders_of_something_else_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").write_text("x")
    with pytest.raises(StoreError, match=r"thesis\.doc"):
        RunFolder.create(tmp_path, {})
    with pytest.raises(StoreError, match="is a file"):
        RunFolder.create(tmp_path / "thesis.doc", {})
    with pytest.raises(StoreError, match="not a run folder"):
        RunFolder.open(tmp_path)
    with pytest.raises(StoreError, match="no run folder at"):
        RunFolder.open(tmp_path / "missing")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.doc"]


_HOLDER = """
import sys
from astra.runs.folder import RunFolder
with RunFolder(sys.argv[1]).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_process_writes_at_a_time(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", {})
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(folder.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None and holder.stdin is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StoreError, match="another process is writing"), folder.lock():
            pass
        assert list(folder.rows("things", Row)) == []
        holder.kill()
    with folder.lock(), folder.lock():
        pass


def test_writing_needs_the_lock(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", {})
    with pytest.raises(StoreError, match="take the lock"):
        folder.append("things")


def test_the_manifest_keeps_each_stage(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", {}, seeds={"plan": 7})
    folder.record_stage("arenas", StageCounts(accepted=3, rejected={"leak": 2}))
    folder.record_stage("tasks", StageCounts(seconds=1.5))
    manifest = RunFolder.open(folder.path).manifest()
    assert manifest.seeds == {"plan": 7}
    assert manifest.stages["arenas"].rejected == {"leak": 2}
    assert manifest.stages["tasks"].seconds == 1.5
    assert os.uname().nodename not in manifest.platform


def test_the_manifest_says_what_each_finished_item_cost(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", {})
    folder.record_unit_cost("arena", 4)
    assert folder.manifest().unit_costs == {}  # nothing was used
    usage = Usage(prompt_tokens=100, completion_tokens=50, cached_tokens=20)
    folder.record_stage("first", StageCounts(accepted=8, seconds=3.0, usage=usage))
    assert folder.manifest().unit_cost(0) is None
    free = folder.manifest().unit_cost(4)
    assert free is not None and free.dollars is None  # unknown, which is not 0
    folder.record_stage("second", StageCounts(accepted=4, seconds=1.0, usage=usage, dollars=0.5))
    folder.record_unit_cost("arena", 4)
    cost = folder.manifest().unit_costs["arena"]
    assert (cost.count, cost.prompt_tokens, cost.completion_tokens) == (4, 50.0, 25.0)
    assert (cost.cached_tokens, cost.seconds, cost.dollars) == (10.0, 1.0, 0.125)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": "x"}', '{"version": 1}'])
def test_a_damaged_manifest_is_named(tmp_path: Path, text: str) -> None:
    folder = RunFolder.create(tmp_path / "run", {})
    (folder.path / "manifest.json").write_text(text)
    with pytest.raises(StoreError, match=r"manifest\.json' is damaged"):
        RunFolder.open(folder.path)


def test_a_folder_of_a_later_version_is_refused(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", {})
    later = Manifest(format=FORMAT + 1, version="9.0", python="4", platform="x").model_dump()
    (folder.path / "manifest.json").write_text(json.dumps({**later, "new": 1}))
    with pytest.raises(StoreError, match="later version"):
        RunFolder.open(folder.path)


def test_a_damaged_config_is_named(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", {})
    (folder.path / "config.toml").write_text("= what")
    with pytest.raises(StoreError, match=r"config\.toml' is damaged"):
        RunFolder.create(folder.path, {})


@pytest.mark.parametrize("spoil", [huge, pipe])
@pytest.mark.parametrize("file", ["manifest.json", "config.toml", "report.json", "rows.jsonl"])
def test_files_of_a_stranger_neither_hang_a_reader_nor_fill_the_memory(
    file: str, spoil: Callable[[Path], None], tmp_path: Path
) -> None:
    folder = RunFolder.create(tmp_path / "run", {})
    folder.replace("report.json", [b"{}"])
    spoil(folder.path / file)
    with pytest.raises(StoreError, match=re.escape(repr(str(folder.path / file)))):
        RunFolder.open(folder.path).config()
        folder.read_json("report.json")
        list(folder.values("rows"))


@pytest.mark.parametrize("content", [b"[1]", b"{", b"[" * 100_000, b'"\xff"', b""])
def test_a_file_that_is_not_an_object_is_named(content: bytes, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", {})
    folder.replace("state.json", [b'{"a": 1}'])
    assert folder.read_json("state.json") == {"a": 1}
    folder.replace("state.json", [content])
    with pytest.raises(StoreError, match=r"state\.json' is (damaged|not a JSON object)"):
        folder.read_json("state.json")


def test_a_config_nested_beyond_the_stack_is_named(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", {})
    (folder.path / "config.toml").write_text("a = " + "[" * 100_000)
    with pytest.raises(StoreError, match=r"config\.toml' is damaged"):
        folder.config()


def test_a_full_disk_leaves_whole_lines(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk's end."""
    program = """
import resource, signal, sys
from pathlib import Path
from astra.errors import StoreError
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow, to_line
folder = RunFolder.create(sys.argv[1], {})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
line = to_line(FailureRow(key="k", stage="s", kind="error", message="m" * 250))
with folder.lock(), folder.append("things") as log:
    log.append([line, line])
    try:
        log.append([line, line])
    except StoreError as error:
        print(error)
print((folder.path / "things.jsonl").read_bytes() == line + line)
"""
    out = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "run")], capture_output=True, check=True
    ).stdout.decode()
    assert "can't write" in out and out.endswith("True\n")


def test_failures_leave_out_what_does_not_apply() -> None:
    rejected = FailureRow(key="k", stage="s", kind="rejected", check="leak", message="m")
    assert json.loads(to_line(rejected)) == {
        "key": "k", "stage": "s", "kind": "rejected", "check": "leak", "message": "m"
    }  # fmt: skip
