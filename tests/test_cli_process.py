"""The command line as a process: what ends it, what it leaves behind, and on which terminals."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import astra
import astra.cli.main as cli
from astra.cli.main import run
from astra.configs.arenas import MakeArenasConfig
from astra.configs.files import read_options
from astra.configs.tools import CollectToolsConfig
from tests.support import arenas

WORLD = Path(__file__).parents[1] / "examples" / "world"
SOURCE = str(Path(astra.__file__).parents[1])
COMMAND = [sys.executable, "-m", "astra"]


def environment(**values: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": SOURCE, **values}


# --- signals ----------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", ["TERM", "HUP", "TERM without INT"])
def test_a_command_that_is_ended_leaves_no_temporary_folder(ends: str, tmp_path: Path) -> None:
    temporary, out = tmp_path / "tmp", tmp_path / "out"
    temporary.mkdir()
    words = [*COMMAND, "arenas", "make", str(WORLD), "--count", "2000", "--out", str(out)]
    # Shells start commands in the background of a script with SIGINT ignored.
    start = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"] if "without" in ends else []
    process = subprocess.Popen(
        [*start, *words],
        env=environment(TMPDIR=str(temporary)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 100
    while not any(temporary.glob("astra-tables-*")):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    number = signal.SIGHUP if ends == "HUP" else signal.SIGTERM
    process.send_signal(number)
    _, said = process.communicate(timeout=100)
    assert process.returncode == 128 + number
    assert said.strip().endswith("interrupted: resume with the same command")
    assert "Traceback" not in said
    assert list(temporary.iterdir()) == []


def test_a_query_that_is_interrupted_is_an_interruption() -> None:
    def interrupted() -> int:
        raise RuntimeError("Query interrupted")

    assert run([], lambda _: interrupted) == cli.INTERRUPTED


# --- terminals and limits -----------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["show", "stats", "play"])
def test_questions_of_all_languages_on_an_ascii_terminal(verb: str, tmp_path: Path) -> None:
    question = "秘鲁的首都是哪里？ Zürich – 😀"
    arena = arenas.changed(arenas.single_hop_arena(), question=question)
    astra.ArenaSet.of([arena], out=tmp_path / "run")
    words = [*COMMAND, "arenas", verb, str(tmp_path / "run")]
    words += [arena.id] if verb != "stats" else []
    words += ["--uncertified"] if verb == "play" else []
    done = subprocess.run(
        words,
        env=environment(LC_ALL="C", PYTHONUTF8="0", PYTHONIOENCODING="ascii"),
        capture_output=True,
        input='{"answer": "Zürich"}\nZürich\n'.encode(),
        timeout=100,
        check=False,
    )
    assert b"Traceback" not in done.stderr and b"error in astra" not in done.stderr
    assert done.returncode == 0, done.stderr
    if verb != "stats":
        assert rb"\u79d8" in done.stdout


def test_too_few_descriptors_are_told_before_anything_fails(tmp_path: Path) -> None:
    words = shlex.join([*COMMAND, "arenas", "make", str(WORLD), "--out", str(tmp_path / "out")])
    done = subprocess.run(
        ["sh", "-c", f"ulimit -n 32; exec {words}"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == cli.FAILED
    assert done.stderr.startswith("error: only 32 files may be open")
    assert "ulimit -n 256" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_low_limit_that_may_be_raised_is_raised() -> None:
    script = "import resource\nfrom astra.cli.main import run_program\n"
    script += "run_program([])\nprint(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    done = subprocess.run(
        ["sh", "-c", f"ulimit -Sn 32; exec {shlex.join([sys.executable, '-c', script])}"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stdout.splitlines()[-1] == "256", done.stderr


def test_the_sandbox_starts_under_a_limit_lower_than_its_own() -> None:
    script = (
        "import asyncio\nfrom astra.sandbox import open_sandbox\n"
        "async def main():\n    async with open_sandbox(workers=1, spares=0): print('open')\n"
        "asyncio.run(main())"
    )
    done = subprocess.run(
        ["sh", "-c", f"ulimit -n 48; exec {shlex.join([sys.executable, '-c', script])}"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stdout == "open\n", done.stderr


# --- commands that are printed, and files that loosen protection ---------------------------------


def test_printed_commands_can_be_pasted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "a b; $(touch ran) 'c'"
    table = WORLD / "countries.csv"
    assert run(["arenas", "make", str(table), "--count", "2", "--out", str(folder)]) == 0
    said = capsys.readouterr().out
    printed = [
        line.partition(":")[2] for line in said.splitlines() if line.startswith(("next:", "  or:"))
    ]
    assert len(printed) == 2
    for line in printed:
        words = shlex.split(line)
        assert words[0] == "astra" and words[3] == str(folder)
        assert run([*words[1:], *(["--split", "all"] if "evaluate" in words else [])]) == 0
    tools = tmp_path / "tools of 'mine'"
    example = str(WORLD.parent / "tools" / "tools.json")
    assert run(["tools", "collect", example, "--out", str(tools)]) == 0
    said = capsys.readouterr().out
    (see,) = [line for line in said.splitlines() if "see:" in line]
    assert shlex.split(see)[1:] == ["astra", "tools", "show", str(tools)]


def test_no_command_is_printed_with_a_bare_path() -> None:
    """In texts that name a command, what is filled in is quoted, or said to be so by its name."""
    for path in Path(SOURCE, "astra").rglob("*.py"):
        for line in path.read_text("utf-8").splitlines():
            for filled in re.findall(r"astra (?:[a-z]+ ){1,2}(?:\{[^{}]*\} )*\{([^{}]*)\}", line):
                assert filled.startswith(("quote(", "shlex.quote(")) or filled in (
                    "at",
                    "identifier",
                ), (path, line)


def test_a_file_that_takes_protection_away_warns(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "options.toml"
    file.write_text('sandbox = "unsafe"\ncount = 3')
    assert read_options(file, MakeArenasConfig)["sandbox"] == "unsafe"
    assert "whatever you may do" in caplog.text and repr(str(file)) in caplog.text
    caplog.clear()
    file.write_text("confine-servers = false")
    read_options(file, CollectToolsConfig)
    assert "confine_servers = false" in caplog.text
    caplog.clear()
    file.write_text('sandbox = "landlock"')
    read_options(file, MakeArenasConfig)
    assert caplog.text == ""


def test_the_warning_is_on_stderr(tmp_path: Path) -> None:
    file = tmp_path / "options.toml"
    file.write_text('sandbox = "unsafe"')
    done = subprocess.run(
        [*COMMAND, "arenas", "certify", f"@{file}", str(tmp_path / "none")],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "sets sandbox" in done.stderr and done.stdout == ""


def test_arenas_are_made_and_evaluated_with_the_extra_make_alone() -> None:
    code = (
        "import sys\n"
        "for name in ('uvicorn', 'starlette', 'mcp', 'mcp_types', 'websockets', 'torch', 'ray'):\n"
        "    sys.modules[name] = None\n"
        "import astra.cli.arenas_make, astra.cli.arenas_certify, astra.cli.evaluate_arenas\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
