"""The reading commands over a run folder of hand-made arenas, the good and the damaged."""

from __future__ import annotations

import io
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from astra.arenas.folder import ToolRow
from astra.arenas.pipeline import ArenaProduction
from astra.arenas.sets import ArenaSet, load_arenas
from astra.arenas.statistics import arena_statistics
from astra.cli.arenas_make import print_production
from astra.cli.arenas_play import spelled_arguments
from astra.cli.main import run
from astra.errors import ConfigError, StoreError
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow, to_line
from astra.runs.manifest import StageCounts
from astra.runs.stage import StageReport
from astra.types import Arena, Record, Tool, Usage, arena_id
from tests.support.arenas import (
    branching_arena,
    calories_tool,
    changed,
    good_arenas,
    inhabitants_tool,
    single_hop_arena,
    stamped,
    with_distractors,
)

HOSTILE = "\x1b[31m[bold]owned[/bold]\x1b]0;title\x07\u202etxt\x9b2J"


def _write(folder: RunFolder, name: str, rows: list[Record]) -> None:
    with folder.lock(), folder.append(name) as log:
        log.append([to_line(row) for row in rows])


def _folder(path: Path, arenas: list[Arena], tools: list[Tool]) -> RunFolder:
    folder = RunFolder.create(path, {"count": len(arenas)}, seeds={"plan": 7})
    _write(folder, "arenas", [arena.row() for arena in arenas])
    _write(
        folder,
        "tools",
        [ToolRow(id=tool.id, tool=tool, arena="x", split="train") for tool in tools],
    )
    _write(folder, "certificates", [stamped(arena) for arena in arenas])
    return folder


def _arenas() -> list[Arena]:
    return [with_distractors(arena, calories_tool()) for arena in good_arenas().values()]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return _folder(tmp_path / "run", _arenas(), [inhabitants_tool(), calories_tool()])


def _json(capsys: pytest.CaptureFixture[str]) -> Any:
    captured = capsys.readouterr()
    return json.loads(captured.out)


def _error(capsys: pytest.CaptureFixture[str]) -> str:
    """What was said on stderr: one line, no trace, and nothing on stdout."""
    captured = capsys.readouterr()
    assert captured.out == "" and "Traceback" not in captured.err
    assert captured.err.count("\n") == 1 and captured.err.startswith("error: ")
    return captured.err


# --- reading arenas ---------------------------------------------------------------------------


def test_arenas_come_with_the_tools_of_their_distractors(folder: RunFolder) -> None:
    arenas = load_arenas(folder.path)
    assert list(arenas) == _arenas()
    assert all(arena.distractors[0].id == calories_tool().id for arena in arenas)
    first = _arenas()[1]
    assert arenas[first.id] == first and first.id in arenas and first in arenas
    assert len(arenas.split("test")) == 0
    with pytest.raises(ConfigError, match="no arenas of split 'test'"):
        load_arenas(folder.path, "test")
    with pytest.raises(KeyError, match="no arena 'ffff'"):
        arenas["ffff"]


def test_a_missing_distractor_is_named(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "run", _arenas(), [inhabitants_tool()])
    with pytest.raises(StoreError, match=f"holds no tool '{calories_tool().id}'"):
        list(load_arenas(folder.path))


def test_a_renamed_distractor_is_refused(tmp_path: Path) -> None:
    arena = _arenas()[0]
    folder = _folder(tmp_path / "run", [], [calories_tool()])
    renamed = arena.row().distractors[0].model_copy(update={"name": "other"})
    row = arena.row().model_copy(update={"distractors": (renamed,)})
    row = row.model_copy(update={"id": arena_id(row.model_dump(mode="json"))})
    _write(folder, "arenas", [row])
    _write(folder, "certificates", [stamped(arena.model_copy(update={"id": row.id}))])
    with pytest.raises(StoreError, match="'other', but it is named 'calories_of_dish'"):
        list(load_arenas(folder.path))


