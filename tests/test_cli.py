"""The command line itself: help, options from TOML files, and how errors end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import astra.cli.main as cli
from astra.cli.command import command_from
from astra.cli.console import clean, print_error, print_json
from astra.configs.base import Config
from astra.errors import StoreError

VERBS = [
    *cli.COMMANDS,
    *(f"{name} {verb}" for name, group in cli.GROUPS.items() for verb in group.commands),
]


def test_a_file_is_expanded_in_a_real_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.toml").write_text("all-check = true")
    assert cli.run(["arenas", "certify", f"@{tmp_path}/x.toml", "run"]) == cli.FAILED
    assert "'all-check' is not an option of this command: did you mean" in capsys.readouterr().err
    (tmp_path / "x.toml").write_text("all-checks = true")
    assert cli.run(["arenas", "certify", f"@{tmp_path}/x.toml", "run"]) == cli.FAILED
    assert "no run folder at 'run'" in capsys.readouterr().err


# --- help and ends ----------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_examples(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([*verb.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Examples:" in shown and f"  astra {verb}" in shown


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("astra 0.")


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["arenas", "nonsense"], ["arenas", "stats", "--nonsense", "x"]]
)
def test_wrong_usage_ends_with_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "nonsense" in captured.err


@pytest.mark.parametrize("arguments", [[], ["arenas"]])
def test_no_verb_shows_the_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(arguments) in (0, 2)
    captured = capsys.readouterr()
    assert "Commands:" in captured.out + captured.err


def _verb(monkeypatch: pytest.MonkeyPatch, function: Callable[[], int | None]) -> None:
    """Put a command in the place of `stats`."""

    @command_from(Config, examples=[])
    def command(config: Config) -> int | None:
        """A command."""
        return function()

    module = type("module", (), {"command": command})
    monkeypatch.setattr(cli.importlib, "import_module", lambda name: module)


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (StoreError("a\nb \x1b[31m[red]"), 2, "error: a b \\x1b[31m[red]\n"),
        (PermissionError(13, "Permission denied", "x"), 2, "error: Permission denied: x\n"),
        (KeyboardInterrupt(), 130, "interrupted: resume with the same command\n"),
        (ZeroDivisionError("division"), 70, "error: ZeroDivisionError: division"),
    ],
)
def test_errors_end_in_one_line_and_a_status(
    error: BaseException,
    status: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> None:
        raise error

    _verb(monkeypatch, fail)
    assert cli.run(["arenas", "stats"]) == status
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith(message)
    assert captured.err.count("\n") == 1
    if status in (2, 70):
        assert cli.run(["arenas", "stats", "--debug"]) == status
        assert "Traceback" in capsys.readouterr().err


def test_a_command_can_end_with_a_status_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    _verb(monkeypatch, lambda: 1)
    assert cli.run(["arenas", "stats"]) == 1


_LONG_RUN = """
import asyncio, importlib, signal, sys
import astra.cli.main as cli
from astra.cli.command import command_from
from astra.configs.base import Config

# A shell that starts the tests in the background has them ignore it, and so their children.
signal.signal(signal.SIGINT, signal.default_int_handler)

@command_from(Config, examples=[])
def command(config: Config) -> None:
    async def main() -> None:
        print("running", flush=True)
        await asyncio.sleep(60)
    asyncio.run(main())

importlib.import_module = lambda name: type("module", (), {"command": command})
sys.exit(cli.run(["arenas", "stats"]))
"""


def test_ctrl_c_says_how_to_go_on() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _LONG_RUN], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == b"running\n"
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=50)
        finally:
            process.kill()
    assert process.returncode == 130
    assert said == b"interrupted: resume with the same command\n"


def test_ctrl_c_while_a_verb_is_imported(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.importlib, "import_module", interrupted)
    assert cli.run(["arenas", "stats"]) == 130
    assert capsys.readouterr().err == "interrupted: resume with the same command\n"


def test_ctrl_c_while_the_command_itself_is_imported() -> None:
    code = """
import builtins, sys
original = builtins.__import__
def interrupted(name, *rest):
    if name == "cyclopts":
        raise KeyboardInterrupt
    return original(name, *rest)
builtins.__import__ = interrupted
from astra.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 130
    assert done.stderr == b"interrupted: resume with the same command\n"


def test_a_closed_pipe_is_no_error() -> None:
    code = "import sys; from astra.cli.main import run; sys.exit(run(['arenas', '--help']))"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert done.returncode == cli.CLOSED_PIPE and done.stderr == b""


# --- printing ---------------------------------------------------------------------------------


def test_control_characters_are_spelled_out() -> None:
    assert clean("a\tb\nc") == "a\tb\nc"
    assert clean("\x1b[2J\r\x07\x9b\u202e\u2066") == "\\x1b[2J\\r\\x07\\x9b\\u202e\\u2066"
    assert clean("中文 é 🎉") == "中文 é 🎉" and clean("\ud800") == "\ufffd"


def test_json_is_the_same_json_and_cannot_drive_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    import json

    value = {"text": "中文 🎉 \x1b[2J \x9b \u202e \ud800 \x7f", "n": [1, 2.5, None, True]}
    print_json(value)
    shown = capsys.readouterr().out
    assert json.loads(shown) == value and "中文" in shown
    assert not set("\x1b\x9b\u202e\x7f") & set(shown)


def test_an_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_error("first\nsecond [bold]" + "x" * 500)
    assert capsys.readouterr().err == f"error: first second [bold]{'x' * 500}\n"
