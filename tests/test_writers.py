"""One writer at a time for whatever is written, and damaged lines are told: with real processes."""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from astra.arenas.opening import open_pipeline
from astra.arenas.sets import load_arenas
from astra.cli.main import run
from astra.configs.arenas import MakeArenasConfig
from astra.configs.evaluation import EvaluateConfig
from astra.core.files import read_text_option, replacing, write_file
from astra.errors import ConfigError, StoreError, StoreWarning
from astra.evaluation.evaluate import evaluate
from astra.runs.folder import RunFolder
from astra.runs.jsonl import FailureRow, to_line
from astra.runs.runner import StageRunner
from astra.runs.stage import copy_stage
from astra.trajectories.play.rollouts import system_prompts
from astra.types import ArenaRow
from tests.support.arenas import good_arenas, write_arena_run
from tests.support.spoiled_files import huge

ARENAS = list(good_arenas().values())


@pytest.fixture
def arenas(tmp_path: Path) -> Path:
    return write_arena_run(tmp_path / "arenas", ARENAS)


def config(arenas: Path, out: Path) -> EvaluateConfig:
    return EvaluateConfig(arenas, policy="random", split="all", samples=2, out=out)


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "astra", *map(str, words)]


_SLOW_EVALUATION = """
import asyncio, sys, time
from pathlib import Path
from astra.configs.arenas import MakeArenasConfig
from astra.configs.evaluation import EvaluateConfig
from astra.evaluation.evaluate import evaluate

def slow(episode, total):
    print("played", flush=True)
    time.sleep(float(sys.argv[3]))

config = EvaluateConfig(Path(sys.argv[1]), policy="random", split="all", samples=2,
                        out=Path(sys.argv[2]))
asyncio.run(evaluate(config, on_episode=slow))
"""


def slow_evaluation(arenas: Path, out: Path, pause: float) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-c", _SLOW_EVALUATION, str(arenas), str(out), str(pause)]
    return subprocess.Popen(words, stdout=subprocess.PIPE)


