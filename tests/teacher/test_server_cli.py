"""The rule teacher's server as a process: it says where it listens, answers, stops on a signal."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from astra.testing.rule_teacher.__main__ import main

from .made import WORLD


def serve(port_file: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "astra.testing.rule_teacher", "--port-file", str(port_file)]
    tables = ["--tables", str(WORLD), "--size", "3", "--languages", "en"]
    return subprocess.Popen([*command, *tables, *options], stderr=subprocess.PIPE)


def waited_for(path: Path, process: subprocess.Popen[bytes]) -> int:
    until = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)
    return int(path.read_text())


def test_serve_until_told_to_stop(tmp_path: Path) -> None:
    process = serve(tmp_path / "port", "--faults", "0.2", "--wrong", "all=0.3", "--seed", "4")
    try:
        port = waited_for(tmp_path / "port", process)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/v1/models")
        assert json.loads(connection.getresponse().read())["data"][0]["id"] == "rules"
        connection.request("GET", "/stats")
        stats = json.loads(connection.getresponse().read())
        assert (stats["requests"], stats["planted"]) == (0, [])
        connection.close()
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 0
        assert f"http://127.0.0.1:{port}/v1" in said.decode()
    finally:
        process.kill()
        process.wait()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["port"]


@pytest.mark.parametrize(
    "option",
    [
        ["--wrong", "laziness=0.3"],
        ["--wrong", "leak"],
        ["--wrong", "leak=2"],
        ["--wrong", "all=0.1,leak=0.1"],
        ["--fault-kinds", "rain"],
        ["--languages", "en,fr"],
        ["--faults", "2"],
    ],
)
def test_impossible_options_are_named(
    option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--tables", str(WORLD), *option])
    assert "error: " in capsys.readouterr().err


def test_without_tables_the_example_must_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert "--tables" in capsys.readouterr().err