def test_what_was_changed_by_hand_is_not_played(
    folder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    arenas = _arenas()
    arenas[1] = arenas[1].model_copy(update={"question": "What is the capital of Norway?"})
    folder.replace("arenas.jsonl", [to_line(arena.row()) for arena in arenas])
    assert run(["evaluate", "arenas", str(folder.path), "--split", "all", "--policy", "gold"]) == 2
    said = capsys.readouterr().err
    assert f"arena '{arenas[1].id}'" in said and "was changed by hand" in said
    assert load_arenas(folder.path)[0] == arenas[0]
    lie = calories_tool().model_copy(update={"source": "def calories_of_dish(dish): return 1"})
    row = ToolRow(id=calories_tool().id, tool=lie, arena="x", split="train")
    folder.replace("tools.jsonl", [to_line(row)])
    with pytest.raises(StoreError, match=f"tool '{calories_tool().id}' .* was changed by hand"):
        load_arenas(folder.path)[0]


def test_an_arena_is_found_by_the_beginning_of_its_id(folder: RunFolder) -> None:
    arenas = _arenas()
    assert ArenaSet(folder.path).find(arenas[2].id[:8]) == arenas[2]
    with pytest.raises(StoreError, match=r"no arena 'zz': ids look like"):
        ArenaSet(folder.path).find("zz")
    with pytest.raises(StoreError, match=r"5 arenas .* begin with ''"):
        ArenaSet(folder.path).find("")


# --- certify ----------------------------------------------------------------------------------


def test_certify_accepts_good_arenas(folder: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name: path.read_bytes() for path in folder.path.iterdir()}
    assert run(["arenas", "certify", str(folder.path), "--json"]) == 0
    report = _json(capsys)
    assert report.pop("sandbox") in ("namespaces", "landlock")
    assert report == {"arenas": 5, "certified": 5, "failed": []}
    assert {path.name: path.read_bytes() for path in folder.path.iterdir()} == before


def test_certify_finds_what_was_changed_by_hand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, *_ = arenas = _arenas()
    arenas[1] = arenas[1].model_copy(update={"question": "What is the capital of Norway?"})
    arenas[2] = changed(arenas[2], question="Is it 78117297?")
    lie = calories_tool().model_copy(update={"source": "def calories_of_dish(dish): return 1"})
    folder = RunFolder.create(tmp_path / "run", {})
    _write(folder, "arenas", [arena.row() for arena in (*arenas, good)])
    _write(
        folder,
        "tools",
        [ToolRow(id=calories_tool().id, tool=calories_tool(), arena="x", split="train")],
    )
    assert run(["arenas", "certify", str(folder.path), "--json"]) == 1
    report = _json(capsys)
    assert (report["arenas"], report["certified"]) == (6, 3)
    assert [(row["id"], row["check"]) for row in report["failed"]] == [
        (arenas[1].id, "hash"),
        (arenas[2].id, "leak"),
        (good.id, "hash"),
    ]
    folder.replace(
        "tools.jsonl", [to_line(ToolRow(id=calories_tool().id, tool=lie, arena="x", split="train"))]
    )
    assert run(["arenas", "certify", str(folder.path)]) == 1
    assert "failed by check: 6 hash" in capsys.readouterr().out


def test_certify_writes_certificates_when_told_to(
    folder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["arenas", "certify", str(folder.path), "--write"]) == 0
    capsys.readouterr()
    rows = [json.loads(line) for _, line in folder.lines("certificates")]
    assert [row["arena"] for row in rows] == [arena.id for arena in _arenas()]
    assert run(["arenas", "show", str(folder.path), rows[0]["arena"], "--json"]) == 0
    assert _json(capsys)["certificate"] == rows[0]


def test_certify_of_nothing_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RunFolder.create(tmp_path / "run", {})
    assert run(["arenas", "certify", str(tmp_path / "run")]) == 2
    assert "holds no arenas" in _error(capsys)


# --- show -------------------------------------------------------------------------------------


def test_show_tells_all_of_an_arena(folder: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    arena = _arenas()[-1]
    (folder.path / "certificates.jsonl").unlink()
    assert run(["arenas", "show", str(folder.path), arena.id[:10], "--source"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for part in (
        "How many people live in the country where",
        'country_of_university(university="Jagiellonian University")',
        "after g1",
        "38036118",
        "style",
        "def inhabitants_of_country",
        "no certificate",
        "calories_of_dish",
    ):
        assert part in shown
    assert run(["arenas", "show", str(folder.path), arena.id, "--json"]) == 0
    found = _json(capsys)
    assert Arena.model_validate(found["arena"]) == arena and found["certificate"] is None
    assert found["arena"]["distractors"][0]["document"]["name"] == "calories_of_dish"


def test_show_cuts_nothing_off_a_text_without_spaces(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    question = "".join(chr(0x4E00 + n) for n in range(200))
    arena = changed(branching_arena(), question=question)
    folder = _folder(tmp_path / "run", [arena], [])
    assert run(["arenas", "show", str(folder.path), arena.id]) == 0
    assert question in "".join(capsys.readouterr().out.split())


def test_show_draws_goals_that_wait_for_each_other_in_a_circle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arena = branching_arena()
    first, second, third = arena.goals
    circle = (first.model_copy(update={"depends_on": ("g2", "nowhere")}), second, third)
    folder = _folder(tmp_path / "run", [changed(arena, goals=circle)], [])
    assert run(["arenas", "show", str(folder.path), ""]) == 0
    shown = capsys.readouterr().out
    assert all(f" {name} " in shown for name in ("g1", "g2", "g3"))


def test_hostile_data_cannot_drive_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    arena = single_hop_arena()
    goal = arena.goals[0].model_copy(update={"id": HOSTILE, "answer": HOSTILE})
    document = arena.tools[0].document.model_copy(update={"description": HOSTILE, "name": HOSTILE})
    tool = arena.tools[0].model_copy(update={"document": document, "source": HOSTILE})
    hostile = changed(arena, question=HOSTILE, domain=HOSTILE, goals=(goal,), tools=(tool,))
    folder = _folder(tmp_path / "run", [hostile], [])
    _write(folder, "arenas.failed", [FailureRow(key="1", stage="arenas", kind="rejected",
                                             check=HOSTILE, message=HOSTILE)])  # fmt: skip
    monkeypatch.setattr(sys, "stdin", io.StringIO("tools\nquit\n"))
    commands = (
        ["show", hostile.id, "--source"],
        ["show", hostile.id, "--json"],
        ["stats"],
        ["stats", "--json"],
        ["certify"],
        ["play", hostile.id, "--sandbox", "unsafe"],
    )
    for verb, *rest in commands:
        run(["arenas", verb, str(folder.path), *rest])
        captured = capsys.readouterr()
        said = captured.out + captured.err
        assert "owned" in said, verb
        for sequence in ("\x1b]", "\x07", "\u202e", "\x9b", "\x1b[31m[bold]"):
            assert sequence not in said, (verb, sequence)


# --- stats ------------------------------------------------------------------------------------


def test_stats_counts_arenas_and_what_was_set_aside(
    folder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    failures = [
        FailureRow(key=str(n), stage="arenas", kind="rejected", check="leak", message=f"why {n}")
        for n in range(3)
    ]
    broken = FailureRow(key="9", stage="arenas", kind="error", type="SandboxDied", message="m")
    _write(folder, "arenas.failed", [*failures, broken])
    usage = Usage(prompt_tokens=5000, completion_tokens=500, cached_tokens=100)
    folder.record_stage("arenas", StageCounts(accepted=1, seconds=2.5, usage=usage, dollars=0.5))
    assert run(["arenas", "stats", str(folder.path), "--json"]) == 0
    report = _json(capsys)
    assert report["arenas"] == 5 and report["hops"] == {"1": 2, "2": 1, "3": 2}
    assert report["scenario"]["single_hop"] == 2 and report["split"] == {"train": 5}
    stage = report["stages"]["arenas"]
    assert stage["accepted"] == 5 and stage["rejected"] == {"leak": 3}
    assert stage["errors"] == {"SandboxDied": 1} and stage["seconds"] == 2.5
    assert stage["yield"] == pytest.approx(5 / 9)
    assert report["each"]["prompt_tokens"] == 1000 and report["each"]["dollars"] == 0.1
    assert run(["arenas", "stats", str(folder.path)]) == 0
    shown = capsys.readouterr().out
    assert "5 arenas" in shown and "2.5 s" in shown
    each = "per certified arena: 1,000 tokens in (20 cached), 100 out, 0.5 s, money 0.1000\n"
    assert each in shown
    assert "arenas: 3 rejected by leak, e.g. why 0\n" in shown
    assert "arenas: 1 error SandboxDied, e.g. m\n" in shown


def test_stats_count_ten_hops_after_nine(tmp_path: Path) -> None:
    (arena, *_) = good_arenas().values()
    arenas = [
        arena.model_copy(update={"goals": arena.goals * n, "id": f"{n:016x}"}) for n in (10, 2, 9)
    ]
    hops = arena_statistics(_folder(tmp_path / "run", arenas, []).path)["hops"]
    assert isinstance(hops, dict) and list(hops) == ["2", "9", "10"]


# --- play -------------------------------------------------------------------------------------


def _play(folder: RunFolder, arena: Arena, typed: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    return run(["arenas", "play", str(folder.path), arena.id])


def test_a_person_plays_and_sees_the_score_change(
    folder: RunFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arena = _arenas()[-1]
    typed = """
help
nonsense
capital_of_contry country=Norway
tools capital_of_country
question
country_of_university university="Jagiellonian University"
inhabitants_of_country(country="Poland")
capital_of_country country=Norway style=long
calories_of_dish dish=ramen
capital_of_country country=7
capital_of_country {"country": 7}
capital_of_country {"country":
score
answer 38036118 and Oslo
"""
    assert _play(folder, arena, typed, monkeypatch) == 0
    shown = capsys.readouterr().out
    assert "no tool or command 'nonsense'; type tools or help" in shown
    assert "did you mean capital_of_country?" in shown
    assert shown.count("question: ") == 2 and "└── " in shown, "one tool in full, by its name"
    assert "> score\n" in shown, "what comes from a pipe is shown"
    assert shown.count("a goal is solved") == 3
    for count, solved in enumerate((1, 2, 3, 3, 3, 3, 3), start=1):
        assert f"{solved} of 3 goals solved in {count} calls" in shown
    assert '"code": "not_found"' in shown, "a text where the schema wants a text"
    assert "schema_violation" in shown and "malformed_arguments" in shown
    assert shown.rstrip().endswith("3 of 3 goals solved in 7 calls; answer right")


@pytest.mark.parametrize("typed", ["", "quit\n", "answer\n", "\n\n", "capital_of_country x\n"])
def test_leaving_gives_the_score_and_no_answer(
    typed: str,
    folder: RunFolder,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert _play(folder, _arenas()[0], typed, monkeypatch) == 0
    assert capsys.readouterr().out.rstrip().endswith("0 of 1 goals solved in 0 calls")


def test_typed_arguments_follow_the_tools_types() -> None:
    parameters = {"properties": {"name": {"type": "string"}, "limit": {"type": "integer"}}}
    document = calories_tool().document.model_copy(update={"parameters": parameters})

    def spelled(text: str) -> Any:
        return json.loads(spelled_arguments(text, document))

    assert spelled("") == {}
    assert spelled('name=12 limit=12 other=x=y flag=true gone=null') == {
        "name": "12", "limit": 12, "other": "x=y", "flag": True, "gone": None,
    }  # fmt: skip
    assert spelled('name="a \\"b\\" = c"   limit=[1, {"x": 2}]') == {
        "name": 'a "b" = c',
        "limit": [1, {"x": 2}],
    }
    assert spelled('(name="a, b", limit=2,other=x)') == {"name": "a, b", "limit": 2, "other": "x"}
    assert spelled("()") == {}
    assert spelled("name= limit=1") == {"name": "", "limit": 1}
    for bad in ("name", "=1", 'name="open', "limit=[1, 2", "name=x stray", "limit=" + "[" * 99999):
        with pytest.raises(ConfigError, match="can't read"):
            spelled(bad)


# --- damage -----------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["certify", "show", "play", "stats"])
@pytest.mark.parametrize(
    "damage", ["missing", "file", "stranger", "row", "link", "manifest", "unreadable"]
)
def test_damage_is_one_line_that_names_the_place(
    verb: str, damage: str, folder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    path, named = folder.path, str(folder.path)
    if damage == "missing":
        path = path / "nowhere"
    elif damage == "file":
        path = path / "config.toml"
    elif damage == "stranger":
        path = path.parent
        named = str(path)
    elif damage == "row":
        (path / "arenas.jsonl").write_bytes(b'{"id": "' + _arenas()[0].id.encode() + b'"}\n')
        named = "arenas.jsonl"
    elif damage == "link":
        os.rename(path / "arenas.jsonl", path / "away")
        (path / "arenas.jsonl").symlink_to("/etc/passwd")
        named = "arenas.jsonl"
    elif damage == "manifest":
        (path / "manifest.json").write_text("{")
        named = "manifest.json"
    else:
        (path / "arenas.jsonl").unlink()
        (path / "arenas.jsonl").mkdir()
        named = "arenas.jsonl"
    arguments = [_arenas()[0].id] if verb in ("show", "play") else []
    assert run(["arenas", verb, str(path), *arguments]) == 2
    assert named in _error(capsys)


def test_a_reader_that_leaves_ends_the_command_quietly(folder: RunFolder) -> None:
    command = f"{sys.executable} -c 'from astra.cli.main import main; main()' arenas show"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{command} {folder.path} {_arenas()[0].id} | true"],
        capture_output=True,
        check=False,
    )
    assert done.stderr == b"" and done.returncode in (0, 141)


def test_bytes_that_are_no_text_are_read_past(folder: RunFolder) -> None:
    typed = b"\xff\xfe\n\x00\nscore\nquit\n"
    command = [sys.executable, "-c", "from astra.cli.main import main; main()"]
    done = subprocess.run(
        [*command, "arenas", "play", str(folder.path), _arenas()[0].id],
        input=typed,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0 and done.stderr == b""
    assert done.stdout.count(b"no tool or command") == 2


def test_ctrl_c_at_the_prompt_ends_the_play_at_once(folder: RunFolder) -> None:
    """At a real terminal, where asyncio alone would need a second one."""
    master, slave = pty.openpty()
    command = [sys.executable, "-c", "from astra.cli.main import main; main()"]
    with subprocess.Popen(
        [*command, "arenas", "play", str(folder.path), _arenas()[0].id],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    ) as process:
        os.close(slave)
        try:
            shown = b""
            while b"> " not in shown:
                shown += os.read(master, 4096)
            time.sleep(0.5)  # between the prompt and the reading nobody would notice a signal
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130
        finally:
            process.kill()
            os.close(master)


def test_a_command_to_copy_is_printed_whole(
    folder: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deep = tmp_path.joinpath(*["a" * 200] * 3)
    shutil.copytree(folder.path, deep)
    arenas = load_arenas(deep, uncertified=True)
    failure = FailureRow(key="k", stage="arenas", kind="error", type="OSError", message="x" * 900)
    (deep / "arenas.failed.jsonl").write_bytes(to_line(failure))
    reports = {"arenas": StageReport(len(arenas), {"leak": 1}, {"OSError": 1}, 1.0, 0)}
    print_production(ArenaProduction(arenas, reports, {}, "namespaces"), len(arenas) + 1)
    said = capsys.readouterr().out
    assert f"{len(arenas)} certified arenas in {deep} (sandbox: namespaces;" in said
    assert f"1 by OSError, 1 by leak (`astra arenas stats {deep}` says more)\n" in said
    assert f"1 of {len(arenas) + 1} are missing: `astra arenas stats {deep}` lists what" in said
    # What others wrote is cut, and says so.
    assert f"    e.g. OSError: {'x' * 382}… (918 characters)\n" in said
    assert f"next: astra arenas show {deep} {arenas[0].id}\n" in said
    assert f"  or: astra evaluate arenas {deep} --policy gold\n" in said