async def test_a_second_evaluation_of_a_folder_waits_for_nothing_and_spoils_nothing(
    arenas: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    whole = await evaluate(config(arenas, tmp_path / "whole"))
    with slow_evaluation(arenas, out, 60) as first:
        assert first.stdout is not None and first.stdout.readline() == b"played\n"
        with pytest.raises(StoreError, match="another process is writing"):
            await evaluate(config(arenas, out))
        first.send_signal(signal.SIGKILL)
    resumed = await evaluate(config(arenas, out))
    assert [(e.trajectory.task, e.trajectory.sample) for e in resumed.episodes] == [
        (arena.id, sample) for arena in ARENAS for sample in range(2)
    ]
    assert resumed.summary.f1 == whole.summary.f1


def _lines(out: Path) -> list[bytes]:
    return (out / "episodes.jsonl").read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize("damage", ["doubled", "foreign", "swapped", "no row", "too many"])
async def test_episodes_that_are_not_this_runs_are_named_by_their_line(
    arenas: Path, tmp_path: Path, damage: str
) -> None:
    out = tmp_path / "out"
    await evaluate(config(arenas, out))
    (out / "report.json").unlink()
    good = _lines(out)
    foreign = json.loads(good[3])
    foreign["trajectory"]["task"] = "f" * 16
    lines, number = {
        "doubled": ([*good[:4], good[1], *good[4:]], 5),
        "foreign": ([*good[:3], json.dumps(foreign).encode() + b"\n", *good[4:]], 4),
        "swapped": ([good[0], good[2], good[1], *good[3:]], 2),
        "no row": ([*good[:2], b"{}\n", *good[2:]], 3),
        "too many": ([*good, good[0]], 11),
    }[damage]
    (out / "episodes.jsonl").write_bytes(b"".join(lines))
    with pytest.raises(StoreError, match=rf"episodes\.jsonl', line {number}: .*head -n"):
        await evaluate(config(arenas, out))
    assert _lines(out) == lines, "nothing is repaired in silence"


async def test_a_cut_episode_is_told_and_played_again(arenas: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    whole = await evaluate(config(arenas, out))
    (out / "report.json").unlink()
    good = _lines(out)
    (out / "episodes.jsonl").write_bytes(b"".join(good[:5]) + good[5][:-20])
    with pytest.warns(StoreWarning, match=r"episodes\.jsonl', line 6: it was cut off .* removed"):
        resumed = await evaluate(config(arenas, out))
    assert resumed.summary.f1 == whole.summary.f1 and len(_lines(out)) == 10


def test_the_command_line_tells_it_as_a_note(arenas: Path) -> None:
    path = arenas / "arenas.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], lines[1], lines[3], lines[4][:-9]]))
    done = subprocess.run(
        command("evaluate", "arenas", arenas, "--policy", "gold", "--split", "all", "--json"),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["arenas"] == 4
    notes = [line for line in done.stderr.splitlines() if line.startswith("note: ")]
    assert len(notes) == 2 and "Warning" not in done.stderr
    assert "line 6: it is cut off" in notes[0]
    assert "line 4: arena" in notes[1] and "is repeated" in notes[1]


def test_a_repeated_arena_counts_once(arenas: Path) -> None:
    path = arenas / "arenas.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines, lines[0]]))
    with pytest.warns(StoreWarning, match="line 6: arena .* is repeated"):
        assert list(load_arenas(arenas)) == ARENAS


_WRITER = """
import sys, time
from pathlib import Path
from astra.core.files import write_file
def pieces():
    yield b"first\\n"
    print("begun", flush=True)
    sys.stdin.readline()
    yield b"last\\n"
write_file(Path(sys.argv[1]), pieces())
"""


def _writer(path: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-c", _WRITER, str(path)]
    writer = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert writer.stdout is not None and writer.stdout.readline() == b"begun\n"
    return writer


def test_two_writers_of_one_file(tmp_path: Path, arenas: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"old\n")
    with _writer(path) as first:
        with pytest.raises(StoreError, match=r"another process is writing .*rows\.jsonl"):
            write_file(path, b"mine\n")
        assert run(["arenas", "export", str(arenas), "--out", str(path), "--if-exists",
                    "overwrite"]) == 2  # fmt: skip
        assert path.read_bytes() == b"old\n"
        assert first.stdin is not None
        first.stdin.write(b"\n")
        first.stdin.close()
        assert first.wait() == 0
    assert path.read_bytes() == b"first\nlast\n"
    with _writer(path) as killed:
        killed.kill()
    write_file(path, b"mine\n")
    assert path.read_bytes() == b"mine\n"
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_what_stands_at_the_temporary_name_is_never_written_to(tmp_path: Path) -> None:
    target, path = tmp_path / "target", tmp_path / "rows.jsonl"
    target.write_bytes(b"precious\n")
    for put in (path.with_name(".rows.jsonl.new").symlink_to,
                path.with_name(".rows.jsonl.new").hardlink_to):  # fmt: skip
        put(target)
        write_file(path, b"mine\n")
        assert (target.read_bytes(), path.read_bytes()) == (b"precious\n", b"mine\n")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_bytes(b"half")
        raise ZeroDivisionError
    assert path.read_bytes() == b"mine\n" and len(list(tmp_path.iterdir())) == 2


def _small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))


@pytest.mark.parametrize("what", ["evaluate", "export"])
def test_a_full_disk_is_one_line_and_status_2(arenas: Path, tmp_path: Path, what: str) -> None:
    out = tmp_path / "out"
    words = {
        "evaluate": ("evaluate", "arenas", arenas, "--policy", "gold", "--split", "all"),
        "export": ("arenas", "export", arenas),
    }[what]
    done = subprocess.run(
        command(*words, "--out", out), capture_output=True, text=True, preexec_fn=_small_files
    )
    assert done.returncode == 2 and done.stdout == ""
    error = done.stderr.strip().splitlines()[-1]
    assert error.startswith("error: can't write ") and "File too large" in error
    assert "Traceback" not in done.stderr
    if what == "evaluate":  # whole lines, and with room it resumes
        list(RunFolder.open(out).values("episodes"))
        assert run(["evaluate", "arenas", str(arenas), "--policy", "gold", "--split", "all",
                    "--out", str(out)]) == 0  # fmt: skip
    else:
        assert not out.exists()


@pytest.mark.parametrize("what", ["evaluate", "export"])
def test_a_place_that_cannot_be_written_is_named(
    arenas: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # Not a read-only folder: root writes to those.
    out = "/proc/astra-out"
    words = {
        "evaluate": ["evaluate", "arenas", str(arenas), "--policy", "gold", "--split", "all"],
        "export": ["arenas", "export", str(arenas)],
    }[what]
    assert run([*words, "--out", out]) == 2
    assert "error: can't write '/proc/astra-out'" in capsys.readouterr().err


async def test_makers_of_arenas_hold_the_lock_between_their_stages(tmp_path: Path) -> None:
    options = MakeArenasConfig(tmp_path / "tables", out=tmp_path / "out")
    async with open_pipeline(options, {}) as pipeline:
        with pytest.raises(StoreError, match="another process is writing"):
            async with open_pipeline(options, {}):
                pass
        await pipeline.runner.run(copy_stage("things", ArenaRow), [])
        with pytest.raises(StoreError, match="another process is writing"), (
            RunFolder(tmp_path / "out").lock()
        ):  # fmt: skip
            pass
    with RunFolder(tmp_path / "out").lock():
        pass


def test_a_row_that_stands_twice_is_removed_and_told(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", {})
    rows = [ARENAS[0].row(), ARENAS[1].row()]
    runner = StageRunner(folder)
    stage = copy_stage("things", ArenaRow)
    asyncio.run(runner.run(stage, rows[:1]))
    path = folder.path / "things.jsonl"
    path.write_bytes(path.read_bytes() * 3)
    with pytest.warns(StoreWarning, match=r"things\.jsonl', line 2, and 1 more,: a repetition"):
        report = asyncio.run(runner.run(stage, rows, until=2))
    assert report.accepted == 2 and list(folder.rows("things", ArenaRow)) == rows
    other = rows[1].model_copy(update={"id": rows[0].id})
    with folder.lock(), folder.append("things") as log:
        log.append([to_line(other)])
    with pytest.raises(StoreError, match=r"things\.jsonl', line 3: another row of item"):
        asyncio.run(runner.run(stage, rows))
    failure = FailureRow(key="k", stage="things", kind="rejected", check="leak", message="m")
    path.write_bytes(to_line(rows[0]))
    (folder.path / "things.failed.jsonl").write_bytes(to_line(failure) * 2)
    with pytest.warns(StoreWarning, match=r"things\.failed\.jsonl', line 2: a repetition"):
        report = asyncio.run(runner.run(stage, rows))
    assert report.rejected == {"leak": 1}
    assert list(folder.rows("things.failed", FailureRow)) == [failure]


# --- texts that options name -------------------------------------------------------------------


def test_the_text_of_an_option_is_read_up_to_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "prompt.txt"
    path.write_bytes("Call tools.\r\nThen answer: é\n".encode())
    assert read_text_option(path, "system_prompt") == "Call tools.\nThen answer: é\n"
    assert read_text_option(None, "system_prompt") is None
    assert system_prompts(None).keys() == {"en", "zh"}
    assert system_prompts(path)["zh"] == "Call tools.\nThen answer: é\n"
    for endless in ("/dev/zero", path):
        huge(path)
        for read in (lambda p: read_text_option(p, "system_prompt"), system_prompts):
            with pytest.raises(ConfigError, match=r"system.prompt: '.*' has more than 1048576 by"):
                read(endless)
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"system.prompt: '.*prompt.txt' is not UTF-8 text"):
        read_text_option(path, "system_prompt")
    with pytest.raises(ConfigError, match=r"system.prompt: can't read '.*none': No such file"):
        read_text_option(tmp_path / "none", "system_prompt")
